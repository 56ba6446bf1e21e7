#include "ledger/block_journal.h"

#include <gtest/gtest.h>

#include <fcntl.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>

#include "base/fd.h"
#include "base/file_testing.h"
#include "base/hex.h"
#include "base/no_descriptors_testing.h"
#include "base/temporary_folder_testing.h"
#include "ledger/block_testing.h"

namespace adit::ledger {
namespace {

HexBlock block_number(std::uint32_t n, std::uint32_t height = 1) { return HexBlock(testing::make_block(n, height, n % 3)); }

Result<BlockJournal> open(const TemporaryFolder& folder, std::size_t max = BlockJournal::kMaxPending) {
  return BlockJournal::open(FileSystem::real(), folder.path(), max);
}

std::string content(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string name_of(const HexBlock& block) { return std::to_string(block.height()) + "-" + to_hex_reversed(block.hash()); }

TEST(BlockJournal, AFileIsTheBlockInHexadecimalNamedByHeightAndHash) {
  const TemporaryFolder folder;
  auto journal = BlockJournal::open(FileSystem::real(), folder.path() / "blocks");
  ASSERT_TRUE(journal) << journal.error().message();
  const HexBlock block = block_number(0);
  ASSERT_TRUE(journal->add(block));
  EXPECT_EQ(content(folder.path() / "blocks" / (name_of(block) + ".block")), to_hex(block.block().bytes) + "\n");
}

TEST(BlockJournal, WhatWasNotAnsweredIsThereAfterReopening) {
  const TemporaryFolder folder;
  const HexBlock first = block_number(1);
  const HexBlock second = block_number(2);
  {
    auto journal = open(folder);
    ASSERT_TRUE(journal->add(first));
    ASSERT_TRUE(journal->add(second));
    ASSERT_TRUE(journal->answered(first.hash(), BlockVerdict::kAccepted));
  }
  auto journal = open(folder);
  ASSERT_TRUE(journal);
  ASSERT_EQ(journal->pending().size(), 1u);
  EXPECT_EQ(journal->pending()[0].hash, second.hash());
  EXPECT_EQ(journal->pending()[0].height, second.height());
  const auto read = journal->read(second.hash());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->bytes, second.block().bytes);
  EXPECT_EQ(read->height, second.height());
  EXPECT_EQ(read->hash, second.hash());
  EXPECT_FALSE(journal->read(first.hash()));
}

TEST(BlockJournal, ADefiniteAnswerRemovesTheFileAndARejectionKeepsItAside) {
  const TemporaryFolder folder;
  auto journal = open(folder);
  std::uint32_t n = 0;
  for (const BlockVerdict verdict :
       {BlockVerdict::kAccepted, BlockVerdict::kDuplicate, BlockVerdict::kStale, BlockVerdict::kRejected}) {
    const HexBlock block = block_number(n++);
    ASSERT_TRUE(journal->add(block));
    EXPECT_EQ(folder.files(".block").size(), 1u);
    ASSERT_TRUE(journal->answered(block.hash(), verdict));
    EXPECT_TRUE(folder.files(".block").empty());
    EXPECT_TRUE(journal->pending().empty());
  }
  EXPECT_EQ(folder.files(".rejected").size(), 1u);
}

TEST(BlockJournal, OfRejectionsThoseOfTheGreatestHeightsAreKept) {
  const TemporaryFolder folder;
  auto journal = open(folder);
  for (std::uint32_t n = 0; n < BlockJournal::kKeptRejected + 5; ++n) {
    const HexBlock block = block_number(n, n + 90);
    ASSERT_TRUE(journal->add(block));
    ASSERT_TRUE(journal->answered(block.hash(), BlockVerdict::kRejected));
  }
  const auto kept = folder.files(".rejected");
  EXPECT_EQ(kept.size(), BlockJournal::kKeptRejected);
  for (const std::string& name : kept) EXPECT_GE(std::stoi(name), 95) << name;
}

TEST(BlockJournal, TheSameBlockTwiceIsOneAndAnAnswerToAnUnknownOneIsNothing) {
  const TemporaryFolder folder;
  auto journal = open(folder);
  ASSERT_TRUE(journal->add(block_number(0)));
  ASSERT_TRUE(journal->add(block_number(0)));
  EXPECT_EQ(journal->pending().size(), 1u);
  EXPECT_TRUE(journal->answered(block_number(1).hash(), BlockVerdict::kAccepted));
  EXPECT_EQ(journal->pending().size(), 1u);
}

TEST(BlockJournal, AWholeUnfinishedFileIsABlockWhateverItIsCalled) {
  const TemporaryFolder folder;
  const HexBlock first = block_number(1, 17);
  const HexBlock second = block_number(2, 900'000);
  const HexBlock third = block_number(3, 5);
  std::ofstream(folder.path() / (name_of(first) + ".new")) << first.line();
  std::ofstream(folder.path() / "spare-1.new") << second.hex();  // Without its last line feed.
  std::ofstream(folder.path() / "spare-2.new.new") << third.line();
  auto journal = open(folder);
  ASSERT_TRUE(journal);
  EXPECT_EQ(folder.files(".new").size(), BlockJournal::kSpareFiles);
  EXPECT_EQ(folder.files(".block").size(), 3u);
  ASSERT_EQ(journal->pending().size(), 3u);
  EXPECT_EQ(journal->pending()[0].height, 5u);
  EXPECT_EQ(journal->pending()[1].height, 17u);
  EXPECT_EQ(journal->pending()[2].height, 900'000u);
  EXPECT_EQ(journal->read(second.hash())->bytes, second.block().bytes);
}

TEST(BlockJournal, AnUnfinishedFileIsRemovedAndADamagedOneReportedAndLeft) {
  const TemporaryFolder folder;
  const HexBlock block = block_number(2);
  std::string bent(block.line());
  bent[bent.size() - 4] ^= 1;  // In the last transaction.
  const std::string half(block.hex().substr(0, block.hex().size() / 2));
  std::ofstream(folder.path() / (name_of(block) + ".new")) << half;
  std::ofstream(folder.path() / "spare-1.new") << bent;
  std::ofstream(folder.path() / (name_of(block) + ".block")) << half;
  std::ofstream(folder.path() / (name_of(block_number(5)) + ".block")) << bent;
  std::ofstream(folder.path() / "notes.txt") << "not ours";
  std::ofstream(folder.path() / (name_of(block_number(1)) + ".block")) << block.line();  // Another block than its name says.
  auto journal = open(folder);
  ASSERT_TRUE(journal);
  EXPECT_EQ(folder.files(".new").size(), BlockJournal::kSpareFiles);
  EXPECT_EQ(journal->unreadable().size(), 3u);
  EXPECT_TRUE(journal->pending().empty());
  EXPECT_EQ(folder.files(".block").size(), 3u);
  EXPECT_EQ(folder.files(".txt").size(), 1u);
}

TEST(BlockJournal, MoreThanItsBoundIsRefusedWithoutTouchingTheOthers) {
  const TemporaryFolder folder;
  auto journal = open(folder, 3);
  for (std::uint32_t n = 0; n < 3; ++n) ASSERT_TRUE(journal->add(block_number(n)));
  const auto refused = journal->add(block_number(3));
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(Errc::kFull));
  EXPECT_EQ(journal->pending().size(), 3u);
  EXPECT_EQ(folder.files(".block").size(), 3u);
}

TEST(BlockJournal, AFolderThatCannotBeUsedIsAnErrorAtOnce) {
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "file") << "x";
  const auto journal = BlockJournal::open(FileSystem::real(), folder.path() / "file");
  ASSERT_FALSE(journal);
  EXPECT_TRUE(journal.error().is(Errc::kJournal));
  EXPECT_NE(journal.error().message().find((folder.path() / "file").string()), std::string::npos);
}

TEST(BlockJournal, ASecondJournalOnTheFolderIsRefusedAndTakesNothingFromTheFirst) {
  const TemporaryFolder folder;
  auto first = open(folder);
  ASSERT_TRUE(first);
  const auto second = open(folder);
  ASSERT_FALSE(second);
  EXPECT_TRUE(second.error().is(Errc::kInUse));
  ASSERT_TRUE(first->add(block_number(0)));
  first = fail(Errc::kJournal, "gone");
  EXPECT_EQ(open(folder)->pending().size(), 1u);
}

TEST(BlockJournal, ABlockThatCannotBeWrittenIsNotPendingAndCanBeTriedAgain) {
  MemoryFileSystem files;
  auto journal = BlockJournal::open(files, "blocks");
  ASSERT_TRUE(journal);
  files.fail_every(FileOp::kWrite, ENOSPC);
  const auto added = journal->add(block_number(0));
  ASSERT_FALSE(added);
  EXPECT_TRUE(added.error().is(Errc::kJournal));
  EXPECT_NE(added.error().message().find("No space left on device"), std::string::npos);
  EXPECT_FALSE(journal->has(block_number(0).hash()));
  files.set_fault({});
  ASSERT_TRUE(journal->add(block_number(0)));
  EXPECT_TRUE(journal->has(block_number(0).hash()));
  ASSERT_TRUE(journal->refill_spares());
  EXPECT_EQ(files.list("blocks")->size(), BlockJournal::kSpareFiles + 1);
}

TEST(BlockJournal, TheFirstBlocksNeedNoDescriptor) {
  ADIT_TAKES_EVERY_DESCRIPTOR();
  const TemporaryFolder folder;
  auto journal = open(folder);
  ASSERT_TRUE(journal);
  std::vector<Fd> taken;
  std::optional<FewDescriptors> few(std::in_place, 256);
  do {
    taken.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  } while (taken.back().ok());
  std::vector<bool> added;
  std::vector<bool> refilled;
  for (std::uint32_t n = 0; n < BlockJournal::kSpareFiles; ++n) added.push_back(journal->add(block_number(n)).has_value());
  // Each file that was written and closed gives a descriptor back; a stranger takes it at once.
  do {
    taken.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  } while (taken.back().ok());
  const bool can_refill = journal->refill_spares();
  const bool beyond = journal->add(block_number(99)).has_value();
  taken.clear();
  few.reset();
  EXPECT_EQ(added, std::vector<bool>(BlockJournal::kSpareFiles, true));
  EXPECT_FALSE(can_refill);
  EXPECT_FALSE(beyond);
  EXPECT_TRUE(journal->refill_spares());
  EXPECT_EQ(folder.files(".block").size(), BlockJournal::kSpareFiles);
}

// What a run does to its journal, until a call fails as after a crash.
struct Story {
  std::vector<HexBlock> blocks{block_number(1, 7), block_number(2, 8), block_number(3, 8)};
  std::set<Hash256> kept;      ///< add() said so, and no answer came.
  std::set<Hash256> answered;  ///< answered() was called.

  void run(MemoryFileSystem& files) {
    auto journal = BlockJournal::open(files, "data/blocks");
    if (!journal) return;
    for (const HexBlock& block : blocks) {
      if (journal->add(block)) kept.insert(block.hash());
      EXPECT_EQ(journal->has(block.hash()), kept.contains(block.hash()));
      journal->refill_spares();
    }
    for (std::size_t i = 0; i < 2; ++i) {
      kept.erase(blocks[i].hash());
      answered.insert(blocks[i].hash());
      (void)journal->answered(blocks[i].hash(), i == 0 ? BlockVerdict::kAccepted : BlockVerdict::kRejected);
      EXPECT_FALSE(journal->has(blocks[i].hash()));
    }
  }

  /// What the next run finds is what was promised, and nothing that was never a block.
  void check(MemoryFileSystem& left, std::size_t step) const {
    auto journal = BlockJournal::open(left, "data/blocks");
    ASSERT_TRUE(journal) << step << " " << journal.error().message();
    std::set<Hash256> found;
    for (const auto& entry : journal->pending()) {
      EXPECT_TRUE(found.insert(entry.hash).second) << step;
      const auto block = std::ranges::find(blocks, entry.hash, &HexBlock::hash);
      ASSERT_NE(block, blocks.end()) << step;
      EXPECT_EQ(entry.height, block->height()) << step;
      const auto read = journal->read(entry.hash);
      ASSERT_TRUE(read) << step;
      EXPECT_EQ(read->bytes, block->block().bytes) << step;
    }
    for (const Hash256& hash : kept) EXPECT_TRUE(found.contains(hash)) << step;
    EXPECT_TRUE(journal->unreadable().empty()) << step;
    // What was found is on disk again, not only in what a crash may lose.
    journal = fail(Errc::kJournal, "gone");
    for_each_crash(left, 4, [&](MemoryFileSystem& again) {
      auto reopened = BlockJournal::open(again, "data/blocks");
      ASSERT_TRUE(reopened) << step;
      for (const Hash256& hash : found) EXPECT_TRUE(reopened->has(hash)) << step;
    });
  }

  static std::size_t steps() {
    MemoryFileSystem files;
    Story().run(files);
    return files.steps();
  }
};

TEST(BlockJournal, ACrashAtAnyStepLosesNoBlockThatIsOnDisk) {
  const std::size_t steps = Story::steps();
  ASSERT_GT(steps, 30u);
  std::size_t crashes = 0;
  for (std::size_t step = 0; step <= steps; ++step) {
    MemoryFileSystem files;
    files.crash_at(step);
    Story story;
    story.run(files);
    crashes += for_each_crash(files, 300, [&](MemoryFileSystem& left) { story.check(left, step); });
  }
  EXPECT_GT(crashes, 1000u);
}

TEST(BlockJournal, ACallThatFailsAtAnyStepMakesItLieAboutNothing) {
  const std::size_t steps = Story::steps();
  for (const int error : {EIO, ENOSPC, EMFILE}) {
    for (std::size_t step = 0; step <= steps; ++step) {
      MemoryFileSystem files;
      files.fail_at(step, error);
      Story story;
      story.run(files);
      for_each_crash(files, 10, [&](MemoryFileSystem& left) { story.check(left, step); });
    }
  }
}

TEST(BlockJournal, ACrashWhileAnUnfinishedFileIsTakenOverLosesItNot) {
  const HexBlock block = block_number(4, 300);
  const auto left_over = [&] {
    auto files = std::make_unique<MemoryFileSystem>();
    EXPECT_TRUE(make_folders(*files, "data/blocks"));
    files->put("data/blocks/" + name_of(block) + ".new", std::string(block.line()));
    return files;
  };
  auto whole = left_over();
  const std::size_t before = whole->steps();
  ASSERT_TRUE(BlockJournal::open(*whole, "data/blocks"));
  for (std::size_t step = before; step <= whole->steps(); ++step) {
    auto files = left_over();
    files->crash_at(step);
    (void)BlockJournal::open(*files, "data/blocks");
    for_each_crash(*files, 500, [&](MemoryFileSystem& left) {
      auto journal = BlockJournal::open(left, "data/blocks");
      ASSERT_TRUE(journal) << step;
      EXPECT_TRUE(journal->has(block.hash())) << step;
    });
  }
}

TEST(BlockJournal, AnUnfinishedFileOfAKilledProcessIsDurableOnceItIsPending) {
  const HexBlock block = block_number(4, 300);
  MemoryFileSystem files;
  ASSERT_TRUE(make_folders(files, "blocks"));
  {
    auto file = files.create("blocks/" + name_of(block) + ".new");
    ASSERT_TRUE((*file)->write(block.line()));  // What was written is there for the next process, and not on disk yet.
  }
  ASSERT_EQ(BlockJournal::open(files, "blocks")->pending().size(), 1u);
  for_each_crash(files, 500,
                 [&](MemoryFileSystem& left) { EXPECT_TRUE(BlockJournal::open(left, "blocks")->has(block.hash())); });
}

}  // namespace
}  // namespace adit::ledger
