#include "roles/jd_client/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace adit::jd_client {
namespace {

using config::Severity;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

constexpr std::string_view kId = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
constexpr std::string_view kAuthority = "9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh";

std::string base() {
  return R"toml(listening_address = "127.0.0.1:0"
authority_secret_key_file = "authority.key"
coinbase_reward_script = "addr(tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx)"
data_dir = "d"
)toml";
}
std::string source() {
  return R"([template_provider_type.BitcoinRpc]
url = "http://127.0.0.1:48332"
network = "testnet4"
)";
}
std::string upstream(const std::string& keys) { return "[[upstreams]]\nuser_identity = \"me\"\n" + keys; }
std::string sris() {
  return upstream("authority_pubkey = \"" + std::string(kAuthority) +
                  "\"\npool_address = \"127.0.0.1\"\npool_port = 3333\njds_address = \"127.0.0.1\"\njds_port = 3334\n");
}

config::Loaded<JdClientConfig> load(std::string_view toml, const config::Environment& environment = {}) {
  return parse_config(toml, "j.toml", environment);
}
std::vector<std::string> texts(const config::Loaded<JdClientConfig>& loaded, Severity severity) {
  std::vector<std::string> out;
  for (const auto& finding : loaded.findings) {
    if (finding.severity == severity) out.push_back(finding.text());
  }
  return out;
}

TEST(JdClientConfig, TheSmallestOneStarts) {
  const auto loaded = load(base() + sris() + source());
  EXPECT_THAT(texts(loaded, Severity::kError), IsEmpty());
  EXPECT_TRUE(loaded.may_start());
  EXPECT_EQ(loaded.config.mode, ConfigMode::kFullTemplate);
  ASSERT_EQ(loaded.config.upstreams.size(), 1U);
  EXPECT_EQ(std::get<net::TcpConfig>(loaded.config.upstreams[0].pool.transport), (net::TcpConfig{"127.0.0.1", 3333}));
  EXPECT_EQ(std::get<net::TcpConfig>(loaded.config.upstreams[0].declarator.transport), (net::TcpConfig{"127.0.0.1", 3334}));
  EXPECT_TRUE(loaded.config.upstreams[0].declarator.authority);
  EXPECT_FALSE(loaded.config.iroh.enabled);
  EXPECT_FALSE(loaded.config.sv1_address);
}

TEST(JdClientConfig, ModesAreReadInAnyCase) {
  EXPECT_EQ(load("mode = \"coinbaseonly\"\n" + base() + sris() + source()).config.mode, ConfigMode::kCoinbaseOnly);
  const auto solo = load("mode = \"SoloMining\"\n" + base() + source());
  EXPECT_TRUE(solo.may_start());
  EXPECT_EQ(solo.config.mode, ConfigMode::kSolo);
  EXPECT_THAT(texts(load("mode = \"full\"\n" + base() + sris() + source()), Severity::kError), Contains(HasSubstr("`mode`")));
}

TEST(JdClientConfig, APoolIsNeededOrSoloModeAndNotBoth) {
  EXPECT_THAT(texts(load(base() + source()), Severity::kError), ElementsAre(HasSubstr("at least one [[upstreams]]")));
  EXPECT_THAT(texts(load("mode = \"SOLOMINING\"\n" + base() + sris() + source()), Severity::kError),
              ElementsAre(HasSubstr("SOLOMINING")));
}

TEST(JdClientConfig, UrlsStandInPlaceOfAddresses) {
  const std::string iroh = "stratum2+iroh://" + std::string(kId) + "/" + std::string(kAuthority);
  const auto loaded = load(base() + upstream("pool_url = \"" + iroh + "\"\njds_url = \"" + iroh + "\"\n") + source());
  EXPECT_THAT(texts(loaded, Severity::kError), IsEmpty());
  ASSERT_EQ(loaded.config.upstreams.size(), 1U);
  EXPECT_TRUE(std::holds_alternative<net::IrohConfig>(loaded.config.upstreams[0].declarator.transport));
  EXPECT_TRUE(loaded.config.iroh.enabled);
  EXPECT_FALSE(loaded.config.iroh.node.listens) << "miners come over it only where [iroh] says so";

  EXPECT_THAT(
      texts(load(base() + upstream("pool_url = \"" + iroh + "\"\npool_port = 1\njds_url = \"" + iroh + "\"\n") + source()),
            Severity::kError),
      ElementsAre(HasSubstr("`pool_port` beside `pool_url`")));
  EXPECT_THAT(texts(load(base() + upstream("pool_url = \"" + iroh + "\"\n") + source()), Severity::kError),
              Contains(HasSubstr("jds_address")));
  EXPECT_THAT(texts(load(base() + upstream("pool_url = \"stratum+tcp://h:1\"\njds_url = \"" + iroh + "\"\n") + source()),
                    Severity::kError),
              ElementsAre(HasSubstr("stratum2+tcp")));
}

TEST(JdClientConfig, AnAuthorityThatIsNoneIsReportedOnce) {
  EXPECT_THAT(texts(load(base() +
                         upstream("authority_pubkey = \"x\"\npool_address = \"h\"\npool_port = 1\njds_address = "
                                  "\"h\"\njds_port = 2\n") +
                         source()),
                    Severity::kError),
              Contains(HasSubstr("authority_pubkey")));
}

TEST(JdClientConfig, AnUnprovenOrExampleAuthorityOfPoolOrDeclaratorIsAWarningAtItsKey) {
  const std::string head = base() + source();
  const auto warnings = [&](const std::string& keys) { return texts(load(head + upstream(keys)), Severity::kWarning); };
  const auto at = [&](int line, const std::string& text) {
    const auto before = std::ranges::count(head, '\n') + 2;  // The entry's header and its user_identity.
    return StartsWith("j.toml:" + std::to_string(before + line) + ": " + text);
  };
  EXPECT_THAT(warnings("pool_url = \"stratum2+tcp://pool.example:1\"\njds_url = \"stratum2+tcp://jds.example:2\"\n"),
              ElementsAre(at(1, "no authority key is given for the pool: "),
                          at(2, "no authority key is given for the pool's job declarator: ")));
  const std::string example(config::kExampleAuthority);
  const std::string own = "/" + std::string(kAuthority);
  EXPECT_THAT(warnings("pool_url = \"stratum2+tcp://pool.example:1" + own + "\"\njds_url = \"stratum2+tcp://jds.example:2/" +
                       example + "\"\n"),
              ElementsAre(at(2, "the authority key of the pool's job declarator is SRI's published example")));
  EXPECT_THAT(warnings("pool_url = \"stratum2+tcp://pool.example:1\"\njds_url = \"stratum2+tcp://jds.example:2" + own +
                       "\"\nauthority_pubkey = \"" + example + "\"\n"),
              ElementsAre(at(3, "the authority key of the pool is SRI's published example")));
  EXPECT_THAT(warnings("pool_address = \"127.0.0.1\"\npool_port = 1\njds_address = \"jds.example\"\njds_port = 2\n"
                       "authority_pubkey = \"" +
                       example + "\"\n"),
              ElementsAre(at(5, "the authority key of the pool's job declarator")));
}

TEST(JdClientConfig, SrisExampleThatPaysAStrangerDoesNotStart) {
  std::string toml = base() + sris() + source();
  const auto replace = [&](std::string_view what, std::string_view by) { toml.replace(toml.find(what), what.size(), by); };
  replace("tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", "bc1q9f9vj7spn8h7qda6pn8d4g4j99f0mn9lhwz55j");
  replace("testnet4", "mainnet");
  const auto loaded = load(toml);
  EXPECT_TRUE(loaded.valid());
  EXPECT_FALSE(loaded.may_start());
  EXPECT_THAT(texts(loaded, Severity::kBlocker), ElementsAre(HasSubstr("bc1q9f9vj7spn8h7qda6pn8d4g4j99f0mn9lhwz55j")));
}

TEST(JdClientConfig, Sv1MinersHaveAPortOfTheirOwnOrTheListeners) {
  const auto loaded = load("sv1_address = \"127.0.0.1:0\"\nsv1 = true\n" + base() + sris() + source());
  EXPECT_TRUE(loaded.may_start());
  EXPECT_TRUE(loaded.config.sv1_address);
  EXPECT_TRUE(loaded.config.sv1);
  std::string without = base();
  without.erase(0, without.find('\n') + 1);
  const auto bad = load("sv1 = true\n" + without + sris() + source() + "[iroh]\n");
  EXPECT_THAT(texts(bad, Severity::kError), ElementsAre(HasSubstr("`sv1` is about `listening_address`")));
}

TEST(JdClientConfig, ThePoolsTipIsFollowedWhereTheFileSaysSo) {
  EXPECT_FALSE(load(base() + sris() + source()).config.follow_pool_tip);
  const auto loaded = load("follow_pool_tip = true\n" + base() + sris() + source());
  EXPECT_TRUE(loaded.may_start());
  EXPECT_TRUE(loaded.config.follow_pool_tip);
  EXPECT_THAT(texts(load("follow_pool_tip = true\nmode = \"SOLOMINING\"\n" + base() + source()), Severity::kError),
              ElementsAre(HasSubstr("follow_pool_tip")));
}

TEST(JdClientConfig, BoundsAreThoseOfTheCoinbase) {
  EXPECT_THAT(texts(load("jdc_signature = \"" + std::string(29, 's') + "\"\n" + base() + sris() + source()), Severity::kError),
              ElementsAre(HasSubstr("jdc_signature")));
  EXPECT_THAT(texts(load("reserved_downstream_rollable_extranonce_size = 17\n" + base() + sris() + source()), Severity::kError),
              ElementsAre(HasSubstr("reserved_downstream_rollable_extranonce_size")));
}

TEST(JdClientConfig, TheEnvironmentLiesOverTheFile) {
  const auto loaded = load(base() + sris() + source(), {{"JDC__MODE", "COINBASEONLY"},
                                                        {"JDC__UPSTREAM_A__POOL_URL", "stratum2+tcp://127.0.0.1:1"},
                                                        {"JDC__UPSTREAM_A__JDS_URL", "stratum2+tcp://127.0.0.1:2"},
                                                        {"JDC__UPSTREAM_A__USER_IDENTITY", "a"}});
  EXPECT_THAT(texts(loaded, Severity::kError), IsEmpty());
  EXPECT_EQ(loaded.config.mode, ConfigMode::kCoinbaseOnly);
  ASSERT_EQ(loaded.config.upstreams.size(), 1U);
  EXPECT_EQ(loaded.config.upstreams[0].user_identity, "a");
}

}  // namespace
}  // namespace adit::jd_client
