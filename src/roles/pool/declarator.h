// The job declaration server of a pool: its driver beside the pool's. Checks that wait for a node, transactions that all shards
// know, and the part of each shard.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "bitcoin/block.h"
#include "bitcoin/template.h"
#include "declaration/block_checker.h"
#include "declaration/declared_job.h"
#include "declaration/declared_jobs.h"
#include "declaration/server_session.h"
#include "ledger/block_submitter.h"
#include "ledger/worker.h"
#include "net/transport_config.h"
#include "template/source.h"

namespace adit::pool {

struct DeclaratorOptions {
  declaration::ServerPolicy session;     ///< Its payouts are those of the pool, whatever stands there.
  std::optional<net::TcpConfig> listen;  ///< TCP; port 0: the system's choice; absent: iroh alone, the pool's endpoint.
  std::vector<std::uint16_t> supported_extensions;  ///< That a client may ask for, beside 0x0001 and 0x4AD1.
  std::vector<std::uint16_t> required_extensions;   ///< Without these a client may declare nothing.
  /// Nodes that judge blocks, best first: the next one is asked where one gives no answer.
  std::vector<std::shared_ptr<declaration::BlockChecker>> checkers;
  /// As config::MadeSource::submit_block.
  std::function<Result<>(const bitcoin::Hash256& hash, std::uint32_t height, ledger::BlockSubmitter::Assemble assemble)>
      submit_block;
  std::size_t max_queued_checks = 1024;    ///< Declarations that wait for a node, and of one source a quarter of these.
  std::uint32_t max_payload = 4'500'000;   ///< Of one frame from a client: a block's transactions.
  std::size_t max_queued_bytes = 2 << 20;  ///< Unsent bytes of one connection; more: it is cut off.
};

/// The checks that wait for a node: those on the newest tip alone are made, as many at once as the node takes. Sources take
/// turns, so that none waits for another's many; of one source they are made in the order of their coming. Not thread-safe: the
/// keeper's.
class CheckQueue {
 public:
  using Done = std::function<void(const declaration::CheckAnswer&)>;

  /// `run` calls its argument on the keeper's thread, soon. A quarter of `max_queued` is the most of one source.
  CheckQueue(std::vector<std::shared_ptr<declaration::BlockChecker>> checkers, std::size_t max_queued,
             std::function<void(std::function<void()>)> run);

  void set_tip(const bitcoin::Hash256& prev_hash);
  /// `source`: whose it is. `done` is called once, on the keeper's thread.
  void add(declaration::DeclaredJobPtr job, const std::string& source, Done done);

 private:
  struct Check {
    declaration::DeclaredJobPtr job;
    Done done;
  };
  void pump();
  void ask(const std::shared_ptr<Check>& check, std::size_t checker);

  const std::vector<std::shared_ptr<declaration::BlockChecker>> checkers_;
  const std::size_t max_queued_;
  const std::function<void(std::function<void()>)> run_;
  std::map<std::string, std::deque<Check>> queues_;  ///< By source; none is empty.
  std::deque<std::string> turns_;                    ///< Each source that has a queue, whose turn it is first.
  std::size_t queued_ = 0;                           ///< Of all sources.
  unsigned under_way_ = 0;
  bitcoin::Hash256 tip_{};
};

/// What the declarator does for the whole pool, on a thread of its own: makes known what templates have, and has nodes judge
/// what is declared.
class Declarator : public std::enable_shared_from_this<Declarator> {
 public:
  explicit Declarator(DeclaratorOptions options);
  ~Declarator();  ///< As stop().
  Declarator(const Declarator&) = delete;
  Declarator& operator=(const Declarator&) = delete;

  [[nodiscard]] const DeclaratorOptions& options() const { return options_; }

  void start();
  /// Checks under way are cut off, and nobody is called any more. Idempotent. Not from a callback.
  void stop();

  /// The pool's newest template. `know` is called, on the declarator's thread, with the transactions that it brought.
  /// `source` made it, and outlives this.
  using Know = std::function<void(const std::shared_ptr<const std::vector<declaration::TransactionPtr>>& transactions)>;
  void on_template(const bitcoin::TemplatePtr& made, templates::TemplateSource& source, Know know);

  /// Has a node judge the job's block; `source` as CheckQueue::add. `done` is called once on the declarator's thread, unless it
  /// is stopped.
  void check(declaration::DeclaredJobPtr job, std::string source, CheckQueue::Done done);

  /// Looks for transactions in the mempool of the first node that can. `done` is called once on the declarator's thread with
  /// what it has, unless it is stopped.
  using Found = std::function<void(std::shared_ptr<const std::vector<declaration::TransactionPtr>> found)>;
  void find(std::vector<bitcoin::Hash256> wtxids, Found done);

 private:
  void learn(const templates::TemplateSource::Transactions& transactions, const Know& know);

  const DeclaratorOptions options_;
  std::atomic<bool> stopped_{false};
  CheckQueue checks_;  ///< The keeper's.
  ledger::Worker keeper_;
};

}  // namespace adit::pool
