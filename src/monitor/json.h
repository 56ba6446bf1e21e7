// JSON as the monitor serves it: always valid, whatever a peer called itself and whatever a figure came to.
#pragma once

#include <string_view>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

namespace adit::monitor::json {

using boost::json::array;
using boost::json::object;
using boost::json::value;

/// `number`, without a fraction if it has none; or null if it is not finite: JSON has no word for that.
value number(double number);

/// `bytes` as a string: each byte that is not part of valid UTF-8 becomes U+FFFD.
boost::json::string text(std::string_view bytes);

/// Likewise; null if there are none.
value text_or_null(std::string_view bytes);

/// {"error": sentence}: how each route says what went wrong.
object error(std::string_view sentence);

}  // namespace adit::monitor::json
