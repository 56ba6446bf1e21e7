// SetCustomMiningJob held against what was declared: field by field, through the mining server's own session.
#include "declaration/declared_jobs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <functional>
#include <memory>
#include <string_view>

#include "bitcoin/tx.h"
#include "channels/extranonce.h"
#include "declaration/sealed_jobs.h"
#include "declaration/server_testing.h"
#include "mining/server_session_testing.h"

namespace adit::declaration {
namespace {

using mining::Peer;

class DeclaredJobsTest : public mining::SessionTest {
 protected:
  DeclaredJobsTest() { policy_.custom_jobs = &jobs_; }

  void SetUp() override {
    publish(1, channels::testing::kRegtestBits);
    peer_.emplace(options(), shard_, now_);
    peer_->set_up(wire::kRequiresWorkSelection);
    channel_ = open(*peer_, "user");
    declare();
  }

  std::uint32_t open(Peer& peer, std::string_view user) {
    auto message = mining::open_extended();
    message.user_identity = user;
    EXPECT_TRUE(peer.send(message));
    return peer.answer<wire::OpenExtendedMiningChannelSuccess>().channel_id;
  }

  /// A job of that user's, known to this shard.
  void declare(std::size_t extranonce_size = channels::kFullExtranonceSize) {
    const bitcoin::Template& tip = *shard_.jobs().current()->block_template;
    DeclaredCoinbase coinbase;
    coinbase.script = tip.coinbase_script_prefix;
    coinbase.script.push_back('x');
    coinbase.extranonce_size = extranonce_size;
    coinbase.outputs = {{.value_sat = 5'000'000'000, .script = {0x51}}};
    coinbase.has_witness = true;
    auto job = std::make_shared<DeclaredJob>();
    job->token = Token{++tokens_};
    job->user = "user";
    job->payout_script = {0x51};
    job->expires = now_.instant + std::chrono::seconds(60);
    job->work = declare_template(tip, 0x20000000, coinbase, {testing::transaction(1), testing::transaction(2)});
    outputs_ = counted_outputs(coinbase.outputs);
    path_ = job->work->merkle_path;
    job_ = job;
    jobs_.add(job);
  }
  void declare_coinbase_only() {
    auto job = std::make_shared<DeclaredJob>();
    job->token = Token{++tokens_};
    job->user = "user";
    job->payout_script = {0x51};
    job->expires = now_.instant + std::chrono::seconds(60);
    job_ = job;
    jobs_.add(job);
    jobs_.set_template(shard_.jobs().current()->block_template);
  }

  [[nodiscard]] wire::SetCustomMiningJob message() {
    const channels::Job& tip = *shard_.jobs().current();
    prefix_ = tip.block_template->coinbase_script_prefix;
    prefix_.push_back('x');
    return {.channel_id = channel_,
            .request_id = 4,
            .mining_job_token = Bytes(job_->token),
            .version = 0x20000000,
            .prev_hash = tip.rules.prev_hash,
            .min_ntime = channels::testing::kNtime,
            .nbits = tip.rules.nbits,
            .coinbase_tx_version = 2,
            .coinbase_prefix = Bytes(prefix_),
            .coinbase_tx_input_n_sequence = 0xffffffff,
            .coinbase_tx_outputs = Bytes(outputs_),
            .coinbase_tx_locktime = 0,
            .merkle_path = std::span<const wire::U256>(path_)};
  }
  /// The error code of the answer; empty: it succeeded.
  std::string set(Peer& peer, const wire::SetCustomMiningJob& message) {
    EXPECT_TRUE(peer.send(message));
    const auto answers = peer.answers();
    if (answers.empty()) return "nothing";
    if (answers[0].is<wire::SetCustomMiningJobSuccess>()) return "";
    return std::string(peer.answer<wire::SetCustomMiningJobError>().error_code.view());
  }
  std::string set_with(const std::function<void(wire::SetCustomMiningJob&)>& change) {
    auto changed = message();
    change(changed);
    return set(*peer_, changed);
  }

  const RevenuePolicy revenue_{};
  DeclaredJobs jobs_{revenue_};
  DeclaredJobPtr job_;
  std::optional<Peer> peer_;
  std::uint32_t channel_ = 0;
  std::vector<std::uint8_t> prefix_;
  std::vector<std::uint8_t> outputs_;
  std::vector<wire::U256> path_;
  std::uint8_t tokens_ = 0;
};

TEST_F(DeclaredJobsTest, WhatWasDeclaredIsTakenOnceAndPaidFor) {
  EXPECT_EQ(set(*peer_, message()), "");
  EXPECT_TRUE(job_->is_taken());
  EXPECT_EQ(set(*peer_, message()), "invalid-mining-job-token");
  EXPECT_EQ(jobs_.counts().taken, 1u);
  EXPECT_EQ(jobs_.counts().refused, 1u);
}

TEST_F(DeclaredJobsTest, EveryFieldIsThatOfTheDeclarationAndNoRefusalBurnsTheToken) {
  std::vector<std::uint8_t> other;
  const auto with = [&](const auto& change) { return set_with(change); };
  EXPECT_EQ(with([](auto& m) { m.version ^= 0x2000; }), "invalid-version");
  EXPECT_EQ(with([](auto& m) { m.coinbase_tx_version = 1; }), "invalid-coinbase-tx-version");
  EXPECT_EQ(with([](auto& m) { m.coinbase_tx_input_n_sequence = 0; }), "invalid-coinbase-tx-input-n-sequence");
  EXPECT_EQ(with([](auto& m) { m.coinbase_tx_locktime = 1; }), "invalid-coinbase-tx-locktime");
  EXPECT_EQ(with([](auto& m) { m.prev_hash.fill(9); }), "stale-chain-tip");
  EXPECT_EQ(with([](auto& m) { m.nbits ^= 1; }), "invalid-nbits");
  // As SRI compares it, a shorter script would do: mined on would be another one than declared.
  EXPECT_EQ(with([&](auto& m) { m.coinbase_prefix = Bytes(prefix_).first(prefix_.size() - 1); }), "invalid-coinbase-prefix");
  EXPECT_EQ(with([&](auto& m) {
              other = prefix_;
              other.push_back('y');
              m.coinbase_prefix = Bytes(other);
            }),
            "invalid-coinbase-prefix");
  EXPECT_EQ(with([&](auto& m) {
              other = counted_outputs({{.value_sat = 4'999'999'999, .script = {0x51}}});
              m.coinbase_tx_outputs = Bytes(other);
            }),
            "invalid-coinbase-tx-outputs");
  EXPECT_EQ(with([&](auto& m) { m.merkle_path = std::span<const wire::U256>(path_).first(1); }), "invalid-merkle-path");
  const std::vector<wire::U256> none;
  EXPECT_EQ(with([&](auto& m) { m.merkle_path = std::span<const wire::U256>(none); }), "invalid-merkle-path");
  EXPECT_EQ(with([](auto& m) { m.channel_id = 77; }), "invalid-channel-id");
  EXPECT_FALSE(job_->is_taken());
  EXPECT_EQ(set(*peer_, message()), "");
}

TEST_F(DeclaredJobsTest, RoomForAnotherExtranonceIsAnotherScript) {
  declare(channels::kFullExtranonceSize - 1);
  EXPECT_EQ(set(*peer_, message()), "invalid-coinbase-prefix");
}

// #779: the token is its user's, wherever the job is set.
TEST_F(DeclaredJobsTest, ATokenIsItsUsersOnAnyConnection) {
  Peer other(options(), shard_, now_);
  other.set_up(wire::kRequiresWorkSelection);
  auto theirs = message();
  theirs.channel_id = open(other, "somebody else");
  EXPECT_EQ(set(other, theirs), "invalid-mining-job-token");
  EXPECT_FALSE(job_->is_taken()) << "its own user can still use it";
  theirs.channel_id = open(other, "user");
  EXPECT_EQ(set(other, theirs), "");
  EXPECT_EQ(set(*peer_, message()), "invalid-mining-job-token");
}

TEST_F(DeclaredJobsTest, AGroupsChannelsAreAllTheUsers) {
  auto of_group = message();
  of_group.channel_id = channels::kGroupChannelId;
  open(*peer_, "somebody else");
  EXPECT_EQ(set(*peer_, of_group), "invalid-mining-job-token");
  Peer other(options(), shard_, now_);
  other.set_up(wire::kRequiresWorkSelection);
  open(other, "user");
  open(other, "user");
  EXPECT_EQ(set(other, of_group), "");
}

// #765: SRI's tokens lived until a janitor came.
TEST_F(DeclaredJobsTest, ATokenExpiresWhenItIsLookedUp) {
  now_.instant = job_->expires;
  EXPECT_EQ(set(*peer_, message()), "invalid-mining-job-token");
  EXPECT_EQ(jobs_.size(), 1u);
  jobs_.on_tick(now_.instant);
  EXPECT_EQ(jobs_.size(), 0u);
}

TEST_F(DeclaredJobsTest, TokensThatAreNoneAreRefused) {
  const Token unknown{0xee};
  EXPECT_EQ(set_with([&](auto& m) { m.mining_job_token = Bytes(unknown); }), "invalid-mining-job-token");
  EXPECT_EQ(set_with([&](auto& m) { m.mining_job_token = Bytes(job_->token).first(8); }), "invalid-mining-job-token");
  EXPECT_EQ(set_with([&](auto& m) { m.mining_job_token = Bytes(); }), "invalid-mining-job-token");
}

TEST_F(DeclaredJobsTest, OfTwoShardsThatAreAskedAtOnceOneTakesIt) {
  DeclaredJobs other_shard{revenue_};
  other_shard.add(job_);
  EXPECT_EQ(set(*peer_, message()), "");
  EXPECT_EQ(other_shard.check(peer_->session(), message(), now_).error_code, "invalid-mining-job-token");
  other_shard.on_tick(now_.instant);
  EXPECT_EQ(other_shard.size(), 0u);
}

TEST_F(DeclaredJobsTest, ABlockOnADeclaredJobIsPutTogether) {
  EXPECT_EQ(set(*peer_, message()), "");
  const auto id = peer_->answer<wire::SetCustomMiningJobSuccess>().job_id;
  const std::array<std::uint8_t, 16> rollable{1, 2};
  const auto& channel = *peer_->session().channel(channel_);
  const auto job = channels::make_custom_job(message(), id, *shard_.jobs().current(), job_->work, now_.unix_time);
  ASSERT_TRUE(job);
  channels::Share share{.job_id = id, .ntime = channels::testing::kNtime, .version = 0x20000000, .extranonce = {}};
  share = channels::testing::mine(**job, share, channel.full_extranonce(rollable), (*job)->rules.network_target);
  ASSERT_TRUE(peer_->send(wire::SubmitSharesExtended{.channel_id = channel_,
                                                     .sequence_number = 1,
                                                     .job_id = id,
                                                     .nonce = share.nonce,
                                                     .ntime = share.ntime,
                                                     .version = share.version,
                                                     .extranonce = Bytes(rollable)}));
  ASSERT_EQ(events_.blocks.size(), 1u);
  EXPECT_TRUE(events_.blocks[0].is_custom);
  const auto block = DeclaredJobs::assemble(events_.blocks[0].block_template, events_.blocks[0].solution);
  ASSERT_TRUE(block) << block.error().message();
  EXPECT_EQ(block->hash, events_.blocks[0].hash);
  const auto view = bitcoin::parse_block(block->bytes);
  ASSERT_TRUE(view);
  ASSERT_EQ(view->transactions.size(), 3u);
  EXPECT_TRUE(std::ranges::equal(view->transactions[1], testing::numbered_transaction(1)));
  EXPECT_EQ(bitcoin::parse_transaction(view->transactions[0])->inputs[0].witness.size(), 1u) << "with its reserved value";
}

TEST_F(DeclaredJobsTest, WithoutTransactionsTheOutputsAreLookedAt) {
  declare_coinbase_only();
  outputs_ = counted_outputs({{.value_sat = 1, .script = {0x51}}, {.value_sat = 1, .script = {0x52}}});
  EXPECT_EQ(set(*peer_, message()), "invalid-coinbase-tx-outputs");
  outputs_ = counted_outputs({{.value_sat = 5'000'000'000, .script = {0x51}}});
  EXPECT_EQ(set(*peer_, message()), "") << "any path and version of the tip will do";
  EXPECT_EQ(set(*peer_, message()), "invalid-mining-job-token");
}

/// The same where the declarator is another process, and its tokens say all.
class SealedJobsTest : public DeclaredJobsTest {
 protected:
  SealedJobsTest() { policy_.custom_jobs = &sealed_; }

  void SetUp() override {
    DeclaredJobsTest::SetUp();
    sealed_.set_template(shard_.jobs().current()->block_template);
  }
  static std::shared_ptr<const TokenSeal> seal(std::uint8_t key) {
    TokenSeal::Key bytes{};
    bytes.fill(key);
    return std::make_shared<const TokenSeal>(bytes);
  }
  [[nodiscard]] wire::SetCustomMiningJob message(const TokenSeal& with) {
    auto made = DeclaredJobsTest::message();
    token_ = with.seal(*job_, now_.unix_time + std::chrono::seconds(60));
    made.mining_job_token = Bytes(token_);
    return made;
  }
  [[nodiscard]] wire::SetCustomMiningJob message() { return message(*seal_); }
  std::string set_with(const std::function<void(wire::SetCustomMiningJob&)>& change) {
    auto changed = message();
    change(changed);
    return set(*peer_, changed);
  }

  std::shared_ptr<const TokenSeal> seal_ = seal(1);
  channels::PayoutPolicy payouts_{.pool_script = {0x51}};
  SealedJobs sealed_{seal_, payouts_, revenue_, 3};
  std::vector<std::uint8_t> token_;
};

TEST_F(SealedJobsTest, WhatWasDeclaredElsewhereIsTakenOnce) {
  EXPECT_EQ(set(*peer_, message()), "");
  EXPECT_EQ(set(*peer_, message()), "invalid-mining-job-token");
  EXPECT_EQ(sealed_.counts().taken, 1u);
  EXPECT_EQ(sealed_.counts().refused, 1u);
  EXPECT_EQ(token_.size(), TokenSeal::kSize);
}

TEST_F(SealedJobsTest, AnotherKeyUserOrFieldIsAnotherToken) {
  EXPECT_EQ(set(*peer_, message(*seal(2))), "invalid-mining-job-token");
  std::vector<std::uint8_t> other;
  constexpr std::string_view kRefused = "invalid-mining-job-token";
  const auto with = [&](const auto& change) { return set_with(change); };
  EXPECT_EQ(with([](auto& m) { m.version ^= 0x2000; }), kRefused);
  EXPECT_EQ(with([](auto& m) { m.coinbase_tx_version = 1; }), kRefused);
  EXPECT_EQ(with([](auto& m) { m.coinbase_tx_input_n_sequence = 0; }), kRefused);
  EXPECT_EQ(with([](auto& m) { m.coinbase_tx_locktime = 1; }), kRefused);
  EXPECT_EQ(with([](auto& m) { m.prev_hash.fill(9); }), "stale-chain-tip");
  EXPECT_EQ(with([](auto& m) { m.nbits ^= 1; }), "invalid-nbits");
  EXPECT_EQ(with([&](auto& m) { m.coinbase_prefix = Bytes(prefix_).first(prefix_.size() - 1); }), kRefused);
  EXPECT_EQ(with([&](auto& m) {
              other = counted_outputs({{.value_sat = 5'000'000'001, .script = {0x51}}});
              m.coinbase_tx_outputs = Bytes(other);
            }),
            kRefused);
  EXPECT_EQ(with([&](auto& m) { m.merkle_path = std::span<const wire::U256>(path_).first(1); }), kRefused);
  // Each byte of it counts: its kind, its expiry, its id and its code.
  for (std::size_t i = 0; i < TokenSeal::kSize; ++i) EXPECT_EQ(with([&](auto&) { token_[i] ^= 1; }), kRefused) << i;
  EXPECT_EQ(with([&](auto& m) { m.mining_job_token = Bytes(token_).first(TokenSeal::kSize - 1); }), kRefused);
  EXPECT_EQ(with([&](auto& m) { m.mining_job_token = {}; }), kRefused);

  Peer stranger(options(), shard_, now_);
  stranger.set_up(wire::kRequiresWorkSelection);
  auto theirs = message();
  theirs.channel_id = open(stranger, "somebody else");
  EXPECT_EQ(set(stranger, theirs), kRefused);
  EXPECT_EQ(set(*peer_, message()), "") << "none of these has used it up";
}

TEST_F(SealedJobsTest, ATokenEndsWithItsTimeAndIsForgottenThen) {
  auto late = message();
  now_.unix_time += std::chrono::seconds(60);
  EXPECT_EQ(set(*peer_, late), "invalid-mining-job-token");
  now_.unix_time -= std::chrono::seconds(1);
  EXPECT_EQ(set(*peer_, late), "");
  EXPECT_EQ(sealed_.used(), 1u);
  sealed_.on_tick(now_.unix_time);
  EXPECT_EQ(sealed_.used(), 1u);
  sealed_.on_tick(now_.unix_time + std::chrono::seconds(1));
  EXPECT_EQ(sealed_.used(), 0u);
  for (int i = 0; i < 5; ++i) {
    declare();
    EXPECT_EQ(set(*peer_, message()), "");
  }
  EXPECT_EQ(sealed_.used(), 3u) << "of more than that the oldest are forgotten";
}

TEST_F(SealedJobsTest, RoomForAnotherExtranonceIsAnotherToken) {
  declare(channels::kFullExtranonceSize - 1);
  EXPECT_EQ(set(*peer_, message()), "invalid-mining-job-token");
}

TEST_F(SealedJobsTest, ThePoolsPolicyIsHeldAgainstWhatWasDeclared) {
  payouts_.pool_script = {0x52};
  EXPECT_EQ(set(*peer_, message()), "invalid-coinbase-tx-outputs") << "the declarator took it, and this pool does not";
  payouts_.pool_script = {0x51};
  EXPECT_EQ(set(*peer_, message()), "");
}

TEST_F(SealedJobsTest, WithoutTransactionsTheUserAndTheOutputsAreEnough) {
  declare_coinbase_only();
  EXPECT_EQ(set_with([](auto& m) { m.coinbase_tx_locktime = 7; }), "");
  declare_coinbase_only();
  std::vector<std::uint8_t> poor;
  EXPECT_EQ(set_with([&](auto& m) {
              poor = counted_outputs({{.value_sat = 1, .script = {0x51}}, {.value_sat = 4'999'999'999, .script = {0x52}}});
              m.coinbase_tx_outputs = Bytes(poor);
            }),
            "invalid-coinbase-tx-outputs");
  EXPECT_EQ(set(*peer_, message()), "");
}

}  // namespace
}  // namespace adit::declaration
