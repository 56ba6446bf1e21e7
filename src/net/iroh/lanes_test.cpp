// Lanes over real iroh: sessions, pooling, who is there.
#include "net/iroh/lanes.h"

#include <future>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/iroh/lanes_testing.h"
#include "net/iroh_connection.h"

namespace adit::net {
namespace {

using namespace test;
using testing::Each;

TEST_F(IrohLanes, AreChosenWhereBothSidesHaveThemAndTheMetadataSaysSo) {
  listen();
  const auto lanes = begin(upstream());
  ASSERT_TRUE(lanes) << lanes.error().message();
  EXPECT_EQ(try_out(**lanes), "");
  const auto metadata = on_client([&]() -> asio::awaitable<ConnectionMetadata> { co_return (*lanes)->metadata(); });
  EXPECT_EQ(metadata.alpn, session::kAlpnLanes);
  EXPECT_EQ(metadata.lanes, 2u);
  EXPECT_EQ(metadata.sessions, 1u);
  EXPECT_EQ(metadata.authority_key, noise::to_text(authority().public_key()));
  EXPECT_TRUE(metadata.certificate_until);

  const auto single = begin(upstream(session::kAlpnMining));
  ASSERT_TRUE(single) << single.error().message();
  EXPECT_EQ(try_out(**single), "");
  const auto other = on_client([&]() -> asio::awaitable<ConnectionMetadata> { co_return (*single)->metadata(); });
  EXPECT_EQ(other.alpn, session::kAlpnMining);
  EXPECT_EQ(other.lanes, 1u);
}

TEST_F(IrohLanes, APeerWithOneStreamIsServedByOne) {
  listen({session::kAlpnMining});
  for (int i = 0; i < 2; ++i) {
    const auto session = begin(upstream());
    ASSERT_TRUE(session) << session.error().message();
    EXPECT_EQ(try_out(**session), "");
    const auto metadata = on_client([&]() -> asio::awaitable<ConnectionMetadata> { co_return (*session)->metadata(); });
    EXPECT_EQ(metadata.alpn, session::kAlpnMining);
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
            done.set_value(co_await from.dial(shard, to, wire::Protocol::kMining, 10s));
          }(*client_, home(), address_of(*server_), promise));
    });
  }
  for (auto& each : dials) {
    auto link = each.get();
    ASSERT_TRUE(link) << link.error().message();
    links_.push_back(std::move(*link));
  }
  auto third = on_client([this]() -> asio::awaitable<Result<Link>> {
    co_return co_await client_->dial(home(), address_of(*server_), wire::Protocol::kMining, 10s);
  });
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
            done.set_value(co_await from.dial(shard, wrong, wire::Protocol::kMining, 3s));
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
    auto link = on_client([this]() -> asio::awaitable<Result<Link>> {
      co_return co_await client_->dial(home(), address_of(*server_), wire::Protocol::kMining, 10s);
    });
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
    while (filled_ < 2 * links_.size()) co_await sleep_for(1ms);  // so that they are full rather than filling
    (*healthy)->send(frames_of(command(kTip)));
    const auto batch = co_await (*healthy)->receive();
    if (!batch) co_return std::string(batch.error().message());
    co_return batch->front().is<wire::SetNewPrevHash>() ? "" : "another frame";
  });
  EXPECT_EQ(outcome, "");
  EXPECT_EQ(try_out(**healthy), "");
}

TEST_F(IrohLanes, AConnectionSplitsIntoAHalfThatTagsFramesByLaneAndOneThatRoutesThem) {
  ASSERT_TRUE(server_->listen({session::kAlpnLanes, session::kAlpnMining}, admission_,
                              [this](Shard& shard, Link link, IrohCarrier::Place) {
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
  for (const char* alpn : {session::kAlpnLanes, session::kAlpnMining}) {
    const auto saw = on_client([this, alpn]() -> asio::awaitable<std::string> {
      auto to = address_of(*server_);
      to.alpn = alpn;
      auto connected =
          co_await IrohConnection::connect(*client_, home(), to, wire::Protocol::kMining, authority().public_key(), 10s, {});
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
          if (data != (each.lane == session::Lane::kData)) co_return "a wrong tag";
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

}  // namespace
}  // namespace adit::net
