#include "cli/doctor/gather.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>

#include "cli/doctor/machine.h"
#include "net/error.h"
#include "net/shards.h"
#include "net/tcp.h"
#include "net/udp.h"
#include "session/error.h"

namespace adit::cli::doctor {
namespace {

TEST(DoctorGather, TheUserIsRefusedOnlyWhereThePoolRefusedIt) {
  const Result<> refused = fail(session::Errc::kRefused, "unknown-user");
  const Result<> lost = fail(net::Errc::kReset, "the connection was lost");
  PeerReport report;
  EXPECT_EQ(stage_of(lost, report, false), UpstreamStage::kNotReached);
  report.reached = std::chrono::milliseconds(1);
  EXPECT_EQ(stage_of(refused, report, false), UpstreamStage::kNotSetUp) << "the session was refused, not the user";
  report.setup = std::chrono::milliseconds(1);
  EXPECT_EQ(stage_of(refused, report, false), UpstreamStage::kUserRefused);
  EXPECT_EQ(stage_of(lost, report, false), UpstreamStage::kNoChannel);
  EXPECT_EQ(stage_of(lost, report, true), UpstreamStage::kAccepted) << "a declarator is asked for no channel";
  report.user_accepted = true;
  EXPECT_EQ(stage_of(lost, report, false), UpstreamStage::kAccepted) << "what came later is no matter";
}

TEST(DoctorGather, ItsEndpointOnlyDialsAndAsksTheRouterForNothing) {
  net::IrohNodeConfig configured;
  configured.portmap = true;
  configured.bind = {"0.0.0.0:4433"};
  configured.external_addrs = {"203.0.113.5:4433"};
  configured.relay_mode = net::IrohRelays::kList;
  const net::IrohNodeConfig node = probing(configured);
  EXPECT_FALSE(node.portmap);
  EXPECT_FALSE(node.listens);
  EXPECT_TRUE(node.bind.empty());
  EXPECT_TRUE(node.external_addrs.empty());
  EXPECT_EQ(node.relay_mode, net::IrohRelays::kList);
}

TEST(DoctorGather, TheHolderOfAPortIsFoundByItsAddressAndNamedByItsFile) {
  net::Shards shards(1);
  shards.start();
  {
    const auto listener = net::TcpListener::bind(shards[0], {"127.0.0.1", 0}, std::chrono::seconds(10));
    ASSERT_TRUE(listener);
    const std::uint16_t port = (*listener)->port();
    const auto holder = who_has({"127.0.0.1", port}, false);
    ASSERT_TRUE(holder);
    EXPECT_EQ(holder->pid, ::getpid());
    EXPECT_EQ(holder->program, "adit_cli_test") << "whole, where the name that a process has is cut after 15 bytes";
    EXPECT_TRUE(who_has({"0.0.0.0", port}, false));
    EXPECT_TRUE(who_has({"::", port}, false));
    EXPECT_FALSE(who_has({"127.0.0.2", port}, false)) << "another address";
    EXPECT_FALSE(who_has({"127.0.0.1", port}, true)) << "another protocol";
  }
  shards.stop(Duration::zero());
}

TEST(DoctorGather, TheHolderOfAUdpPortIsFound) {
  std::uint16_t port = 29'475;
  auto bound = net::bind_udp("127.0.0.1:" + std::to_string(port));
  for (int i = 0; i < 100 && !bound; ++i) bound = net::bind_udp("127.0.0.1:" + std::to_string(++port));
  ASSERT_TRUE(bound);
  const auto holder = who_has({"127.0.0.1", port}, true);
  ASSERT_TRUE(holder);
  EXPECT_EQ(holder->pid, ::getpid());
}

}  // namespace
}  // namespace adit::cli::doctor
