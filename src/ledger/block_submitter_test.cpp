#include "ledger/block_submitter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <latch>
#include <mutex>
#include <set>
#include <thread>

#include "base/eventually_testing.h"
#include "base/file_testing.h"
#include "ledger/block_journal.h"
#include "ledger/block_testing.h"
#include "ledger/node_testing.h"

namespace adit::ledger {
namespace {

using namespace std::chrono_literals;
using testing::FakeNode;
using testing::make_block;

const std::string kFolder = "data/found-blocks";

class BlockSubmitterTest : public ::testing::Test {
 protected:
  /// A node that the next start() has; it lives as long as the submitter.
  FakeNode& add_node(const std::string& name = "node", bool gives_templates = true) {
    auto node = std::make_unique<FakeNode>(name, gives_templates);
    FakeNode& made = *node;
    nodes_.push_back(std::move(node));
    return made;
  }

  /// Lives longer than the submitter.
  MemoryFileSystem& new_files() { return *files_.emplace_back(std::make_unique<MemoryFileSystem>()); }

  Result<> start(FileSystem& files) {
    BlockSubmitter::Options options = options_;
    options.files = &files;
    options.policy.retry_first = 1ms;
    options.policy.retry_cap = 5ms;
    options.rewrite_first = 1ms;
    options.rewrite_cap = 5ms;
    submitter_ = std::make_unique<BlockSubmitter>(std::move(nodes_), std::move(options));
    nodes_.clear();
    return submitter_->start({.on_kept = [this](const Hash256& hash) { note([&] { kept_.push_back(hash); }); },
                              .on_result = [this](const BlockResult& result) { note([&] { results_.push_back(result); }); }});
  }

  void note(const std::function<void()>& what) {
    const std::lock_guard lock(mutex_);
    what();
    changed_.notify_all();
  }

  bool wait(const std::function<bool()>& holds) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 1min, holds);
  }
  bool wait_for_kept(std::size_t count) {
    return wait([&] { return kept_.size() >= count; });
  }
  bool wait_for_results(std::size_t count) {
    return wait([&] { return results_.size() >= count; });
  }
  std::vector<Hash256> kept() {
    const std::lock_guard lock(mutex_);
    return kept_;
  }

  /// Whether a crash now can lose the block.
  static bool is_durable(const MemoryFileSystem& files, const Hash256& hash) {
    bool durable = true;
    for_each_crash(files, 20, [&](MemoryFileSystem& left) {
      const auto journal = BlockJournal::open(left, kFolder);
      durable = durable && journal && journal->has(hash);
    });
    return durable;
  }

  BlockSubmitter::Options options_{.journal_folder = kFolder};
  std::vector<std::unique_ptr<MemoryFileSystem>> files_;
  std::vector<std::unique_ptr<BlockNode>> nodes_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Hash256> kept_;
  std::vector<BlockResult> results_;
  std::unique_ptr<BlockSubmitter> submitter_;
};

TEST_F(BlockSubmitterTest, ABlockReachesDiskAndNodeAndIsDecidedOnce) {
  MemoryFileSystem& files = new_files();
  FakeNode& node = add_node();
  ASSERT_TRUE(start(files));
  const FoundBlock block = make_block(1, 7, 3);
  ASSERT_TRUE(submitter_->submit(block));
  ASSERT_TRUE(wait_for_results(1));
  submitter_->stop();
  EXPECT_EQ(kept(), std::vector<Hash256>{block.hash});
  EXPECT_EQ(results_[0].verdict, BlockVerdict::kAccepted);
  EXPECT_EQ(results_[0].height, 7u);
  EXPECT_EQ(results_[0].node, "node");
  EXPECT_EQ(node.bytes().at(block.hash), block.bytes);
  EXPECT_EQ(submitter_->counts().accepted, 1u);
  EXPECT_EQ(submitter_->counts().unanswered, 0u);
  EXPECT_TRUE(BlockJournal::open(files, kFolder)->pending().empty());
  EXPECT_TRUE(submitter_->submit(make_block(2)).error().is(Errc::kStopped));
}

TEST_F(BlockSubmitterTest, WhatTheChainSaidOfTheNewestBlocksIsRemembered) {
  MemoryFileSystem& files = new_files();
  FakeNode& node = add_node();
  ASSERT_TRUE(start(files));
  EXPECT_TRUE(submitter_->answered().empty());
  std::vector<Hash256> hashes;
  for (std::uint8_t i = 0; i < kMostAnswered + 2; ++i) {
    if (i == kMostAnswered + 1) {
      node.set_answer([](const BlockPtr&) { return NodeAnswer{BlockVerdict::kRejected, "high-hash"}; });
    }
    const FoundBlock block = make_block(i, 7);
    hashes.push_back(block.hash);
    ASSERT_TRUE(submitter_->submit(block));
    ASSERT_TRUE(wait_for_results(i + 1u));
  }
  const auto answered = submitter_->answered();
  ASSERT_EQ(answered.size(), kMostAnswered);
  EXPECT_EQ(answered[0].result.hash, hashes.back());
  EXPECT_EQ(answered[0].result.reason, "high-hash");
  EXPECT_EQ(answered[1].result.verdict, BlockVerdict::kAccepted);
  EXPECT_EQ(answered.back().result.hash, hashes[2]) << "the oldest went";
  EXPECT_NE(answered[0].at, UnixTime{});
}

TEST_F(BlockSubmitterTest, TheSubmissionDoesNotWaitForTheDisk) {
  MemoryFileSystem& files = new_files();
  FakeNode& node = add_node();
  ASSERT_TRUE(start(files));
  const auto disk_goes_on = std::make_shared<std::latch>(1);
  files.set_fault([disk_goes_on](const MemoryFileSystem::Step& step) -> std::optional<int> {
    if (step.op == FileOp::kSync) disk_goes_on->wait();
    return std::nullopt;
  });
  const FoundBlock block = make_block(1);
  ASSERT_TRUE(submitter_->submit(block));
  EXPECT_TRUE(node.wait_until([](const FakeNode& n) { return !n.submitted().empty(); }));
  EXPECT_TRUE(wait_for_kept(1)) << "a node has answered";
  EXPECT_TRUE(wait_for_results(1));
  disk_goes_on->count_down();
}

TEST_F(BlockSubmitterTest, TheDiskDoesNotWaitForTheNodesAndABlockOnDiskIsKept) {
  MemoryFileSystem& files = new_files();
  FakeNode& node = add_node();
  node.set_answer([](const BlockPtr&) { return std::nullopt; });
  ASSERT_TRUE(start(files));
  const FoundBlock block = make_block(1);
  ASSERT_TRUE(submitter_->submit(block));
  ASSERT_TRUE(wait_for_kept(1));
  EXPECT_TRUE(is_durable(files, block.hash));
  EXPECT_TRUE(results_.empty());
  EXPECT_EQ(submitter_->counts().unanswered, 1u);
  node.release(FakeNode::accepts());
  EXPECT_TRUE(wait_for_results(1));
  EXPECT_EQ(kept().size(), 1u) << "told once";
}

TEST_F(BlockSubmitterTest, WithoutAJournalABlockIsKeptByItsFirstAnswer) {
  MemoryFileSystem& files = new_files();
  FakeNode& node = add_node();
  node.set_answer([](const BlockPtr&) { return std::nullopt; });
  options_.journal_folder.clear();
  ASSERT_TRUE(start(files));
  ASSERT_TRUE(submitter_->submit(make_block(1)));
  ASSERT_TRUE(node.wait_until([](const FakeNode& n) { return !n.submitted().empty(); }));
  EXPECT_TRUE(kept().empty());
  EXPECT_EQ(files.steps(), 0u);
  node.release(NodeAnswer{BlockVerdict::kRejected, "high-hash"});
  ASSERT_TRUE(wait_for_results(1));
  EXPECT_EQ(kept().size(), 1u);
  EXPECT_EQ(submitter_->counts().rejected, 1u);
}

// Specimen: three blocks, to the first of which the node answers error -1 for ever.
TEST_F(BlockSubmitterTest, AnOddAnswerToOneBlockHoldsUpNoOther) {
  MemoryFileSystem& files = new_files();
  FakeNode& node = add_node();
  const FoundBlock odd = make_block(1);
  node.set_answer([odd](const BlockPtr& block) {
    return std::optional(block->hash() == odd.hash ? FakeNode::fails() : FakeNode::accepts());
  });
  ASSERT_TRUE(start(files));
  ASSERT_TRUE(submitter_->submit(odd));
  ASSERT_TRUE(node.wait_until([](const FakeNode& n) { return n.submitted().size() >= 3; }));
  ASSERT_TRUE(submitter_->submit(make_block(2)));
  ASSERT_TRUE(submitter_->submit(make_block(3)));
  ASSERT_TRUE(wait_for_results(2));
  EXPECT_EQ(submitter_->counts().unanswered, 1u);
  node.set_answer([](const BlockPtr&) { return std::optional(FakeNode::accepts()); });
  EXPECT_TRUE(wait_for_results(3));
}

TEST_F(BlockSubmitterTest, ANodeThatHangsOnEveryBlockHoldsUpNeitherTheOthersNorNewBlocks) {
  MemoryFileSystem& files = new_files();
  FakeNode& hangs = add_node("hangs");
  FakeNode& works = add_node("works");
  hangs.set_answer([](const BlockPtr&) { return std::nullopt; });
  ASSERT_TRUE(start(files));
  for (std::uint32_t n = 0; n < 10; ++n) ASSERT_TRUE(submitter_->submit(make_block(n)));
  ASSERT_TRUE(wait_for_results(10));
  EXPECT_TRUE(hangs.wait_until([](const FakeNode& n) { return n.submitted().size() == 10; })) << "each was offered to it";
  EXPECT_TRUE(works.wait_until([](const FakeNode& n) { return n.submitted().size() == 10; }));
}

TEST_F(BlockSubmitterTest, AnEarlierRunsBlocksAreSubmittedNewestFirst) {
  MemoryFileSystem& files = new_files();
  std::vector<FoundBlock> blocks;
  for (std::uint32_t n = 0; n < 3; ++n) blocks.push_back(make_block(n, 100 + n, n));
  {
    FakeNode& node = add_node();
    node.set_answer([](const BlockPtr&) { return std::optional(FakeNode::fails("unreachable")); });
    ASSERT_TRUE(start(files));
    for (const FoundBlock& block : blocks) ASSERT_TRUE(submitter_->submit(block));
    ASSERT_TRUE(wait_for_kept(3));
    submitter_.reset();
  }
  FakeNode& node = add_node();
  ASSERT_TRUE(start(files));
  ASSERT_TRUE(wait_for_results(3));
  submitter_->stop();
  ASSERT_EQ(node.submitted().size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(node.submitted()[i], blocks[2 - i].hash);
    EXPECT_EQ(node.bytes().at(blocks[i].hash), blocks[i].bytes);
  }
  EXPECT_EQ(kept().size(), 3u) << "they were kept in the run that found them";
  EXPECT_TRUE(BlockJournal::open(files, kFolder)->pending().empty());
}

TEST_F(BlockSubmitterTest, ASecondSubmitterOnTheFolderDoesNotStart) {
  MemoryFileSystem& files = new_files();
  add_node();
  ASSERT_TRUE(start(files));
  BlockSubmitter second({}, {.journal_folder = kFolder, .files = &files});
  const auto started = second.start({});
  ASSERT_FALSE(started);
  EXPECT_TRUE(started.error().is(Errc::kInUse));
  EXPECT_TRUE(second.submit(make_block(1)).error().is(Errc::kStopped));
}

TEST_F(BlockSubmitterTest, OnlyNodesWithTemplatesAreAskedToPreferTheBlockAndOnlyLater) {
  MemoryFileSystem& files = new_files();
  FakeNode& makes = add_node("makes templates", true);
  FakeNode& takes = add_node("takes blocks", false);
  options_.policy.prefer_after = 50ms;
  ASSERT_TRUE(start(files));
  const FoundBlock block = make_block(1);
  const Instant begun = now_from_system().instant;
  ASSERT_TRUE(submitter_->submit(block));
  ASSERT_TRUE(makes.wait_until([](const FakeNode& n) { return !n.preferred().empty(); }));
  EXPECT_GE(now_from_system().instant - begun, 50ms);
  submitter_->stop();
  EXPECT_EQ(makes.preferred(), std::vector<Hash256>{block.hash});
  EXPECT_TRUE(takes.preferred().empty());
  EXPECT_EQ(takes.submitted().size(), 1u);
}

TEST_F(BlockSubmitterTest, ABlockThatCannotBePutTogetherIsToldAndTheOthersAreNotHeldUp) {
  MemoryFileSystem& files = new_files();
  add_node();
  ASSERT_TRUE(start(files));
  ASSERT_TRUE(
      submitter_->submit(make_block(1).hash, 1, []() -> Result<FoundBlock> { return fail(Errc::kStopped, "no coinbase"); }));
  ASSERT_TRUE(submitter_->submit(make_block(2)));
  ASSERT_TRUE(wait_for_results(1));
  submitter_->stop();
  EXPECT_EQ(kept(), std::vector<Hash256>{make_block(2).hash});
}

TEST_F(BlockSubmitterTest, StopRunsUntilWhatWasHandedOverIsOnDisk) {
  MemoryFileSystem& files = new_files();
  FakeNode& node = add_node();
  node.set_answer([](const BlockPtr&) { return std::nullopt; });
  options_.answer_grace = 10ms;
  ASSERT_TRUE(start(files));
  files.set_fault([](const MemoryFileSystem::Step& step) -> std::optional<int> {
    if (step.op == FileOp::kSync) std::this_thread::sleep_for(30ms);  // A disk that takes its time.
    return std::nullopt;
  });
  std::vector<Hash256> hashes;
  for (std::uint32_t n = 0; n < 10; ++n) {
    const FoundBlock block = make_block(n);
    hashes.push_back(block.hash);
    ASSERT_TRUE(submitter_->submit(block.hash, block.height, [block]() -> Result<FoundBlock> {
      std::this_thread::sleep_for(5ms);
      return block;
    }));
  }
  submitter_->stop();
  files.set_fault({});
  EXPECT_EQ(kept().size(), 10u);
  EXPECT_EQ(submitter_->counts().unanswered, 10u);
  for (const Hash256& hash : hashes) EXPECT_TRUE(is_durable(files, hash));
}

TEST_F(BlockSubmitterTest, StopWaitsAMomentForTheAnswerToANewBlock) {
  MemoryFileSystem& files = new_files();
  FakeNode& node = add_node();
  node.set_answer([](const BlockPtr&) { return std::nullopt; });
  ASSERT_TRUE(start(files));
  ASSERT_TRUE(submitter_->submit(make_block(1)));
  ASSERT_TRUE(wait_for_kept(1));
  std::thread answers([&] {
    std::this_thread::sleep_for(50ms);
    node.release(FakeNode::accepts());
  });
  submitter_->stop();
  answers.join();
  EXPECT_EQ(submitter_->counts().accepted, 1u);
}

TEST_F(BlockSubmitterTest, StopIsBoundedAndCallsNobodyAfterwards) {
  MemoryFileSystem& files = new_files();
  FakeNode& node = add_node();
  node.set_answer([](const BlockPtr&) { return std::optional(FakeNode::fails("unreachable")); });
  options_.stop_deadline = 50ms;
  ASSERT_TRUE(start(files));
  files.fail_every(FileOp::kWrite, ENOSPC);
  ASSERT_TRUE(submitter_->submit(make_block(1)));
  submitter_->stop();
  EXPECT_TRUE(kept().empty()) << "neither on disk nor answered";
  EXPECT_EQ(submitter_->counts().unanswered, 1u);
  const std::size_t before = node.submitted().size();
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(node.submitted().size(), before);
}

TEST_F(BlockSubmitterTest, ADiskThatRecoversGetsTheBlockWhileItHasNoAnswer) {
  MemoryFileSystem& files = new_files();
  FakeNode& node = add_node();
  node.set_answer([](const BlockPtr&) { return std::optional(FakeNode::fails("unreachable")); });
  ASSERT_TRUE(start(files));
  files.fail_every(FileOp::kSyncFolder, EIO);
  const FoundBlock block = make_block(1);
  ASSERT_TRUE(submitter_->submit(block));
  ASSERT_TRUE(node.wait_until([](const FakeNode& n) { return n.submitted().size() >= 3; }));
  EXPECT_TRUE(kept().empty());
  files.set_fault({});
  ASSERT_TRUE(wait_for_kept(1));
  EXPECT_TRUE(is_durable(files, block.hash));
}

// A share, and the solution that its finder's job declarator pushes, are one block.
TEST_F(BlockSubmitterTest, ABlockThatIsHandedOverTwiceIsOneAndBothHearThatItIsKept) {
  FakeNode& node = add_node();
  node.set_answer([](const BlockPtr&) { return std::nullopt; });
  ASSERT_TRUE(start(new_files()));
  const FoundBlock block = make_block(1);
  ASSERT_TRUE(submitter_->submit(block));
  ASSERT_TRUE(wait_for_kept(1));
  ASSERT_TRUE(submitter_->submit(block));
  ASSERT_TRUE(wait_for_kept(2));
  node.release(FakeNode::accepts());
  ASSERT_TRUE(wait_for_results(1));
  ASSERT_TRUE(submitter_->submit(block));
  ASSERT_TRUE(wait_for_kept(3));
  submitter_->stop();
  EXPECT_EQ(kept(), (std::vector<Hash256>{block.hash, block.hash, block.hash}));
  EXPECT_EQ(results_.size(), 1u);
  EXPECT_EQ(node.submitted().size(), 1u);
  EXPECT_EQ(submitter_->counts().accepted, 1u);
}

TEST_F(BlockSubmitterTest, MoreThanItsBoundIsRefused) {
  MemoryFileSystem& files = new_files();
  FakeNode& node = add_node();
  node.set_answer([](const BlockPtr&) { return std::nullopt; });
  options_.policy.max_blocks = 3;
  options_.answer_grace = 1ms;
  ASSERT_TRUE(start(files));
  for (std::uint32_t n = 0; n < 3; ++n) ASSERT_TRUE(submitter_->submit(make_block(n)));
  const auto refused = submitter_->submit(make_block(3));
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(Errc::kFull));
}

// Every file call of a run fails once, in each way, and the process may crash at it: the block reaches the node whatever the
// disk does, and is called kept only if it is on disk for good or a node has answered.
TEST_F(BlockSubmitterTest, WhateverCallFailsABlockReachesItsNodeAndIsKeptOnlyIfItIsSafe) {
  std::size_t steps = 0;
  {
    MemoryFileSystem& files = new_files();
    add_node().set_answer([](const BlockPtr&) { return std::nullopt; });
    options_.answer_grace = 1ms;
    ASSERT_TRUE(start(files));
    ASSERT_TRUE(submitter_->submit(make_block(1)));
    ASSERT_TRUE(submitter_->submit(make_block(2)));
    ASSERT_TRUE(wait_for_kept(2));
    submitter_->stop();
    steps = files.steps();
  }
  ASSERT_GT(steps, 15u);
  for (const int error : {EIO, ENOSPC, EMFILE, -1}) {  // -1: nothing works any more from there on.
    for (std::size_t step = 0; step < steps; ++step) {
      MemoryFileSystem& files = new_files();
      kept_.clear();
      FakeNode& node = add_node();
      node.set_answer([](const BlockPtr&) { return std::nullopt; });
      options_.stop_deadline = 5ms;
      error == -1 ? files.crash_at(step) : files.fail_at(step, error);
      if (!start(files)) continue;  // The journal could not be opened, which is told.
      const std::vector<FoundBlock> blocks{make_block(1), make_block(2)};
      for (const FoundBlock& block : blocks) ASSERT_TRUE(submitter_->submit(block));
      ASSERT_TRUE(node.wait_until([](const FakeNode& n) { return n.submitted().size() == 2; })) << step;
      if (error != -1) ASSERT_TRUE(wait_for_kept(2)) << "what fails once is tried again: " << step;
      submitter_->stop();
      for (const Hash256& hash : kept()) EXPECT_TRUE(is_durable(files, hash)) << error << " at " << step;
    }
  }
}

}  // namespace
}  // namespace adit::ledger
