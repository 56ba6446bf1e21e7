#include "roles/pool/declarator.h"

#include <algorithm>
#include <utility>

#include "log/log.h"

namespace adit::pool {

using declaration::BlockCheck;
using declaration::CheckAnswer;

namespace {

DeclaratorOptions with_mempool(DeclaratorOptions options) {
  options.session.asks_mempool = std::ranges::any_of(options.checkers, [](const auto& one) { return one->can_find(); });
  return options;
}

/// What of them is a transaction.
std::shared_ptr<const std::vector<declaration::TransactionPtr>> read_all(
    const std::vector<std::vector<std::uint8_t>>& transactions) {
  auto known = std::make_shared<std::vector<declaration::TransactionPtr>>();
  known->reserve(transactions.size());
  for (const auto& bytes : transactions) {
    if (auto one = declaration::read_transaction(bytes)) known->push_back(*std::move(one));
  }
  return known;
}

}  // namespace

// ---- CheckQueue

CheckQueue::CheckQueue(std::vector<std::shared_ptr<declaration::BlockChecker>> checkers, std::size_t max_queued,
                       std::function<void(std::function<void()>)> run)
    : checkers_(std::move(checkers)), max_queued_(max_queued), run_(std::move(run)) {}

void CheckQueue::set_tip(const bitcoin::Hash256& prev_hash) {
  if (prev_hash == tip_) return;
  tip_ = prev_hash;
  // What waits for the old tip would only delay what is declared on the new one.
  auto waiting = std::exchange(queues_, {});
  turns_.clear();
  queued_ = 0;
  for (auto& [source, checks] : waiting) {
    for (Check& check : checks) {
      if (check.job->work->prev_hash == tip_) {
        add(std::move(check.job), source, std::move(check.done));
      } else {
        check.done({BlockCheck::kStale, "there is a new tip"});
      }
    }
  }
}

void CheckQueue::add(declaration::DeclaredJobPtr job, const std::string& source, Done done) {
  if (checkers_.empty()) return done({BlockCheck::kFailed, "no node judges blocks"});
  const auto own = queues_.find(source);
  const std::size_t of_source = own == queues_.end() ? 0 : own->second.size();
  if (queued_ >= max_queued_ || of_source >= (max_queued_ + 3) / 4)
    return done({BlockCheck::kFailed, "too many declarations wait for the node"});
  if (of_source == 0) turns_.push_back(source);
  queues_[source].push_back({std::move(job), std::move(done)});
  ++queued_;
  pump();
}

void CheckQueue::pump() {
  while (!turns_.empty() && under_way_ < checkers_.front()->max_under_way()) {
    const std::string source = std::move(turns_.front());
    turns_.pop_front();
    auto& checks = queues_[source];
    auto check = std::make_shared<Check>(std::move(checks.front()));
    checks.pop_front();
    --queued_;
    if (checks.empty()) {
      queues_.erase(source);
    } else {
      turns_.push_back(source);
    }
    ++under_way_;
    ask(check, 0);
  }
}

void CheckQueue::ask(const std::shared_ptr<Check>& check, std::size_t checker) {
  const auto answered = [this, check, checker](const CheckAnswer& answer) {
    if (answer.verdict == BlockCheck::kFailed && checker + 1 < checkers_.size()) return ask(check, checker + 1);
    --under_way_;
    check->done(answer);
    pump();
  };
  auto block = declaration::block_to_check(*check->job->work);
  if (!block) return run_([answered, why = block.error().message()] { answered({BlockCheck::kInvalid, why}); });
  checkers_[checker]->check(std::move(block->bytes), [run = run_, answered](CheckAnswer answer) {
    run([answered, answer = std::move(answer)] { answered(answer); });
  });
}

// ---- Declarator

Declarator::Declarator(DeclaratorOptions options)
    : options_(with_mempool(std::move(options))),
      checks_(options_.checkers, options_.max_queued_checks,
              [this](std::function<void()> what) { keeper_.post(std::move(what)); }) {}

// NOLINTNEXTLINE(bugprone-exception-escape): a lock that fails here leaves nothing to go on with
Declarator::~Declarator() { stop(); }

void Declarator::start() {
  keeper_.start();
  for (const auto& checker : options_.checkers) checker->start();
}

void Declarator::stop() {
  if (stopped_.exchange(true)) return;
  for (const auto& checker : options_.checkers) checker->stop();
  keeper_.finish();
}

void Declarator::on_template(const bitcoin::TemplatePtr& made, templates::TemplateSource& source, Know know) {
  keeper_.post([this, prev_hash = made->prev_hash] { checks_.set_tip(prev_hash); });
  source.transactions(made->id,
                      [weak = weak_from_this(), know = std::move(know)](Result<templates::TemplateSource::Transactions> found) {
                        const auto self = weak.lock();
                        if (!self || !found || *found == nullptr) return;  // The next template brings them.
                        self->keeper_.post([weak, transactions = *std::move(found), know] {
                          if (const auto alive = weak.lock()) alive->learn(transactions, know);
                        });
                      });
}

void Declarator::learn(const templates::TemplateSource::Transactions& transactions, const Know& know) {
  if (!stopped_) know(read_all(*transactions));
}

void Declarator::find(std::vector<bitcoin::Hash256> wtxids, Found done) {
  const auto able = std::ranges::find_if(options_.checkers, [](const auto& one) { return one->can_find(); });
  if (able == options_.checkers.end()) return keeper_.post([done = std::move(done)] { done(read_all({})); });
  (*able)->find(std::move(wtxids), [this, done = std::move(done)](std::vector<std::vector<std::uint8_t>> found) mutable {
    keeper_.post([this, found = std::move(found), done = std::move(done)] {
      if (!stopped_) done(read_all(found));
    });
  });
}

void Declarator::check(declaration::DeclaredJobPtr job, std::string source, CheckQueue::Done done) {
  keeper_.post([this, job = std::move(job), source = std::move(source), done = std::move(done)]() mutable {
    if (!stopped_) checks_.add(std::move(job), source, std::move(done));
  });
}

}  // namespace adit::pool
