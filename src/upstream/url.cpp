#include "upstream/url.h"

#include <algorithm>
#include <vector>

#include "base/hex.h"
#include "base/number.h"
#include "base/text.h"

namespace adit::upstream {
namespace {

constexpr std::string_view kSchemeTcp = "stratum2+tcp://";
constexpr std::string_view kSchemeIroh = "stratum2+iroh://";
constexpr std::string_view kSchemeV1 = "stratum+tcp://";
constexpr std::string_view kForms =
    "write stratum2+tcp://HOST:PORT/AUTHORITY, stratum2+iroh://ENDPOINT_ID/AUTHORITY?relay=URL&addr=IP:PORT, or "
    "stratum+tcp://HOST:PORT";
// What a URL can hold at all; nothing that a person pastes is longer.
constexpr std::size_t kMaxUrl = 4096;

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("-._~:/[]@").find(c) != std::string_view::npos;
}

std::string percent_encode(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (is_plain(c)) {
      out += c;
    } else {
      const auto byte = static_cast<std::uint8_t>(c);
      out += '%' + to_hex(Bytes(&byte, 1));
    }
  }
  return out;
}

Result<std::string> percent_decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    std::uint8_t byte = 0;
    if (i + 2 >= text.size() || !from_hex(text.substr(i + 1, 2), MutableBytes(&byte, 1))) {
      return fail(net::Errc::kConfiguration,
                  "the URL's parameter " + in_quotes(text) + " has a '%' without two hex digits behind it");
    }
    out += static_cast<char>(byte);
    i += 2;
  }
  return out;
}

bool is_host(std::string_view host) {
  return !host.empty() && host.size() <= 253 && std::all_of(host.begin(), host.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
  });
}

bool is_v6_text(std::string_view host) {
  return host.size() >= 2 && host.size() <= 64 && host.find(':') != std::string_view::npos &&
         std::all_of(host.begin(), host.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == ':' || c == '.' ||
                  c == '%';
         });
}

/// The query's parameters into `iroh`.
Result<void> parse_query(std::string_view query, net::IrohConfig& iroh) {
  while (!query.empty()) {
    const auto end = std::min(query.find('&'), query.size());
    const auto item = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const auto equals = item.find('=');
    if (equals == std::string_view::npos || equals + 1 == item.size()) {
      return fail(net::Errc::kConfiguration,
                  "the URL's parameter " + in_quotes(item) + " has no value; known are relay, addr and alpn");
    }
    const auto key = item.substr(0, equals);
    ADIT_TRY(std::string value, percent_decode(item.substr(equals + 1)));
    if (key == "relay") {
      if (iroh.relay_url) return fail(net::Errc::kConfiguration, "the URL names two relays; an endpoint has one home relay");
      if (!value.starts_with("http://") && !value.starts_with("https://")) {
        return fail(net::Errc::kConfiguration, "the URL's relay " + in_quotes(value) + " must start with https:// or http://");
      }
      iroh.relay_url = std::move(value);
    } else if (key == "addr") {
      ADIT_TRY(net::TcpConfig parts, parse_host_port(value));
      if (is_host(parts.host) && parts.host.find_first_not_of("0123456789.") != std::string::npos) {
        return fail(net::Errc::kConfiguration,
                    "the URL's addr " + in_quotes(value) + " must be an IP address and a port, not a name");
      }
      iroh.addrs.push_back(host_port(parts));
    } else if (key == "alpn") {
      if (value.size() > 255) return fail(net::Errc::kConfiguration, "the URL's alpn is longer than 255 bytes");
      iroh.alpn = std::move(value);
    } else {
      return fail(net::Errc::kConfiguration,
                  "the URL has an unknown parameter " + in_quotes(key) + "; known are relay, addr and alpn");
    }
  }
  return {};
}

}  // namespace

std::string host_port(const net::TcpConfig& tcp) {
  const bool v6 = tcp.host.find(':') != std::string::npos;
  return (v6 ? "[" + tcp.host + "]" : tcp.host) + ":" + std::to_string(tcp.port);
}

std::string scheme_of(std::string_view url) {
  const std::size_t end = url.find("://");
  if (end == std::string_view::npos) return "";
  return lower_case(url.substr(0, end));
}

Result<net::TcpConfig> parse_host_port(std::string_view text) {
  std::string_view host;
  std::string_view port;
  bool good = false;
  if (text.starts_with('[')) {
    const auto end = text.find("]:");
    if (end != std::string_view::npos) {
      host = text.substr(1, end - 1);
      port = text.substr(end + 2);
      good = is_v6_text(host);
    }
  } else if (const auto colon = text.find(':'); colon != std::string_view::npos) {
    if (text.find(':', colon + 1) != std::string_view::npos) {
      return fail(net::Errc::kConfiguration,
                  in_quotes(text) + " looks like an IPv6 address: write it in brackets, [ADDRESS]:PORT");
    }
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    good = is_host(host);
  } else {
    return fail(net::Errc::kConfiguration, in_quotes(text) + " has no port: write HOST:PORT");
  }
  const auto number = number_from<std::uint16_t>(port);
  if (!number || *number == 0) {
    return fail(net::Errc::kConfiguration, in_quotes(text) + " has no port between 1 and 65535 behind the last colon");
  }
  if (!good) return fail(net::Errc::kConfiguration, in_quotes(text) + " has no host name or IP address before the port");
  return net::TcpConfig{std::string(host), *number};
}

Result<net::Peer> parse_url(std::string_view url) {
  if (url.size() > kMaxUrl) return fail(net::Errc::kConfiguration, "the URL is longer than 4096 characters");
  if (std::any_of(url.begin(), url.end(), [](char c) { return c <= 0x20 || c == 0x7f; })) {
    return fail(net::Errc::kConfiguration, "the URL " + in_quotes(url) + " contains a blank or a control character");
  }
  net::Peer upstream;
  const std::string name = scheme_of(url);
  if (name.empty() && !url.empty()) {
    return fail(net::Errc::kConfiguration, in_quotes(url) + " has no scheme; is it " + std::string(kSchemeTcp) +
                                               std::string(url) + "? " + std::string(kForms));
  }
  const std::string given = name + "://";
  const auto scheme = given == kSchemeTcp ? kSchemeTcp : given == kSchemeIroh ? kSchemeIroh : kSchemeV1;
  if (given != scheme)
    return fail(net::Errc::kConfiguration, in_quotes(url) + " has an unknown scheme; " + std::string(kForms));
  auto rest = url.substr(scheme.size());
  if (rest.find('#') != std::string_view::npos)
    return fail(net::Errc::kConfiguration, "the URL " + in_quotes(url) + " has a '#', which has no meaning here");

  std::string_view query;
  if (const auto mark = rest.find('?'); mark != std::string_view::npos) {
    query = rest.substr(mark + 1);
    rest = rest.substr(0, mark);
  }
  std::string_view authority;
  if (const auto slash = rest.find('/'); slash != std::string_view::npos) {
    authority = rest.substr(slash + 1);
    if (authority.ends_with('/')) authority.remove_suffix(1);
    rest = rest.substr(0, slash);
  }

  if (scheme == kSchemeIroh) {
    net::IrohConfig iroh;
    std::array<std::uint8_t, 32> id;
    if (!from_hex(rest, id)) {
      return fail(net::Errc::kConfiguration,
                  "the endpoint id " + in_quotes(rest) + " must be 64 hex digits, as the pool prints them at start");
    }
    iroh.endpoint_id = to_hex(id);
    ADIT_CHECK(parse_query(query, iroh));
    upstream.transport = std::move(iroh);
  } else {
    if (!query.empty())
      return fail(net::Errc::kConfiguration,
                  "the URL " + in_quotes(url) + " has parameters, which only stratum2+iroh:// takes");
    ADIT_TRY(net::TcpConfig tcp, parse_host_port(rest));
    upstream.transport = std::move(tcp);
  }
  if (scheme == kSchemeV1) {
    upstream.dialect = net::Dialect::kStratumV1;
    if (!authority.empty()) {
      return fail(net::Errc::kConfiguration,
                  "the URL " + in_quotes(url) + " has a path; Stratum V1 has no authority key (did you mean stratum2+tcp://?)");
    }
  } else if (!authority.empty()) {
    const auto key = noise::parse_public_key(authority);
    if (!key)
      return fail(net::Errc::kConfiguration,
                  "the URL's authority key " + in_quotes(authority) + " is wrong: " + key.error().message());
    upstream.authority = *key;
  }
  // What is written back must parse again, and percent encoding can make it three times as long.
  if (to_url(upstream).size() > kMaxUrl) {
    return fail(net::Errc::kConfiguration, "the URL is longer than 4096 characters once its parameters are percent-encoded");
  }
  return upstream;
}

std::string to_url(const net::Peer& upstream) {
  const auto authority = upstream.authority ? "/" + noise::to_text(*upstream.authority) : std::string();
  if (const auto* tcp = std::get_if<net::TcpConfig>(&upstream.transport)) {
    return std::string(upstream.dialect == net::Dialect::kStratumV1 ? kSchemeV1 : kSchemeTcp) + host_port(*tcp) + authority;
  }
  const auto& iroh = std::get<net::IrohConfig>(upstream.transport);
  auto url = std::string(kSchemeIroh) + iroh.endpoint_id + authority;
  char separator = '?';
  const auto add = [&](std::string_view key, std::string_view value) {
    url += separator;
    url += std::string(key) + '=' + percent_encode(value);
    separator = '&';
  };
  if (iroh.relay_url) add("relay", *iroh.relay_url);
  for (const auto& addr : iroh.addrs) add("addr", addr);
  if (!iroh.alpn.empty()) add("alpn", iroh.alpn);
  return url;
}

}  // namespace adit::upstream
