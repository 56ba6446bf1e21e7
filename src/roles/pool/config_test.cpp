#include "roles/pool/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "config/keys.h"
#include "config/without_home_testing.h"

namespace adit::pool {
namespace {

using config::Severity;
using config::WithoutHome;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

// What a pool needs, one key a line; a test changes or drops a line.
constexpr std::string_view kSmallest = R"t(listen_address = "127.0.0.1:0"
authority_secret_key_file = "/keys/authority"
coinbase_reward_script = "addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080)"
[template_provider_type.Embedded]
)t";

std::string with(std::string_view line, std::string_view in_its_place) {
  std::string text(kSmallest);
  const auto at = text.find(line);
  EXPECT_NE(at, std::string::npos);
  const auto end = text.find('\n', at);
  return text.replace(at, end - at, in_its_place);
}

config::Loaded<PoolConfig> load(std::string_view toml, const config::Environment& environment = {}) {
  return parse_config(toml, "pool.toml", environment);
}

std::vector<std::string> texts(const config::Loaded<PoolConfig>& loaded, Severity severity) {
  std::vector<std::string> out;
  for (const auto& finding : loaded.findings) {
    if (finding.severity == severity) out.push_back(finding.text());
  }
  return out;
}

TEST(PoolConfig, TheSmallestOneStartsAPoolOnTheEmbeddedChain) {
  const auto loaded = load(kSmallest);
  EXPECT_THAT(loaded.findings, IsEmpty());
  EXPECT_TRUE(loaded.may_start());
  EXPECT_EQ(loaded.config.listen_address, (net::TcpConfig{"127.0.0.1", 0}));
  EXPECT_EQ(loaded.config.network, bitcoin::Network::kRegtest);
  EXPECT_TRUE(std::holds_alternative<EmbeddedSource>(loaded.config.source));
  EXPECT_EQ(loaded.config.payout_script.size(), 22u);
  EXPECT_EQ(loaded.config.max_past_jobs, 16u);
  EXPECT_FALSE(loaded.config.iroh.enabled);
  EXPECT_FALSE(loaded.config.data_dir.empty());
}

TEST(PoolConfig, TheUdpPortIsTheNumberOfTheTcpPort) {
  const auto at = [](const std::string& listen, const std::string& iroh) {
    return load(with("listen_address", listen) + "[iroh]\n" + iroh).config.iroh.udp_addresses();
  };
  EXPECT_THAT(at("listen_address = \"127.0.0.1:3333\"", ""), ElementsAre("0.0.0.0:3333", "[::]:3333"));
  EXPECT_THAT(at("", ""), ElementsAre("0.0.0.0:4433", "[::]:4433")) << "it is reached over iroh alone";
  EXPECT_THAT(at("listen_address = \"127.0.0.1:3333\"", "bind_addresses = [\"1.2.3.4:5\"]"), ElementsAre("1.2.3.4:5"));
  EXPECT_THAT(at("listen_address = \"127.0.0.1:3333\"", "listen = false"), IsEmpty());
  EXPECT_THAT(at("listen_address = \"127.0.0.1:3333\"", "relay_only = true\nrelay = \"https://r.example\""), IsEmpty());
  EXPECT_THAT(at("listen_address = \"127.0.0.1:0\"", ""), IsEmpty()) << "the system chooses";
}

TEST(PoolConfig, ReadsSrisKeys) {
  const auto loaded = load(R"t(
authority_public_key = "9auqWEzQDVyd2oe1JVGFLMLHZtCo2FFqZwtKA5gd9xbuEu7PH72"
authority_secret_key = "mkDLTBBRxdBv998612qipDYoTK3YUrqLe8uWw7gu3iXbSrn2n"
cert_validity_sec = 7200
listen_address = "0.0.0.0:3333"
coinbase_reward_script = "addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080)"
server_id = 7
pool_signature = "Stratum V2 SRI Pool"
log_file = "./pool.log"
shares_per_minute = 12.5
share_batch_size = 3
max_past_jobs = 0
supported_extensions = []
required_extensions = []
monitoring_address = "127.0.0.1:9090"
monitoring_cache_refresh_secs = 5
[template_provider_type.BitcoinRpc]
url = "http://127.0.0.1:18443"
network = "regtest"
data_dir = "/data"
)t");
  EXPECT_TRUE(loaded.may_start());
  EXPECT_THAT(texts(loaded, Severity::kWarning), ElementsAre(StartsWith("pool.toml:3: `authority_secret_key` is a secret")));
  EXPECT_EQ(loaded.config.cert_validity, std::chrono::hours(2));
  EXPECT_EQ(loaded.config.server_id, 7);
  EXPECT_EQ(loaded.config.pool_signature, "Stratum V2 SRI Pool");
  EXPECT_EQ(loaded.config.log_file, "./pool.log");
  EXPECT_EQ(loaded.config.shares_per_minute, 12.5f);
  EXPECT_EQ(loaded.config.share_batch_size, 3u);
  EXPECT_EQ(loaded.config.max_past_jobs, 16u) << "0 is the default, as in SRI";
  EXPECT_EQ(loaded.config.monitoring.address, (net::TcpConfig{"127.0.0.1", 9090}));
  EXPECT_EQ(loaded.config.monitoring.refresh, std::chrono::seconds(5));
  const auto& rpc = std::get<BitcoinRpcSource>(loaded.config.source);
  EXPECT_EQ(rpc.node, (net::TcpConfig{"127.0.0.1", 18443}));
  EXPECT_EQ(rpc.cookie_file, "/data/regtest/.cookie");
  const auto authority = load_authority(loaded.config);
  ASSERT_TRUE(authority.has_value());
  EXPECT_EQ(authority->public_key(), *loaded.config.authority.public_key);
}

TEST(PoolConfig, TheLeastDifficultyHasAKeyAndADefaultThatTheWeakestMinerMeets) {
  EXPECT_EQ(load(kSmallest).config.min_difficulty, channels::kDefaultMinDifficulty);
  EXPECT_LE(channels::kDefaultMinDifficulty * 0x1p32, 1 << 18);
  EXPECT_EQ(load("min_difficulty = 0.001\n" + std::string(kSmallest)).config.min_difficulty, 0.001);
  EXPECT_THAT(texts(load("min_difficulty = 0\n" + std::string(kSmallest)), Severity::kError),
              ElementsAre(StartsWith("pool.toml:1: `min_difficulty` must be a number from ")));
}

TEST(PoolConfig, Sv1MinersHaveAPortOfTheirOwnOrThatForStratumV2) {
  EXPECT_EQ(load(std::string(kSmallest)).config.sv1_address, std::nullopt);
  EXPECT_FALSE(load(std::string(kSmallest)).config.sv1);
  const auto both = load("sv1_address = \"127.0.0.1:3334\"\nsv1 = true\n" + std::string(kSmallest));
  EXPECT_TRUE(both.may_start());
  EXPECT_EQ(both.config.sv1_address, (net::TcpConfig{"127.0.0.1", 3334}));
  EXPECT_TRUE(both.config.sv1);
  EXPECT_THAT(texts(load("sv1 = true\n" + with("listen_address", "") + "[iroh]\nlisten = true\n"), Severity::kError),
              ElementsAre(HasSubstr("give an `sv1_address` instead")));
}

TEST(PoolConfig, TrustedProxiesAreAddressesAndRanges) {
  const auto loaded = load("trusted_proxies = [\"10.0.0.5\", \"fd00::/8\"]\n" + std::string(kSmallest));
  EXPECT_TRUE(loaded.may_start());
  ASSERT_EQ(loaded.config.trusted_proxies.size(), 2U);
  EXPECT_THAT(texts(load("trusted_proxies = [\"proxy.example\", \"10.0.0.5/8\"]\n" + std::string(kSmallest)), Severity::kError),
              ElementsAre(StartsWith("pool.toml:1: `trusted_proxies`: 'proxy.example' is no IP address"),
                          HasSubstr("'10.0.0.5/8' is no range")));
  EXPECT_THAT(texts(load("trusted_proxies = [\"0.0.0.0/0\"]\n" + std::string(kSmallest)), Severity::kWarning),
              testing::Contains(HasSubstr("`trusted_proxies`: 0.0.0.0/0 lets everybody choose")));
  EXPECT_THAT(texts(load("trusted_proxies = [\"10.0.0.5\"]\n" + with("listen_address", "") + "[iroh]\nlisten = true\n"),
                    Severity::kError),
              ElementsAre(HasSubstr("there is no `listen_address`: leave it out")));
}

TEST(PoolConfig, AnEmptyPathIsRefused) {
  EXPECT_THAT(texts(load(with("authority_secret_key_file", "authority_secret_key_file = \"\"")), Severity::kError),
              ElementsAre("pool.toml:2: `authority_secret_key_file` is empty: name the path, or leave the key out"));
  EXPECT_THAT(texts(load("data_dir = \"\"\n" + std::string(kSmallest)), Severity::kError),
              ElementsAre(HasSubstr("`data_dir` is empty")));
  EXPECT_THAT(texts(load("log_file = \"\"\n" + std::string(kSmallest)), Severity::kError),
              ElementsAre(HasSubstr("`log_file` is empty")));
}

TEST(PoolConfig, WorkIsStaleAfterMinutesUnlessItIsSaidOtherwise) {
  EXPECT_EQ(load(kSmallest).config.stale_work, std::chrono::minutes(5));
  EXPECT_EQ(load("stale_work_secs = 20\n" + std::string(kSmallest)).config.stale_work, std::chrono::seconds(20));
  EXPECT_EQ(load("stale_work_secs = 0\n" + std::string(kSmallest)).config.stale_work, std::chrono::seconds(0));
  EXPECT_THAT(texts(load("stale_work_secs = 9\n" + std::string(kSmallest)), Severity::kError),
              ElementsAre(StartsWith("pool.toml:1: `stale_work_secs` must be 10 to 86400, as nodes restart, or 0:")));
}

TEST(PoolConfig, NamesEveryKeyThatIsMissing) {
  EXPECT_THAT(texts(load(""), Severity::kError),
              ElementsAre(HasSubstr("missing key `template_provider_type`"), HasSubstr("missing key `coinbase_reward_script`"),
                          HasSubstr("missing key `authority_secret_key_file`"), HasSubstr("missing key `listen_address`")));
}

TEST(PoolConfig, AMistypedKeyNamesTheNearest) {
  EXPECT_THAT(texts(load(with("listen_address", "listn_address = \"127.0.0.1:0\"")), Severity::kError),
              ElementsAre(HasSubstr("missing key `listen_address`"),
                          "pool.toml:1: unknown key `listn_address`; did you mean `listen_address`?"));
}

TEST(PoolConfig, TellsSeveralFaultsAtOnceInTheOrderOfTheFile) {
  const auto loaded = load("server_id = 256\nshares_per_minute = 0\nshare_batch_size = \"ten\"\ncert_validity_sec = 1\n" +
                           with("listen_address", "listen_address = \"nowhere\""));
  EXPECT_THAT(texts(loaded, Severity::kError),
              ElementsAre(StartsWith("pool.toml:1: `server_id` must be a whole number from 0 to 255, not 256"),
                          StartsWith("pool.toml:2: `shares_per_minute` must be a number from 0.01 to 6000, not 0"),
                          StartsWith("pool.toml:3: `share_batch_size` must be a whole number"),
                          StartsWith("pool.toml:4: `cert_validity_sec` must be a whole number"),
                          StartsWith("pool.toml:5: `listen_address`: ")));
}

TEST(PoolConfig, APayoutAddressOfAnotherNetworkStopsTheStart) {
  const auto loaded =
      load(with("coinbase_reward_script", "coinbase_reward_script = \"addr(bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4)\""));
  EXPECT_FALSE(loaded.may_start());
  const auto errors = texts(loaded, Severity::kError);
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_THAT(errors[0], StartsWith("pool.toml:3: `coinbase_reward_script`: "));
  EXPECT_THAT(errors[0], HasSubstr("mainnet"));
  EXPECT_THAT(errors[0], HasSubstr("regtest"));
}

// A source that names its network is a node, whose blocks a wallet of that network must find.
TEST(PoolConfig, AnAddressOfAnotherTestNetworkIsAnErrorWhereTheSourceNamesItsNetwork) {
  const std::string testnet = "coinbase_reward_script = \"addr(tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx)\"";
  EXPECT_THAT(texts(load(with("coinbase_reward_script", testnet)), Severity::kError), IsEmpty())
      << "the embedded chain is nobody's";
  const std::string base = with("coinbase_reward_script", testnet);
  const auto on = [&](const std::string& source) {
    std::string text = base;
    text.erase(text.find("[template_provider_type"));
    return load(text + source);
  };
  EXPECT_THAT(texts(on("[template_provider_type.BitcoinCoreIpc]\nnetwork = \"signet\"\n"), Severity::kError), IsEmpty());
  for (const auto* source : {"[template_provider_type.BitcoinCoreIpc]\nnetwork = \"regtest\"\n",
                             "[template_provider_type.BitcoinRpc]\nurl = \"http://127.0.0.1:1\"\nnetwork = \"regtest\"\n"}) {
    EXPECT_THAT(texts(on(source), Severity::kError),
                testing::Contains(HasSubstr("is for testnet4 or signet, but the network is regtest")))
        << source;
  }
}

TEST(PoolConfig, MinersArePaidByTheirOwnScriptsUnlessThatIsSwitchedOff) {
  const auto plain = load(std::string(kSmallest));
  EXPECT_TRUE(plain.config.solo);
  EXPECT_EQ(plain.config.solo_fee_percent, 0u);
  const auto fee = load("solo_fee_percent = 2\n" + std::string(kSmallest));
  ASSERT_TRUE(fee.may_start());
  EXPECT_EQ(fee.config.solo_fee_percent, 2u);
  EXPECT_FALSE(load("solo = false\n" + std::string(kSmallest)).config.solo);
  EXPECT_TRUE(plain.config.pay_by_identity);
  const auto names = load("pay_by_identity = false\n" + std::string(kSmallest));
  ASSERT_TRUE(names.may_start());
  EXPECT_FALSE(names.config.pay_by_identity);
  EXPECT_FALSE(names.config.solo);
  for (const auto* bad : {"solo_fee_percent = 11\n", "solo_fee_percent = -1\n", "solo_fee_percent = 1.5\n",
                          "solo = false\nsolo_fee_percent = 1\n", "pay_by_identity = false\nsolo_fee_percent = 1\n",
                          "pay_by_identity = false\nsolo = true\n", "solo = \"yes\"\n"}) {
    EXPECT_FALSE(load(bad + std::string(kSmallest)).may_start()) << bad;
  }
}

TEST(PoolConfig, AMistypedPayoutAddressStopsTheStart) {
  EXPECT_FALSE(
      load(with("coinbase_reward_script", "coinbase_reward_script = \"addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt081)\""))
          .valid());
  EXPECT_FALSE(load(with("coinbase_reward_script", "coinbase_reward_script = \"bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt081\""))
                   .valid());
}

TEST(PoolConfig, ThePayoutIsWhatWalletsPrint) {
  const auto script = [](const std::string& text) {
    return load(with("coinbase_reward_script", "coinbase_reward_script = \"" + text + "\"")).config.payout_script;
  };
  const auto usual = script("addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080)");
  EXPECT_EQ(usual.size(), 22u);
  EXPECT_EQ(script("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"), usual);
  const std::string key = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
  EXPECT_EQ(script("wpkh([d34db33f/84h/1h/0h/0/5]" + key + ")"), usual);
  EXPECT_THAT(texts(load(with("coinbase_reward_script",
                              "coinbase_reward_script = "
                              "\"wpkh([d34db33f/84h/0h/0h]xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8NqtwybGhePY2gZ29ESF"
                              "jqJoCu1Rupje8YtGqsefD265TMg7usUDFdp6W1EGMcet8/0/*)\"")),
                    Severity::kError),
              ElementsAre(HasSubstr("one for each index")));
}

// A systemd unit of the system's: data_dir was "./.local/state/adit/pool", in the folder /.
TEST_F(WithoutHome, ItIsSaidThatHomeIsNotSetAndWhatToDo) {
  EXPECT_THAT(texts(load(kSmallest), Severity::kBlocker),
              ElementsAre(HasSubstr("HOME is not set, so `data_dir` has no default")));
  const auto given = load("data_dir = \"/var/lib/x\"\n" + std::string(kSmallest));
  EXPECT_TRUE(given.may_start());
  EXPECT_EQ(given.config.data_dir, "/var/lib/x");
  EXPECT_THAT(texts(load("data_dir = \"~/x\"\n" + std::string(kSmallest)), Severity::kBlocker),
              ElementsAre(HasSubstr("`data_dir` begins with ~/, and HOME is not set")));
  EXPECT_THAT(texts(load("log_file = \"~/x\"\ndata_dir = \"/x\"\n" + std::string(kSmallest)), Severity::kBlocker),
              ElementsAre(HasSubstr("`log_file` begins with ~/, and HOME is not set")));
}

TEST_F(WithoutHome, StateIsKeptWhereSystemdSays) {
  set("HOME", "/home/a");
  EXPECT_EQ(load(kSmallest).config.data_dir, "/home/a/.local/state/adit/pool");
  set("XDG_STATE_HOME", "/state");
  EXPECT_EQ(load(kSmallest).config.data_dir, "/state/adit/pool");
  set("STATE_DIRECTORY", "/var/lib/adit:/var/lib/other");
  EXPECT_EQ(load(kSmallest).config.data_dir, "/var/lib/adit");
}

TEST_F(WithoutHome, WhereANodeHasItsDataMustBeSaid) {
  const auto of_node = [](std::string_view keys) {
    return load(
        "data_dir = \"/x\"\nauthority_secret_key_file = \"k\"\nlisten_address = \"127.0.0.1:0\"\n"
        "coinbase_reward_script = \"addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080)\"\n" +
        std::string(keys));
  };
  const std::string rpc = "[template_provider_type.BitcoinRpc]\nurl = \"http://127.0.0.1\"\nnetwork = \"regtest\"\n";
  EXPECT_THAT(texts(of_node(rpc), Severity::kBlocker),
              ElementsAre(AllOf(HasSubstr("HOME is not set"), HasSubstr("its .cookie by `cookie_file`"))));
  EXPECT_TRUE(of_node(rpc + "cookie_file = \"/c\"\n").may_start());
  EXPECT_TRUE(of_node(rpc + "data_dir = \"/d\"\n").may_start());
  EXPECT_TRUE(of_node(rpc + "user = \"u\"\npassword = \"p\"\n").may_start());
  EXPECT_THAT(texts(of_node("[template_provider_type.BitcoinCoreIpc]\nnetwork = \"regtest\"\n"), Severity::kBlocker),
              ElementsAre(HasSubstr("its node.sock by `socket`")));
}

constexpr std::string_view kExampleKeys =
    "authority_public_key = \"9auqWEzQDVyd2oe1JVGFLMLHZtCo2FFqZwtKA5gd9xbuEu7PH72\"\n"
    "authority_secret_key = \"mkDLTBBRxdBv998612qipDYoTK3YUrqLe8uWw7gu3iXbSrn2n\"\n"
    "listen_address = \"127.0.0.1:0\"\n";

TEST(PoolConfig, SrisExampleKeysStopTheStartAnywhereButOnRegtest) {
  const std::string mainnet = std::string(kExampleKeys) +
                              "coinbase_reward_script = \"addr(bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4)\"\n"
                              "[template_provider_type.BitcoinRpc]\nurl = \"http://127.0.0.1:8332\"\nnetwork = \"mainnet\"\n";
  const auto loaded = load(mainnet);
  EXPECT_TRUE(loaded.valid());
  EXPECT_FALSE(loaded.may_start());
  EXPECT_THAT(texts(loaded, Severity::kBlocker),
              ElementsAre(StartsWith("pool.toml:1: these are SRI's published example keys")));

  const auto regtest = load(std::string(kExampleKeys) +
                            "coinbase_reward_script = \"addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080)\"\n"
                            "[template_provider_type.Embedded]\n");
  EXPECT_TRUE(regtest.may_start());
}

config::Loaded<PoolConfig> load_ipc(std::string_view keys, const config::Environment& environment = {}) {
  return load(
      with("[template_provider_type", "[template_provider_type.BitcoinCoreIpc]\nnetwork = \"regtest\"\n" + std::string(keys)),
      environment);
}

TEST(PoolConfig, ASourceThatIsNoneNamesThoseThatAre) {
  EXPECT_THAT(
      texts(load(with("[template_provider_type", "")), Severity::kError),
      ElementsAre(AllOf(HasSubstr("Embedded"), HasSubstr("BitcoinRpc"), HasSubstr("BitcoinCoreIpc"), HasSubstr("Sv2Tp"))));
}

constexpr std::string_view kProviderKey = "9auqWEzQDVyd2oe1JVGFLMLHZtCo2FFqZwtKA5gd9xbuEu7PH72";

config::Loaded<PoolConfig> load_sv2(std::string_view keys) {
  return load(with("[template_provider_type", "[template_provider_type.Sv2Tp]\n" + std::string(keys)));
}

TEST(PoolConfig, SrisKeysOfATemplateProviderAreRead) {
  const auto loaded = load_sv2("address = \"tp.example:8442\"\npublic_key = \"" + std::string(kProviderKey) +
                               "\"\nnetwork = \"regtest\"\nfetch_transactions = false\n");
  EXPECT_THAT(loaded.findings, IsEmpty());
  EXPECT_EQ(loaded.config.network, bitcoin::Network::kRegtest);
  const auto& source = std::get<Sv2TpSource>(loaded.config.source);
  EXPECT_EQ(std::get<net::TcpConfig>(source.provider.transport), (net::TcpConfig{"tp.example", 8442}));
  EXPECT_EQ(noise::to_text(*source.provider.authority), kProviderKey);
  EXPECT_FALSE(source.fetch_transactions);
  EXPECT_FALSE(loaded.config.iroh.enabled);
  // As SRI's examples have it.
  const auto plain = load_sv2("address = \"127.0.0.1:8442\"\n");
  EXPECT_TRUE(plain.may_start());
  EXPECT_THAT(plain.findings, IsEmpty());
  EXPECT_TRUE(std::get<Sv2TpSource>(plain.config.source).fetch_transactions);
  EXPECT_EQ(plain.config.network, std::nullopt);
}

TEST(PoolConfig, ATemplateProvidersAddressMayBeItsUrlOverIroh) {
  const std::string id(64, 'b');
  const auto loaded = load_sv2("address = \"stratum2+iroh://" + id + "/" + std::string(kProviderKey) +
                               "?addr=192.0.2.1:4433\"\nnetwork = \"regtest\"\n");
  ASSERT_TRUE(loaded.may_start()) << loaded.findings.front().text();
  const auto& provider = std::get<Sv2TpSource>(loaded.config.source).provider;
  EXPECT_EQ(std::get<net::IrohConfig>(provider.transport).endpoint_id, id);
  EXPECT_EQ(noise::to_text(*provider.authority), kProviderKey);
  EXPECT_TRUE(loaded.config.iroh.enabled) << "to dial it";
  EXPECT_THAT(texts(load_sv2("address = \"stratum2+iroh://" + id + "\"\n[iroh]\nenabled = false\n"), Severity::kError),
              ElementsAre(HasSubstr("a template provider is reached over iroh")));
}

TEST(PoolConfig, WhatATemplateProviderCannotBeIsSaid) {
  const auto errors = [](std::string_view keys) { return texts(load_sv2(keys), Severity::kError); };
  EXPECT_THAT(errors(""), ElementsAre(HasSubstr("missing key `address`")));
  EXPECT_THAT(errors("address = \"127.0.0.1\"\n"), ElementsAre(HasSubstr("`address`")));
  EXPECT_THAT(errors("address = \"stratum+tcp://127.0.0.1:1\"\n"), ElementsAre(HasSubstr("speaks Stratum V2 alone")));
  EXPECT_THAT(errors("address = \"127.0.0.1:1\"\npublic_key = \"x\"\n"), ElementsAre(HasSubstr("`public_key`")));
  EXPECT_THAT(errors("address = \"stratum2+tcp://127.0.0.1:1/" + std::string(kProviderKey) + "\"\npublic_key = \"" +
                     noise::to_text(noise::AuthorityKeyPair::generate(noise::system_random()).public_key()) + "\"\n"),
              ElementsAre(HasSubstr("`address` names another key")));
  // Whoever answers there is believed.
  EXPECT_THAT(texts(load_sv2("address = \"192.0.2.1:8442\"\n"), Severity::kWarning),
              ElementsAre(HasSubstr("`public_key` is missing")));
  EXPECT_THAT(
      texts(load_sv2("address = \"192.0.2.1:8442\"\npublic_key = \"" + std::string(kProviderKey) + "\"\n"), Severity::kWarning),
      ElementsAre(HasSubstr("SRI's published example key")));
}

TEST(PoolConfig, ATemplateProviderIsOneOfSeveralNodes) {
  const auto first = load_sv2(
      "address = \"127.0.0.1:8442\"\nnetwork = \"regtest\"\n[[nodes]]\nurl = \"http://127.0.0.1:1\"\n"
      "cookie_file = \"/c\"\n[[nodes]]\naddress = \"127.0.0.1:8443\"\n");
  ASSERT_TRUE(first.may_start()) << first.findings.front().text();
  const auto nodes = config::nodes_of(first.config.source);
  ASSERT_EQ(nodes.size(), 3u);
  EXPECT_EQ(std::get<net::TcpConfig>(std::get<Sv2TpNode>(nodes[0]).provider.transport).port, 8442);
  EXPECT_EQ(std::get<BitcoinRpcNode>(nodes[1]).cookie_file, "/c");
  EXPECT_EQ(std::get<net::TcpConfig>(std::get<Sv2TpNode>(nodes[2]).provider.transport).port, 8443);
  EXPECT_TRUE(load_ipc("[[nodes]]\naddress = \"127.0.0.1:8442\"\n").may_start());

  EXPECT_THAT(texts(load_sv2("address = \"127.0.0.1:1\"\n[[nodes]]\naddress = \"127.0.0.1:2\"\n"), Severity::kError),
              ElementsAre(HasSubstr("`network` is needed")));
  EXPECT_THAT(texts(load_ipc("[[nodes]]\naddress = \"127.0.0.1:2\"\ntemplates = false\n"), Severity::kError),
              ElementsAre(HasSubstr("leaves nothing of it")));
  EXPECT_THAT(texts(load_ipc("[[nodes]]\naddress = \"127.0.0.1:2\"\n[[nodes]]\naddress = \"127.0.0.1:2\"\n"), Severity::kError),
              ElementsAre(HasSubstr("listed already")));
}

TEST(PoolConfig, SrisKeysOfANodeByIpcAreRead) {
  const auto loaded =
      load_ipc("version = 31\ndata_dir = \"/data\"\nfee_threshold = 250\nmin_interval = 7\nempty_template_first = true\n");
  EXPECT_THAT(loaded.findings, IsEmpty());
  EXPECT_EQ(loaded.config.network, bitcoin::Network::kRegtest);
  const auto& source = std::get<BitcoinIpcSource>(loaded.config.source);
  EXPECT_EQ(source.socket, "/data/regtest/node.sock");
  EXPECT_EQ(source.fee_threshold_sat, 250u);
  EXPECT_EQ(source.min_interval, std::chrono::seconds(7));
  EXPECT_TRUE(source.empty_first);
  EXPECT_TRUE(source.templates);
  EXPECT_THAT(source.further, IsEmpty());

  const auto mainnet = load(with("[template_provider_type",
                                 "[template_provider_type.BitcoinCoreIpc]\nnetwork = \"mainnet\"\ndata_dir = \"/data\"\n"));
  EXPECT_EQ(std::get<BitcoinIpcSource>(mainnet.config.source).socket, "/data/node.sock");
  const auto& least = std::get<BitcoinIpcSource>(mainnet.config.source);
  EXPECT_EQ(least.fee_threshold_sat, 100u);
  EXPECT_EQ(least.min_interval, std::chrono::seconds(5));
  EXPECT_FALSE(least.empty_first);
}

TEST(PoolConfig, ANodesSocketMayBeNamedOrLiesWhereBitcoinCoreHasItsData) {
  EXPECT_EQ(std::get<BitcoinIpcSource>(load_ipc("socket = \"/run/node.sock\"\n").config.source).socket, "/run/node.sock");
  EXPECT_THAT(std::get<BitcoinIpcSource>(load_ipc("").config.source).socket, HasSubstr("/.bitcoin/regtest/node.sock"));
  EXPECT_THAT(texts(load_ipc("socket = \"/run/node.sock\"\ndata_dir = \"/data\"\n"), Severity::kError),
              ElementsAre(HasSubstr("both given")));
  const std::string longest = "/" + std::string(106, 'x');
  EXPECT_TRUE(load_ipc("socket = \"" + longest + "\"\n").valid());
  EXPECT_THAT(texts(load_ipc("socket = \"" + longest + "x\"\n"), Severity::kError),
              ElementsAre(AllOf(StartsWith("pool.toml:6: "), HasSubstr("108 bytes, and may have 107"),
                                HasSubstr("-ipcbind=unix:PATH"))));
  EXPECT_THAT(texts(load_ipc("data_dir = \"" + longest + "\"\n"), Severity::kError), ElementsAre(StartsWith("pool.toml:6: ")));
}

TEST(PoolConfig, TheInterfaceOfBitcoinCore30StopsTheStartAndNamesTheReleaseToUse) {
  const auto loaded = load_ipc("version = 30\n");
  EXPECT_TRUE(loaded.valid());
  EXPECT_THAT(texts(loaded, Severity::kBlocker),
              ElementsAre(AllOf(StartsWith("pool.toml:6: "), HasSubstr("Bitcoin Core 31 or later"))));
  EXPECT_TRUE(load_ipc("version = 32\n").may_start());
}

TEST(PoolConfig, NodesByIpcAndByRpcStandInOneList) {
  const auto loaded = load_ipc(
      "socket = \"/a/node.sock\"\n[[nodes]]\nurl = \"http://127.0.0.1\"\ncookie_file = \"/c\"\ntemplates = false\n"
      "[[nodes]]\nsocket = \"/b/node.sock\"\n");
  ASSERT_TRUE(loaded.valid());
  const auto& further = std::get<BitcoinIpcSource>(loaded.config.source).further;
  ASSERT_EQ(further.size(), 2u);
  EXPECT_EQ(std::get<BitcoinRpcNode>(further[0]).node, (net::TcpConfig{"127.0.0.1", 18443}));
  EXPECT_FALSE(std::get<BitcoinRpcNode>(further[0]).templates);
  EXPECT_EQ(std::get<BitcoinIpcNode>(further[1]).socket, "/b/node.sock");
  EXPECT_TRUE(std::get<BitcoinIpcNode>(further[1]).templates);
  EXPECT_THAT(texts(load_ipc("socket = \"/a/node.sock\"\n[[nodes]]\nsocket = \"/a/node.sock\"\n"), Severity::kError),
              ElementsAre(HasSubstr("listed already")));
  EXPECT_THAT(texts(load_ipc("[[nodes]]\nsocket = \"/a\"\nurl = \"http://127.0.0.1\"\n"), Severity::kError),
              ElementsAre(HasSubstr("list the node twice")));
}

TEST(PoolConfig, FeaturesThatAreNotHereYetAreListedEach) {
  const auto loaded = load("supported_extensions = [0x0002, 0x0003]\n" + std::string(kSmallest));
  EXPECT_TRUE(loaded.may_start());
  EXPECT_THAT(texts(loaded, Severity::kNotYet),
              ElementsAre(StartsWith("pool.toml:1: `supported_extensions`: extension 0x0003")));
  EXPECT_THAT(loaded.config.supported_extensions, ElementsAre(0x0002)) << "what is here is offered";
}

TEST(PoolConfig, JobDeclarationHasSrisKeysAndOurs) {
  EXPECT_FALSE(load_ipc("").config.jds);
  const auto loaded = load_ipc(R"(
[jds]
listen_address = "0.0.0.0:3334"
supported_extensions = [0x0001]
required_extensions = []
)");
  ASSERT_TRUE(loaded.may_start());
  EXPECT_THAT(texts(loaded, Severity::kNotYet), IsEmpty());
  ASSERT_TRUE(loaded.config.jds);
  EXPECT_EQ(loaded.config.jds->listen_address, (net::TcpConfig{"0.0.0.0", 3334}));
  EXPECT_FALSE(loaded.config.jds->allow_coinbase_only);
  EXPECT_EQ(loaded.config.jds->min_pool_percent, 100u);
  const auto ours =
      load_ipc("[jds]\nlisten_address = \"0.0.0.0:3334\"\nallow_coinbase_only = true\nmin_pool_percent = 90\n").config.jds;
  ASSERT_TRUE(ours);
  EXPECT_TRUE(ours->allow_coinbase_only);
  EXPECT_EQ(ours->min_pool_percent, 90u);
  EXPECT_THAT(texts(load_ipc("[jds]\nlisten_address = \"0.0.0.0:3334\"\nmin_pool_percent = 101\n"), Severity::kError),
              ElementsAre(HasSubstr("min_pool_percent")));
}

TEST(PoolConfig, JobDeclarationListensOnAPortOrOverIroh) {
  EXPECT_THAT(texts(load_ipc("[jds]\n"), Severity::kError), ElementsAre(HasSubstr("missing key `listen_address` in [jds]")));
  const auto over_iroh = load_ipc("[jds]\n[iroh]\n");
  EXPECT_THAT(texts(over_iroh, Severity::kError), IsEmpty());
  ASSERT_TRUE(over_iroh.config.jds);
  EXPECT_FALSE(over_iroh.config.jds->listen_address);
}

TEST(PoolConfig, JobDeclarationNeedsANodeThatJudgesBlocks) {
  EXPECT_THAT(texts(load(std::string(kSmallest) + "[jds]\nlisten_address = \"0.0.0.0:3334\"\n"), Severity::kError),
              ElementsAre(HasSubstr("needs a Bitcoin node that says whether a declared block would be valid")));
}

TEST(PoolConfig, ADeclaratorThatRunsByItselfReadsThePoolsFile) {
  const std::string jds = "[jds]\nlisten_address = \"0.0.0.0:3334\"\n";
  const std::string beside = jds + "token_key_file = \"/etc/adit/jds.key\"\nmonitoring_address = \"127.0.0.1:9095\"\n";
  auto pool = load_ipc(
      "[iroh]\nsecret_key_file = \"pool.node.key\"\n"
      "bind_addresses = [\"192.0.2.7:4433\"]\n" +
      beside);
  ASSERT_THAT(texts(pool, Severity::kError), IsEmpty());
  EXPECT_EQ(pool.config.jds->token_key_file, "/etc/adit/jds.key");
  EXPECT_EQ(pool.config.jds->own_listener(), std::nullopt);
  const std::string pools = pool.config.data_dir;
  const auto config = for_jd_server(std::move(pool.config), pool.findings);
  EXPECT_THAT(texts(pool, Severity::kError), IsEmpty());
  EXPECT_EQ(config.listen_address, (net::TcpConfig{"0.0.0.0", 3334}));
  EXPECT_EQ(config.monitoring.address, (net::TcpConfig{"127.0.0.1", 9095}));
  EXPECT_EQ(config.data_dir, pools + "/jds");
  EXPECT_EQ(config.iroh.secret_key_file, "") << "two endpoints with one key take each other's connections";
  EXPECT_THAT(config.iroh.udp_addresses(), ElementsAre("192.0.2.7:3334"));

  auto own = load_ipc(jds);
  EXPECT_TRUE(own.config.jds->own_listener());
  (void)for_jd_server(std::move(own.config), own.findings);
  EXPECT_THAT(texts(own, Severity::kError), ElementsAre(HasSubstr("needs [jds] with a `token_key_file`")));
  EXPECT_THAT(texts(load_ipc(jds + "monitoring_address = \"127.0.0.1:9095\"\n"), Severity::kError),
              ElementsAre(HasSubstr("that of `adit jd-server`")));
  auto blind = load(std::string(kSmallest) + beside);
  EXPECT_THAT(texts(blind, Severity::kError), IsEmpty()) << "the pool's own source need not judge blocks";
  (void)for_jd_server(std::move(blind.config), blind.findings);
  EXPECT_THAT(texts(blind, Severity::kError), ElementsAre(HasSubstr("needs a Bitcoin node that says")));
}

TEST(PoolConfig, ARequiredExtensionIsOfferedAndOneThatIsNotHereStopsTheStart) {
  const auto good = load("required_extensions = [2, 1, 2]\n" + std::string(kSmallest));
  EXPECT_TRUE(good.may_start());
  EXPECT_THAT(good.config.required_extensions, ElementsAre(2, 1));
  EXPECT_THAT(good.config.supported_extensions, ElementsAre(2, 1));
  const auto loaded = load("required_extensions = [3]\n" + std::string(kSmallest));
  EXPECT_TRUE(loaded.valid());
  EXPECT_THAT(texts(loaded, Severity::kBlocker),
              ElementsAre(StartsWith("pool.toml:1: `required_extensions`: extension 0x0003 is not here")));
}

TEST(PoolConfig, RpcCredentialsAreACookieOrAUserWithOnePassword) {
  const auto rpc = [](std::string_view keys) {
    return load(
        with("[template_provider_type",
             "[template_provider_type.BitcoinRpc]\nurl = \"http://127.0.0.1:1\"\nnetwork = \"regtest\"\n" + std::string(keys)));
  };
  EXPECT_TRUE(rpc("user = \"u\"\npassword = \"p\"").valid());
  EXPECT_EQ(std::get<BitcoinRpcSource>(rpc("user = \"u\"\npassword = \"p\"").config.source).cookie_file, "");
  EXPECT_EQ(std::get<BitcoinRpcSource>(rpc("cookie_file = \"/c\"").config.source).cookie_file, "/c");
  EXPECT_THAT(texts(rpc("user = \"u\""), Severity::kError), ElementsAre(HasSubstr("go together")));
  EXPECT_THAT(texts(rpc("password = \"p\""), Severity::kError), ElementsAre(HasSubstr("go together")));
  EXPECT_THAT(texts(rpc("user = \"u\"\npassword = \"p\"\npassword_file = \"/p\""), Severity::kError),
              ElementsAre(HasSubstr("both given")));
  EXPECT_THAT(texts(rpc("user = \"u\"\npassword = \"p\"\ncookie_file = \"/c\""), Severity::kError),
              ElementsAre(HasSubstr("both given")));
}

TEST(PoolConfig, FurtherNodesAreListedInOrderAndEachIsLookedAt) {
  const auto nodes = [](std::string_view tables) {
    return load(with(
        "[template_provider_type",
        "[template_provider_type.BitcoinRpc]\nurl = \"http://127.0.0.1:1\"\nnetwork = \"regtest\"\n" + std::string(tables)));
  };
  const auto loaded = nodes(
      "[[nodes]]\nurl = \"http://10.0.0.2\"\nuser = \"u\"\npassword = \"p\"\n"
      "[[nodes]]\nurl = \"http://10.0.0.3:7\"\ncookie_file = \"/c\"\ntemplates = false\n");
  ASSERT_TRUE(loaded.valid());
  const auto& source = std::get<BitcoinRpcSource>(loaded.config.source);
  ASSERT_EQ(source.further.size(), 2u);
  EXPECT_EQ(std::get<BitcoinRpcNode>(source.further[0]).node, (net::TcpConfig{"10.0.0.2", 18443}));
  EXPECT_EQ(std::get<BitcoinRpcNode>(source.further[0]).user, "u");
  EXPECT_TRUE(std::get<BitcoinRpcNode>(source.further[0]).templates);
  EXPECT_EQ(std::get<BitcoinRpcNode>(source.further[1]).cookie_file, "/c");
  EXPECT_FALSE(std::get<BitcoinRpcNode>(source.further[1]).templates);
  EXPECT_TRUE(std::get<BitcoinRpcSource>(nodes("").config.source).further.empty());

  EXPECT_THAT(texts(nodes("[[nodes]]\nuser = \"u\"\n"), Severity::kError),
              ElementsAre(HasSubstr("missing key `url` in [nodes]"), HasSubstr("go together")));
  EXPECT_THAT(texts(nodes("[[nodes]]\nurl = \"http://127.0.0.1:1\"\n"), Severity::kError),
              ElementsAre(HasSubstr("listed already")));
  EXPECT_THAT(texts(nodes("[[nodes]]\nurl = \"http://10.0.0.2\"\ntemplate = false\n"), Severity::kError),
              ElementsAre(HasSubstr("templates")));
  EXPECT_THAT(texts(load(with("[template_provider_type",
                              "[template_provider_type.Embedded]\n[[nodes]]\nurl = \"http://127.0.0.1:1\"\n")),
                    Severity::kError),
              ElementsAre(HasSubstr("the source is the embedded chain")));
}

TEST(PoolConfig, TheNodesUrlHasItsNetworksPortUnlessItSaysOne) {
  const auto node = [](std::string_view url, std::string_view network) {
    return load(with("[template_provider_type", "[template_provider_type.BitcoinRpc]\nurl = \"" + std::string(url) +
                                                    "\"\nnetwork = \"" + std::string(network) + "\""));
  };
  EXPECT_EQ(std::get<BitcoinRpcSource>(node("http://10.0.0.1", "regtest").config.source).node,
            (net::TcpConfig{"10.0.0.1", 18443}));
  EXPECT_EQ(std::get<BitcoinRpcSource>(node("http://[::1]/", "regtest").config.source).node, (net::TcpConfig{"::1", 18443}));
  EXPECT_EQ(std::get<BitcoinRpcSource>(node("http://node:1/", "regtest").config.source).node, (net::TcpConfig{"node", 1}));
  for (const char* url : {"https://127.0.0.1:8332", "127.0.0.1:8332", "http://u:p@127.0.0.1:1", "http://127.0.0.1:1/wallet/x",
                          "http://a:b", "http://", "ipc://x"}) {
    EXPECT_THAT(texts(node(url, "regtest"), Severity::kError),
                ElementsAre(StartsWith("pool.toml:5: `url` must be http://HOST:PORT")))
        << url;
  }
  EXPECT_THAT(texts(node("localhost:8332", "regtest"), Severity::kError),
              ElementsAre(HasSubstr("http:// is missing before \"localhost:8332\"")));
  EXPECT_EQ(std::get<BitcoinRpcSource>(node("HTTP://10.0.0.1:5", "regtest").config.source).node,
            (net::TcpConfig{"10.0.0.1", 5}));
  EXPECT_THAT(texts(node("http://127.0.0.1:1", "main net"), Severity::kError),
              testing::Contains(StartsWith("pool.toml:6: `network` must be one of")));
}

TEST(PoolConfig, TheEmbeddedChainTakesIntervalAndTarget) {
  const auto loaded = load(std::string(kSmallest) + "interval = 2.5\nnbits = \"1d00ffff\"\n");
  const auto& source = std::get<EmbeddedSource>(loaded.config.source);
  EXPECT_EQ(source.interval, std::chrono::milliseconds(2500));
  EXPECT_EQ(source.nbits, 0x1d00ffffu);
  EXPECT_THAT(texts(load(std::string(kSmallest) + "nbits = \"xyz\"\n"), Severity::kError),
              ElementsAre(StartsWith("pool.toml:5: `nbits` must be")));
}

TEST(PoolConfig, KeysThatDoNotBelongTogetherAreRefused) {
  const auto loaded =
      load("authority_public_key = \"9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh\"\n" +
           with("authority_secret_key_file", "authority_secret_key = \"mkDLTBBRxdBv998612qipDYoTK3YUrqLe8uWw7gu3iXbSrn2n\""));
  EXPECT_THAT(texts(loaded, Severity::kError),
              ElementsAre(StartsWith("pool.toml:1: `authority_public_key` does not belong to")));
}

TEST(PoolConfig, AKeyThatIsNoneIsRefusedAndASecretOneNotShown) {
  const auto loaded =
      load("authority_public_key = \"nonsense\"\n" + with("authority_secret_key_file", "authority_secret_key = \"hunter2\""));
  const auto errors = texts(loaded, Severity::kError);
  ASSERT_EQ(errors.size(), 2u);
  EXPECT_THAT(errors[0], StartsWith("pool.toml:1: `authority_public_key`: "));
  EXPECT_THAT(errors[1], StartsWith("pool.toml:3: `authority_secret_key`: "));
  EXPECT_THAT(errors[1], testing::Not(HasSubstr("hunter2")));
}

TEST(PoolConfig, TheEnvironmentAloneIsEnough) {
  const auto loaded = load("", {{"POOL__LISTEN_ADDRESS", "0.0.0.0:3333"},
                                {"POOL__AUTHORITY_SECRET_KEY_FILE", "/k"},
                                {"POOL__COINBASE_REWARD_SCRIPT", "addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080)"},
                                {"POOL__TEMPLATE_PROVIDER_TYPE__EMBEDDED__INTERVAL", "30"},
                                {"POOL__SERVER_ID", "3"},
                                {"POOL__IROH__RELAY", "n0"}});
  EXPECT_TRUE(loaded.may_start());
  EXPECT_EQ(loaded.config.server_id, 3);
  EXPECT_EQ(std::get<EmbeddedSource>(loaded.config.source).interval, std::chrono::seconds(30));
  EXPECT_EQ(loaded.config.iroh.node.relay_mode, net::IrohRelays::kN0);
}

TEST(PoolConfig, ASourceNamedInTheEnvironmentReplacesTheFiles) {
  const auto loaded = load(kSmallest, {{"POOL__TEMPLATE_PROVIDER_TYPE__BITCOINRPC__URL", "http://127.0.0.1:1"},
                                       {"POOL__TEMPLATE_PROVIDER_TYPE__BITCOINRPC__NETWORK", "regtest"}});
  EXPECT_TRUE(loaded.may_start());
  EXPECT_TRUE(std::holds_alternative<BitcoinRpcSource>(loaded.config.source));
}

TEST(PoolConfig, ASignatureThatTheCoinbaseCannotHoldIsRefused) {
  EXPECT_FALSE(load("pool_signature = \"" + std::string(41, 'x') + "\"\n" + std::string(kSmallest)).valid());
  EXPECT_FALSE(load("pool_signature = \"a\\nb\"\n" + std::string(kSmallest)).valid());
}

class PoolKeys : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "adit-pool-keys-" + std::to_string(::getpid());
    std::filesystem::create_directory(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string folder_;
};

TEST_F(PoolKeys, ThePublicKeyMustBelongToTheFilesSecret) {
  const std::string path = folder_ + "/authority";
  const auto pair = noise::AuthorityKeyPair::generate(noise::system_random());
  ASSERT_TRUE(config::write_authority_key(path, pair.secret(), false).has_value());
  PoolConfig config;
  config.network = bitcoin::Network::kMainnet;
  config.authority.secret_key_file = path;
  EXPECT_TRUE(load_authority(config).has_value());
  config.authority.public_key = noise::AuthorityKeyPair::generate(noise::system_random()).public_key();
  const auto wrong = load_authority(config);
  ASSERT_FALSE(wrong.has_value());
  EXPECT_THAT(wrong.error().message(), HasSubstr("does not belong"));
}

TEST_F(PoolKeys, TheExampleKeyInAFileIsTakenWhereTheChainMayBeWorthNothing) {
  const std::string path = folder_ + "/authority";
  auto secret = noise::parse_secret_key("mkDLTBBRxdBv998612qipDYoTK3YUrqLe8uWw7gu3iXbSrn2n");
  ASSERT_TRUE(secret.has_value());
  ASSERT_TRUE(config::write_authority_key(path, *secret, false).has_value());
  PoolConfig config;
  config.authority.secret_key_file = path;
  config.network = bitcoin::Network::kRegtest;
  EXPECT_TRUE(load_authority(config).has_value());
  // There the work says whether the chain is somebody's own.
  config.network = bitcoin::Network::kSignet;
  EXPECT_TRUE(load_authority(config).has_value());
  config.network.reset();
  EXPECT_TRUE(load_authority(config).has_value());
  config.network = bitcoin::Network::kTestnet4;
  ASSERT_FALSE(load_authority(config).has_value());
  EXPECT_THAT(load_authority(config).error().message(), HasSubstr("SRI's published example key"));
}

TEST_F(PoolKeys, ThePoolKeepsItsEndpointIdAcrossStarts) {
  PoolConfig config;
  config.data_dir = folder_;
  std::string first;
  {
    const auto key = load_or_make_node_key(config);
    ASSERT_TRUE(key.has_value()) << key.error().message();
    first = config::endpoint_id(key->secret);
    EXPECT_TRUE(load_or_make_node_key(config).error().is(config::KeyErrc::kInUse)) << "one pool at a time";
  }
  const auto again = load_or_make_node_key(config);
  ASSERT_TRUE(again.has_value()) << again.error().message();
  EXPECT_EQ(config::endpoint_id(again->secret), first);
  config.iroh.secret_key_file = folder_ + "/absent";
  EXPECT_FALSE(load_or_make_node_key(config).has_value()) << "a key that was named is never made up";
}

}  // namespace
}  // namespace adit::pool
