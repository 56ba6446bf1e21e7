#include "net/backlog.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/invariant.h"

namespace adit::net {

BacklogBounds BacklogBounds::above(std::size_t max_queued_bytes) {
  BacklogBounds bounds;
  bounds.per_source = std::max(bounds.per_source, 4 * max_queued_bytes);
  bounds.in_all = std::max(bounds.in_all, 8 * bounds.per_source);
  return bounds;
}

template <class T>
void Backlog::List<T>::append(T& item) {
  item.before = back;
  item.behind = nullptr;
  (back != nullptr ? back->behind : front) = &item;
  back = &item;
}

template <class T>
void Backlog::List<T>::remove(T& item) {
  (item.before != nullptr ? item.before->behind : front) = item.behind;
  (item.behind != nullptr ? item.behind->before : back) = item.before;
  item.before = item.behind = nullptr;
}

Backlog::~Backlog() { ADIT_INVARIANT(sources_.empty()); }

void Backlog::resize(Source& source, std::size_t bytes) {
  const auto was = std::bit_width(source.bytes);
  const auto is = std::bit_width(bytes);
  bytes_ = bytes_ - source.bytes + bytes;
  source.bytes = bytes;
  if (was == is) return;
  if (was != 0) by_size_[static_cast<std::size_t>(was)].remove(source);
  if (is != 0) by_size_[static_cast<std::size_t>(is)].append(source);
}

void Backlog::cut_one(Source& source, const std::string& whose, std::size_t bound) {
  Queue* queue = source.stalled.front;
  // One of them has the average or more.
  while (queue->bytes_ * source.waiting < source.bytes) queue = queue->behind;
  ++cut_;
  auto reason = "the peer does not read what it is sent: " + std::to_string(queue->bytes_) + " bytes waited for it and " +
                std::to_string(source.bytes - queue->bytes_) + " for others of its source, and all that waits for " + whose +
                " may be " + std::to_string(bound);
  queue->leave();
  queue->cut_off(std::move(reason));
}

void Backlog::Queue::join(Backlog& backlog, std::string_view source) {
  ADIT_INVARIANT(backlog_ == nullptr && bytes_ == 0);
  auto& found = backlog.sources_[std::string(source)];
  if (found.queues++ == 0) found.key = source;
  backlog_ = &backlog;
  source_ = &found;
}

void Backlog::Queue::leave() {
  if (backlog_ == nullptr) return;
  change(0, false);
  Backlog& backlog = *std::exchange(backlog_, nullptr);
  Source& source = *std::exchange(source_, nullptr);
  if (--source.queues == 0) backlog.sources_.erase(std::string(source.key));
}

void Backlog::Queue::change(std::size_t bytes, bool moved) {
  Backlog& backlog = *backlog_;
  Source& source = *source_;
  const std::size_t was = std::exchange(bytes_, bytes);
  if (was != 0 && (bytes == 0 || moved)) {
    source.stalled.remove(*this);
    --source.waiting;
  }
  if (bytes != 0 && (was == 0 || moved)) {
    source.stalled.append(*this);
    ++source.waiting;
  }
  backlog.resize(source, source.bytes - was + bytes);
  if (bytes <= was) return;
  // Those that are cut off may be the last of their source, which is then gone: it has nothing waiting.
  const auto& bounds = backlog.bounds_;
  while (source_ == &source && source.bytes > bounds.per_source) backlog.cut_one(source, "one source", bounds.per_source);
  while (backlog.bytes_ > bounds.in_all) {
    const auto largest = std::ranges::find_if(backlog.by_size_.rbegin(), backlog.by_size_.rend(),
                                              [](const List<Source>& list) { return list.front != nullptr; });
    backlog.cut_one(*largest->front, "all peers", bounds.in_all);
  }
}

}  // namespace adit::net
