// Shards: N threads, each one event loop. A connection lives its whole life on one of them; shards share only immutable data
// and messages.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "base/result.h"
#include "base/time.h"
#include "net/error.h"
#include "wire/frame.h"

namespace adit::net {

namespace asio = boost::asio;

/// Buffers that every connection of a shard borrows for the length of one batch. What is in them is valid until the borrower
/// suspends: an idle connection owns no buffer.
struct Scratch {
  wire::ByteBuffer receive;             ///< Bytes of one read, behind what the connection had left over.
  wire::ByteBuffer send;                ///< Sealed bytes of one batch.
  std::vector<wire::FrameView> frames;  ///< The frames of one read.
  std::vector<wire::FrameView> merged;  ///< The batch of a connection over lanes, in the order to be handled.
  wire::FrameBuffer control;            ///< What a connection over lanes sends, by lane.
  wire::FrameBuffer second;
};

/// One event loop on one thread, and the gate that counts what runs on it.
///
/// Everything but post() may be called only from the shard's own thread, or while no thread runs it.
class Shard {
 public:
  explicit Shard(unsigned index);
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  [[nodiscard]] unsigned index() const { return index_; }
  [[nodiscard]] asio::io_context& context() { return context_; }
  [[nodiscard]] Scratch& scratch() { return scratch_; }

  /// Runs `function` on the shard's thread, soon. Any thread.
  template <class Function>
  void post(Function&& function) {
    asio::post(context_, std::forward<Function>(function));
  }

  /// Runs `task` in the background, counted: stop() waits for it. An abort cancels what it waits for and unwinds it (Asio
  /// throws inside it at the wait; destructors run). An exception that leaves a task for any other reason ends the process:
  /// tasks turn failures into Results.
  void spawn(asio::awaitable<void> task);

  /// Unwinds every task that is still running.
  void abort_tasks();

  /// Background tasks that have not ended.
  [[nodiscard]] std::size_t tasks() const { return tasks_.size(); }

 private:
  friend class Shards;

  /// Calls `idle` once, when no task is left.
  void when_idle(std::function<void()> idle);

  unsigned index_;
  asio::io_context context_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  Scratch scratch_;
  std::list<asio::cancellation_signal> tasks_;
  std::function<void()> idle_;
};

/// Waits `duration` on the loop of the running coroutine.
asio::awaitable<void> sleep_for(Duration duration);

/// All shards of a process.
class Shards {
 public:
  /// `count` >= 1.
  explicit Shards(unsigned count);
  ~Shards();  ///< As stop(0) if still running.
  Shards(const Shards&) = delete;
  Shards& operator=(const Shards&) = delete;

  /// Starts the threads. Once.
  void start();

  [[nodiscard]] unsigned size() const { return static_cast<unsigned>(shards_.size()); }
  [[nodiscard]] Shard& operator[](unsigned index) { return *shards_[index]; }

  /// The next shard, round robin. Any thread.
  [[nodiscard]] Shard& next();

  /// The second phase of a stop; in the first the owner told its listeners and sessions to end. Waits until every task has
  /// ended, aborts those that are left after `patience`, joins the threads. Not from a shard's thread. Idempotent.
  void stop(Duration patience);

 private:
  bool wait_idle(Duration patience);

  std::vector<std::unique_ptr<Shard>> shards_;
  std::vector<std::thread> threads_;
  std::atomic<unsigned> next_{0};
};

}  // namespace adit::net
