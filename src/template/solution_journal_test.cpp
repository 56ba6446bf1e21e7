#include "template/solution_journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file_testing.h"
#include "base/temporary_folder_testing.h"

namespace adit::templates {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr UnixTime kNow{1'800'000'000s};

Sv2Solution solution(std::uint8_t tag, std::uint32_t height = 900'000, const std::string& provider = "10.0.0.2:8442") {
  Sv2Solution made{.provider = provider,
                   .template_id = 0xfedcba9876543210,
                   .height = height,
                   .solved = {.version = 0x20000000, .ntime = 1'800'000'000, .nonce = 0xffffffff, .coinbase = {1, 2, 3, tag}},
                   .found = kNow};
  made.hash.fill(tag);
  made.hash[0] = 0xee;
  return made;
}

bool same(const Sv2Solution& a, const Sv2Solution& b) {
  return a.provider == b.provider && a.template_id == b.template_id && a.hash == b.hash && a.height == b.height &&
         a.found == b.found && a.solved.version == b.solved.version && a.solved.ntime == b.solved.ntime &&
         a.solved.nonce == b.solved.nonce && a.solved.coinbase == b.solved.coinbase;
}
MATCHER_P(Is, expected, "") { return same(arg, expected); }

class SolutionJournalTest : public testing::Test {
 protected:
  std::string path() const { return folder_.path() / "found-solutions"; }
  std::vector<Sv2Solution> left(const std::string& provider = "10.0.0.2:8442", UnixTime oldest = kNow - 1h) {
    return SolutionJournal(FileSystem::real(), path()).read(provider, oldest);
  }

  TemporaryFolder folder_;
  SolutionJournal journal_{FileSystem::real(), path()};
};

TEST_F(SolutionJournalTest, WhatWasAddedIsThereInALaterRunUntilItIsSettled) {
  EXPECT_THAT(left(), IsEmpty());
  ASSERT_TRUE(journal_.add(solution(2, 900'001)));
  ASSERT_TRUE(journal_.add(solution(1, 900'000)));
  ASSERT_TRUE(journal_.add(solution(1, 900'000))) << "a second time";
  EXPECT_THAT(left(), ElementsAre(Is(solution(1, 900'000)), Is(solution(2, 900'001))));
  journal_.settled(solution(1).hash, 900'000);
  journal_.settled(solution(9).hash, 900'000);
  EXPECT_THAT(left(), ElementsAre(Is(solution(2, 900'001))));
}

TEST_F(SolutionJournalTest, EachProviderHasItsOwn) {
  const Sv2Solution other = solution(3, 900'000, "iroh:1b5f");
  ASSERT_TRUE(journal_.add(solution(1)));
  ASSERT_TRUE(journal_.add(other));
  EXPECT_THAT(left(), ElementsAre(Is(solution(1))));
  EXPECT_THAT(left("iroh:1b5f"), ElementsAre(Is(other)));
}

TEST_F(SolutionJournalTest, WhatNobodyWantsAnyMoreIsRemoved) {
  ASSERT_TRUE(journal_.add(solution(1)));
  EXPECT_THAT(left("10.0.0.2:8442", kNow + 1s), IsEmpty());
  EXPECT_THAT(left(), IsEmpty()) << "it is not there any more";
}

TEST_F(SolutionJournalTest, WhatIsNoSolutionIsLeftAsItIs) {
  ASSERT_TRUE(journal_.add(solution(1)));
  const std::string text = solution_text(solution(1));
  FileSystem& files = FileSystem::real();
  std::size_t written = 0;
  for (std::size_t cut = 0; cut + 1 < text.size(); cut += 7) {
    const std::string name = path() + "/" + std::to_string(cut) + "-x.solution";
    ASSERT_TRUE(write_atomically(files, name, text.substr(0, cut), AtomicFile::Replace::kYes));
    ++written;
  }
  EXPECT_THAT(left(), SizeIs(1));
  EXPECT_EQ(files.list(path())->size(), written + 1);
}

TEST(SolutionText, EachFieldIsNeededAndChecked) {
  const std::string text = solution_text(solution(7));
  ASSERT_TRUE(parse_solution(text));
  EXPECT_TRUE(same(*parse_solution(text), solution(7)));
  for (const char* const field :
       {"provider", "template_id", "hash", "height", "version", "time", "nonce", "coinbase", "found"}) {
    std::string without = text;
    without.replace(without.find(field), 1, "_");
    EXPECT_FALSE(parse_solution(without)) << field;
  }
  for (const auto& [from, to] : {std::pair("900000", "-1"), std::pair("900000", "4294967296"), std::pair("900000", "1.5"),
                                 std::pair("\"hash\":\"07", "\"hash\":\"0"), std::pair("01020307", "0102030")}) {
    std::string wrong = text;
    ASSERT_NE(wrong.find(from), std::string::npos) << from;
    wrong.replace(wrong.find(from), std::string(from).size(), to);
    EXPECT_FALSE(parse_solution(wrong)) << wrong;
  }
  for (const char* const other : {"", "[]", "null", "{", "{}"}) EXPECT_FALSE(parse_solution(other)) << other;
}

}  // namespace
}  // namespace adit::templates
