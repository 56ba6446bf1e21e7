#include "upstream/reconnect.h"

#include <gtest/gtest.h>

#include <string>

#include "noise/keys.h"

namespace adit::upstream {
namespace {

const std::string kKey = "9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh";
const std::string kId(64, 'a');

net::Peer upstream(const std::string& url) { return *parse_url(url); }

TEST(Reconnect, StaysWithTheAuthorityAndTheCarrier) {
  const auto present = upstream("stratum2+tcp://pool.example:3333/" + kKey);
  EXPECT_EQ(to_url(*reconnect_target(present, "", 0)), to_url(present));
  EXPECT_EQ(to_url(*reconnect_target(present, "b.example", 0)), "stratum2+tcp://b.example:3333/" + kKey);
  EXPECT_EQ(to_url(*reconnect_target(present, "", 444)), "stratum2+tcp://pool.example:444/" + kKey);
  EXPECT_EQ(to_url(*reconnect_target(present, "2001:db8::1", 444)), "stratum2+tcp://[2001:db8::1]:444/" + kKey);
  const auto over_iroh = upstream("stratum2+iroh://" + kId + "/" + kKey);
  EXPECT_EQ(to_url(*reconnect_target(over_iroh, std::string(64, 'b'), 0)),
            "stratum2+iroh://" + std::string(64, 'b') + "/" + kKey);
  const auto relayed = reconnect_target(over_iroh, std::string(64, 'b') + "?relay=https://relay.example/", 0);
  ASSERT_TRUE(relayed) << relayed.error().message();
  EXPECT_EQ(std::get<net::IrohConfig>(relayed->transport).relay_url, "https://relay.example/");
  EXPECT_EQ(relayed->authority, present.authority);
}

TEST(Reconnect, WithoutAnAuthorityKeyLeadsNowhereElse) {
  const auto present = upstream("stratum2+tcp://pool.example:3333");
  EXPECT_TRUE(reconnect_target(present, "", 0));
  const auto refused = reconnect_target(present, "b.example", 0);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(net::Errc::kConfiguration));
  EXPECT_NE(refused.error().message().find("authority_pubkey"), std::string::npos);
}

TEST(Reconnect, ToWhatIsNoPlaceIsRefused) {
  const auto present = upstream("stratum2+tcp://pool.example:3333/" + kKey);
  for (const std::string host : {"a b", "x/../y", "user@host", "a\nb", "[::1"}) {
    EXPECT_FALSE(reconnect_target(present, host, 1)) << host;
  }
  const auto over_iroh = upstream("stratum2+iroh://" + kId + "/" + kKey);
  EXPECT_FALSE(reconnect_target(over_iroh, "pool.example", 0)) << "no carrier is changed on request";
  EXPECT_FALSE(reconnect_target(over_iroh, kId, 3333));
  EXPECT_FALSE(reconnect_target(over_iroh, kId + "/" + kKey, 0)) << "nor the authority";
}

TEST(Reconnect, IsFollowedThreeTimesInTenMinutes) {
  ReconnectBudget budget;
  const Instant start(std::chrono::seconds(1000));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(budget.take(start + std::chrono::minutes(i)));
  EXPECT_FALSE(budget.take(start + std::chrono::minutes(9)));
  EXPECT_TRUE(budget.take(start + std::chrono::minutes(10)));
  EXPECT_FALSE(budget.take(start + std::chrono::minutes(10)));
}

}  // namespace
}  // namespace adit::upstream
