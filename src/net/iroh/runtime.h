// The bridge's runtime, and waiting for its events where no shard runs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "adit_bridge.h"
#include "base/result.h"

namespace adit::net {

/// The bridge's threads, running while anything in the process holds one of these. Any thread.
class BridgeRuntime {
 public:
  /// `threads`, 1 to 64, counts for the first holder. Errors: as bridge_error.
  static Result<BridgeRuntime> acquire(unsigned threads);
  BridgeRuntime(BridgeRuntime&& other) noexcept : held_(std::exchange(other.held_, false)) {}
  BridgeRuntime& operator=(BridgeRuntime&&) = delete;
  ~BridgeRuntime();

 private:
  BridgeRuntime() = default;
  bool held_ = true;
};

/// Waits on this thread for `bit` (ADIT_READY_*) of `handle`, a handle of `loop`, on which nobody else waits. The event's
/// result, or ADIT_TIMED_OUT.
std::int32_t wait_for_event(adit_handle loop, adit_handle handle, std::uint32_t bit, std::uint32_t timeout_ms);

/// A text as the bridge takes it; `text` must outlive it.
adit_bytes bridge_view(std::string_view text);
std::vector<adit_bytes> bridge_views(const std::vector<std::string>& texts);

/// The lines of a text that `fill(buffer, capacity)`, a call of the bridge, fills in.
template <class Fill>
std::vector<std::string> bridge_lines(Fill fill) {
  std::string text;
  for (std::int64_t length = 0; (length = fill(text.data(), text.size())) > static_cast<std::int64_t>(text.size());) {
    text.resize(static_cast<std::size_t>(length));
  }
  std::vector<std::string> all;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find('\n', at), text.size());
    all.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return all;
}

}  // namespace adit::net
