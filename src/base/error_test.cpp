#include "base/error.h"

#include <gtest/gtest.h>

namespace adit {
namespace plain {

enum class Errc { kFirst };
constexpr std::string_view error_layer(Errc) { return "plain"; }
constexpr std::string_view error_name(Errc) { return "configuration"; }

}  // namespace plain

namespace mendable {

enum class Errc { kSetting, kWeather };
constexpr std::string_view error_layer(Errc) { return "mendable"; }
constexpr std::string_view error_name(Errc) { return "any"; }
constexpr bool error_is_usage(Errc code) { return code == Errc::kSetting; }

}  // namespace mendable

namespace {

TEST(Error, IsTheOperatorsToMendIfItsOwnLayerSaysSoWhateverItIsCalled) {
  EXPECT_FALSE(Error(plain::Errc::kFirst, "").is_usage());
  EXPECT_TRUE(Error(mendable::Errc::kSetting, "").is_usage());
  EXPECT_FALSE(Error(mendable::Errc::kWeather, "").is_usage());
  EXPECT_TRUE(Error(mendable::Errc::kSetting, "").in("context").is_usage());
}

}  // namespace
}  // namespace adit
