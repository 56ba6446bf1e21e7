#include "cli/doctor/live.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json/serialize.hpp>

#include "base/temporary_folder_testing.h"
#include "config/common.h"

namespace adit::cli::doctor {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

/// An endpoint of which only the relay is asked.
class Endpoint final : public net::IrohCarrier {
 public:
  std::string relay;

  boost::asio::awaitable<Result<net::Link>> dial(net::Shard&, net::IrohConfig, wire::Protocol, Duration) override {
    co_return fail(net::Errc::kUnsupported, "not here");
  }
  Result<void> listen(std::vector<std::string>, net::Admission, OnLink) override { return {}; }
  void stop_listening() override {}
  [[nodiscard]] Counts counts() const override { return {}; }
  [[nodiscard]] std::string endpoint_id() const override { return {}; }
  [[nodiscard]] std::vector<std::string> local_addresses() const override { return {"203.0.113.5:4433"}; }
  [[nodiscard]] std::string home_relay() const override { return relay; }
};

class DoctorLive : public testing::Test {
 protected:
  DoctorLive() {
    setup_.monitoring = &monitoring_;
    setup_.iroh = &iroh_;
  }

  /// What that check says of the role, a line for each finding.
  [[nodiscard]] std::string said(std::string_view name) const {
    std::string out;
    for (const Report::Entry& entry : examine_role(facts_of_role(setup_, &endpoint_, snapshot_)).entries) {
      if (entry.name != name) continue;
      for (const Outcome& outcome : entry.outcomes)
        out += std::string(to_string(outcome.status)) + ": " + outcome.message + " -> " + outcome.cure + "\n";
    }
    return out;
  }

  config::MonitoringSettings monitoring_;
  config::IrohSettings iroh_;
  doctor::Setup setup_;
  Endpoint endpoint_;
  monitor::Snapshot snapshot_;
};

TEST_F(DoctorLive, AnUpstreamIsSaidOnceAndAsTheBestOfItsShards) {
  const std::string url = "stratum2+iroh://abcdef";
  snapshot_.upstreams = {{.url = url, .error = "it did not answer"}};
  EXPECT_THAT(said("upstreams"), HasSubstr("failure: " + url + " is not reached: it did not answer"));
  snapshot_.upstreams.push_back({.url = url, .ready = true, .clock_ahead_seconds = 42});
  monitor::ConnectionSample connection{.url = url, .transport = "iroh", .path = "relayed", .authority = "9abc"};
  connection.rtt_seconds = 0.023;
  snapshot_.connections = {connection};
  EXPECT_EQ(said("upstreams"), "ok: " + url + " is reached by iroh relayed in 23 ms, proved its authority -> \n");
  EXPECT_THAT(said("clock"), HasSubstr("42 s behind that of the pool " + url));
}

TEST_F(DoctorLive, ANodeWithoutWorkHasItsOwnWordsAndNothingIsSaidOfItsState) {
  auto& work = snapshot_.work.emplace();
  work.nodes = {{.name = "127.0.0.1:8332", .state = "ready", .message = "", .clock_ahead_seconds = -42}};
  EXPECT_EQ(said("node"), "ok: 127.0.0.1:8332 answers -> \n");
  EXPECT_EQ(said("node state"), "ok: the node has caught up -> \n");
  EXPECT_THAT(said("clock"), HasSubstr("42 s ahead of that of the node 127.0.0.1:8332"));
  work.nodes = {{.name = "127.0.0.1:8332", .state = "waiting", .message = "it has 812 of 900 blocks"}};
  EXPECT_EQ(said("node"), "failure: the node 127.0.0.1:8332 gives no work: it has 812 of 900 blocks -> \n");
  EXPECT_EQ(said("node state"), "ok: no node has told its state -> \n");
  EXPECT_EQ(said("network"), "ok: no node has told its network -> \n");
}

TEST_F(DoctorLive, OwnPortsAreOpenAndOneThatNoMinerReachesIsSaid) {
  setup_.listeners = {{"listen_address", net::TcpConfig{"127.0.0.1", 3333}}};
  EXPECT_THAT(said("ports"), AllOf(HasSubstr("ok: `listen_address`: this adit listens on 127.0.0.1:3333"),
                                   HasSubstr("warning: `listen_address`: 127.0.0.1:3333 is reached from this machine alone")));
}

TEST_F(DoctorLive, ARelayThatHasNoConnectionOfTheEndpointIsSaid) {
  iroh_.enabled = true;
  iroh_.node.relay_mode = net::IrohRelays::kList;
  iroh_.node.relays = {{.url = "https://relay.example", .auth_token = "secret"}};
  EXPECT_EQ(said("relay"),
            "failure: https://relay.example takes no connection of this endpoint -> is its `auth_token` right?\n");
  endpoint_.relay = "https://relay.example";
  EXPECT_EQ(said("relay"), "ok: https://relay.example has a connection of this endpoint -> \n");
  EXPECT_THAT(said("NAT"), Not(HasSubstr("secret")));
}

TEST_F(DoctorLive, NothingIsWrittenToTheFolder) {
  const TemporaryFolder folder;
  setup_.data_dir = folder.path();
  const auto before = std::filesystem::last_write_time(folder.path());
  EXPECT_THAT(said("files"), HasSubstr(folder.path().string() + " takes files"));
  EXPECT_EQ(std::filesystem::last_write_time(folder.path()), before);
}

TEST_F(DoctorLive, WhatOthersWouldHaveToBeAskedForIsLeftOutAndTheRestKeepsItsNumber) {
  snapshot_.upstreams = {{.url = "stratum2+tcp://pool.example:1", .error = "word\xff"}};
  const auto json = to_json(examine_role(facts_of_role(setup_, nullptr, snapshot_)));
  std::vector<std::string> names;
  for (const auto& check : json.at("checks").as_array()) {
    const auto number = check.at("number").to_number<std::size_t>();
    names.emplace_back(check.at("name").as_string());
    EXPECT_EQ(names.back(), kChecks.at(number - 1).name);
  }
  EXPECT_EQ(names.size(), kChecks.size() - 3);
  EXPECT_THAT(names, Not(testing::Contains(testing::AnyOf("configuration", "node access", "template"))));
  EXPECT_THAT(boost::json::serialize(json), HasSubstr("word\xef\xbf\xbd"));
}

}  // namespace
}  // namespace adit::cli::doctor
