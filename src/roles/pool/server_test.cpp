// The pool's driver over loopback: an embedded chain, Stratum V2 miners, and peers that misbehave beside them.
#include "roles/pool/server.h"

#include <future>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/eventually_testing.h"
#include "channels/client.h"
#include "net/dial.h"
#include "net/establish.h"
#include "net/exact_io.h"
#include "net/shard_testing.h"
#include "net/tcp.h"
#include "template/embedded.h"
#include "wire/messages.h"

namespace adit::pool {
namespace {

using namespace std::chrono_literals;
using net::on;
using testing::HasSubstr;
namespace asio = boost::asio;

noise::Secret authority_secret() {
  std::array<std::uint8_t, 32> bytes{};
  bytes.fill(7);
  return noise::Secret(bytes);
}

/// A miner with one standard channel, as a test drives it. Lives on one shard.
class Miner {
 public:
  Miner(net::Shard& shard, net::Peer pool) : shard_(shard), pool_(std::move(pool)) {}

  /// Connects and sets up; "" or what went wrong. `header`: what a proxy before the pool sends first.
  asio::awaitable<std::string> connect(std::uint8_t protocol = std::to_underlying(wire::Protocol::kMining),
                                       std::string header = "") {
    auto connection = co_await dial(std::move(header));
    if (!connection) co_return connection.error().message();
    connection_ = std::move(*connection);
    out_.clear();
    out_.push(wire::SetupConnection{.protocol = protocol, .min_version = 2, .max_version = 2});
    connection_->send(out_);
    co_return co_await until([&] { return set_up_ || refused_; });
  }

  /// Opens a channel whose target every hash meets, and waits for its work.
  asio::awaitable<std::string> open() {
    out_.clear();
    wire::U256 easiest;
    easiest.fill(0xff);
    out_.push(wire::OpenStandardMiningChannel{
        .request_id = 1, .user_identity = std::string_view("alice.rig"), .nominal_hash_rate = 0.001f, .max_target = easiest});
    connection_->send(out_);
    co_return co_await until(
        [&] { return (channel_ && channel_->current()) || !open_refusal_.empty() || !closed_because_.empty(); });
  }

  /// Sends one share of that worth and waits for its answer, unless `answered` is false.
  asio::awaitable<std::string> submit(channels::ShareVerdict worth, bool answered = true) {
    const auto* job = channel_->current();
    channels::Share share{
        .job_id = job->id, .sequence_number = ++sequence_, .ntime = job->ntime, .version = job->rules.version};
    for (;; ++share.nonce) {
      auto copy = *channel_;  // what is only looked at must not count as seen
      if (copy.check(share, now_from_system().unix_time).verdict == worth) break;
    }
    (void)channel_->check(share, now_from_system().unix_time);
    out_.clear();
    out_.push(wire::SubmitSharesStandard{.channel_id = channel_->id(),
                                         .sequence_number = share.sequence_number,
                                         .job_id = share.job_id,
                                         .nonce = share.nonce,
                                         .ntime = share.ntime,
                                         .version = share.version});
    const auto before = answers_;
    connection_->send(out_);
    if (!answered) co_return "";
    co_return co_await until([&] { return answers_ > before; });
  }

  /// Handles what comes until `done()`; "" or how the connection ended.
  template <class Done>
  asio::awaitable<std::string> until(Done done) {
    while (!done()) {
      const auto batch = co_await connection_->receive();
      if (!batch) co_return std::string(batch.error().name());
      for (const auto& frame : *batch) on_frame(frame);
    }
    co_return "";
  }

  [[nodiscard]] std::uint64_t accepted() const { return accepted_; }
  [[nodiscard]] std::uint64_t tips() const { return tips_; }
  [[nodiscard]] const std::string& refusal() const { return refusal_; }
  [[nodiscard]] const std::string& open_refusal() const { return open_refusal_; }
  [[nodiscard]] const std::string& closed_because() const { return closed_because_; }
  [[nodiscard]] net::NetworkConnection& connection() { return *connection_; }

 private:
  asio::awaitable<Result<std::unique_ptr<net::NetworkConnection>>> dial(std::string header) {
    if (header.empty()) co_return co_await net::dial(shard_, pool_, wire::Protocol::kMining, {});
    ADIT_CO_TRY(auto stream, co_await net::dial_tcp(shard_, std::get<net::TcpConfig>(pool_.transport), 5s));
    ADIT_CO_CHECK(co_await net::write_all(*stream, as_bytes(header)));
    net::Link link{.stream = std::move(stream)};
    co_return co_await net::begin_session(shard_, link, pool_.authority, {});
  }

  void on_frame(const wire::FrameView& frame) {
    if (frame.is<wire::SetupConnectionSuccess>()) set_up_ = true;
    if (frame.is<wire::SetupConnectionError>()) {
      refused_ = true;
      refusal_ = std::string(frame.as<wire::SetupConnectionError>()->error_code.view());
    }
    if (const auto refused = frame.as<wire::OpenMiningChannelError>()) open_refusal_ = std::string(refused->error_code.view());
    if (const auto closed = frame.as<wire::CloseChannel>()) {
      EXPECT_EQ(closed->channel_id, channel_->id());
      closed_because_ = std::string(closed->reason_code.view());
    }
    if (frame.is<wire::OpenStandardMiningChannelSuccess>())
      channel_.emplace(*frame.as<wire::OpenStandardMiningChannelSuccess>());
    if (frame.is<wire::NewMiningJob>()) EXPECT_TRUE(channel_->on_new_mining_job(*frame.as<wire::NewMiningJob>()));
    if (frame.is<wire::NewExtendedMiningJob>()) {
      const auto job = frame.as<wire::NewExtendedMiningJob>();
      EXPECT_TRUE(channel_->on_new_extended_mining_job(*job, channels::copy_work(*job)));
    }
    if (frame.is<wire::SetNewPrevHash>()) {
      ++tips_;
      EXPECT_TRUE(channel_->on_set_new_prev_hash(*frame.as<wire::SetNewPrevHash>()));
    }
    if (frame.is<wire::SetTarget>())
      channel_->on_set_target(bitcoin::U256::from_le(frame.as<wire::SetTarget>()->maximum_target));
    if (frame.is<wire::SubmitSharesSuccess>()) {
      ++answers_;
      accepted_ += frame.as<wire::SubmitSharesSuccess>()->new_submits_accepted_count;
    }
    if (frame.is<wire::SubmitSharesError>()) {
      ++answers_;
      ADD_FAILURE() << "refused: " << frame.as<wire::SubmitSharesError>()->error_code.view();
    }
  }

  net::Shard& shard_;
  net::Peer pool_;
  std::unique_ptr<net::NetworkConnection> connection_;
  std::optional<channels::ClientChannel> channel_;
  wire::FrameBuffer out_;
  bool set_up_ = false;
  bool refused_ = false;
  std::string refusal_;
  std::string open_refusal_;
  std::string closed_because_;
  std::uint32_t sequence_ = 0;
  std::uint64_t accepted_ = 0;
  std::uint64_t answers_ = 0;
  std::uint64_t tips_ = 0;
};

/// Stands in for iroh: a second listener on loopback whose streams say that they are iroh's.
class FakeCarrier final : public net::IrohCarrier {
 public:
  explicit FakeCarrier(net::Shards& shards)
      : shards_(shards), listener_(std::move(*net::TcpListener::bind(shards[0], {"127.0.0.1", 0}))) {}

  asio::awaitable<Result<net::Link>> dial(net::Shard&, net::IrohConfig, wire::Protocol, Duration) override {
    co_return fail(net::Errc::kUnsupported, "not in this test");
  }
  Result<void> listen(std::vector<std::string> alpns, net::Admission admission, OnLink on_link) override {
    EXPECT_THAT(alpns, testing::ElementsAre("adit/sv2/1", "sv2-m"));
    listener_->start(shards_, [admission, on_link](net::Shard& shard, std::unique_ptr<net::ByteStream> stream) mutable {
      auto place = admission.admit(stream->metadata().source, now_from_system().instant);
      if (!place) return stream->close(net::CloseCode::kOverloaded);
      on_link(shard, {.stream = std::make_unique<Stream>(std::move(stream))},
              std::make_shared<net::Admission::Token>(std::move(*place)));
    });
    return {};
  }
  void stop_listening() override { listener_->stop(); }
  [[nodiscard]] Counts counts() const override { return {}; }
  [[nodiscard]] std::string endpoint_id() const override { return std::string(64, 'a'); }
  [[nodiscard]] std::vector<std::string> local_addresses() const override { return {listener_->address()}; }
  [[nodiscard]] std::string home_relay() const override { return {}; }
  [[nodiscard]] std::uint16_t port() const { return listener_->port(); }

 private:
  class Stream final : public net::ByteStream {
   public:
    explicit Stream(std::unique_ptr<net::ByteStream> inner) : inner_(std::move(inner)) {}
    Result<std::size_t> try_read(MutableBytes into) override { return inner_->try_read(into); }
    Result<std::size_t> try_write(Bytes from) override { return inner_->try_write(from); }
    asio::awaitable<Result<void>> wait_readable() override { return inner_->wait_readable(); }
    asio::awaitable<Result<void>> wait_writable() override { return inner_->wait_writable(); }
    bool wake_when_readable(const std::shared_ptr<asio::steady_timer>& woken) override {
      return inner_->wake_when_readable(woken);
    }
    void finish() override { inner_->finish(); }
    void close(net::CloseCode code) override { inner_->close(code); }
    [[nodiscard]] net::ConnectionMetadata metadata() const override {
      auto metadata = inner_->metadata();
      metadata.transport = net::Transport::kIroh;
      return metadata;
    }

   private:
    std::unique_ptr<net::ByteStream> inner_;
  };

  net::Shards& shards_;
  std::unique_ptr<net::TcpListener> listener_;
};

class Server : public testing::Test {
 protected:
  Server() {
    shards_.start();
    options_.listen = net::TcpConfig{"127.0.0.1", 0};
    options_.authority_secret = authority_secret();
    options_.jobs = {.payout_script = {0x51}, .pool_signature = "test"};
    options_.session.channel.share_batch_size = 1;
    options_.session.channel.min_hash_rate_hps = 0.001;  // a target above the network's: shares that are no blocks
    options_.tick = 20ms;
  }
  ~Server() override {
    // Miners end on their shard, before the pool and its shards do.
    on(shards_[0], [this]() -> asio::awaitable<bool> {
      miners_.clear();
      co_return true;
    });
    server_.reset();
    shards_.stop(0s);
  }

  void start() {
    server_ = std::make_unique<PoolServer>(shards_, source_, std::move(options_));
    const auto started = server_->start();
    ASSERT_TRUE(started) << started.error().message();
  }

  [[nodiscard]] net::Peer upstream(std::uint16_t port) const {
    return {.transport = net::TcpConfig{"127.0.0.1", port},
            .authority = noise::AuthorityKeyPair::from_secret(authority_secret())->public_key()};
  }

  Miner& add_miner(std::uint16_t port) { return *miners_.emplace_back(std::make_unique<Miner>(shards_[0], upstream(port))); }
  Miner& add_miner() { return add_miner(server_->tcp_port()); }

  /// Connects, opens a channel and gets a share accepted; "" or what went wrong.
  std::string mine(Miner& miner) {
    return on(shards_[0], [&miner]() -> asio::awaitable<std::string> {
      if (auto problem = co_await miner.connect(); !problem.empty()) co_return problem;
      if (auto problem = co_await miner.open(); !problem.empty()) co_return problem;
      if (!miner.open_refusal().empty()) co_return miner.open_refusal();
      co_return co_await miner.submit(channels::ShareVerdict::kAccepted);
    });
  }

  net::Shards shards_{2};
  templates::EmbeddedSource source_{templates::EmbeddedSource::Options{}};
  ServerOptions options_;
  std::unique_ptr<PoolServer> server_;
  std::vector<std::unique_ptr<Miner>> miners_;
};

// haproxy with send-proxy or send-proxy-v2 before the pool: its clients are told apart everywhere where a source counts.
TEST_F(Server, BehindATrustedProxyEachClientIsASourceOfItsOwn) {
  options_.trusted_proxies = {*net::AddressRange::parse("127.0.0.1")};
  options_.admission.max_unproven_per_source = 2;
  start();
  const auto come_as = [this](const std::string& header) {
    Miner& miner = add_miner();
    return on(shards_[0], [&miner, header]() -> asio::awaitable<std::string> {
      if (auto problem = co_await miner.connect(std::to_underlying(wire::Protocol::kMining), header); !problem.empty()) {
        co_return problem;
      }
      co_return co_await miner.open();
    });
  };
  const std::string v2("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x08\xc0\0\x02\x01\x12\x67\x0d\x05", 28);
  EXPECT_EQ(come_as("PROXY TCP4 192.0.2.7 192.0.2.1 4711 3333\r\n"), "");
  EXPECT_EQ(come_as("PROXY TCP4 192.0.2.7 192.0.2.1 4712 3333\r\n"), "");
  EXPECT_EQ(come_as(v2), "");
  EXPECT_EQ(come_as("PROXY UNKNOWN\r\n"), "");
  EXPECT_NE(come_as("PROXY TCP4 192.0.2.7 192.0.2.1 4713 3333\r\n"), "") << "the third of that client";
  EXPECT_NE(mine(add_miner()), "") << "past the proxy, without a header";
  std::multiset<std::string> sources;
  for (const auto& info : server_->connections().listed) {
    sources.insert(info.metadata.source.substr(0, info.metadata.source.rfind(':')));
    EXPECT_EQ(info.metadata.peer, info.metadata.source);
  }
  EXPECT_THAT(sources, testing::ElementsAre("127.0.0.1", "192.0.2.7", "192.0.2.7", "192.0.2.8"));
  EXPECT_EQ(server_->stats().admission.refused, 1U);
}

TEST_F(Server, AFoundBlockBecomesTheTipAndEveryMinerHearsOfIt) {
  start();
  for (int i = 0; i < 6; ++i) ASSERT_EQ(mine(add_miner()), "");
  const auto tips = miners_.back()->tips();
  const auto found =
      on(shards_[0], [&]() -> asio::awaitable<std::string> { return miners_[0]->submit(channels::ShareVerdict::kBlock); });
  ASSERT_EQ(found, "");
  for (auto& miner : miners_) {
    const auto heard =
        on(shards_[0], [&]() -> asio::awaitable<std::string> { return miner->until([&] { return miner->tips() > tips; }); });
    EXPECT_EQ(heard, "");
  }
  EXPECT_TRUE(eventually([&] { return source_.status().blocks_accepted == 1; }));
  const auto stats = server_->stats();
  EXPECT_EQ(stats.miners.shares_accepted, 7u);
  EXPECT_EQ(stats.miners.blocks_found, 1u);
  EXPECT_EQ(stats.miners.sessions, 6u);
  EXPECT_EQ(stats.miners.standard_channels, 6u);
  EXPECT_EQ(stats.over(net::Transport::kTcp).open, 6u);
  EXPECT_EQ(stats.admission.connections, 6u);
  EXPECT_EQ(stats.admission.handshakes, 0u);
  EXPECT_EQ(source_.blocks().back().coinbase_outputs[0].script, std::vector<std::uint8_t>{0x51});
}

/// The embedded chain, whose blocks take a while until they are kept; or of which none is its own.
class Slow final : public templates::TemplateSource {
 public:
  Result<> start(templates::SourceEvents events) override {
    events.on_block_kept = [this, tell = std::move(events.on_block_kept)](const bitcoin::Hash256& hash) {
      std::this_thread::sleep_for(50ms);
      kept = true;
      tell(hash);
    };
    return chain_.start(std::move(events));
  }
  Result<> submit(templates::TemplateId id, templates::BlockSolution solution) override {
    return chain_.submit(id + (forgets ? 1000 : 0), std::move(solution));
  }
  void constrain(templates::CoinbaseConstraints constraints) override { constrained = constraints; }
  void transactions(templates::TemplateId id, std::function<void(Result<Transactions>)> done) override {
    chain_.transactions(id, std::move(done));
  }
  [[nodiscard]] templates::SourceStatus status() const override { return chain_.status(); }
  void stop() override { chain_.stop(); }

  std::atomic<bool> kept{false};
  std::atomic<bool> forgets{false};
  templates::CoinbaseConstraints constrained;

 private:
  templates::EmbeddedSource chain_{templates::EmbeddedSource::Options{}};
};

TEST_F(Server, ABlocksShareIsAnsweredOnceTheBlockIsKeptOrLostForGood) {
  Slow source;
  server_ = std::make_unique<PoolServer>(shards_, source, std::move(options_));
  ASSERT_TRUE(server_->start());
  EXPECT_EQ(source.constrained.max_additional_size, 8u + 1 + 1) << "value, length and script of the one output";
  ASSERT_EQ(mine(add_miner()), "");
  const auto find_block = [&] {
    return on(shards_[0], [&]() -> asio::awaitable<std::string> { return miners_[0]->submit(channels::ShareVerdict::kBlock); });
  };
  EXPECT_EQ(find_block(), "");
  EXPECT_TRUE(source.kept);
  // A block that nobody can make of its template is told, and the work counts all the same.
  source.forgets = true;
  EXPECT_EQ(find_block(), "");
  server_.reset();
}

/// The embedded chain behind a node that can go away, or give templates that are of no use.
class Fickle final : public templates::TemplateSource {
 public:
  Result<> start(templates::SourceEvents events) override {
    events_ = events;
    events.on_template = [this](templates::TemplatePtr made, bool new_tip) {
      const std::lock_guard lock(mutex_);
      newest_ = made;
      events_.on_template(std::move(made), new_tip);
    };
    return is_silent ? Result<>() : chain_.start(std::move(events));
  }
  Result<> submit(templates::TemplateId id, templates::BlockSolution solution) override {
    return chain_.submit(id, std::move(solution));
  }
  void constrain(templates::CoinbaseConstraints) override {}
  void transactions(templates::TemplateId id, std::function<void(Result<Transactions>)> done) override {
    chain_.transactions(id, std::move(done));
  }
  [[nodiscard]] templates::SourceStatus status() const override {
    auto status = chain_.status();
    const std::lock_guard lock(mutex_);
    if (away_) status = *away_;
    return status;
  }
  void stop() override { chain_.stop(); }

  void go_away() {
    const std::lock_guard lock(mutex_);
    away_ = templates::SourceStatus{.state = templates::SourceState::kWaiting,
                                    .message = "nothing listens at 127.0.0.1:1",
                                    .not_ready_since = now_from_system().instant};
    events_.on_status(*away_);
  }
  void come_back() {
    const std::lock_guard lock(mutex_);
    away_.reset();
    events_.on_status(chain_.status());
  }
  void give(std::uint32_t nbits, std::uint32_t height = 1) {
    const std::lock_guard lock(mutex_);
    auto changed = std::make_shared<templates::Template>(*newest_);
    changed->nbits = nbits;
    changed->height = height;
    events_.on_template(std::move(changed), true);
  }

  bool is_silent = false;  ///< It gives no template from the start.

 private:
  mutable std::mutex mutex_;  ///< One thread at a time tells of templates and of the status.
  templates::SourceEvents events_;
  templates::TemplatePtr newest_;
  std::optional<templates::SourceStatus> away_;
  templates::EmbeddedSource chain_{templates::EmbeddedSource::Options{}};
};

class StaleWork : public Server {
 protected:
  StaleWork() { options_.stale_work = {.after = 1500ms, .spread = 200ms}; }
  ~StaleWork() override {
    on(shards_[0], [this]() -> asio::awaitable<bool> {
      miners_.clear();
      co_return true;
    });
    server_.reset();  // Before its source.
  }
  void start() {
    server_ = std::make_unique<PoolServer>(shards_, node_, std::move(options_));
    ASSERT_TRUE(server_->start());
  }
  std::string refused_at(Miner& miner) {
    return on(shards_[0], [&miner]() -> asio::awaitable<std::string> {
      if (auto problem = co_await miner.connect(); !problem.empty()) co_return problem;
      if (auto problem = co_await miner.open(); !problem.empty()) co_return problem;
      co_return miner.open_refusal();
    });
  }
  Fickle node_;
};

// audit.md M3: the pool gave out the work of a tip that was long dead, and miners never turned to their next pool.
TEST_F(StaleWork, MinersAreSentAwayWhenTheNodeIsAwayForLongAndTakenAgainWhenItIsBack) {
  start();
  for (int i = 0; i < 5; ++i) ASSERT_EQ(mine(add_miner()), "");
  node_.go_away();
  ASSERT_EQ(mine(add_miner()), "") << "a node that restarts sends nobody away";
  EXPECT_FALSE(server_->stats().work_is_stale);
  for (auto& miner : miners_) {
    const auto heard = on(shards_[0], [&]() -> asio::awaitable<std::string> {
      return miner->until([&] { return !miner->closed_because().empty(); });
    });
    EXPECT_EQ(heard, "");
    EXPECT_EQ(miner->closed_because(), "no-work");
  }
  auto stats = server_->stats();
  EXPECT_TRUE(stats.work_is_stale);
  EXPECT_EQ(stats.miners.channels_closed, 6u);
  EXPECT_EQ(stats.miners.standard_channels, 0u);
  EXPECT_EQ(stats.miners.sessions, 6u) << "the connections are theirs to end";
  EXPECT_EQ(refused_at(add_miner()), "no-work");
  EXPECT_EQ(server_->stats().miners.opens_refused[static_cast<std::size_t>(mining::OpenRefusal::kNoWork)], 1u);

  node_.come_back();
  EXPECT_TRUE(eventually([&] { return mine(add_miner()).empty(); }));
  stats = server_->stats();
  EXPECT_FALSE(stats.work_is_stale);
  EXPECT_EQ(stats.miners.channels_closed, 6u);
}

TEST_F(StaleWork, TemplatesOfWhichNoJobCanBeMadeAreNoWork) {
  start();
  ASSERT_EQ(mine(add_miner()), "");
  node_.give(0xff123456);  // No target is so high.
  auto stats = server_->stats();
  EXPECT_EQ(stats.source.state, templates::SourceState::kMisconfigured) << "at once";
  EXPECT_THAT(stats.source.message, HasSubstr("no job can be made of the node's templates: "));
  EXPECT_TRUE(eventually([&] { return server_->stats().miners.channels_closed == 1; }));
  node_.give(0x207fffff);
  stats = server_->stats();
  EXPECT_EQ(stats.source.state, templates::SourceState::kReady);
  EXPECT_FALSE(stats.work_is_stale);
}

TEST_F(StaleWork, APoolWhoseNodeNeverComesTakesNobody) {
  node_.is_silent = true;
  options_.stale_work.after = 1ms;
  start();
  EXPECT_TRUE(eventually([&] { return server_->stats().work_is_stale; }));
  EXPECT_TRUE(eventually([&] { return refused_at(add_miner()) == "no-work"; }));
}

TEST_F(Server, BothListenersServeOnePool) {
  FakeCarrier carrier(shards_);
  options_.iroh = &carrier;
  start();
  EXPECT_EQ(mine(add_miner()), "");
  EXPECT_EQ(mine(add_miner(carrier.port())), "");
  const auto stats = server_->stats();
  EXPECT_EQ(stats.over(net::Transport::kTcp).open, 1u);
  EXPECT_EQ(stats.over(net::Transport::kIroh).open, 1u);
  EXPECT_EQ(stats.miners.shares_accepted, 2u);

  std::set<net::Transport> transports;
  for (const auto& info : server_->connections().listed) {
    transports.insert(info.metadata.transport);
    ASSERT_EQ(info.channels.size(), 1u);
    EXPECT_EQ(info.channels[0].user_identity, "alice.rig");
    EXPECT_EQ(info.channels[0].stats.accepted, 1u);
  }
  EXPECT_EQ(transports.size(), 2u);
  server_.reset();
}

TEST_F(Server, OneBoundHoldsForBothCarriersAndEachConnectionCountsOnce) {
  FakeCarrier carrier(shards_);
  options_.iroh = &carrier;
  options_.admission = {.max_connections = 2, .max_unproven_per_source = 2};
  start();
  ASSERT_EQ(mine(add_miner()), "");
  ASSERT_EQ(mine(add_miner(carrier.port())), "");
  EXPECT_NE(mine(add_miner()), "") << "both places are taken";
  EXPECT_NE(mine(add_miner(carrier.port())), "") << "over either carrier";
  auto stats = server_->stats();
  EXPECT_EQ(stats.admission.connections, 2u);
  EXPECT_EQ(stats.admission.handshakes, 0u);
  EXPECT_EQ(stats.admission.refused, 2u);
  EXPECT_EQ(stats.over(net::Transport::kTcp).open + stats.over(net::Transport::kIroh).open, 2u);
  // A place that one carrier's miner gives back is taken by the other's.
  on(shards_[0], [this]() -> asio::awaitable<bool> {
    miners_[0]->connection().close(net::CloseCode::kShutdown);
    co_return true;
  });
  EXPECT_TRUE(eventually([&] { return server_->stats().admission.connections == 1; }));
  EXPECT_GT(server_->stats().over(net::Transport::kTcp).bytes_received, 0u) << "summed up when it has ended";
  EXPECT_EQ(server_->stats().over(net::Transport::kIroh).bytes_received, 0u);
  EXPECT_EQ(mine(add_miner(carrier.port())), "");
  server_.reset();
}

TEST_F(Server, ASetupForAnotherProtocolIsAnsweredBeforeTheEnd) {
  start();
  ASSERT_EQ(mine(add_miner()), "");
  auto& wrong = add_miner();
  const auto end = on(shards_[0], [&]() -> asio::awaitable<std::string> {
    if (auto problem = co_await wrong.connect(std::to_underlying(wire::Protocol::kMining) + 1); !problem.empty())
      co_return problem;
    co_return co_await wrong.until([] { return false; });
  });
  EXPECT_EQ(end, "end_of_stream");
  EXPECT_EQ(wrong.refusal(), "unsupported-protocol");
  EXPECT_EQ(
      on(shards_[0], [&]() -> asio::awaitable<std::string> { return miners_[0]->submit(channels::ShareVerdict::kAccepted); }),
      "");
}

TEST_F(Server, SilenceAfterEachStepIsCutOffAndTheHealthyMinerGoesOn) {
  // These bind whoever connects, the healthy miner too until it has its channel: on a busy machine one may miss them, and tries
  // again.
  options_.handshake_deadline = 300ms;
  options_.setup_timeout = 300ms;
  options_.session.channel_timeout = 300ms;
  start();
  Miner* healthy = nullptr;
  ASSERT_TRUE(eventually([&] { return mine(*(healthy = &add_miner())).empty(); }));
  const auto before = server_->stats().over(net::Transport::kTcp);
  const auto step = [&]() -> asio::awaitable<std::string> {
    auto& without_channel = add_miner();
    auto before_handshake = co_await net::dial_tcp(shards_[0], {"127.0.0.1", server_->tcp_port()}, 5s);
    auto before_setup = co_await net::dial(shards_[0], upstream(server_->tcp_port()), wire::Protocol::kMining, {});
    if (!before_handshake || !before_setup) co_return "again";
    if (auto problem = co_await without_channel.connect(); !problem.empty()) co_return "again";
    const auto third = co_await without_channel.until([] { return false; });
    const auto second = co_await (*before_setup)->receive();
    std::array<std::uint8_t, 16> bytes;
    Result<std::size_t> first = fail(net::Errc::kWouldBlock, {});
    while ((first = (*before_handshake)->try_read(bytes), !first) && first.error().is(net::Errc::kWouldBlock)) {
      (void)co_await (*before_handshake)->wait_readable();
    }
    co_return (first || second) ? "still open" : third;
  };
  std::string ends;
  ASSERT_TRUE(eventually([&] { return (ends = on(shards_[0], step)) != "again"; }));
  EXPECT_EQ(ends, "end_of_stream");
  EXPECT_EQ(
      on(shards_[0], [&]() -> asio::awaitable<std::string> { return healthy->submit(channels::ShareVerdict::kAccepted); }), "");
  const auto after = server_->stats().over(net::Transport::kTcp);
  EXPECT_GE(after.handshakes_failed, before.handshakes_failed + 1);
  EXPECT_GE(after.idle, before.idle + 2);
  // The peer may hear of the end before its session is released.
  EXPECT_TRUE(eventually([&] { return server_->stats().miners.sessions == 1; }));
}

TEST_F(Server, AMessageThatBreaksTheProtocolEndsThatConnectionAlone) {
  start();
  ASSERT_EQ(mine(add_miner()), "");
  auto& bad = add_miner();
  ASSERT_EQ(mine(bad), "");
  const auto end = on(shards_[0], [&]() -> asio::awaitable<std::string> {
    wire::FrameBuffer out;
    out.push(
        wire::SetupConnection{.protocol = std::to_underlying(wire::Protocol::kMining), .min_version = 2, .max_version = 2});
    bad.connection().send(out);
    co_return co_await bad.until([] { return false; });
  });
  EXPECT_EQ(end, "end_of_stream");
  EXPECT_EQ(
      on(shards_[0], [&]() -> asio::awaitable<std::string> { return miners_[0]->submit(channels::ShareVerdict::kAccepted); }),
      "");
  EXPECT_EQ(server_->stats().over(net::Transport::kTcp).protocol_errors, 1u);
}

TEST_F(Server, AFrameAboveTheBoundIsCutOffAndTheHealthyMinerGoesOn) {
  start();
  ASSERT_EQ(mine(add_miner()), "");
  auto& bad = add_miner();
  ASSERT_EQ(mine(bad), "");
  const auto end = on(shards_[0], [&]() -> asio::awaitable<std::string> {
    wire::FrameBuffer out;
    const std::vector<std::uint8_t> much(1 << 20);
    (void)out.push_raw({.message_type = wire::SubmitSharesExtended::kType}, much);
    bad.connection().send(out);
    co_return co_await bad.until([] { return false; });
  });
  EXPECT_NE(end, "");
  EXPECT_EQ(
      on(shards_[0], [&]() -> asio::awaitable<std::string> { return miners_[0]->submit(channels::ShareVerdict::kAccepted); }),
      "");
}

TEST_F(Server, AStopAcknowledgesWhatWasAccepted) {
  options_.session.channel.share_batch_size = 1000;
  options_.session.max_ack_delay = 1h;
  start();
  auto& miner = add_miner();
  const auto opened = on(shards_[0], [&]() -> asio::awaitable<std::string> {
    if (auto problem = co_await miner.connect(); !problem.empty()) co_return problem;
    if (auto problem = co_await miner.open(); !problem.empty()) co_return problem;
    for (int i = 0; i < 3; ++i) (void)co_await miner.submit(channels::ShareVerdict::kAccepted, /*answered=*/false);
    co_return "";
  });
  ASSERT_EQ(opened, "");
  ASSERT_TRUE(eventually([&] { return server_->stats().miners.shares_accepted == 3; }));
  EXPECT_EQ(miner.accepted(), 0u);
  auto stopping = std::async(std::launch::async, [&] { server_->stop(10s); });
  const auto end = on(shards_[0], [&]() -> asio::awaitable<std::string> {
    auto how = co_await miner.until([] { return false; });
    miner.connection().close(net::CloseCode::kShutdown);
    co_return how;
  });
  stopping.get();
  EXPECT_EQ(end, "end_of_stream");
  EXPECT_EQ(miner.accepted(), 3u);
  EXPECT_EQ(server_->stats().miners.shares_accepted, 3u);
  const auto tasks = [&](unsigned index) {
    std::promise<std::size_t> count;
    shards_[index].post([&] { count.set_value(shards_[index].tasks()); });
    return count.get_future().get();
  };
  EXPECT_TRUE(eventually([&] { return tasks(0) + tasks(1) == 0; }));
}

TEST_F(Server, NothingToListenOnIsAConfigurationError) {
  options_.listen.reset();
  server_ = std::make_unique<PoolServer>(shards_, source_, std::move(options_));
  const auto started = server_->start();
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message(), HasSubstr("listen_address"));
}

TEST_F(Server, APortInUseStopsTheStart) {
  const auto taken = net::TcpListener::bind(shards_[0], {"127.0.0.1", 0});
  ASSERT_TRUE(taken);
  options_.listen = net::TcpConfig{"127.0.0.1", (*taken)->port()};
  server_ = std::make_unique<PoolServer>(shards_, source_, std::move(options_));
  const auto started = server_->start();
  ASSERT_FALSE(started);
  EXPECT_TRUE(started.error().is(net::Errc::kAddressInUse));
}

TEST_F(Server, UnderAKeyThatEverybodyHasNoWorkIsGivenOfAChainThatIsWorthSomething) {
  options_.worthless_chains_only = true;
  Fickle node;
  server_ = std::make_unique<PoolServer>(shards_, node, std::move(options_));
  ASSERT_TRUE(server_->start());
  ASSERT_TRUE(eventually([&] { return server_->stats().jobs > 0; })) << "on regtest";
  node.give(0x1b00d7bf, 32'767);
  EXPECT_EQ(server_->stats().source.state, templates::SourceState::kReady)
      << "a short chain is of somebody's own, however hard";
  const auto jobs = server_->stats().jobs;
  node.give(0x1b00d7bf, 32'768);
  EXPECT_EQ(server_->stats().source.state, templates::SourceState::kMisconfigured);
  EXPECT_THAT(server_->stats().source.message, HasSubstr("anybody could pose as this pool"));
  EXPECT_EQ(server_->stats().jobs, jobs);
  server_.reset();
}

}  // namespace
}  // namespace adit::pool
