// Every result of the bridge has a meaning here, and what to do about it. That each comes for real is bridge/tests' and
// node_test.cpp's; what only a defect brings (STALE, NOT_RUNNING, INTERNAL, PANIC) also the crate's own tests'.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/iroh/event_loop.h"
#include "net/recovery.h"

namespace adit::net {
namespace {

struct Meaning {
  std::int32_t result;
  Errc code;
  Recovery recovery;
};

constexpr Meaning kMeanings[] = {
    {ADIT_OK, Errc::kInternal, Recovery::kGiveUp},  // no failure: to ask is a defect
    {ADIT_AGAIN, Errc::kWouldBlock, Recovery::kRetry},
    {ADIT_FIN, Errc::kEndOfStream, Recovery::kRetry},
    {ADIT_RESET, Errc::kReset, Recovery::kRetry},
    {ADIT_STOPPED, Errc::kReset, Recovery::kRetry},
    {ADIT_CLOSED, Errc::kClosed, Recovery::kGiveUp},
    {ADIT_STALE, Errc::kInternal, Recovery::kGiveUp},
    {ADIT_INVALID, Errc::kConfiguration, Recovery::kFixConfiguration},
    {ADIT_OVERLOADED, Errc::kOverloaded, Recovery::kRetry},
    {ADIT_TIMED_OUT, Errc::kTimedOut, Recovery::kRetry},
    {ADIT_NO_ROUTE, Errc::kUnreachable, Recovery::kRetry},  // a lookup may know the id later; the message names the settings
    {ADIT_UNREACHABLE, Errc::kUnreachable, Recovery::kRetry},
    {ADIT_REFUSED, Errc::kRefused, Recovery::kRetry},
    {ADIT_WRONG_PROTOCOL, Errc::kDenied, Recovery::kFallBack},
    {ADIT_WRONG_PEER, Errc::kHandshake, Recovery::kFixConfiguration},
    {ADIT_ADDRESS_IN_USE, Errc::kAddressInUse, Recovery::kFixConfiguration},
    {ADIT_NOT_RUNNING, Errc::kClosed, Recovery::kGiveUp},
    {ADIT_INTERNAL, Errc::kInternal, Recovery::kGiveUp},
    {ADIT_PANIC, Errc::kInternal, Recovery::kGiveUp},
};

TEST(BridgeError, EveryResultHasAMeaningAndSaysWhatToDo) {
  std::int32_t expected = ADIT_OK;
  for (const auto& meaning : kMeanings) {
    EXPECT_EQ(meaning.result, expected--) << "a result is missing here";
    const auto error = bridge_error(meaning.result, 0, "what was tried");
    EXPECT_TRUE(error.is(meaning.code)) << meaning.result << ' ' << error.name();
    EXPECT_EQ(recovery_of(meaning.code), meaning.recovery) << meaning.result;
    EXPECT_THAT(error.message(), testing::StartsWith("what was tried"));
  }
  EXPECT_EQ(expected, ADIT_PANIC - 1) << "a result is missing here";
}

TEST(BridgeError, AHandleThatIsGoneIsADefectOfOurs) {
  adit_connection_info info;
  const auto result = adit_connection_get_info(0xdead, &info);
  EXPECT_EQ(result, ADIT_STALE);
  EXPECT_TRUE(bridge_error(result, 0, "asked of nobody").is(Errc::kInternal));
}

}  // namespace
}  // namespace adit::net
