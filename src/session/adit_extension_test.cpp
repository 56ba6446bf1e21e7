#include "session/adit_extension.h"

#include <deque>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "session/shares.h"
#include "wire/adit_messages.h"
#include "wire/common_messages.h"
#include "wire/mining_messages.h"

namespace adit::session {
namespace {

using namespace std::chrono_literals;

std::vector<wire::FrameView> views(const wire::FrameBuffer& frames) { return {frames.begin(), frames.end()}; }

Now at(Duration since) {
  return {Instant(1h) + since, UnixTime(1'000'000s) + std::chrono::duration_cast<std::chrono::seconds>(since)};
}

/// One that speaks the extension.
AditExtension agreed() {
  AditExtension extension;
  extension.agree();
  return extension;
}

Result<void> receive(AditExtension& extension, const wire::FrameBuffer& in, const Now& now, wire::FrameBuffer& out) {
  for (const auto& frame : in) {
    if (frame.header.extension_type == wire::kAditExtension) ADIT_CHECK(extension.on_frame(frame, now, out));
  }
  return {};
}

TEST(AditExtension, SaysNothingWhereItWasNotAgreedUpon) {
  AditExtension client;
  wire::FrameBuffer out;
  client.say_goodbye("bye", 1s, out);
  EXPECT_FALSE(client.ping(at(0s), out));
  EXPECT_TRUE(out.empty());
}

TEST(AditExtension, MessagesOfItAreIgnoredWhereItWasNotAgreedUpon) {
  AditExtension server;
  wire::FrameBuffer in;
  in.push(wire::Ping{.nonce = 1});
  in.push(wire::GoodbyeAck{});
  wire::FrameBuffer out;
  EXPECT_TRUE(receive(server, in, at(0s), out));
  EXPECT_TRUE(out.empty());
}

TEST(AditExtension, WhatIsNotPartOfAnEndingIsAProtocolError) {
  const auto after = [](auto... messages) {
    AditExtension server = agreed();
    wire::FrameBuffer in;
    (in.push(messages), ...);
    wire::FrameBuffer out;
    return receive(server, in, at(0s), out);
  };
  EXPECT_FALSE(after(wire::GoodbyeAck{})) << "of nothing";
  EXPECT_FALSE(after(wire::Goodbye{}, wire::Goodbye{})) << "twice";
  EXPECT_TRUE(after(wire::Goodbye{}));

  AditExtension server = agreed();
  wire::FrameBuffer out;
  server.say_goodbye("down", 1s, out);
  wire::FrameBuffer in;
  in.push(wire::GoodbyeAck{});
  in.push(wire::Ping{});
  EXPECT_FALSE(receive(server, in, at(0s), out)) << "it was to be the last frame";

  wire::FrameBuffer cut;
  (void)cut.push_raw({.extension_type = wire::kAditExtension, .message_type = wire::Goodbye::kType}, Bytes{});
  AditExtension other = agreed();
  EXPECT_FALSE(receive(other, cut, at(0s), out));
}

TEST(AditExtension, ThePeersPatienceIsBounded) {
  AditExtension client = agreed();
  wire::FrameBuffer in;
  in.push(wire::Goodbye{.reason = std::string_view("maintenance"), .drain_ms = UINT32_MAX});
  wire::FrameBuffer out;
  ASSERT_TRUE(receive(client, in, at(0s), out));
  EXPECT_EQ(client.peer_patience(), AditExtension::kLongestPatience);
  EXPECT_EQ(client.peer_reason(), "maintenance");
}

TEST(AditExtension, APeersImpossibleClockIsNone) {
  for (const std::uint64_t time_ms : {std::uint64_t{1} << 63, ~std::uint64_t{0}}) {
    AditExtension client = agreed();
    wire::FrameBuffer out;
    ASSERT_TRUE(client.ping(at(0s), out));
    wire::FrameBuffer in;
    in.push(wire::Pong{.nonce = (*out.begin()).as<wire::Ping>()->nonce, .time_ms = time_ms});
    ASSERT_TRUE(receive(client, in, at(1s), out));
    EXPECT_EQ(client.take_round_trip(), Duration(1s));
    EXPECT_FALSE(client.clock_difference());
  }
}

TEST(AditExtension, APingMeasuresTheRoundTripAndThePeersClock) {
  AditExtension one = agreed();
  AditExtension other = agreed();
  wire::FrameBuffer ping;
  one.ping(at(0s), ping);
  one.ping(at(0s), ping);
  ASSERT_EQ(views(ping).size(), 1u) << "one at a time";
  wire::FrameBuffer pong;
  const Now ahead{Instant(77h), at(100s).unix_time};
  ASSERT_TRUE(receive(other, ping, ahead, pong));
  wire::FrameBuffer out;
  ASSERT_TRUE(receive(one, pong, at(250ms), out));
  EXPECT_EQ(one.take_round_trip(), 250ms);
  EXPECT_FALSE(one.take_round_trip());
  ASSERT_TRUE(one.clock_difference());
  EXPECT_NEAR(static_cast<double>(one.clock_difference()->count()), 100'000, 1'200);
  // A Pong to nothing says nothing.
  ASSERT_TRUE(receive(one, pong, at(1s), out));
  EXPECT_FALSE(one.take_round_trip());
}

/// A client that submits, a server that counts and acknowledges in batches, and two queues between them.
class Pair {
 public:
  explicit Pair(std::uint64_t seed) : random(seed) {}

  void client_submits() {
    if (client.leaving()) return;
    wire::FrameBuffer out;
    out.push(wire::SubmitSharesStandard{.sequence_number = shares.submit(0, {})});
    client_sends(out);
  }
  void client_leaves() {
    wire::FrameBuffer out;
    client.say_goodbye("client", 10s, out);
    client_sends(out);
  }
  void server_leaves() {
    wire::FrameBuffer out;
    acknowledge(out);
    server.say_goodbye("server", 10s, out);
    server_sends(out);
  }
  void server_hears() {
    if (up.empty()) return;
    const wire::FrameBuffer in = std::move(up.front());
    up.pop_front();
    wire::FrameBuffer out;
    for (const auto& frame : in) {
      if (!frame.is<wire::SubmitSharesStandard>()) continue;
      if (random() % 8 == 0) {
        out.push(wire::SubmitSharesError{.sequence_number = frame.as<wire::SubmitSharesStandard>()->sequence_number,
                                         .error_code = std::string_view("stale-share")});
      } else {
        ++counted;
        ++pending;
        last = frame.as<wire::SubmitSharesStandard>()->sequence_number;
      }
    }
    if (pending >= 5) acknowledge(out);
    ASSERT_TRUE(receive(server, in, at(0s), out));
    if (server.leaving()) acknowledge(out);
    server.settle(out);
    server_sends(out);
  }
  void client_hears() {
    if (down.empty()) return;
    const wire::FrameBuffer in = std::move(down.front());
    down.pop_front();
    wire::FrameBuffer out;
    for (const auto& frame : in) {
      if (const auto accepted = frame.as<wire::SubmitSharesSuccess>()) shares.on_answer(*accepted, {}, [](const auto&) {});
      if (const auto rejected = frame.as<wire::SubmitSharesError>()) shares.on_answer(*rejected, {}, [](const auto&) {});
    }
    ASSERT_TRUE(receive(client, in, at(0s), out));
    if (shares.unanswered() == 0) client.settle(out);
    client_sends(out);
  }

  AditExtension client = agreed();
  StratumV2StreamHandler shares;  ///< The client's.
  AditExtension server = agreed();
  std::deque<wire::FrameBuffer> up, down;
  std::mt19937_64 random;
  std::uint64_t counted = 0;

 private:
  void acknowledge(wire::FrameBuffer& out) {
    if (pending == 0) return;
    out.push(wire::SubmitSharesSuccess{.last_sequence_number = last, .new_submits_accepted_count = std::exchange(pending, 0)});
  }
  void client_sends(wire::FrameBuffer& out) {
    if (!out.empty()) up.push_back(std::move(out));
  }
  void server_sends(wire::FrameBuffer& out) {
    if (!out.empty()) down.push_back(std::move(out));
  }
  std::uint32_t pending = 0;
  std::uint32_t last = 0;
};

TEST(AditExtension, HoweverAGoodbyeFallsEveryShareIsAnsweredBeforeTheEnd) {
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    Pair pair(seed);
    const auto who = seed % 3;  // Client, server, both.
    const auto client_at = pair.random() % 200;
    const auto server_at = who == 2 ? client_at + pair.random() % 5 : pair.random() % 200;
    for (std::uint64_t step = 0; step < 400; ++step) {
      if (who != 1 && step == client_at) pair.client_leaves();
      if (who != 0 && step == server_at) pair.server_leaves();
      switch (pair.random() % 3) {
        case 0:
          pair.client_submits();
          break;
        case 1:
          pair.server_hears();
          break;
        default:
          pair.client_hears();
      }
    }
    while (!pair.up.empty() || !pair.down.empty()) {
      pair.server_hears();
      pair.client_hears();
      ASSERT_FALSE(testing::Test::HasFatalFailure());
    }
    ASSERT_TRUE(pair.client.over()) << seed;
    ASSERT_TRUE(pair.server.over()) << seed;
    ASSERT_EQ(pair.shares.accepted(), pair.counted) << seed;
    ASSERT_EQ(pair.shares.unanswered(), 0u) << seed;
  }
}

TEST(AditExtension, AFloodOfPingsIsAnsweredAsOftenAsIsDecentAndNoOftener) {
  AditExtension server = agreed();
  wire::FrameBuffer flood;
  for (std::uint64_t nonce = 0; nonce < 1000; ++nonce) flood.push(wire::Ping{.nonce = nonce});
  std::size_t answers = 0;
  for (int second = 0; second < 60; ++second) {
    wire::FrameBuffer out;
    ASSERT_TRUE(receive(server, flood, at(second * 1s), out));
    answers += views(out).size();
  }
  EXPECT_EQ(answers, std::size_t{AditExtension::kPingBurst + 59 * AditExtension::kPingsPerSecond});
  // Who waits is answered again, and a burst's worth at most however long it waited.
  wire::FrameBuffer out;
  ASSERT_TRUE(receive(server, flood, at(24h), out));
  EXPECT_EQ(views(out).size(), std::size_t{AditExtension::kPingBurst});
}

}  // namespace
}  // namespace adit::session
