// Counts allocations, for tests and benchmarks of what must not allocate. Replaces the process's allocator: included by one
// file of an executable of its own.
#pragma once

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace adit::allocations {

inline std::atomic<bool> count_all_threads = false;
inline thread_local bool count_this_thread = false;
/// Made while either was true.
inline std::atomic<long> made = 0;

inline void count() {
  if (count_this_thread || count_all_threads.load(std::memory_order_relaxed)) made.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace adit::allocations

void* operator new(std::size_t size) {
  adit::allocations::count();
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
// What Asio's frames come from.
extern "C" void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  adit::allocations::count();
  return memalign(alignment, size);
}
