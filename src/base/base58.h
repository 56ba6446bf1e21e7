// Base58 and base58check, as Bitcoin's legacy addresses and Stratum V2's authority keys use them.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace adit {

/// Takes time quadratic in the size: for keys and addresses.
std::string base58_encode(Bytes bytes);

/// nullopt for a character outside the alphabet, or for more than `max_size` bytes; never works on more than that.
[[nodiscard]] std::optional<std::vector<std::uint8_t>> base58_decode(std::string_view text, std::size_t max_size);

/// `payload` followed by the first four bytes of its sha256d, in base58.
std::string base58check_encode(Bytes payload);

/// The payload without its checksum; nullopt if the checksum is wrong, and as base58_decode. `max_payload` is in bytes.
[[nodiscard]] std::optional<std::vector<std::uint8_t>> base58check_decode(std::string_view text, std::size_t max_payload);

}  // namespace adit
