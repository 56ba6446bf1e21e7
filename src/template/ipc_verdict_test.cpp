#include "template/ipc_verdict.h"

#include <gtest/gtest.h>

#include "template/error.h"

namespace adit::templates {
namespace {

using ipc::Submitted;
using ledger::BlockVerdict;

ledger::Hash256 hash(std::uint8_t tag) {
  ledger::Hash256 made{};
  made.fill(tag);
  return made;
}

const ledger::Hash256 kOurs = hash(1);
const ipc::Tip kOursIsTip{kOurs, 100};
const ipc::Tip kOtherIsTip{hash(2), 100};

Submitted answer(bool accepted, std::string reason, std::optional<ipc::Tip> tip) {
  return {.accepted = accepted, .reason = std::move(reason), .detail = "", .tip = tip};
}

TEST(IpcVerdict, ABlockThatIsTheTipIsAccepted) {
  EXPECT_EQ(judge_solution(answer(true, "", kOursIsTip), kOurs)->verdict, BlockVerdict::kAccepted);
  // Of a block that it had already release 32 says no.
  EXPECT_EQ(judge_solution(answer(false, "duplicate", kOursIsTip), kOurs)->verdict, BlockVerdict::kAccepted);
  EXPECT_EQ(judge_block(answer(false, "duplicate", kOursIsTip), kOurs)->verdict, BlockVerdict::kAccepted);
}

TEST(IpcVerdict, AYesAloneDoesNotDecide) {
  // Release 31 says yes to what it could store, whether or not it can be connected.
  EXPECT_EQ(judge_solution(answer(true, "", kOtherIsTip), kOurs), std::nullopt);
  EXPECT_EQ(judge_solution(answer(true, "", std::nullopt), kOurs), std::nullopt);
  EXPECT_EQ(judge_solution(answer(false, "", kOtherIsTip), kOurs), std::nullopt);
}

TEST(IpcVerdict, TheReasonOfRelease32Decides) {
  const auto rejected = judge_solution(
      {.accepted = false, .reason = "bad-cb-amount", .detail = "coinbase pays too much", .tip = kOtherIsTip}, kOurs);
  ASSERT_TRUE(rejected);
  EXPECT_EQ(rejected->verdict, BlockVerdict::kRejected);
  EXPECT_EQ(rejected->reason, "bad-cb-amount (coinbase pays too much)");
  EXPECT_EQ(judge_solution(answer(false, "inconclusive", kOtherIsTip), kOurs)->verdict, BlockVerdict::kStale);
  EXPECT_EQ(judge_solution(answer(false, "prev-blk-not-found", kOtherIsTip), kOurs), std::nullopt);
  EXPECT_EQ(judge_solution(answer(false, "duplicate", kOtherIsTip), kOurs), std::nullopt);
}

TEST(IpcVerdict, WithoutWholeBlocksTheTipDecides) {
  EXPECT_EQ(judge_solution_by_tip(answer(true, "", kOursIsTip), kOurs, 100).verdict, BlockVerdict::kAccepted);
  EXPECT_EQ(judge_solution_by_tip(answer(false, "", kOtherIsTip), kOurs, 100).verdict, BlockVerdict::kRejected);
  EXPECT_EQ(judge_solution_by_tip(answer(true, "", kOtherIsTip), kOurs, 100).verdict, BlockVerdict::kStale);
  EXPECT_EQ(judge_solution_by_tip(answer(true, "", ipc::Tip{hash(2), 99}), kOurs, 100).verdict, BlockVerdict::kRejected);
  EXPECT_EQ(judge_solution_by_tip(answer(true, "", ipc::Tip{hash(2), 101}), kOurs, 100).verdict, BlockVerdict::kAccepted);
  EXPECT_EQ(judge_solution_by_tip(answer(true, "", std::nullopt), kOurs, 100).verdict, BlockVerdict::kAccepted);
}

TEST(IpcVerdict, EveryAnswerToAWholeBlockIsUnderstood) {
  EXPECT_EQ(judge_block(answer(true, "", kOtherIsTip), kOurs)->verdict, BlockVerdict::kAccepted);
  EXPECT_EQ(judge_block(answer(false, "duplicate", kOtherIsTip), kOurs)->verdict, BlockVerdict::kDuplicate);
  EXPECT_EQ(judge_block(answer(false, "inconclusive", kOtherIsTip), kOurs)->verdict, BlockVerdict::kStale);
  EXPECT_EQ(judge_block(answer(false, "duplicate-invalid", kOtherIsTip), kOurs)->verdict, BlockVerdict::kRejected);
  EXPECT_EQ(judge_block(answer(false, "high-hash", std::nullopt), kOurs)->verdict, BlockVerdict::kRejected);
  const auto later = judge_block(answer(false, "prev-blk-not-found", kOtherIsTip), kOurs);
  ASSERT_FALSE(later);
  EXPECT_TRUE(later.error().is(Errc::kRefused));
}

TEST(IpcVerdict, AKnownBlockIsStaleUnlessItIsInTheBestChain) {
  EXPECT_EQ(judge_known(1).verdict, BlockVerdict::kDuplicate);
  EXPECT_EQ(judge_known(-1).verdict, BlockVerdict::kStale);
}

}  // namespace
}  // namespace adit::templates
