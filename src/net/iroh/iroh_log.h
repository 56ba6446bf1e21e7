// iroh's own log, passed on to ours.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "base/result.h"
#include "base/time.h"
#include "log/limited.h"

namespace adit::net {

/// Writes iroh's lines into our log as events "iroh.log". Warnings and errors go through a limiter, since a stranger's packets
/// can cause as many as they like; what is finer than that is logged where an operator asks for it, and then all of it. Not
/// thread-safe.
class IrohLines {
 public:
  /// `level`: 0 (trace) to 4 (error), as the bridge counts. `line`: "target: words".
  void write(std::uint32_t level, std::string_view line, Instant now);

 private:
  log::Limited warnings_{"iroh.more_log"};
};

/// While one lives, what iroh logs becomes events "iroh.log" of our log, written by a thread of its own: iroh's threads only
/// put lines into a bounded queue.
class IrohLog {
 public:
  /// `filter`: tracing's directives ("warn,iroh=info"), for the whole process. Errors: kConfiguration.
  static Result<std::unique_ptr<IrohLog>> start(const std::string& filter);

  /// Lines of the process that were lost because they came faster than they were passed on. Any thread.
  static std::uint64_t lost();

 private:
  explicit IrohLog(std::jthread thread) : thread_(std::move(thread)) {}

  std::jthread thread_;
};

}  // namespace adit::net
