// What an iroh endpoint of ours must bear: peers that die, lie and abuse, each a process of its own, beside a healthy one.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <initializer_list>
#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/iroh/node_testing.h"

extern char** environ;

namespace adit::net {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;
using namespace test;

constexpr const char* kAlpn = "adit-test/1";

/// adit_iroh_peer, see there.
class Peer {
 public:
  explicit Peer(std::vector<std::string> arguments) {
    std::array<int, 2> in{}, out{};
    EXPECT_EQ(::pipe2(in.data(), O_CLOEXEC), 0);
    EXPECT_EQ(::pipe2(out.data(), O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    ::posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    arguments.insert(arguments.begin(), ADIT_IROH_PEER);
    std::vector<char*> texts;
    for (auto& argument : arguments) texts.push_back(argument.data());
    texts.push_back(nullptr);
    EXPECT_EQ(::posix_spawn(&pid_, ADIT_IROH_PEER, &actions, nullptr, texts.data(), environ), 0);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(in[0]);
    ::close(out[1]);
    input_ = in[1];
    output_ = out[0];
  }
  ~Peer() {
    kill();
    ::close(input_);
    ::close(output_);
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  /// As a crash would end it.
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(std::exchange(pid_, 0), nullptr, 0);
  }

  /// The exit code of one that ends by itself.
  int exit_code() {
    int status = 0;
    ::waitpid(std::exchange(pid_, 0), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  void tell(const std::string& line) {
    const auto text = line + "\n";
    EXPECT_EQ(::write(input_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }

  /// Its next line; empty once it has ended.
  std::string line() {
    std::string text;
    for (char letter = 0; ::read(output_, &letter, 1) == 1 && letter != '\n';) text += letter;
    return text;
  }

  /// Where a serving one listens: its first line.
  IrohConfig address() {
    std::istringstream fields(line());
    IrohConfig config;
    std::string address;
    fields >> config.endpoint_id >> address;
    config.addrs = {address};
    config.alpn = kAlpn;
    return config;
  }

 private:
  pid_t pid_ = 0;
  int input_ = -1;
  int output_ = -1;
};

/// What this process takes of memory from its making on. Under a sanitizer nothing is judged: its shadow grows with every
/// byte that was ever touched, whoever gave it back.
class Memory {
 public:
  void expect_little_more() const { EXPECT_LT(resident(), before_ + (64u << 20)); }

 private:
  static std::size_t resident() {
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return 0;
#else
    std::ifstream file("/proc/self/statm");
    std::size_t all = 0, pages = 0;
    file >> all >> pages;
    return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
#endif
  }
  std::size_t before_ = resident();
};

class IrohProof : public IrohNodes {
 protected:
  static std::vector<std::string> command(std::string name, const IrohNodeManager& to,
                                          std::initializer_list<std::string> more = {}) {
    std::vector<std::string> arguments{std::move(name), to.endpoint_id(), to.local_addresses().front()};
    arguments.insert(arguments.end(), more);
    return arguments;
  }

  static IrohConfig tested(const IrohNodeManager& node) {
    auto config = address_of(node);
    config.alpn = kAlpn;
    return config;
  }

  /// A healthy peer's day: every dial succeeds, every word comes back; and that of an endpoint that nobody has seen before and
  /// that comes only now.
  void expect_served(IrohNodeManager& client, const IrohConfig& to, const char* when) {
    for (int i = 0; i < 10; ++i) {
      const auto heard = dial_and_say(client, shards_[1], to, "shall we?");
      ASSERT_TRUE(heard) << when << ", dial " << i << ": " << heard.error().message();
      EXPECT_EQ(*heard, "shall we?");
    }
    const auto newcomer = node(loopback(200));
    for (const auto* const words : {"here I am", "still here"}) {
      const auto heard = dial_and_say(*newcomer, shards_[0], to, words);
      ASSERT_TRUE(heard) << when << ", a newcomer: " << heard.error().message();
      EXPECT_EQ(*heard, words);
    }
  }
};

TEST_F(IrohProof, ADialledPeerThatIsKilledIsMissedAndItsSuccessorServesUnderTheSameKey) {
  Peer first({"--key", "77", "serve"});
  const auto to = first.address();
  auto config = loopback(2);
  config.idle_timeout = 6s;
  config.keep_alive = 1s;
  const auto client = node(std::move(config));
  const auto end =
      run_on(shards_[0],
             [](IrohNodeManager& from, Shard& shard, Peer& peer, IrohConfig target) -> asio::awaitable<Result<std::string>> {
               ADIT_CO_TRY(const auto stream, co_await dial_stream(from, shard, target, 10s));
               ADIT_CO_TRY(const auto heard, co_await say(*stream, "are you there?"));
               peer.kill();
               co_return co_await read_some(*stream);
             }(*client, shards_[0], first, to));
  ASSERT_FALSE(end);
  EXPECT_TRUE(end.error().is(Errc::kTimedOut)) << end.error().message();

  Peer second({"--key", "77", "serve"});
  const auto again = second.address();
  EXPECT_EQ(again.endpoint_id, to.endpoint_id);
  expect_served(*client, again, "after the restart");
}

TEST_F(IrohProof, AnAcceptedPeerThatIsKilledIsMissedAndItsPlaceGivenBack) {
  auto config = loopback(1);
  config.idle_timeout = 6s;
  config.keep_alive = 1s;
  const auto server = node(std::move(config));
  std::promise<std::string> ended;
  std::promise<void> greeted;
  ASSERT_TRUE(server->listen({kAlpn}, Admission({}), [&](Shard& shard, Link link, IrohCarrier::Place) {
    shard.spawn([](std::unique_ptr<ByteStream> peer, std::promise<void>& first,
                   std::promise<std::string>& saw) -> asio::awaitable<void> {
      auto got = co_await read_some(*peer);
      if (got) (void)co_await write_all(*peer, as_bytes(*got));
      first.set_value();
      got = co_await read_some(*peer);
      saw.set_value(got ? "more" : std::string(got.error().name()));
    }(std::move(link.stream), greeted, ended));
  }));
  Peer client(command("talk", *server));
  client.tell("hello");
  EXPECT_EQ(client.line(), "hello");
  greeted.get_future().get();
  client.kill();
  EXPECT_EQ(ended.get_future().get(), "timed_out");
}

TEST_F(IrohProof, APeerThatNeverWritesKeepsNobodyFromBeingServed) {
  auto config = loopback(1);
  config.accept_deadline = 5s;
  const auto server = node(std::move(config)), client = node(loopback(2));
  serve_echo(*server, Admission({}), kAlpn);
  Peer abuser(command("mute", *server, {"100"}));
  EXPECT_EQ(abuser.line(), "100");
  expect_served(*client, tested(*server), "beside 100 silent connections");
}

TEST_F(IrohProof, APeerThatNeverReadsCostsItsWindowsAndNoMore) {
  const auto server = node(loopback(1)), client = node(loopback(2));
  serve_echo(*server, Admission({}), kAlpn);
  const Memory memory;
  std::vector<std::unique_ptr<Peer>> abusers;
  for (int i = 0; i < 4; ++i) abusers.push_back(std::make_unique<Peer>(command("deaf", *server)));
  // What a deaf peer could write is what its window there, the echo's buffer and our send window hold.
  for (const auto& abuser : abusers) EXPECT_LT(std::stoul("0" + abuser->line()), 4u << 20);
  expect_served(*client, tested(*server), "beside peers that never read");
  memory.expect_little_more();
}

TEST_F(IrohProof, APeerThatAsksForTenThousandStreamsGetsWhatSixteenSessionsNeed) {
  const auto server = node(loopback(1)), client = node(loopback(2));
  serve_echo(*server, Admission({}), kAlpn);
  const Memory memory;
  Peer abuser(command("streams", *server, {"10000"}));
  EXPECT_EQ(abuser.line(), "32");
  expect_served(*client, tested(*server), "beside a peer that opens streams");
  memory.expect_little_more();
}

TEST_F(IrohProof, HandshakesThatNobodyFinishesKeepNobodyOut) {
  const auto server = node(loopback(1)), client = node(loopback(2));
  serve_echo(*server, Admission({}), kAlpn);
  const Memory memory;
  // More than may be pending at a time, from one address that answers nothing.
  Peer abuser(command("flood", *server, {"3000", "127.0.0.9"}));
  EXPECT_NE(abuser.line(), "");
  expect_served(*client, tested(*server), "after a flood of first packets");
  // They hold the places of the unproved, and whoever comes then has to prove its address first.
  EXPECT_GE(server->counts().validated, 2000u);
  memory.expect_little_more();
}

TEST_F(IrohProof, AnEndpointUnderAnotherKeyIsNotTakenForTheOneDialled) {
  const auto server = node(loopback(1)), other = node(loopback(3)), client = node(loopback(2));
  serve_echo(*server, Admission({}), kAlpn);
  serve_echo(*other, Admission({}), kAlpn);
  auto to = tested(*server);
  to.addrs = other->local_addresses();
  const auto heard = dial_and_say(*client, shards_[0], to, "is it you?");
  ASSERT_FALSE(heard);
  EXPECT_TRUE(heard.error().is(Errc::kHandshake)) << heard.error().message();
  EXPECT_THAT(heard.error().message(), HasSubstr("another endpoint id answers"));
  // A new endpoint: iroh keeps trying addresses that it was once given for an id.
  expect_served(*node(loopback(4)), tested(*server), "beside a wrong one");
}

}  // namespace
}  // namespace adit::net
