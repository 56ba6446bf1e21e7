#include "base/backoff.h"

#include <gtest/gtest.h>

namespace adit {
namespace {

using namespace std::chrono_literals;

TEST(Backoff, BoundDoublesUpToTheCapAndResets) {
  Backoff backoff(1s, 5s);
  // A random value of `bound` itself is the largest wait of that step.
  EXPECT_EQ(backoff.next(std::uint64_t{1'000'000'000}), 1s);
  EXPECT_EQ(backoff.next(std::uint64_t{2'000'000'000}), 2s);
  EXPECT_EQ(backoff.next(std::uint64_t{4'000'000'000}), 4s);
  EXPECT_EQ(backoff.next(std::uint64_t{5'000'000'000}), 5s);
  EXPECT_LE(backoff.next(~std::uint64_t{0}), 5s);
  EXPECT_EQ(backoff.next(0), 0s);
  backoff.reset();
  EXPECT_LE(backoff.next(~std::uint64_t{0}), 1s);
}

}  // namespace
}  // namespace adit
