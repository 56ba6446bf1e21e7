#include "net/metadata.h"

#include <gtest/gtest.h>

#include <string>

namespace adit::net {
namespace {

TEST(PathHistory, HasTheNewestChangesAndNoMore) {
  PathHistory history;
  for (std::size_t i = 0; i < PathHistory::kMost + 3; ++i)
    history.add({.from = Path::kRelayed, .to = Path::kDirect, .address = std::to_string(i)});
  ASSERT_EQ(history.changes().size(), PathHistory::kMost);
  EXPECT_EQ(history.changes().front().address, "3");
  EXPECT_EQ(history.changes().back().address, std::to_string(PathHistory::kMost + 2));
}

}  // namespace
}  // namespace adit::net
