#include "net/shards.h"

#include <algorithm>
#include <atomic>
#include <future>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "net/watched_socket.h"

namespace adit::net {
namespace {

constexpr std::size_t kScratchBytes = std::size_t{64} * 1024;  // As much as one read.
constexpr std::size_t kScratchFrames = kScratchBytes / 30;     // The smallest share is a frame of 30 bytes.

}  // namespace

Shard::Shard(unsigned index) : index_(index), context_(1), work_(context_.get_executor()) {
  WatchedSocket::prepare(context_);
  // What a burst needs is there before it comes: buffers grown by the largest batch so far would be grown under load.
  scratch_.frames.reserve(kScratchFrames);
  scratch_.merged.reserve(kScratchFrames);
  for (auto* const frames : {&scratch_.control, &scratch_.second}) frames->reserve(kScratchBytes);
  scratch_.send.reserve(kScratchBytes);
}

void Shard::spawn(asio::awaitable<void> task) {
  const auto entry = tasks_.emplace(tasks_.end());
  asio::co_spawn(context_, std::move(task),
                 asio::bind_cancellation_slot(entry->slot(), [this, entry](const std::exception_ptr& failure) {
                   tasks_.erase(entry);
                   if (tasks_.empty() && idle_) std::exchange(idle_, nullptr)();
                   if (!failure) return;
                   try {
                     std::rethrow_exception(failure);
                   } catch (const boost::system::system_error& error) {
                     // An aborted task unwinds by this; anything else is a defect and goes on to terminate.
                     if (error.code() != asio::error::operation_aborted) throw;
                   }
                 }));
}

void Shard::abort_tasks() {
  for (auto task = tasks_.begin(); task != tasks_.end();) {
    auto next = std::next(task);  // the task may end, and take its entry with it
    task->emit(asio::cancellation_type::terminal);
    task = next;
  }
}

void Shard::when_idle(std::function<void()> idle) {
  if (tasks_.empty()) return idle();
  idle_ = std::move(idle);
}

asio::awaitable<void> sleep_for(Duration duration) {
  asio::steady_timer timer(co_await asio::this_coro::executor, duration);
  co_await timer.async_wait(asio::use_awaitable);
}

Shards::Shards(unsigned count) {
  shards_.reserve(count);
  for (unsigned index = 0; index < count; ++index) shards_.push_back(std::make_unique<Shard>(index));
}

// NOLINTNEXTLINE(bugprone-exception-escape): a lock or a promise that fails here leaves nothing to go on with
Shards::~Shards() { stop(Duration::zero()); }

void Shards::start() {
  threads_.reserve(shards_.size());
  for (auto& shard : shards_) threads_.emplace_back([context = &shard->context_] { context->run(); });
}

Shard& Shards::next() { return *shards_[next_.fetch_add(1, std::memory_order_relaxed) % shards_.size()]; }

bool Shards::wait_idle(Duration patience) {
  const auto until = std::chrono::steady_clock::now() + patience;
  std::vector<std::future<void>> idle;
  idle.reserve(shards_.size());
  for (auto& shard : shards_) {
    auto promise = std::make_shared<std::promise<void>>();
    idle.push_back(promise->get_future());
    shard->post([shard = shard.get(), promise] { shard->when_idle([promise] { promise->set_value(); }); });
  }
  return std::all_of(idle.begin(), idle.end(),
                     [until](auto& future) { return future.wait_until(until) == std::future_status::ready; });
}

void Shards::stop(Duration patience) {
  if (threads_.empty()) return;
  if (!wait_idle(patience)) {
    for (auto& shard : shards_) shard->post([shard = shard.get()] { shard->abort_tasks(); });
    wait_idle(std::chrono::seconds(5));
  }
  for (auto& shard : shards_) shard->context_.stop();
  for (auto& thread : threads_) thread.join();
  threads_.clear();
}

}  // namespace adit::net
