#include "roles/template/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <variant>
#include <vector>

namespace adit::provider {
namespace {

using config::Severity;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::string_view kKey = "9auqWEzQDVyd2oe1JVGFLMLHZtCo2FFqZwtKA5gd9xbuEu7PH72";

std::vector<std::string> texts(const config::Loaded<ProviderConfig>& loaded, Severity severity) {
  std::vector<std::string> found;
  for (const auto& finding : loaded.findings) {
    if (finding.severity == severity) found.push_back(finding.text());
  }
  return found;
}

config::Loaded<ProviderConfig> load(const std::string& text, const config::Environment& environment = {}) {
  return parse_config("authority_secret_key_file = \"/k\"\ndata_dir = \"/d\"\n" + text, "t.toml", environment);
}

TEST(TemplateConfig, EveryKeyArrives) {
  const auto loaded = load(R"t(
listen_address = "0.0.0.0:8442"
trusted_proxies = ["10.0.0.5"]
cert_validity_sec = 120
monitoring_address = "127.0.0.1:9093"
max_constraint_classes = 3
threads = 2
log_file = "/l"
[template_provider_type.BitcoinCoreIpc]
network = "signet"
socket = "/s"
fee_threshold = 7
min_interval = 2
[[nodes]]
url = "http://127.0.0.1:1"
cookie_file = "/c"
templates = false
[health]
dead_after_secs = 7
[admission]
max_connections = 9
)t");
  ASSERT_TRUE(loaded.may_start());
  EXPECT_THAT(loaded.findings, IsEmpty());
  const ProviderConfig& config = loaded.config;
  EXPECT_EQ(config.listen_address->port, 8442);
  EXPECT_THAT(config.trusted_proxies, SizeIs(1));
  EXPECT_EQ(config.cert_validity, std::chrono::seconds(120));
  EXPECT_EQ(config.monitoring.address->port, 9093);
  EXPECT_EQ(config.max_constraint_classes, 3u);
  EXPECT_EQ(config.threads, 2u);
  EXPECT_EQ(config.log_file, "/l");
  EXPECT_EQ(config.data_dir, "/d");
  EXPECT_EQ(config.authority.secret_key_file, "/k");
  EXPECT_EQ(config.work.network, bitcoin::Network::kSignet);
  const auto& ipc = std::get<config::BitcoinIpcSource>(config.work.source);
  EXPECT_EQ(ipc.fee_threshold_sat, 7u);
  EXPECT_THAT(ipc.further, SizeIs(1));
  EXPECT_EQ(config.health.dead_after, std::chrono::seconds(7));
  EXPECT_EQ(config.admission.limits.max_connections, 9u);
}

TEST(TemplateConfig, TheEnvironmentLiesOverTheFile) {
  const auto loaded = load("listen_address = \"0.0.0.0:1\"\n[template_provider_type.Embedded]\n",
                           {{"TEMPLATE__LISTEN_ADDRESS", "127.0.0.1:8442"}});
  ASSERT_TRUE(loaded.may_start());
  EXPECT_EQ(*loaded.config.listen_address, (net::TcpConfig{"127.0.0.1", 8442}));
}

TEST(TemplateConfig, WhatIsMissingIsNamed) {
  EXPECT_THAT(texts(parse_config("data_dir = \"/d\"\n", "t.toml", {}), Severity::kError),
              ElementsAre(HasSubstr("missing key `template_provider_type`"),
                          HasSubstr("missing key `authority_secret_key_file`"), HasSubstr("missing key `listen_address`")));
  // Over iroh nothing else is needed.
  EXPECT_TRUE(load("[template_provider_type.Embedded]\n[iroh]\n").may_start());
}

TEST(TemplateConfig, APoolsKeysAreNotAProviders) {
  const auto loaded = load(
      "listen_address = \"0.0.0.0:1\"\ncoinbase_reward_script = \"raw(51)\"\n"
      "[template_provider_type.Embedded]\n");
  EXPECT_THAT(texts(loaded, Severity::kError), ElementsAre(HasSubstr("`coinbase_reward_script`")));
}

TEST(TemplateConfig, AnotherProviderMayBeTheSourceOverIrohToo) {
  const std::string id(64, 'a');
  const auto loaded = load("listen_address = \"0.0.0.0:1\"\n[template_provider_type.Sv2Tp]\naddress = \"stratum2+iroh://" + id +
                           "/" + std::string(kKey) + "?addr=127.0.0.1:9\"\nnetwork = \"regtest\"\n");
  ASSERT_TRUE(loaded.may_start()) << loaded.findings.front().text();
  EXPECT_TRUE(loaded.config.iroh.enabled) << "to dial";
  EXPECT_FALSE(loaded.config.iroh.node.listens);
  const auto& source = std::get<config::Sv2TpSource>(loaded.config.work.source);
  EXPECT_EQ(std::get<net::IrohConfig>(source.provider.transport).endpoint_id, id);
}

}  // namespace
}  // namespace adit::provider
