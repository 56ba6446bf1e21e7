// iroh's own log, passed on to ours.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "base/result.h"

namespace adit::net {

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
