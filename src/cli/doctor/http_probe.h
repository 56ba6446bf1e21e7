// One HTTP request, to see whether a server is there, and one UDP packet, to see whether a QUIC server is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/time.h"
#include "cli/doctor/facts.h"

namespace adit::cli::doctor {

struct HttpAnswer {
  std::string problem;  ///< Why there is no answer, as a sentence; empty: there is one.
  unsigned status = 0;
  std::string body;
  Duration after{};                     ///< From connecting to the first bytes of the answer.
  std::optional<int> certificate_days;  ///< For which the server's certificate is still valid; of https alone.
};

/// GET `target` of "http://HOST[:PORT]" or "https://HOST[:PORT]", whose certificate must be valid: by the system's roots, or by
/// `ca_file` (PEM; empty: none more). `token`: a bearer's; empty: none. Blocks for the deadline at most, but for a name server.
HttpAnswer http_get(const std::string& url, const std::string& target, const std::string& ca_file, const std::string& token,
                    Duration deadline);

/// Whether a QUIC server answers at that UDP port, by a packet of a version that none knows (RFC 9000 §6).
UdpAnswer quic_answers(const std::string& host, std::uint16_t port, Duration deadline);

/// The host of a URL, without brackets; empty: it is no URL with one.
std::string host_of(const std::string& url);

}  // namespace adit::cli::doctor
