#include "roles/miner/session.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "bitcoin/u256.h"
#include "wire/messages.h"

namespace adit::miner {
namespace {

struct Recorder final : SessionHandler {
  std::vector<HashWork> works;
  std::uint64_t accepted = 0;
  std::vector<std::string> rejected;
  void on_work(const HashWork& work) override { works.push_back(work); }
  void on_accepted(std::uint64_t shares) override { accepted += shares; }
  void on_rejected(std::string_view code) override { rejected.emplace_back(code); }
};

constexpr std::uint32_t kMinNtime = 1'700'000'000;
const Now kNow{Instant(std::chrono::hours(1)), from_u32(kMinNtime)};

class Sv2SessionTest : public testing::Test {
 protected:
  template <class M>
  Result<void> receive(const M& message) {
    wire::FrameBuffer frames;
    EXPECT_TRUE(frames.push(message));
    out_.clear();
    return session_.on_frame(*frames.begin(), kNow);
  }

  template <class M>
  M sent() {
    EXPECT_FALSE(out_.empty());
    auto message = (*out_.begin()).as<M>();
    EXPECT_TRUE(message.has_value());
    return *message;
  }

  void open_channel() {
    EXPECT_TRUE(session_.open({}, out_));
    wire::OpenStandardMiningChannelSuccess opened{.request_id = 1, .channel_id = 5, .group_channel_id = 1};
    opened.target.fill(0xff);
    EXPECT_TRUE(receive(opened));
  }

  void give_job(std::uint32_t job_id) {
    wire::NewMiningJob job{.channel_id = 5, .job_id = job_id, .version = 0x20000000};
    job.merkle_root.fill(0x11);
    EXPECT_TRUE(receive(job));
    wire::SetNewPrevHash tip{.channel_id = 5, .job_id = job_id, .min_ntime = kMinNtime, .nbits = 0x1d00ffff};
    tip.prev_hash.fill(0x22);
    EXPECT_TRUE(receive(tip));
  }

  Recorder recorder_;
  wire::FrameBuffer out_;
  Sv2Session session_{{.user = "alice", .nominal_hash_rate_hps = 5e6}, recorder_};
};

TEST_F(Sv2SessionTest, SetsUpForStandardJobsThenOpensOneChannelForItsUser) {
  EXPECT_EQ(mining::ChannelClient::setup_flags(false), wire::kRequiresStandardJobs);
  EXPECT_TRUE(session_.open({}, out_));
  const auto open = sent<wire::OpenStandardMiningChannel>();
  EXPECT_EQ(std::string_view(open.user_identity), "alice");
  EXPECT_FLOAT_EQ(open.nominal_hash_rate, 5e6F);
}

TEST_F(Sv2SessionTest, AFutureJobIsHashedOnceItsPreviousHashIsKnown) {
  open_channel();
  wire::NewMiningJob job{.channel_id = 5, .job_id = 9, .version = 0x20000000};
  EXPECT_TRUE(receive(job));
  EXPECT_TRUE(recorder_.works.empty());
  EXPECT_TRUE(receive(wire::SetNewPrevHash{.channel_id = 5, .job_id = 9, .min_ntime = kMinNtime, .nbits = 0x1d00ffff}));
  ASSERT_EQ(recorder_.works.size(), 1U);
  EXPECT_EQ(load_le<std::uint32_t>(recorder_.works[0].header.data()), 0x20000000U);
  EXPECT_EQ(load_le<std::uint32_t>(recorder_.works[0].header.data() + 68), kMinNtime);
}

TEST_F(Sv2SessionTest, ASolutionOfTheCurrentWorkIsSubmittedOnce) {
  open_channel();
  give_job(9);
  out_.clear();
  const Solution solution{.work_id = recorder_.works.back().id, .nonce = 77, .ntime = kMinNtime};
  session_.on_solution(solution, kNow, out_);
  const auto share = sent<wire::SubmitSharesStandard>();
  EXPECT_EQ(share.channel_id, 5U);
  EXPECT_EQ(share.job_id, 9U);
  EXPECT_EQ(share.nonce, 77U);
  out_.clear();
  session_.on_solution(solution, kNow, out_);
  EXPECT_TRUE(out_.empty()) << "a duplicate is not worth sending";
}

TEST_F(Sv2SessionTest, ASolutionOfOlderWorkIsDropped) {
  open_channel();
  give_job(9);
  const std::uint64_t old_work = recorder_.works.back().id;
  give_job(10);
  out_.clear();
  session_.on_solution({.work_id = old_work, .nonce = 1, .ntime = kMinNtime}, kNow, out_);
  EXPECT_TRUE(out_.empty());
}

TEST_F(Sv2SessionTest, AnswersAreCountedAndRefusalsEndTheSession) {
  open_channel();
  EXPECT_TRUE(
      receive(wire::SubmitSharesSuccess{.channel_id = 5, .last_sequence_number = 10, .new_submits_accepted_count = 10}));
  EXPECT_TRUE(receive(wire::SubmitSharesError{.channel_id = 5, .sequence_number = 11, .error_code = "stale-share"}));
  EXPECT_EQ(recorder_.accepted, 10U);
  EXPECT_EQ(recorder_.rejected, std::vector<std::string>{"stale-share"});
  const auto closed = receive(wire::CloseChannel{.channel_id = 5, .reason_code = "shutdown"});
  ASSERT_FALSE(closed);
  EXPECT_TRUE(closed.error().is(session::Errc::kClosed));
}

TEST_F(Sv2SessionTest, ARefusedUserIsToldByItsName) {
  EXPECT_TRUE(session_.open({}, out_));
  const auto refused = receive(wire::OpenMiningChannelError{.request_id = 1, .error_code = "unknown-user"});
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(session::Errc::kRefused));
  EXPECT_NE(refused.error().message().find("alice"), std::string::npos);
}

TEST_F(Sv2SessionTest, MessagesForOtherChannelsAndUnknownOnesAreIgnored) {
  open_channel();
  give_job(9);
  const auto works = recorder_.works.size();
  EXPECT_TRUE(receive(wire::NewMiningJob{.channel_id = 6, .job_id = 1, .min_ntime = kMinNtime}));
  EXPECT_TRUE(receive(wire::SetNewPrevHash{.channel_id = 6, .job_id = 1}));
  EXPECT_TRUE(receive(wire::CloseChannel{.channel_id = 6}));
  EXPECT_TRUE(receive(wire::NewExtendedMiningJob{.channel_id = 1, .job_id = 3, .min_ntime = kMinNtime})) << "its group's";
  wire::FrameBuffer frames;
  frames.push_raw({.extension_type = 0x4ad1, .channel_message = true, .message_type = 0x20},
                  std::vector<std::uint8_t>{5, 0, 0});
  EXPECT_TRUE(session_.on_frame(*frames.begin(), kNow));
  EXPECT_EQ(recorder_.works.size(), works);
}

TEST_F(Sv2SessionTest, ANewTargetCountsFromTheNextJobOnAlsoIfTheGroupIsToldIt) {
  open_channel();
  EXPECT_TRUE(receive(wire::SetGroupChannel{.group_channel_id = 77, .channel_ids = std::vector<std::uint32_t>{5}}));
  const auto target = bitcoin::target_from_difficulty(4).to_le();
  give_job(9);
  EXPECT_TRUE(receive(wire::SetTarget{.channel_id = 77, .maximum_target = target}));
  EXPECT_NE(recorder_.works.back().target_le, target);
  give_job(10);
  EXPECT_EQ(recorder_.works.back().target_le, target);
}

TEST_F(Sv2SessionTest, AClosedGroupClosesItsChannel) {
  open_channel();
  const auto closed = receive(wire::CloseChannel{.channel_id = 1, .reason_code = "bye"});
  ASSERT_FALSE(closed);
  EXPECT_TRUE(closed.error().is(session::Errc::kClosed));
}

TEST_F(Sv2SessionTest, APoolThatBreaksTheProtocolEndsTheSession) {
  EXPECT_FALSE(receive(wire::OpenStandardMiningChannelSuccess{.request_id = 1, .channel_id = 5})) << "before it was set up";
  EXPECT_TRUE(session_.open({}, out_));
  EXPECT_FALSE(receive(wire::OpenExtendedMiningChannelSuccess{.request_id = 1, .channel_id = 5, .extranonce_size = 8}));
  EXPECT_FALSE(receive(wire::OpenStandardMiningChannelSuccess{.request_id = 2, .channel_id = 5}));
}

TEST(ExampleKey, IsMinedUnderOnRegtestAlone) {
  Recorder recorder;
  Sv2Session session({.user = "alice", .regtest_only = true}, recorder);
  wire::FrameBuffer out;
  const auto receive = [&](const auto& message) {
    wire::FrameBuffer frames;
    EXPECT_TRUE(frames.push(message));
    return session.on_frame(*frames.begin(), kNow);
  };
  EXPECT_TRUE(session.open({}, out));
  EXPECT_TRUE(receive(wire::OpenStandardMiningChannelSuccess{.request_id = 1, .channel_id = 5, .group_channel_id = 1}));
  EXPECT_TRUE(receive(wire::NewMiningJob{.channel_id = 5, .job_id = 9}));
  const auto refused = receive(wire::SetNewPrevHash{.channel_id = 5, .job_id = 9, .nbits = 0x1d00ffff});
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(session::Errc::kConfiguration));
  EXPECT_TRUE(recorder.works.empty());
  EXPECT_TRUE(receive(wire::SetNewPrevHash{.channel_id = 5, .job_id = 9, .nbits = 0x207fffff}));
  EXPECT_EQ(recorder.works.size(), 1U);
}

class ExtendedSessionTest : public testing::Test {
 protected:
  template <class M>
  Result<void> receive(const M& message) {
    wire::FrameBuffer frames;
    EXPECT_TRUE(frames.push(message));
    out_.clear();
    return session_.on_frame(*frames.begin(), kNow);
  }
  Recorder recorder_;
  wire::FrameBuffer out_;
  Sv2Session session_{{.user = "alice", .nominal_hash_rate_hps = 5e6, .extended = true}, recorder_};
};

TEST_F(ExtendedSessionTest, RollsItsExtranonceForEachWorkAndSubmitsIt) {
  EXPECT_EQ(mining::ChannelClient::setup_flags(true), 0U);
  EXPECT_TRUE(session_.open({}, out_));
  EXPECT_EQ((*out_.begin()).as<wire::OpenExtendedMiningChannel>()->min_extranonce_size, 4);
  const std::vector<std::uint8_t> prefix = {0xaa};
  wire::OpenExtendedMiningChannelSuccess opened{
      .request_id = 1, .channel_id = 5, .extranonce_size = 6, .extranonce_prefix = prefix, .group_channel_id = 1};
  opened.target.fill(0xff);
  EXPECT_TRUE(receive(opened));
  const std::vector<std::uint8_t> coinbase1 = {1, 2}, coinbase2 = {3};
  const auto job = [&](std::uint32_t id, std::optional<std::uint32_t> ntime) {
    return wire::NewExtendedMiningJob{.channel_id = 1,
                                      .job_id = id,
                                      .min_ntime = ntime,
                                      .version = 0x20000000,
                                      .coinbase_tx_prefix = coinbase1,
                                      .coinbase_tx_suffix = coinbase2};
  };
  EXPECT_TRUE(receive(job(9, std::nullopt)));
  EXPECT_TRUE(receive(wire::SetNewPrevHash{.channel_id = 1, .job_id = 9, .min_ntime = kMinNtime, .nbits = 0x1d00ffff}));
  EXPECT_TRUE(receive(job(10, kMinNtime)));
  ASSERT_EQ(recorder_.works.size(), 2U);
  EXPECT_NE(Bytes(recorder_.works[0].header).subspan(36, 32)[0], Bytes(recorder_.works[1].header).subspan(36, 32)[0])
      << "the same coinbase around another extranonce";
  out_.clear();
  session_.on_solution({.work_id = recorder_.works[1].id, .nonce = 7, .ntime = kMinNtime}, kNow, out_);
  ASSERT_FALSE(out_.empty());
  const auto share = *(*out_.begin()).as<wire::SubmitSharesExtended>();
  EXPECT_EQ(share.job_id, 10U);
  EXPECT_EQ(std::vector<std::uint8_t>(share.extranonce.begin(), share.extranonce.end()),
            (std::vector<std::uint8_t>{0, 0, 0, 0, 0, 2}));
}

TEST_F(ExtendedSessionTest, AnExtranonceBeyond32BytesEndsIt) {
  EXPECT_TRUE(session_.open({}, out_));
  const std::vector<std::uint8_t> prefix(20);
  EXPECT_FALSE(receive(wire::OpenExtendedMiningChannelSuccess{
      .request_id = 1, .channel_id = 5, .extranonce_size = 13, .extranonce_prefix = prefix}));
  EXPECT_FALSE(receive(wire::OpenExtendedMiningChannelSuccess{.request_id = 1, .channel_id = 5, .extranonce_size = 3}));
}

// A conversation as cgminer's manuals print it: extranonce1 08000002, extranonce2 of 4 bytes.
TEST(Sv1SessionTest, HashesWhatWasNotifiedAndSubmitsWithItsExtranonce2) {
  Recorder recorder;
  Sv1Session session("bob.1", recorder);
  session.start();
  EXPECT_NE(session.output().find("mining.subscribe"), std::string::npos);
  session.output().clear();
  const auto feed = [&](std::string line) { return session.receive(as_bytes(line.append("\n"))); };
  ASSERT_TRUE(feed(R"({"id":1,"result":{"version-rolling":false},"error":null})"));
  ASSERT_TRUE(feed(R"({"id":2,"result":[[["mining.notify","1"]],"08000002",4],"error":null})"));
  ASSERT_TRUE(feed(R"({"id":3,"result":true,"error":null})"));
  ASSERT_TRUE(feed(R"({"id":null,"method":"mining.set_difficulty","params":[0.001]})"));
  ASSERT_TRUE(feed(
      R"({"id":null,"method":"mining.notify","params":["bf","4d16b6f85af6e2198f44ae2a6de67f78487ae5611b77c6c0440b921e00000000","01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff20020862062f503253482f04b8864e5008","072f736c7573682f000000000100f2052a010000001976a914d23fcdf86f7e756a64a7a9688ef9903327048ed988ac00000000",[],"00000002","1c2ac4af","504e86b9",true]})"));
  ASSERT_EQ(recorder.works.size(), 1U);
  const HashWork& work = recorder.works[0];
  EXPECT_EQ(load_le<std::uint32_t>(work.header.data()), 2U);
  EXPECT_EQ(load_le<std::uint32_t>(work.header.data() + 68), 0x504e86b9U);
  EXPECT_EQ(load_le<std::uint32_t>(work.header.data() + 72), 0x1c2ac4afU);
  session.output().clear();
  session.on_solution({.work_id = work.id, .nonce = 0xb2957c02, .ntime = 0x504e86b9});
  EXPECT_NE(session.output().find(R"("bf","01000000","504e86b9","b2957c02")"), std::string::npos) << session.output();
  session.output().clear();
  session.on_solution({.work_id = work.id + 1, .nonce = 1, .ntime = 0});
  EXPECT_TRUE(session.output().empty());
}

}  // namespace
}  // namespace adit::miner
