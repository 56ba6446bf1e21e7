#include "monitor/json.h"

#include <cmath>
#include <cstdint>

#include "log/format.h"

namespace adit::monitor::json {

value number(double number) {
  if (!std::isfinite(number)) return nullptr;
  // Whole numbers as everybody writes them; Boost.JSON would make 9E1 of 90.0.
  constexpr double kExact = 0x1p53;
  if (number == std::floor(number) && std::abs(number) <= kExact) return static_cast<std::int64_t>(number);
  return number;
}

boost::json::string text(std::string_view bytes) { return boost::json::string(log::utf8(bytes)); }

value text_or_null(std::string_view bytes) { return bytes.empty() ? value(nullptr) : value(text(bytes)); }

object error(std::string_view sentence) { return {{"error", text(sentence)}}; }

}  // namespace adit::monitor::json
