#include "ipc/inbox.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

namespace adit::ipc {

Result<std::shared_ptr<Inbox>> Inbox::make() {
  Fd ready(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!ready.ok()) {
    return fail(Errc::kSystem,
                "no eventfd can be made for the node's IPC: " + std::error_code(errno, std::generic_category()).message());
  }
  return std::shared_ptr<Inbox>(new Inbox(std::move(ready)));
}

void Inbox::post(std::function<void()> what) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    posted_.push_back(std::move(what));
    if (posted_.size() > 1) return;  // Its reader has not looked since the first.
  }
  const std::uint64_t one = 1;
  (void)!::write(ready_.get(), &one, sizeof one);  // Fails only if the counter is full, and then it is readable.
}

std::vector<std::function<void()>> Inbox::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(posted_, {});
}

void Inbox::close() {
  std::vector<std::function<void()>> dropped;  // Destroyed after the lock is given back: it may hold handles that post.
  const std::lock_guard lock(mutex_);
  closed_ = true;
  dropped.swap(posted_);
}

}  // namespace adit::ipc
