// A growable byte buffer that does not zero what is about to be overwritten.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>

#include "base/bytes.h"

namespace adit::wire {

/// Contiguous bytes, appended at the end and consumed at the front. clear() and consume() keep the capacity, so that a warm
/// buffer allocates nothing. Views into it end with the next extend(), append(), reserve() or compact().
class ByteBuffer {
 public:
  ByteBuffer() = default;
  ByteBuffer(ByteBuffer&& other) noexcept { swap(other); }
  ByteBuffer& operator=(ByteBuffer&& other) noexcept {
    ByteBuffer taken(std::move(other));
    swap(taken);
    return *this;
  }

  [[nodiscard]] std::size_t size() const { return end_ - begin_; }
  [[nodiscard]] bool empty() const { return begin_ == end_; }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }
  [[nodiscard]] Bytes bytes() const { return {data_.get() + begin_, size()}; }
  [[nodiscard]] MutableBytes bytes() { return {data_.get() + begin_, size()}; }

  /// Appends `count` unset bytes and returns them, for the caller to write.
  MutableBytes extend(std::size_t count) {
    if (capacity_ - end_ < count) [[unlikely]]
      grow(count);
    const MutableBytes added{data_.get() + end_, count};
    end_ += count;
    return added;
  }

  void append(Bytes bytes) {
    if (!bytes.empty()) std::memcpy(extend(bytes.size()).data(), bytes.data(), bytes.size());
  }

  /// Drops the last `count` bytes; at most size().
  void shrink(std::size_t count) { end_ -= count; }

  /// Drops the first `count` bytes; at most size(). Moves nothing.
  void consume(std::size_t count) {
    begin_ += count;
    if (begin_ == end_) clear();
  }

  void clear() { begin_ = end_ = 0; }

  /// Gives the memory back.
  void release() { *this = ByteBuffer(); }

  /// Room for `count` further bytes without another allocation.
  void reserve(std::size_t count) {
    if (capacity_ - end_ < count) grow(count);
  }

  void swap(ByteBuffer& other) noexcept {
    data_.swap(other.data_);
    std::swap(begin_, other.begin_);
    std::swap(end_, other.end_);
    std::swap(capacity_, other.capacity_);
  }

 private:
  void grow(std::size_t count) {
    const std::size_t held = size();
    if (capacity_ - held >= count && held <= capacity_ / 2) {  // Enough was consumed at the front.
      if (held != 0) std::memmove(data_.get(), data_.get() + begin_, held);
    } else {
      const std::size_t capacity = std::max({held + count, capacity_ * 2, std::size_t{256}});
      auto data = std::make_unique_for_overwrite<std::uint8_t[]>(capacity);
      if (held != 0) std::memcpy(data.get(), data_.get() + begin_, held);
      data_ = std::move(data);
      capacity_ = capacity;
    }
    begin_ = 0;
    end_ = held;
  }

  std::unique_ptr<std::uint8_t[]> data_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace adit::wire
