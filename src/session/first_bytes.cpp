#include "session/first_bytes.h"

#include <algorithm>
#include <array>

namespace adit::session {
namespace {

constexpr bool is_blank(std::uint8_t byte) { return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n'; }
constexpr bool is_printable(std::uint8_t byte) { return byte >= 0x20 && byte < 0x7f; }

/// Whether `first` begins with `start`, or is the beginning of it.
bool agrees(Bytes first, std::string_view start) {
  const auto size = std::min(first.size(), start.size());
  return as_text(first.first(size)) == start.substr(0, size);
}

/// A record of type handshake (RFC 8446 §5.1) that begins with a ClientHello.
bool is_tls(Bytes first) {
  if (first.size() < 3) return false;
  return first[0] == 0x16 && first[1] == 0x03 && first[2] <= 0x04 && (first.size() < 6 || first[5] == 0x01);
}

bool is_http(Bytes first) {
  static constexpr std::array<std::string_view, 9> kMethods = {"GET /",  "GET http", "HEAD /",   "POST /",  "PUT /",
                                                               "PRI * ", "DELETE /", "OPTIONS ", "CONNECT "};
  return first.size() >= 4 && std::ranges::any_of(kMethods, [&](std::string_view method) { return agrees(first, method); });
}

/// The frame of SetupConnection (SV2 03 §3.2, §3.6.1): core extension, type 0, a length below 4096, a protocol, version 2.
bool is_plain_sv2(Bytes first) {
  if (first.size() < 7) return false;
  const bool header = first[0] == 0 && (first[1] & 0x7f) == 0 && first[2] == 0 && first[4] < 16 && first[5] == 0;
  return header && first[3] + (first[4] << 8) >= 16 && first[6] <= 2 && (first.size() < 8 || first[7] == 2);
}

/// A JSON object begins, and what is here of it is text; or there are only blanks.
bool is_sv1(Bytes first) {
  if (!std::ranges::all_of(first, [](std::uint8_t byte) { return is_printable(byte) || is_blank(byte); })) return false;
  const auto open = std::ranges::find_if_not(first, is_blank);
  if (open == first.end()) return true;
  if (*open != '{') return false;
  const auto next = std::find_if_not(open + 1, first.end(), is_blank);
  return next == first.end() || *next == '"' || *next == '}';
}

}  // namespace

Spoken recognize(Bytes first, bool silent) {
  constexpr std::string_view kProxyV2("\r\n\r\n\0\r\nQUIT\n", 12);
  if (first.empty() || (first.size() < kFirstBytes && !silent)) return Spoken::kUndecided;
  if (first.size() >= 5 && agrees(first, kProxyV2)) return Spoken::kProxyV2;
  first = first.first(std::min(first.size(), kFirstBytes));
  if (is_sv1(first)) return Spoken::kSv1;
  if (is_tls(first)) return Spoken::kTls;
  if (is_http(first)) return Spoken::kHttp;
  if (first.size() >= 5 && agrees(first, "PROXY ")) return Spoken::kProxyV1;
  if (is_plain_sv2(first)) return Spoken::kPlainSv2;
  const bool text = std::ranges::all_of(first, [](std::uint8_t byte) { return is_printable(byte) || is_blank(byte); });
  return text ? Spoken::kText : Spoken::kBytes;
}

std::string_view to_words(Spoken spoken) {
  switch (spoken) {
    case Spoken::kUndecided:
      return "nothing that can be told";
    case Spoken::kSv1:
      return "Stratum V1";
    case Spoken::kTls:
      return "TLS";
    case Spoken::kHttp:
      return "an HTTP request";
    case Spoken::kProxyV1:
      return "a PROXY protocol header (v1)";
    case Spoken::kProxyV2:
      return "a PROXY protocol header (v2)";
    case Spoken::kPlainSv2:
      return "Stratum V2 without encryption";
    case Spoken::kText:
      return "text of another protocol";
    case Spoken::kBytes:
      return "bytes of another protocol";
  }
  return "nothing that can be told";
}

bool is_no_handshake(Spoken spoken) {
  return spoken != Spoken::kUndecided && spoken != Spoken::kText && spoken != Spoken::kBytes;
}

namespace {

/// What holds at every port.
std::string_view advice_anywhere(Spoken spoken) {
  switch (spoken) {
    case Spoken::kHttp:
      return "this is no web address; the monitor has its own port";
    case Spoken::kProxyV1:
    case Spoken::kProxyV2:
      return "name the proxy's address in `trusted_proxies`, or let it send no such header";
    default:
      return {};
  }
}

}  // namespace

std::string_view advice_at_sv2_port(Spoken spoken) {
  switch (spoken) {
    case Spoken::kSv1:
      return "let it connect to the port of a translator instead";
    case Spoken::kTls:
      return "connect without TLS: Stratum V2 has its own encryption";
    case Spoken::kPlainSv2:
      return "configure the pool's authority key there, which turns encryption on";
    default:
      return advice_anywhere(spoken);
  }
}

std::string_view advice_at_sv1_port(Spoken spoken) {
  switch (spoken) {
    case Spoken::kTls:
      return "this port takes Stratum V1 without TLS";
    case Spoken::kPlainSv2:
    case Spoken::kBytes:
      return "if it is a Stratum V2 miner, let it connect to the pool's port: this one takes Stratum V1";
    default:
      return advice_anywhere(spoken);
  }
}

}  // namespace adit::session
