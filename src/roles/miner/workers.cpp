#include "roles/miner/workers.h"

#include <optional>
#include <thread>
#include <utility>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "base/bytes.h"

namespace adit::miner {
namespace {

namespace asio = boost::asio;

// Small enough that a new job is taken up within milliseconds on a slow core.
constexpr std::uint32_t kNoncesPerTurn = 1 << 13;

}  // namespace

class HashWorkers::Worker {
 public:
  Worker(std::uint32_t first_nonce, std::uint32_t last_nonce, std::function<void(Solution)> on_solution)
      : first_nonce_(first_nonce),
        last_nonce_(last_nonce),
        on_solution_(std::move(on_solution)),
        guard_(asio::make_work_guard(context_)),
        thread_([this] { run(); }) {}

  ~Worker() {
    asio::post(context_, [this] { stop_ = true; });
    thread_.join();
  }

  void set_work(std::optional<HashWork> work) {
    asio::post(context_, [this, work = std::move(work)] {
      work_ = work;
      next_nonce_ = first_nonce_;
      if (work_) hasher_.emplace(*work_);
    });
  }

  [[nodiscard]] std::uint64_t hashes() const { return hashes_.load(std::memory_order_relaxed); }

 private:
  void run() {
    while (!stop_) {
      if (work_) {
        context_.poll();
        if (work_ && !stop_) turn();
      } else {
        context_.run_one();
      }
    }
  }

  void turn() {
    const std::uint64_t left = std::uint64_t{last_nonce_} - next_nonce_ + 1;
    const auto count = static_cast<std::uint32_t>(left < kNoncesPerTurn ? left : kNoncesPerTurn);
    const auto found = hasher_->search(static_cast<std::uint32_t>(next_nonce_), count);
    const std::uint64_t tried = found ? *found - next_nonce_ + 1 : count;
    hashes_.fetch_add(tried, std::memory_order_relaxed);
    if (found) on_solution_({work_->id, *found, load_le<std::uint32_t>(work_->header.data() + kNtimeAt)});
    next_nonce_ += tried;
    if (next_nonce_ > last_nonce_) roll_ntime();
  }

  // All nonces tried: the header one second later is new work.
  void roll_ntime() {
    std::uint8_t* ntime = work_->header.data() + kNtimeAt;
    store_le(ntime, load_le<std::uint32_t>(ntime) + 1);
    hasher_.emplace(*work_);
    next_nonce_ = first_nonce_;
  }

  static constexpr std::size_t kNtimeAt = 68;

  const std::uint32_t first_nonce_;
  const std::uint32_t last_nonce_;
  const std::function<void(Solution)> on_solution_;
  std::optional<HashWork> work_;
  std::optional<Hasher> hasher_;
  std::uint64_t next_nonce_ = 0;
  std::atomic<std::uint64_t> hashes_{0};
  bool stop_ = false;
  asio::io_context context_{1};
  asio::executor_work_guard<asio::io_context::executor_type> guard_;
  std::thread thread_;
};

HashWorkers::HashWorkers(unsigned threads, std::function<void(Solution)> on_solution) {
  const std::uint64_t part = (std::uint64_t{1} << 32) / threads;
  for (unsigned i = 0; i < threads; ++i) {
    const std::uint64_t last = i + 1 == threads ? 0xffffffffU : (i + 1) * part - 1;
    workers_.push_back(
        std::make_unique<Worker>(static_cast<std::uint32_t>(i * part), static_cast<std::uint32_t>(last), on_solution));
  }
}

HashWorkers::~HashWorkers() = default;

void HashWorkers::set_work(const HashWork& work) {
  for (auto& worker : workers_) worker->set_work(work);
}

void HashWorkers::pause() {
  for (auto& worker : workers_) worker->set_work(std::nullopt);
}

std::uint64_t HashWorkers::hashes() const {
  std::uint64_t sum = 0;
  for (const auto& worker : workers_) sum += worker->hashes();
  return sum;
}

}  // namespace adit::miner
