// A node for tests of what submits blocks.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "ledger/block_node.h"
#include "ledger/error.h"

namespace adit::ledger::testing {

/// Answers at once as `answer` says, on the thread that submits; nullopt: never, until release().
class FakeNode final : public BlockNode {
 public:
  using Answer = std::function<std::optional<Result<NodeAnswer>>(const BlockPtr& block)>;

  explicit FakeNode(std::string name, bool gives_templates = true)
      : name_(std::move(name)), gives_templates_(gives_templates) {}

  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] bool gives_templates() const override { return gives_templates_; }
  void start() override {}
  void stop() override {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    held_.clear();
  }

  void submit(BlockPtr block, Done done) override {
    const auto answer = how_to_answer()(block);
    {
      const std::lock_guard lock(mutex_);
      if (stopped_) return;
      submitted_.push_back(block->hash());
      bytes_[block->hash()] = block->block().bytes;
      if (!answer) held_.push_back(std::move(done));
    }
    changed_.notify_all();
    if (answer) done(*answer);
  }
  void prefer(const Hash256& hash) override {
    const std::lock_guard lock(mutex_);
    preferred_.push_back(hash);
    changed_.notify_all();
  }

  // --- For the test.

  static Result<NodeAnswer> accepts() { return NodeAnswer{BlockVerdict::kAccepted, ""}; }
  static Result<NodeAnswer> fails(std::string message = "error -1") { return fail(Errc::kStopped, std::move(message)); }

  void set_answer(Answer answer) {
    const std::lock_guard lock(mutex_);
    answer_ = std::move(answer);
  }

  /// Answers what it has not answered.
  void release(const Result<NodeAnswer>& answer) {
    std::vector<Done> held;
    {
      const std::lock_guard lock(mutex_);
      held.swap(held_);
    }
    for (auto& done : held) done(answer);
  }

  /// False if `holds` did not become true within a minute.
  bool wait_until(const std::function<bool(const FakeNode&)>& holds) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::minutes(1), [&] { return holds(*this); });
  }

  /// Inside wait_until, or once nothing runs any more: every attempt in order.
  [[nodiscard]] const std::vector<Hash256>& submitted() const { return submitted_; }
  [[nodiscard]] const std::vector<Hash256>& preferred() const { return preferred_; }
  [[nodiscard]] const std::map<Hash256, std::vector<std::uint8_t>>& bytes() const { return bytes_; }

  [[nodiscard]] bool was_offered(const Hash256& hash) const {
    const std::lock_guard lock(mutex_);
    return bytes_.contains(hash);
  }

 private:
  Answer how_to_answer() const {
    const std::lock_guard lock(mutex_);
    return answer_;
  }

  const std::string name_;
  const bool gives_templates_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Answer answer_ = [](const BlockPtr&) { return std::optional(accepts()); };
  std::vector<Done> held_;
  std::vector<Hash256> submitted_;
  std::map<Hash256, std::vector<std::uint8_t>> bytes_;
  std::vector<Hash256> preferred_;
  bool stopped_ = false;
};

}  // namespace adit::ledger::testing
