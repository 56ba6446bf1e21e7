// What must hold at a point of the program, whatever came from outside. Checked in debug, sanitizer and fuzz builds, which
// define ADIT_CHECK_INVARIANTS; other builds compile the condition and do not evaluate it.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace adit {

/// Prints which invariant was broken and where, then aborts.
[[noreturn]] inline void invariant_broken(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: this must hold and does not: %s\n", file, line, condition);
  std::abort();
}

}  // namespace adit

#ifdef ADIT_CHECK_INVARIANTS
#define ADIT_INVARIANT(condition) \
  static_cast<void>((condition) || (::adit::invariant_broken(#condition, __FILE__, __LINE__), false))
#else
#define ADIT_INVARIANT(condition) static_cast<void>(sizeof((condition) ? 1 : 0))
#endif
