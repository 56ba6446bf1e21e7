#include "net/setup.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wire/common_messages.h"

namespace adit::net {
namespace {

TEST(MiningSetup, SaysWhoMadeItAndInWhichVersionAndNamesNoDevice) {
  const std::string long_host(300, 'h');
  wire::FrameBuffer out;
  push_setup_connection(TcpConfig{.host = long_host, .port = 3333},
                        {.program = "translator", .flags = wire::kRequiresStandardJobs}, out);
  const auto setup = (*out.begin()).as<wire::SetupConnection>();
  ASSERT_TRUE(setup);
  EXPECT_EQ(setup->protocol, wire::kMiningProtocol);
  EXPECT_EQ(setup->min_version, 2);
  EXPECT_EQ(setup->max_version, 2);
  EXPECT_EQ(setup->flags, wire::kRequiresStandardJobs);
  EXPECT_EQ(setup->endpoint_host.view(), long_host.substr(0, 255));
  EXPECT_EQ(setup->endpoint_port, 3333);
  EXPECT_EQ(setup->vendor.view(), "adit");
  EXPECT_EQ(setup->hardware_version.view(), "translator");
  EXPECT_THAT(std::string(setup->firmware.view()), ::testing::MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+"));
  EXPECT_TRUE(setup->device_id.empty());
}

TEST(MiningSetup, OverIrohTheEndpointIsTheHost) {
  wire::FrameBuffer out;
  push_setup_connection(IrohConfig{.endpoint_id = std::string(64, 'a')}, {.program = "miner"}, out);
  const auto setup = (*out.begin()).as<wire::SetupConnection>();
  ASSERT_TRUE(setup);
  EXPECT_EQ(setup->endpoint_host.view(), std::string(64, 'a'));
  EXPECT_EQ(setup->endpoint_port, 0);
}

}  // namespace
}  // namespace adit::net
