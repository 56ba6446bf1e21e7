// Which form of an answer a client wants (RFC 9110 §12). No I/O.
#pragma once

#include <string_view>

namespace adit::monitor {

/// Whether an Accept header asks for HTML rather than for JSON, as browsers do. A header that likes both equally, and an empty
/// one, do not.
bool prefers_html(std::string_view accept);

/// Whether an Accept-Encoding header takes gzip.
bool accepts_gzip(std::string_view accept_encoding);

/// Whether an If-None-Match header names `etag`, which is given with its quotes.
bool names_etag(std::string_view if_none_match, std::string_view etag);

}  // namespace adit::monitor
