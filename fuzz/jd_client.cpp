// A pool and a job declarator that say anything to one job declarator client, in any order, over time, while our node and the
// miners go on. Held all the while: the miners' job is on our node's newest tip, or it is the pool's own on a newer one; a
// share goes up only for a job that the pool has acknowledged in this session, with as many bytes of extranonce as it granted;
// what goes to the declarator is a client's; of each share it is known what became of it.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string_view>
#include <vector>

#include "base/require_testing.h"
#include "bitcoin/coinbase.h"
#include "input.h"
#include "roles/jd_client/engine.h"
#include "wire/messages.h"

namespace {

using namespace adit;
using fuzz::Input;
using jd_client::Engine;
using jd_client::EngineOptions;
using jd_client::Mode;

constexpr std::uint32_t kNtime = 1'700'000'000;

class World : public jd_client::EngineEvents {
 public:
  explicit World(Bytes bytes) : input_(bytes) {
    EngineOptions options;
    const std::uint8_t choice = input_.next();
    options.mode = (choice & 1) != 0 ? Mode::kCoinbaseOnly : Mode::kFullTemplate;
    options.solo_script = {0x51};
    options.signature = "f";
    options.max_waiting_shares = (choice & 2) != 0 ? 2 : 64;
    options.follow_pool_tip = follows_ = (choice & 8) != 0;
    engine_ = std::make_unique<Engine>(std::move(options), *this);
    if ((choice & 4) != 0) return;
    // The way to an acknowledged job is long: mostly it is gone for the input.
    publish(1);
    begin_pool();
    open(16);
    begin_declarator();
    look();
    give_token(one_of(asks_), {{.value_sat = 0, .script = {0x52}}});
  }

  void run() {
    while (!input_.empty()) {
      step();
      look();
      check();
    }
  }

 private:
  std::size_t pick(std::size_t below) { return input_.next() % below; }

  void step() {
    switch (pick(16)) {
      case 0:
        return publish(++tip_);
      case 1:
        return publish(tip_);
      case 2:
        if (!in_pool_) return begin_pool();
        return pick(4) == 0 ? lose() : void();
      case 3:
        if (in_pool_) begin_declarator();
        return;
      case 4:
        if (pick(4) == 0) engine_->on_declarator_lost(now_);
        return;
      case 5: {
        now_.instant += std::chrono::milliseconds(input_.next() * 64);
        engine_->on_time(now_);
        const bool well = engine_->on_tick(1e6, now_).has_value() && !engine_->fault();
        if (!engine_->on_declarator_tick(now_)) engine_->on_declarator_lost(now_);
        if (!well) lose();
        return;
      }
      case 6:
      case 7:
        return find_share();
      case 8:
        // A second one is refused and ends the session.
        return granted_ == 0 || pick(16) == 0 ? open(static_cast<std::uint16_t>(12 + pick(20))) : find_share();
      case 9: {
        if (sets_.empty()) return;
        const auto at = std::next(sets_.begin(), static_cast<std::ptrdiff_t>(pick(sets_.size())));
        const std::uint32_t request = *at;
        sets_.erase(at);
        if (pick(4) == 0)
          return to_engine(wire::SetCustomMiningJobError{.channel_id = 2, .request_id = request, .error_code = code()});
        const auto job = static_cast<std::uint32_t>(pick(6));
        acknowledged_.insert(job);
        return to_engine(wire::SetCustomMiningJobSuccess{.channel_id = 2, .request_id = request, .job_id = job});
      }
      case 10:
        return to_engine(wire::SetExtranoncePrefix{.channel_id = 2, .extranonce_prefix = input_.take(pick(14))});
      case 11: {
        if (follows_ && pick(4) != 0) return pools_own_job();
        wire::SetTarget target{.channel_id = 2};
        target.maximum_target.fill(input_.next());
        return to_engine(target);
      }
      case 12:
        return give_token(one_of(asks_),
                          {{.value_sat = pick(32) == 0 ? 1U : 0U, .script = {static_cast<std::uint8_t>(pick(2))}}});
      case 13: {
        const std::uint32_t request = one_of(declares_);
        if (pick(4) == 0)
          return to_declarator(wire::DeclareMiningJobError{.request_id = request, .error_code = code(), .error_details = {}});
        return to_declarator(
            wire::DeclareMiningJobSuccess{.request_id = request, .new_mining_job_token = input_.take(pick(9))});
      }
      case 14: {
        std::vector<std::uint16_t> positions(pick(3));
        for (std::size_t i = 0; i < positions.size(); ++i)
          positions[i] = static_cast<std::uint16_t>(pick(16) == 0 ? pick(8) : i);
        const std::uint32_t request = one_of(declares_);
        declares_.insert(request);
        return to_declarator(wire::ProvideMissingTransactions{.request_id = request, .unknown_tx_position_list = positions});
      }
      default: {
        wire::FrameBuffer buffer;
        if (pick(4) != 0) return find_share();
        const std::uint8_t type = input_.next();
        // What it would acknowledge, or open, must be known here.
        if (type == wire::SetCustomMiningJobSuccess::kType || type == wire::OpenExtendedMiningChannelSuccess::kType ||
            type == wire::NewExtendedMiningJob::kType)
          return;
        buffer.push_raw({.extension_type = static_cast<std::uint16_t>(pick(2)), .channel_message = false, .message_type = type},
                        input_.take(pick(90)));
        return pick(2) == 0 ? say_as_pool(buffer) : say_as_declarator(buffer);
      }
    }
  }

  /// Mostly a request that waits for its answer, which it does no more.
  std::uint32_t one_of(std::set<std::uint32_t>& waiting) {
    if (waiting.empty() || pick(32) == 0) return static_cast<std::uint32_t>(pick(24));
    const auto at = std::next(waiting.begin(), static_cast<std::ptrdiff_t>(pick(waiting.size())));
    const std::uint32_t request = *at;
    waiting.erase(at);
    return request;
  }

  std::string_view code() {
    constexpr std::string_view kCodes[] = {"stale-chain-tip", "invalid-job", "invalid-mining-job-token", "jd-not-supported"};
    return input_.one_of(kCodes);
  }

  void publish(std::uint8_t tip) {
    auto made = std::make_shared<bitcoin::Template>();
    made->id = ++templates_;
    made->version = 0x20000000;
    made->prev_hash.fill(tip);
    made->nbits = 0x207fffff;
    made->min_ntime = made->current_time = kNtime;
    made->height = 100U + tip;
    made->coinbase_script_prefix = bitcoin::height_push(100U + tip);
    made->coinbase_value_sat = 5'000'000'000;
    template_ = made;
    engine_->on_template(made, now_);
    if (pick(4) != 0) engine_->on_transactions(made->id, transactions(), now_);
  }
  static Result<jd_client::TransactionSet> transactions() {
    jd_client::TransactionSet set;
    set.transactions = std::make_shared<const std::vector<std::vector<std::uint8_t>>>(3, std::vector<std::uint8_t>(60, 1));
    set.wtxids = std::make_shared<const std::vector<bitcoin::Hash256>>(3);
    return set;
  }
  void begin_pool() {
    if (in_pool_) return;
    in_pool_ = true;
    engine_->on_pool_ready(0, "me", false, now_);
    engine_->on_adit_extension();
  }
  /// A job of the pool's own, mostly of a tip about as high as ours, or a tip for one that it has sent.
  void pools_own_job() {
    const std::uint32_t job = 100 + static_cast<std::uint32_t>(pick(4));
    const bool future = pick(8) != 0;
    if (pick(4) != 0) {
      std::vector<std::uint8_t> prefix(42);
      prefix[4] = 1;
      prefix[bitcoin::kCoinbaseScriptBegin - 1] = bitcoin::kMaxCoinbaseScriptSize;
      const auto height = bitcoin::height_push(99U + tip_ + static_cast<std::uint32_t>(pick(4)));
      if (pick(8) != 0) prefix.insert(prefix.end(), height.begin(), height.end());
      if (pick(16) == 0) prefix.resize(pick(42));
      acknowledged_.insert(job);
      to_engine(wire::NewExtendedMiningJob{.channel_id = 2,
                                           .job_id = job,
                                           .min_ntime = future ? std::nullopt : std::optional(kNtime),
                                           .version = 0x20000000,
                                           .version_rolling_allowed = pick(2) == 0,
                                           .merkle_path = {},
                                           .coinbase_tx_prefix = Bytes(prefix),
                                           .coinbase_tx_suffix = input_.take(pick(50))});
      if (!future) return;
    }
    wire::SetNewPrevHash tip{
        .channel_id = 2, .job_id = job, .min_ntime = kNtime + 100 * static_cast<std::uint32_t>(pick(5)), .nbits = 0x207fffff};
    tip.prev_hash.fill(static_cast<std::uint8_t>(tip_ + pick(3)));
    to_engine(tip);
  }
  void begin_declarator() {
    asks_.clear();
    declares_.clear();
    engine_->declarator_output().clear();
    engine_->on_declarator_ready(now_);
  }
  void open(std::uint16_t granted) {
    const std::vector<std::uint8_t> prefix(pick(12), 7);
    if (in_pool_ && granted_ == 0) granted_ = granted;
    wire::OpenExtendedMiningChannelSuccess opened{.request_id = 1,
                                                  .channel_id = 2,
                                                  .target = {},
                                                  .extranonce_size = granted,
                                                  .extranonce_prefix = Bytes(prefix),
                                                  .group_channel_id = 0};
    opened.target.fill(0xff);
    to_engine(opened);
  }
  void give_token(std::uint32_t request, const std::vector<bitcoin::TxOutput>& outputs) {
    std::vector<std::uint8_t> counted = {static_cast<std::uint8_t>(outputs.size())};
    for (const auto& output : outputs) {
      std::array<std::uint8_t, 8> value{};
      store_le(value.data(), output.value_sat);
      counted.insert(counted.end(), value.begin(), value.end());
      counted.push_back(static_cast<std::uint8_t>(output.script.size()));
      counted.insert(counted.end(), output.script.begin(), output.script.end());
    }
    to_declarator(wire::AllocateMiningJobTokenSuccess{
        .request_id = request, .mining_job_token = Bytes(counted), .coinbase_tx_outputs = Bytes(counted)});
  }
  void find_share() {
    if (!job_) return;
    const std::vector<std::uint8_t> extranonce(channels::kFullExtranonceSize, input_.next());
    channels::ShareRecord share;
    share.job = job_.get();
    share.extranonce = extranonce;
    share.hash.fill(input_.next());
    share.nonce = input_.next();
    share.ntime = kNtime;
    share.version = job_->rules.version;
    share.block = pick(8) == 0;
    ++shares_;
    engine_->on_share(share, now_);
  }
  void lose() {
    if (!in_pool_) return;
    look();
    in_pool_ = false;
    engine_->on_pool_lost("gone", now_);
    require(engine_->pool_output().empty() && engine_->declarator_output().empty());
    asks_.clear();
    declares_.clear();
    sets_.clear();
    acknowledged_.clear();
    granted_ = 0;
  }

  template <class M>
  void to_engine(const M& message) {
    wire::FrameBuffer buffer;
    if (buffer.push(message)) say_as_pool(buffer);
  }
  template <class M>
  void to_declarator(const M& message) {
    wire::FrameBuffer buffer;
    if (buffer.push(message)) say_as_declarator(buffer);
  }
  void say_as_pool(const wire::FrameBuffer& buffer) {
    if (!in_pool_) return;
    const std::vector<wire::FrameView> frames(buffer.begin(), buffer.end());
    if (!engine_->on_pool_frames(frames, now_)) lose();
  }
  void say_as_declarator(const wire::FrameBuffer& buffer) {
    const std::vector<wire::FrameView> frames(buffer.begin(), buffer.end());
    if (!engine_->on_declarator_frames(frames, now_)) engine_->on_declarator_lost(now_);
  }

  /// Takes what the engine has written.
  void look() {
    for (const auto frame : engine_->pool_output()) {
      if (frame.is<wire::SetCustomMiningJob>()) {
        const auto set = frame.as<wire::SetCustomMiningJob>();
        require(set.has_value() && set->coinbase_prefix.size() <= 100 && sets_.insert(set->request_id).second);
      } else if (frame.is<wire::SubmitSharesExtended>()) {
        const auto share = frame.as<wire::SubmitSharesExtended>();
        require(share.has_value() && acknowledged_.contains(share->job_id));
        require(share->extranonce.size() == granted_);
      } else {
        require(frame.is<wire::OpenExtendedMiningChannel>() || frame.is<wire::UpdateChannel>() ||
                (follows_ && frame.is<wire::FollowPoolTip>()));
      }
    }
    engine_->pool_output().clear();
    for (const auto frame : engine_->declarator_output()) {
      if (frame.is<wire::AllocateMiningJobToken>()) asks_.insert(frame.as<wire::AllocateMiningJobToken>()->request_id);
      if (frame.is<wire::DeclareMiningJob>()) declares_.insert(frame.as<wire::DeclareMiningJob>()->request_id);
      require(frame.is<wire::AllocateMiningJobToken>() || frame.is<wire::DeclareMiningJob>() ||
              frame.is<wire::ProvideMissingTransactionsSuccess>() || frame.is<wire::PushSolution>());
    }
    engine_->declarator_output().clear();
  }

  void check() {
    if (template_ && job_ && !job_->transactions_known) {
      require(follows_ && in_pool_ && job_->block_template->height > template_->height);
    } else if (template_) {
      require(job_ && job_->rules.prev_hash == template_->prev_hash);
    }
    const auto& counters = engine_->counters();
    std::uint64_t fates =
        counters.shares_submitted + counters.shares_local + counters.shares_solo + engine_->status().waiting_shares;
    for (const auto lost : counters.shares_lost) fates += lost;
    require(fates == shares_);
  }

  // EngineEvents
  void on_job(channels::JobPtr job) override {
    require(!job_ || job->id > job_->id);
    require(job->coinbase.prefix.size() >= 42);
    job_ = std::move(job);
  }
  void fetch_transactions(const bitcoin::TemplatePtr&) override {}
  void constrain(jd_client::Constraints) override {}
  void on_upstream_target(const bitcoin::U256&) override {}

  Input input_;
  Now now_{Instant(std::chrono::seconds(1000)), UnixTime(std::chrono::seconds(kNtime + 60))};
  std::unique_ptr<Engine> engine_;
  bitcoin::TemplatePtr template_;
  channels::JobPtr job_;
  std::uint64_t templates_ = 0;
  std::uint8_t tip_ = 1;
  bool in_pool_ = false;
  bool follows_ = false;     ///< The pool is asked for its own jobs.
  std::size_t granted_ = 0;  ///< In this session; 0: no channel is open.
  std::uint64_t shares_ = 0;
  std::set<std::uint32_t> sets_;  ///< SetCustomMiningJob without an answer.
  std::set<std::uint32_t> acknowledged_;
  std::set<std::uint32_t> asks_;      ///< AllocateMiningJobToken without an answer.
  std::set<std::uint32_t> declares_;  ///< Likewise DeclareMiningJob.
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  World(adit::Bytes(data, size)).run();
  return 0;
}
