// Random messages of every type, for tests and fuzz targets.
#pragma once

#include <algorithm>
#include <deque>
#include <random>
#include <tuple>
#include <vector>

#include "wire/messages.h"

namespace adit::wire::test {

/// Random values of messages; owns what their views point to.
class RandomMessages {
 public:
  explicit RandomMessages(std::uint32_t seed) : random_(seed) {}

  template <Message M>
  M make() {
    M message;
    std::apply([&](const auto&... field) { (fill(message.*field.member), ...); }, M::kFields);
    return message;
  }

  std::size_t below(std::size_t bound) { return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random_); }

 private:
  template <std::unsigned_integral T>
  void fill(T& value) {
    value = static_cast<T>(random_() * 0x1'0000'0001ULL);
  }
  void fill(bool& value) { value = below(2) == 1; }
  void fill(float& value) { value = static_cast<float>(below(1'000'000)) * 1.5F; }
  template <std::size_t kSize>
  void fill(std::array<std::uint8_t, kSize>& value) {
    for (auto& byte : value) byte = static_cast<std::uint8_t>(random_());
  }
  void fill(Str0_255& value) { value = as_text(random_bytes(255)); }
  template <std::size_t kPrefix, std::size_t kMax>
  void fill(ByteString<kPrefix, kMax>& value) {
    value = random_bytes(kMax);
  }
  template <class T>
  void fill(std::optional<T>& value) {
    value.reset();
    if (below(2) == 1) fill(value.emplace());
  }
  template <class T, std::size_t kPrefix, std::size_t kMax>
  void fill(Sequence<T, kPrefix, kMax>& list) {
    const std::size_t size = below(4) == 0 ? 0 : below(4) == 0 ? std::min<std::size_t>(kMax, 300) : below(12);
    if constexpr (std::same_as<T, U256>) {
      list = fill_all(hashes_.emplace_back(size));
    } else if constexpr (std::same_as<T, std::uint16_t>) {
      list = fill_all(shorts_.emplace_back(size));
    } else if constexpr (std::same_as<T, std::uint32_t>) {
      list = fill_all(words_.emplace_back(size));
    } else {
      list = fill_all(blobs_.emplace_back(size));
    }
  }
  template <class T>
  const std::vector<T>& fill_all(std::vector<T>& values) {
    for (T& value : values) fill(value);
    return values;
  }
  Bytes random_bytes(std::size_t max) {
    // Mostly short, at times the longest that the test can afford.
    const std::size_t size = below(40) == 0 ? std::min<std::size_t>(max, 70'000) : below(std::min<std::size_t>(max, 40) + 1);
    auto& blob = bytes_.emplace_back(size);
    for (auto& byte : blob) byte = static_cast<std::uint8_t>(random_());
    return blob;
  }

  std::mt19937 random_;
  std::deque<std::vector<std::uint8_t>> bytes_;
  std::deque<std::vector<U256>> hashes_;
  std::deque<std::vector<std::uint16_t>> shorts_;
  std::deque<std::vector<std::uint32_t>> words_;
  std::deque<std::vector<B0_16M>> blobs_;
};

}  // namespace adit::wire::test
