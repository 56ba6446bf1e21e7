// Each fault is stated as facts, and its sentence is demanded.
#include "cli/doctor/checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include <boost/json/parse.hpp>

namespace adit::cli::doctor {
namespace {

using config::Severity;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

/// What a check says, a line for each outcome: "failure: message -> cure".
std::string said(std::string_view name, const Facts& facts) {
  for (const Check& check : kChecks) {
    if (check.name != name) continue;
    std::string out;
    for (const Outcome& outcome : check.look(facts)) {
      out += std::string(to_string(outcome.status)) + ": " + outcome.message +
             (outcome.cure.empty() ? "" : " -> " + outcome.cure) + "\n";
    }
    return out;
  }
  ADD_FAILURE() << "there is no check " << name;
  return "";
}

/// A pool that lacks nothing.
Facts healthy() {
  Facts facts;
  facts.config = {.file = "pool.toml", .role = "pool", .findings = {}, .variables = {}};
  facts.secrets = {{"authority.key", 0600}};
  facts.folder = {.path = "/data", .bytes_free = 1ULL << 40};
  NodeFacts node{.name = "127.0.0.1:8332", .blocks = 900'000, .headers = 900'000, .peers = 10};
  node.template_after = milliseconds(40);
  node.template_height = 900'001;
  node.template_value_sat = 312'500'000;
  node.weight_left = 8000;
  facts.nodes = {node};
  facts.payout = {.script_hex = "0014ab", .is_valuable = true};
  facts.ports = {{.key = "listen_address", .address = "0.0.0.0:3333", .port = 3333, .is_for_others = true}};
  facts.reach.hosts = {"192.168.1.5"};
  facts.nat = {.is_used = true, .listens = true, .seen = {"203.0.113.5"}, .has_ipv6 = true, .has_relay = true};
  facts.relays = {{.url = "https://relay.example",
                   .answered = milliseconds(31),
                   .udp = UdpAnswer::kAnswered,
                   .udp_port = 7842,
                   .certificate_days = 60,
                   .took_us = true}};
  facts.upstreams = {{.url = "stratum2+tcp://pool.example:3333",
                      .user = "farm",
                      .stage = UpstreamStage::kAccepted,
                      .path = "tcp",
                      .round_trip = milliseconds(12),
                      .is_proved = true}};
  facts.limits = {.files = 262'144, .backlog = 4096, .tracked_connections = 262'144};
  facts.build.version = "0.4.0";
  return facts;
}

NodeFacts& node_of(Facts& facts) { return facts.nodes.front(); }

TEST(Doctor, FindsNothingWhereNothingIsWrong) {
  const Report report = examine(healthy());
  EXPECT_EQ(report.entries.size(), 15u);
  EXPECT_EQ(report.status(), Status::kOk) << to_text(report);
}

TEST(Doctor, LooksAtTheMachineAloneWhereThereIsNoConfiguration) {
  Facts facts;
  facts.reach.hosts = {"192.168.1.5"};
  facts.node_hints = {"a Bitcoin node of this machine answers on mainnet at unix:/node.sock"};
  EXPECT_EQ(examine(facts).status(), Status::kOk) << to_text(examine(facts));
  EXPECT_THAT(said("node", facts), HasSubstr("answers on mainnet"));
}

TEST(Doctor, AClockThatIsBehindIsToldWithWhatFollows) {
  Facts facts = healthy();
  facts.clock = {.synchronized = false, .others = {{"the pool P", seconds(42)}}};
  EXPECT_THAT(said("clock", facts),
              AllOf(StartsWith("failure"), HasSubstr("the clock of this machine is 42 s behind that of the pool P"),
                    HasSubstr("certificates will be refused"), HasSubstr("timedatectl set-ntp true")));
  facts.clock.others = {{"the pool P", seconds(-42)}};
  facts.clock.synchronized = true;
  EXPECT_THAT(said("clock", facts),
              AllOf(HasSubstr("42 s ahead of that of the pool P"), HasSubstr("is set by NTP: the other one is wrong")));
  facts.clock.others = {{"the pool P", seconds(2)}};
  EXPECT_THAT(said("clock", facts), StartsWith("ok: the clock agrees"));
  facts.clock = {.synchronized = false};
  EXPECT_THAT(said("clock", facts), AllOf(StartsWith("warning"), HasSubstr("nothing sets the clock")));
}

TEST(Doctor, AConfigurationIsJudgedAsCheckDoesWithFileAndLine) {
  Facts facts = healthy();
  facts.config.findings = {{Severity::kError, "pool.toml:3", "`server_id` must be a number", 3},
                           {Severity::kWarning, "pool.toml:9", "a warning", 9}};
  EXPECT_THAT(said("configuration", facts), AllOf(HasSubstr("failure: pool.toml:3: `server_id` must be a number"),
                                                  HasSubstr("warning: pool.toml:9: a warning")));
  facts.config.findings.clear();
  facts.config.variables = {"POOL__A", "POOL__B", "POOL__C"};
  EXPECT_THAT(said("configuration", facts), HasSubstr("3 keys come from the environment: POOL__A, POOL__B, POOL__C"));
}

TEST(Doctor, AKeyThatOthersMayReadIsToldWithTheChmod) {
  Facts facts = healthy();
  facts.secrets = {{"authority.key", 0644}};
  EXPECT_THAT(said("files", facts),
              StartsWith("failure: authority.key is readable by others (0644) -> chmod 600 authority.key"));
}

TEST(Doctor, AFolderThatCannotKeepABlockIsTold) {
  Facts facts = healthy();
  facts.folder.bytes_free = 12'000'000;
  EXPECT_THAT(said("files", facts),
              HasSubstr("failure: `data_dir` is on a full disk (12 MB left): found blocks could not be saved"));
  facts = healthy();
  facts.folder.problem = "/data cannot be written to: Permission denied";
  EXPECT_THAT(said("files", facts), HasSubstr("failure: `data_dir`: /data cannot be written to: Permission denied"));
  facts = healthy();
  facts.folder.kind = "tmpfs";
  EXPECT_THAT(said("files", facts), HasSubstr("warning: `data_dir` is on tmpfs"));
}

TEST(Doctor, ANodeThatIsNotThereIsToldOnce) {
  Facts facts = healthy();
  facts.nodes = {{.name = "127.0.0.1:8332",
                  .fault = NodeFault::kAway,
                  .message = "nothing listens at 127.0.0.1:8332: is bitcoind running with server=1?"}};
  EXPECT_THAT(said("node", facts),
              StartsWith("failure: nothing listens at 127.0.0.1:8332: is bitcoind running with server=1?"));
  EXPECT_THAT(said("node access", facts), StartsWith("ok"));
  EXPECT_THAT(said("node state", facts), StartsWith("ok"));
}

TEST(Doctor, ACookieThatMayNotBeReadIsToldWithItsCure) {
  Facts facts = healthy();
  facts.nodes = {{.name = "127.0.0.1:8332", .fault = NodeFault::kAccess, .message = "the cookie cannot be read by adit"}};
  EXPECT_THAT(said("node access", facts),
              AllOf(StartsWith("failure: the cookie cannot be read by adit"), HasSubstr("rpccookieperms=group")));
  EXPECT_THAT(said("node", facts), StartsWith("ok"));
}

TEST(Doctor, ANodeThatGivesNoUsefulWorkYetIsTold) {
  Facts facts = healthy();
  node_of(facts).blocks = 812'000;
  node_of(facts).headers = 921'334;
  node_of(facts).is_downloading = true;
  EXPECT_THAT(said("node state", facts),
              HasSubstr("failure: 127.0.0.1:8332 is at block 812,000 of 921,334 (88 %): no work until then"));
  facts = healthy();
  node_of(facts).peers = 0;
  EXPECT_THAT(said("node state", facts), HasSubstr("failure: 127.0.0.1:8332 has no peers"));
  node_of(facts).is_test_chain = true;
  EXPECT_THAT(said("node state", facts), StartsWith("ok")) << "a chain of one's own has no other miner";
  facts = healthy();
  node_of(facts).takes_transactions = false;
  EXPECT_THAT(said("node state", facts), HasSubstr("blocks only (blocksonly=1): templates would be next to empty"));
  facts = healthy();
  node_of(facts).is_pruned = true;
  EXPECT_THAT(said("node state", facts), StartsWith("ok: 127.0.0.1:8332 is pruned, which is fine"));
  node_of(facts) = {.name = "n", .fault = NodeFault::kState, .message = "the node is starting"};
  EXPECT_THAT(said("node state", facts), StartsWith("failure: the node is starting"));
}

TEST(Doctor, AnotherNetworkAndTheExamplesAddressAreTold) {
  Facts facts = healthy();
  node_of(facts) = {
      .name = "n", .fault = NodeFault::kNetwork, .message = "the node is on testnet4, but the configuration is for mainnet"};
  EXPECT_THAT(said("network", facts), StartsWith("failure: the node is on testnet4, but the configuration is for mainnet"));
  facts = healthy();
  facts.payout.is_example = true;
  EXPECT_THAT(said("network", facts), StartsWith("failure: `coinbase_reward_script` is the example's address: nobody owns it"));
  facts.payout.is_valuable = false;
  EXPECT_THAT(said("network", facts), StartsWith("warning"));
}

TEST(Doctor, ATemplateIsToldWithItsTimeItsPayoutAndTheRoomItLeaves) {
  Facts facts = healthy();
  EXPECT_THAT(said("template", facts),
              HasSubstr("a template for block 900,001 in 40 ms; its coinbase pays 312,500,000 sat to the "
                        "script 0014ab; 8000 weight units are left for it"));
  node_of(facts).template_after = milliseconds(4100);
  EXPECT_THAT(said("template", facts),
              HasSubstr("warning: a template of 127.0.0.1:8332 took 4100 ms (Raspberry Pi?): tips will be late"));
  node_of(facts).weight_left = 100;
  EXPECT_THAT(said("template", facts), HasSubstr("failure: templates of 127.0.0.1:8332 leave 100 weight units"));
}

TEST(Doctor, APortThatIsTakenIsToldWithItsHolder) {
  Facts facts = healthy();
  facts.ports[0].holder = {.pid = 812, .program = "public-pool"};
  EXPECT_THAT(said("ports", facts), StartsWith("failure: `listen_address`: 0.0.0.0:3333 is taken by pid 812 (public-pool)"));
  facts.ports[0].holder = {.pid = 813, .program = "adit"};
  EXPECT_THAT(said("ports", facts), AllOf(StartsWith("ok"), HasSubstr("a running adit")));
  facts.ports[0].holder = PortFacts::Holder{};
  EXPECT_THAT(said("ports", facts),
              AllOf(StartsWith("warning: `listen_address`: 0.0.0.0:3333 is taken by a program that this user may not see"),
                    HasSubstr("sudo adit doctor"), Not(HasSubstr("pid")), Not(HasSubstr("()"))));
  facts.ports[0] = {.key = "monitoring_address", .address = "127.0.0.1:9090", .port = 9090, .is_loopback = true};
  facts.ports[0].holder = {.pid = 1, .program = "prometheus"};
  EXPECT_THAT(said("ports", facts), HasSubstr("9090 is Prometheus's own port"));
  facts = healthy();
  facts.ports[0].problem = "cannot listen on 0.0.0.0:80: Permission denied";
  EXPECT_THAT(said("ports", facts), StartsWith("failure: `listen_address`: cannot listen on 0.0.0.0:80"));
  facts = healthy();
  facts.ports[0].address = "127.0.0.1:3333";
  facts.ports[0].is_loopback = true;
  EXPECT_THAT(said("ports", facts), HasSubstr("warning: `listen_address`: 127.0.0.1:3333 is reached from this machine alone"));
}

TEST(Doctor, TwoKeysWithOneAddressAreTold) {
  Facts facts = healthy();
  facts.ports.push_back(facts.ports[0]);
  facts.ports[1].key = "sv1_address";
  EXPECT_THAT(said("ports", facts), HasSubstr("failure: `sv1_address`: 0.0.0.0:3333 is the address of `listen_address`, too"));
  facts.ports[1].is_udp = true;
  EXPECT_THAT(said("ports", facts), StartsWith("ok"));
  facts.ports[1].is_udp = false;
  facts.ports[0].port = facts.ports[1].port = 0;
  EXPECT_THAT(said("ports", facts), StartsWith("ok")) << "the system's choice is another each time";
}

TEST(Doctor, AContainerIsToldThatItsAddressesAreNotTheHosts) {
  Facts facts = healthy();
  facts.reach.is_container = true;
  facts.reach.listens_over_iroh = true;
  EXPECT_THAT(said("addresses", facts), AllOf(HasSubstr("warning: this is a container"), HasSubstr("set `external_addrs`")));
  facts.reach.has_external_addrs = true;
  EXPECT_THAT(said("addresses", facts), StartsWith("ok: others reach this machine as 192.168.1.5"));
  facts.reach.hosts.clear();
  EXPECT_THAT(said("addresses", facts), StartsWith("warning: this machine has no address"));
}

TEST(Doctor, WhatTheNatAllowsIsTold) {
  Facts facts = healthy();
  EXPECT_THAT(said("NAT", facts), StartsWith("ok: relays see this machine at 203.0.113.5, behind a NAT"));
  facts.nat.seen.clear();
  EXPECT_THAT(said("NAT", facts), AllOf(StartsWith("warning: no relay has told this machine its public address"),
                                        HasSubstr("UDP is blocked, or the NAT is symmetric"), HasSubstr("port_mapping")));
  facts.nat.has_relay = false;
  EXPECT_THAT(said("NAT", facts), AllOf(StartsWith("warning: no relay is configured"), HasSubstr("set `relay`")));
  facts.nat.problem = "UDP is not to be had";
  EXPECT_THAT(said("NAT", facts), StartsWith("failure: UDP is not to be had"));
  facts.nat.is_used = false;
  EXPECT_THAT(said("NAT", facts), StartsWith("ok: iroh is not used"));
}

TEST(Doctor, APublicAddressNeedsNoRelayToTellItAndNoNatIsAccused) {
  Facts facts = healthy();
  facts.nat.seen.clear();
  facts.nat.has_public_address = true;
  EXPECT_THAT(said("NAT", facts),
              AllOf(StartsWith("ok: this machine has a public address: peers reach it directly"), HasSubstr("UDP port")));
  facts.nat.has_relay = false;
  EXPECT_THAT(said("NAT", facts), StartsWith("ok: this machine has a public address"));
}

TEST(Doctor, ARoleThatOnlyDialsIsAskedToOpenNothing) {
  Facts facts = healthy();
  facts.nat.listens = false;
  EXPECT_THAT(said("NAT", facts), AllOf(StartsWith("ok: relays see this machine at 203.0.113.5"), HasSubstr("only dials")));
  facts.nat.seen.clear();
  EXPECT_THAT(said("NAT", facts), AllOf(StartsWith("warning"), HasSubstr("let UDP out"), Not(HasSubstr("external_addrs")),
                                        Not(HasSubstr("port_mapping"))));
  facts.nat.has_relay = false;
  EXPECT_THAT(said("NAT", facts), AllOf(StartsWith("ok: no relay is configured: this role only dials")));
  facts.nat.has_public_address = true;
  EXPECT_THAT(said("NAT", facts), StartsWith("ok: no relay is configured")) << "the peer's NAT stays in the way";
  facts.nat.has_relay = true;
  EXPECT_THAT(said("NAT", facts), AllOf(StartsWith("ok: this machine has a public address"), HasSubstr("only dials")));
}

TEST(Doctor, PublicRelaysAreNoMissingRelay) {
  Facts facts = healthy();
  facts.relays.clear();
  EXPECT_THAT(said("relay", facts), StartsWith("ok: the public relays of iroh's makers are used"));
  facts.nat.has_relay = false;
  EXPECT_THAT(said("relay", facts), StartsWith("ok: no relay is configured"));
}

TEST(Doctor, ARelayIsToldWithWhatIsClosedThere) {
  Facts facts = healthy();
  RelayFacts& relay = facts.relays.front();
  EXPECT_THAT(said("relay", facts), StartsWith("ok: https://relay.example answered in 31 ms, and so does its UDP 7842"));
  relay.udp = UdpAnswer::kClosed;
  EXPECT_THAT(said("relay", facts), HasSubstr("answered in 31 ms; UDP 7842 is closed there: hardly any pair goes direct"));
  relay.certificate_days = 3;
  EXPECT_THAT(said("relay", facts), HasSubstr("warning: the certificate of https://relay.example is valid for 3 more days"));
  relay.took_us = false;
  relay.has_token = true;
  EXPECT_THAT(said("relay", facts),
              AllOf(HasSubstr("takes no connection of this endpoint"), HasSubstr("is its `auth_token` right?")));
  relay.problem = "nothing listens there";
  EXPECT_THAT(said("relay", facts), StartsWith("failure: https://relay.example does not answer: nothing listens there"));
}

TEST(Doctor, AnUpstreamIsToldByHowFarItWent) {
  Facts facts = healthy();
  UpstreamFacts& upstream = facts.upstreams.front();
  EXPECT_THAT(said("upstreams", facts), HasSubstr("is reached by tcp in 12 ms, proved its authority and takes \"farm\""));
  upstream.stage = UpstreamStage::kUserRefused;
  upstream.message = "unknown-user";
  EXPECT_THAT(said("upstreams", facts),
              AllOf(StartsWith("failure"), HasSubstr("does not take the user \"farm\": unknown-user")));
  upstream.stage = UpstreamStage::kNoChannel;
  upstream.message = "no answer in time";
  EXPECT_THAT(said("upstreams", facts),
              AllOf(StartsWith("failure"), HasSubstr("opened no channel: no answer in time"), Not(HasSubstr("user_identity"))));
  upstream.stage = UpstreamStage::kNotReached;
  upstream.message = "nobody listens there";
  EXPECT_THAT(said("upstreams", facts), HasSubstr("is not reached: nobody listens there"));
  upstream.stage = UpstreamStage::kNotSetUp;
  EXPECT_THAT(said("upstreams", facts), HasSubstr("refused the session"));
  upstream.relay_unused = true;
  EXPECT_THAT(said("upstreams", facts), HasSubstr("names a relay, and [iroh] has none"));
}

TEST(Doctor, OneUpstreamThatWorksMakesTheOthersAWarning) {
  Facts facts = healthy();
  facts.upstreams.push_back({.entry = 1, .url = "stratum2+tcp://b:1", .user = "farm", .message = "away"});
  EXPECT_THAT(said("upstreams", facts), HasSubstr("warning: stratum2+tcp://b:1 is not reached"));
  EXPECT_EQ(examine(facts).status(), Status::kWarning);
}

TEST(Doctor, APoolIsOfNoUseWithoutItsDeclarator) {
  Facts facts = healthy();
  const UpstreamFacts good = facts.upstreams.front();
  UpstreamFacts declarator = good;
  declarator.url = "stratum2+tcp://pool.example:3334";
  declarator.is_declarator = true;
  facts.upstreams.push_back(declarator);
  EXPECT_THAT(said("upstreams", facts), HasSubstr("proved its authority and takes declarations"));
  facts.upstreams[1].stage = UpstreamStage::kNotReached;
  facts.upstreams[1].message = "away";
  EXPECT_THAT(said("upstreams", facts), HasSubstr("failure: stratum2+tcp://pool.example:3334 is not reached: away"));
  facts.upstreams.push_back(good);
  facts.upstreams.push_back(declarator);
  facts.upstreams[2].entry = facts.upstreams[3].entry = 1;
  EXPECT_THAT(said("upstreams", facts), HasSubstr("warning: stratum2+tcp://pool.example:3334 is not reached: away"))
      << "the next pool has its declarator";
}

TEST(Doctor, ARoleWithoutAFolderIsToldOfNone) {
  Facts facts = healthy();
  facts.folder = {};
  EXPECT_EQ(said("files", facts), "ok: keys are their owner's alone\n");
}

TEST(Doctor, LimitsThatAreLowAreToldInMiners) {
  Facts facts = healthy();
  facts.limits.files = 1024;
  EXPECT_THAT(said("limits", facts), AllOf(StartsWith("warning: 1,024 files may be open: enough for about 512 miners"),
                                           HasSubstr("LimitNOFILE=262144")));
  facts = healthy();
  facts.limits.backlog = 128;
  facts.limits.tracked_connections = 8192;
  facts.limits.locked_bytes = 0;
  EXPECT_THAT(said("limits", facts),
              AllOf(HasSubstr("somaxconn is 128"), HasSubstr("tracks 8,192 connections"), HasSubstr("ulimit -l 0")));
}

TEST(Doctor, AnotherVersionThatRunsAndAKeyThatIsTakenAreTold) {
  Facts facts = healthy();
  facts.build.running_version = "0.3.2";
  EXPECT_THAT(said("version", facts), StartsWith("warning: this is adit 0.4.0, and the adit that runs is 0.3.2 -> restart it"));
  facts.build.key_holder = "/data/node.key";
  EXPECT_THAT(said("version", facts), HasSubstr("failure: another process runs with the key /data/node.key"));
  facts.build.needs_iroh = facts.build.needs_ipc = true;
  facts.build.has_iroh = facts.build.has_ipc = false;
  EXPECT_THAT(said("version", facts), AllOf(HasSubstr("this build has no iroh"), HasSubstr("this build has no IPC")));
}

TEST(Doctor, ItsJsonHasEachCheckWithItsFindings) {
  Facts facts = healthy();
  facts.secrets = {{"authority.key", 0644}};
  const auto json = to_json(examine(facts));
  EXPECT_EQ(json.at("status"), "failure");
  ASSERT_EQ(json.at("checks").as_array().size(), 15u);
  const auto& files = json.at("checks").as_array()[2].as_object();
  EXPECT_EQ(files.at("number"), 3);
  EXPECT_EQ(files.at("name"), "files");
  EXPECT_EQ(files.at("status"), "failure");
  EXPECT_EQ(files.at("findings").as_array()[0].at("cure"), "chmod 600 authority.key");
  EXPECT_TRUE(json.at("checks").as_array()[0].at("findings").as_array()[0].at("cure").is_null());
}

TEST(Doctor, ItsTextHasALineForEachCheckAndItsCureBelow) {
  Facts facts = healthy();
  facts.secrets = {{"authority.key", 0644}};
  EXPECT_THAT(to_text(examine(facts)), AllOf(StartsWith("ok      1 clock"),
                                             HasSubstr("failure 3 files          authority.key is readable by others (0644)\n"
                                                       "                         -> chmod 600 authority.key\n"),
                                             Not(HasSubstr("\n\n"))));
}

}  // namespace
}  // namespace adit::cli::doctor
