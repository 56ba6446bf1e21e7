// Errors of the bitcoin layer.
#pragma once

#include <string_view>

namespace adit::bitcoin {

enum class Errc {
  kMalformed,   ///< Bytes that are no transaction, header or block; the message says where they break.
  kTooLarge,    ///< A coinbase script over 100 bytes, or another limit of consensus: shorten the pool's tag.
  kBadAddress,  ///< Text that is no address or descriptor, or one of a kind that is not supported; the message says which work.
  kWrongNetwork,  ///< An address of another network; the message names both.
  kBadChecksum,   ///< A mistyped address or descriptor.
  kValue,         ///< Payouts that exceed what the block may pay.
};

constexpr std::string_view error_layer(Errc) { return "bitcoin"; }

constexpr std::string_view error_name(Errc code) {
  switch (code) {
    case Errc::kMalformed:
      return "malformed";
    case Errc::kTooLarge:
      return "too-large";
    case Errc::kBadAddress:
      return "bad-address";
    case Errc::kWrongNetwork:
      return "wrong-network";
    case Errc::kBadChecksum:
      return "bad-checksum";
    case Errc::kValue:
      return "value";
  }
  return "unknown";
}

}  // namespace adit::bitcoin
