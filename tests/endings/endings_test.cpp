// Endings under a stream of shares, at random moments, from each side and from both, over each carrier: where every Goodbye was
// acknowledged, the shares that the pool counted are those that it acknowledged. ADIT_ENDINGS says how many a case does (20).
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <thread>

#include "roles/translator/server.h"
#include "roles/translator/test_support.h"
#include "session/protocols.h"
#include "upstream/url.h"

#ifdef ADIT_HAS_IROH
#include "net/iroh/test_support.h"
#endif

namespace adit::translator {
namespace {

using namespace test;
using Kind = session::ShutdownBehavior::Kind;

int rounds() {
  const char* const asked = std::getenv("ADIT_ENDINGS");  // NOLINT(concurrency-mt-unsafe): nothing sets variables
  return asked != nullptr ? std::max(1, std::atoi(asked)) : 20;
}

enum class Over { kTcp, kLanes, kOneStream };
enum class Who { kTranslators, kPool, kBoth, kOneTranslator };

/// What one ending came to.
struct Outcome {
  std::uint64_t counted = 0;
  std::uint64_t acknowledged = 0;
  std::uint64_t unanswered = 0;
  bool agreed = false;  ///< Both sides saw every Goodbye of every session acknowledged.
};

/// A pool and translators, each with a session of its own and miners that submit as fast as they find; over lanes all the
/// sessions are on one connection.
class Mining {
 public:
  Mining(Over over, std::size_t sessions) : over_(over) {
    pool_shards_.start();
    translator_shards_.start();
#ifdef ADIT_HAS_IROH
    if (over_iroh()) {
      pool_node_ = std::move(*net::IrohNodeManager::start(pool_shards_, net::test::loopback(1)));
      translator_node_ = std::move(*net::IrohNodeManager::start(translator_shards_, net::test::loopback(2)));
    }
#endif
    start_pool();
    for (std::size_t i = 0; i < sessions; ++i) start_translator();
    for (std::size_t i = 0; i < std::max<std::size_t>(2, sessions); ++i) start_miner(*translators_[i % sessions]);
  }
  ~Mining() {
    leave_ = true;
    for (auto& miner : miners_) miner.join();
    translators_.clear();
    pool_.reset();
    translator_node_.reset();
    pool_node_.reset();
    translator_shards_.stop(1s);
    pool_shards_.stop(1s);
  }
  Mining(const Mining&) = delete;
  Mining& operator=(const Mining&) = delete;

  /// Ends sessions in that manner, and then whatever is left, so that all is counted.
  Outcome end(Who who, Kind kind, Duration after) {
    EXPECT_TRUE(every_session_goes_on(translators_.size()));
    if (over_ == Over::kLanes) EXPECT_EQ(pool_node_->counts().direct, 1u) << "not one connection";
    std::this_thread::sleep_for(after);
    const session::ShutdownBehavior behavior{.kind = kind, .deadline = 20s};
    if (who == Who::kOneTranslator) {
      translators_.front()->stop(behavior);
      EXPECT_TRUE(every_session_goes_on(translators_.size() - 1)) << "beside the one that ended";
      if (over_ == Over::kLanes) EXPECT_EQ(pool_node_->counts().direct, 1u) << "the connection stays";
      stop({.kind = Kind::kGoodbye, .deadline = 20s}, false, true);
    } else {
      stop(behavior, who != Who::kTranslators, who != Who::kPool);
    }
    // The side that did not stop sees the end of the sessions too, by what the other did.
    for (const auto& each : translators_) EXPECT_TRUE(eventually([&] { return !each->stats().upstreams[0].ready; }));
    leave_ = true;
    for (const auto& each : translators_) each->stop(2s);
    EXPECT_TRUE(eventually([&] { return pool_->stats().miners.sessions == 0; }));
    pool_->stop(2s);
    return outcome();
  }

 private:
  [[nodiscard]] bool over_iroh() const { return over_ != Over::kTcp; }

  void start_pool() {
    pool::ServerOptions options;
    if (over_iroh())
      options.iroh = pool_node_.get();
    else
      options.listen = net::TcpConfig{"127.0.0.1", 0};
    options.authority_secret = authority().secret().copy();
    options.jobs = {.payout_script = {0x51}, .pool_signature = "test"};
    options.session.channel.shares_per_minute = 6000;
    options.session.channel.min_hash_rate_hps = 0.001;
    options.session.channel.share_batch_size = 10;
    pool_.emplace(pool_shards_, source_, std::move(options));
    EXPECT_TRUE(pool_->start());
  }

  void start_translator() {
    UpstreamTarget target{
        .peer = {.transport = net::TcpConfig{"127.0.0.1", pool_->tcp_port()}, .authority = authority().public_key()},
        .user_identity = "test",
        .goodbye = true};
    if (over_iroh()) {
      net::IrohConfig iroh{.endpoint_id = pool_node_->endpoint_id(), .addrs = pool_node_->local_addresses()};
      if (over_ == Over::kOneStream) iroh.alpn = session::kAlpnMining;
      target.peer.transport = iroh;
    }
    ServerOptions options;
    options.listen = {"127.0.0.1", 0};
    options.upstreams = {target};
    options.iroh = translator_node_.get();
    options.translator.miners.min_hash_rate_hps = 1;
    options.translator.miners.shares_per_minute = 6000;
    options.translator.miners.vardiff = false;
    EXPECT_TRUE(translators_.emplace_back(std::make_unique<TranslatorServer>(translator_shards_, std::move(options)))->start());
  }

  void start_miner(const TranslatorServer& translator) {
    miners_.emplace_back([this, port = translator.port()] {
      TestMiner miner(port);
      miner.set_patience(200us);
      while (!leave_ && !miner.ended()) {
        if (miner.works.empty())
          miner.pump();
        else
          miner.submit_share();
      }
    });
  }

  /// Shares that the pool has accepted on each connection that it has now, by the connection's id.
  std::map<std::uint32_t, std::uint64_t> counted() {
    std::map<std::uint32_t, std::uint64_t> all;
    for (const auto& connection : pool_->connections().listed) {
      auto& accepted = all[connection.id];
      for (const auto& channel : connection.channels) accepted += channel.stats.accepted;
    }
    return all;
  }

  /// That there are so many sessions, and shares are accepted on each from now on.
  bool every_session_goes_on(std::size_t sessions) {
    if (!eventually([&] { return counted().size() == sessions; })) return false;
    const auto before = counted();
    return eventually([&] {
      auto now = counted();
      return now.size() == sessions &&
             std::ranges::all_of(before, [&](const auto& each) { return now[each.first] > each.second; });
    });
  }

  void stop(session::ShutdownBehavior behavior, bool pool, bool translators) {
    std::vector<std::thread> stops;
    if (pool) stops.emplace_back([&] { pool_->stop(behavior); });
    if (translators) {
      for (const auto& each : translators_) stops.emplace_back([&] { each->stop(behavior); });
    }
    for (auto& each : stops) each.join();
  }

  [[nodiscard]] Outcome outcome() const {
    const auto counted = pool_->stats();
    Outcome outcome{.counted = counted.miners.shares_accepted};
    std::uint64_t goodbyes = 0;
    for (const auto& each : translators_) {
      const auto stats = each->stats();
      outcome.acknowledged += stats.counters.shares_accepted;
      outcome.unanswered += stats.upstreams[0].shares_unanswered;
      goodbyes += stats.upstreams[0].goodbyes;
    }
    const auto transport = over_iroh() ? net::Transport::kIroh : net::Transport::kTcp;
    outcome.agreed = goodbyes == translators_.size() && counted.over(transport).goodbyes == translators_.size();
    return outcome;
  }

  const Over over_;
  net::Shards pool_shards_{2};
  net::Shards translator_shards_{1};  // One: each shard has connections of its own.
  std::unique_ptr<net::IrohCarrier> pool_node_;
  std::unique_ptr<net::IrohCarrier> translator_node_;
  templates::EmbeddedSource source_{{.chain = {.nbits = 0x1d00ffff}}};  // No share is a block.
  std::optional<pool::PoolServer> pool_;
  std::vector<std::unique_ptr<TranslatorServer>> translators_;
  std::atomic<bool> leave_{false};
  std::vector<std::thread> miners_;
};

/// `who`: by turns.
void end_often(Over over, Kind kind, std::vector<Who> who = {Who::kTranslators, Who::kPool, Who::kBoth},
               std::size_t sessions = 1) {
  std::mt19937_64 random(over == Over::kTcp ? 7 : 11);
  int agreed = 0;
  std::uint64_t shares = 0;
  std::uint64_t gaps = 0;
  for (int round = 0; round < rounds(); ++round) {
    const auto ends = who[static_cast<std::size_t>(round) % who.size()];
    const auto outcome = Mining(over, sessions).end(ends, kind, std::chrono::microseconds(random() % 60'000));
    shares += outcome.counted;
    ASSERT_GT(outcome.counted, 0u);
    if (outcome.agreed) {
      ++agreed;
      EXPECT_EQ(outcome.acknowledged, outcome.counted) << "round " << round;
      EXPECT_EQ(outcome.unanswered, 0u) << "round " << round;
    } else {
      EXPECT_LE(outcome.acknowledged, outcome.counted) << "round " << round;
      // What translator.upstream_closed tells is no less than what was lost.
      EXPECT_LE(outcome.counted - outcome.acknowledged, outcome.unanswered) << "round " << round;
      gaps += outcome.counted - outcome.acknowledged;
    }
  }
  std::printf("%d endings, %d with every goodbye acknowledged, %llu shares, %llu counted and not acknowledged\n", rounds(),
              agreed, static_cast<unsigned long long>(shares), static_cast<unsigned long long>(gaps));
  if (kind == Kind::kGoodbye) EXPECT_EQ(agreed, rounds()) << "20 s were enough for none of them to be cut off";
}

TEST(Endings, AGoodbyeOverTcpLeavesNoShareUnanswered) { end_often(Over::kTcp, Kind::kGoodbye); }
TEST(Endings, ADrainOverTcpAcknowledgesNothingThatWasNotCounted) { end_often(Over::kTcp, Kind::kDrain); }
TEST(Endings, AnEndAtOnceOverTcpAcknowledgesNothingThatWasNotCounted) { end_often(Over::kTcp, Kind::kImmediate); }
#ifdef ADIT_HAS_IROH
TEST(Endings, AGoodbyeOverLanesLeavesNoShareUnanswered) { end_often(Over::kLanes, Kind::kGoodbye); }
TEST(Endings, ADrainOverLanesAcknowledgesNothingThatWasNotCounted) { end_often(Over::kLanes, Kind::kDrain); }
TEST(Endings, AnEndAtOnceOverLanesAcknowledgesNothingThatWasNotCounted) { end_often(Over::kLanes, Kind::kImmediate); }
TEST(Endings, AGoodbyeOverOneStreamOfIrohLeavesNoShareUnanswered) { end_often(Over::kOneStream, Kind::kGoodbye); }
TEST(Endings, ADrainOverOneStreamOfIrohAcknowledgesNothingThatWasNotCounted) { end_often(Over::kOneStream, Kind::kDrain); }

// Three sessions on one connection.
TEST(Endings, AGoodbyeOfOneSessionLeavesTheOthersOfItsConnectionMining) {
  end_often(Over::kLanes, Kind::kGoodbye, {Who::kOneTranslator}, 3);
}
TEST(Endings, AnEndAtOnceOfOneSessionLeavesTheOthersOfItsConnectionMining) {
  end_often(Over::kLanes, Kind::kImmediate, {Who::kOneTranslator}, 3);
}
TEST(Endings, AGoodbyeOfEverySessionOfAConnectionLeavesNoShareUnanswered) {
  end_often(Over::kLanes, Kind::kGoodbye, {Who::kTranslators, Who::kPool, Who::kBoth}, 3);
}
TEST(Endings, AConnectionThatEndsAtOnceAcknowledgesNothingThatWasNotCounted) {
  end_often(Over::kLanes, Kind::kImmediate, {Who::kTranslators, Who::kPool, Who::kBoth}, 3);
}
#endif

}  // namespace
}  // namespace adit::translator
