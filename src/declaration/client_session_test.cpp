#include "declaration/client_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "declaration/coinbase_parts.h"
#include "wire/messages.h"

namespace adit::declaration {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::vector<std::uint8_t> kScript = {0x00, 0x14, 1, 2, 3};

struct Heard final : ClientHandler {
  void on_token() override { ++tokens; }
  void on_declared(std::uint64_t job, Bytes token) override { declared.emplace_back(job, token.size()); }
  void on_declare_refused(std::uint64_t job, std::string_view code) override { refused.emplace_back(job, code); }
  void on_transactions_sent(std::uint64_t, std::size_t count, std::size_t bytes) override { sent.emplace_back(count, bytes); }

  int tokens = 0;
  std::vector<std::pair<std::uint64_t, std::size_t>> declared;
  std::vector<std::pair<std::uint64_t, std::string>> refused;
  std::vector<std::pair<std::size_t, std::size_t>> sent;
};

class DeclarationClient : public ::testing::Test {
 protected:
  void SetUp() override { session_.begin(now_, out_); }

  template <class M>
  Result<void> hear(const M& message) {
    wire::FrameBuffer in;
    EXPECT_TRUE(in.push(message));
    const std::vector<wire::FrameView> frames(in.begin(), in.end());
    return session_.on_frames(frames, now_, out_);
  }
  Result<void> give_token(std::uint32_t request_id, std::vector<bitcoin::TxOutput> outputs = {{0, kScript}}) {
    const std::vector<std::uint8_t> token = {static_cast<std::uint8_t>(request_id)};
    const auto counted = counted_outputs(outputs);
    return hear(wire::AllocateMiningJobTokenSuccess{
        .request_id = request_id, .mining_job_token = Bytes(token), .coinbase_tx_outputs = Bytes(counted)});
  }
  /// The ids of the requests of that kind that were written since the last call.
  template <class M>
  std::vector<std::uint32_t> requests() {
    std::vector<std::uint32_t> ids;
    for (const wire::FrameView& frame : out_) {
      if (frame.is<M>()) ids.push_back(frame.as<M>()->request_id);
    }
    out_.clear();
    return ids;
  }
  std::vector<std::uint32_t> asked() { return requests<wire::AllocateMiningJobToken>(); }
  /// Declares a job of so many transactions of 100 bytes each; its request id.
  std::uint32_t declare(std::uint64_t job, std::size_t transactions = 3) {
    for (const std::uint32_t id : asked()) EXPECT_TRUE(give_token(id));
    auto token = session_.take_token(now_, out_);
    EXPECT_TRUE(token);
    out_.clear();
    const auto all = std::make_shared<std::vector<std::vector<std::uint8_t>>>();
    for (std::size_t i = 0; i < transactions; ++i) all->emplace_back(100, static_cast<std::uint8_t>(i));
    EXPECT_TRUE(
        session_.declare(job, *token,
                         {.version = 1,
                          .coinbase_prefix = {1},
                          .coinbase_suffix = {2},
                          .wtxids = std::make_shared<const std::vector<bitcoin::Hash256>>(transactions, bitcoin::Hash256{}),
                          .transactions = all},
                         now_, out_));
    return requests<wire::DeclareMiningJob>().at(0);
  }

  Now now_{Instant{std::chrono::hours(1)}, from_u32(1'700'000'000)};
  wire::FrameBuffer out_;
  Heard heard_;
  ClientSession session_{ClientPolicy{}, "farm", heard_};
};

TEST_F(DeclarationClient, AsksForTokensAtOnceAndForAnotherWhenOneIsTaken) {
  EXPECT_THAT(asked(), ElementsAre(1, 2));
  EXPECT_FALSE(session_.take_token(now_, out_));
  ASSERT_TRUE(give_token(1));
  ASSERT_TRUE(give_token(2));
  EXPECT_EQ(heard_.tokens, 2);
  EXPECT_EQ(session_.take_token(now_, out_)->bytes, std::vector<std::uint8_t>{1});
  EXPECT_THAT(asked(), ElementsAre(3));
  EXPECT_EQ(session_.spare_tokens(), 1);
}

TEST_F(DeclarationClient, ATokenThatWasNotAskedForIsRefused) {
  EXPECT_FALSE(give_token(9));
  ASSERT_TRUE(give_token(1));
  EXPECT_FALSE(give_token(1)) << "answered before";
}

TEST_F(DeclarationClient, OldTokensAreReplaced) {
  ASSERT_TRUE(give_token(1));
  ASSERT_TRUE(give_token(2));
  (void)asked();
  now_.instant += std::chrono::hours(1);
  ASSERT_TRUE(session_.on_tick(now_, out_));
  EXPECT_EQ(session_.spare_tokens(), 0);
  EXPECT_THAT(asked(), ElementsAre(3, 4));
}

TEST_F(DeclarationClient, OutputsThatAreNoneOrTakeMoneyOrTooMuchRoomAreRefused) {
  EXPECT_TRUE(give_token(1, {}).error().is(session::Errc::kProtocol));
  EXPECT_TRUE(give_token(2, {{1, kScript}}).error().is(session::Errc::kProtocol));
  session_.renew_tokens(now_, out_);
  EXPECT_TRUE(give_token(3, {{0, {}}}).error().is(session::Errc::kProtocol)) << "nobody can be paid so";
  EXPECT_TRUE(give_token(4, {{0, std::vector<std::uint8_t>(5000, 0x6a)}}).error().is(session::Errc::kRefused));
}

TEST_F(DeclarationClient, EqualOutputsAreOneObject) {
  ASSERT_TRUE(give_token(1));
  const auto first = session_.outputs();
  ASSERT_TRUE(give_token(2));
  EXPECT_EQ(session_.outputs(), first);
}

TEST_F(DeclarationClient, AnswersFindTheirJob) {
  const auto first = declare(7);
  const auto second = declare(8);
  const std::vector<std::uint8_t> token(4, 1);
  ASSERT_TRUE(hear(wire::DeclareMiningJobSuccess{.request_id = second, .new_mining_job_token = Bytes(token)}));
  ASSERT_TRUE(hear(
      wire::DeclareMiningJobError{.request_id = first, .error_code = std::string_view("invalid-job"), .error_details = {}}));
  EXPECT_THAT(heard_.declared, ElementsAre(std::pair(8U, 4U)));
  EXPECT_THAT(heard_.refused, ElementsAre(std::pair(7U, "invalid-job")));
  EXPECT_EQ(session_.undecided(), 0);
  EXPECT_FALSE(hear(wire::DeclareMiningJobSuccess{.request_id = second, .new_mining_job_token = Bytes(token)}));
  EXPECT_FALSE(hear(wire::DeclareMiningJobError{.request_id = 99, .error_code = {}, .error_details = {}}));
}

TEST_F(DeclarationClient, MissingTransactionsAreSentInTheOrderAskedFor) {
  const auto id = declare(7);
  const std::vector<std::uint16_t> positions = {2, 0};
  ASSERT_TRUE(hear(wire::ProvideMissingTransactions{.request_id = id, .unknown_tx_position_list = positions}));
  const auto frame = *out_.begin();
  const auto answer = *frame.as<wire::ProvideMissingTransactionsSuccess>();
  EXPECT_EQ(answer.request_id, id);
  ASSERT_EQ(answer.transaction_list.size(), 2);
  std::vector<std::uint8_t> firsts;
  for (const auto& transaction : answer.transaction_list) firsts.push_back(transaction.bytes()[0]);
  EXPECT_THAT(firsts, ElementsAre(2, 0));
  EXPECT_THAT(heard_.sent, ElementsAre(std::pair(2U, 200U)));
}

TEST_F(DeclarationClient, WhatADeclaratorMayAskForIsBounded) {
  const auto id = declare(7);
  const auto ask = [&](std::vector<std::uint16_t> positions) {
    return hear(wire::ProvideMissingTransactions{.request_id = id, .unknown_tx_position_list = positions});
  };
  EXPECT_FALSE(ask({3})) << "there are three";
  EXPECT_FALSE(ask({1, 1}));
  EXPECT_TRUE(ask({1}));
  EXPECT_TRUE(ask({1}));
  EXPECT_FALSE(ask({1})) << "again and again";
  EXPECT_FALSE(hear(wire::ProvideMissingTransactions{.request_id = 99, .unknown_tx_position_list = {}}));
}

TEST_F(DeclarationClient, EveryRequestHasADeadline) {
  now_.instant += seconds(20);
  const auto tokens = session_.on_tick(now_, out_);
  ASSERT_FALSE(tokens);
  EXPECT_TRUE(tokens.error().is(session::Errc::kTimedOut));
  now_.instant -= seconds(20);
  (void)declare(7);
  for (const std::uint32_t id : {3U}) ASSERT_TRUE(give_token(id));
  now_.instant += seconds(60);
  const auto declared = session_.on_tick(now_, out_);
  ASSERT_FALSE(declared);
  EXPECT_THAT(declared.error().message(), HasSubstr("DeclareMiningJob"));
}

}  // namespace
}  // namespace adit::declaration
