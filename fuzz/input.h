// What a fuzz target takes its decisions from.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"

namespace adit::fuzz {

/// What the input still says; zeros once it has said all.
class Input {
 public:
  explicit Input(Bytes bytes) : rest_(bytes) {}

  std::uint8_t next() {
    if (rest_.empty()) return 0;
    const auto byte = rest_[0];
    rest_ = rest_.subspan(1);
    return byte;
  }
  /// The next bytes, at most that many.
  Bytes take(std::size_t length) {
    const Bytes taken = rest_.first(std::min(length, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }
  /// One of a list, by the next byte.
  template <class T, std::size_t N>
  const T& one_of(const T (&list)[N]) {
    return list[next() % N];
  }
  [[nodiscard]] bool empty() const { return rest_.empty(); }

 private:
  Bytes rest_;
};

}  // namespace adit::fuzz
