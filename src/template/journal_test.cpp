#include "template/journal.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/hex.h"
#include "template/chain.h"
#include "template/test_folder.h"
#include "template/test_sink.h"

namespace adit::templates {
namespace {

using test::Folder;

constexpr UnixTime kNow{std::chrono::seconds(1'800'000'000)};

// Different blocks on regtest's genesis block.
FoundBlock block_number(std::uint32_t n) {
  Template work = Chain(Chain::Options{}).make_template(kNow);
  work.current_time += n;
  return test::solve(work);
}

std::string content(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST(BlockJournal, AFileIsTheBlockInHexadecimalNamedByHeightAndHash) {
  const Folder folder;
  auto journal = BlockJournal::open(folder.path() / "blocks");
  ASSERT_TRUE(journal) << journal.error().message();
  const FoundBlock block = block_number(0);
  ASSERT_TRUE(journal->add(block));
  EXPECT_EQ(content(folder.path() / "blocks" / ("1-" + to_hex_reversed(block.hash) + ".block")), to_hex(block.bytes) + "\n");
}

TEST(BlockJournal, WhatWasNotAnsweredIsThereAfterReopening) {
  const Folder folder;
  const FoundBlock first = block_number(1);
  const FoundBlock second = block_number(2);
  {
    auto journal = BlockJournal::open(folder.path());
    ASSERT_TRUE(journal->add(first));
    ASSERT_TRUE(journal->add(second));
    ASSERT_TRUE(journal->answered(first.hash, BlockVerdict::kAccepted));
  }
  auto journal = BlockJournal::open(folder.path());
  ASSERT_TRUE(journal);
  ASSERT_EQ(journal->pending().size(), 1u);
  EXPECT_EQ(journal->pending()[0].hash, second.hash);
  EXPECT_EQ(journal->pending()[0].height, second.height);
  EXPECT_EQ(journal->pending()[0].bytes, second.bytes);
}

TEST(BlockJournal, ADefiniteAnswerRemovesTheFileAndARejectionKeepsItAside) {
  const Folder folder;
  auto journal = BlockJournal::open(folder.path());
  std::uint32_t n = 0;
  for (const BlockVerdict verdict :
       {BlockVerdict::kAccepted, BlockVerdict::kDuplicate, BlockVerdict::kStale, BlockVerdict::kRejected}) {
    const FoundBlock block = block_number(n++);
    ASSERT_TRUE(journal->add(block));
    EXPECT_EQ(folder.files(".block").size(), 1u);
    ASSERT_TRUE(journal->answered(block.hash, verdict));
    EXPECT_TRUE(folder.files(".block").empty());
    EXPECT_TRUE(journal->pending().empty());
  }
  EXPECT_EQ(folder.files(".rejected").size(), 1u);
}

TEST(BlockJournal, OnlyTheNewestRejectionsAreKept) {
  const Folder folder;
  auto journal = BlockJournal::open(folder.path());
  for (std::uint32_t n = 0; n < BlockJournal::kKeptRejected + 5; ++n) {
    const FoundBlock block = block_number(n);
    ASSERT_TRUE(journal->add(block));
    ASSERT_TRUE(journal->answered(block.hash, BlockVerdict::kRejected));
  }
  EXPECT_EQ(folder.files(".rejected").size(), BlockJournal::kKeptRejected);
}

TEST(BlockJournal, TheSameBlockTwiceIsOneAndAnAnswerToAnUnknownOneIsNothing) {
  const Folder folder;
  auto journal = BlockJournal::open(folder.path());
  ASSERT_TRUE(journal->add(block_number(0)));
  ASSERT_TRUE(journal->add(block_number(0)));
  EXPECT_EQ(journal->pending().size(), 1u);
  EXPECT_TRUE(journal->answered(block_number(1).hash, BlockVerdict::kAccepted));
  EXPECT_EQ(journal->pending().size(), 1u);
}

TEST(BlockJournal, AnUnfinishedFileIsRemovedAndADamagedOneReportedAndLeft) {
  const Folder folder;
  const FoundBlock block = block_number(0);
  const std::string name = "1-" + to_hex_reversed(block.hash);
  std::ofstream(folder.path() / (name + ".new")) << to_hex(block.bytes).substr(0, 100);
  std::ofstream(folder.path() / (name + ".block")) << to_hex(block.bytes).substr(0, 100);
  std::ofstream(folder.path() / "notes.txt") << "not ours";
  const std::string other = "1-" + to_hex_reversed(block_number(1).hash);
  std::ofstream(folder.path() / (other + ".block")) << to_hex(block.bytes);  // Another block than its name says.
  auto journal = BlockJournal::open(folder.path());
  ASSERT_TRUE(journal);
  EXPECT_TRUE(folder.files(".new").empty());
  EXPECT_EQ(journal->unreadable().size(), 2u);
  EXPECT_EQ(folder.files(".block").size(), 2u);
  EXPECT_EQ(folder.files(".txt").size(), 1u);
}

TEST(BlockJournal, MoreThanItsBoundIsRefusedWithoutTouchingTheOthers) {
  const Folder folder;
  auto journal = BlockJournal::open(folder.path(), 3);
  for (std::uint32_t n = 0; n < 3; ++n) ASSERT_TRUE(journal->add(block_number(n)));
  const auto refused = journal->add(block_number(3));
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(Errc::kJournal));
  EXPECT_EQ(journal->pending().size(), 3u);
  EXPECT_EQ(folder.files(".block").size(), 3u);
}

TEST(BlockJournal, AFolderThatCannotBeUsedIsAnErrorAtOnce) {
  const Folder folder;
  std::ofstream(folder.path() / "file") << "x";
  const auto journal = BlockJournal::open(folder.path() / "file");
  ASSERT_FALSE(journal);
  EXPECT_TRUE(journal.error().is(Errc::kJournal));
}

TEST(BlockJournal, ABlockThatCannotBeWrittenIsStillPending) {
  const Folder folder;
  auto journal = BlockJournal::open(folder.path() / "blocks");
  ASSERT_TRUE(journal);
  std::filesystem::remove_all(folder.path() / "blocks");
  const auto added = journal->add(block_number(0));
  ASSERT_FALSE(added);
  EXPECT_TRUE(added.error().is(Errc::kJournal));
  EXPECT_EQ(journal->pending().size(), 1u);
}

}  // namespace
}  // namespace adit::templates
