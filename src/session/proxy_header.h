// The header of the PROXY protocol (haproxy.org, proxy-protocol.txt), versions 1 and 2, by which a proxy in front of a listener
// says whose connection it carries.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "session/error.h"

namespace adit::session {

/// Whose connection a proxy carries.
struct ProxiedClient {
  bool is_v6 = false;
  std::array<std::uint8_t, 16> address{};  ///< In network order; of IPv4 the first four bytes.
  std::uint16_t port = 0;

  friend bool operator==(const ProxiedClient&, const ProxiedClient&) = default;
};

/// What a header says as far as it has come.
struct ProxyHeader {
  /// At least so many bytes of the header are to come: who reads no more takes nothing of what follows it. 0: it is whole.
  std::size_t missing = 0;
  /// Once it is whole. Absent: the connection is the proxy's own (LOCAL, as health checks are), or the proxy does not know
  /// whose it is (UNKNOWN, AF_UNSPEC, a socket of the proxy's machine): the proxy itself is the client.
  std::optional<ProxiedClient> client;
};

/// A longer header is refused. Version 1 has 107 bytes at most; what version 2 adds beyond the addresses is a few short fields.
inline constexpr std::size_t kMaxProxyHeader = 2048;

/// Reads `so_far`, the first bytes of a connection, which are nothing but the header: no more were read than `missing` said,
/// starting with `missing` of no bytes. Both ends' addresses are checked; additional fields (TLVs) are passed over.
/// Errors: Errc::kProtocol in a sentence that says what came instead.
Result<ProxyHeader> read_proxy_header(Bytes so_far);

}  // namespace adit::session
