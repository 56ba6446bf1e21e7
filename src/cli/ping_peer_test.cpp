#include "cli/ping_peer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "net/error.h"
#include "net/net_testing.h"
#include "session/dispatch.h"
#include "session/error.h"
#include "wire/adit_messages.h"
#include "wire/common_messages.h"
#include "wire/mining_messages.h"

namespace adit::cli {
namespace {

namespace asio = net::asio;
using testing::ElementsAre;
using testing::HasSubstr;

enum class Answer { kOpens, kRefuses, kHangsUp };

/// A pool with channels that hangs up on whoever asks about extensions.
class StubbornPool {
 public:
  StubbornPool(net::Shards& shards, Answer answer) : shards_(shards), answer_(answer) {
    listener_ = std::move(*net::TcpListener::bind(shards[0], {"127.0.0.1", 0}));
    listener_->start(shards, [this](net::Shard& shard, std::unique_ptr<net::ByteStream> stream) {
      shard.spawn(serve(shard, std::move(stream)));
    });
  }
  // Its connections run on the shards and use it.
  ~StubbornPool() {
    listener_->stop();
    shards_.stop(Duration::zero());
  }

  [[nodiscard]] net::Peer peer() const {
    return {.transport = net::TcpConfig{"127.0.0.1", listener_->port()}, .authority = net::authority_of(7).public_key()};
  }
  /// What it was asked, in this order.
  [[nodiscard]] std::vector<std::string> asked() {
    const std::scoped_lock lock(mutex_);
    return asked_;
  }

 private:
  void note(std::string_view name) {
    const std::scoped_lock lock(mutex_);
    asked_.emplace_back(name);
  }

  asio::awaitable<void> serve(net::Shard& shard, std::unique_ptr<net::ByteStream> stream) {
    auto codec = co_await net::respond(shard, *stream, certificate_, {});
    if (!codec) co_return;
    net::FramedConnection connection(shard, std::move(stream), std::move(*codec), {.max_queued_bytes = 1 << 20});
    for (;;) {
      const auto batch = co_await connection.receive();
      if (!batch) co_return;
      wire::FrameBuffer out;
      bool hangs_up = false;
      for (const auto& frame : *batch) {
        if (frame.is<wire::SetupConnection>()) {
          const auto setup = session::decode<wire::SetupConnection>(frame);
          const bool declares = setup && setup->protocol == 1 && setup->flags == wire::kDeclareTxData;
          note(declares ? "set-up for declarations" : "set-up");
          out.push(wire::SetupConnectionSuccess{.used_version = wire::kProtocolVersion});
        } else if (frame.is<wire::OpenExtendedMiningChannel>()) {
          note("channel");
          hangs_up = answer_ == Answer::kHangsUp;
          wire::OpenExtendedMiningChannelSuccess opened{.request_id = 1, .channel_id = 1, .extranonce_size = 8};
          opened.target.fill(0xff);
          if (answer_ == Answer::kOpens) out.push(opened);
          if (answer_ == Answer::kRefuses)
            out.push(wire::OpenMiningChannelError{.request_id = 1, .error_code = "unknown-user"});
        } else if (frame.header.extension_type == wire::kExtensionsNegotiation) {
          note("extensions");
          hangs_up = true;
        }
      }
      connection.send(out);
      if (!hangs_up) continue;
      co_await connection.drain(std::chrono::seconds(1));
      co_return;
    }
  }

  net::Shards& shards_;
  const Answer answer_;
  noise::CertificateSource certificate_{net::authority_of(7), std::chrono::hours(1), noise::system_random()};
  std::unique_ptr<net::TcpListener> listener_;
  std::mutex mutex_;
  std::vector<std::string> asked_;
};

class PingPeer : public net::Net {
 protected:
  Result<> ping(StubbornPool& pool) {
    return ping_peer(shards_, pool.peer(), nullptr, {.deadline = std::chrono::seconds(60), .user = "farm"}, report_);
  }
  PeerReport report_;
};

TEST_F(PingPeer, TheChannelIsAskedForBeforeTheExtensionWhichMayEndTheConnection) {
  StubbornPool pool(shards_, Answer::kOpens);
  const auto asked = ping(pool);
  EXPECT_TRUE(asked) << asked.error().message();
  EXPECT_TRUE(report_.user_accepted);
  EXPECT_FALSE(report_.extension);
  EXPECT_THAT(pool.asked(), ElementsAre("set-up", "channel", "extensions"));
}

TEST_F(PingPeer, AUserThatIsRefusedIsTheAnswerWhateverFollows) {
  StubbornPool pool(shards_, Answer::kRefuses);
  const auto asked = ping(pool);
  ASSERT_FALSE(asked);
  EXPECT_TRUE(asked.error().is(session::Errc::kRefused)) << asked.error().message();
  EXPECT_THAT(asked.error().message(), HasSubstr("unknown-user"));
  EXPECT_FALSE(report_.user_accepted);
  EXPECT_THAT(pool.asked(), ElementsAre("set-up", "channel", "extensions"));
}

TEST_F(PingPeer, ADeclaratorIsAskedForASessionAlone) {
  StubbornPool pool(shards_, Answer::kOpens);
  const auto asked = ping_peer(
      shards_, pool.peer(), nullptr,
      {.protocol = wire::Protocol::kJobDeclaration, .flags = wire::kDeclareTxData, .deadline = std::chrono::seconds(60)},
      report_);
  EXPECT_TRUE(asked) << asked.error().message();
  EXPECT_THAT(pool.asked(), ElementsAre("set-up for declarations", "extensions"));
}

TEST_F(PingPeer, AConnectionThatIsLostOverTheChannelRefusesNoUser) {
  StubbornPool pool(shards_, Answer::kHangsUp);
  const auto asked = ping(pool);
  ASSERT_FALSE(asked);
  EXPECT_FALSE(asked.error().is(session::Errc::kRefused)) << asked.error().message();
  EXPECT_GT(report_.setup, Duration::zero());
}

}  // namespace
}  // namespace adit::cli
