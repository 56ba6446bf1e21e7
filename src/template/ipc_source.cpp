#include "template/ipc_source.h"

#include <boost/json/array.hpp>
#include <boost/json/string.hpp>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <utility>

#include "base/hex.h"
#include "bitcoin/block.h"
#include "log/log.h"
#include "template/ipc_template.h"
#include "template/node_clock.h"
#include "template/node_info.h"
#include "template/status_board.h"
#include "template/template_store.h"
#include "template/whole_block.h"

namespace adit::templates {
namespace {

namespace json = boost::json;

constexpr Duration kShortestWait = std::chrono::milliseconds(1);

Instant steady_now() { return now_from_system().instant; }

/// A template with its transactions, which may still be on their way.
struct FetchedTemplate : Template {
  std::shared_ptr<WholeBlock> whole = std::make_shared<WholeBlock>();
};
using FetchedPtr = std::shared_ptr<const FetchedTemplate>;

SourceState state_after(const Error& error) {
  return is_misconfigured(error) ? SourceState::kMisconfigured : SourceState::kWaiting;
}

Result<TemplateSource::Transactions> transactions_in(const std::vector<std::uint8_t>& block) {
  ADIT_TRY(const bitcoin::BlockView view, bitcoin::parse_block(block));
  auto transactions = std::make_shared<std::vector<std::vector<std::uint8_t>>>();
  transactions->reserve(view.transactions.size() - 1);
  for (std::size_t i = 1; i < view.transactions.size(); ++i) {
    transactions->emplace_back(view.transactions[i].begin(), view.transactions[i].end());
  }
  return transactions;
}

}  // namespace

// On the link's thread, but for what any thread may call; the mutex guards the constraints. Answers may come
// when the source is stopped or gone: they hold it weakly.
class IpcSource::Driver : public std::enable_shared_from_this<IpcSource::Driver> {
 public:
  Driver(std::shared_ptr<IpcLink> link, ledger::BlockSubmitter& blocks)
      : link_(std::move(link)), config_(link_->config()), blocks_(blocks), clock_(link_->name()) {}

  Result<> start(SourceEvents events) {
    events_ = std::move(events);
    board_.start(link_->name(), steady_now());
    ADIT_CHECK(link_->start());
    link_->observe({.on_there = [this](const IpcLink::Info& info) { on_there(info); },
                    .on_away = [this](const Error& error) { on_away(error); },
                    .on_waiting = [this](const std::string& message) { change_status(SourceState::kWaiting, message); }});
    return {};
  }

  void stop() {
    node().post([self = shared_from_this()] {
      self->stopped_ = true;
      if (self->waiting_) self->node().interrupt_wait(self->waits_on());
      self->newest_.reset();
      self->empty_.reset();
    });
    link_->unobserve();
  }

  Result<> submit(TemplateId id, BlockSolution solution) {
    ADIT_TRY(const TemplatePtr found, store_.find(id));
    const auto made = std::static_pointer_cast<const FetchedTemplate>(found);
    ADIT_TRY(const bitcoin::BlockHeader header, bitcoin::solved_header(*made, solution));
    ADIT_TRY(solution.coinbase, bitcoin::complete_coinbase(*made, solution.coinbase));
    const Hash256 hash = header.hash();
    node().post([link = link_.get(), hash, id, solution] { link->solve(hash, id, solution); });
    return blocks_.submit(hash, made->height,
                          [made, solution = std::move(solution), deadline = config_.call_deadline]() -> Result<FoundBlock> {
                            if (made->merkle_path.empty()) return bitcoin::assemble_block(*made, solution);
                            ADIT_TRY(const WholeBlock::Bytes whole, made->whole->wait(deadline));
                            return bitcoin::assemble_block(*made, solution, *whole);
                          });
  }

  void constrain(CoinbaseConstraints constraints) {
    {
      const std::lock_guard lock(mutex_);
      constraints_ = constraints;
      ++constrained_;
    }
    node().post([weak = weak_from_this()] {
      const auto self = weak.lock();
      if (!self) return;
      if (self->config_.empty_first) {
        if (self->newest_ != nullptr) self->create();
      } else if (self->waiting_) {
        self->node().interrupt_wait(self->newest_);
      }
    });
  }

  void transactions(TemplateId id, std::function<void(Result<Transactions>)> done) {
    auto found = store_.find(id);
    if (!found) return done(fail(std::move(found.error())));
    const auto made = std::static_pointer_cast<const FetchedTemplate>(*found);
    if (made->merkle_path.empty()) return done(std::make_shared<const std::vector<std::vector<std::uint8_t>>>());
    made->whole->when_set([weak = weak_from_this(), done = std::move(done)](const Result<WholeBlock::Bytes>& whole) {
      const auto self = weak.lock();
      if (!self || self->stopped_) return;
      if (!whole) return done(fail(Error(whole.error())));
      done(transactions_in(**whole));
    });
  }

  SourceStatus status() const { return board_.status(); }

 private:
  using Data = ipc::TemplateData;

  ipc::Node& node() { return link_->node(); }

  /// `then` as an answer's callback: it runs while the node is there without interruption and the source is not stopped.
  template <class T>
  auto if_still_there(void (Driver::*then)(Result<T>)) {
    return [weak = weak_from_this(), session = session_, then](Result<T> result) {
      const auto self = weak.lock();
      if (self && self->is_current(session)) (self.get()->*then)(std::move(result));
    };
  }
  void after(Duration wait, void (Driver::*then)()) {
    node().post_after(wait, [weak = weak_from_this(), session = session_, then] {
      const auto self = weak.lock();
      if (self && self->is_current(session)) (self.get()->*then)();
    });
  }
  [[nodiscard]] bool is_current(std::uint64_t session) const { return !stopped_ && session == session_; }

  void on_there(const IpcLink::Info& info) {
    ++session_;
    info_ = info;
    begin();
  }

  void on_away(const Error& error) {
    ++session_;
    waiting_ = false;
    creating_ = false;
    create_again_ = false;
    watching_ = false;
    newest_.reset();
    empty_.reset();
    change_status(state_after(error), error.message());
  }

  /// What breaks a call but not the connection passes by itself, or is told again and again.
  void on_failure(const Error& error) {
    if (!error.is(ipc::Errc::kRefused) && !error.is(ipc::Errc::kUnsupported)) return link_->give_up(error);
    if (config_.empty_first) newest_.reset();  // So that the next one is told, whatever it is worth.
    change_status(SourceState::kWaiting, error.message());
    after(config_.pause, &Driver::begin);
  }

  /// A node in its initial block download has no use for templates; on a chain that one mines by oneself it may never leave it.
  void begin() {
    const auto network = info_.chain.empty() ? config_.network : bitcoin::network_from_name(info_.chain);
    cooldown_ = network != bitcoin::Network::kRegtest && network != bitcoin::Network::kSignet;
    if (!cooldown_) return create();
    node().is_initial_download(if_still_there<bool>(&Driver::on_initial_download));
  }

  void on_initial_download(Result<bool> answer) {
    if (!answer) return on_failure(answer.error());
    if (!*answer) return create();
    tell_progress();
    after(config_.look_again_every, &Driver::begin);
  }

  /// The node is there, and behind its chain.
  void tell_progress() {
    const std::string message = "the node at " + link_->name() + " is downloading the chain";
    if (!info_.has_rpc) return change_status(SourceState::kWaiting, message);
    link_->rpc("getblockchaininfo", {}, [weak = weak_from_this(), session = session_, message](Result<json::value> answer) {
      const auto self = weak.lock();
      if (!self || !self->is_current(session) || self->newest_ != nullptr) return;
      const auto chain = answer ? parse_chain_info(*answer) : Result<ChainInfo>(ChainInfo{});
      self->change_status(SourceState::kWaiting, message + (chain ? progress_of(*chain) : ""));
    });
  }

  void create() {
    create_again_ = creating_;
    if (creating_) return;
    creating_ = true;
    ipc::CreateOptions options;
    {
      const std::lock_guard lock(mutex_);
      options = create_options(constraints_);
      made_for_ = constrained_;
    }
    made_on_ = tips_;
    // A node that has given a template had caught up then: it is not to hold one back for a header that came since.
    options.cooldown = cooldown_ && newest_ == nullptr;
    if (!options.cooldown) options.deadline = config_.call_deadline;
    if (options.cooldown) after(config_.behind_after, &Driver::tell_if_behind);
    node().create_template(options, if_still_there<Data>(&Driver::on_created));
  }

  void tell_if_behind() {
    if (newest_ == nullptr) tell_progress();
  }

  void on_created(Result<Data> made) {
    if (made && config_.empty_first) return on_full(std::move(*made));
    creating_ = false;
    if (!made) return on_failure(made.error());
    take(std::move(*made), true);
  }

  // Where the empty template comes first, the node waits for tips on a template without transactions: the next one is of its
  // kind, and costs it nothing. The full ones are asked for, on each tip and then for their fees.

  [[nodiscard]] const ipc::TemplateHandle& waits_on() const { return config_.empty_first ? empty_ : newest_; }

  [[nodiscard]] bool is_on_tip(const Data& data) const {
    return prev_hash_ && data.header.prev_hash == *prev_hash_ && data.header.nbits == nbits_;
  }

  void on_full(Data data) {
    if (!is_on_tip(data) && made_on_ != tips_) {
      // The tip that was told while the node made it is the newer one.
      creating_ = false;
      return create();
    }
    if (is_worth_telling(data)) return take(std::move(data), true);
    told_full_ = true;
    after_full();
  }

  [[nodiscard]] bool is_worth_telling(const Data& data) const {
    if (newest_ == nullptr || !is_on_tip(data) || made_for_ != told_for_) return true;
    if (!told_full_) return !data.merkle_path.empty();
    return data.coinbase.value_sat >= value_ + config_.fee_threshold_sat;
  }

  void after_full() {
    creating_ = false;
    if (!watching_) make_empty();
    if (std::exchange(create_again_, false) || is_to_be_made_anew()) return create();
    const Instant now = steady_now();
    const Duration wait = std::max<Duration>(config_.pause, config_.min_interval - (now - fees_told_));
    look_at_ = now + wait;
    after(wait, &Driver::look_at_fees);
  }

  void look_at_fees() {
    // A timer that was set before the newest one does nothing; that one may come a moment early, by another reading of the
    // clock.
    constexpr auto kEarly = std::chrono::milliseconds(5);
    if (creating_ || steady_now() + kEarly < look_at_) return;
    create();
  }

  void make_empty() {
    watching_ = true;
    ipc::CreateOptions options = create_options({});
    options.use_mempool = false;
    options.cooldown = false;
    options.deadline = config_.call_deadline;
    node().create_template(options, if_still_there<Data>(&Driver::on_empty));
  }

  void on_empty(Result<Data> made) {
    if (!made) {
      watching_ = false;
      return on_failure(made.error());
    }
    hold_empty(*made);
    if (is_on_tip(*made)) return wait_for_tip();
    take(std::move(*made), false);
  }

  void hold_empty(const Data& data) {
    empty_ = data.handle;
    empty_on_ = data.header.prev_hash;
  }

  void wait_for_tip() {
    waits_since_ = steady_now();
    waiting_ = true;
    node().wait_next(empty_, {.timeout = config_.wait_slice, .fee_threshold = std::nullopt},
                     if_still_there<std::optional<Data>>(&Driver::on_next_tip));
  }

  void on_next_tip(Result<std::optional<Data>> next) {
    waiting_ = false;
    if (!next) {
      watching_ = false;
      empty_.reset();
      return on_failure(next.error());
    }
    if (*next) {
      const bool moved = (*next)->header.prev_hash != empty_on_;
      hold_empty(**next);
      if (!is_on_tip(**next)) return take(std::move(**next), false);
      if (moved) return wait_for_tip();  // A full one was there before it.
    }
    // A node that shuts down, and a testnet's after twenty minutes without a block, answer again and again.
    const bool early = steady_now() - waits_since_ < config_.wait_slice;
    return early ? after(config_.pause, &Driver::wait_for_tip) : wait_for_tip();
  }

  void wait() {
    if (is_to_be_made_anew()) return create();
    const Instant now = steady_now();
    const Duration left = config_.min_interval - (now - fees_told_);
    ipc::WaitOptions options{.timeout = config_.wait_slice, .fee_threshold = config_.fee_threshold_sat};
    if (left > Duration::zero())
      options = {.timeout = std::clamp(left, kShortestWait, config_.wait_slice), .fee_threshold = std::nullopt};
    waits_until_ = now + options.timeout;
    waits_since_ = now;
    waiting_ = true;
    node().wait_next(newest_, options, if_still_there<std::optional<Data>>(&Driver::on_next));
  }

  void on_next(Result<std::optional<Data>> next) {
    waiting_ = false;
    if (!next) {
      if (next.error().is(ipc::Errc::kRefused)) newest_.reset();
      return on_failure(next.error());
    }
    const Instant now = steady_now();
    if (!*next) {
      // A node that shuts down answers at once, again and again.
      const bool early = now < waits_until_ && !is_to_be_made_anew();
      return early ? after(config_.pause, &Driver::wait) : wait();
    }
    const Data& data = **next;
    const bool same_tip = data.header.prev_hash == prev_hash_ && data.header.nbits == nbits_;
    if (same_tip && data.coinbase.value_sat < value_ + config_.fee_threshold_sat) {
      // Testnets' templates of the least difficulty come every second without news.
      return now - waits_since_ < config_.pause / 2 ? after(config_.pause, &Driver::wait) : wait();
    }
    take(std::move(**next), true);
  }

  [[nodiscard]] bool is_to_be_made_anew() const {
    const std::lock_guard lock(mutex_);
    return made_for_ != constrained_;
  }

  /// Tells the template, once what it depends on is known. `full`: with the transactions that the node has.
  void take(Data data, bool full) {
    const bool tip_known = tip_ && tip_->hash == data.header.prev_hash;
    if (!info_.has_rpc || tip_known || !needs_tip_times(data, info_.chain, now_from_system()))
      return publish(std::move(data), full);
    json::array params;
    params.emplace_back(to_hex_reversed(data.header.prev_hash));
    link_->rpc("getblockheader", std::move(params),
               [weak = weak_from_this(), session = session_, data = std::move(data), full](Result<json::value> header) {
                 const auto self = weak.lock();
                 if (!self || !self->is_current(session)) return;
                 const auto time = header ? integer_in(*header, "time") : std::nullopt;
                 const auto median = header ? integer_in(*header, "mediantime") : std::nullopt;
                 const auto fits = [](std::optional<std::int64_t> value) {
                   return value && *value >= 0 && *value < UINT32_MAX;
                 };
                 // A node that does not tell leaves it unknown, which costs precision alone.
                 if (fits(time) && fits(median)) {
                   self->tip_ =
                       TipTimes{data.header.prev_hash, static_cast<std::uint32_t>(*time), static_cast<std::uint32_t>(*median)};
                 }
                 self->publish(data, full);
               });
  }

  void publish(Data data, bool full) {
    const Now now = now_from_system();
    auto block_template = make_template(data, info_.chain, tip_, now);
    if (!block_template) return link_->give_up(block_template.error());
    const auto made = std::make_shared<FetchedTemplate>();
    static_cast<Template&>(*made) = std::move(*block_template);
    const bool new_tip = !is_on_tip(data);
    // Of a first one fees have to rise before the next; one that follows on the empty one, or is for other constraints, changes
    // nothing of that.
    if (newest_ == nullptr || (full && told_full_ && !new_tip && told_for_ == made_for_)) fees_told_ = now.instant;
    if (new_tip) ++tips_;
    told_full_ = full;
    if (full) told_for_ = made_for_;
    made->id = events_.next_template_id ? events_.next_template_id() : ++last_id_;
    prev_hash_ = made->prev_hash;
    nbits_ = made->nbits;
    value_ = made->coinbase_value_sat;
    newest_ = std::move(data.handle);
    link_->hold(made->id, newest_, made);
    store_.add(made, new_tip, now.instant);
    const std::uint32_t least = tip_ && tip_->hash == made->prev_hash ? tip_->median_time + 1 : 0;
    const auto clock_ahead = clock_.note(made->current_time, least, now);
    board_.note_template(*made, clock_ahead, now.instant);
    change_status(SourceState::kReady, info_.caution);
    events_.on_template(made, new_tip);
    fetch_transactions(*made);
    if (!config_.empty_first) return wait();
    if (full) return after_full();
    wait_for_tip();
    create();
  }

  void fetch_transactions(const FetchedTemplate& made) {
    if (made.merkle_path.empty()) return;  // It has none.
    node().get_block(
        newest_, [whole = made.whole, weak = weak_from_this(), session = session_](Result<std::vector<std::uint8_t>> block) {
          if (block) return whole->set(std::make_shared<const std::vector<std::uint8_t>>(std::move(*block)));
          const Error error = block.error();
          whole->set(fail(Error(error)));
          const auto self = weak.lock();
          if (!self || !self->is_current(session)) return;
          if (!error.is(ipc::Errc::kRefused)) return self->link_->give_up(error);
          // Its blocks reach the node by their solutions, and no other node.
          log::warn("template.transactions_missing", {{"node", self->link_->name()}, {"message", error.message()}});
        });
  }

  void change_status(SourceState state, std::string message) {
    if (stopped_) return;
    if (board_.change(state, std::move(message), steady_now()) && events_.on_status) events_.on_status(status());
  }

  const std::shared_ptr<IpcLink> link_;
  const IpcConfig& config_;
  ledger::BlockSubmitter& blocks_;
  SourceEvents events_;
  TemplateStore store_;

  // Of the link's thread.
  std::atomic<bool> stopped_ = false;  ///< Read on any thread.
  std::uint64_t session_ = 0;          ///< Of the node's being there or away.
  IpcLink::Info info_;
  bool cooldown_ = true;
  bool waiting_ = false;        ///< For the template after `newest_`.
  ipc::TemplateHandle newest_;  ///< Of the newest template that was told; null before the first of a connection.
  bool creating_ = false;       ///< Under way: createNewBlock for a full template.
  bool create_again_ = false;   ///< When that is over.
  std::uint64_t tips_ = 0;      ///< How many were told.
  std::uint64_t made_on_ = 0;   ///< `tips_` when the newest full template was asked for.
  Instant waits_since_{};
  Instant waits_until_{};
  Instant fees_told_{};               ///< When a template was told for its fees, or as the first.
  std::optional<Hash256> prev_hash_;  ///< Of the newest template.
  std::uint32_t nbits_ = 0;           ///< Likewise.
  std::uint64_t value_ = 0;           ///< Likewise: subsidy and fees.
  std::optional<TipTimes> tip_;       ///< Of a block that was asked about.
  std::uint64_t made_for_ = 0;        ///< `constrained_` when the newest template was asked for.

  // Where the empty template comes first.
  ipc::TemplateHandle empty_;   ///< That the node waits on for the next tip.
  Hash256 empty_on_{};          ///< Its previous hash.
  bool watching_ = false;       ///< It does, or is about to.
  bool told_full_ = false;      ///< The newest template that was told is a full one, or there are no transactions.
  std::uint64_t told_for_ = 0;  ///< `made_for_` of the newest full template that was told.
  Instant look_at_{};           ///< When fees are due to be looked at.

  NodeClock clock_;
  TemplateId last_id_ = 0;

  StatusBoard board_;
  mutable std::mutex mutex_;
  CoinbaseConstraints constraints_;
  std::uint64_t constrained_ = 1;  ///< How often constraints were told, and one.
};

IpcSource::IpcSource(std::shared_ptr<IpcLink> link, ledger::BlockSubmitter& blocks)
    : driver_(std::make_shared<Driver>(std::move(link), blocks)) {}
IpcSource::~IpcSource() { IpcSource::stop(); }
Result<> IpcSource::start(SourceEvents events) { return driver_->start(std::move(events)); }
Result<> IpcSource::submit(TemplateId id, BlockSolution solution) { return driver_->submit(id, std::move(solution)); }
void IpcSource::constrain(CoinbaseConstraints constraints) { driver_->constrain(constraints); }
void IpcSource::transactions(TemplateId id, std::function<void(Result<Transactions>)> done) {
  driver_->transactions(id, std::move(done));
}
SourceStatus IpcSource::status() const { return driver_->status(); }
void IpcSource::stop() { driver_->stop(); }

}  // namespace adit::templates
