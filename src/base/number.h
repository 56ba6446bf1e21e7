// Numbers from text.
#pragma once

#include <charconv>
#include <concepts>
#include <optional>
#include <string_view>
#include <system_error>

namespace adit {

/// The number that the whole of `text` is, without a sign in front unless T has one; nullopt: it is none, or T cannot hold it.
template <std::integral T>
std::optional<T> number_from(std::string_view text, int base = 10) {
  T number{};
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number, base);
  return read.ec == std::errc() && read.ptr == text.data() + text.size() ? std::optional(number) : std::nullopt;
}

/// The same of a decimal fraction; it may be infinite or not a number.
template <std::floating_point T>
std::optional<T> number_from(std::string_view text) {
  T number{};
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  return read.ec == std::errc() && read.ptr == text.data() + text.size() ? std::optional(number) : std::nullopt;
}

}  // namespace adit
