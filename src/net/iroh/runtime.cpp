#include "net/iroh/runtime.h"

#include <poll.h>

#include <chrono>
#include <mutex>

#include "base/bytes.h"
#include "base/time.h"
#include "net/iroh/event_loop.h"

namespace adit::net {
namespace {

constexpr std::uint32_t kStopMs = 1000;

/// How many holders there are; guards the runtime's start and stop.
std::mutex mutex;
unsigned holders = 0;

}  // namespace

Result<BridgeRuntime> BridgeRuntime::acquire(unsigned threads) {
  const std::scoped_lock lock(mutex);
  if (holders == 0) {
    if (const auto result = adit_runtime_start(threads); result != ADIT_OK)
      return fail(bridge_error(result, 0, "cannot start iroh"));
  }
  ++holders;
  return BridgeRuntime();
}

BridgeRuntime::~BridgeRuntime() {
  if (!held_) return;
  const std::scoped_lock lock(mutex);
  if (--holders == 0) (void)adit_runtime_stop(kStopMs);
}

std::int32_t wait_for_event(adit_handle loop, adit_handle handle, std::uint32_t bit, std::uint32_t timeout_ms) {
  const auto until = now_from_system().instant + std::chrono::milliseconds(timeout_ms);
  for (;;) {
    adit_event event;
    while (adit_loop_drain(loop, &event, 1) == 1) {
      if (event.handle == handle && (event.ready & bit) != 0) return event.result;
    }
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - now_from_system().instant).count();
    if (left <= 0) return ADIT_TIMED_OUT;
    pollfd ready{.fd = adit_loop_fd(loop), .events = POLLIN, .revents = 0};
    (void)::poll(&ready, 1, static_cast<int>(left));
  }
}

adit_bytes bridge_view(std::string_view text) { return {as_bytes(text).data(), text.size()}; }

std::vector<adit_bytes> bridge_views(const std::vector<std::string>& texts) {
  std::vector<adit_bytes> all;
  all.reserve(texts.size());
  for (const auto& text : texts) all.push_back(bridge_view(text));
  return all;
}

}  // namespace adit::net
