#include "roles/translator/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/without_home_testing.h"

namespace adit::translator {
namespace {

using config::Severity;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

constexpr std::string_view kId = "0f2c1b8a5d4e3f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8";
constexpr std::string_view kAuthority = "9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh";

std::string base() {
  return R"(downstream_address = "127.0.0.1"
downstream_port = 0
downstream_difficulty_config = { min_individual_miner_hashrate = 1e6 }
)";
}

std::string upstream() {
  return "[[upstreams]]\naddress = \"127.0.0.1\"\nport = 3333\nauthority_pubkey = \"" + std::string(kAuthority) +
         "\"\nuser_identity = \"me\"\n";
}

config::Loaded<TranslatorConfig> load(std::string_view toml, const config::Environment& environment = {}) {
  return parse_config(toml, "t.toml", environment);
}

std::vector<std::string> texts(const config::Loaded<TranslatorConfig>& loaded, Severity severity) {
  std::vector<std::string> out;
  for (const auto& finding : loaded.findings) {
    if (finding.severity == severity) out.push_back(finding.text());
  }
  return out;
}

TEST(TranslatorConfig, TheSmallestOneStarts) {
  const auto loaded = load(base() + upstream());
  EXPECT_THAT(loaded.findings, IsEmpty());
  EXPECT_TRUE(loaded.may_start());
  EXPECT_EQ(loaded.config.downstream, (net::TcpConfig{"127.0.0.1", 0}));
  EXPECT_EQ(loaded.config.downstream_extranonce2_size, 4);
  EXPECT_EQ(loaded.config.miner_work_timeout, std::chrono::seconds(180));
  EXPECT_EQ(loaded.config.min_individual_miner_hashrate_hps, 1e6);
  EXPECT_TRUE(loaded.config.enable_vardiff);
  EXPECT_FALSE(loaded.config.iroh.enabled);
}

TEST(TranslatorConfig, TheLeastMinerMayHaveLessThanAHashASecondButNotNone) {
  const auto with = [](const std::string& rate) {
    return load(
        "downstream_address = \"127.0.0.1\"\ndownstream_port = 0\ndownstream_difficulty_config = { "
        "min_individual_miner_hashrate = " +
        rate + " }\n" + upstream());
  };
  EXPECT_EQ(with("0.25").config.min_individual_miner_hashrate_hps, 0.25);
  EXPECT_TRUE(with("0.25").may_start());
  EXPECT_FALSE(with("0").may_start());
}

using TranslatorWithoutHome = config::WithoutHome;

TEST_F(TranslatorWithoutHome, AFolderIsUsedWhereThereIsOneAndNotAskedFor) {
  const auto data_dir = [](const std::string& key = "") {
    const auto loaded = load(key + base() + upstream());
    EXPECT_TRUE(loaded.may_start());
    return loaded.config.data_dir;
  };
  EXPECT_EQ(data_dir(), "");
  EXPECT_EQ(data_dir("data_dir = \"/x\"\n"), "/x");
  set("HOME", "/home/a");
  EXPECT_EQ(data_dir(), "/home/a/.local/state/adit/translator");
  set("STATE_DIRECTORY", "/var/lib/adit");
  EXPECT_EQ(data_dir(), "/var/lib/adit");
}

TEST(TranslatorConfig, ReadsSrisKeysAndKeepsATokenInItsFolder) {
  const auto loaded = load(R"(
downstream_address = "0.0.0.0"
downstream_port = 34255
max_supported_version = 2
min_supported_version = 2
downstream_extranonce2_size = 8
verify_payout = false
aggregate_channels = false
log_file = "./tproxy.log"
supported_extensions = []
required_extensions = []
max_past_jobs = 3
monitoring_address = "0.0.0.0:9092"
monitoring_cache_refresh_secs = 15
data_dir = "/state"
[miner_telemetry]
cidrs = ["192.168.1.0/24"]
[downstream_difficulty_config]
min_individual_miner_hashrate=10_000_000_000_000.0
shares_per_minute = 5.0
enable_vardiff = false
job_keepalive_interval_secs = 0
)" + upstream());
  EXPECT_TRUE(loaded.may_start());
  EXPECT_EQ(loaded.config.downstream_extranonce2_size, 8);
  EXPECT_EQ(loaded.config.min_individual_miner_hashrate_hps, 1e13);
  EXPECT_EQ(loaded.config.shares_per_minute, 5.0f);
  EXPECT_FALSE(loaded.config.enable_vardiff);
  EXPECT_EQ(loaded.config.job_keepalive_interval, std::chrono::seconds(0));
  EXPECT_EQ(loaded.config.log_file, "./tproxy.log");
  EXPECT_EQ(loaded.config.monitoring.token_file, "/state/monitoring.token");
  EXPECT_THAT(texts(loaded, Severity::kWarning), ElementsAre(HasSubstr("clients must give a token")));
}

TEST(TranslatorConfig, TrustedProxiesAreAddressesAndRanges) {
  EXPECT_EQ(load("trusted_proxies = [\"10.0.0.0/8\"]\n" + base() + upstream()).config.trusted_proxies.size(), 1U);
  EXPECT_THAT(texts(load("trusted_proxies = [\"10.0.0\"]\n" + base() + upstream()), Severity::kError),
              ElementsAre(HasSubstr("`trusted_proxies`: '10.0.0' is no IP address")));
}

TEST(TranslatorConfig, FeaturesThatAreNotHereYetAreListedEach) {
  const auto loaded =
      load("supported_extensions = [0x0002, 0x0003]\n" + base() + "[miner_telemetry]\ncidrs = []\n" + upstream());
  EXPECT_TRUE(loaded.may_start());
  EXPECT_THAT(texts(loaded, Severity::kNotYet),
              ElementsAre(HasSubstr("extension 0x0003 is not here"), StartsWith("t.toml:5: `miner_telemetry`: ")));
  EXPECT_EQ(loaded.config.supported_extensions, std::vector<std::uint16_t>{0x0002});
}

TEST(TranslatorConfig, ChannelsCanBeAggregatedAndExtensionsRequired) {
  const auto loaded = load("aggregate_channels = true\nrequired_extensions = [0x0002]\n" + base() + upstream());
  EXPECT_TRUE(loaded.may_start());
  EXPECT_TRUE(loaded.config.aggregate_channels);
  EXPECT_EQ(loaded.config.required_extensions, std::vector<std::uint16_t>{0x0002});
  EXPECT_FALSE(load(base() + upstream()).config.aggregate_channels);
}

TEST(TranslatorConfig, ACheckThatWouldNotBeMadeStopsTheStart) {
  const auto loaded = load("verify_payout = true\n" + base() + upstream());
  EXPECT_THAT(
      texts(loaded, Severity::kError),
      ElementsAre(testing::AllOf(StartsWith("t.toml:1: `verify_payout`: user_identity"), HasSubstr("names no payout of"))));
  EXPECT_THAT(texts(load("required_extensions = [3]\n" + base() + upstream()), Severity::kBlocker), testing::SizeIs(1));
}

TEST(TranslatorConfig, PayoutsAreVerifiedForIdentitiesThatNameOne) {
  auto paid = upstream();
  const auto at = paid.find("user_identity = \"") + 17;
  paid.replace(at, paid.find('"', at) - at, "sri/solo/bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080/w");
  const auto loaded = load("verify_payout = true\n" + base() + paid);
  EXPECT_TRUE(loaded.may_start());
  EXPECT_TRUE(loaded.config.verify_payout);
  EXPECT_FALSE(load(base() + paid).config.verify_payout);
}

TEST(TranslatorConfig, AnIdentityThatIsAMistypedAddressIsNoName) {
  const auto with_identity = [](const std::string& identity) {
    auto changed = upstream();
    const auto at = changed.find("user_identity = \"") + 17;
    changed.replace(at, changed.find('"', at) - at, identity);
    return load(base() + changed);
  };
  EXPECT_THAT(texts(with_identity("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5.rig"), Severity::kError),
              ElementsAre(HasSubstr("the address is mistyped")));
  EXPECT_TRUE(with_identity("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4.rig").may_start());
  EXPECT_TRUE(with_identity("alice.rig").may_start());
}

TEST(TranslatorConfig, NamesEveryKeyThatIsMissing) {
  EXPECT_THAT(texts(load(""), Severity::kError),
              ElementsAre(HasSubstr("missing key `downstream_address`"), HasSubstr("missing key `downstream_port`"),
                          HasSubstr("missing key `downstream_difficulty_config`"), HasSubstr("missing key `upstreams`")));
  EXPECT_THAT(texts(load("upstreams = []\n" + base()), Severity::kError),
              ElementsAre(StartsWith("t.toml:1: `upstreams` is empty")));
}

TEST(TranslatorConfig, RangesAreThoseOfSri) {
  EXPECT_THAT(
      texts(load("downstream_extranonce2_size = 17\nmin_supported_version = 3\n" + base() + upstream()), Severity::kError),
      ElementsAre(StartsWith("t.toml:1: `downstream_extranonce2_size` must be a whole number from 2 to 16, not 17"),
                  StartsWith("t.toml:2: `min_supported_version` and `max_supported_version` must include 2")));
}

TEST(TranslatorConfig, AnUpstreamOverIrohNeedsNoIrohTable) {
  const std::string url = "[[upstreams]]\nurl = \"stratum2+iroh://" + std::string(kId) + "/" + std::string(kAuthority) +
                          "\"\nuser_identity = \"me\"\n";
  EXPECT_TRUE(load(base() + url).config.iroh.enabled);
  EXPECT_THAT(texts(load(base() + url + "[iroh]\nenabled = false\n"), Severity::kError),
              ElementsAre(HasSubstr("`enabled = false`")));
}

TEST(TranslatorConfig, UpstreamsOfTheEnvironmentReplaceThoseOfTheFile) {
  const auto loaded = load(base() + upstream(), {{"TPROXY__UPSTREAM_A__ADDRESS", "127.0.0.2"},
                                                 {"TPROXY__UPSTREAM_A__PORT", "4444"},
                                                 {"TPROXY__UPSTREAM_A__USER_IDENTITY", "env"},
                                                 {"TPROXY__DOWNSTREAM_PORT", "1"}});
  EXPECT_TRUE(loaded.may_start());
  ASSERT_EQ(loaded.config.upstreams.size(), 1u);
  EXPECT_EQ(loaded.config.upstreams[0].user_identity, "env");
  EXPECT_EQ(loaded.config.downstream.port, 1);
}

TEST(TranslatorConfig, WithoutAFileTheNodeKeyIsNewEachTime) {
  TranslatorConfig config;
  const auto first = load_or_make_node_key(config);
  const auto second = load_or_make_node_key(config);
  ASSERT_TRUE(first.has_value() && second.has_value());
  EXPECT_FALSE(std::ranges::equal(first->secret.bytes(), second->secret.bytes()));
}

}  // namespace
}  // namespace adit::translator
