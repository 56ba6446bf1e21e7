#include "session/proxy_header.h"

#include <arpa/inet.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "base/number.h"
#include "session/first_bytes.h"

namespace adit::session {
namespace {

constexpr std::string_view kV1 = "PROXY ";
constexpr std::size_t kMaxV1 = 107;
constexpr std::string_view kV2("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::size_t kV2Begin = 16;  ///< The signature, version and command, family and transport, and the length of the rest.

std::unexpected<Error> malformed(std::string_view what) {
  return fail(Errc::kProtocol, "the PROXY protocol header " + std::string(what));
}

/// What stands before the next blank, or all; both are taken off `text`.
std::string_view next_word(std::string_view& text) {
  const auto end = std::min(text.find(' '), text.size());
  const auto word = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return word;
}

/// One address as text, which is the canonical text of one: no blanks, zones or leading zeros.
bool read_address(std::string_view text, bool is_v6, std::array<std::uint8_t, 16>& address) {
  if (text.size() >= INET6_ADDRSTRLEN) return false;
  return ::inet_pton(is_v6 ? AF_INET6 : AF_INET, std::string(text).c_str(), address.data()) == 1;
}

/// A decimal port without leading zeros.
bool read_port(std::string_view text, std::uint16_t& port) {
  if (text.empty() || (text.size() > 1 && text.front() == '0')) return false;
  const auto number = number_from<std::uint16_t>(text);
  port = number.value_or(0);
  return number.has_value();
}

/// `line` without its CR LF.
Result<ProxyHeader> read_v1_line(std::string_view line) {
  line.remove_prefix(kV1.size());
  const auto family = next_word(line);
  if (family == "UNKNOWN") return ProxyHeader{};
  if (family != "TCP4" && family != "TCP6") return malformed("names neither TCP4 nor TCP6 nor UNKNOWN");
  ProxiedClient client{.is_v6 = family == "TCP6"};
  ProxiedClient at;
  const bool addresses =
      read_address(next_word(line), client.is_v6, client.address) && read_address(next_word(line), client.is_v6, at.address);
  if (!addresses) return malformed("holds no two addresses of its family");
  if (!read_port(next_word(line), client.port) || line.empty() || !read_port(line, at.port))
    return malformed("holds no two ports");
  return ProxyHeader{.client = client};
}

Result<ProxyHeader> read_v1(Bytes so_far) {
  const auto text = as_text(so_far);
  const auto line_end = text.find('\n');
  if (line_end != std::string_view::npos) {
    if (line_end + 1 != text.size() || text[line_end - 1] != '\r') return malformed("does not end with CR LF alone");
    return read_v1_line(text.substr(0, line_end - 1));
  }
  if (const auto cr = text.find('\r'); cr != std::string_view::npos && cr + 1 != text.size()) {
    return malformed("has a CR inside of its line");
  }
  const std::size_t missing = text.back() == '\r' ? 1 : 2;
  if (text.size() + missing > kMaxV1) return malformed("of version 1 is longer than 107 bytes");
  return ProxyHeader{.missing = missing};
}

Result<ProxyHeader> read_v2(Bytes so_far) {
  if (so_far.size() < kV2Begin) return ProxyHeader{.missing = kV2Begin - so_far.size()};
  const unsigned version = so_far[12] >> 4U;
  const unsigned command = so_far[12] & 0x0fU;
  const unsigned family = so_far[13] >> 4U;
  const unsigned transport = so_far[13] & 0x0fU;
  const std::size_t rest = (std::size_t{so_far[14]} << 8U) + so_far[15];
  if (version != 2) return malformed("begins as version 2 does, and says that it is version " + std::to_string(version));
  if (command > 1) return malformed("has an unknown command");
  if (family > 3 || transport > 2) return malformed("has an unknown family or transport");
  if (kV2Begin + rest > kMaxProxyHeader) {
    return malformed("is " + std::to_string(kV2Begin + rest) + " bytes long, which is more than " +
                     std::to_string(kMaxProxyHeader));
  }
  const bool local = command == 0;
  const bool is_v4 = family == 1;
  const bool is_v6 = family == 2;
  const std::size_t address_size = is_v4 ? 4 : 16;
  const bool known = !local && transport == 1 && (is_v4 || is_v6);
  if (known && rest < 2 * (address_size + 2)) return malformed("is too short for two addresses");
  if (so_far.size() < kV2Begin + rest) return ProxyHeader{.missing = kV2Begin + rest - so_far.size()};
  if (so_far.size() != kV2Begin + rest) return malformed("is shorter than what was read of it");
  if (!known) return ProxyHeader{};
  ProxiedClient client{.is_v6 = is_v6};
  const auto addresses = so_far.subspan(kV2Begin);
  std::ranges::copy(addresses.first(address_size), client.address.begin());
  client.port = static_cast<std::uint16_t>((addresses[2 * address_size] << 8U) + addresses[2 * address_size + 1]);
  return ProxyHeader{.client = client};
}

}  // namespace

Result<ProxyHeader> read_proxy_header(Bytes so_far) {
  // The shortest header of version 1 has 15 bytes, of version 2 has 16.
  if (so_far.size() < kV2.size()) return ProxyHeader{.missing = kV2.size() - so_far.size()};
  const auto text = as_text(so_far);
  if (text.starts_with(kV2)) return read_v2(so_far);
  if (text.starts_with(kV1)) return read_v1(so_far);
  return fail(Errc::kProtocol, "no PROXY protocol header came, but " + std::string(to_words(recognize(so_far, true))));
}

}  // namespace adit::session
