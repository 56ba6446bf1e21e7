// What the benchmarks time with.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace adit::bench {

using Clock = std::chrono::steady_clock;

[[noreturn]] inline void broken(const char* what) {
  std::fprintf(stderr, "the benchmark is broken: %s\n", what);
  std::exit(1);
}

/// Keeps the optimizer from dropping the work that made `value`.
template <class T>
void keep(const T& value) {
  asm volatile("" : : "g"(&value) : "memory");
}

inline double nanoseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count();
}

/// Nanoseconds for one of `count` calls. It is never inlined, so that callgrind counts the instructions of each piece of work
/// that is timed under a name of its own (bench/against.py).
template <class F>
[[gnu::noinline]] double timed(int count, F&& work) {
  const auto start = Clock::now();
  for (int i = 0; i < count; ++i) work();
  return nanoseconds_since(start) / count;
}

/// `wanted`, or the number in $ADIT_BENCH_ROUNDS if that is smaller: a program that runs under callgrind needs fewer rounds.
inline int rounds(int wanted) {
  const char* fewer = std::getenv("ADIT_BENCH_ROUNDS");
  return fewer == nullptr ? wanted : std::clamp(std::atoi(fewer), 1, wanted);
}

inline double median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
  return values[values.size() / 2];
}

}  // namespace adit::bench
