// Lanes over real iroh: sessions, pooling, who is there, and peers that mean harm, each with a healthy session beside it.
#include "net/iroh/lanes.h"

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/hex.h"
#include "net/dial.h"
#include "net/iroh/node_testing.h"
#include "net/iroh/runtime.h"
#include "net/iroh_connection.h"
#include "net/lanes/connection.h"
#include "net/session.h"
#include "wire/messages.h"

namespace adit::net {
namespace {

using namespace std::chrono_literals;
using namespace test;
using testing::AnyOf;
using testing::Each;
using testing::HasSubstr;

template <class Condition>
bool eventually(Condition condition) {
  for (const auto until = std::chrono::steady_clock::now() + kPatience; std::chrono::steady_clock::now() < until;) {
    if (condition()) return true;
    std::this_thread::sleep_for(5ms);
  }
  return false;
}

noise::AuthorityKeyPair authority(std::uint8_t key = 7) {
  std::array<std::uint8_t, 32> bytes{};
  bytes.fill(key);
  return std::move(*noise::AuthorityKeyPair::from_secret(noise::Secret(bytes)));
}

std::array<std::uint8_t, 32> id_of(const IrohNodeManager& node) {
  std::array<std::uint8_t, 32> id{};
  EXPECT_TRUE(from_hex(node.endpoint_id(), id));
  return id;
}

template <class... M>
wire::FrameBuffer frames_of(const M&... messages) {
  wire::FrameBuffer frames;
  (frames.push(messages), ...);
  return frames;
}

wire::SubmitSharesStandard share(std::uint32_t sequence_number) {
  return {.channel_id = 2, .sequence_number = sequence_number, .job_id = 1, .nonce = 0, .ntime = 0, .version = 0};
}

/// What the server of these tests is asked to do, by UpdateChannel's channel_id; anything else it echoes.
enum Command : std::uint32_t { kFillData = 1, kFillControl = 2, kTip = 3 };
wire::UpdateChannel command(Command what) { return {.channel_id = what, .nominal_hash_rate = 1, .maximum_target = {}}; }

asio::awaitable<void> obey(NetworkConnection& connection, std::uint32_t what) {
  const wire::SetNewPrevHash tip{.channel_id = 1, .job_id = 1, .prev_hash = {}, .min_ntime = 0, .nbits = 0};
  if (what == kTip) co_return connection.send(frames_of(tip));
  const wire::SubmitSharesSuccess answer{
      .channel_id = 1, .last_sequence_number = 0, .new_submits_accepted_count = 0, .new_shares_sum = 0};
  wire::FrameBuffer much;
  for (int i = 0; i < 200; ++i) {
    if (what == kFillData) much.push(answer);
    if (what == kFillControl) much.push(tip);
  }
  while (connection.queued_bytes() == 0) {  // until the carrier takes no more
    connection.send(much);
    co_await sleep_for(1ms);
  }
}

asio::awaitable<void> serve(Shard& shard, Link given, IrohCarrier::Place, Credentials& credentials) {
  auto link = std::move(given);
  const auto connection = co_await accept_session(shard, link, credentials, {.max_payload = 128 * 1024});
  if (!connection) co_return;
  for (;;) {
    const auto batch = co_await (*connection)->receive();
    if (!batch) co_return;
    wire::FrameBuffer out;
    std::vector<std::uint32_t> commands;
    for (const auto& frame : *batch) {
      if (const auto update = frame.as<wire::UpdateChannel>())
        commands.push_back(update->channel_id);
      else
        (void)out.push_raw(frame.header, frame.payload);
    }
    (*connection)->send(out);
    for (const auto each : commands) co_await obey(**connection, each);
  }
}

/// Sends a share and reads its echo; "" or what went wrong.
asio::awaitable<std::string> exchange(NetworkConnection& connection, std::uint32_t number) {
  connection.send(frames_of(share(number)));
  const auto batch = co_await connection.receive();
  if (!batch) co_return std::string(batch.error().message());
  const auto echoed = batch->front().as<wire::SubmitSharesStandard>();
  co_return echoed && echoed->sequence_number == number ? "" : "another frame came back";
}

/// An endpoint on the bridge itself, which does what no dialler of ours does. Blocks; not on a shard.
class RawPeer {
 public:
  explicit RawPeer(const IrohConfig& to) {
    adit_handle handle = 0;
    EXPECT_EQ(adit_loop_create(4096, &handle), ADIT_OK);
    loop_ = BridgeHandle(handle);
    std::array<std::uint8_t, 32> secret{};
    secret.fill(9);
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
    const auto addr = bridge_view(to.addrs.front()), alpn = bridge_view(kAlpnLanes);
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
  adit_handle lane(Lane lane, std::uint64_t session) {
    return stream(LanePreface{.lane = lane, .protocol = LaneProtocol::kMining, .session_id = session}.encode());
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

class IrohLanes : public IrohNodes {
 protected:
  /// The dialler's shard.
  Shard& home() { return shards_[0]; }
  template <class Task>
  auto on_client(const Task& task) {
    return run_on(home(), task());  // the task lives as long as what it began
  }

  void SetUp() override {
    IrohNodes::SetUp();
    server_ = node(loopback(1));
    client_ = node(loopback(2));
    for (unsigned i = 0; i < 2; ++i) {
      credentials_.push_back({.noise = noise::CertificateSource(authority(), 3600s, noise::system_random())});
      credentials_.back().endpoint.emplace(authority(), id_of(*server_), 0, 3600s, noise::system_random());
    }
  }
  void TearDown() override {
    on_client([this]() -> asio::awaitable<int> {
      kept_.clear();
      links_.clear();
      co_return 0;
    });
    client_.reset();
    server_.reset();
    IrohNodes::TearDown();
  }

  void listen(std::vector<std::string> alpns = {kAlpnLanes, kAlpnMining}) {
    ASSERT_TRUE(server_->listen(std::move(alpns), admission_, [this](Shard& shard, Link link, IrohCarrier::Place place) {
      shard.spawn(serve(shard, std::move(link), std::move(place), credentials_[shard.index()]));
    }));
  }

  [[nodiscard]] Upstream upstream(std::string alpn = {}) const {
    auto to = address_of(*server_);
    to.alpn = std::move(alpn);
    return {.transport = to, .authority = authority().public_key()};
  }

  /// A session that lasts until the test ends.
  Result<NetworkConnection*> begin(Upstream to) {
    return on_client([this, to]() -> asio::awaitable<Result<NetworkConnection*>> {
      ADIT_CO_TRY(auto connection, co_await dial(home(), to, {.connect_deadline = 10s, .iroh = client_.get()}));
      kept_.push_back(std::move(connection));
      co_return kept_.back().get();
    });
  }
  std::string try_out(NetworkConnection& connection, std::uint32_t number = 1) {
    return on_client([&connection, number]() -> asio::awaitable<std::string> { return exchange(connection, number); });
  }

  Admission admission_{AdmissionLimits{}};
  std::vector<Credentials> credentials_;  // by shard
  std::unique_ptr<IrohNodeManager> server_;
  std::unique_ptr<IrohNodeManager> client_;
  std::vector<std::unique_ptr<NetworkConnection>> kept_;
  std::vector<Link> links_;
};

TEST_F(IrohLanes, AreChosenWhereBothSidesHaveThemAndTheMetadataSaysSo) {
  listen();
  const auto lanes = begin(upstream());
  ASSERT_TRUE(lanes) << lanes.error().message();
  EXPECT_EQ(try_out(**lanes), "");
  const auto metadata = on_client([&]() -> asio::awaitable<ConnectionMetadata> { co_return (*lanes)->metadata(); });
  EXPECT_EQ(metadata.alpn, kAlpnLanes);
  EXPECT_EQ(metadata.lanes, 2u);
  EXPECT_EQ(metadata.sessions, 1u);
  EXPECT_EQ(metadata.authority_key, noise::to_text(authority().public_key()));
  EXPECT_TRUE(metadata.certificate_until);

  const auto single = begin(upstream(kAlpnMining));
  ASSERT_TRUE(single) << single.error().message();
  EXPECT_EQ(try_out(**single), "");
  const auto other = on_client([&]() -> asio::awaitable<ConnectionMetadata> { co_return (*single)->metadata(); });
  EXPECT_EQ(other.alpn, kAlpnMining);
  EXPECT_EQ(other.lanes, 1u);
}

TEST_F(IrohLanes, APeerWithOneStreamIsServedByOne) {
  listen({kAlpnMining});
  for (int i = 0; i < 2; ++i) {
    const auto session = begin(upstream());
    ASSERT_TRUE(session) << session.error().message();
    EXPECT_EQ(try_out(**session), "");
    const auto metadata = on_client([&]() -> asio::awaitable<ConnectionMetadata> { co_return (*session)->metadata(); });
    EXPECT_EQ(metadata.alpn, kAlpnMining);
    EXPECT_EQ(metadata.sessions, 1u);
  }
}

TEST_F(IrohLanes, TwoDialsAtOnceAndALaterOneShareOneConnection) {
  listen();
  std::vector<std::future<Result<Link>>> dials;
  std::vector<std::promise<Result<Link>>> promises(2);
  for (auto& promise : promises) {
    dials.push_back(promise.get_future());
    home().post([&] {
      home().spawn(
          [](IrohNodeManager& from, Shard& shard, IrohConfig to, std::promise<Result<Link>>& done) -> asio::awaitable<void> {
            done.set_value(co_await from.dial(shard, to, 10s));
          }(*client_, home(), address_of(*server_), promise));
    });
  }
  for (auto& each : dials) {
    auto link = each.get();
    ASSERT_TRUE(link) << link.error().message();
    links_.push_back(std::move(*link));
  }
  auto third = on_client(
      [this]() -> asio::awaitable<Result<Link>> { co_return co_await client_->dial(home(), address_of(*server_), 10s); });
  ASSERT_TRUE(third) << third.error().message();
  links_.push_back(std::move(*third));
  const auto sessions = on_client([this]() -> asio::awaitable<std::vector<unsigned>> {
    std::vector<unsigned> all;
    for (const auto& link : links_) all.push_back(link.stream->metadata().sessions);
    co_return all;
  });
  EXPECT_THAT(sessions, Each(3u));
  // The connection's place is shared by one session; each other has its own.
  EXPECT_TRUE(eventually([this] { return admission_.counts().connections == 3; }));
}

TEST_F(IrohLanes, AFailedDialFailsBothThatWaitForIt) {
  listen();
  auto to = address_of(*server_);
  to.endpoint_id = address_of(*node(loopback(3))).endpoint_id;  // somebody else answers there
  std::vector<std::promise<Result<Link>>> promises(2);
  std::vector<std::future<Result<Link>>> dials;
  for (auto& promise : promises) {
    dials.push_back(promise.get_future());
    home().post([&, to] {
      home().spawn(
          [](IrohNodeManager& from, Shard& shard, IrohConfig wrong, std::promise<Result<Link>>& done) -> asio::awaitable<void> {
            done.set_value(co_await from.dial(shard, wrong, 3s));
          }(*client_, home(), to, promise));
    });
  }
  for (auto& each : dials) EXPECT_FALSE(each.get());
  const auto good = begin(upstream());
  ASSERT_TRUE(good) << good.error().message();
  EXPECT_EQ(try_out(**good), "");
}

TEST_F(IrohLanes, AConnectionWithoutASessionIsKeptForALittleAndThenClosed) {
  auto config = loopback(4);
  config.idle_linger = 200ms;
  client_ = node(std::move(config));
  listen();
  ASSERT_TRUE(begin(upstream()));
  ASSERT_TRUE(begin(upstream()));
  EXPECT_TRUE(eventually([this] { return server_->counts().direct == 1; }));
  on_client([this]() -> asio::awaitable<int> {
    kept_.pop_back();
    co_return 0;
  });
  EXPECT_EQ(try_out(*kept_.front()), "");
  on_client([this]() -> asio::awaitable<int> {
    kept_.clear();
    co_return 0;
  });
  EXPECT_TRUE(eventually([this] { return server_->counts().direct == 0; }));
  EXPECT_TRUE(eventually([this] { return admission_.counts().connections == 0; }));
  const auto again = begin(upstream());
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(try_out(**again), "");
}

TEST_F(IrohLanes, MoreSessionsThanOneConnectionHoldsTakeAnother) {
  listen();
  for (std::size_t i = 0; i < kDialledSessions + 3; ++i) ASSERT_TRUE(begin(upstream()));
  for (const auto& connection : kept_) EXPECT_EQ(try_out(*connection), "");
  EXPECT_TRUE(eventually([this] { return server_->counts().direct == 2; }));
}

// docs/lanes.md §1: QUIC's windows of the connection are shared by all streams and know no priority.
TEST_F(IrohLanes, ATipArrivesWhileEveryOtherLaneOfTheConnectionIsUnreadAndFull) {
  listen();
  const auto healthy = begin(upstream());
  ASSERT_TRUE(healthy) << healthy.error().message();
  for (std::size_t i = 0; i + 1 < kDialledSessions; ++i) {
    auto link = on_client(
        [this]() -> asio::awaitable<Result<Link>> { co_return co_await client_->dial(home(), address_of(*server_), 10s); });
    ASSERT_TRUE(link) << link.error().message();
    links_.push_back(std::move(*link));
  }
  const auto outcome = on_client([&]() -> asio::awaitable<std::string> {
    if ((*healthy)->metadata().sessions != kDialledSessions) co_return "not one connection";
    for (auto& link : links_) {
      const auto orders = frames_of(command(kFillData), command(kFillControl));
      if (!co_await write_all(*link.stream, orders.bytes())) co_return "cannot ask";
    }
    // Each of their lanes has as much on its way as its window allows, and nobody reads it.
    for (auto& link : links_) {
      for (auto* lane : {link.stream.get(), link.second.get()}) {
        std::array<std::uint8_t, 1> one;
        while (!lane->try_read(one)) {
          if (!co_await lane->wait_readable()) co_return "it ended";
        }
      }
    }
    co_await sleep_for(500ms);  // so that they are full rather than filling; no assertion depends on it
    (*healthy)->send(frames_of(command(kTip)));
    const auto batch = co_await (*healthy)->receive();
    if (!batch) co_return std::string(batch.error().message());
    co_return batch->front().is<wire::SetNewPrevHash>() ? "" : "another frame";
  });
  EXPECT_EQ(outcome, "");
  EXPECT_EQ(try_out(**healthy), "");
}

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
  for (std::uint8_t i = 1; i <= LaneSessions::kMaxSessions + 1; ++i) cases.back().streams.push_back(preface(1, 1, 0, 0, i));
  for (const auto& each : cases) {
    RawPeer peer(address_of(*server_));
    for (const auto& bytes : each.streams) (void)peer.stream(bytes);
    EXPECT_EQ(peer.closed(), each.code) << each.what;
    EXPECT_EQ(try_out(**healthy), "") << each.what;
  }
}

TEST_F(IrohLanes, AnErrorOfOneSessionEndsThatAlone) {
  listen();
  RawPeer peer(address_of(*server_));
  std::uint64_t session = 0;
  const auto begun = [&] {
    ++session;
    return std::pair{peer.lane(Lane::kControl, session), peer.lane(Lane::kData, session)};
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
  const auto lonely = peer.lane(Lane::kControl, ++session);  // its other lane never comes
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

TEST_F(IrohLanes, AConnectionSplitsIntoAHalfThatTagsFramesByLaneAndOneThatRoutesThem) {
  ASSERT_TRUE(server_->listen({kAlpnLanes, kAlpnMining}, admission_, [this](Shard& shard, Link link, IrohCarrier::Place) {
    shard.spawn([](Shard& here, Link given, Credentials& credentials) -> asio::awaitable<void> {
      auto accepted = co_await IrohConnection::accept(here, std::move(given), credentials, {});
      if (!accepted) co_return;
      auto [reading, writing] = accepted->split();
      for (;;) {
        const auto frames = co_await reading.read();
        if (!frames) co_return;
        wire::FrameBuffer back;
        for (const auto& each : *frames) (void)back.push_raw(each.frame.header, each.frame.payload);
        writing.write(back);
      }
    }(shard, std::move(link), credentials_[shard.index()]));
  }));
  for (const char* alpn : {kAlpnLanes, kAlpnMining}) {
    const auto saw = on_client([this, alpn]() -> asio::awaitable<std::string> {
      auto to = address_of(*server_);
      to.alpn = alpn;
      auto connected = co_await IrohConnection::connect(*client_, home(), to, authority().public_key(), 10s, {});
      if (!connected) co_return connected.error().message();
      if (connected->metadata().alpn != alpn) co_return "another protocol";
      auto [reading, writing] = connected->split();
      writing.write(frames_of(share(1), command(kTip), share(2)));
      std::string lanes;
      while (lanes.size() < 3) {
        const auto frames = co_await reading.read();
        if (!frames) co_return frames.error().message();
        for (const auto& each : *frames) {
          const bool data = each.frame.is<wire::SubmitSharesStandard>();
          if (data != (each.lane == Lane::kData)) co_return "a wrong tag";
          lanes += data ? 'd' : 'c';
        }
      }
      co_await writing.drain(5s);
      std::ranges::sort(lanes);
      co_return lanes;
    });
    EXPECT_EQ(saw, "cdd") << alpn;
  }
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
  ASSERT_TRUE(server_->listen({kAlpnLanes}, admission_, [&](Shard& shard, Link link, IrohCarrier::Place place) {
    if (const auto* lie = current.load())
      shard.spawn(show(shard, std::move(link), lie->shown, heard));
    else
      shard.spawn(serve(shard, std::move(link), std::move(place), credentials_[shard.index()]));
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
}

}  // namespace
}  // namespace adit::net
