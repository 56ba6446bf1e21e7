// Peers that speak lines, over real sockets, for a role that knows no Stratum: what is asked for in bytes is answered in bytes.
#include "net/line_host.h"

#include <netinet/tcp.h>

#include <charconv>
#include <future>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/eventually_testing.h"
#include "log/log_testing.h"
#include "net/net_testing.h"

namespace adit::net {
namespace {

/// Takes numbers, a line each, and answers each by as many bytes; "hello" shows what it is, "work" is a good share, and what is
/// anything else ends the session.
class Counting final : public session::LineSession {
 public:
  void on_bytes(Bytes bytes, const Now&) override {
    line_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    for (auto end = line_.find('\n'); end != std::string::npos; end = line_.find('\n')) {
      take(line_.substr(0, end));
      line_.erase(0, end + 1);
    }
  }
  std::string& output() override { return output_; }
  [[nodiscard]] const std::string& ended() const override { return ended_; }
  [[nodiscard]] bool established() const override { return established_; }
  [[nodiscard]] std::uint64_t good_shares() const override { return shares_; }

 private:
  void take(const std::string& line) {
    std::size_t count = 0;
    if (line == "hello") {
      established_ = true;
    } else if (line == "work") {
      ++shares_;
    } else if (std::from_chars(line.data(), line.data() + line.size(), count).ec == std::errc{}) {
      output_ += std::string(count, 'x');
    } else {
      output_ += "goodbye\n";
      ended_ = "it said " + line;
    }
  }

  std::string line_;
  std::string output_;
  std::string ended_;
  bool established_ = false;
  std::uint64_t shares_ = 0;
};

class LinePart final : public ServicePart, private LineHostRole {
 public:
  LinePart(Shard& home, const LineHostOptions& options, Admission admission, std::shared_ptr<Backlog> backlog)
      : ServicePart(home), host_(*this, options, std::move(admission), *this, std::move(backlog)) {}

  LineHost& host() { return host_; }
  std::vector<std::string> left;      ///< Why each that is gone is gone.
  std::vector<std::uint64_t> served;  ///< Whose output was sent, in that order: its bytes had been handled.
  [[nodiscard]] std::size_t engines() const { return engines_.size(); }

 private:
  void begin() override {}
  void drain(const session::ShutdownBehavior&) override { host_.drain(); }
  void cut_off() override {}
  session::LineSession& join(std::uint64_t connection, const std::string&, const std::string&, const Now&) override {
    return engines_[connection];
  }
  void leave(std::uint64_t connection, const std::string& reason, const Now&) override {
    left.push_back(reason);
    engines_.erase(connection);
  }
  void flush(std::uint64_t connection) override {
    served.push_back(connection);
    host_.flush(connection);
  }

  std::map<std::uint64_t, Counting> engines_;
  LineHost host_;
};

class LineHostTest : public testing::Test {
 protected:
  void start(const LineHostOptions& options, const AdmissionLimits& limits = {}, std::shared_ptr<Backlog> backlog = nullptr) {
    shards_.start();
    admission_.emplace(limits);
    service_.emplace(shards_);
    service_->start([&](Shard& shard) { return std::make_shared<LinePart>(shard, options, *admission_, backlog); });
    listener_ = std::move(*TcpListener::bind(shards_[0], {"127.0.0.1", 0}));
    listener_->start(shards_, [this](Shard& shard, std::unique_ptr<ByteStream> stream) {
      service_->on(shard)->host().take(std::move(stream));
    });
  }
  void TearDown() override {
    if (listener_) listener_->stop();
    if (service_) service_->stop({.kind = session::ShutdownBehavior::Kind::kImmediate});
    shards_.stop(5s);
  }

  template <class Ask>
  auto ask(Ask question) {
    return service_->ask(question).at(0);
  }
  std::vector<std::string> left() {
    return ask([](LinePart& part) { return part.left; });
  }
  Backlog::Counts backlog() {
    return ask([](LinePart& part) { return part.host().backlog().counts(); });
  }
  std::uint64_t slow_readers() {
    return ask([](LinePart& part) { return part.host().slow_readers(); });
  }
  std::size_t engines() {
    return ask([](LinePart& part) { return part.engines(); });
  }
  /// As its clock says, `later` than now.
  void tick(Duration later = {}) {
    ask([later](LinePart& part) {
      auto now = now_from_system();
      now.instant += later;
      part.host().tick(now);
      return true;
    });
  }
  /// A peer comes, asks for `bytes` and has them all: "" or what went wrong.
  std::string newcomer_is_served(std::size_t bytes = 1000) {
    SmallPeer newcomer(listener_->port());
    if (!newcomer.say("hello\n" + std::to_string(bytes) + "\n")) return "it cannot ask";
    const auto got = newcomer.hear(bytes);
    return got == bytes ? "" : "it got " + std::to_string(got) + " bytes of " + std::to_string(bytes);
  }

  /// A peer in whose sockets little fits, here as there: segments of 536 bytes keep the sender's buffer small too.
  class SmallPeer {
   public:
    explicit SmallPeer(std::uint16_t port, std::uint32_t from = INADDR_LOOPBACK, int segment = 536)
        : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
      const int small = 4096;
      ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
      ::setsockopt(fd_, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
      const timeval limit{.tv_sec = 60, .tv_usec = 0};
      ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
      sockaddr_in own{};
      own.sin_family = AF_INET;
      own.sin_addr.s_addr = htonl(from);
      EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&own), sizeof own), 0);
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_port = htons(port);
      to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      EXPECT_EQ(::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
    }
    SmallPeer(SmallPeer&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    ~SmallPeer() {
      if (fd_ >= 0) ::close(fd_);
    }
    bool say(std::string_view text) {
      return ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
    }
    /// Reads until that many bytes have come, or the end: how many came.
    std::size_t hear(std::size_t bytes) {
      std::array<char, 4096> buffer{};
      std::size_t heard = 0;
      while (heard < bytes) {
        const auto got = ::recv(fd_, buffer.data(), std::min(buffer.size(), bytes - heard), 0);
        if (got <= 0) break;
        heard += static_cast<std::size_t>(got);
      }
      return heard;
    }
    /// Reads until the end: whether it came within a minute.
    bool ends() {
      (void)hear(SIZE_MAX);
      char byte = 0;
      const auto got = ::recv(fd_, &byte, 1, 0);
      return got == 0 || errno == ECONNRESET;
    }

   private:
    int fd_;
  };

  Shards shards_{1};
  std::optional<Admission> admission_;
  std::optional<Service<LinePart>> service_;
  std::unique_ptr<TcpListener> listener_;
};

TEST_F(LineHostTest, EachPeerHasItsAnswersAndItsEngineGoesWithIt) {
  start({.name = "lines"});
  {
    SmallPeer one(listener_->port());
    SmallPeer other(listener_->port());
    ASSERT_TRUE(one.say("hello\n10000\n") && other.say("5\n"));
    EXPECT_EQ(one.hear(10'000), 10'000u);
    EXPECT_EQ(other.hear(5), 5u);
    EXPECT_EQ(engines(), 2u);
    EXPECT_EQ(admission_->counts().handshakes, 1u) << "the other has not shown what it is";
  }
  EXPECT_TRUE(eventually([&] { return left().size() == 2; }));
  EXPECT_EQ(engines(), 0u);
  EXPECT_EQ(admission_->counts().connections, 0u);
}

TEST_F(LineHostTest, APeerThatFloodsLeavesOthersTheirTurns) {
  start({.name = "lines"});
  SmallPeer flooding(listener_->port(), INADDR_LOOPBACK, 32'000);
  ASSERT_TRUE(flooding.say("hello\n1\n"));
  ASSERT_EQ(flooding.hear(1), 1u);  // So it is connection 1.
  SmallPeer other(listener_->port());
  ASSERT_TRUE(other.say("hello\n1\n"));
  ASSERT_EQ(other.hear(1), 1u);
  std::string shares;  // Of more than two reads.
  for (int i = 0; i < 8000; ++i) shares += "work\n";
  // Both are there before the shard, whose thread this holds, reads either.
  ASSERT_EQ(ask([&](LinePart& part) {
              part.served.clear();
              return static_cast<int>(flooding.say(shares)) + static_cast<int>(other.say("1\n"));
            }),
            2);
  EXPECT_EQ(other.hear(1), 1u);
  const auto served = [&] { return ask([](LinePart& part) { return part.served; }); };
  ASSERT_TRUE(eventually([&] { return served().size() >= 4; }));
  EXPECT_NE(served().back(), 2u) << "the flood was read to its end before it";
}

TEST_F(LineHostTest, WhoeverIsSentAwayReadsTheLastWordsAndIsClosedInTime) {
  start({.name = "lines"});
  SmallPeer rude(listener_->port());
  ASSERT_TRUE(rude.say("nonsense\n"));
  EXPECT_EQ(rude.hear(8), 8u);
  SmallPeer stays(listener_->port());
  ASSERT_TRUE(stays.say("nonsense\n"));
  EXPECT_EQ(stays.hear(8), 8u);
  EXPECT_TRUE(rude.ends());
  tick(kLastMessageDeadline + 1s);
  EXPECT_TRUE(eventually([&] { return engines() == 0; }));
  EXPECT_THAT(left(), testing::Each("it said nonsense"));
  EXPECT_EQ(newcomer_is_served(), "");
}

TEST_F(LineHostTest, WhoeverDoesNotReadIsNotReadEitherAndCutOffAtItsBoundOrItsDeadline) {
  log::test::Captured log;
  start({.name = "lines", .max_queued_bytes = 1 << 20, .stalled_deadline = 30s});
  SmallPeer greedy(listener_->port());
  ASSERT_TRUE(greedy.say("3000000\n"));
  ASSERT_TRUE(eventually([&] { return slow_readers() == 1; }));
  EXPECT_TRUE(greedy.ends());
  EXPECT_THAT(log.lines("lines.slow_reader").at(0), HasSubstr("more than 1048576 bytes"));

  SmallPeer slow(listener_->port());
  ASSERT_TRUE(slow.say("900000\n"));
  ASSERT_TRUE(eventually([&] { return backlog().bytes > 0; }));
  ASSERT_TRUE(slow.say("500000\n"));  // With which it would be beyond the bound: it is not read.
  tick(29s);
  EXPECT_EQ(slow_readers(), 1u);
  tick(31s);
  EXPECT_EQ(slow_readers(), 2u);
  EXPECT_EQ(backlog().bytes, 0u);
  EXPECT_TRUE(slow.ends());
  EXPECT_EQ(newcomer_is_served(), "");
}

TEST_F(LineHostTest, WhoeverAsksMuchBeforeItReadsIsSlowedDownAndHasEveryAnswer) {
  start({.name = "lines", .max_queued_bytes = 8 << 20});
  SmallPeer eager(listener_->port());
  for (int i = 0; i < 15; ++i) ASSERT_TRUE(eager.say("100000\n"));
  ASSERT_TRUE(eventually([&] { return backlog().bytes >= 1 << 20; }));
  for (int i = 15; i < 50; ++i) ASSERT_TRUE(eager.say("100000\n"));
  EXPECT_EQ(newcomer_is_served(), "");
  EXPECT_LE(backlog().bytes, 1'500'000u) << "what it asks now is not read yet";
  EXPECT_EQ(eager.hear(5'000'000), 5'000'000u);
  EXPECT_EQ(slow_readers(), 0u);
}

// audit.md L13: each within its own bound, a source had as much unread as it had connections.
TEST_F(LineHostTest, ManyConnectionsOfOneSourceThatDoNotReadAreHeldInSumAndNobodyElseIsCutOff) {
  log::test::Captured log;
  start({.name = "lines"}, {.source_costs = {.amount = 100'000}},
        std::make_shared<Backlog>(BacklogBounds{.per_source = 1 << 20, .in_all = 8 << 20}));
  constexpr std::uint32_t kAbusive = 0x7f000009;
  // At the same address, it reads, though slowly: what waits for it is less than what waits for its neighbours.
  SmallPeer neighbour(listener_->port(), kAbusive);
  ASSERT_TRUE(neighbour.say("hello\n250000\n"));
  ASSERT_TRUE(eventually([&] { return backlog().bytes > 0; }));
  std::size_t heard = neighbour.hear(245'000);
  std::vector<SmallPeer> silent;
  for (int i = 0; i < 60; ++i) {
    silent.emplace_back(listener_->port(), kAbusive);
    ASSERT_TRUE(silent.back().say("250000\n"));
    ASSERT_LE(backlog().bytes, std::size_t{1} << 20);
    if (i % 20 == 10) {
      EXPECT_EQ(newcomer_is_served(100'000), "") << "it comes while " << i << " do not read";
    }
  }
  ASSERT_TRUE(eventually([&] { return slow_readers() > 40; }));
  EXPECT_LE(backlog().bytes, std::size_t{1} << 20);
  EXPECT_EQ(backlog().cut, slow_readers());
  EXPECT_EQ(heard + neighbour.hear(5'000), 250'000u) << "it was not cut off for them";
  EXPECT_THAT(log.lines("lines.slow_reader").at(0), HasSubstr("for others of its source"));
  EXPECT_LE(log.lines("lines.slow_reader").size(), 10u);
  EXPECT_TRUE(silent.front().ends()) << "the one that took nothing for longest is among them";
}

TEST_F(LineHostTest, AConnectionThatShowsNoWorkGivesItsPlaceUpAndIsToldApartFromOneThatWorks) {
  start({.name = "lines"}, {.max_connections = 2, .reserve_percent = 0, .unproven_time = 0s});
  SmallPeer works(listener_->port());
  ASSERT_TRUE(works.say("hello\nwork\n1\n"));
  EXPECT_EQ(works.hear(1), 1u);
  tick();
  ASSERT_EQ(admission_->counts().proven, 1u);
  SmallPeer idle(listener_->port());
  ASSERT_TRUE(idle.say("hello\n1\n"));
  EXPECT_EQ(idle.hear(1), 1u);
  EXPECT_EQ(newcomer_is_served(), "");
  EXPECT_TRUE(idle.ends());
  ASSERT_TRUE(works.say("7\n"));
  EXPECT_EQ(works.hear(7), 7u);
}

TEST_F(LineHostTest, AnEndOfTheServiceEndsEveryPeerAndTellsTheRoleWhy) {
  start({.name = "lines"});
  SmallPeer reads(listener_->port());
  SmallPeer does_not(listener_->port());
  ASSERT_TRUE(reads.say("1\n") && does_not.say("200000\n"));
  EXPECT_EQ(reads.hear(1), 1u);
  ASSERT_TRUE(eventually([&] { return backlog().bytes > 0; }));
  listener_->stop();
  service_->stop({.deadline = 5s});
  EXPECT_TRUE(reads.ends());
  EXPECT_TRUE(does_not.ends());
  EXPECT_THAT(left(), testing::ElementsAre("the lines stops", "the lines stops"));
  EXPECT_EQ(backlog().bytes, 0u);
  EXPECT_EQ(admission_->counts().connections, 0u);
}

}  // namespace
}  // namespace adit::net
