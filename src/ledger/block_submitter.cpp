#include "ledger/block_submitter.h"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <utility>

#include "base/hex.h"
#include "ledger/block_journal.h"
#include "ledger/worker.h"
#include "log/log.h"

namespace adit::ledger {
namespace {

Instant steady_now() { return now_from_system().instant; }

std::int64_t milliseconds_since(Instant then) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(steady_now() - then).count();
}

}  // namespace

// Two threads: `clerk_` puts blocks together and decides what goes where (all members but those marked are its), `disk_` has
// the journal. What the nodes' threads say is posted to the clerk.
class BlockSubmitter::Core {
 public:
  Core(std::vector<std::unique_ptr<BlockNode>> nodes, Options options)
      : options_(std::move(options)), nodes_(std::move(nodes)), submissions_(preferring(nodes_), options_.policy) {}

  ~Core() { stop(); }
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  Result<> start(Events events) {
    if (!options_.journal_folder.empty()) {
      ADIT_TRY(journal_, BlockJournal::open(*options_.files, options_.journal_folder));
      for (const std::string& file : journal_->unreadable()) log::warn("ledger.journal_unreadable", {{"file", file}});
      if (!journal_->pending().empty()) log::info("ledger.journal_left", {{"blocks", journal_->pending().size()}});
      const Instant now = steady_now();
      for (const auto& entry : journal_->pending()) submissions_.add(entry.hash, entry.height, nullptr, now);
    }
    note_unanswered();
    events_ = std::move(events);
    for (const auto& node : nodes_) node->start();
    started_ = true;
    disk_.start([this] { return look_at_spares(); });
    clerk_.start([this] { return turn(); });
    return {};
  }

  Result<> submit(const Hash256& hash, std::uint32_t height, Assemble assemble) {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_ || !started_) return fail(Errc::kStopped, "the submitter of blocks is not running");
      if (counts_.unanswered + handed_over_ >= options_.policy.max_blocks) {
        return fail(Errc::kFull, std::to_string(options_.policy.max_blocks) + " found blocks wait for a node's answer already");
      }
      ++handed_over_;
    }
    clerk_.post([this, hash, height, assemble = std::move(assemble), now = steady_now()] {
      take(hash, height, assemble, now);
      {
        const std::lock_guard lock(mutex_);
        --handed_over_;
      }
      changed_.notify_all();
    });
    return {};
  }

  void on_tip(std::uint32_t next_height) {
    clerk_.post([this, next_height] {
      for (const auto& outcome : submissions_.on_tip(next_height, steady_now())) settle(outcome);
    });
  }

  void on_node_ready(std::size_t node) {
    clerk_.post([this, node] { submissions_.on_node_ready(node, steady_now()); });
  }

  std::vector<AnsweredBlock> answered() const {
    const std::lock_guard lock(mutex_);
    return answered_;
  }
  Counts counts() const {
    const std::lock_guard lock(mutex_);
    Counts counts = counts_;
    counts.unanswered += handed_over_;
    return counts;
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      if (std::exchange(stopping_, true) || !started_) return;
    }
    const Instant deadline = steady_now() + options_.stop_deadline;
    wait_until(deadline, [this] { return handed_over_ == 0 && unkept_ == 0; });
    wait_until(std::min(deadline, steady_now() + options_.answer_grace), [this] { return first_attempts_made_; });
    for (const auto& node : nodes_) node->stop();
    clerk_.finish();
    disk_.finish();
    for (const auto& [hash, waiting] : waiting_) {
      if (waiting.kept || (journal_ && journal_->has(hash))) continue;
      log::error("ledger.block_not_kept",
                 {{"hash", to_hex_reversed(hash)},
                  {"height", waiting.bytes->height()},
                  {"message", "this process ends and the block is neither on disk nor answered by a node"}});
    }
    journal_.reset();  // Another process may take it over.
  }

 private:
  /// A block of this run that is not kept yet, or not on disk.
  struct Waiting {
    BlockPtr bytes;
    Instant since;
    bool kept = false;
    bool writing = false;
    Backoff backoff;
    Instant write_at;
    std::string complaint;  ///< About its file, the last one.
  };

  static std::vector<bool> preferring(const std::vector<std::unique_ptr<BlockNode>>& nodes) {
    std::vector<bool> all;
    all.reserve(nodes.size());
    for (const auto& node : nodes) all.push_back(node->gives_templates());
    return all;
  }

  template <class Condition>
  void wait_until(Instant deadline, Condition holds) {
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, deadline, holds);
  }

  // --- On the clerk's thread.

  void take(const Hash256& hash, std::uint32_t height, const Assemble& assemble, Instant now) {
    if (submissions_.knows(hash)) {
      // It came twice, as a share and as a client's solution: whoever hands it over waits to hear that it is kept.
      const auto waiting = waiting_.find(hash);
      if ((waiting == waiting_.end() || waiting->second.kept) && events_.on_kept) events_.on_kept(hash);
      return;
    }
    auto block = assemble();
    if (!block) {
      return log::error("ledger.block_lost",
                        {{"hash", to_hex_reversed(hash)}, {"height", height}, {"message", block.error().message()}});
    }
    const auto bytes = std::make_shared<const HexBlock>(std::move(*block));
    if (!submissions_.add(bytes->hash(), bytes->height(), bytes, now)) {
      return log::error(
          "ledger.block_lost",
          {{"hash", to_hex_reversed(hash)}, {"height", height}, {"message", "too many found blocks wait for an answer"}});
    }
    waiting_.emplace(bytes->hash(), Waiting{.bytes = bytes,
                                            .since = now,
                                            .backoff = Backoff(options_.rewrite_first, options_.rewrite_cap),
                                            .write_at = journal_ ? now : Instant::max()});
    // Before another block is put together: to the disk and to the nodes.
    attempt();
    write();
    note_unanswered();
  }

  /// Does what is due; returns when there will be more.
  Instant turn() {
    attempt();
    write();
    const Instant now = steady_now();
    while (const auto preference = submissions_.next_preference(now)) nodes_[preference->node]->prefer(preference->hash);
    submissions_.tidy(now);
    std::erase_if(complaints_, [this](const auto& one) { return !submissions_.knows(one.first.first); });
    note_unanswered();
    Instant next = submissions_.next_due();
    for (const auto& [hash, waiting] : waiting_) {
      if (!waiting.writing) next = std::min(next, waiting.write_at);
    }
    return next;
  }

  void attempt() {
    while (auto found = submissions_.next_attempt(steady_now())) {
      const Submissions::Attempt& attempt = *found;
      if (attempt.bytes != nullptr) {
        submit_to_node(attempt, attempt.bytes);
        continue;
      }
      disk_.post([this, attempt] {
        auto block = journal_->read(attempt.hash);
        clerk_.post([this, attempt, read = std::make_shared<Result<FoundBlock>>(std::move(block))] {
          if (!*read) return failed(attempt, read->error());
          submit_to_node(attempt, std::make_shared<const HexBlock>(std::move(**read)));
        });
      });
    }
  }

  void submit_to_node(const Submissions::Attempt& attempt, const BlockPtr& bytes) {
    const Submissions::Attempt which{attempt.hash, attempt.node, nullptr};
    nodes_[attempt.node]->submit(bytes, [this, which, begun = steady_now()](Result<NodeAnswer> answer) {
      clerk_.post([this, which, begun, answer = std::move(answer)] {
        if (answer) {
          answered(which, *answer, begun);
        } else {
          failed(which, answer.error());
        }
      });
    });
  }

  void answered(const Submissions::Attempt& attempt, const NodeAnswer& answer, Instant begun) {
    const std::string& node = nodes_[attempt.node]->name();
    complaints_.erase({attempt.hash, attempt.node});
    log::info("ledger.node_answered", {{"hash", to_hex_reversed(attempt.hash)},
                                       {"node", node},
                                       {"verdict", verdict_name(answer.verdict)},
                                       {"reason", answer.reason},
                                       {"ms", milliseconds_since(begun)}});
    settle(submissions_.on_answer(attempt, answer, node, steady_now()));
  }

  void failed(const Submissions::Attempt& attempt, const Error& error) {
    // Once for each reason, not for each try.
    std::string& complaint = complaints_[{attempt.hash, attempt.node}];
    if (complaint != error.message()) {
      complaint = error.message();
      log::warn("ledger.block_unanswered",
                {{"hash", to_hex_reversed(attempt.hash)}, {"node", nodes_[attempt.node]->name()}, {"message", complaint}});
    }
    settle(submissions_.on_failure(attempt, random_(), steady_now()));
  }

  void settle(const Submissions::Outcome& outcome) {
    if (outcome.first_answer) kept(outcome.hash);
    if (outcome.decided) {
      const BlockResult& result = *outcome.decided;
      {
        const std::lock_guard lock(mutex_);
        const bool ours = result.verdict == BlockVerdict::kAccepted || result.verdict == BlockVerdict::kDuplicate;
        ++(ours ? counts_.accepted : counts_.rejected);
        remember(answered_, result, now_from_system().unix_time);
        counts_.unanswered = submissions_.unanswered();  // Who hears of the result finds the counts of it.
      }
      waiting_.erase(outcome.hash);
      if (journal_) disk_.post([this, hash = outcome.hash, verdict = result.verdict] { close(hash, verdict); });
      if (events_.on_result) events_.on_result(result);
    }
    note_unanswered();
  }

  /// The block is on disk, or a node has answered.
  void kept(const Hash256& hash) {
    const auto waiting = waiting_.find(hash);
    if (waiting == waiting_.end() || std::exchange(waiting->second.kept, true)) return;
    log::info("ledger.block_kept", {{"hash", to_hex_reversed(hash)},
                                    {"height", waiting->second.bytes->height()},
                                    {"ms", milliseconds_since(waiting->second.since)}});
    if (events_.on_kept) events_.on_kept(hash);
    note_unanswered();
  }

  void write() {
    const Instant now = steady_now();
    for (auto& [key, waiting] : waiting_) {
      if (waiting.writing || waiting.write_at > now) continue;
      waiting.writing = true;
      disk_.post([this, bytes = waiting.bytes] {
        auto written = journal_->add(*bytes);
        clerk_.post([this, hash = bytes->hash(), written = std::move(written)] { on_written(hash, written); });
      });
    }
  }

  void on_written(const Hash256& hash, const Result<>& written) {
    const auto found = waiting_.find(hash);
    if (found == waiting_.end()) return;  // It has been decided.
    Waiting& waiting = found->second;
    waiting.writing = false;
    if (written) {
      kept(hash);
      submissions_.release_bytes(hash);
      waiting_.erase(found);
      return;
    }
    if (waiting.complaint != written.error().message()) {
      waiting.complaint = written.error().message();
      log::error("ledger.journal_failed", {{"hash", to_hex_reversed(hash)}, {"message", waiting.complaint}});
    }
    waiting.write_at = steady_now() + waiting.backoff.next(random_());
  }

  /// What stop() waits for, and what counts() says.
  void note_unanswered() {
    {
      const std::lock_guard lock(mutex_);
      counts_.unanswered = submissions_.unanswered();
      unkept_ = static_cast<std::size_t>(std::ranges::count_if(waiting_, [](const auto& one) { return !one.second.kept; }));
      first_attempts_made_ = submissions_.first_attempts_made();
    }
    changed_.notify_all();
  }

  // --- On the disk's thread.

  void close(const Hash256& hash, BlockVerdict verdict) {
    if (auto closed = journal_->answered(hash, verdict); !closed) {
      log::error("ledger.journal_failed", {{"hash", to_hex_reversed(hash)}, {"message", closed.error().message()}});
    }
  }

  Instant look_at_spares() {
    if (!journal_ || journal_->refill_spares()) return Instant::max();
    return steady_now() + options_.rewrite_cap;
  }

  const Options options_;
  const std::vector<std::unique_ptr<BlockNode>> nodes_;
  Events events_;
  std::optional<BlockJournal> journal_;  ///< The disk's, once started.
  Submissions submissions_;
  std::map<Hash256, Waiting> waiting_;
  std::map<std::pair<Hash256, std::size_t>, std::string> complaints_;  ///< The last of each block about each node.
  std::mt19937_64 random_{std::random_device{}()};

  mutable std::mutex mutex_;  ///< Over the members up to the workers.
  std::condition_variable changed_;
  bool started_ = false;
  bool stopping_ = false;
  std::size_t handed_over_ = 0;  ///< And not seen by the clerk yet.
  std::size_t unkept_ = 0;
  bool first_attempts_made_ = true;
  Counts counts_;
  std::vector<AnsweredBlock> answered_;

  Worker disk_;
  Worker clerk_;
};

BlockSubmitter::BlockSubmitter(std::vector<std::unique_ptr<BlockNode>> nodes, Options options)
    : core_(std::make_unique<Core>(std::move(nodes), std::move(options))) {}
BlockSubmitter::~BlockSubmitter() = default;
Result<> BlockSubmitter::start(Events events) { return core_->start(std::move(events)); }
Result<> BlockSubmitter::submit(const Hash256& hash, std::uint32_t height, Assemble assemble) {
  return core_->submit(hash, height, std::move(assemble));
}
Result<> BlockSubmitter::submit(FoundBlock block) {
  const Hash256 hash = block.hash;
  const std::uint32_t height = block.height;
  // A std::function is copied; its block is not.
  auto whole = std::make_shared<FoundBlock>(std::move(block));
  return core_->submit(hash, height, [whole]() -> Result<FoundBlock> { return std::move(*whole); });
}
void BlockSubmitter::on_tip(std::uint32_t next_height) { core_->on_tip(next_height); }
void BlockSubmitter::on_node_ready(std::size_t node) { core_->on_node_ready(node); }
BlockSubmitter::Counts BlockSubmitter::counts() const { return core_->counts(); }
std::vector<AnsweredBlock> BlockSubmitter::answered() const { return core_->answered(); }
void BlockSubmitter::stop() { core_->stop(); }

}  // namespace adit::ledger
