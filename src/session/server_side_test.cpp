#include "session/server_side.h"

#include <deque>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wire/adit_messages.h"
#include "wire/template_distribution_messages.h"

namespace adit::session {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

Now at(Duration since) {
  return {Instant(1h) + since, UnixTime(1'000'000s) + std::chrono::duration_cast<std::chrono::seconds>(since)};
}

/// A protocol that notes what it is told, and answers each frame by one of its type.
class NotingServer final : public ProtocolServer {
 public:
  explicit NotingServer(NotingServer*& here) : here_(here) { here_ = this; }
  ~NotingServer() override { here_ = nullptr; }
  NotingServer(const NotingServer&) = delete;
  NotingServer& operator=(const NotingServer&) = delete;

  [[nodiscard]] std::uint32_t success_flags() const override { return 2; }
  void on_extensions(std::span<const std::uint16_t> granted) override {
    extensions.insert(extensions.end(), granted.begin(), granted.end());
  }
  Result<void> on_frames(std::span<const wire::FrameView> frames, const Now&, wire::FrameBuffer& out) override {
    for (const auto& frame : frames) {
      types.push_back(frame.header.message_type);
      (void)out.push_raw(frame.header, frame.payload);
    }
    return {};
  }
  Result<void> on_tick(const Now&, wire::FrameBuffer&) override {
    ++ticks;
    return {};
  }
  void finish(wire::FrameBuffer& out) override {
    if (std::exchange(finished, true)) return;
    (void)out.push_raw({.message_type = 0xee}, Bytes());
  }
  [[nodiscard]] bool settled() const override { return is_settled; }

  std::vector<std::uint16_t> extensions;
  std::vector<int> types;
  int ticks = 0;
  bool finished = false;
  bool is_settled = true;

 private:
  NotingServer*& here_;
};

class ServerSideTest : public testing::Test {
 protected:
  void SetUp() override {
    options.offers = {{.protocol = wire::Protocol::kMining, .supported_flags = 5, .supported_extensions = {2, 9}},
                      {.protocol = wire::Protocol::kJobDeclaration,
                       .supported_flags = 1,
                       .required_flags = 1,
                       .missing_flags_code = "missing-declare-tx-data-flag"}};
  }
  void begin(std::optional<wire::Protocol> lanes = {}) {
    side.emplace(
        options, lanes,
        [this](const AcceptedSetup& setup) {
          accepted = setup;
          return std::make_unique<NotingServer>(server);
        },
        at(0s).instant);
  }
  Result<void> hear(const wire::FrameBuffer& in, Duration when = 0s) {
    const std::vector<wire::FrameView> frames(in.begin(), in.end());
    out.clear();
    return side->on_frames(frames, at(when), out);
  }
  template <wire::Message... M>
  Result<void> hear(const M&... messages) {
    wire::FrameBuffer in;
    (in.push(messages), ...);
    return hear(in);
  }
  static wire::SetupConnection setup(wire::Protocol protocol = wire::Protocol::kMining, std::uint32_t flags = 0) {
    return {.protocol = std::to_underlying(protocol), .min_version = 2, .max_version = 2, .flags = flags, .vendor = "maker"};
  }
  template <class M>
  M answer(std::size_t index = 0) {
    auto frame = out.begin();
    for (; index > 0 && frame != out.end(); --index) ++frame;
    if (frame == out.end()) {
      ADD_FAILURE() << "no such answer";
      return {};
    }
    const auto message = (*frame).as<M>();
    EXPECT_TRUE(message) << "another message";
    return message ? *message : M{};
  }
  [[nodiscard]] std::size_t answers() const { return static_cast<std::size_t>(std::ranges::distance(out.begin(), out.end())); }

  ServerOptions options;
  AcceptedSetup accepted;
  NotingServer* server = nullptr;
  std::optional<ServerSide> side;
  wire::FrameBuffer out;
};

TEST_F(ServerSideTest, TheProtocolThatTheClientChoseIsServed) {
  begin();
  ASSERT_TRUE(hear(setup(wire::Protocol::kJobDeclaration, 1)));
  EXPECT_EQ(accepted.protocol, wire::Protocol::kJobDeclaration);
  EXPECT_EQ(accepted.flags, 1u);
  EXPECT_EQ(accepted.vendor, "maker");
  EXPECT_EQ(answer<wire::SetupConnectionSuccess>().used_version, 2);
  EXPECT_EQ(answer<wire::SetupConnectionSuccess>().flags, 2u) << "the protocol's own";
}

TEST_F(ServerSideTest, WhatCannotBeServedIsRefusedByItsReason) {
  const auto refused = [&](const wire::SetupConnection& message, std::optional<wire::Protocol> lanes = {}) {
    begin(lanes);
    const auto handled = hear(message);
    EXPECT_FALSE(handled);
    EXPECT_TRUE(!handled && handled.error().is(Errc::kRefused));
    EXPECT_EQ(server, nullptr);
    const auto error = answer<wire::SetupConnectionError>();
    return std::string(error.error_code.view()) + " " + std::to_string(error.flags);
  };
  EXPECT_EQ(refused(setup(wire::Protocol::kTemplateDistribution)), "unsupported-protocol 0");
  EXPECT_EQ(refused(setup(wire::Protocol::kMining), wire::Protocol::kJobDeclaration), "unsupported-protocol 0")
      << "the lanes are another protocol's";
  EXPECT_EQ(refused({.protocol = 0, .min_version = 3, .max_version = 3}), "protocol-version-mismatch 0");
  EXPECT_EQ(refused({.protocol = 0, .min_version = 1, .max_version = 1}), "protocol-version-mismatch 0");
  EXPECT_EQ(refused(setup(wire::Protocol::kMining, 0xff)), "unsupported-feature-flags 250");
  EXPECT_EQ(refused(setup(wire::Protocol::kJobDeclaration, 0)), "missing-declare-tx-data-flag 0");
}

TEST_F(ServerSideTest, SetupConnectionComesFirstAndInTime) {
  begin();
  EXPECT_TRUE(hear(wire::CoinbaseOutputConstraints{}).error().is(Errc::kProtocol));
  begin();
  wire::FrameBuffer cut;
  ASSERT_TRUE(cut.push_raw({.message_type = wire::SetupConnection::kType}, std::vector<std::uint8_t>(3)));
  EXPECT_TRUE(hear(cut).error().is(Errc::kProtocol)) << "a payload that does not decode";
  begin();
  EXPECT_TRUE(side->on_tick(at(9s), out));
  EXPECT_TRUE(side->on_tick(at(10s), out).error().is(Errc::kIdle));
}

TEST_F(ServerSideTest, FramesOfTheProtocolAndOfUnknownExtensionsReachItInTheirOrder) {
  begin();
  ASSERT_TRUE(hear(setup()));
  const std::vector<std::uint16_t> wanted = {2, 9, 77, wire::kAditExtension};
  wire::FrameBuffer in;
  ASSERT_TRUE(in.push_raw({.message_type = 0x20}, Bytes()));
  ASSERT_TRUE(in.push_raw({.extension_type = 0x4444, .message_type = 0x21}, Bytes()));
  in.push(wire::RequestExtensions{.request_id = 5, .requested_extensions = wanted});
  ASSERT_TRUE(in.push_raw({.message_type = 0x22}, Bytes()));
  in.push(wire::Ping{.nonce = 4});
  ASSERT_TRUE(hear(in));
  EXPECT_THAT(server->types, ElementsAre(0x20, 0x21, 0x22));
  EXPECT_THAT(server->extensions, ElementsAre(2, 9, wire::kAditExtension));
  ASSERT_EQ(answers(), 5u);
  EXPECT_EQ(answer<wire::RequestExtensionsSuccess>(2).supported_extensions.size(), 3u);
  EXPECT_EQ(answer<wire::Pong>(4).nonce, 4u) << "agreed upon a moment before";
}

TEST_F(ServerSideTest, FollowPoolTipReachesTheProtocolWhereTheExtensionIsSpoken) {
  begin();
  ASSERT_TRUE(hear(setup(), wire::FollowPoolTip{}));
  EXPECT_THAT(server->types, IsEmpty());
  const std::vector<std::uint16_t> adit = {wire::kAditExtension};
  ASSERT_TRUE(
      hear(wire::RequestExtensions{.request_id = 1, .requested_extensions = adit}, wire::FollowPoolTip{}, wire::Ping{}));
  EXPECT_THAT(server->types, ElementsAre(wire::FollowPoolTip::kType));
  begin(wire::Protocol::kMining);
  ASSERT_TRUE(hear(setup(), wire::FollowPoolTip{}));
  EXPECT_THAT(server->types, ElementsAre(wire::FollowPoolTip::kType)) << "over lanes without asking";
}

TEST_F(ServerSideTest, NothingIsServedBeforeTheRequiredExtensionsWereRequested) {
  options.offers[0].required_extensions = {9};
  begin();
  ASSERT_TRUE(hear(setup()));
  const std::vector<std::uint16_t> none = {2};
  ASSERT_TRUE(hear(wire::RequestExtensions{.request_id = 1, .requested_extensions = none}));
  EXPECT_EQ(answer<wire::RequestExtensionsError>().required_extensions[0], 9);
  const std::vector<std::uint16_t> both = {2, 9};
  ASSERT_TRUE(hear(wire::RequestExtensions{.request_id = 2, .requested_extensions = both}));
  ASSERT_TRUE(hear(wire::CoinbaseOutputConstraints{}));
  begin();
  ASSERT_TRUE(hear(setup()));
  EXPECT_TRUE(hear(wire::CoinbaseOutputConstraints{}).error().is(Errc::kProtocol));
}

TEST_F(ServerSideTest, AGoodbyeIsAcknowledgedOnceEverythingIsAnswered) {
  begin(wire::Protocol::kMining);
  ASSERT_TRUE(hear(setup()));
  server->is_settled = false;
  ASSERT_TRUE(hear(wire::Goodbye{.drain_ms = 1000}));
  ASSERT_EQ(answers(), 1u) << "what was held back, and no acknowledgement yet";
  EXPECT_FALSE(side->extension().over());
  server->is_settled = true;
  out.clear();
  side->settle(out);
  (void)answer<wire::GoodbyeAck>();
  EXPECT_TRUE(side->extension().over());
}

TEST_F(ServerSideTest, AMessageBehindAGoodbyeAckIsABreach) {
  begin(wire::Protocol::kMining);
  ASSERT_TRUE(hear(setup()));
  side->extension().say_goodbye("the pool stops", 1s, out);
  EXPECT_TRUE(hear(wire::GoodbyeAck{}, wire::CoinbaseOutputConstraints{}).error().is(Errc::kProtocol));
}

}  // namespace
}  // namespace adit::session
