// A pool over loopback whose chain is the test's to move.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "bitcoin/coinbase.h"
#include "channels/channel_testing.h"
#include "roles/pool/server.h"

namespace adit::attack {

inline noise::Secret authority_secret() {
  std::array<std::uint8_t, 32> bytes{};
  bytes.fill(7);
  return noise::Secret(bytes);
}
inline noise::PublicKey authority() { return noise::AuthorityKeyPair::from_secret(authority_secret())->public_key(); }

/// Templates when the test says so. Their network target is beyond any test's hashing: no share is a block.
class ScriptedSource final : public templates::TemplateSource {
 public:
  Result<> start(templates::SourceEvents events) override {
    events_ = std::move(events);
    publish(1);
    return {};
  }
  Result<> submit(templates::TemplateId, templates::BlockSolution) override { return {}; }
  void constrain(templates::CoinbaseConstraints) override {}
  void transactions(templates::TemplateId, std::function<void(Result<Transactions>)> done) override {
    done(fail(templates::Errc::kUnknownTemplate, "scripted templates have no transactions"));
  }
  [[nodiscard]] templates::SourceStatus status() const override { return {}; }
  void stop() override {}

  /// A template on the tip of that number; its time is that of the test's start, so that only the tip changes.
  void publish(std::uint8_t tip) {
    static const std::uint32_t present = to_u32(now_from_system().unix_time);
    auto made = std::make_shared<bitcoin::Template>(*channels::testing::make_template(++id_, tip));
    made->height = 900'000U + tip;  // A public chain's.
    made->coinbase_script_prefix = bitcoin::height_push(made->height);
    made->current_time = present;
    made->min_ntime = made->current_time - 600;
    events_.on_template(std::move(made), true);
  }

 private:
  templates::SourceEvents events_;
  std::uint64_t id_ = 0;
};

/// One process of a pool, on two shards.
struct Pool {
  explicit Pool(const std::function<void(pool::ServerOptions&)>& change = {}, unsigned threads = 2) : shards(threads) {
    shards.start();
    pool::ServerOptions options;
    options.listen = net::TcpConfig{"127.0.0.1", 0};
    options.authority_secret = authority_secret();
    options.jobs = {.payout_script = {0x51}, .pool_signature = "test"};
    options.session.channel.share_batch_size = 1;
    options.session.channel.min_hash_rate_hps = 0.001;
    if (change) change(options);
    server = std::make_unique<pool::PoolServer>(shards, source, std::move(options));
    EXPECT_TRUE(server->start());
  }
  ~Pool() {
    server.reset();
    shards.stop(Duration::zero());
  }

  /// Accepted and refused shares of all channels of that user.
  [[nodiscard]] std::pair<std::uint64_t, std::uint64_t> shares_of(const std::string& user) const {
    std::pair<std::uint64_t, std::uint64_t> sum;
    for (const auto& connection : server->connections().listed) {
      for (const auto& channel : connection.channels) {
        if (channel.user_identity != user) continue;
        sum.first += channel.stats.accepted;
        for (const auto count : channel.stats.rejected) sum.second += count;
      }
    }
    return sum;
  }

  net::Shards shards;
  ScriptedSource source;
  std::unique_ptr<pool::PoolServer> server;
};

}  // namespace adit::attack
