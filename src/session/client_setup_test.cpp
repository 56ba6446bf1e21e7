#include "session/client_setup.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wire/adit_messages.h"
#include "wire/mining_messages.h"

namespace adit::session {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

Now at(Duration since) {
  return {Instant(1h) + since, UnixTime(1'000'000s) + std::chrono::duration_cast<std::chrono::seconds>(since)};
}

/// A client in its set-up, and a server that the test plays.
class ClientSetupTest : public testing::Test {
 protected:
  void begin(bool ask_for_adit = false) {
    setup.emplace(options, ask_for_adit);
    setup->start("192.0.2.1", 3333, at(0s), out);
    out.clear();
  }
  template <wire::Message M>
  Result<bool> hear(const M& message, Duration when = 0s) {
    wire::FrameBuffer in;
    EXPECT_TRUE(in.push(message));
    out.clear();
    return setup->on_frame(*in.begin(), at(when), out);
  }
  Result<bool> accept(std::uint32_t flags = 0) { return hear(wire::SetupConnectionSuccess{.used_version = 2, .flags = flags}); }
  [[nodiscard]] std::vector<std::uint16_t> asked() const {
    if (out.empty()) return {};
    const auto request = (*out.begin()).as<wire::RequestExtensions>();
    if (!request) return {};
    return {request->requested_extensions.begin(), request->requested_extensions.end()};
  }
  [[nodiscard]] std::uint16_t request_id() const { return (*out.begin()).as<wire::RequestExtensions>()->request_id; }
  Result<bool> grant(std::uint16_t id, std::vector<std::uint16_t> extensions, Duration when = 0s) {
    return hear(wire::RequestExtensionsSuccess{.request_id = id, .supported_extensions = extensions}, when);
  }

  ClientOptions options{.program = "translator"};
  std::optional<ClientSetup> setup;
  wire::FrameBuffer out;
};

TEST_F(ClientSetupTest, SaysWhoMadeItAndInWhichVersionAndNamesNoDevice) {
  options.flags = wire::kRequiresStandardJobs;
  options.protocol = wire::Protocol::kTemplateDistribution;
  setup.emplace(options);
  const std::string long_host(300, 'h');
  setup->start(long_host, 3333, at(0s), out);
  const auto message = (*out.begin()).as<wire::SetupConnection>();
  ASSERT_TRUE(message);
  EXPECT_EQ(message->protocol, 2);
  EXPECT_EQ(message->min_version, 2);
  EXPECT_EQ(message->max_version, 2);
  EXPECT_EQ(message->flags, wire::kRequiresStandardJobs);
  EXPECT_EQ(message->endpoint_host.view(), long_host.substr(0, 255));
  EXPECT_EQ(message->endpoint_port, 3333);
  EXPECT_EQ(message->vendor.view(), "adit");
  EXPECT_EQ(message->hardware_version.view(), "translator");
  EXPECT_THAT(std::string(message->firmware.view()), testing::MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+"));
  EXPECT_TRUE(message->device_id.empty());
}

TEST_F(ClientSetupTest, IsReadyAtOnceWhereNothingIsAskedFor) {
  begin();
  EXPECT_FALSE(setup->accepted());
  ASSERT_TRUE(accept(6));
  EXPECT_TRUE(setup->ready());
  EXPECT_EQ(setup->agreement().flags, 6u);
  EXPECT_TRUE(out.empty());
}

TEST_F(ClientSetupTest, ExtensionsAreAskedForOnceAndWaitedFor) {
  options.extensions = {2};
  options.required_extensions = {2, 7};
  begin(true);
  ASSERT_TRUE(accept());
  EXPECT_TRUE(setup->accepted());
  EXPECT_FALSE(setup->ready());
  EXPECT_THAT(asked(), ElementsAre(2, 7, wire::kAditExtension)) << "one request for all of them";
  ASSERT_TRUE(grant(request_id(), {7, 2, 99}));
  EXPECT_TRUE(setup->ready());
  EXPECT_THAT(setup->agreement().extensions, ElementsAre(7, 2)) << "what was not asked for is not agreed upon";
}

TEST_F(ClientSetupTest, TheAnswerAboutOurOwnExtensionIsNotWaitedFor) {
  begin(true);
  ASSERT_TRUE(accept());
  EXPECT_THAT(asked(), ElementsAre(wire::kAditExtension));
  EXPECT_TRUE(setup->ready());
  EXPECT_TRUE(setup->unanswered());
  const auto id = request_id();
  ASSERT_TRUE(grant(static_cast<std::uint16_t>(id + 1), {wire::kAditExtension}));
  EXPECT_TRUE(setup->unanswered()) << "an answer to another request is none";
  ASSERT_TRUE(grant(id, {wire::kAditExtension}));
  EXPECT_FALSE(setup->unanswered());
  EXPECT_TRUE(setup->agreement().has_extension(wire::kAditExtension));
}

TEST_F(ClientSetupTest, AServerThatIgnoresTheNegotiationIsUsedWithoutExtensionsUnlessTheyAreRequired) {
  options.extensions = {2};
  begin();
  ASSERT_TRUE(accept());
  const auto id = request_id();
  ASSERT_TRUE(setup->on_tick(at(2900ms)));
  EXPECT_FALSE(setup->ready());
  ASSERT_TRUE(setup->on_tick(at(3s)));
  EXPECT_TRUE(setup->ready());
  EXPECT_FALSE(setup->agreement().has_extension(2));
  ASSERT_TRUE(grant(id, {2}, 10s)) << "a late answer counts";
  EXPECT_TRUE(setup->agreement().has_extension(2));

  options.required_extensions = {2};
  begin();
  ASSERT_TRUE(accept());
  EXPECT_TRUE(setup->on_tick(at(3s)).error().is(Errc::kRefused));
}

TEST_F(ClientSetupTest, ARefusalOrABreachEndsIt) {
  begin();
  EXPECT_TRUE(hear(wire::NewExtendedMiningJob{}).error().is(Errc::kProtocol)) << "before SetupConnection was answered";
  begin();
  EXPECT_TRUE(hear(wire::SetupConnectionSuccess{.used_version = 3}).error().is(Errc::kProtocol));
  begin();
  EXPECT_TRUE(
      hear(wire::SetupConnectionError{.flags = 4, .error_code = "unsupported-feature-flags"}).error().is(Errc::kRefused));
  begin();
  ASSERT_TRUE(accept());
  EXPECT_TRUE(accept().error().is(Errc::kProtocol)) << "twice";
  begin();
  EXPECT_TRUE(setup->on_tick(at(10s)).error().is(Errc::kTimedOut));
  begin();
  wire::FrameBuffer cut;
  ASSERT_TRUE(cut.push_raw({.message_type = wire::SetupConnectionSuccess::kType}, Bytes()));
  EXPECT_TRUE(setup->on_frame(*cut.begin(), at(0s), out).error().is(Errc::kProtocol)) << "a payload that does not decode";
}

TEST_F(ClientSetupTest, AServerThatRequiresWhatWasNotAskedForIsRefused) {
  begin(true);
  ASSERT_TRUE(accept());
  const std::vector<std::uint16_t> required = {0x0002};
  const auto refused = hear(wire::RequestExtensionsError{.request_id = request_id(), .required_extensions = required});
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(Errc::kRefused));
  EXPECT_THAT(refused.error().message(), testing::HasSubstr("0x0002"));
}

TEST_F(ClientSetupTest, AnotherEndpointIsAskedForItsExtensionsAnew) {
  options.extensions = {2};
  begin();
  ASSERT_TRUE(accept());
  ASSERT_TRUE(grant(request_id(), {2}));
  ASSERT_TRUE(hear(wire::ChannelEndpointChanged{.channel_id = 1}));
  EXPECT_FALSE(setup->agreement().has_extension(2));
  EXPECT_THAT(asked(), ElementsAre(2));
  ASSERT_TRUE(grant(request_id(), {2}));
  EXPECT_TRUE(setup->agreement().has_extension(2));
}

TEST_F(ClientSetupTest, WhatIsTheProtocolsIsLeftToIt) {
  begin();
  ASSERT_TRUE(accept());
  EXPECT_EQ(hear(wire::SetNewPrevHash{}).value(), false);
  EXPECT_EQ(hear(wire::Ping{}).value(), false);
}

}  // namespace
}  // namespace adit::session
