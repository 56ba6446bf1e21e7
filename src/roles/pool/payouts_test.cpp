// The pool from its configuration to the wire: what jobs pay, by the identity that a client opens its channel with. Twins of
// SRI's pool_solo_mining tests: the first job of a channel, a later one on the same tip, and one on a new tip.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <vector>

#include "base/hex.h"
#include "bitcoin/address.h"
#include "bitcoin/tx.h"
#include "channels/extranonce.h"
#include "log/log_testing.h"
#include "net/dial.h"
#include "net/shard_testing.h"
#include "roles/pool/from_config.h"
#include "roles/pool/server.h"
#include "template/embedded.h"
#include "wire/messages.h"

namespace adit::pool {
namespace {

using namespace std::chrono_literals;
using net::on;
using testing::ElementsAre;
using testing::HasSubstr;
namespace asio = boost::asio;

const std::string kPool = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
/// Of a test network that the pool is not on, as in SRI's tests.
const std::string kMiner = "tb1qa0sm0hxzj0x25rh8gw5xlzwlsfvvyz8u96w3p8";
const std::string kOther = "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn";

std::vector<std::uint8_t> script_of(const std::string& address) { return *channels::script_of_any_network(address); }

/// A client with one extended channel, which keeps what each of its jobs pays.
class Client {
 public:
  Client(net::Shard& shard, net::Peer pool) : shard_(shard), pool_(std::move(pool)) {}

  /// Connects and opens a channel; "" or the error code.
  asio::awaitable<std::string> open(std::string identity) {
    if (connection_ == nullptr) {
      auto connection = co_await net::dial(shard_, pool_, wire::Protocol::kMining, {});
      if (!connection) co_return connection.error().message();
      connection_ = std::move(*connection);
      out_.push(wire::SetupConnection{.protocol = 0, .min_version = 2, .max_version = 2});
    }
    wire::U256 easiest;
    easiest.fill(0xff);
    out_.push(wire::OpenExtendedMiningChannel{.request_id = ++asked_,
                                              .user_identity = std::string_view(identity),
                                              .nominal_hash_rate = 1e12F,
                                              .max_target = easiest,
                                              .min_extranonce_size = 8});
    connection_->send(out_);
    out_.clear();
    refusal_.clear();
    co_return co_await until([&, jobs = jobs_.size()] { return !refusal_.empty() || jobs_.size() > jobs; });
  }

  template <class Done>
  asio::awaitable<std::string> until(Done done) {
    while (!done()) {
      const auto batch = co_await connection_->receive();
      if (!batch) co_return batch.error().message();
      for (const auto& frame : *batch) on_frame(frame);
    }
    co_return refusal_;
  }

  /// What one job pays: values and scripts, without outputs of OP_RETURN.
  using Paid = std::vector<std::pair<std::uint64_t, std::vector<std::uint8_t>>>;
  struct Job {
    std::uint32_t to = 0;  ///< A channel or a group.
    bool new_tip = false;
    Paid paid;
  };
  [[nodiscard]] const std::vector<Job>& jobs() const { return jobs_; }
  [[nodiscard]] std::uint32_t group() const { return group_; }

 private:
  void on_frame(const wire::FrameView& frame) {
    if (const auto opened = frame.as<wire::OpenExtendedMiningChannelSuccess>()) {
      group_ = opened->group_channel_id;
      extranonce_ = opened->extranonce_prefix.size() + opened->extranonce_size;
    }
    if (const auto error = frame.as<wire::OpenMiningChannelError>()) refusal_ = std::string(error->error_code.view());
    const auto job = frame.as<wire::NewExtendedMiningJob>();
    if (!job) return;
    std::vector<std::uint8_t> bytes(job->coinbase_tx_prefix.begin(), job->coinbase_tx_prefix.end());
    bytes.resize(bytes.size() + extranonce_);
    bytes.insert(bytes.end(), job->coinbase_tx_suffix.begin(), job->coinbase_tx_suffix.end());
    const auto coinbase = bitcoin::parse_transaction(bytes);
    ASSERT_TRUE(coinbase && coinbase->is_coinbase());
    Job made{.to = job->channel_id, .new_tip = !job->min_ntime, .paid = {}};
    for (const auto& output : coinbase->outputs) {
      if (output.script.empty() || output.script[0] != 0x6a) made.paid.emplace_back(output.value_sat, output.script);
    }
    jobs_.push_back(std::move(made));
  }

  net::Shard& shard_;
  net::Peer pool_;
  std::unique_ptr<net::NetworkConnection> connection_;
  wire::FrameBuffer out_;
  std::uint32_t asked_ = 0;
  std::uint32_t group_ = 0;
  std::size_t extranonce_ = 0;
  std::string refusal_;
  std::vector<Job> jobs_;
};

class PoolPayouts : public testing::Test {
 protected:
  void start(const std::string& keys = "") {
    const auto loaded = parse_config(R"t(
listen_address = "127.0.0.1:0"
authority_secret_key_file = "/not/read"
coinbase_reward_script = "addr()t" + kPool +
                                         R"t()"
)t" + keys + "\n[template_provider_type.Embedded]\n",
                                     "pool.toml", {});
    for (const auto& finding : loaded.findings) ADD_FAILURE() << finding.text();
    shards_.start();
    server_ = std::make_unique<PoolServer>(shards_, source_, server_options(loaded.config, authority(), {}));
    ASSERT_TRUE(server_->start());
  }
  ~PoolPayouts() override {
    on(shards_[0], [this]() -> asio::awaitable<bool> {
      clients_.clear();
      co_return true;
    });
    server_.reset();
    shards_.stop(0s);
  }
  static noise::AuthorityKeyPair authority() {
    std::array<std::uint8_t, 32> bytes{};
    bytes.fill(7);
    return std::move(*noise::AuthorityKeyPair::from_secret(noise::Secret(bytes)));
  }
  Client& client() {
    return *clients_.emplace_back(std::make_unique<Client>(
        shards_[0],
        net::Peer{.transport = net::TcpConfig{"127.0.0.1", server_->tcp_port()}, .authority = authority().public_key()}));
  }
  std::string open(Client& client, const std::string& identity) {
    return on(shards_[0], [&]() -> asio::awaitable<std::string> { co_return co_await client.open(identity); });
  }

  /// Of the first job, of one on its tip, and of one on a later tip: who is paid how many percent, in the order of the outputs.
  void expect_paid(const std::string& identity, const std::vector<std::pair<std::string, unsigned>>& percents) {
    SCOPED_TRACE(identity);
    Client& miner = client();
    ASSERT_EQ(open(miner, identity), "");
    const auto seen = [&](bool tip) {
      return std::ranges::any_of(miner.jobs() | std::views::drop(1),
                                 [&](const Client::Job& job) { return job.new_tip == tip; });
    };
    const auto heard = on(shards_[0], [&]() -> asio::awaitable<std::string> {
      co_return co_await miner.until([&] { return seen(false) && seen(true); });
    });
    ASSERT_EQ(heard, "");
    for (const Client::Job& job : miner.jobs()) {
      ASSERT_EQ(job.paid.size(), percents.size());
      std::uint64_t all = 0;
      for (const auto& [sat, script] : job.paid) all += sat;
      for (std::size_t i = 0; i < percents.size(); ++i) {
        EXPECT_EQ(job.paid[i].second, script_of(percents[i].first));
        EXPECT_NEAR(static_cast<double>(job.paid[i].first), static_cast<double>(all) * percents[i].second / 100, 1);
      }
    }
  }

  net::Shards shards_{1};
  templates::EmbeddedSource source_{templates::EmbeddedSource::Options{.refresh_every = 100ms, .new_tip_every = 450ms}};
  std::unique_ptr<PoolServer> server_;
  std::vector<std::unique_ptr<Client>> clients_;
};

TEST_F(PoolPayouts, SoloPatternPaysTheMinerAll) {
  start();
  expect_paid("sri/solo/" + kMiner + "/worker", {{kMiner, 100}});
  expect_paid("sri/solo/" + kMiner, {{kMiner, 100}});
}

TEST_F(PoolPayouts, LegacyPatternPaysTheMinerAll) {
  start();
  expect_paid(kMiner, {{kMiner, 100}});
  expect_paid(kMiner + ".worker", {{kMiner, 100}});
}

TEST_F(PoolPayouts, PartialDonationPaysThePoolItsPartFirst) {
  start();
  expect_paid("sri/donate/30/" + kMiner + "/worker", {{kPool, 30}, {kMiner, 70}});
}

TEST_F(PoolPayouts, FullDonationAndPlainNamesPayThePool) {
  start();
  for (const auto* identity : {"sri/donate/worker", "sri/donate", "random_identity"}) expect_paid(identity, {{kPool, 100}});
}

TEST_F(PoolPayouts, AFeeIsTakenOfAnAddressAlone) {
  start("solo_fee_percent = 2");
  expect_paid(kMiner + ".worker", {{kPool, 2}, {kMiner, 98}});
}

TEST_F(PoolPayouts, WhatCannotBePaidIsRefusedAndTheLogSaysWhy) {
  log::test::Captured log;
  start();
  Client& miner = client();
  const std::string mistyped = kMiner.substr(0, kMiner.size() - 1) + "9";
  for (const std::string& identity : {"sri/solo/" + mistyped + "/worker", "sri/donate/30/" + mistyped, mistyped + ".worker",
                                      std::string("sri/unknown/worker"), "sri/donate/0/" + kMiner}) {
    EXPECT_EQ(open(miner, identity), "invalid-user-identity") << identity;
  }
  EXPECT_EQ(open(miner, "sri/solo/" + kMiner), "") << "the connection stays";
  const auto refused = log.lines("pool.channel_refused");
  ASSERT_EQ(refused.size(), 5u);
  EXPECT_THAT(refused[0], HasSubstr("is mistyped"));
  EXPECT_THAT(refused[3], HasSubstr("follows none of SRI's patterns"));
  EXPECT_THAT(refused[4], HasSubstr("donates no whole percentage from 1 to 99"));
}

// SRI's pool pays all channels of a connection what the newest one asked for.
TEST_F(PoolPayouts, ChannelsOfOneConnectionArePaidEachAsItAsked) {
  start();
  Client& farm = client();
  std::map<std::uint32_t, Client::Paid> expected;
  const std::map<std::string, std::string> identities = {
      {"sri/solo/" + kMiner, kMiner}, {kOther + ".rig", kOther}, {"farm", kPool}};
  std::map<std::uint32_t, std::string> payees;
  for (const auto& [identity, payee] : identities) {
    ASSERT_EQ(open(farm, identity), "");
    payees[farm.group()] = payee;
  }
  ASSERT_EQ(payees.size(), 3u);
  const auto before = farm.jobs().size();
  const auto heard = on(shards_[0], [&]() -> asio::awaitable<std::string> {
    co_return co_await farm.until([&] { return farm.jobs().size() >= before + 9; });
  });
  ASSERT_EQ(heard, "");
  std::map<std::string, int> told;
  for (const Client::Job& job : farm.jobs() | std::views::drop(before)) {
    if (!payees.contains(job.to)) continue;  // A channel's first job.
    ASSERT_EQ(job.paid.size(), 1u);
    EXPECT_EQ(job.paid[0].second, script_of(payees[job.to]));
    ++told[payees[job.to]];
  }
  for (const auto& [identity, payee] : identities) EXPECT_GE(told[payee], 2) << payee;
}

}  // namespace
}  // namespace adit::pool
