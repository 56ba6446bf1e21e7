#include "net/recovery.h"

#include <set>

#include <gtest/gtest.h>

namespace adit::net {
namespace {

constexpr Errc kAll[] = {Errc::kWouldBlock, Errc::kEndOfStream,   Errc::kReset,       Errc::kClosed,
                         Errc::kTimedOut,   Errc::kSlowReader,    Errc::kProtocol,    Errc::kHandshake,
                         Errc::kDenied,     Errc::kRefused,       Errc::kUnreachable, Errc::kAddressInUse,
                         Errc::kOverloaded, Errc::kConfiguration, Errc::kUnsupported, Errc::kInternal};

TEST(Recovery, EveryErrorHasANameOfItsOwnAndSaysWhatToDo) {
  std::set<std::string_view> names;
  for (const auto code : kAll) {
    EXPECT_TRUE(names.insert(error_name(code)).second) << error_name(code);
    EXPECT_FALSE(to_string(recovery_of(code)).empty());
  }
  EXPECT_EQ(std::size(kAll), static_cast<std::size_t>(Errc::kInternal) + 1) << "a value is missing here";
}

TEST(Recovery, OnlyWhatNoRetryCanMendIsNeverDialledAgain) {
  for (const auto code : kAll) {
    const auto severity = severity_of(Error(code, "x"));
    if (severity == Severity::kUnusable) EXPECT_EQ(recovery_of(code), Recovery::kFixConfiguration) << error_name(code);
    if (recovery_of(code) == Recovery::kFallBack) EXPECT_GT(cool_down(severity), Duration::zero()) << error_name(code);
    if (recovery_of(code) == Recovery::kRetry) EXPECT_EQ(severity, Severity::kLost) << error_name(code);
  }
  EXPECT_EQ(severity_of(Error(Errc::kHandshake, "x")), Severity::kUntrusted) << "a clock or a key may be put right meanwhile";
}

}  // namespace
}  // namespace adit::net
