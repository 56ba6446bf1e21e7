#include "net/address_range.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/number.h"
#include "net/error.h"

namespace adit::net {
namespace {

namespace ip = boost::asio::ip;
constexpr unsigned kMappedBits = 96;  ///< Before the IPv4 address in one that is written as an IPv6 one.

std::array<std::uint8_t, 16> bytes_of(const ip::address& address) {
  return (address.is_v4() ? ip::make_address_v6(ip::v4_mapped, address.to_v4()) : address.to_v6()).to_bytes();
}

/// The bits of byte `index` that are among the first `bits`.
std::uint8_t mask_of(std::size_t index, unsigned bits) {
  const unsigned before = static_cast<unsigned>(index) * 8;
  if (bits >= before + 8) return 0xff;
  return bits <= before ? 0 : static_cast<std::uint8_t>(0xff00U >> (bits - before));
}

}  // namespace

Result<AddressRange> AddressRange::parse(std::string_view text) {
  const auto wrong = [text] {
    return fail(Errc::kConfiguration, "'" + std::string(text) +
                                          "' is no IP address, such as 10.0.0.5 or fd00::1, and no range, "
                                          "such as 10.0.0.0/8");
  };
  const auto slash = text.find('/');
  boost::system::error_code error;
  const auto address = ip::make_address(std::string(text.substr(0, slash)), error);
  if (error || (address.is_v6() && address.to_v6().scope_id() != 0)) return wrong();
  const unsigned most = address.is_v4() ? 32 : 128;
  unsigned bits = most;
  if (slash != std::string_view::npos) {
    const auto number = number_from<unsigned>(text.substr(slash + 1));
    if (!number || *number > most) return wrong();
    bits = *number;
  }
  AddressRange range;
  range.bytes_ = bytes_of(address);
  range.bits_ = bits + (address.is_v4() ? kMappedBits : 0);
  for (std::size_t i = 0; i < range.bytes_.size(); ++i) {
    if ((range.bytes_[i] & ~mask_of(i, range.bits_)) == 0) continue;
    return fail(Errc::kConfiguration,
                "'" + std::string(text) + "' is no range: it has bits behind its first " + std::to_string(bits));
  }
  return range;
}

bool AddressRange::is_everybody() const {
  return bits_ == 0 || (bits_ == kMappedBits && bytes_ == bytes_of(ip::address_v4::any()));
}

bool AddressRange::contains(const ip::address& address) const {
  const auto bytes = bytes_of(address);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (((bytes[i] ^ bytes_[i]) & mask_of(i, bits_)) != 0) return false;
  }
  return true;
}

bool is_local(const ip::address& address) {
  static const std::vector<AddressRange> kRanges = [] {
    std::vector<AddressRange> ranges;
    for (const char* text : {"127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10",
                             "::1", "fc00::/7", "fe80::/10"}) {
      ranges.push_back(*AddressRange::parse(text));
    }
    return ranges;
  }();
  return std::ranges::any_of(kRanges, [&address](const AddressRange& range) { return range.contains(address); });
}

}  // namespace adit::net
