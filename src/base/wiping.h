// Memory that is erased before it is given back, for what is computed from a secret.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

namespace adit {

/// An allocator that erases what it frees, so that a container which grows leaves no copy behind.
template <class T>
struct WipingAllocator : std::allocator<T> {
  void deallocate(T* at, std::size_t count) {
    ::explicit_bzero(at, count * sizeof(T));
    std::allocator<T>::deallocate(at, count);
  }
};

using WipedBytes = std::vector<std::uint8_t, WipingAllocator<std::uint8_t>>;

}  // namespace adit
