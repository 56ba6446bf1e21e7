// The job declarator client's engine between real engines: miners on a mining server of ours below, another mining server as
// the pool above, and a declarator that does what the test says.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "declaration/coinbase_parts.h"
#include "mining/server_session_testing.h"
#include "roles/jd_client/engine.h"
#include "wire/messages.h"

namespace adit::jd_client {

using channels::testing::kHardBits;
using channels::testing::kNow;
using channels::testing::kRegtestBits;
using channels::testing::make_template;
using std::chrono::milliseconds;
using std::chrono::seconds;

inline const std::vector<std::uint8_t> kSoloScript = {0x00, 0x14, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9};
/// Whom the pool's own jobs pay.
inline const std::vector<std::uint8_t> kPoolsOwnScript = {0x00, 0x14, 1,  2,  3,  4,  5,  6,  7,  8,  9,
                                                          10,   11,   12, 13, 14, 15, 16, 17, 18, 19, 20};
inline const std::vector<std::uint8_t> kPoolScript = {0x00, 0x14, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7};

/// Commits the pool to the jobs whose tokens it was told of.
struct Committer final : mining::CustomJobValidator {
  Verdict check(const mining::ServerSession&, const wire::SetCustomMiningJob& message, const Now&) override {
    ++asked;
    if (!refuse_with.empty()) return {.error_code = refuse_with, .block_template = nullptr};
    const std::vector<std::uint8_t> token(message.mining_job_token.begin(), message.mining_job_token.end());
    if (declared.erase(token) == 0) return {.error_code = "invalid-mining-job-token", .block_template = nullptr};
    return {};
  }
  std::set<std::vector<std::uint8_t>> declared;
  std::string refuse_with;
  int asked = 0;
};

/// A declarator of few words.
struct Declarator {
  /// Answers what the client has written, into `out`.
  void hear(const wire::FrameBuffer& in, Committer& pool, wire::FrameBuffer& out) {
    for (const wire::FrameView& frame : in) {
      if (frame.is<wire::AllocateMiningJobToken>()) {
        ++allocated;
        if (mute) continue;
        const auto message = *frame.as<wire::AllocateMiningJobToken>();
        const std::vector<std::uint8_t> token = next_token();
        const auto counted = declaration::counted_outputs(outputs);
        out.push(wire::AllocateMiningJobTokenSuccess{
            .request_id = message.request_id, .mining_job_token = Bytes(token), .coinbase_tx_outputs = Bytes(counted)});
      } else if (frame.is<wire::DeclareMiningJob>()) {
        const auto message = *frame.as<wire::DeclareMiningJob>();
        ++declares;
        auto coinbase = declaration::parse_coinbase_parts(message.coinbase_tx_prefix, message.coinbase_tx_suffix);
        ASSERT_TRUE(coinbase) << coinbase.error().message();
        last = *coinbase;
        last_wtxids = message.wtxid_list.size();
        if (holds_declares || mute) {
          held.push_back(message.request_id);
          continue;
        }
        if (!refuse_with.empty()) {
          out.push(wire::DeclareMiningJobError{
              .request_id = message.request_id, .error_code = std::string_view(refuse_with), .error_details = {}});
          continue;
        }
        accept(message.request_id, pool, out);
      } else if (frame.is<wire::PushSolution>()) {
        const auto message = *frame.as<wire::PushSolution>();
        ++pushed;
        pushed_extranonce.assign(message.extranonce.begin(), message.extranonce.end());
        solution = message;
        solution.extranonce = {};
      }
    }
  }
  void accept(std::uint32_t request_id, Committer& pool, wire::FrameBuffer& out) {
    const std::vector<std::uint8_t> token = next_token();
    pool.declared.insert(token);
    out.push(wire::DeclareMiningJobSuccess{.request_id = request_id, .new_mining_job_token = Bytes(token)});
  }
  std::vector<std::uint8_t> next_token() {
    ++tokens;
    return {1, 2, 3, static_cast<std::uint8_t>(tokens >> 8), static_cast<std::uint8_t>(tokens)};
  }

  std::vector<bitcoin::TxOutput> outputs{{.value_sat = 0, .script = kPoolScript}};
  bool mute = false;
  bool holds_declares = false;
  std::vector<std::uint32_t> held;  ///< Declarations without an answer, by request id.
  std::string refuse_with;
  int allocated = 0;
  int declares = 0;
  int pushed = 0;
  unsigned tokens = 0;
  declaration::DeclaredCoinbase last;
  std::size_t last_wtxids = 0;
  std::vector<std::uint8_t> pushed_extranonce;
  wire::PushSolution solution;  ///< Without its extranonce.
};

/// A pool: a mining server on which clients bring their own work.
struct PoolSide {
  explicit PoolSide(std::uint16_t server_id, const Now& at) : now(at), shard(policy, {.server_id = server_id}, events) {}

  void publish(std::uint8_t tip, std::uint32_t nbits = kHardBits) {
    shard.set_job(*factory.make(make_template(++templates, tip, nbits, 2)));
    shard.give_jobs();
  }
  /// A session in which the client is `peer`.
  std::unique_ptr<mining::Peer> connect() {
    offer = session::ServerOptions{.offers = {mining::ServerSession::offer()}};
    auto peer = std::make_unique<mining::Peer>(offer, shard, now);
    peer->set_up(wire::kRequiresWorkSelection | wire::kRequiresVersionRolling);
    events.jobs.clear();
    return peer;
  }

  const Now& now;
  Committer committer;
  mining::ServerPolicy policy{.channel = {.shares_per_minute = 6, .share_batch_size = 1, .min_hash_rate_hps = 1},
                              .custom_jobs = &committer};
  mining::Recorder events;
  channels::JobFactory factory = channels::testing::make_factory();
  std::uint64_t templates = 0;
  session::ServerOptions offer;
  mining::ServerShard shard;
};

class Rig : public EngineEvents, public mining::ServerEvents {
 public:
  explicit Rig(const EngineOptions& options = default_options())
      : engine(options, *this), miners(miner_policy, {.server_id = 3}, *this, options.max_past_jobs) {
    pool.publish(1);
    other_pool.publish(1);
  }
  ~Rig() override = default;

  static EngineOptions default_options() {
    EngineOptions options;
    options.solo_script = kSoloScript;
    options.signature = "farm";
    options.least_hash_rate_hps = 1;
    return options;
  }

  /// A template of our node's.
  void publish(std::uint8_t tip, std::uint32_t nbits = kHardBits) {
    block_template = make_template(++templates, tip, nbits, 2);
    engine.on_template(block_template, now);
    pump();
  }
  void connect_pool(PoolSide& to, std::size_t candidate = 0) {
    upstream = &to;
    pool_peer = to.connect();
    engine.on_pool_ready(candidate, "farm.1", false, now);
    if (pool_speaks_adit) {
      const std::vector<std::uint16_t> adit = {wire::kAditExtension};
      EXPECT_TRUE(pool_peer->send(wire::RequestExtensions{.request_id = 1, .requested_extensions = adit}));
      engine.on_adit_extension();
    }
    pump();
  }
  void connect_declarator() {
    has_declarator = true;
    engine.on_declarator_ready(now);
    pump();
  }
  /// The declarator accepts what it has held, now.
  void accept_held(std::size_t which) {
    wire::FrameBuffer answers;
    declarator.accept(declarator.held.at(which), upstream->committer, answers);
    const std::vector<wire::FrameView> frames(answers.begin(), answers.end());
    if (auto heard = engine.on_declarator_frames(frames, now); !heard) errors.push_back(heard.error().message());
    pump();
  }
  /// The pool says that.
  Result<void> pool_says(const auto& message) {
    wire::FrameBuffer said;
    said.push(message);
    const std::vector<wire::FrameView> frames(said.begin(), said.end());
    auto heard = engine.on_pool_frames(frames, now);
    pump();
    return heard;
  }
  void lose_pool() {
    engine.on_pool_lost("gone", now);
    pool_peer.reset();
    upstream = nullptr;
    has_declarator = false;
  }
  void hear_pool(std::span<const wire::FrameView> frames) {
    for (const wire::FrameView& frame : frames) {
      if (from_pool) from_pool(frame);
    }
    if (auto heard = engine.on_pool_frames(frames, now); !heard) errors.push_back(heard.error().message());
  }
  /// As the driver does it: whatever is written goes out until nothing more is.
  void pump() {
    bool more = true;
    while (more) {
      more = false;
      if (pool_peer != nullptr && !upstream->events.jobs.empty()) {
        for (const auto& given : std::exchange(upstream->events.jobs, {}))
          hear_pool(std::vector<wire::FrameView>(given.frames.begin(), given.frames.end()));
        more = true;
      }
      for (; !to_fetch.empty() && fetches; to_fetch.pop_front()) {
        engine.on_transactions(to_fetch.front(), transactions(), now);
        more = true;
      }
      if (!engine.declarator_output().empty() && has_declarator) {
        wire::FrameBuffer said;
        std::swap(said, engine.declarator_output());
        wire::FrameBuffer answers;
        if (upstream != nullptr) declarator.hear(said, upstream->committer, answers);
        const std::vector<wire::FrameView> frames(answers.begin(), answers.end());
        if (auto heard = engine.on_declarator_frames(frames, now); !heard) errors.push_back(heard.error().message());
        more = true;
      }
      if (!engine.pool_output().empty() && pool_peer != nullptr && !pool_is_slow) {
        wire::FrameBuffer said;
        std::swap(said, engine.pool_output());
        for (const wire::FrameView& frame : said) {
          if (frame.is<wire::SubmitSharesExtended>()) ++sent_shares;
          if (to_pool) to_pool(frame);
        }
        ASSERT_TRUE(pool_peer->deliver(said));
        hear_pool(pool_peer->answers());
        more = true;
      }
    }
  }
  void pass(Duration time) {
    now.instant += time;
    now.unix_time = kNow.unix_time + std::chrono::floor<seconds>(now.instant - kNow.instant);
  }
  Result<void> tick() {
    auto ticked = engine.on_tick(1, now);
    pump();
    return ticked;
  }

  // ---- A miner
  std::uint32_t open_extended() {
    miner = std::make_unique<mining::Peer>(miner_offer, miners, now);
    miner->set_up();
    EXPECT_TRUE(miner->send(mining::open_extended(8)));
    const auto opened = miner->answer<wire::OpenExtendedMiningChannelSuccess>();
    EXPECT_EQ(opened.extranonce_size, 8);
    prefix.assign(opened.extranonce_prefix.begin(), opened.extranonce_prefix.end());
    return channel = opened.channel_id;
  }
  /// Finds a share of the miners' current job that is no block (or one, if `block`), and hands it in. True: it was accepted.
  bool find_share(bool block = false) { return find_share_of(*miners.jobs().current(), block); }
  bool find_share_of(const channels::Job& of, bool block = false) {
    std::vector<std::uint8_t> full = prefix;
    const std::vector<std::uint8_t> rolled = {1, 2, 3, 4, 5, 6, 7, static_cast<std::uint8_t>(++sequence)};
    full.insert(full.end(), rolled.begin(), rolled.end());
    const auto& target = miner->session().channel(channel)->target();
    auto share = channels::testing::mine(
        of, {.job_id = of.id, .nonce = sequence * 100'000, .ntime = of.ntime, .version = of.rules.version, .extranonce = {}},
        full, block ? of.rules.network_target : target, block ? bitcoin::U256{} : of.rules.network_target);
    EXPECT_TRUE(miner->send(wire::SubmitSharesExtended{.channel_id = channel,
                                                       .sequence_number = sequence,
                                                       .job_id = of.id,
                                                       .nonce = share.nonce,
                                                       .ntime = share.ntime,
                                                       .version = share.version,
                                                       .extranonce = Bytes(rolled)}));
    const auto answers = miner->answers();
    pump();
    return std::ranges::none_of(answers, [](const auto& frame) { return frame.template is<wire::SubmitSharesError>(); });
  }
  [[nodiscard]] const channels::Job& current() const { return *miners.jobs().current(); }
  /// The script of the first output of the miners' coinbase.
  [[nodiscard]] std::vector<std::uint8_t> paid() const {
    const auto bytes = current().coinbase_with(std::vector<std::uint8_t>(16));
    return bitcoin::parse_transaction(bytes)->outputs.front().script;
  }
  /// A miner, the pool and its declarator come; their work is on one tip with those bits.
  void mine_for_pool(std::uint32_t nbits) {
    pool.publish(1, nbits);
    publish(1, nbits);
    open_extended();
    connect_pool(pool);
    connect_declarator();
  }
  /// The coinbase of the block that the declarator was pushed, if it is of the job with those parts.
  [[nodiscard]] std::vector<std::uint8_t> pushed_coinbase(const declaration::CoinbaseFields& parts) const {
    std::vector<std::uint8_t> coinbase = parts.prefix;
    coinbase.insert(coinbase.end(), declarator.pushed_extranonce.begin(), declarator.pushed_extranonce.end());
    coinbase.insert(coinbase.end(), parts.suffix.begin(), parts.suffix.end());
    return coinbase;
  }
  [[nodiscard]] bool mines_for_pool() const { return paid() == kPoolScript; }

  [[nodiscard]] Result<TransactionSet> transactions() const {
    if (fetch_fails) return fail(session::Errc::kCannot, "the node is away");
    return with_ids(std::make_shared<const std::vector<std::vector<std::uint8_t>>>());
  }
  [[nodiscard]] std::uint64_t lost(LostShares why) const {
    return engine.counters().shares_lost[static_cast<std::size_t>(why)];
  }

  [[nodiscard]] bool is_on(std::uint8_t tip) const { return current().rules.prev_hash == channels::testing::hash_of(tip); }

  // EngineEvents
  void on_job(channels::JobPtr given) override {
    job = given;
    miners.set_job(std::move(given));
    miners.give_jobs();
  }
  void fetch_transactions(const bitcoin::TemplatePtr& of) override { to_fetch.push_back(of->id); }
  void constrain(Constraints constraints) override { constraints_heard.push_back(constraints); }
  void on_upstream_target(const bitcoin::U256& target) override { miner_policy.channel.hardest_target = target; }
  void on_refused(std::uint32_t, std::string_view by, std::string_view code, bool stale) override {
    refusals.push_back(std::string(by) + " " + std::string(code) + (stale ? " stale" : ""));
  }
  void on_unusable(const Error& error) override {
    if (!fetch_fails) errors.push_back(error.message());
  }

  // mining::ServerEvents
  channels::LedgerPosition on_share(const mining::ServerSession&, const channels::ShareRecord& share) override {
    engine.on_share(share, now);
    return 0;
  }
  bool on_block_found(const mining::ServerSession&, const mining::BlockFound& block) override {
    blocks.push_back(block.hash);
    block_coinbases.push_back(block.solution.coinbase);
    return false;
  }
  void on_job(mining::ServerSession&, const wire::FrameBuffer&) override { ++jobs_given; }

  Now now = kNow;
  mining::ServerPolicy miner_policy{.channel = {.shares_per_minute = 6,
                                                .share_batch_size = 1,
                                                .min_hash_rate_hps = 1,
                                                .rollable_extranonce_size = 8,
                                                .twins = false}};
  session::ServerOptions miner_offer{.offers = {mining::ServerSession::offer()}};
  PoolSide pool{1, now};
  PoolSide other_pool{2, now};
  Declarator declarator;
  Engine engine;
  mining::ServerShard miners;
  PoolSide* upstream = nullptr;
  std::unique_ptr<mining::Peer> pool_peer;
  std::unique_ptr<mining::Peer> miner;
  bool has_declarator = false;
  bool pool_is_slow = false;      ///< What is said to it waits.
  bool pool_speaks_adit = false;  ///< Extension 0x4AD1, in sessions to come.
  bool fetches = true;            ///< The source answers.
  bool fetch_fails = false;       ///< That it cannot give any transactions.
  std::deque<std::uint64_t> to_fetch;
  bitcoin::TemplatePtr block_template;
  channels::JobPtr job;  ///< That the miners have.
  std::uint64_t templates = 0;
  std::uint32_t channel = 0;
  std::uint32_t sequence = 0;
  std::vector<std::uint8_t> prefix;
  int jobs_given = 0;
  int sent_shares = 0;
  std::function<void(const wire::FrameView&)> to_pool;    ///< Sees what the client says, if set.
  std::function<void(const wire::FrameView&)> from_pool;  ///< Sees what it hears.
  std::vector<std::string> errors;
  std::vector<std::string> refusals;
  std::vector<Constraints> constraints_heard;
  std::vector<bitcoin::Hash256> blocks;
  std::vector<std::vector<std::uint8_t>> block_coinbases;
};

}  // namespace adit::jd_client
