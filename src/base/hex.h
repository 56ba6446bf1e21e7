// Lower-case hexadecimal text.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace adit {

/// Two lower-case digits a byte.
std::string to_hex(Bytes bytes);

/// Appends to_hex(bytes) to `out`.
void append_hex(std::string& out, Bytes bytes);

/// As to_hex, last byte first: how Bitcoin prints hashes.
std::string to_hex_reversed(Bytes bytes);

/// Fills `out` from exactly `2 * out.size()` digits of either case. False, with `out` unspecified, for any other text.
[[nodiscard]] bool from_hex(std::string_view text, MutableBytes out);

/// Any even number of digits of either case; nullopt for other text.
[[nodiscard]] std::optional<std::vector<std::uint8_t>> from_hex(std::string_view text);

}  // namespace adit
