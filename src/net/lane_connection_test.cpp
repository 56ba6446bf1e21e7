// A session over two real loopback sockets: in place of iroh's streams, which take the same seam.
#include "net/lane_connection.h"

#include <condition_variable>
#include <future>
#include <mutex>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/shard_testing.h"
#include "net/tcp.h"
#include "session/lane_order.h"
#include "wire/messages.h"

namespace adit::net {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

struct StreamPair {
  std::unique_ptr<ByteStream> here;
  std::unique_ptr<ByteStream> there;
};

wire::SubmitSharesStandard share(std::uint32_t sequence_number) {
  return {.channel_id = 2, .sequence_number = sequence_number, .job_id = 1, .nonce = 0, .ntime = 0, .version = 0};
}
wire::SetNewPrevHash tip(std::uint32_t job_id) {
  return {.channel_id = 1, .job_id = job_id, .prev_hash = {}, .min_ntime = 0, .nbits = 0};
}
wire::CloseChannel close_channel(std::uint32_t id) { return {.channel_id = id, .reason_code = std::string_view("done")}; }

template <class... M>
wire::FrameBuffer frames_of(const M&... messages) {
  wire::FrameBuffer frames;
  (frames.push(messages), ...);
  return frames;
}

/// Both ends on one shard; everything that touches them runs there.
class LaneConnectionTest : public testing::Test {
 protected:
  LaneConnectionTest() {
    shards_.start();
    listener_ = std::move(*TcpListener::bind(shard(), {"127.0.0.1", 0}));
    listener_->start(shards_, [this](Shard&, std::unique_ptr<ByteStream> stream) { accepted_.push_back(std::move(stream)); });
  }
  ~LaneConnectionTest() override {
    listener_->stop();
    (void)on(shard(), [this]() -> asio::awaitable<bool> {
      client_.reset();
      server_.reset();
      raw_control_.reset();
      raw_second_.reset();
      accepted_.clear();
      co_return true;
    });
    shards_.stop(5s);
  }

  Shard& shard() { return shards_[0]; }

  asio::awaitable<StreamPair> connect() {
    auto dialled = co_await dial_tcp(shard(), {"127.0.0.1", listener_->port()}, 5s);
    while (accepted_.empty()) co_await sleep_for(1ms);
    StreamPair pair{std::move(*dialled), std::move(accepted_.front())};
    accepted_.clear();
    co_return pair;
  }

  /// A client over lanes, or (raw) two streams, and the server's connection.
  asio::awaitable<void> open(bool raw, LaneOptions options = {}) {
    auto control = co_await connect();
    auto second = co_await connect();
    if (raw) {
      raw_control_ = std::move(control.here);
      raw_second_ = std::move(second.here);
    } else {
      client_ = std::make_unique<LaneConnection>(shard(), std::move(control.here), std::move(second.here),
                                                 wire::Protocol::kMining, options);
    }
    server_ = std::make_unique<LaneConnection>(shard(), std::move(control.there), std::move(second.there),
                                               wire::Protocol::kMining, options);
  }

  static void write(ByteStream& stream, const wire::FrameBuffer& frames) {
    ASSERT_EQ(stream.try_write(frames.bytes()).value_or(0), frames.size_bytes());
  }

  /// Frames that `from` receives, as text, until there are `count` or it ends (then the error's name).
  static asio::awaitable<std::vector<std::string>> gather(NetworkConnection& from, std::size_t count) {
    std::vector<std::string> texts;
    while (texts.size() < count) {
      const auto batch = co_await from.receive();
      if (!batch) {
        texts.emplace_back(batch.error().name());
        last_error_ = batch.error().message();
        break;
      }
      for (const auto& frame : *batch) texts.emplace_back(wire::message_name(frame.header));
    }
    co_return texts;
  }

  Shards shards_{1};
  std::unique_ptr<TcpListener> listener_;
  std::vector<std::unique_ptr<ByteStream>> accepted_;
  std::unique_ptr<ByteStream> raw_control_;
  std::unique_ptr<ByteStream> raw_second_;
  std::unique_ptr<LaneConnection> client_;
  std::unique_ptr<LaneConnection> server_;
  static inline std::string last_error_;
};

TEST_F(LaneConnectionTest, CarriesASessionBothWaysAndSaysThatItHasTwoLanes) {
  const auto got = on(shard(), [this]() -> asio::awaitable<std::vector<std::string>> {
    co_await open(false);
    EXPECT_EQ(server_->metadata().lanes, 2u);
    client_->send(frames_of(share(1), share(2), close_channel(2), share(3)));
    auto there = co_await gather(*server_, 4);
    server_->send(frames_of(tip(1), wire::SubmitSharesSuccess{.channel_id = 2}));
    for (auto& name : co_await gather(*client_, 2)) there.push_back(std::move(name));
    co_return there;
  });
  EXPECT_THAT(got, ElementsAre("SubmitSharesStandard", "SubmitSharesStandard", "CloseChannel", "SubmitSharesStandard",
                               "SetNewPrevHash", "SubmitShares.Success"));
}

TEST_F(LaneConnectionTest, ATipIsReceivedWhileTheOtherLaneIsFullAndUnread) {
  const auto got = on(shard(), [this]() -> asio::awaitable<std::vector<std::string>> {
    co_await open(true, {.max_queued_bytes = 64u << 20});
    // The client reads control only; the server fills the other lane until the socket takes no more.
    wire::FrameBuffer many;
    for (std::uint32_t i = 0; i < 100'000; ++i) many.push(wire::SubmitSharesSuccess{.channel_id = i});
    for (int i = 0; i < 4; ++i) server_->send(many);
    EXPECT_GT(server_->queued_bytes(), 0u);
    server_->send(frames_of(tip(7)));
    std::array<std::uint8_t, 256> buffer;
    std::size_t got_bytes = 0;
    while (true) {
      const auto got = raw_control_->try_read(buffer);
      if (got) got_bytes += *got;
      if (got_bytes >= frames_of(tip(7)).size_bytes()) break;
      (void)co_await raw_control_->wait_readable();
    }
    co_return std::vector<std::string>{wire::to_string(wire::FrameView{
        wire::decode_header(buffer.data()), Bytes(buffer).subspan(wire::kHeaderSize, got_bytes - wire::kHeaderSize)})};
  });
  EXPECT_THAT(got, ElementsAre(HasSubstr("SetNewPrevHash{channel_id=1, job_id=7")));
}

TEST_F(LaneConnectionTest, WhatBothLanesKeepWaitingCountsForItsSourceWhichMayEndTheSession) {
  Backlog backlog({.per_source = 8u << 20, .in_all = 64u << 20});
  const auto got = on(shard(), [this, &backlog]() -> asio::awaitable<std::vector<std::string>> {
    co_await open(true, {.max_queued_bytes = 64u << 20});
    wire::FrameBuffer many;
    for (std::uint32_t i = 0; i < 40'000; ++i) many.push(wire::SubmitSharesSuccess{.channel_id = i});  // 1 MB
    while (server_->queued_bytes() == 0) server_->send(many);
    server_->count_in(backlog, "192.0.2.1");
    EXPECT_EQ(backlog.counts().bytes, server_->queued_bytes()) << "what waits already, too";
    server_->send(many);
    EXPECT_EQ(backlog.counts().bytes, server_->queued_bytes());
    std::vector<std::uint8_t> buffer(1 << 20);
    const auto before = server_->queued_bytes();
    while (server_->queued_bytes() == before) {
      if (!raw_second_->try_read(buffer)) (void)co_await raw_second_->wait_readable();
      co_await sleep_for(1ms);
    }
    EXPECT_EQ(backlog.counts().bytes, server_->queued_bytes()) << "what the peer has taken meanwhile, too";
    for (int i = 0; i < 20 && backlog.counts().cut == 0; ++i) server_->send(many);
    EXPECT_EQ(backlog.counts().cut, 1u);
    co_return co_await gather(*server_, 1);
  });
  EXPECT_THAT(got, ElementsAre("slow_reader"));
  EXPECT_THAT(last_error_, HasSubstr("all that waits for one source may be 8388608"));
  EXPECT_EQ(backlog.counts().bytes, 0u);
  EXPECT_EQ(backlog.counts().sources, 0u);
}

TEST_F(LaneConnectionTest, SharesThatComeBeforeTheControlTheyFollowWait) {
  const auto got = on(shard(), [this]() -> asio::awaitable<std::vector<std::string>> {
    co_await open(true);
    write(*raw_second_, frames_of(wire::ControlMark{.control_frames = 2}, share(1), share(2),
                                  wire::ControlMark{.control_frames = 3}, share(3)));
    co_await sleep_for(20ms);
    write(*raw_control_, frames_of(tip(1)));
    auto names = co_await gather(*server_, 1);
    write(*raw_control_, frames_of(tip(2)));
    for (auto& name : co_await gather(*server_, 3)) names.push_back(std::move(name));
    write(*raw_control_, frames_of(tip(3)));
    for (auto& name : co_await gather(*server_, 2)) names.push_back(std::move(name));
    co_return names;
  });
  EXPECT_THAT(got, ElementsAre("SetNewPrevHash", "SetNewPrevHash", "SubmitSharesStandard", "SubmitSharesStandard",
                               "SetNewPrevHash", "SubmitSharesStandard"));
}

TEST_F(LaneConnectionTest, FramesOfAnySizeArriveInWhateverPiecesTheyCome) {
  const auto got = on(shard(), [this]() -> asio::awaitable<std::vector<std::string>> {
    co_await open(true);
    wire::FrameBuffer frames;
    const std::vector<std::uint8_t> large(200'000, 9);
    frames.push(tip(1));
    frames.push_raw({.extension_type = 0x2222, .message_type = 5}, large);
    frames.push(tip(2));
    shard().spawn([](ByteStream& to, std::vector<std::uint8_t> bytes) -> asio::awaitable<void> {
      std::size_t at = 0;
      std::size_t piece = 1;
      while (at < bytes.size()) {
        const auto taken = to.try_write(Bytes(bytes).subspan(at, std::min(piece, bytes.size() - at)));
        if (taken) at += *taken;
        piece = piece * 3 % 50'021 + 1;
        if (at < 40 || !taken) co_await sleep_for(1ms);
      }
    }(*raw_control_, {frames.bytes().begin(), frames.bytes().end()}));
    co_return co_await gather(*server_, 3);
  });
  EXPECT_THAT(got, ElementsAre("SetNewPrevHash", "unknown", "SetNewPrevHash"));
}

TEST_F(LaneConnectionTest, GarbageOnEitherLaneEndsTheSessionWithAReason) {
  for (const bool on_control : {true, false}) {
    const auto got = on(shard(), [this, on_control]() -> asio::awaitable<std::vector<std::string>> {
      co_await open(true);
      // A share on control; control on the other lane.
      if (on_control) {
        write(*raw_control_, frames_of(share(1)));
      } else {
        write(*raw_second_, frames_of(tip(1)));
      }
      co_return co_await gather(*server_, 1);
    });
    EXPECT_THAT(got, ElementsAre("protocol"));
    EXPECT_THAT(last_error_, HasSubstr("is not for this lane"));
  }
}

TEST_F(LaneConnectionTest, OneLaneEndedAloneEndsTheSessionAfterTheTimeAllowed) {
  for (const bool control : {true, false}) {
    const auto got = on(shard(), [this, control]() -> asio::awaitable<std::vector<std::string>> {
      co_await open(true, {.half_ended_deadline = 50ms});
      write(*raw_second_, frames_of(share(1)));
      auto names = co_await gather(*server_, 1);
      (control ? raw_control_ : raw_second_)->finish();
      for (auto& name : co_await gather(*server_, 1)) names.push_back(std::move(name));
      co_return names;
    });
    EXPECT_THAT(got, ElementsAre("SubmitSharesStandard", "timed_out"));
    EXPECT_THAT(last_error_, HasSubstr("one lane of two"));
  }
}

TEST_F(LaneConnectionTest, AFinishedSessionHandsOverEverythingOfBothLanesFirst) {
  const auto got = on(shard(), [this]() -> asio::awaitable<std::vector<std::string>> {
    co_await open(true);
    raw_control_->finish();
    co_await sleep_for(10ms);
    write(*raw_second_, frames_of(share(1), share(2)));
    raw_second_->finish();
    co_return co_await gather(*server_, 3);
  });
  EXPECT_THAT(got, ElementsAre("SubmitSharesStandard", "SubmitSharesStandard", "end_of_stream"));
}

TEST_F(LaneConnectionTest, ControlThatEndsBeforeWhatTheOtherLaneWaitsForIsAProtocolError) {
  const auto got = on(shard(), [this]() -> asio::awaitable<std::vector<std::string>> {
    co_await open(true);
    write(*raw_second_, frames_of(wire::ControlMark{.control_frames = 1}, share(1)));
    raw_control_->finish();
    co_return co_await gather(*server_, 1);
  });
  EXPECT_THAT(got, ElementsAre("protocol"));
}

TEST_F(LaneConnectionTest, DrainDeliversWhatWasSentAndEndsBothSides) {
  const auto got = on(shard(), [this]() -> asio::awaitable<std::vector<std::string>> {
    co_await open(false);
    client_->send(frames_of(share(1), close_channel(2)));
    bool drained = false;
    shard().spawn([](LaneConnection& client, bool& done) -> asio::awaitable<void> {
      co_await client.drain(5s);
      done = true;
    }(*client_, drained));
    auto names = co_await gather(*server_, 3);
    co_await server_->drain(5s);
    while (!drained) co_await sleep_for(1ms);
    co_return names;
  });
  EXPECT_THAT(got, ElementsAre("SubmitSharesStandard", "CloseChannel", "end_of_stream"));
}

TEST_F(LaneConnectionTest, APeerThatReadsNothingIsCutOffAtTheBoundOfBothLanesTogether) {
  const auto got = on(shard(), [this]() -> asio::awaitable<std::vector<std::string>> {
    co_await open(true, {.max_queued_bytes = 100'000});
    wire::FrameBuffer many;
    for (std::uint32_t i = 0; i < 2000; ++i) many.push(wire::SubmitSharesSuccess{.channel_id = i});
    for (int i = 0; i < 1000 && server_->queued_bytes() < 90'000; ++i) server_->send(many);
    for (int i = 0; i < 1000; ++i) server_->send(many);
    co_return co_await gather(*server_, 1);
  });
  EXPECT_THAT(got, ElementsAre("slow_reader"));
}

}  // namespace
}  // namespace adit::net
