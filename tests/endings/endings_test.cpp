// Endings under a stream of shares, at random moments, from each side and from both, over each carrier: where every Goodbye was
// acknowledged, the shares that the pool counted are those that it acknowledged. ADIT_ENDINGS says how many a case does (20).
#include <cstdio>
#include <cstdlib>
#include <random>

#include "net/url.h"
#include "roles/translator/server.h"
#include "roles/translator/test_support.h"

#ifdef ADIT_HAS_IROH
#include "net/iroh/test_support.h"
#endif

namespace adit::translator {
namespace {

using namespace test;
using Kind = net::ShutdownBehavior::Kind;

int rounds() {
  const char* const asked = std::getenv("ADIT_ENDINGS");  // NOLINT(concurrency-mt-unsafe): nothing sets variables
  return asked != nullptr ? std::max(1, std::atoi(asked)) : 20;
}

/// What one ending came to.
struct Outcome {
  std::uint64_t counted = 0;
  std::uint64_t acknowledged = 0;
  std::uint64_t unanswered = 0;
  bool agreed = false;  ///< Both sides saw every Goodbye acknowledged.
};

enum class Over { kTcp, kLanes, kOneStream };

struct Ending {
  Over over = Over::kTcp;
  bool pool_stops = false;
  bool translator_stops = false;
  Kind kind = Kind::kGoodbye;
  Duration after{};
};

Outcome run(const Ending& ending) {
  const bool over_iroh = ending.over != Over::kTcp;
  net::Shards pool_shards(2);
  net::Shards translator_shards(1);
  pool_shards.start();
  translator_shards.start();
  pool::ServerOptions options;
  std::unique_ptr<net::IrohCarrier> pool_node;
  std::unique_ptr<net::IrohCarrier> translator_node;
#ifdef ADIT_HAS_IROH
  if (over_iroh) {
    pool_node = std::move(*net::IrohNodeManager::start(pool_shards, net::test::loopback(1)));
    translator_node = std::move(*net::IrohNodeManager::start(translator_shards, net::test::loopback(2)));
  }
#endif
  if (over_iroh)
    options.iroh = pool_node.get();
  else
    options.listen = net::TcpConfig{"127.0.0.1", 0};
  options.authority_secret = authority().secret().copy();
  options.jobs = {.payout_script = {0x51}, .pool_signature = "test"};
  options.session.channel.shares_per_minute = 6000;
  options.session.channel.min_hash_rate_hps = 0.001;
  options.session.channel.share_batch_size = 10;
  templates::EmbeddedSource::Options chain;
  chain.chain.nbits = 0x1d00ffff;  // No share is a block.
  templates::EmbeddedSource source(std::move(chain));
  std::optional<pool::PoolServer> pool;
  pool.emplace(pool_shards, source, std::move(options));
  EXPECT_TRUE(pool->start());

  UpstreamTarget target{
      .peer = {.transport = net::TcpConfig{"127.0.0.1", pool->tcp_port()}, .authority = authority().public_key()},
      .user_identity = "test",
      .goodbye = true};
  if (over_iroh) {
    net::IrohConfig iroh{.endpoint_id = pool_node->endpoint_id(), .addrs = pool_node->local_addresses()};
    if (ending.over == Over::kOneStream) iroh.alpn = net::kAlpnMining;
    target.peer.transport = iroh;
  }
  ServerOptions ours;
  ours.listen = {"127.0.0.1", 0};
  ours.upstreams = {target};
  ours.iroh = translator_node.get();
  ours.translator.min_hash_rate_hps = 1;
  ours.translator.shares_per_minute = 6000;
  ours.translator.vardiff = false;
  std::optional<TranslatorServer> translator;
  translator.emplace(translator_shards, std::move(ours));
  EXPECT_TRUE(translator->start());

  std::atomic<bool> leave{false};
  std::vector<std::thread> miners;
  for (int i = 0; i < 2; ++i) {
    miners.emplace_back([&, port = translator->port()] {
      TestMiner miner(port);
      miner.set_patience(200us);
      while (!leave && !miner.ended()) {
        if (miner.works.empty())
          miner.pump();
        else
          miner.submit_share();
      }
    });
  }
  EXPECT_TRUE(eventually([&] { return pool->stats().pool.shares_accepted > 0; }));
  std::this_thread::sleep_for(ending.after);
  const net::ShutdownBehavior behavior{.kind = ending.kind, .deadline = 20s};
  std::thread other;
  if (ending.pool_stops) other = std::thread([&] { pool->stop(behavior); });
  if (ending.translator_stops) translator->stop(behavior);
  if (other.joinable()) other.join();
  // The side that did not stop sees the end of the session too, by what the other did.
  if (!ending.translator_stops) EXPECT_TRUE(eventually([&] { return !translator->stats().upstreams[0].ready; }));
  leave = true;
  translator->stop(2s);
  if (!ending.pool_stops) EXPECT_TRUE(eventually([&] { return pool->stats().pool.sessions == 0; }));
  pool->stop(2s);
  for (auto& miner : miners) miner.join();

  const auto stats = translator->stats();
  const auto counted = pool->stats();
  Outcome outcome{.counted = counted.pool.shares_accepted,
                  .acknowledged = stats.counters.shares_accepted,
                  .unanswered = stats.upstreams[0].shares_unanswered,
                  .agreed = stats.upstreams[0].goodbyes == 1 &&
                            counted.over(over_iroh ? net::Transport::kIroh : net::Transport::kTcp).goodbyes == 1};
  translator.reset();
  pool.reset();
  translator_node.reset();
  pool_node.reset();
  translator_shards.stop(1s);
  pool_shards.stop(1s);
  return outcome;
}

void end_often(Over over, Kind kind) {
  std::mt19937_64 random(over == Over::kTcp ? 7 : 11);
  int agreed = 0;
  std::uint64_t shares = 0;
  for (int round = 0; round < rounds(); ++round) {
    const int who = round % 3;
    const auto outcome = run({.over = over,
                              .pool_stops = who != 0,
                              .translator_stops = who != 1,
                              .kind = kind,
                              .after = std::chrono::microseconds(random() % 60'000)});
    shares += outcome.counted;
    ASSERT_GT(outcome.counted, 0u);
    if (outcome.agreed) {
      ++agreed;
      EXPECT_EQ(outcome.acknowledged, outcome.counted) << "round " << round;
      EXPECT_EQ(outcome.unanswered, 0u) << "round " << round;
    } else {
      EXPECT_LE(outcome.acknowledged, outcome.counted) << "round " << round;
      if (outcome.acknowledged != outcome.counted) {
        std::printf("round %d: %llu shares counted, %llu acknowledged\n", round,
                    static_cast<unsigned long long>(outcome.counted), static_cast<unsigned long long>(outcome.acknowledged));
      }
    }
  }
  std::printf("%d endings, %d with every goodbye acknowledged, %llu shares\n", rounds(), agreed,
              static_cast<unsigned long long>(shares));
  if (kind == Kind::kGoodbye) EXPECT_EQ(agreed, rounds()) << "20 s were enough for none of them to be cut off";
}

TEST(Endings, AGoodbyeOverTcpLeavesNoShareUnanswered) { end_often(Over::kTcp, Kind::kGoodbye); }
TEST(Endings, ADrainOverTcpAcknowledgesNothingThatWasNotCounted) { end_often(Over::kTcp, Kind::kDrain); }
TEST(Endings, AnEndAtOnceOverTcpAcknowledgesNothingThatWasNotCounted) { end_often(Over::kTcp, Kind::kImmediate); }
#ifdef ADIT_HAS_IROH
TEST(Endings, AGoodbyeOverLanesLeavesNoShareUnanswered) { end_often(Over::kLanes, Kind::kGoodbye); }
TEST(Endings, ADrainOverLanesAcknowledgesNothingThatWasNotCounted) { end_often(Over::kLanes, Kind::kDrain); }
TEST(Endings, AGoodbyeOverOneStreamOfIrohLeavesNoShareUnanswered) { end_often(Over::kOneStream, Kind::kGoodbye); }
TEST(Endings, ADrainOverOneStreamOfIrohAcknowledgesNothingThatWasNotCounted) { end_often(Over::kOneStream, Kind::kDrain); }
#endif

}  // namespace
}  // namespace adit::translator
