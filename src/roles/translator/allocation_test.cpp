// A miner's share costs no allocation on its way up, nor does its answer on the way down.
#include "base/allocations_testing.h"
#include "roles/translator/translator_testing.h"

namespace adit::translator {
namespace {

TEST_F(TranslatorTest, SharesAllocateNothingOnceWarm) {
  constexpr std::uint32_t kShares = 200;
  client.extensions = {wire::kWorkerTracking};
  auto& test = connect({.user = "a-name-longer-than-a-string-holds-inside.worker1"});
  upstream_up();
  const std::vector<std::uint16_t> granted = {wire::kWorkerTracking};
  const auto request_id = next<wire::RequestExtensions>().request_id;
  ASSERT_TRUE(upstream(wire::RequestExtensionsSuccess{.request_id = request_id, .supported_extensions = granted}));
  open_success(2);
  first_job(2, 5);

  const auto run = [&](std::uint32_t first, bool counted) {
    const std::uint8_t extranonce2[] = {1, 2, 3, 4};
    std::vector<std::string> lines;
    std::vector<wire::FrameBuffer> answers(kShares);
    for (std::uint32_t i = 0; i < kShares; ++i) {
      const auto& work = *test.works.back();
      EXPECT_TRUE(test.client.submit(work, sv1::Extranonce(extranonce2), work.job.ntime, first + i, 0x2000));
      lines.push_back(std::exchange(test.client.output(), {}));
      EXPECT_TRUE(answers[i].push(wire::SubmitSharesSuccess{
          .channel_id = 2, .last_sequence_number = first + i, .new_submits_accepted_count = 1, .new_shares_sum = 1}));
    }
    std::size_t sent_up = 0;
    for (std::uint32_t i = 0; i < kShares; ++i) {
      allocations::count_this_thread = counted && i != 0;  // The test has taken the buffer of the miner's output away.
      test.miner->on_bytes(as_bytes(lines[i]), now);
      test.miner->output().clear();
      sent_up += translator->upstream_output().bytes().size();
      translator->upstream_output().clear();
      const auto frame = *answers[i].begin();
      EXPECT_TRUE(translator->on_upstream_frames(std::span(&frame, 1), now));
      translator->take_touched();
    }
    allocations::count_this_thread = false;
    EXPECT_GT(sent_up, kShares * 50) << "each goes up";
  };
  run(1, false);
  first_job(2, 6, 9);  // What one tip's shares needed is kept.
  allocations::made = 0;
  run(1 + kShares, true);
  EXPECT_EQ(allocations::made, 0) << allocations::first_of_them();
  EXPECT_EQ(translator->counters().shares_accepted, 2 * kShares);
}

}  // namespace
}  // namespace adit::translator
