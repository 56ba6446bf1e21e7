// What a source that is one node shows of itself.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "template/source.h"

namespace adit::templates {

/// The SourceStatus of a source. Every function may be called on any thread.
class StatusBoard {
 public:
  /// The source starts: nothing has been heard of the node of that name.
  void start(const std::string& node, Instant now) {
    const std::lock_guard lock(mutex_);
    status_.message = "the node at " + node + " has not been heard of yet";
    status_.not_ready_since = now;
    status_.node = node;
  }

  /// That template is published. `clock_ahead` is SourceStatus::clock_ahead.
  void note_template(const Template& made, std::optional<std::chrono::seconds> clock_ahead, Instant now) {
    const std::lock_guard lock(mutex_);
    status_.clock_ahead = clock_ahead;
    status_.height = made.height;
    status_.nbits = made.nbits;
    status_.coinbase_value_sat = made.coinbase_value_sat;
    status_.template_at = now;
    ++status_.templates;
  }

  /// Returns whether this changed state or message, so that it is to be told.
  [[nodiscard]] bool change(SourceState state, std::string message, Instant now) {
    const std::lock_guard lock(mutex_);
    if (state == SourceState::kReady) {
      status_.not_ready_since.reset();
    } else if (!status_.not_ready_since) {
      status_.not_ready_since = now;
    }
    if (status_.state == state && status_.message == message) return false;
    status_.state = state;
    status_.message = std::move(message);
    return true;
  }

  [[nodiscard]] SourceStatus status() const {
    const std::lock_guard lock(mutex_);
    return status_;
  }
  /// SourceStatus::templates alone.
  [[nodiscard]] std::uint64_t templates() const {
    const std::lock_guard lock(mutex_);
    return status_.templates;
  }

 private:
  mutable std::mutex mutex_;
  SourceStatus status_;
};

}  // namespace adit::templates
