#include "roles/miner/miner.h"

#include <random>
#include <utility>

#include "log/log.h"
#include "net/tcp.h"
#include "upstream/url.h"

namespace adit::miner {
namespace {

using namespace std::chrono_literals;
namespace asio = net::asio;

constexpr Duration kDialDeadline = 5s;
constexpr Duration kTick = 1s;
constexpr Duration kStableAfter = 60s;  // A connection that lasted so long makes the next failure a first one.
constexpr std::size_t kMaxQueuedBytes = 1 << 16;

std::uint64_t random_u64() {
  static std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

}  // namespace

// Counts and logs; the shard writes, anybody reads the counts.
class Miner::Events final : public Sv2Handler {
 public:
  explicit Events(Miner& miner) : miner_(miner) {}

  void on_work(const HashWork& work) override {
    log::debug("miner.work", {{"work", work.id}});
    miner_.workers_->set_work(work);
  }
  void on_accepted(std::uint64_t shares) override {
    accepted_.fetch_add(shares, std::memory_order_relaxed);
    log::debug("miner.share_accepted", {{"shares", shares}});
  }
  void on_rejected(std::string_view code) override {
    rejected_.fetch_add(1, std::memory_order_relaxed);
    log::warn("miner.share_rejected", {{"code", code}});
  }

  void on_connected(const net::Peer& peer) override {
    const auto& metadata = *miner_.uplink_->status().metadata;
    log::info("miner.connected", {{"transport", to_string(metadata.transport)},
                                  {"path", to_string(metadata.path)},
                                  {"peer", metadata.peer},
                                  {"authority", metadata.authority_key},
                                  {"url", upstream::to_url(peer)}});
    miner_.last_error_.clear();
  }
  void on_disconnected(const Error& why, bool used) override {
    miner_.last_error_ = why.message();
    if (used) miner_.workers_->pause();
    log::warn(used ? "miner.disconnected" : "miner.upstream_failed", {{"error", why.name()}, {"reason", why.message()}});
  }
  void on_unusable(const Error& why) override {
    miner_.workers_->pause();
    miner_.last_error_ = why.message();
    log::error("miner.unusable", {{"message", why.message()}});
    miner_.unusable_ = true;
  }

  [[nodiscard]] std::uint64_t accepted() const { return accepted_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t rejected() const { return rejected_.load(std::memory_order_relaxed); }

 private:
  Miner& miner_;
  std::atomic<std::uint64_t> accepted_{0};
  std::atomic<std::uint64_t> rejected_{0};
};

Miner::Miner(MinerConfig config, net::Shard& shard)
    : config_(std::move(config)),
      backoff_(std::min<Duration>(500ms, config_.longest_retry), config_.longest_retry),
      events_(std::make_unique<Events>(*this)),
      shard_(shard) {}

Miner::~Miner() = default;

void Miner::start() {
  if (config_.nominal_hash_rate_hps <= 0) config_.nominal_hash_rate_hps = measure_hash_rate(config_.threads);
  workers_ = std::make_unique<HashWorkers>(config_.threads, [this](Solution solution) {
    shard_.post([this, solution] {
      if (submit_) submit_(solution);
    });
  });
  shard_.post([this] {
    if (config_.pools.front().dialect == net::Dialect::kStratumV1) return shard_.spawn(run_sv1());
    start_sv2();
  });
}

void Miner::start_sv2() {
  auto regtest_only = config_.regtest_only;
  regtest_only.resize(config_.pools.size());
  sv2_.emplace(
      mining::ChannelClientOptions{
          .user = config_.user, .nominal_hash_rate_hps = config_.nominal_hash_rate_hps, .extended = config_.extended},
      std::move(regtest_only), *events_);
  upstream::Uplink::Options options;
  for (const auto& pool : config_.pools) options.targets.push_back({.peer = pool, .goodbye = config_.goodbye});
  options.name = "miner";
  options.client.program = "cpu";
  options.client.flags = mining::ChannelClient::setup_flags(config_.extended);
  options.selection = config_.selection;
  options.selection.longest_retry = config_.longest_retry;
  options.selection.first_retry = std::min(options.selection.first_retry, config_.longest_retry);
  options.dial = {.connect_deadline = kDialDeadline,
                  .silent_host = config_.health.dead_after,
                  .max_queued_bytes = kMaxQueuedBytes,
                  .iroh = config_.iroh};
  options.health = config_.health;
  uplink_ = std::make_shared<upstream::Uplink>(shard_, std::move(options), *sv2_);
  submit_ = [this](const Solution& solution) {
    sv2_->submit(solution, now_from_system());
    uplink_->send();
  };
  ticker_.emplace(shard_, kTick, [this] { uplink_->on_tick(now_from_system()); });
  uplink_->start();
}

void Miner::stop(session::ShutdownBehavior behavior) {
  shard_.post([this, behavior] {
    stopping_ = true;
    workers_->pause();
    if (close_) close_();
    ticker_.reset();
    if (uplink_) uplink_->shut_down(behavior, "the miner stops", nullptr);
  });
}

MinerStats Miner::stats() const {
  return {.hashes = workers_ ? workers_->hashes() : 0,
          .shares_accepted = events_->accepted(),
          .shares_rejected = events_->rejected()};
}

asio::awaitable<void> Miner::run_sv1() {
  while (!stopping_) {
    const Instant begun = now_from_system().instant;
    const Result<void> ended = co_await mine_sv1();
    submit_ = nullptr;
    close_ = nullptr;
    workers_->pause();
    if (stopping_) break;
    last_error_ = ended ? "the pool ended the connection" : ended.error().message();
    if (!ended && ended.error().is(session::Errc::kConfiguration)) {
      log::error("miner.unusable", {{"message", last_error_}});
      unusable_ = true;
      break;
    }
    if (now_from_system().instant - begun >= kStableAfter) backoff_.reset();
    const Duration wait = backoff_.next(random_u64());
    log::warn("miner.disconnected",
              {{"reason", last_error_}, {"retry_ms", std::chrono::duration_cast<std::chrono::milliseconds>(wait).count()}});
    // A stop that comes meanwhile aborts the wait.
    co_await net::sleep_for(wait);
  }
}

asio::awaitable<Result<void>> Miner::mine_sv1() {
  const auto* to = std::get_if<net::TcpConfig>(&config_.pools.front().transport);
  if (to == nullptr) co_return fail(net::Errc::kConfiguration, "Stratum V1 is carried over TCP only");
  ADIT_CO_TRY(const std::unique_ptr<net::ByteStream> stream, co_await net::dial_tcp(shard_, *to, kDialDeadline));
  log::info("miner.connected", {{"transport", "tcp"}, {"peer", stream->metadata().peer}});
  last_error_.clear();

  Sv1Session session(config_.user, *events_);
  // What is written here is a line a share: a pool that takes none of it any more is as good as gone.
  Result<void> written;
  const auto flush = [&] {
    std::string& output = session.output();
    while (written && !output.empty()) {
      const auto taken = stream->try_write(as_bytes(output));
      if (taken) {
        output.erase(0, *taken);
      } else if (!taken.error().is(net::Errc::kWouldBlock) || output.size() > kMaxQueuedBytes) {
        written = fail(taken.error());
        stream->close(net::CloseCode::kShutdown);
      } else {
        break;
      }
    }
  };
  submit_ = [&](const Solution& solution) {
    session.on_solution(solution);
    flush();
  };
  close_ = [&] { stream->close(net::CloseCode::kShutdown); };
  session.start();
  flush();
  std::vector<std::uint8_t> buffer(16 * 1024);
  while (true) {
    const auto read = stream->try_read(buffer);
    if (read) {
      ADIT_CO_CHECK(session.receive(Bytes(buffer).first(*read)));
      flush();
    } else if (read.error().is(net::Errc::kWouldBlock)) {
      ADIT_CO_CHECK(co_await stream->wait_readable());
    } else {
      co_return fail(written ? read.error() : written.error());
    }
  }
}

double measure_hash_rate(unsigned threads) {
  HashWorkers workers(threads, [](Solution) {});
  workers.set_work(HashWork{});
  const Instant begun = now_from_system().instant;
  std::this_thread::sleep_for(200ms);
  const std::chrono::duration<double> spent = now_from_system().instant - begun;
  return static_cast<double>(workers.hashes()) / spent.count();
}

}  // namespace adit::miner
