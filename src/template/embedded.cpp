#include "template/embedded.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <mutex>
#include <thread>
#include <utility>

#include "bitcoin/u256.h"
#include "template/template_store.h"

namespace adit::templates {
namespace {

namespace asio = boost::asio;

// About a second of one slow core; a target beyond that cannot give a block every few seconds.
constexpr double kMaxHashesPerBlock = 1 << 20;

}  // namespace

// Everything but the mutex-guarded snapshot is touched by the thread alone once it runs.
class EmbeddedSource::Driver {
 public:
  explicit Driver(Options options) : options_(std::move(options)), chain_(options_.chain) {
    snapshot_.blocks.assign(chain_.blocks().begin(), chain_.blocks().end());
  }
  // NOLINTNEXTLINE(bugprone-exception-escape): only memory running out
  ~Driver() { stop(); }
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  Result<> start(SourceEvents events) {
    ADIT_CHECK(check(options_));
    events_ = std::move(events);
    snapshot_.status.not_ready_since = now_from_system().instant;
    asio::post(context_, [this] { begin(); });
    thread_ = std::thread([this] { context_.run(); });
    return {};
  }

  Result<> submit(TemplateId id, BlockSolution solution) {
    ADIT_TRY(const TemplatePtr made, store_.find(id));
    ADIT_CHECK(bitcoin::solved_header(*made, solution));
    count_in();
    asio::post(context_, [this, made, solution = std::move(solution)] {
      if (const auto block = bitcoin::assemble_block(*made, solution)) judge(*block);
    });
    return {};
  }

  void submit(FoundBlock block) {
    count_in();
    asio::post(context_, [this, block = std::move(block)] { judge(block); });
  }

  const TemplateStore& store() const { return store_; }

  // What was submitted is judged first.
  void stop() {
    asio::post(context_, [this] { context_.stop(); });
    if (thread_.joinable()) thread_.join();
  }

  SourceStatus status() const {
    const std::lock_guard lock(mutex_);
    return snapshot_.status;
  }

  std::vector<ChainBlock> blocks() const {
    const std::lock_guard lock(mutex_);
    return snapshot_.blocks;
  }

 private:
  struct Snapshot {
    SourceStatus status;
    std::vector<ChainBlock> blocks;
  };

  static UnixTime now() { return now_from_system().unix_time; }

  void count_in() {
    const std::lock_guard lock(mutex_);
    ++snapshot_.status.blocks_unanswered;
  }

  void begin() {
    publish(true);
    if (events_.on_status) events_.on_status(status());
    if (options_.new_tip_every > Duration{0}) find_tips();
  }

  void publish(bool new_tip) {
    Template work = chain_.make_template(now());
    if (events_.next_template_id) work.id = events_.next_template_id();
    const auto made = std::make_shared<const Template>(std::move(work));
    const Instant instant = now_from_system().instant;
    store_.add(made, new_tip, instant);
    {
      const std::lock_guard lock(mutex_);
      snapshot_.status.state = SourceState::kReady;
      snapshot_.status.not_ready_since.reset();
      snapshot_.status.template_at = instant;
      snapshot_.status.height = made->height;
      snapshot_.status.nbits = made->nbits;
      snapshot_.status.coinbase_value_sat = made->coinbase_value_sat;
      ++snapshot_.status.templates;
      if (new_tip) snapshot_.blocks.assign(chain_.blocks().begin(), chain_.blocks().end());
    }
    events_.on_template(made, new_tip);
    refresh_.expires_after(options_.refresh_every);
    refresh_.async_wait([this](boost::system::error_code error) {
      if (!error) publish(false);
    });
  }

  void find_tips() {
    other_miner_.expires_after(options_.new_tip_every);
    other_miner_.async_wait([this](boost::system::error_code error) {
      if (error) return;
      // A hundred times the mean: all but never too few. Then the tip comes one turn later.
      if (chain_.mine(options_.other_miners_script, now(), static_cast<std::uint64_t>(100 * kMaxHashesPerBlock))) publish(true);
      find_tips();
    });
  }

  void judge(const FoundBlock& block) {
    Chain::Judgement judgement = chain_.submit(block.bytes, now());
    const bool accepted = judgement.verdict == BlockVerdict::kAccepted;
    {
      const std::lock_guard lock(mutex_);
      --snapshot_.status.blocks_unanswered;
      ++(accepted || judgement.verdict == BlockVerdict::kDuplicate ? snapshot_.status.blocks_accepted
                                                                   : snapshot_.status.blocks_rejected);
      ledger::remember(snapshot_.status.answered, {block.hash, block.height, judgement.verdict, judgement.reason, ""}, now());
    }
    // The new tip first: every share on the old one is stale from here on.
    if (accepted) publish(true);
    if (events_.on_block_kept) events_.on_block_kept(block.hash);
    if (events_.on_block_result) {
      events_.on_block_result({block.hash, block.height, judgement.verdict, std::move(judgement.reason), ""});
    }
  }

  const Options options_;
  Chain chain_;
  SourceEvents events_;
  TemplateStore store_;
  asio::io_context context_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{context_.get_executor()};
  asio::steady_timer refresh_{context_};
  asio::steady_timer other_miner_{context_};
  mutable std::mutex mutex_;
  Snapshot snapshot_;
  std::thread thread_;
};

Result<> EmbeddedSource::check(const Options& options) {
  const auto target = bitcoin::target_from_compact(options.chain.nbits);
  if (!target || *target == bitcoin::U256()) {
    return fail(Errc::kConfiguration, "nbits of the embedded chain stands for no target: regtest's is 207fffff");
  }
  if (options.new_tip_every > Duration{0} && bitcoin::expected_hashes(*target) > kMaxHashesPerBlock) {
    return fail(Errc::kConfiguration,
                "the embedded chain can find new tips by itself only on an easy nbits, such as regtest's 207fffff");
  }
  return {};
}

EmbeddedSource::EmbeddedSource(Options options) : driver_(std::make_unique<Driver>(std::move(options))) {}
EmbeddedSource::~EmbeddedSource() = default;
Result<> EmbeddedSource::start(SourceEvents events) { return driver_->start(std::move(events)); }
Result<> EmbeddedSource::submit(TemplateId id, BlockSolution solution) { return driver_->submit(id, std::move(solution)); }
void EmbeddedSource::submit_block(FoundBlock block) { driver_->submit(std::move(block)); }
void EmbeddedSource::constrain(CoinbaseConstraints) {}
void EmbeddedSource::transactions(TemplateId id, std::function<void(Result<Transactions>)> done) {
  driver_->store().transactions(id, done);
}
SourceStatus EmbeddedSource::status() const { return driver_->status(); }
void EmbeddedSource::stop() { driver_->stop(); }
std::vector<ChainBlock> EmbeddedSource::blocks() const { return driver_->blocks(); }

}  // namespace adit::templates
