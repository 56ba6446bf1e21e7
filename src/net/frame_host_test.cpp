// Template distribution over TCP and over lanes, by what all roles share alone: no code of the mining protocol is linked here.
#include "net/frame_host.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <future>

#include "log/log_testing.h"
#include "net/dial.h"
#include "net/net_testing.h"
#include "net/ticker.h"
#include "session/client_side.h"
#include "session/dispatch.h"
#include "wire/adit_messages.h"
#include "wire/template_distribution_messages.h"

namespace adit::net {
namespace {

/// Answers each RequestTransactionData by an error that names its template; at once, or when it is told to.
class TemplateServer final : public session::ProtocolServer {
 public:
  Result<void> on_frames(std::span<const wire::FrameView> frames, const Now&, wire::FrameBuffer& out) override {
    for (const auto& frame : frames) {
      ADIT_TRY(const auto request, session::decode<wire::RequestTransactionData>(frame));
      (holds_back ? held : out)
          .push(wire::RequestTransactionDataError{.template_id = request.template_id, .error_code = "template-id-not-found"});
    }
    return {};
  }
  [[nodiscard]] bool settled() const override { return held.empty(); }

  [[nodiscard]] std::uint64_t good_shares() const override { return shares; }

  bool holds_back = false;
  std::uint64_t shares = 0;
  wire::FrameBuffer held;
  Result<void> on_tick(const Now&, wire::FrameBuffer&) override { return {}; }
};

/// A part that serves template distribution to whoever its test hands over.
class TemplatePart final : public ServicePart, private FrameHostRole {
 public:
  TemplatePart(Shard& home, std::shared_ptr<const FrameHostOptions> options, Admission admission)
      : ServicePart(home), host_(*this, std::move(options), std::move(admission), std::array<std::uint8_t, 32>{9}, *this) {}

  void take(Link link) { host_.take(std::move(link), serving_); }
  void tick() { host_.tick(); }
  [[nodiscard]] HostCounters counters() const { return host_.counters(); }

 private:
  void begin() override {}
  void drain(const session::ShutdownBehavior& behavior) override { host_.drain(behavior); }
  void cut_off() override { host_.cut_off(); }
  std::unique_ptr<session::ProtocolServer> serve(const session::AcceptedSetup&, HostedConnection& connection) override {
    auto made = std::make_unique<TemplateServer>();
    if (served) served(*made, connection);
    return made;
  }

 public:
  /// Called with each engine that is made.
  std::function<void(TemplateServer&, HostedConnection&)> served;

 private:
  const session::ServerOptions serving_{.offers = {{.protocol = wire::Protocol::kTemplateDistribution}}};
  FrameHost host_;
};

class FrameHostTest : public testing::Test {
 protected:
  void SetUp() override {
    shards_.start();
    auto options = std::make_shared<FrameHostOptions>();
    options->name = "templates";
    options->health.dead_after = dead_after_;
    options->authority_secret = authority_of(7).secret().copy();
    options->last_id = &last_id_;
    options->protocols = {wire::Protocol::kTemplateDistribution};
    service_.start([&](Shard& shard) { return std::make_shared<TemplatePart>(shard, options, admission_); });
    listener_ = std::move(*TcpListener::bind(shards_[0], {"127.0.0.1", 0}));
    listener_->start(shards_, [this](Shard& shard, std::unique_ptr<ByteStream> stream) { accept(shard, std::move(stream)); });
  }
  void TearDown() override {
    listener_->stop();
    service_.stop({.kind = session::ShutdownBehavior::Kind::kImmediate});
    shards_.stop(5s);
  }
  /// Over lanes two streams make one session; they come to one shard, as both are of one connection.
  void accept(Shard& shard, std::unique_ptr<ByteStream> stream) {
    if (!lanes_) return service_.on(shard)->take({.stream = std::move(stream)});
    if (!first_) {
      first_ = std::move(stream);
      return;
    }
    service_.on(shard)->take(
        {.stream = std::move(first_), .second = std::move(stream), .protocol = wire::Protocol::kTemplateDistribution});
  }

  /// Sets a session up as a client of `protocol` and asks for the transactions of a template: the error's code.
  static asio::awaitable<std::string> ask(NetworkConnection& connection, wire::Protocol protocol) {
    session::ClientSide side({.protocol = protocol, .program = "test"}, connection.metadata().lanes > 1, false);
    wire::FrameBuffer out;
    side.start("127.0.0.1", 1, now_from_system(), out);
    connection.send(out);
    std::string code;
    bool asked = false;
    while (code.empty()) {
      const auto batch = co_await connection.receive();
      if (!batch) co_return "lost: " + batch.error().message();
      out.clear();
      const auto handled = side.on_frames(
          *batch, now_from_system(), out,
          [&](std::span<const wire::FrameView> frames) -> Result<void> {
            ADIT_TRY(const auto error, session::decode<wire::RequestTransactionDataError>(frames.front()));
            code = std::string(error.error_code.view()) + " " + std::to_string(error.template_id);
            return {};
          },
          [] {});
      if (!handled) co_return handled.error().message();
      if (side.ready() && !std::exchange(asked, true)) out.push(wire::RequestTransactionData{.template_id = 42});
      connection.send(out);
    }
    co_return code;
  }

  /// Dials and asks: what it hears, or why not.
  std::string dial_and_ask(std::unique_ptr<NetworkConnection>* kept = nullptr) {
    const Peer to{.transport = TcpConfig{"127.0.0.1", listener_->port()}, .authority = authority_of(7).public_key()};
    return on(shards_[0], [&]() -> asio::awaitable<std::string> {
      auto connection = co_await dial(shards_[0], to, wire::Protocol::kTemplateDistribution, {});
      if (!connection) co_return connection.error().message();
      auto answer = co_await ask(**connection, wire::Protocol::kTemplateDistribution);
      if (kept != nullptr) *kept = std::move(*connection);
      co_return answer;
    });
  }

  explicit FrameHostTest(const AdmissionLimits& limits = {}) : admission_(limits) {}

  Admission admission_;
  Duration dead_after_ = HealthPolicy().dead_after;
  Shards shards_{1};
  std::atomic<std::uint32_t> last_id_{0};
  Service<TemplatePart> service_{shards_};
  std::unique_ptr<TcpListener> listener_;
  bool lanes_ = false;
  std::unique_ptr<ByteStream> first_;
};

TEST_F(FrameHostTest, AnyProtocolIsServedOverTcp) {
  const Peer to{.transport = TcpConfig{"127.0.0.1", listener_->port()}, .authority = authority_of(7).public_key()};
  const auto dialled = [&](wire::Protocol protocol) {
    return on(shards_[0], [&, protocol]() -> asio::awaitable<std::string> {
      auto connection = co_await dial(shards_[0], to, protocol, {});
      if (!connection) co_return connection.error().message();
      co_return co_await ask(**connection, protocol);
    });
  };
  EXPECT_EQ(dialled(wire::Protocol::kTemplateDistribution), "template-id-not-found 42");
  EXPECT_THAT(dialled(wire::Protocol::kJobDeclaration), HasSubstr("unsupported-protocol"));
}

// ESP-Miner connects and closes before it uses a pool.
TEST_F(FrameHostTest, AConnectionThatSendsNothingIsCountedAndNoWarning) {
  const auto failed = [&] {
    return service_.ask([](TemplatePart& part) { return part.counters(); })
        .at(0)[static_cast<std::size_t>(Transport::kTcp)]
        .handshakes_failed;
  };
  const auto logged = [&](std::string_view sends) {
    const auto before = failed();
    testing::internal::CaptureStderr();
    {
      RawPeer peer(listener_->port());
      peer.write(sends);
    }
    for (int i = 0; i < 500 && failed() == before; ++i) std::this_thread::sleep_for(10ms);
    EXPECT_EQ(failed(), before + 1);
    return testing::internal::GetCapturedStderr();
  };
  EXPECT_THAT(logged("{"), HasSubstr("templates.handshake_failed"));
  EXPECT_THAT(logged(""), testing::Not(HasSubstr("templates.")));
}

TEST_F(FrameHostTest, AnyProtocolIsServedOverLanes) {
  lanes_ = true;
  const auto answer = on(shards_[0], [&]() -> asio::awaitable<std::string> {
    auto control = co_await dial_tcp(shards_[0], {"127.0.0.1", listener_->port()}, 5s);
    auto bulk = co_await dial_tcp(shards_[0], {"127.0.0.1", listener_->port()}, 5s);
    if (!control || !bulk) co_return "not connected";
    Link link{.stream = std::move(*control), .second = std::move(*bulk), .protocol = wire::Protocol::kTemplateDistribution};
    auto connection = co_await begin_session(shards_[0], link, std::nullopt, {});
    if (!connection) co_return connection.error().message();
    co_return co_await ask(**connection, wire::Protocol::kTemplateDistribution);
  });
  EXPECT_EQ(answer, "template-id-not-found 42");
}

TEST_F(FrameHostTest, APayloadThatDoesNotDecodeCountsAsABreachOfTheProtocol) {
  const Peer to{.transport = TcpConfig{"127.0.0.1", listener_->port()}, .authority = authority_of(7).public_key()};
  const auto end = on(shards_[0], [&]() -> asio::awaitable<std::string> {
    auto connection = co_await dial(shards_[0], to, wire::Protocol::kTemplateDistribution, {});
    if (!connection) co_return connection.error().message();
    if (const auto code = co_await ask(**connection, wire::Protocol::kTemplateDistribution); code.empty())
      co_return "no answer";
    wire::FrameBuffer cut;
    (void)cut.push_raw({.message_type = wire::RequestTransactionData::kType}, std::vector<std::uint8_t>(3));
    (*connection)->send(cut);
    const auto batch = co_await (*connection)->receive();
    co_return batch ? "an answer" : std::string(batch.error().name());
  });
  EXPECT_EQ(end, "end_of_stream");
  const auto counted = service_.ask([](TemplatePart& part) { return part.counters(); }).at(0);
  EXPECT_EQ(counted[static_cast<std::size_t>(Transport::kTcp)].protocol_errors, 1u);
}

// audit.md L1: each of 150 connections had its line, with 255 bytes of the peer's own.
TEST_F(FrameHostTest, ManyGoodbyesLeaveFewLinesInTheLogAndAreAllCounted) {
  log::test::Captured log;
  const Peer to{.transport = TcpConfig{"127.0.0.1", listener_->port()}, .authority = authority_of(7).public_key()};
  constexpr std::size_t kMany = 100;
  const auto begun = std::chrono::steady_clock::now();
  const std::string last = on(shards_[0], [&]() -> asio::awaitable<std::string> {
    for (std::size_t i = 0; i < kMany; ++i) {
      auto connection = co_await dial(shards_[0], to, wire::Protocol::kTemplateDistribution, {});
      if (!connection) co_return connection.error().message();
      session::ClientSide side({.protocol = wire::Protocol::kTemplateDistribution, .program = "test"}, false, true);
      wire::FrameBuffer out;
      side.start("127.0.0.1", 1, now_from_system(), out);
      (*connection)->send(out);
      while (!side.extension().over()) {
        const auto batch = co_await (*connection)->receive();
        if (!batch) co_return "lost: " + batch.error().message();
        out.clear();
        const auto handled = side.on_frames(*batch, now_from_system(), out, [](auto) -> Result<void> { return {}; }, [] {});
        if (!handled) co_return handled.error().message();
        if (side.ready() && side.extension().agreed() && !side.extension().said_goodbye())
          side.extension().say_goodbye(std::string(255, 'x'), 1s, out);
        side.extension().settle(out);
        (*connection)->send(out);
      }
      co_await (*connection)->drain(1s);
    }
    co_return "";
  });
  EXPECT_EQ(last, "");
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(std::chrono::steady_clock::now() - begun).count();
  const auto counted = service_.ask([](TemplatePart& part) { return part.counters(); }).at(0);
  EXPECT_EQ(counted[static_cast<std::size_t>(Transport::kTcp)].goodbyes, kMany);
  const auto lines = log.lines("templates.goodbye");
  EXPECT_GE(lines.size(), 1u);
  EXPECT_LE(lines.size(), 5U * (static_cast<std::size_t>(seconds) + 1)) << lines.size() << " in " << seconds << " s";
}

class FrameHostClocks : public FrameHostTest {
 protected:
  FrameHostClocks() { dead_after_ = 2s; }  // A peer that says nothing is pinged after half a second.
};

TEST_F(FrameHostClocks, APeersClockThatDiffersIsNamedByItsSecondsAndWhenItAgreesAgain) {
  log::test::Captured log;
  const Peer to{.transport = TcpConfig{"127.0.0.1", listener_->port()}, .authority = authority_of(7).public_key()};
  const std::string end = on(shards_[0], [&]() -> asio::awaitable<std::string> {
    const Ticker ticker(shards_[0], 20ms, [part = service_.on(shards_[0])] { part->tick(); });
    auto connection = co_await dial(shards_[0], to, wire::Protocol::kTemplateDistribution, {});
    if (!connection) co_return connection.error().message();
    session::ClientSide side({.protocol = wire::Protocol::kTemplateDistribution, .program = "test"}, false, true);
    wire::FrameBuffer out;
    side.start("127.0.0.1", 1, now_from_system(), out);
    (*connection)->send(out);
    for (int pings = 0; pings < 4;) {
      const auto batch = co_await (*connection)->receive();
      if (!batch) co_return "lost: " + batch.error().message();
      for (const auto& frame : *batch) pings += frame.is<wire::Ping>() ? 1 : 0;
      Now now = now_from_system();
      if (pings <= 2) now.unix_time += 90s;
      out.clear();
      const auto handled = side.on_frames(*batch, now, out, [](auto) -> Result<void> { return {}; }, [] {});
      if (!handled) co_return handled.error().message();
      (*connection)->send(out);
    }
    co_return "";
  });
  EXPECT_EQ(end, "");
  const auto differs = log.lines("templates.clock_differs");
  ASSERT_EQ(differs.size(), 1u) << "once, though it was seen twice";
  EXPECT_THAT(differs[0],
              testing::AllOf(testing::ContainsRegex("seconds=(89|90|91) "), HasSubstr("the clock of the peer at 127.0.0.1"),
                             HasSubstr("ahead of this machine's")));
  EXPECT_EQ(log.lines("templates.clock_agrees").size(), 1u);
}

TEST_F(FrameHostTest, AStopWaitsForTheAnswersThatAnEngineHoldsBack) {
  TemplateServer* server = nullptr;
  HostedConnection* connection = nullptr;
  service_.on(shards_[0])->served = [&](TemplateServer& made, HostedConnection& peer) {
    server = &made;
    server->holds_back = true;
    connection = &peer;
  };
  const Peer to{.transport = TcpConfig{"127.0.0.1", listener_->port()}, .authority = authority_of(7).public_key()};
  auto answer = std::async(std::launch::async, [&] {
    return on(shards_[0], [&]() -> asio::awaitable<std::string> {
      auto dialled = co_await dial(shards_[0], to, wire::Protocol::kTemplateDistribution, {});
      if (!dialled) co_return dialled.error().message();
      co_return co_await ask(**dialled, wire::Protocol::kTemplateDistribution);
    });
  });
  const auto wait_until = [&](const std::function<bool()>& holds) {
    on(shards_[0], [&]() -> asio::awaitable<bool> {
      while (!holds()) co_await sleep_for(1ms);
      co_return true;
    });
  };
  wait_until([&] { return server != nullptr && !server->settled(); });
  const auto part = service_.on(shards_[0]);
  auto stopped = std::async(std::launch::async,
                            [&] { service_.stop({.kind = session::ShutdownBehavior::Kind::kDrain, .deadline = 60s}); });
  wait_until([&] { return part->stopping(); });
  shards_[0].post([&] {
    wire::FrameBuffer frames;
    frames.append(server->held);
    server->held.clear();
    connection->send(frames);
    connection->settle();
  });
  EXPECT_EQ(answer.get(), "template-id-not-found 42");
  stopped.get();
}

// Places.

constexpr const char* kServed = "template-id-not-found 42";

class OneHandshake : public FrameHostTest {
 protected:
  OneHandshake() : FrameHostTest({.max_handshakes = 1, .max_handshakes_per_source = 1, .handshake_time = Duration::zero()}) {}
};

TEST_F(OneHandshake, ANewcomerHasThePlaceOfASilentOne) {
  log::test::Captured log;
  RawPeer silent(listener_->port());
  RawPeer half(listener_->port());
  half.write("only ten b");
  EXPECT_TRUE(silent.is_cut_off());
  EXPECT_EQ(dial_and_ask(), kServed);
  EXPECT_TRUE(half.is_cut_off());
  EXPECT_EQ(admission_.counts().displaced, 2u);
  EXPECT_EQ(log.lines("templates.displaced").size(), 2u);
}

class OnePlace : public FrameHostTest {
 protected:
  OnePlace() : FrameHostTest({.max_connections = 1, .unproven_time = Duration::zero()}) {}
};

TEST_F(OnePlace, IsOfTheOneThatWorks) {
  TemplateServer* server = nullptr;
  service_.on(shards_[0])->served = [&](TemplateServer& made, HostedConnection&) { server = &made; };
  const auto tick = [&] {
    (void)service_.ask([](TemplatePart& part) {
      part.tick();
      return true;
    });
  };
  std::unique_ptr<NetworkConnection> first, second;
  EXPECT_EQ(dial_and_ask(&first), kServed);
  tick();
  EXPECT_EQ(dial_and_ask(&second), kServed) << "the first one shows no work";
  EXPECT_EQ(admission_.counts().displaced, 1u);
  EXPECT_EQ(admission_.counts().connections, 1u);
  on(shards_[0], [&]() -> asio::awaitable<bool> {
    EXPECT_FALSE(co_await first->receive());
    server->shares = 1;
    co_return true;
  });
  tick();
  EXPECT_EQ(admission_.counts().proven, 1u);
  EXPECT_NE(dial_and_ask(), kServed);
  EXPECT_EQ(admission_.counts().displaced, 1u);
  on(shards_[0], [&]() -> asio::awaitable<bool> {
    first.reset();
    second.reset();
    co_return true;
  });
}

class FewFailures : public FrameHostTest {
 protected:
  FewFailures() : FrameHostTest({.source_costs = {.amount = 20, .period = std::chrono::hours(1)}}) {}
};

TEST_F(FewFailures, HandshakesThatFailUseUpWhatTheirSourceMayCost) {
  EXPECT_EQ(dial_and_ask(), kServed);
  for (int i = 0; i < 2; ++i) {
    RawPeer browser(listener_->port());
    browser.write("GET / HTTP/1.1\r\nHost: pool.example.org\r\n\r\n");
    EXPECT_TRUE(browser.is_cut_off());
  }
  EXPECT_NE(dial_and_ask(), kServed);
  EXPECT_EQ(admission_.counts().refused, 1u);
}

}  // namespace
}  // namespace adit::net
