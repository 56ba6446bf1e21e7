// Ranges of IP addresses, as a configuration names them.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include <boost/asio/ip/address.hpp>

#include "base/result.h"

namespace adit::net {

/// All addresses that begin with the same bits. An IPv4 address that is written as an IPv6 one (::ffff:a.b.c.d) is that IPv4
/// address.
class AddressRange {
 public:
  /// Reads "10.0.0.5", "10.0.0.0/8", "fd00::1" or "fd00::/8". Errors: Errc::kConfiguration, also for bits that are set behind
  /// the prefix, as they say that something else was meant.
  static Result<AddressRange> parse(std::string_view text);

  /// Whether it has all IPv4 addresses, or all IPv6 ones.
  [[nodiscard]] bool is_everybody() const;

  [[nodiscard]] bool contains(const boost::asio::ip::address& address) const;

 private:
  std::array<std::uint8_t, 16> bytes_{};  ///< Of an IPv4 address: as it is written as an IPv6 one.
  unsigned bits_ = 0;                     ///< So many of them count.
};

/// Whether only this machine, or a network that is not the internet, reaches `address`: loopback, private (RFC 1918, RFC 4193),
/// shared (RFC 6598) and link-local addresses. Not 0.0.0.0 and ::, which stand for all addresses that a machine has.
bool is_local(const boost::asio::ip::address& address);

}  // namespace adit::net
