// The URLs by which people name a peer, and what they parse to.
//
//   stratum2+tcp://HOST:PORT/AUTHORITY
//   stratum2+iroh://ENDPOINT_ID/AUTHORITY?relay=URL&addr=IP:PORT&addr=...
//   stratum+tcp://HOST:PORT                                   (Stratum V1)
//
// AUTHORITY is the pool's public key in base58check (SV2 04 §4.7); it may be left out, then nothing but the transport is
// proved.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/error.h"
#include "net/transport_config.h"
#include "noise/keys.h"

namespace adit::upstream {

/// The scheme may be in capitals, and a '/' may end the URL. Errors: kConfiguration, in a sentence that names the part that is
/// wrong and shows a good one.
Result<net::Peer> parse_url(std::string_view url);

/// The URL that parses to `upstream`.
std::string to_url(const net::Peer& upstream);

/// What stands before "://", in small letters; empty if it stands nowhere.
std::string scheme_of(std::string_view url);

/// "host:port", with brackets around an IPv6 address.
std::string host_port(const net::TcpConfig& tcp);

/// Splits "host:port", "1.2.3.4:port", "[v6]:port". Errors: kConfiguration.
Result<net::TcpConfig> parse_host_port(std::string_view text);

}  // namespace adit::upstream
