// Peers that mean harm to lanes, each with a healthy session beside it.
#include <functional>
#include <future>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/iroh/lanes.h"
#include "net/iroh/lanes_testing.h"
#include "net/iroh/runtime.h"

namespace adit::net {
namespace {

using namespace test;
using testing::AnyOf;
using testing::HasSubstr;

/// An endpoint on the bridge itself, which does what no dialler of ours does. Blocks; not on a shard.
class RawPeer {
 public:
  explicit RawPeer(const IrohConfig& to, std::uint8_t key = 9) {
    adit_handle handle = 0;
    EXPECT_EQ(adit_loop_create(4096, &handle), ADIT_OK);
    loop_ = BridgeHandle(handle);
    std::array<std::uint8_t, 32> secret{};
    secret.fill(key);
    const auto bind = bridge_view("127.0.0.1:0");
    adit_endpoint_config config{};
    config.secret_key = secret.data();
    config.bind_addrs = &bind;
    config.bind_addr_count = 1;
    config.stream_window = config.receive_window = config.send_window = 1 << 20;
    config.idle_timeout_ms = 30'000;
    config.keep_alive_ms = 5'000;
    EXPECT_EQ(adit_endpoint_bind(loop_.get(), &config, 10'000, &handle), ADIT_OK);
    endpoint_ = BridgeHandle(handle);
    EXPECT_EQ(done(handle), ADIT_OK);

    std::array<std::uint8_t, 32> id{};
    EXPECT_TRUE(from_hex(to.endpoint_id, id));
    const auto addr = bridge_view(to.addrs.front()), alpn = bridge_view(session::kAlpnLanes);
    adit_dial target{};
    target.endpoint_id = id.data();
    target.addrs = &addr;
    target.addr_count = 1;
    target.alpns = &alpn;
    target.alpn_count = 1;
    EXPECT_EQ(adit_connect(endpoint_.get(), loop_.get(), &target, 10'000, &handle), ADIT_OK);
    connection_ = BridgeHandle(handle);
    EXPECT_EQ(done(handle), ADIT_OK);
  }

  ~RawPeer() {
    (void)adit_endpoint_close(endpoint_.get(), 1000);
    (void)wait_for_event(loop_.get(), endpoint_.get(), ADIT_READY_CLOSED, 2000);
  }
  RawPeer(const RawPeer&) = delete;
  RawPeer& operator=(const RawPeer&) = delete;

  /// A stream that begins with `bytes`.
  adit_handle stream(Bytes bytes) {
    adit_handle handle = 0;
    EXPECT_EQ(adit_stream_open(connection_.get(), 10'000, &handle), ADIT_OK);
    if (done(handle) == ADIT_OK) write(handle, bytes);  // else the connection is closed already
    return handle;
  }
  adit_handle lane(session::Lane lane, std::uint64_t session) {
    return stream(session::LanePreface{.lane = lane, .protocol = wire::Protocol::kMining, .session_id = session}.encode());
  }

  void write(adit_handle stream, Bytes bytes) {
    std::uint64_t code = 0;
    while (!bytes.empty()) {
      const auto taken = adit_stream_write(stream, bytes.data(), bytes.size(), &code);
      if (taken == ADIT_AGAIN) {
        std::this_thread::sleep_for(1ms);
      } else if (taken < 0) {
        return;
      } else {
        bytes = bytes.subspan(static_cast<std::size_t>(taken));
      }
    }
  }

  /// How the peer's sending on `stream` ends: its reset code; 0 if it finished, -1 if the connection went.
  std::int64_t end_of(adit_handle stream) {
    std::array<std::uint8_t, 4096> buffer;
    std::uint64_t code = 0;
    std::int64_t got = 0;
    EXPECT_TRUE(eventually([&] {
      while ((got = adit_stream_read(stream, buffer.data(), buffer.size(), &code)) > 0) {
      }
      return got != ADIT_AGAIN;
    }));
    return got == ADIT_RESET ? static_cast<std::int64_t>(code) : got == ADIT_FIN ? 0 : -1;
  }

  /// The code by which the peer closed the connection.
  std::uint64_t closed() {
    adit_close_reason reason{};
    EXPECT_TRUE(eventually([&] { return adit_connection_close_reason(connection_.get(), &reason) == ADIT_OK; }));
    EXPECT_EQ(reason.kind, ADIT_CLOSE_BY_PEER);
    return reason.code;
  }
  [[nodiscard]] bool open() const {
    adit_close_reason reason;
    return adit_connection_close_reason(connection_.get(), &reason) == ADIT_AGAIN;
  }

  /// A share there and back.
  bool exchange(adit_handle data) {
    const auto frames = frames_of(share(1));
    write(data, frames.bytes());
    std::size_t got = 0;
    std::array<std::uint8_t, 256> buffer;
    std::uint64_t code = 0;
    return eventually([&] {
      const auto more = adit_stream_read(data, buffer.data(), buffer.size(), &code);
      if (more > 0) got += static_cast<std::size_t>(more);
      return got >= frames.size_bytes();
    });
  }

  std::int32_t done(adit_handle handle) { return wait_for_event(loop_.get(), handle, ADIT_READY_DONE, 20'000); }

 private:
  BridgeHandle loop_;
  BridgeHandle endpoint_;
  BridgeHandle connection_;
};

TEST_F(IrohLanes, WhoBreaksTheRulesOfPrefacesLosesTheConnectionAndNobodyElse) {
  listen();
  const auto healthy = begin(upstream());
  ASSERT_TRUE(healthy) << healthy.error().message();
  const auto preface = [](std::uint8_t version, std::uint8_t lane, std::uint8_t protocol, std::uint8_t zero,
                          std::uint8_t number) {
    return std::vector<std::uint8_t>{version, lane, protocol, zero, number, 0, 0, 0, 0, 0, 0, 0};
  };
  const auto kControl = preface(1, 1, 0, 0, 1), kData = preface(1, 2, 0, 0, 1);
  struct Case {
    const char* what;
    std::vector<std::vector<std::uint8_t>> streams;
    std::uint64_t code;
  };
  std::vector<Case> cases{{"another version", {preface(2, 1, 0, 0, 1)}, 3},
                          {"no such lane", {preface(1, 9, 0, 0, 1)}, 3},
                          {"bulk in a mining session", {preface(1, 3, 0, 0, 1)}, 3},
                          {"a fourth byte", {preface(1, 1, 0, 1, 1)}, 3},
                          {"a lane twice", {kControl, kControl}, 3},
                          {"two protocols", {kControl, preface(1, 3, 1, 0, 1)}, 3},
                          {"a number used before", {kControl, kData, kControl}, 3},
                          {"number 0", {preface(1, 1, 0, 0, 0)}, 3},
                          {"a number far ahead", {preface(1, 1, 0, 0, 200)}, 3},
                          {"sessions without end", {}, 4}};
  for (std::uint8_t i = 1; i <= session::LaneSessions::kMaxSessions + 1; ++i)
    cases.back().streams.push_back(preface(1, 1, 0, 0, i));
  for (const auto& each : cases) {
    RawPeer peer(address_of(*server_));
    for (const auto& bytes : each.streams) (void)peer.stream(bytes);
    EXPECT_EQ(peer.closed(), each.code) << each.what;
    EXPECT_EQ(try_out(**healthy), "") << each.what;
    if (&each == &cases[4]) EXPECT_EQ(newcomer_is_served(), "");
  }
}

// HTTP/2's rapid reset: a stream that is reset is given back, so that the bound of streams alone stops nobody.
TEST_F(IrohLanes, StreamsThatComeToNothingAreChargedToTheirSourceUntilTheirConnectionEnds) {
  admission_ = Admission({.source_costs = {.amount = 60, .period = std::chrono::hours(1)}});
  listen();
  const auto healthy = begin(upstream());
  ASSERT_TRUE(healthy) << healthy.error().message();
  RawPeer peer(address_of(*server_));
  (void)peer.lane(session::Lane::kControl, 1);
  const auto data = peer.lane(session::Lane::kData, 1);
  ASSERT_TRUE(peer.exchange(data)) << "a session, as long as which its connection lives";
  const std::array<std::uint8_t, 6> half_a_preface{1, 1, 0, 0, 2, 0};
  int reset = 0;
  for (; reset < 500 && peer.open(); ++reset) {
    if (reset == 10) EXPECT_EQ(newcomer_is_served(), "");
    (void)adit_stream_reset(peer.stream(half_a_preface), 3);
  }
  EXPECT_EQ(peer.closed(), 4u);
  EXPECT_GT(reset, 40);
  EXPECT_LT(reset, 500);
  EXPECT_EQ(try_out(**healthy), "");
}

TEST_F(IrohLanes, WhoeverStopsBeforeItsSessionIsThereIsSentAwayInTime) {
  server_.reset();
  auto config = loopback(1);
  config.accept_deadline = 5s;
  server_ = node(std::move(config));
  listen();
  const auto healthy = begin(upstream());
  ASSERT_TRUE(healthy) << healthy.error().message();
  RawPeer silent(address_of(*server_), 9), slow(address_of(*server_), 10);
  (void)slow.lane(session::Lane::kControl, 1);
  const auto data = slow.lane(session::Lane::kData, 1);
  ASSERT_TRUE(slow.exchange(data));
  const auto preface =
      session::LanePreface{.lane = session::Lane::kControl, .protocol = wire::Protocol::kMining, .session_id = 2}.encode();
  EXPECT_EQ(slow.end_of(slow.stream(Bytes(preface).first(6))), 3) << "half a preface";
  EXPECT_TRUE(slow.exchange(data)) << "the session beside it, on the same connection";
  EXPECT_EQ(newcomer_is_served(), "");
  EXPECT_EQ(silent.closed(), 1u) << "a connection without a session";
  EXPECT_EQ(try_out(**healthy), "");
  EXPECT_TRUE(eventually([this] { return admission_.counts().connections == 2; })) << "its place is given back";
}

TEST_F(IrohLanes, AnErrorOfOneSessionEndsThatAlone) {
  listen();
  RawPeer peer(address_of(*server_));
  std::uint64_t session = 0;
  const auto begun = [&] {
    ++session;
    return std::pair{peer.lane(session::Lane::kControl, session), peer.lane(session::Lane::kData, session)};
  };
  const auto [healthy_control, healthy_data] = begun();
  ASSERT_TRUE(peer.exchange(healthy_data));
  (void)healthy_control;

  const std::vector<std::uint8_t> garbage(64, 0xff);
  struct Case {
    const char* what;
    std::function<void(adit_handle control, adit_handle data)> harm;
  };
  const std::vector<Case> cases{
      {"garbage on control", [&](adit_handle control, adit_handle) { peer.write(control, garbage); }},
      {"garbage on data", [&](adit_handle, adit_handle data) { peer.write(data, garbage); }},
      {"a share on control", [&](adit_handle control, adit_handle) { peer.write(control, frames_of(share(1)).bytes()); }},
      {"control on data", [&](adit_handle, adit_handle data) { peer.write(data, frames_of(command(kTip)).bytes()); }},
      {"a mark of the other lane",
       [&](adit_handle control, adit_handle) {
         peer.write(control, frames_of(wire::ControlMark{.control_frames = 1}).bytes());
       }},
      {"a forged ControlMark",
       [&](adit_handle, adit_handle data) {
         peer.write(data, frames_of(wire::ControlMark{.control_frames = UINT64_MAX}, share(1)).bytes());
       }},
      {"a forged DataMark",
       [&](adit_handle control, adit_handle) {
         peer.write(control, frames_of(wire::DataMark{.data_frames = UINT64_MAX},
                                       wire::CloseChannel{.channel_id = 1, .reason_code = std::string_view("x")})
                                 .bytes());
       }},
      {"one lane of two finished", [&](adit_handle control, adit_handle) { (void)adit_stream_finish(control); }},
      {"one lane of two reset", [&](adit_handle, adit_handle data) { (void)adit_stream_reset(data, 3); }}};
  std::vector<std::pair<adit_handle, adit_handle>> lanes;
  for (const auto& each : cases) {
    lanes.push_back(begun());
    each.harm(lanes.back().first, lanes.back().second);
  }
  const auto lonely = peer.lane(session::Lane::kControl, ++session);  // its other lane never comes
  EXPECT_EQ(newcomer_is_served(), "");
  for (std::size_t i = 0; i < cases.size(); ++i) {
    // Whoever resets a lane himself is answered by an end of either kind: the reset may outrun the preface.
    const bool own = i + 1 == cases.size();
    for (const auto lane : {lanes[i].first, lanes[i].second})
      EXPECT_THAT(peer.end_of(lane), AnyOf(3, own ? 0 : 3)) << cases[i].what;
  }
  EXPECT_EQ(peer.end_of(lonely), 3);
  EXPECT_TRUE(peer.open());
  EXPECT_TRUE(peer.exchange(healthy_data)) << "the session beside them, on the same connection";
}

/// A listener that shows `shown`, whatever the truth is, and reports what the dialler sends after its prefaces and its end.
asio::awaitable<void> show(Shard& shard, Link given, noise::EndpointCertificate shown, std::promise<std::string>& heard) {
  auto link = std::move(given);
  (void)shard;
  const auto frames = frames_of(wire::EndpointCertificate{.version = shown.version,
                                                          .valid_from = shown.valid_from,
                                                          .not_valid_after = shown.not_valid_after,
                                                          .signature = shown.signature});
  (void)co_await write_all(*link.stream, frames.bytes());
  auto said = co_await read_some(*link.second);
  heard.set_value(said ? "it said " + *said : said.error().message());
}

TEST_F(IrohLanes, ACertificateThatDoesNotHoldIsRefusedAndNothingIsSaidToWhoShowsIt) {
  auto good_client = node(loopback(5));
  const auto id = id_of(*server_);
  auto other_id = id;
  other_id[0] ^= 1;
  const auto now = now_from_system().unix_time;
  const auto sign = [](const noise::AuthorityKeyPair& by, const std::array<std::uint8_t, 32>& whom, std::uint8_t protocol,
                       UnixTime from, UnixTime until) {
    return noise::EndpointCertificate::sign(by, whom, protocol, from, until, noise::system_random());
  };
  struct Case {
    noise::EndpointCertificate shown;
    std::string error;
  };
  const std::vector<Case> cases{{sign(authority(), other_id, 0, now - 60s, now + 600s), "not signed by the authority"},
                                {sign(authority(), id, 1, now - 60s, now + 600s), "not signed by the authority"},
                                {sign(authority(8), id, 0, now - 60s, now + 600s), "not signed by the authority"},
                                {sign(authority(), id, 0, now - 600s, now - 60s), "expired"},
                                {sign(authority(), id, 0, now + 60s, now + 600s), "becomes valid in"},
                                {sign(authority(), id, 0, now - 60s, now + 7200s), "longer than 3600 seconds"}};
  std::atomic<const Case*> current{nullptr};
  std::promise<std::string> heard;
  ASSERT_TRUE(server_->listen({session::kAlpnLanes}, admission_, [&](Shard& shard, Link link, IrohCarrier::Place place) {
    if (const auto* lie = current.load())
      shard.spawn(show(shard, std::move(link), lie->shown, heard));
    else
      shard.spawn(serve(shard, std::move(link), std::move(place), credentials_[shard.index()], filled_));
  }));
  const auto healthy = begin(upstream());
  ASSERT_TRUE(healthy) << healthy.error().message();
  for (const auto& each : cases) {
    heard = {};
    current = &each;
    const auto refused = begin(upstream());
    ASSERT_FALSE(refused);
    EXPECT_TRUE(refused.error().is(Errc::kHandshake)) << refused.error().message();
    EXPECT_THAT(refused.error().message(), HasSubstr(each.error));
    EXPECT_THAT(heard.get_future().get(), HasSubstr("(2, unauthorized)"));
    EXPECT_EQ(try_out(**healthy), "") << "the session beside it";
  }
  current = nullptr;
  EXPECT_EQ(newcomer_is_served(), "") << "with a client that never dialled, while the other one still remembers the lies";
}

}  // namespace
}  // namespace adit::net
