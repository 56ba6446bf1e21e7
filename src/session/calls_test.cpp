#include "session/calls.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wire/messages.h"

namespace adit::session {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

template <class M>
wire::FrameBuffer frame_of(const M& message) {
  wire::FrameBuffer frames;
  EXPECT_TRUE(frames.push(message));
  return frames;
}

constexpr Instant at(Duration since_start) { return Instant(since_start); }

wire::OpenStandardMiningChannel open_channel(std::uint32_t request_id) {
  return {.request_id = request_id, .user_identity = std::string_view("a"), .nominal_hash_rate = 1, .max_target = {}};
}
wire::OpenStandardMiningChannelSuccess opened(std::uint32_t request_id, std::uint32_t channel_id) {
  wire::OpenStandardMiningChannelSuccess message{};
  message.request_id = request_id;
  message.channel_id = channel_id;
  return message;
}

class Rpc : public testing::Test {
 protected:
  /// Outcomes are told as "NAME what", what being the answer's name or the error's.
  template <class M>
  Result<void> call(const char* name, const M& request, Duration deadline) {
    const auto frames = frame_of(request);
    return handler_.call(*frames.begin(), at(deadline), out_, [this, name](const Result<wire::FrameView>& answer) {
      told_.push_back(std::string(name) + " " +
                      std::string(answer ? wire::message_name(answer->header) : answer.error().name()));
    });
  }
  template <class M>
  bool comes(const M& message) {
    const auto frames = frame_of(message);
    return handler_.on_frame(*frames.begin(), out_);
  }

  StratumV2RpcHandler handler_;
  wire::FrameBuffer out_;
  std::vector<std::string> told_;
};

TEST_F(Rpc, EachCallGetsItsOwnAnswerWhateverTheOrder) {
  ASSERT_TRUE(call("setup", wire::SetupConnection{}, 10s));
  ASSERT_TRUE(call("one", open_channel(1), 10s));
  ASSERT_TRUE(call("two", open_channel(2), 10s));
  ASSERT_TRUE(call("extensions", wire::RequestExtensions{.request_id = 1}, 10s));
  EXPECT_EQ(std::distance(out_.begin(), out_.end()), 4);
  EXPECT_TRUE(comes(wire::OpenMiningChannelError{.request_id = 2, .error_code = std::string_view("no")}));
  EXPECT_TRUE(comes(wire::RequestExtensionsSuccess{.request_id = 1}));
  EXPECT_TRUE(comes(opened(1, 7)));
  EXPECT_TRUE(comes(wire::SetupConnectionSuccess{}));
  EXPECT_THAT(told_, ElementsAre("two OpenMiningChannel.Error", "extensions RequestExtensions.Success",
                                 "one OpenStandardMiningChannel.Success", "setup SetupConnection.Success"));
  EXPECT_EQ(handler_.under_way(), 0u);
}

TEST_F(Rpc, WhatAnswersNothingIsForSomebodyElse) {
  ASSERT_TRUE(call("one", open_channel(1), 10s));
  EXPECT_FALSE(comes(opened(3, 7)));
  EXPECT_FALSE(comes(wire::SubmitSharesSuccess{}));
  EXPECT_TRUE(told_.empty());
}

TEST_F(Rpc, OneOfAKindAtATimeAndNothingButCalls) {
  ASSERT_TRUE(call("setup", wire::SetupConnection{}, 10s));
  EXPECT_FALSE(call("again", wire::SetupConnection{}, 10s));
  EXPECT_FALSE(call("share", wire::SubmitSharesStandard{}, 10s));
  EXPECT_EQ(std::distance(out_.begin(), out_.end()), 1) << "what was refused is not sent";
}

TEST_F(Rpc, AChannelThatOpensTooLateIsClosed) {
  ASSERT_TRUE(call("one", open_channel(1), 10s));
  ASSERT_TRUE(call("two", open_channel(2), 20s));
  handler_.on_tick(at(9s));
  EXPECT_TRUE(told_.empty());
  handler_.on_tick(at(10s));
  EXPECT_THAT(told_, ElementsAre("one timed_out"));
  EXPECT_FALSE(call("the same id", open_channel(1), 20s)) << "its answer could not be told from the late one";
  out_.clear();
  EXPECT_TRUE(comes(opened(1, 7)));
  ASSERT_EQ(std::distance(out_.begin(), out_.end()), 1);
  EXPECT_EQ((*out_.begin()).as<wire::CloseChannel>()->channel_id, 7u);
  EXPECT_FALSE(comes(opened(1, 7))) << "once";
  EXPECT_TRUE(comes(opened(2, 8)));
  EXPECT_THAT(told_, ElementsAre("one timed_out", "two OpenStandardMiningChannel.Success"));
}

TEST_F(Rpc, TheEndOfTheSessionEndsEveryCall) {
  ASSERT_TRUE(call("one", open_channel(1), 10s));
  ASSERT_TRUE(call("setup", wire::SetupConnection{}, 10s));
  handler_.end(Error(Errc::kClosed, "gone"));
  EXPECT_THAT(told_, testing::UnorderedElementsAre("one closed", "setup closed"));
  EXPECT_EQ(handler_.under_way(), 0u);
}

}  // namespace
}  // namespace adit::session
