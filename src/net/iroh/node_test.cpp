#include "net/iroh/node.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <numeric>
#include <set>
#include <sstream>
#include <utility>

#include <boost/asio/ip/udp.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/iroh/node_testing.h"
#include "net/iroh/stream.h"

extern char** environ;

namespace adit::net {
namespace {

using testing::HasSubstr;
using testing::SizeIs;
using testing::StartsWith;
using namespace std::chrono_literals;
using namespace test;

class IrohNode : public IrohNodes {};

TEST_F(IrohNode, BytesComeBackFromAnEchoOverLoopback) {
  const auto server = node(loopback(1)), client = node(loopback(2));
  serve_echo(*server);
  std::string text(300'000, 'x');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 7 + i / 256);
  // More than every window holds, so the writer has to wait for its own echo: it reads as it goes.
  const auto heard =
      run_on(shards_[0],
             [](IrohNodeManager& from, Shard& shard, IrohConfig to, std::string words) -> asio::awaitable<Result<std::string>> {
               ADIT_CO_TRY(const auto stream, co_await dial_stream(from, shard, to, 10s));
               std::string all;
               for (std::size_t at = 0; at < words.size(); at += 10'000) {
                 ADIT_CO_TRY(const auto part, co_await say(*stream, words.substr(at, 10'000)));
                 all += part;
               }
               co_return all;
             }(*client, shards_[0], address_of(*server), text));
  ASSERT_TRUE(heard) << heard.error().message();
  EXPECT_EQ(*heard, text);
}

TEST_F(IrohNode, NothingButTheAddressAskedForIsBound) {
  const auto server = node(loopback(1));
  ASSERT_THAT(server->local_addresses(), SizeIs(1));
  EXPECT_THAT(server->local_addresses().front(), StartsWith("127.0.0.1:"));
  EXPECT_EQ(server->home_relay(), "");
  EXPECT_THAT(server->endpoint_id(), SizeIs(64));
}

TEST_F(IrohNode, ConnectionsAreSpreadOverTheShards) {
  const auto server = node(loopback(1)), client = node(loopback(2));
  std::promise<std::set<unsigned>> promise;
  std::mutex mutex;
  std::set<unsigned> used;
  unsigned accepted = 0;
  ASSERT_TRUE(server->listen({session::kAlpnMining}, Admission({}), [&](Shard& shard, Link link, IrohCarrier::Place) {
    const std::scoped_lock lock(mutex);
    used.insert(shard.index());
    if (++accepted == 4) promise.set_value(used);
    shard.spawn(echo(std::move(link.stream)));
  }));
  for (unsigned i = 0; i < 4; ++i) {
    const auto heard = dial_and_say(*client, shards_[i % 2], address_of(*server), "hello");
    ASSERT_TRUE(heard) << heard.error().message();
  }
  EXPECT_THAT(promise.get_future().get(), SizeIs(2));
}

TEST_F(IrohNode, SessionsOfTwoProtocolsShareAConnection) {
  const auto server = node(loopback(1)), client = node(loopback(2));
  std::promise<wire::Protocol> first;
  std::promise<wire::Protocol> second;
  ASSERT_TRUE(server->listen({session::kAlpnLanes}, Admission({}), [&](Shard&, const Link& link, IrohCarrier::Place) {
    (link.protocol == wire::Protocol::kMining ? first : second).set_value(link.protocol.value());
  }));
  const auto sessions =
      run_on(shards_[0], [](IrohNodeManager& from, Shard& shard, IrohConfig to) -> asio::awaitable<Result<unsigned>> {
        ADIT_CO_TRY(const auto mining, co_await from.dial(shard, to, wire::Protocol::kMining, kPatience));
        ADIT_CO_TRY(const auto templates, co_await from.dial(shard, to, wire::Protocol::kTemplateDistribution, kPatience));
        co_return templates.stream->metadata().sessions;
      }(*client, shards_[0], address_of(*server)));
  ASSERT_TRUE(sessions) << sessions.error().message();
  EXPECT_EQ(*sessions, 2U);
  EXPECT_EQ(first.get_future().get(), wire::Protocol::kMining);
  EXPECT_EQ(second.get_future().get(), wire::Protocol::kTemplateDistribution);
}

TEST_F(IrohNode, AFinishIsACleanEndAndBytesAreCounted) {
  const auto server = node(loopback(1)), client = node(loopback(2));
  serve_echo(*server);
  const auto end =
      run_on(shards_[0], [](IrohNodeManager& from, Shard& shard, IrohConfig to) -> asio::awaitable<Result<ConnectionMetadata>> {
        ADIT_CO_TRY(const auto stream, co_await dial_stream(from, shard, to, 10s));
        ADIT_CO_TRY(const auto heard, co_await say(*stream, "hello"));
        stream->finish();
        const auto more = co_await read_some(*stream);
        if (more || !more.error().is(Errc::kEndOfStream)) co_return fail(Errc::kInternal, "no clean end");
        co_return stream->metadata();
      }(*client, shards_[0], address_of(*server)));
  ASSERT_TRUE(end) << end.error().message();
  EXPECT_EQ(end->bytes_sent, 5u);
  EXPECT_EQ(end->bytes_received, 5u);
}

TEST_F(IrohNode, MetadataNamesThePeerAndItsDirectPath) {
  const auto server = node(loopback(1)), client = node(loopback(2));
  serve_echo(*server);
  const auto known =
      run_on(shards_[0], [](IrohNodeManager& from, Shard& shard, IrohConfig to) -> asio::awaitable<Result<ConnectionMetadata>> {
        ADIT_CO_TRY(const auto stream, co_await dial_stream(from, shard, to, 10s));
        ConnectionMetadata metadata;
        for (int i = 0; i < 1000 && !metadata.path_rtt; ++i) {  // published by the bridge, at most one round behind
          ADIT_CO_TRY(const auto heard, co_await say(*stream, "hello"));
          metadata = stream->metadata();
        }
        stream->close(CloseCode::kShutdown);
        if (stream->metadata().peer != metadata.peer) co_return fail(Errc::kInternal, "a closed stream forgets its peer");
        co_return metadata;
      }(*client, shards_[0], address_of(*server)));
  ASSERT_TRUE(known) << known.error().message();
  EXPECT_EQ(known->transport, Transport::kIroh);
  EXPECT_EQ(known->peer, server->endpoint_id());
  EXPECT_EQ(known->source, server->local_addresses().front());
  EXPECT_EQ(known->path, Path::kDirect);
  EXPECT_TRUE(known->path_rtt);
}

TEST_F(IrohNode, ACloseDeliversWhatWasWrittenAndItsCode) {
  const auto server = node(loopback(1)), client = node(loopback(2));
  ASSERT_TRUE(server->listen({session::kAlpnMining}, Admission({}), [](Shard& shard, Link link, IrohCarrier::Place) {
    shard.spawn([](std::unique_ptr<ByteStream> peer) -> asio::awaitable<void> {
      if (!co_await read_some(*peer)) co_return;
      (void)co_await write_all(*peer, as_bytes("no more of you"));
      peer->close(CloseCode::kOverloaded);
    }(std::move(link.stream)));
  }));
  const auto end =
      run_on(shards_[0], [](IrohNodeManager& from, Shard& shard, IrohConfig to) -> asio::awaitable<Result<std::string>> {
        ADIT_CO_TRY(const auto stream, co_await dial_stream(from, shard, to, 10s));
        ADIT_CO_TRY(auto heard, co_await say(*stream, "four score and"));
        const auto finished = co_await read_some(*stream);
        // The finish and the close travel apart; after the close a write says why.
        for (int i = 0; i < 1000; ++i) {
          if (const auto taken = stream->try_write(as_bytes("x")); !taken && !taken.error().is(Errc::kWouldBlock)) {
            co_return heard + "|" + taken.error().message();
          }
          co_await sleep_for(5ms);
        }
        co_return heard;
      }(*client, shards_[0], address_of(*server)));
  ASSERT_TRUE(end) << end.error().message();
  EXPECT_THAT(*end, StartsWith("no more of you|"));
  EXPECT_THAT(*end, HasSubstr("4, overloaded"));
}

TEST_F(IrohNode, ClosingWakesWhoWaits) {
  const auto server = node(loopback(1)), client = node(loopback(2));
  serve_echo(*server);
  const auto end =
      run_on(shards_[0], [](IrohNodeManager& from, Shard& shard, IrohConfig to) -> asio::awaitable<Result<std::string>> {
        ADIT_CO_TRY(const auto stream, co_await dial_stream(from, shard, to, 10s));
        shard.post([&stream = *stream] { stream.close(CloseCode::kShutdown); });
        co_return co_await read_some(*stream);
      }(*client, shards_[0], address_of(*server)));
  ASSERT_FALSE(end);
  EXPECT_TRUE(end.error().is(Errc::kClosed)) << end.error().name();
}

TEST_F(IrohNode, ASilentPeerIsDroppedAtItsDeadlineAndNeverHandedOver) {
  auto config = loopback(1);
  config.accept_deadline = 2s;
  const auto server = node(std::move(config)), client = node(loopback(2));
  std::atomic<int> handed_over{0};
  ASSERT_TRUE(server->listen({session::kAlpnMining}, Admission({}), [&](Shard&, Link, IrohCarrier::Place) { ++handed_over; }));
  // The stream is opened and nothing is written: the peer does not even see it.
  const auto end =
      run_on(shards_[0], [](IrohNodeManager& from, Shard& shard, IrohConfig to) -> asio::awaitable<Result<std::string>> {
        ADIT_CO_TRY(const auto stream, co_await dial_stream(from, shard, to, 10s));
        co_return co_await read_some(*stream);
      }(*client, shards_[0], address_of(*server)));
  ASSERT_FALSE(end);
  EXPECT_TRUE(end.error().is(Errc::kEndOfStream)) << end.error().message();
  EXPECT_THAT(end.error().message(), HasSubstr("shutting down"));
  EXPECT_EQ(handed_over, 0);
}

TEST_F(IrohNode, ADialThatCannotWorkSaysWhatToDo) {
  const auto server = node(loopback(1)), client = node(loopback(2));
  serve_echo(*server);
  const auto stranger = node(loopback(3))->endpoint_id();  // nobody is left there
  const auto good = address_of(*server);
  const auto dial = [&](const IrohConfig& to, Duration deadline = 10s) {
    return run_on(
        shards_[0],
        [](IrohNodeManager& from, Shard& shard, IrohConfig target, Duration limit) -> asio::awaitable<Result<std::string>> {
          ADIT_CO_TRY(const auto stream, co_await dial_stream(from, shard, target, limit));
          co_return std::string("connected");
        }(*client, shards_[0], to, deadline));
  };
  auto to = good;
  to.addrs.clear();
  auto result = dial(to);
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(Errc::kUnreachable));
  EXPECT_THAT(result.error().message(), testing::AllOf(HasSubstr("no relay"), HasSubstr("?addr="), HasSubstr("?relay=")));

  to.relay_url = "https://relay.invalid";  // and our relays are off
  result = dial(to);
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(Errc::kUnreachable));

  to = good;
  to.alpn = "something-else";
  result = dial(to);
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(Errc::kDenied)) << result.error().message();

  to = good;
  to.endpoint_id = stranger;
  result = dial(to);
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(Errc::kHandshake)) << result.error().message();

  to.endpoint_id = "nonsense";
  result = dial(to);
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(Errc::kConfiguration));
  to = address_of(*client);
  result = dial(to);
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(Errc::kConfiguration)) << result.error().message();
}

TEST_F(IrohNode, ADialToSilenceEndsAtItsDeadline) {
  const auto client = node(loopback(2));
  IrohConfig to;
  to.endpoint_id = node(loopback(3))->endpoint_id();  // nobody is left there
  asio::io_context context;
  const asio::ip::udp::socket silent(context, {asio::ip::address_v4::loopback(), 0});
  to.addrs = {"127.0.0.1:" + std::to_string(silent.local_endpoint().port())};
  const auto result =
      run_on(shards_[0], [](IrohNodeManager& from, Shard& shard, IrohConfig target) -> asio::awaitable<Result<std::string>> {
        ADIT_CO_TRY(const auto stream, co_await dial_stream(from, shard, target, 300ms));
        co_return std::string("connected");
      }(*client, shards_[0], to));
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(Errc::kTimedOut));
  EXPECT_THAT(result.error().message(), HasSubstr("is the peer running"));
}

TEST_F(IrohNode, ANodeThatGoesEndsItsStreamsAndTellsThePeer) {
  auto server = node(loopback(1)), client = node(loopback(2));
  std::promise<std::string> peer_saw;
  ASSERT_TRUE(server->listen({session::kAlpnMining}, Admission({}), [&](Shard& shard, Link link, IrohCarrier::Place) {
    shard.spawn([](std::unique_ptr<ByteStream> peer, std::promise<std::string>& saw) -> asio::awaitable<void> {
      for (;;) {
        const auto got = co_await read_some(*peer);
        if (!got) co_return saw.set_value(std::string(got.error().name()));
        (void)co_await write_all(*peer, as_bytes(*got));
      }
    }(std::move(link.stream), peer_saw));
  }));
  std::promise<void> connected;
  std::promise<std::string> we_saw;
  shards_[0].post([&] {
    shards_[0].spawn([](IrohNodeManager& from, Shard& shard, IrohConfig to, std::promise<void>& ready,
                        std::promise<std::string>& saw) -> asio::awaitable<void> {
      const auto stream = co_await dial_stream(from, shard, to, 10s);
      if (stream) (void)co_await say(**stream, "hello");  // so the peer has the stream
      ready.set_value();
      const auto got = stream ? co_await read_some(**stream) : fail(stream.error());
      saw.set_value(got ? *got : std::string(got.error().name()));
    }(*client, shards_[0], address_of(*server), connected, we_saw));
  });
  connected.get_future().get();
  client.reset();
  EXPECT_EQ(we_saw.get_future().get(), "closed");   // however quick the peer's answer to it is
  EXPECT_EQ(peer_saw.get_future().get(), "reset");  // ended without goodbye
}

TEST_F(IrohNode, AConfigurationThatCannotWorkIsNamed) {
  auto config = loopback(1);
  config.bind = {"localhost"};
  auto started = IrohNodeManager::start(shards_, std::move(config));
  ASSERT_FALSE(started);
  EXPECT_TRUE(started.error().is(Errc::kConfiguration));
  EXPECT_THAT(started.error().message(), HasSubstr("'localhost'"));

  const auto first = node(loopback(1));
  config = loopback(2);
  config.bind = first->local_addresses();
  started = IrohNodeManager::start(shards_, std::move(config));
  ASSERT_FALSE(started);
  EXPECT_TRUE(started.error().is(Errc::kAddressInUse)) << started.error().message();

  EXPECT_TRUE(first->listen({"a"}, Admission({}), [](Shard&, Link, IrohCarrier::Place) {}));
  const auto twice = first->listen({"a"}, Admission({}), [](Shard&, Link, IrohCarrier::Place) {});
  ASSERT_FALSE(twice);
  EXPECT_TRUE(twice.error().is(Errc::kConfiguration));
}

TEST_F(IrohNode, AnEndpointWithoutAKeyIsNotStarted) {
  const auto started = IrohNodeManager::start(shards_, {});
  ASSERT_FALSE(started);
  EXPECT_TRUE(started.error().is(Errc::kConfiguration)) << started.error().message();
}

TEST(IrohNodeConfig, KeepAliveAndIdleTimeoutTogetherAreWhatAPeersSilenceMayLast) {
  IrohNodeConfig config;
  config.set_dead_after(10s);
  EXPECT_EQ(config.keep_alive, 2s);
  EXPECT_EQ(config.idle_timeout, 8s);
}

TEST(IrohNodeConfig, OfADiallerHasTheRelayThatThePeersAddressNamesAndNoOther) {
  const auto without = IrohNodeConfig::for_dialling({.endpoint_id = std::string(64, 'a')});
  EXPECT_FALSE(without.listens);
  EXPECT_EQ(without.relay_mode, IrohRelays::kNone);
  const auto with = IrohNodeConfig::for_dialling({.endpoint_id = std::string(64, 'a'), .relay_url = "https://relay.example"});
  EXPECT_FALSE(with.listens);
  EXPECT_EQ(with.relay_mode, IrohRelays::kList);
  ASSERT_THAT(with.relays, SizeIs(1));
  EXPECT_EQ(with.relays.front().url, "https://relay.example");
}

TEST_F(IrohNode, WhoIsNotOnTheAllowListIsDeniedAndWhoIsIsServed) {
  const auto friendly = node(loopback(2)), stranger = node(loopback(3));
  auto config = loopback(1);
  config.accept.allowed = {friendly->endpoint_id()};
  const auto server = node(std::move(config));
  serve_echo(*server);
  const auto heard = dial_and_say(*friendly, shards_[0], address_of(*server), "hello");
  ASSERT_TRUE(heard) << heard.error().message();
  const auto denied = dial_and_say(*stranger, shards_[0], address_of(*server), "hello");
  ASSERT_FALSE(denied);
  EXPECT_TRUE(denied.error().is(Errc::kDenied)) << denied.error().message();
  EXPECT_THAT(denied.error().message(), HasSubstr("not on the list"));
}

TEST_F(IrohNode, AfterStopListeningPeersAreRefusedAndOldStreamsLiveOn) {
  const auto server = node(loopback(1)), client = node(loopback(2));
  serve_echo(*server);
  const auto end = run_on(
      shards_[0],
      [](IrohNodeManager& listener, IrohNodeManager& from, Shard& shard, IrohConfig to) -> asio::awaitable<Result<Error>> {
        ADIT_CO_TRY(const auto stream, co_await dial_stream(from, shard, to, 10s));
        ADIT_CO_TRY(const auto before, co_await say(*stream, "before"));
        listener.stop_listening();
        listener.stop_listening();
        for (int i = 0; i < 100; ++i) {  // the listener's own shard does it
          const auto late = co_await dial_stream(from, shard, to, 10s);
          if (!late) {
            ADIT_CO_TRY(const auto after, co_await say(*stream, "after"));
            co_return late.error();
          }
          co_await sleep_for(10ms);
        }
        co_return fail(Errc::kInternal, "still listening");
      }(*server, *client, shards_[0], address_of(*server)));
  ASSERT_TRUE(end) << end.error().message();
  EXPECT_TRUE(end->is(Errc::kRefused)) << end->message();
}

TEST_F(IrohNode, PeersBeyondTheListenersBoundAreRefusedAndTheOthersServed) {
  auto config = loopback(1);
  config.accept_deadline = 2s;
  const auto server = node(std::move(config)), client = node(loopback(2));
  serve_echo(*server, Admission({.max_handshakes = 2, .max_handshakes_per_source = 2}));
  const auto to = address_of(*server);
  // Silent peers: two wait for their stream, two more to be taken; what comes then is refused.
  const auto outcome =
      run_on(shards_[1], [](IrohNodeManager& from, Shard& shard, IrohConfig target) -> asio::awaitable<Result<std::string>> {
        std::vector<std::unique_ptr<ByteStream>> silent;
        for (int i = 0; i < 10; ++i) {
          auto stream = co_await dial_stream(from, shard, target, 10s);
          if (!stream) {
            if (!stream.error().is(Errc::kRefused)) co_return fail(std::move(stream.error()));
            co_return std::to_string(silent.size());
          }
          silent.push_back(std::move(*stream));
        }
        co_return fail(Errc::kInternal, "all were let in");
      }(*client, shards_[1], to));
  ASSERT_TRUE(outcome) << outcome.error().message();
  EXPECT_GE(std::stoi(*outcome), 2);
  EXPECT_LE(std::stoi(*outcome), 4);
  EXPECT_GE(server->counts().refused, 1u);
  // They are gone, or at their deadline: a healthy peer is served.
  Result<std::string> heard = fail(Errc::kRefused, "");
  for (int i = 0; i < 100 && !heard; ++i) heard = dial_and_say(*client, shards_[0], to, "hello");
  ASSERT_TRUE(heard) << heard.error().message();
}

/// The pure-Rust echo as another process.
class EchoProcess {
 public:
  EchoProcess() {
    std::array<int, 2> in{}, out{};
    EXPECT_EQ(::pipe2(in.data(), O_CLOEXEC), 0);
    EXPECT_EQ(::pipe2(out.data(), O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    ::posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    std::array<char*, 3> arguments{const_cast<char*>(ADIT_BRIDGE_ECHO), const_cast<char*>("serve"), nullptr};
    EXPECT_EQ(::posix_spawn(&pid_, ADIT_BRIDGE_ECHO, &actions, nullptr, arguments.data(), environ), 0);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(in[0]);
    ::close(out[1]);
    input_ = in[1];
    std::string line;
    for (char letter = 0; ::read(out[0], &letter, 1) == 1 && letter != '\n';) line += letter;
    ::close(out[0]);
    std::istringstream fields(line);
    std::string address;
    fields >> config_.endpoint_id >> address;
    config_.addrs = {address};
    config_.alpn = "adit-echo/1";
  }
  ~EchoProcess() {
    ::close(input_);
    kill();
  }
  EchoProcess(const EchoProcess&) = delete;
  EchoProcess& operator=(const EchoProcess&) = delete;

  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(std::exchange(pid_, 0), nullptr, 0);
  }
  [[nodiscard]] const IrohConfig& config() const { return config_; }

 private:
  pid_t pid_ = 0;
  int input_ = -1;
  IrohConfig config_;
};

TEST_F(IrohNode, APeerInPureRustIsUnderstoodAndItsDeathNoticed) {
  EchoProcess peer;
  auto config = loopback(2);
  config.idle_timeout = 6s;
  config.keep_alive = 1s;
  const auto client = node(std::move(config));
  const auto end =
      run_on(shards_[0], [](IrohNodeManager& from, Shard& shard, EchoProcess& other) -> asio::awaitable<Result<std::string>> {
        ADIT_CO_TRY(const auto stream, co_await dial_stream(from, shard, other.config(), 10s));
        ADIT_CO_TRY(const auto heard, co_await say(*stream, "are you there?"));
        other.kill();
        co_return co_await read_some(*stream);
      }(*client, shards_[0], peer));
  ASSERT_FALSE(end);
  EXPECT_TRUE(end.error().is(Errc::kTimedOut)) << end.error().message();
}

}  // namespace
}  // namespace adit::net
