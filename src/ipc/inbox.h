// How other threads hand work to a node's thread. Private to src/ipc.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "ipc/error.h"

namespace adit::ipc {

/// A queue with a descriptor that becomes readable when there is something in it. Shared by the node and by the handles of its
/// templates, which may outlive it.
class Inbox {
 public:
  /// Errors: kSystem.
  static Result<std::shared_ptr<Inbox>> make();

  /// An eventfd: non-blocking, closed on exec.
  [[nodiscard]] int fd() const { return ready_.get(); }

  /// Any thread. After close() `what` is dropped.
  void post(std::function<void()> what);

  /// What was posted since the last call, in order.
  std::vector<std::function<void()>> take();

  /// Drops what is there and what comes.
  void close();

 private:
  explicit Inbox(Fd ready) : ready_(std::move(ready)) {}

  const Fd ready_;
  std::mutex mutex_;
  std::vector<std::function<void()>> posted_;
  bool closed_ = false;
};

}  // namespace adit::ipc
