#include "template/sv2_source.h"

#include <atomic>
#include <map>
#include <mutex>
#include <utility>

#include "bitcoin/block.h"
#include "log/log.h"
#include "template/status_board.h"
#include "template/whole_block.h"

namespace adit::templates {
namespace {

using FetchedTransactions = Fetched<TemplateSource::Transactions>;

}  // namespace

// The mutex guards what is fetched. Templates and states come on the shard's thread.
class Sv2Source::Driver : public std::enable_shared_from_this<Driver> {
 public:
  Driver(std::shared_ptr<Sv2Link> link, ledger::BlockSubmitter& blocks) : link_(std::move(link)), blocks_(blocks) {}

  void start(SourceEvents events) {
    events_ = std::move(events);
    board_.start(link_->name(), now_from_system().instant);
    link_->start();
    // Observers are let go of before the source is gone.
    link_->observe({.on_template = [this](const TemplatePtr& made, bool new_tip) { on_template(made, new_tip); },
                    .on_away =
                        [this](const Error& why, bool needs_somebody) {
                          change_status(needs_somebody ? SourceState::kMisconfigured : SourceState::kWaiting, why.message());
                        },
                    .next_template_id = events_.next_template_id});
  }

  // The second call may be a destructor's, on whatever thread.
  void stop() {
    if (!stopped_.exchange(true)) link_->unobserve();
  }

  Result<> submit(TemplateId id, BlockSolution solution) {
    ADIT_TRY(const TemplatePtr made, link_->store().find(id));
    ADIT_TRY(const bitcoin::BlockHeader header, bitcoin::solved_header(*made, solution));
    link_->solve(made, solution);
    auto fetched = made->merkle_path.empty() ? nullptr : transactions_of(made);
    return blocks_.submit(header.hash(), made->height,
                          [made, solution = std::move(solution), fetched = std::move(fetched),
                           deadline = 2 * link_->config().client.transactions_deadline]() -> Result<FoundBlock> {
                            if (fetched == nullptr) return bitcoin::assemble_block(*made, solution);
                            auto transactions = fetched->wait(deadline);
                            if (!transactions) return fail(without_transactions(transactions.error()));
                            Template whole = *made;
                            whole.transactions = **transactions;
                            return bitcoin::assemble_block(whole, solution);
                          });
  }

  void constrain(CoinbaseConstraints constraints) { link_->constrain(constraints); }

  void transactions(TemplateId id, std::function<void(Result<Transactions>)> done) {
    auto made = link_->store().find(id);
    if (!made) return done(fail(std::move(made.error())));
    transactions_of(*made)->when_set([weak = weak_from_this(), done = std::move(done)](const Result<Transactions>& found) {
      if (const auto self = weak.lock(); self && !self->stopped_) done(Result<Transactions>(found));
    });
  }

  [[nodiscard]] SourceStatus status() const { return board_.status(); }

 private:
  struct Entry {
    std::weak_ptr<const Template> made;
    std::shared_ptr<FetchedTransactions> fetched;
  };

  static Error without_transactions(const Error& why) {
    return {why.is(Errc::kTimedOut) ? Errc::kTimedOut : Errc::kUnreachable,
            "the provider has the block as a solution; no other node and no file gets it, because its transactions are not "
            "here: " +
                why.message()};
  }

  void on_template(const TemplatePtr& made, bool new_tip) {
    board_.note_template(*made, std::nullopt, now_from_system().instant);
    change_status(SourceState::kReady, "");
    events_.on_template(made, new_tip);
    if (link_->config().fetch_transactions && !made->merkle_path.empty()) transactions_of(made);
  }

  /// Those that were asked for already, unless that failed; else they are asked for.
  std::shared_ptr<FetchedTransactions> transactions_of(const TemplatePtr& made) {
    auto fetched = std::make_shared<FetchedTransactions>();
    {
      const std::lock_guard lock(mutex_);
      std::erase_if(entries_, [](const auto& one) { return one.second.made.expired(); });
      Entry& entry = entries_[made->id];
      if (entry.fetched != nullptr && !entry.fetched->is_error()) return entry.fetched;
      entry = {made, fetched};
    }
    link_->fetch(made, [fetched, name = link_->name(), height = made->height](Result<Transactions> found) {
      if (!found) {
        log::warn("template.transactions_missing", {{"node", name}, {"height", height}, {"message", found.error().message()}});
      }
      fetched->set(std::move(found));
    });
    return fetched;
  }

  void change_status(SourceState state, std::string message) {
    if (board_.change(state, std::move(message), now_from_system().instant) && events_.on_status) events_.on_status(status());
  }

  const std::shared_ptr<Sv2Link> link_;
  ledger::BlockSubmitter& blocks_;
  SourceEvents events_;
  StatusBoard board_;
  std::atomic<bool> stopped_ = false;
  std::mutex mutex_;
  std::map<TemplateId, Entry> entries_;
};

Sv2Source::Sv2Source(std::shared_ptr<Sv2Link> link, ledger::BlockSubmitter& blocks)
    : driver_(std::make_shared<Driver>(std::move(link), blocks)) {}
Sv2Source::~Sv2Source() { Sv2Source::stop(); }
Result<> Sv2Source::start(SourceEvents events) {
  driver_->start(std::move(events));
  return {};
}
Result<> Sv2Source::submit(TemplateId id, BlockSolution solution) { return driver_->submit(id, std::move(solution)); }
void Sv2Source::constrain(CoinbaseConstraints constraints) { driver_->constrain(constraints); }
void Sv2Source::transactions(TemplateId id, std::function<void(Result<Transactions>)> done) {
  driver_->transactions(id, std::move(done));
}
SourceStatus Sv2Source::status() const { return driver_->status(); }
void Sv2Source::stop() { driver_->stop(); }

}  // namespace adit::templates
