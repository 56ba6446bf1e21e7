// For models and fuzz targets, which have no test framework around them.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <source_location>

namespace adit {

/// Ends the process with abort() unless `holds`, after naming the caller's file and line on standard error.
inline void require(bool holds, std::source_location where = std::source_location::current()) {
  if (holds) return;
  std::fprintf(stderr, "%s:%u: what must hold here does not (in %s)\n", where.file_name(), static_cast<unsigned>(where.line()),
               where.function_name());
  std::abort();
}

}  // namespace adit
