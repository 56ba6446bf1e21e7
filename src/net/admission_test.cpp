#include "net/admission.h"

#include <optional>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace adit::net {
namespace {

using testing::HasSubstr;

TEST(Admission, AnIpv4AddressIsOneSourceWhateverThePort) {
  EXPECT_EQ(source_key("192.0.2.1:1000"), source_key("192.0.2.1:2000"));
  EXPECT_NE(source_key("192.0.2.1:1000"), source_key("192.0.2.2:1000"));
}

TEST(Admission, AnIpv6NetworkOf64BitsIsOneSource) {
  EXPECT_EQ(source_key("[2001:db8:0:1::1]:1000"), source_key("[2001:db8:0:1:ffff::2]:2000"));
  EXPECT_NE(source_key("[2001:db8:0:1::1]:1000"), source_key("[2001:db8:0:2::1]:1000"));
}

TEST(Admission, ARelayIsOneSource) {
  EXPECT_EQ(source_key("https://relay.example.org:443/"), "https://relay.example.org:443/");
}

TEST(Admission, OneSourceAtItsBoundLeavesRoomForOthers) {
  Admission admission({.max_connections = 10, .max_connections_per_source = 2});
  const auto first = admission.admit("192.0.2.1:1");
  auto second = admission.admit("192.0.2.1:2");
  ASSERT_TRUE(first && second);
  const auto third = admission.admit("192.0.2.1:3");
  ASSERT_FALSE(third);
  EXPECT_TRUE(third.error().is(Errc::kOverloaded));
  EXPECT_THAT(third.error().message(), HasSubstr("192.0.2.1"));
  EXPECT_TRUE(admission.admit("192.0.2.2:1"));
}

TEST(Admission, APlaceBesideAnotherIsOfTheSameSource) {
  Admission admission({.max_connections_per_source = 2});
  std::optional<Admission::Token> first(std::move(*admission.admit("192.0.2.1:1")));
  const auto second = admission.admit_beside(*first);
  ASSERT_TRUE(second);
  EXPECT_EQ(admission.counts().connections, 2u);
  EXPECT_EQ(admission.counts().handshakes, 2u);
  const auto third = admission.admit_beside(*first);
  ASSERT_FALSE(third);
  EXPECT_THAT(third.error().message(), HasSubstr("192.0.2.1"));
  EXPECT_EQ(admission.counts().refused, 1u);
  EXPECT_TRUE(admission.admit("192.0.2.2:1"));
  first.reset();
  EXPECT_TRUE(admission.admit_beside(*second)) << "whichever is left";
}

TEST(Admission, APlaceIsGivenBackWithItsToken) {
  Admission admission({.max_connections = 1});
  {
    const auto token = admission.admit("192.0.2.1:1");
    ASSERT_TRUE(token);
    EXPECT_FALSE(admission.admit("192.0.2.2:1"));
  }
  EXPECT_TRUE(admission.admit("192.0.2.2:1"));
  EXPECT_EQ(admission.counts().connections, 0u);
  EXPECT_EQ(admission.counts().handshakes, 0u);
  EXPECT_EQ(admission.counts().refused, 1u);
}

TEST(Admission, AHandshakeThatIsDoneMakesRoomForTheNext) {
  Admission admission({.max_handshakes = 1});
  auto first = admission.admit("192.0.2.1:1");
  ASSERT_TRUE(first);
  EXPECT_FALSE(admission.admit("192.0.2.2:1"));
  first->established();
  first->established();
  EXPECT_EQ(admission.counts().handshakes, 0u);
  EXPECT_TRUE(admission.admit("192.0.2.2:1"));
  EXPECT_EQ(admission.counts().connections, 1u);
}

TEST(Admission, SilentHandshakesOfOneSourceLeaveRoomForOthers) {
  Admission admission({.max_handshakes = 10, .max_handshakes_per_source = 2});
  std::vector<Result<Admission::Token>> held;
  for (int i = 0; i < 5; ++i) held.push_back(admission.admit("192.0.2.1:1"));
  EXPECT_TRUE(held[1]);
  EXPECT_FALSE(held[2]);
  EXPECT_TRUE(admission.admit("192.0.2.2:1"));
}

}  // namespace
}  // namespace adit::net
