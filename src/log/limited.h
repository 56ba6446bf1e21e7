// Events about single peers, limited: an abusive one must not hide the others.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/time.h"
#include "log/log.h"

namespace adit::log {

/// Events of one shard: a few between two ticks, then a count of those that were not told. Not thread-safe.
class Limited {
 public:
  /// `more_event`: what the count is logged as.
  explicit Limited(std::string_view more_event) : more_event_(more_event) {}

  void warn(std::string_view event, Fields fields) { write(Level::kWarn, event, fields); }
  void write(Level level, std::string_view event, Fields fields) {
    if (!enabled(level)) return;
    if (left_ == 0) {
      ++untold_;
      return;
    }
    --left_;
    log::write(level, event, fields);
  }

  /// As write(), for a holder without a tick: a second after it did so last, this ticks first. `now` never goes back.
  void write_at(Instant now, Level level, std::string_view event, Fields fields) {
    if (!ticked_at_ || now - *ticked_at_ >= std::chrono::seconds(1)) {
      ticked_at_ = now;
      tick();
    }
    write(level, event, fields);
  }

  /// About once a second.
  void tick() {
    left_ = kPerTick;
    if (const auto untold = std::exchange(untold_, 0); untold != 0) log::warn(more_event_, {{"count", untold}});
  }

 private:
  static constexpr int kPerTick = 5;
  std::string_view more_event_;
  int left_ = kPerTick;
  std::uint64_t untold_ = 0;
  std::optional<Instant> ticked_at_;  ///< By write_at.
};

}  // namespace adit::log
