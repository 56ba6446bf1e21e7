#include "config/common.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <utility>
#include <vector>

#include "noise/keys.h"

namespace adit::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

constexpr std::string_view kId = "0f2c1b8a5d4e3f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8";

struct Read {
  IrohSettings iroh;
  std::vector<UpstreamSettings> upstreams;
  std::vector<std::string> findings;
};

Read read(std::string_view toml) {
  auto document = Document::parse(toml, "t.toml", "TPROXY", {});
  Table root = document.root();
  Read out;
  out.iroh = read_iroh(root, true);
  out.upstreams = read_upstreams(root);
  for (const Finding& finding : document.finish()) out.findings.push_back(finding.text());
  return out;
}

struct ReadMonitoring {
  MonitoringSettings settings;
  std::vector<Finding> findings;
};

ReadMonitoring read_monitoring_of(std::string_view toml, const std::string& data_dir = "/state") {
  auto document = Document::parse(toml, "t.toml", "POOL", {});
  Table root = document.root();
  ReadMonitoring out{.settings = read_monitoring(root, data_dir), .findings = {}};
  out.findings = document.finish();
  return out;
}

TEST(Monitoring, AsksForNoTokenWhereOnlyItsOwnNetworksReachIt) {
  for (const char* host : {"127.0.0.1", "[::1]", "10.0.0.5", "192.168.1.2", "100.64.0.1", "[fd00::1]", "[fe80::1]"}) {
    const auto read = read_monitoring_of("monitoring_address = \"" + std::string(host) + ":9090\"\n");
    EXPECT_EQ(read.settings.token_file, "") << host;
    EXPECT_THAT(read.findings, IsEmpty()) << host;
  }
  EXPECT_EQ(read_monitoring_of("").settings.token_file, "");
}

TEST(Monitoring, MakesATokenWhereOthersReachIt) {
  for (const char* host : {"0.0.0.0", "[::]", "203.0.113.5", "[2001:db8::1]"}) {
    const auto read = read_monitoring_of("monitoring_address = \"" + std::string(host) + ":9090\"\n");
    EXPECT_EQ(read.settings.token_file, "/state/monitoring.token") << host;
    EXPECT_TRUE(read.settings.makes_token);
    ASSERT_EQ(read.findings.size(), 1u);
    EXPECT_EQ(read.findings[0].severity, Severity::kWarning) << "SRI's tools write 0.0.0.0: such a role starts";
    EXPECT_THAT(read.findings[0].text(), StartsWith("t.toml:1: `monitoring_address` "));
    EXPECT_THAT(read.findings[0].text(), HasSubstr("/state/monitoring.token"));
  }
}

TEST(Monitoring, WithoutAFolderForATokenTheRoleDoesNotStart) {
  const auto read = read_monitoring_of("monitoring_address = \"0.0.0.0:9090\"\n", "");
  ASSERT_EQ(read.findings.size(), 1u);
  EXPECT_EQ(read.findings[0].severity, Severity::kBlocker);
  EXPECT_THAT(read.findings[0].text(), HasSubstr("adit keys token --out FILE"));
  EXPECT_THAT(read_monitoring_of("monitoring_address = \"127.0.0.1:9090\"\n", "").findings, IsEmpty());
}

TEST(Monitoring, ATokenThatIsNamedIsAskedForWhateverTheAddress) {
  for (const char* host : {"127.0.0.1", "0.0.0.0"}) {
    const auto read =
        read_monitoring_of("monitoring_token_file = \"token\"\nmonitoring_address = \"" + std::string(host) + ":9090\"\n", "");
    EXPECT_EQ(read.settings.token_file, "token");
    EXPECT_FALSE(read.settings.makes_token) << "the file must be there";
    EXPECT_THAT(read.findings, IsEmpty());
  }
  const auto empty = read_monitoring_of("monitoring_token_file = \"\"\nmonitoring_address = \"0.0.0.0:9090\"\n");
  ASSERT_EQ(empty.findings.size(), 1u);
  EXPECT_EQ(empty.findings[0].severity, Severity::kError);
}

TEST(Monitoring, AlertsGoToOneWebhookByTheRulesThatAreNamed) {
  const std::string monitor = "monitoring_address = \"127.0.0.1:9090\"\n[alerts]\n";
  const auto read = read_monitoring_of(monitor +
                                       "webhook = \"https://example.com/x\"\nformat = \"telegram\"\nchat_id = \"7\"\n"
                                       "no_shares_minutes = 30\nrejects_percent = 5\nmute = [\"block\", \"clock\"]\n");
  EXPECT_THAT(read.findings, IsEmpty());
  ASSERT_TRUE(read.settings.alerts);
  EXPECT_EQ(read.settings.alerts->webhook.url, "https://example.com/x");
  EXPECT_EQ(read.settings.alerts->webhook.shape, monitor::WebhookShape::kTelegram);
  EXPECT_EQ(read.settings.alerts->rules.no_shares, std::chrono::minutes(30));
  EXPECT_EQ(read.settings.alerts->rules.rejects_percent, 5u);
  EXPECT_EQ(read.settings.alerts->rules.muted, (std::set{monitor::AlertKind::kBlock, monitor::AlertKind::kClock}));
  EXPECT_EQ(read_monitoring_of(monitor + "webhook_file = \"hook\"\n").settings.alerts->webhook_file, "hook");
  EXPECT_FALSE(read_monitoring_of("").settings.alerts);
  const std::string hook = "webhook = \"https://example.com\"\n";
  for (const auto& [toml, part] : std::vector<std::pair<std::string, std::string>>{
           {monitor, "`webhook_file`"},
           {monitor + hook + "webhook_file = \"x\"\n", "`webhook_file`"},
           {monitor + "webhook = \"example.com\"\n", "https://"},
           {monitor + hook + "format = \"smoke\"\n", "json, ntfy, discord or telegram"},
           {monitor + hook + "format = \"telegram\"\n", "chat_id"},
           {monitor + hook + "mute = [\"everything\"]\n", "not_ready, upstream"},
           {monitor + hook + "rejects_percent = 0\n", "rejects_percent"},
           {"[alerts]\n" + hook, "monitoring_address"}}) {
    const auto wrong = read_monitoring_of(toml);
    ASSERT_EQ(wrong.findings.size(), 1u) << toml;
    EXPECT_EQ(wrong.findings[0].severity, Severity::kError);
    EXPECT_THAT(wrong.findings[0].text(), HasSubstr(part));
  }
}

TEST(Iroh, IsOffWithoutItsTable) {
  const Read out = read("");
  EXPECT_FALSE(out.iroh.enabled);
  EXPECT_THAT(out.findings, IsEmpty());
}

TEST(Iroh, ByDefaultUsesNoRelayAndNoPortMapping) {
  const Read out = read("[iroh]\n");
  EXPECT_TRUE(out.iroh.enabled);
  EXPECT_TRUE(out.iroh.node.listens);
  EXPECT_EQ(out.iroh.node.relay_mode, net::IrohRelays::kNone);
  EXPECT_FALSE(out.iroh.node.portmap);
  EXPECT_THAT(out.findings, IsEmpty());
}

TEST(Iroh, ReadsEveryKey) {
  const Read out = read(R"([iroh]
enabled = true
listen = false
secret_key_file = "/k"
relay = "n0"
bind_addresses = ["127.0.0.1:0", "[::1]:4433"]
external_addrs = ["203.0.113.5:4433"]
port_mapping = true
mdns = true
dns_origins = ["dns.example"]
dns_server = "192.0.2.1:53"
pkarr_relays = ["https://dns.example/pkarr"]
log_filter = "iroh=debug"
)");
  EXPECT_THAT(out.findings, IsEmpty());
  EXPECT_FALSE(out.iroh.node.listens);
  EXPECT_EQ(out.iroh.secret_key_file, "/k");
  EXPECT_EQ(out.iroh.node.relay_mode, net::IrohRelays::kN0);
  EXPECT_THAT(out.iroh.node.bind, ElementsAre("127.0.0.1:0", "[::1]:4433"));
  EXPECT_THAT(out.iroh.node.external_addrs, ElementsAre("203.0.113.5:4433"));
  EXPECT_TRUE(out.iroh.node.portmap);
  EXPECT_TRUE(out.iroh.node.mdns);
  EXPECT_THAT(out.iroh.node.dns_origins, ElementsAre("dns.example"));
  EXPECT_EQ(out.iroh.node.dns_server, "192.0.2.1:53");
  EXPECT_THAT(out.iroh.node.pkarr_relays, ElementsAre("https://dns.example/pkarr"));
  EXPECT_EQ(out.iroh.node.log_filter, "iroh=debug");
}

TEST(Iroh, TheAllowListIsOfEndpointIdsAndOnlyForListeners) {
  const Read out = read("[iroh]\nallowed_endpoint_ids = [\"" + std::string(kId) + "\"]\n");
  EXPECT_THAT(out.findings, IsEmpty());
  EXPECT_THAT(out.iroh.node.accept.allowed, ElementsAre(std::string(kId)));
  EXPECT_THAT(read("[iroh]\nallowed_endpoint_ids = [\"me\"]\n").findings,
              ElementsAre(StartsWith("t.toml:2: `allowed_endpoint_ids`: ")));
  const Read reserved = read("[iroh]\nreserved_endpoint_ids = [\"" + std::string(kId) + "\"]\n");
  EXPECT_THAT(reserved.iroh.node.accept.reserved, ElementsAre(kId));
  EXPECT_THAT(reserved.findings, IsEmpty());
  const std::string both =
      "[iroh]\nallowed_endpoint_ids = [\"" + std::string(kId) + "\"]\nreserved_endpoint_ids = [\"" + std::string(kId) + "\"]\n";
  EXPECT_THAT(read(both).findings, ElementsAre(HasSubstr("list the ids there and leave this out")));
  EXPECT_THAT(read("[iroh]\nlisten = false\nallowed_endpoint_ids = [\"" + std::string(kId) + "\"]\n").findings,
              ElementsAre(HasSubstr("this endpoint only dials")));
  EXPECT_THAT(read("[iroh]\nallowed_endpoint_id = []\n").findings, ElementsAre(HasSubstr("`allowed_endpoint_ids`")));
}

TEST(Admission, ReadsEveryKeyAndKeepsWhatIsNotSaid) {
  const auto admission = [](std::string_view toml, std::vector<std::string>* findings = nullptr) {
    auto document = Document::parse(toml, "t.toml", "POOL", {});
    Table root = document.root();
    const auto settings = read_admission(root, std::chrono::seconds(10));
    for (const Finding& finding : document.finish()) {
      if (findings != nullptr) findings->push_back(finding.text());
    }
    return settings;
  };
  EXPECT_EQ(admission("").handshake_deadline, std::chrono::seconds(10));
  EXPECT_EQ(admission("").limits.max_connections, net::AdmissionLimits{}.max_connections);
  const auto all = admission(
      "[admission]\nmax_connections = 1\nmax_unproven_per_source = 2\nmax_handshakes = 3\nmax_handshakes_per_source = 4\n"
      "max_connects_per_source = 6\n"
      "handshake_deadline_secs = 5\n");
  EXPECT_EQ(all.limits.max_connections, 1u);
  EXPECT_EQ(all.limits.max_unproven_per_source, 2u);
  EXPECT_EQ(all.limits.source_costs.amount, 6);
  EXPECT_EQ(all.limits.max_handshakes, 3u);
  EXPECT_EQ(all.limits.max_handshakes_per_source, 4u);
  EXPECT_EQ(all.handshake_deadline, std::chrono::seconds(5));
  std::vector<std::string> findings;
  admission("[admission]\nmax_connections = 0\nmax_handshake = 3\n", &findings);
  ASSERT_EQ(findings.size(), 2u);
  EXPECT_THAT(findings[0], StartsWith("t.toml:2: "));
  EXPECT_THAT(findings[1], HasSubstr("`max_handshakes`"));
}

TEST(Health, ReadsEveryKeyAndKeepsWhatIsNotSaid) {
  const auto health = [](std::string_view toml, std::vector<std::string>* findings = nullptr) {
    auto document = Document::parse(toml, "t.toml", "POOL", {});
    Table root = document.root();
    const auto policy = read_health(root);
    for (const Finding& finding : document.finish()) {
      if (findings != nullptr) findings->push_back(finding.text());
    }
    return policy;
  };
  EXPECT_EQ(health("").dead_after, std::chrono::seconds(10));
  EXPECT_EQ(health("[health]\nslow_after_ms = 300\n").dead_after, std::chrono::seconds(10));
  const auto all = health("[health]\ndead_after_secs = 5\nslow_after_ms = 300\nlossy_percent = 25\n");
  EXPECT_EQ(all.dead_after, std::chrono::seconds(5));
  EXPECT_EQ(all.slow_after, std::chrono::milliseconds(300));
  EXPECT_DOUBLE_EQ(all.lossy, 0.25);
  std::vector<std::string> findings;
  health("[health]\ndead_after_secs = 4\nlossy_percent = 101\nslow_after = 3\n", &findings);
  ASSERT_EQ(findings.size(), 3u);
  EXPECT_THAT(findings[0], StartsWith("t.toml:2: "));
  EXPECT_THAT(findings[1], StartsWith("t.toml:3: "));
  EXPECT_THAT(findings[2], HasSubstr("`slow_after_ms`"));
}

TEST(Iroh, LookupsThatCannotWorkAreNamed) {
  EXPECT_THAT(read("[iroh]\ndns_server = \"ns.example\"\n").findings, ElementsAre(StartsWith("t.toml:2: `dns_server`: ")));
  EXPECT_THAT(read("[iroh]\npkarr_relays = [\"dns.example\"]\n").findings,
              ElementsAre(StartsWith("t.toml:2: each of `pkarr_relays` must begin with https://")));
}

TEST(Iroh, ARelayIsAUrlOrAListOfThem) {
  Read out = read("[iroh]\nrelay = \"https://relay.example\"\n");
  EXPECT_THAT(out.findings, IsEmpty());
  EXPECT_EQ(out.iroh.node.relay_mode, net::IrohRelays::kList);
  ASSERT_EQ(out.iroh.node.relays.size(), 1u);
  EXPECT_EQ(out.iroh.node.relays[0].quic_port, 7842);

  out = read(
      "[[iroh.relay]]\nurl = \"https://a.example\"\nquic_port = 1\nauth_token = \"t\"\n[[iroh.relay]]\nurl = "
      "\"http://b.example\"\n");
  EXPECT_THAT(out.findings, IsEmpty());
  ASSERT_EQ(out.iroh.node.relays.size(), 2u);
  EXPECT_EQ(out.iroh.node.relays[0].quic_port, 1);
  EXPECT_EQ(out.iroh.node.relays[0].auth_token, "t");
  EXPECT_EQ(out.iroh.node.relays[1].quic_port, 0);
}

TEST(Iroh, ARelayThatIsNoneOfThoseIsRefused) {
  EXPECT_THAT(read("[iroh]\nrelay = \"n1\"\n").findings, ElementsAre(StartsWith("t.toml:2: `relay` must be \"none\", \"n0\"")));
  EXPECT_THAT(read("[[iroh.relay]]\nurl = \"relay.example\"\n").findings,
              ElementsAre(StartsWith("t.toml:2: `url` of a relay must begin")));
  EXPECT_THAT(read("[[iroh.relay]]\nquic_port = 1\n").findings,
              ElementsAre(StartsWith("t.toml:1: missing key `url` in [iroh.relay]")));
}

TEST(Iroh, StunServersAreRefusedWithTheReasonAndTheWayOut) {
  const Read out = read("[iroh]\nstun_servers = [\"stun.example:3478\"]\n");
  ASSERT_EQ(out.findings.size(), 1u);
  EXPECT_THAT(out.findings[0], StartsWith("t.toml:2: `stun_servers` cannot be honoured"));
  EXPECT_THAT(out.findings[0], HasSubstr("quic_port"));
  EXPECT_THAT(out.findings[0], HasSubstr("external_addrs"));
}

TEST(Iroh, AnAddressWithoutAPortIsRefused) {
  EXPECT_THAT(read("[iroh]\nexternal_addrs = [\"203.0.113.5\"]\n").findings,
              ElementsAre(StartsWith("t.toml:2: `external_addrs`: ")));
}

TEST(Upstreams, ReadSrisKeysWithoutATransport) {
  const Read out = read(R"([[upstreams]]
address = "127.0.0.1"
port = 3333
authority_pubkey = "9auqWEzQDVyd2oe1JVGFLMLHZtCo2FFqZwtKA5gd9xbuEu7PH72"
user_identity = "me"
)");
  EXPECT_THAT(out.findings, IsEmpty());
  ASSERT_EQ(out.upstreams.size(), 1u);
  EXPECT_EQ(out.upstreams[0].user_identity, "me");
  EXPECT_EQ(std::get<net::TcpConfig>(out.upstreams[0].peer.transport), (net::TcpConfig{"127.0.0.1", 3333}));
  ASSERT_TRUE(out.upstreams[0].peer.authority.has_value());
  EXPECT_EQ(noise::to_text(*out.upstreams[0].peer.authority), kExampleAuthority);
}

TEST(Upstreams, ReadAUrl) {
  const Read out = read("[[upstreams]]\nurl = \"stratum2+iroh://" + std::string(kId) +
                        "/9auqWEzQDVyd2oe1JVGFLMLHZtCo2FFqZwtKA5gd9xbuEu7PH72?addr=127.0.0.1:4433\"\nuser_identity = \"me\"\n");
  ASSERT_EQ(out.upstreams.size(), 1u);
  const auto& iroh = std::get<net::IrohConfig>(out.upstreams[0].peer.transport);
  EXPECT_EQ(iroh.endpoint_id, kId);
  EXPECT_THAT(iroh.addrs, ElementsAre("127.0.0.1:4433"));
}

TEST(Upstreams, ReadIrohByKeys) {
  const Read out = read("[[upstreams]]\ntransport = \"iroh\"\nendpoint_id = \"" + std::string(kId) +
                        "\"\nrelay = \"https://r.example\"\naddrs = [\"127.0.0.1:4433\"]\nuser_identity = \"me\"\n");
  EXPECT_THAT(out.findings, IsEmpty());
  ASSERT_EQ(out.upstreams.size(), 1u);
  const auto& iroh = std::get<net::IrohConfig>(out.upstreams[0].peer.transport);
  EXPECT_EQ(iroh.endpoint_id, kId);
  EXPECT_EQ(iroh.relay_url, "https://r.example");
  EXPECT_THAT(iroh.addrs, ElementsAre("127.0.0.1:4433"));
}

TEST(Upstreams, TcpAndIrohStandSideBySide) {
  const Read out = read(
      "[[upstreams]]\naddress = \"127.0.0.1\"\nport = 1\nuser_identity = \"a\"\n[[upstreams]]\ntransport = "
      "\"iroh\"\nendpoint_id = \"" +
      std::string(kId) + "\"\nuser_identity = \"b\"\n");
  EXPECT_THAT(out.findings, IsEmpty());
  EXPECT_EQ(out.upstreams.size(), 2u);
}

TEST(Upstreams, EachFaultNamesItsLine) {
  const Read out = read(R"([[upstreams]]
port = 0
user_identity = "me"
[[upstreams]]
url = "http://pool.example"
user_identity = "me"
[[upstreams]]
url = "stratum+tcp://pool.example:3333"
user_identity = "me"
[[upstreams]]
url = "stratum2+tcp://127.0.0.1:3333"
port = 3333
user_identity = "me"
[[upstreams]]
transport = "quic"
user_identity = "me"
[[upstreams]]
transport = "iroh"
endpoint_id = "abc"
user_identity = "me"
[[upstreams]]
address = "127.0.0.1"
port = 1
authority_pubkey = "nonsense"
)");
  EXPECT_THAT(
      out.findings,
      ElementsAre(StartsWith("t.toml:1: missing key `address` in [upstreams]: "),
                  StartsWith("t.toml:2: `port` must be a whole number from 1 to 65535, not 0"), StartsWith("t.toml:5: `url`: "),
                  StartsWith("t.toml:8: `url`: an upstream speaks Stratum V2"), StartsWith("t.toml:12: `port` beside `url`"),
                  StartsWith("t.toml:15: `transport` must be \"tcp\" or \"iroh\", not \"quic\""),
                  StartsWith("t.toml:19: `endpoint_id`: "), StartsWith("t.toml:21: missing key `user_identity` in [upstreams]"),
                  StartsWith("t.toml:24: `authority_pubkey`: ")));
}

TEST(Upstreams, AnUnprovenOrExampleAuthorityElsewhereIsAWarning) {
  EXPECT_THAT(read("[[upstreams]]\naddress = \"pool.example\"\nport = 1\nuser_identity = \"a\"\n").findings,
              ElementsAre(HasSubstr("no authority key is given")));
  EXPECT_THAT(read("[[upstreams]]\naddress = \"pool.example\"\nport = 1\nuser_identity = \"a\"\nauthority_pubkey = \"" +
                   std::string(kExampleAuthority) + "\"\n")
                  .findings,
              ElementsAre(StartsWith("t.toml:5: the authority key of the pool is SRI's published example")));
}

TEST(ListenAddress, TakesPortZero) {
  auto document = Document::parse("a = \"127.0.0.1:0\"\nb = \"127.0.0.1\"\n", "t.toml", "X", {});
  Table root = document.root();
  EXPECT_EQ(read_listen_address(root, "a"), (net::TcpConfig{"127.0.0.1", 0}));
  EXPECT_EQ(read_listen_address(root, "b"), std::nullopt);
  const auto findings = document.finish();
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_THAT(findings[0].text(), StartsWith("t.toml:2: `b`: "));
}

TEST(NotYetKeys, AreReportedOnlyWhereTheyWouldMatter) {
  auto document = Document::parse("a = true\nb = false\nc = []\nd = [1]\n", "t.toml", "X", {});
  Table root = document.root();
  for (const auto* key : {"a", "b"}) (void)root.boolean(key);
  for (const auto* key : {"c", "d"}) (void)root.integers<int>(key);
  constexpr NotYet kKeys[] = {{"a", "no a"}, {"b", "no b"}, {"c", "no c"}, {"d", "no d"}, {"e", "no e"}};
  report_not_yet(root, kKeys);
  const auto findings = document.finish();
  ASSERT_EQ(findings.size(), 2u);
  EXPECT_EQ(findings[0].text(), "t.toml:1: `a`: no a");
  EXPECT_EQ(findings[1].text(), "t.toml:4: `d`: no d");
}

}  // namespace
}  // namespace adit::config
