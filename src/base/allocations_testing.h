// Counts allocations, for tests and benchmarks of what must not allocate. Replaces the process's allocator: included by one
// file of an executable of its own.
#pragma once

#include <execinfo.h>
#include <malloc.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <new>
#include <string>

namespace adit::allocations {

inline std::atomic<bool> count_all_threads = false;
inline thread_local bool count_this_thread = false;
/// Made while either was true.
inline std::atomic<long> made = 0;

/// Whence the first of them came.
inline std::array<void*, 24> first_callers;
inline int first_depth = 0;

inline void count() {
  if (!count_this_thread && !count_all_threads.load(std::memory_order_relaxed)) return;
  if (made.fetch_add(1, std::memory_order_relaxed) == 0)
    first_depth = backtrace(first_callers.data(), static_cast<int>(first_callers.size()));
}

/// The callers of the first, a line each: for addr2line -Cfe, whose addresses are those in parentheses.
inline std::string first_of_them() {
  std::string lines;
  char** symbols = backtrace_symbols(first_callers.data(), first_depth);
  for (int i = 0; symbols != nullptr && i < first_depth; ++i) lines.append(symbols[i]).push_back('\n');
  std::free(symbols);  // NOLINT(cppcoreguidelines-no-malloc): backtrace_symbols asks for it
  return lines;
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
