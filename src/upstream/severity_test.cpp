#include "upstream/severity.h"

#include <gtest/gtest.h>

#include "net/recovery.h"

namespace adit::upstream {
namespace {

using net::Errc;
using net::Recovery;

constexpr Errc kAll[] = {Errc::kWouldBlock, Errc::kEndOfStream,   Errc::kReset,       Errc::kClosed,
                         Errc::kTimedOut,   Errc::kSlowReader,    Errc::kProtocol,    Errc::kHandshake,
                         Errc::kDenied,     Errc::kRefused,       Errc::kUnreachable, Errc::kAddressInUse,
                         Errc::kOverloaded, Errc::kConfiguration, Errc::kUnsupported, Errc::kInternal};

TEST(Severity, OnlyWhatNoRetryCanMendIsNeverDialledAgain) {
  for (const auto code : kAll) {
    const auto severity = severity_of(Error(code, "x"));
    if (severity == Severity::kUnusable)
      EXPECT_EQ(net::recovery_of(code), Recovery::kFixConfiguration) << net::error_name(code);
    if (net::recovery_of(code) == Recovery::kFallBack)
      EXPECT_GT(cool_down(severity), Duration::zero()) << net::error_name(code);
    if (net::recovery_of(code) == Recovery::kRetry) EXPECT_EQ(severity, Severity::kLost) << net::error_name(code);
  }
  EXPECT_EQ(severity_of(Error(Errc::kHandshake, "x")), Severity::kUntrusted) << "a clock or a key may be put right meanwhile";
}

TEST(Severity, WhatEndsASessionIsHeldAgainstItsUpstream) {
  using session::Errc;
  EXPECT_EQ(severity_of(Error(Errc::kProtocol, "x")), Severity::kMisbehaved);
  EXPECT_EQ(severity_of(Error(Errc::kRefused, "x")), Severity::kRefused);
  EXPECT_EQ(severity_of(Error(Errc::kTimedOut, "x")), Severity::kRefused);
  EXPECT_EQ(severity_of(Error(Errc::kConfiguration, "x")), Severity::kUnusable);
  EXPECT_EQ(severity_of(Error(Errc::kClosed, "x")), Severity::kLost);
}

}  // namespace
}  // namespace adit::upstream
