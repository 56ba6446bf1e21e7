// Bech32 (BIP173) and bech32m (BIP350) text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace adit::bitcoin {

struct Bech32 {
  std::string hrp;                 ///< Human-readable part, lower case.
  std::vector<std::uint8_t> data;  ///< Groups of five bits, without the checksum.
  bool is_bech32m = false;
};

/// nullopt for bad characters, mixed case, more than 90 characters, or a checksum of neither kind.
std::optional<Bech32> bech32_decode(std::string_view text);

/// The text in lower case, with the checksum of its kind. Each element of `data` is below 32.
std::string bech32_encode(const Bech32& decoded);

/// Groups of five bits to bytes; nullopt for padding of more than four bits or other than zeros.
std::optional<std::vector<std::uint8_t>> bytes_from_groups_of_five(const std::vector<std::uint8_t>& groups, std::size_t from);

/// Appends `bytes` as groups of five bits, padded with zeros.
void append_groups_of_five(std::vector<std::uint8_t>& groups, Bytes bytes);

}  // namespace adit::bitcoin
