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

}  // namespace
}  // namespace adit::net
