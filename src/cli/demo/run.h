// `adit demo`: pool, translator and miner as processes of their own, watched.
#pragma once

#include <optional>
#include <string>

#include "base/time.h"

namespace adit::cli {

struct DemoOptions {
  std::optional<Duration> run_for;  ///< Absent: until Ctrl-C.
  unsigned threads = 1;             ///< The miner's.
  bool json = false;                ///< One JSON object on standard output at the end; what happens goes to standard error.
  bool colour = false;
};

/// Runs the demo in a folder of its own that it removes. `program`: the path of this binary. 0 if shares were accepted and a
/// block was found, else 1, with the reason on standard error. No thread may have been started before.
int run_demo(const std::string& program, const DemoOptions& options);

}  // namespace adit::cli
