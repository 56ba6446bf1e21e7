// The load's driver against our own pool on an embedded chain.
#include "roles/load/load.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "base/eventually_testing.h"
#include "net/tcp.h"
#include "roles/pool/server.h"
#include "template/embedded.h"

namespace adit::load {
namespace {

using namespace std::chrono_literals;

noise::Secret authority_secret() {
  std::array<std::uint8_t, 32> bytes{};
  bytes.fill(7);
  return noise::Secret(bytes);
}

templates::EmbeddedSource::Options chain(Duration new_tip_every) {
  templates::EmbeddedSource::Options options;
  options.new_tip_every = new_tip_every;
  return options;
}

class LoadTest : public testing::Test {
 protected:
  static constexpr std::size_t kConnections = 50;

  void start_pool(Duration new_tip_every = 0s) {
    pool_shards_.start();
    load_shards_.start();
    source_.emplace(chain(new_tip_every));
    pool::ServerOptions options;
    options.listen = net::TcpConfig{"127.0.0.1", 0};
    options.sv1_listen = net::TcpConfig{"127.0.0.1", 0};
    options.authority_secret = authority_secret();
    options.jobs = {.payout_script = {0x51}, .pool_signature = "load"};
    // So that a hash rate near 0 means the easiest target there is.
    options.session.channel.shares_per_minute = 120;
    server_.emplace(pool_shards_, *source_, std::move(options));
    ASSERT_TRUE(server_->start());
  }

  LoadOptions options() {
    LoadOptions load;
    load.pool = {.transport = net::TcpConfig{"127.0.0.1", server_->tcp_port()},
                 .authority = noise::AuthorityKeyPair::from_secret(authority_secret())->public_key()};
    load.connections = kConnections;
    load.session.user = "load.test";
    load.pid = ::getpid();
    return load;
  }

  void TearDown() override {
    if (server_) server_->stop(5s);
    load_shards_.stop(5s);
    pool_shards_.stop(5s);
  }

  /// Runs until `enough` shares are accepted (`tips` are heard), at most two minutes.
  Measured measure(Load& load, std::uint64_t enough, std::uint64_t tips) {
    EXPECT_TRUE(load.begin());
    for (int tries = 0; tries < 2400; ++tries) {
      std::this_thread::sleep_for(50ms);
      const auto stats = server_->stats();
      if (stats.miners.shares_accepted >= enough && stats.jobs >= tips) break;
    }
    auto measured = load.finish();
    EXPECT_TRUE(measured);
    return measured ? std::move(*measured) : Measured{};
  }

  net::Shards pool_shards_{1};
  net::Shards load_shards_{2};
  std::optional<templates::EmbeddedSource> source_;
  std::optional<pool::PoolServer> server_;
};

TEST_F(LoadTest, AFloodOfRealSharesIsAcceptedAndAcknowledged) {
  start_pool();
  for (const bool extended : {false, true}) {
    LoadOptions wanted = options();
    wanted.flood = true;
    wanted.session.extended = extended;
    Load load(load_shards_, std::move(wanted));
    const auto opened = load.open();
    ASSERT_TRUE(opened) << opened.error().message();
    EXPECT_GT(*opened->pool_cpu, 0s);
    const auto before = server_->stats().miners;
    EXPECT_EQ(extended ? before.extended_channels : before.standard_channels, kConnections);
    const Measured measured = measure(load, before.shares_accepted + 20'000, 0);
    EXPECT_GT(measured.meter.accepted, 1'000U);
    EXPECT_TRUE(measured.meter.rejected.empty());
    EXPECT_EQ(measured.lost, 0U);
    EXPECT_EQ(measured.connections, kConnections);
    EXPECT_GT(measured.meter.acknowledged.count(), 0U);
    EXPECT_GT(*measured.pool_cpu, 0s);
    EXPECT_EQ(server_->stats().miners.blocks_found, 0U) << "a load's shares are no blocks";
  }
}

TEST_F(LoadTest, MinersOfStratumV1SubmitTheirFirstShareAndThenAsManyAsAreAnswered) {
  start_pool();
  LoadOptions wanted = options();
  wanted.pool = {.dialect = net::Dialect::kStratumV1, .transport = net::TcpConfig{"127.0.0.1", server_->sv1_port()}};
  wanted.flood = true;
  Load load(load_shards_, std::move(wanted));
  const auto opened = load.open();
  ASSERT_TRUE(opened) << opened.error().message();
  EXPECT_GE(server_->stats().miners.shares_accepted, kConnections);
  const Measured measured = measure(load, kConnections + 5'000, 0);
  EXPECT_GT(measured.meter.accepted, 1'000U);
  EXPECT_TRUE(measured.meter.rejected.empty());
  EXPECT_EQ(measured.connections, kConnections);
  EXPECT_EQ(measured.lost, 0U);
  EXPECT_GT(measured.meter.acknowledged.count(), 0U);
}

TEST_F(LoadTest, NoMoreSharesAreSubmittedThanInAll) {
  start_pool();
  LoadOptions wanted = options();
  wanted.flood = true;
  wanted.shares = 700;
  Load load(load_shards_, std::move(wanted));
  ASSERT_TRUE(load.open());
  ASSERT_TRUE(load.begin());
  EXPECT_TRUE(eventually([&] { return load.is_through(); }));
  const auto measured = load.finish();
  ASSERT_TRUE(measured);
  EXPECT_EQ(measured->meter.submitted, 700U);
  EXPECT_EQ(measured->meter.accepted, 700U);
}

TEST_F(LoadTest, PacedSharesComeNoFasterThanAsked) {
  start_pool();
  LoadOptions wanted = options();
  wanted.rate = 500;
  Load load(load_shards_, std::move(wanted));
  ASSERT_TRUE(load.open());
  const Measured measured = measure(load, 600, 0);
  EXPECT_GT(measured.meter.accepted, 0U);
  EXPECT_LE(static_cast<double>(measured.meter.submitted), 500 * std::chrono::duration<double>(measured.taken).count() + 51);
}

TEST_F(LoadTest, ATipIsHeardByEveryConnection) {
  start_pool(200ms);
  Load load(load_shards_, options());
  ASSERT_TRUE(load.open());
  const Measured measured = measure(load, 0, server_->stats().jobs + 5);
  std::size_t whole = 0;
  for (const Tip& tip : measured.meter.tips) whole += tip.heard.size() == kConnections ? 1U : 0U;
  EXPECT_GE(whole, 2U);
  EXPECT_EQ(measured.meter.submitted, 0U);
}

TEST_F(LoadTest, BegunAgainAtOnceItPacesAsItDidAtFirst) {
  start_pool();
  LoadOptions wanted = options();
  wanted.rate = 200;
  const double rate = wanted.rate;
  Load load(load_shards_, std::move(wanted));
  ASSERT_TRUE(load.open());
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(load.begin());
    ASSERT_TRUE(load.finish());
  }
  const auto before = server_->stats().miners.shares_accepted;
  const auto begun = std::chrono::steady_clock::now();
  ASSERT_TRUE(load.begin());
  ASSERT_TRUE(eventually(
      [&] { return std::chrono::steady_clock::now() - begun >= 500ms && server_->stats().miners.shares_accepted > before; }));
  const auto measured = load.finish();
  ASSERT_TRUE(measured);
  EXPECT_GT(measured->meter.submitted, 0U);
  EXPECT_LE(static_cast<double>(measured->meter.submitted + measured->meter.held_back),
            2 + rate * std::chrono::duration<double>(measured->taken).count());
}

TEST_F(LoadTest, APoolThatIsNotThereIsAnError) {
  start_pool();
  LoadOptions wanted = options();
  wanted.pool.transport = net::TcpConfig{"127.0.0.1", 1};
  Load load(load_shards_, std::move(wanted));
  const auto opened = load.open();
  ASSERT_FALSE(opened);
  EXPECT_TRUE(opened.error().is(net::Errc::kRefused)) << opened.error().message();
}

TEST(AllowConnections, TheLimitIsLiftedOrNamed) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_TRUE(allow_connections(static_cast<std::size_t>(before.rlim_cur) - 64));
  const auto impossible = allow_connections(std::size_t{1} << 40);
  ASSERT_FALSE(impossible);
  EXPECT_TRUE(impossible.error().is(Errc::kResources));
  rlimit after{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &after), 0);
  EXPECT_EQ(after.rlim_max, before.rlim_max);
}

}  // namespace
}  // namespace adit::load
