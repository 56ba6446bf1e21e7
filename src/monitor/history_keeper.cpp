#include "monitor/history_keeper.h"

#include <algorithm>
#include <utility>

#include "log/log.h"

namespace adit::monitor {

HistoryKeeper::HistoryKeeper(Options options, std::function<void(History::Part)> restore)
    : options_(std::move(options)), restore_(std::move(restore)) {}

HistoryKeeper::~HistoryKeeper() = default;

void HistoryKeeper::start() {
  if (!open()) due_ = now_from_system().instant + options_.retry;
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void HistoryKeeper::offer(const History& history, Instant now) {
  const std::scoped_lock lock(mutex_);
  if (part_ || writing_ || now < due_) return;
  due_ = now + options_.every;
  part_ = history.after(written_);
  given_.notify_one();
}

void HistoryKeeper::close(const History& history) {
  thread_.request_stop();
  thread_.join();
  if (store_) write(history.after(written_));
  store_.reset();
}

void HistoryKeeper::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (given_.wait(lock, stop, [this] { return part_.has_value(); })) {
    const History::Part part = std::move(*part_);
    part_.reset();
    writing_ = true;
    lock.unlock();
    const auto written = write(part);
    lock.lock();
    writing_ = false;
    if (written) {
      written_ = *written;
    } else {
      due_ = now_from_system().instant + options_.retry;
    }
  }
}

std::optional<History::Position> HistoryKeeper::write(const History::Part& part) {
  if (!store_ && !open()) return std::nullopt;
  const auto saved = store_->save(part);
  if (saved) {
    if (!std::exchange(complaint_, {}).empty()) log::info("monitor.history_kept_again", {{"file", options_.path}});
    return part.until;
  }
  store_.reset();
  if (!saved.error().is(StoreErrc::kUnusable)) {
    complain(saved.error());
    return std::nullopt;
  }
  if (!begin_anew(saved.error())) return std::nullopt;
  // A new file needs all that there is, the next time.
  return History::Position();
}

bool HistoryKeeper::open() {
  auto opened = try_open();
  if (!opened && opened.error().is(StoreErrc::kUnusable)) {
    store_.reset();
    if (!begin_anew(opened.error())) return false;
    opened = try_open();
  }
  if (opened) return true;
  store_.reset();
  complain(opened.error());
  return false;
}

Result<> HistoryKeeper::try_open() {
  ADIT_TRY(store_, HistoryStore::open(options_.path, options_.max_pages));
  if (restored_) return {};
  ADIT_TRY(auto part, store_->load());
  restored_ = true;
  restore_(std::move(part));
  return {};
}

bool HistoryKeeper::begin_anew(const Error& why) {
  if (const auto moved = HistoryStore::move_aside(options_.path); !moved) {
    complain(moved.error());
    return false;
  }
  log::warn("monitor.history_begun_anew",
            {{"file", options_.path}, {"moved_to", options_.path + ".old"}, {"message", why.message()}});
  return true;
}

void HistoryKeeper::complain(const Error& error) {
  if (std::exchange(complaint_, error.message()) == error.message()) return;
  log::warn("monitor.history_not_kept", {{"file", options_.path}, {"message", error.message()}});
}

}  // namespace adit::monitor
