#include "roles/translator/server.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <future>
#include <random>
#include <unordered_map>
#include <utility>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/backoff.h"
#include "log/log.h"
#include "net/dial.h"
#include "net/reconnect.h"
#include "net/tcp.h"

namespace adit::translator {
namespace {

namespace asio = boost::asio;

constexpr auto kTick = std::chrono::seconds(1);
/// How long a miner that is sent away has to take the words that say why.
constexpr auto kLastWords = std::chrono::seconds(2);
/// Complaints about single miners or shares in the log, per shard and second: an abusive one must not hide the others.
constexpr int kComplaintsPerTick = 5;

void add(Counters& sum, const Counters& part) {
  sum.miners += part.miners;
  sum.ready_miners += part.ready_miners;
  sum.channels += part.channels;
  sum.hash_rate_hps += part.hash_rate_hps;
  sum.shares_submitted += part.shares_submitted;
  sum.shares_accepted += part.shares_accepted;
  sum.shares_local += part.shares_local;
  sum.blocks_found += part.blocks_found;
  sum.work_sum += part.work_sum;
  for (const auto& [code, count] : part.rejected_upstream) sum.rejected_upstream[code] += count;
  for (const auto& [code, count] : part.rejected_local) sum.rejected_local[code] += count;
  sum.unknown_channel_messages += part.unknown_channel_messages;
  sum.unknown_extension_messages += part.unknown_extension_messages;
  sum.jobs += part.jobs;
}

/// What SetupConnection says was dialled.
std::pair<std::string, std::uint16_t> endpoint_of(const net::TransportConfig& transport) {
  if (const auto* tcp = std::get_if<net::TcpConfig>(&transport)) return {tcp->host, tcp->port};
  return {std::get<net::IrohConfig>(transport).endpoint_id, 0};
}

}  // namespace

struct TranslatorServer::Core {
  Core(net::Shards& all, ServerOptions given) : shards(all), options(std::move(given)), admission(options.admission) {}

  net::Shards& shards;
  const ServerOptions options;
  net::Admission admission;
  std::vector<std::shared_ptr<Home>> homes;
  std::unique_ptr<net::TcpListener> listener;
  std::atomic<bool> stopping{false};
  bool stop_called = false;
};

/// The translator on one shard. Everything but the constructor and published() runs on the shard's thread.
class TranslatorServer::Home final : public TranslatorEvents, public std::enable_shared_from_this<Home> {
 public:
  /// What a shard publishes once a second.
  struct Published {
    Counters counters;
    UpstreamStatus upstream;
    std::uint64_t slow_readers = 0;
  };

  Home(std::shared_ptr<Core> core, net::Shard& shard)
      : core_(std::move(core)),
        shard_(shard),
        translator_(numbered(core_->options.translator, shard.index(), core_->shards.size()), *this),
        tick_(shard.context()),
        retry_(shard.context()),
        stop_(shard.context(), asio::steady_timer::time_point::max()) {}

  void begin() {
    shard_.spawn(run_ticks(shared_from_this()));
    shard_.spawn(run_upstream(shared_from_this()));
  }

  void take(std::unique_ptr<net::ByteStream> stream) {
    const auto metadata = stream->metadata();
    auto token = core_->admission.admit(metadata.source.empty() ? metadata.peer : metadata.source);
    if (stopping_ || core_->stopping || !token) {
      if (!token) complain("translator.refused", metadata.peer, token.error().message());
      return stream->close(net::CloseCode::kOverloaded);
    }
    shard_.spawn(serve(shared_from_this(), std::make_shared<Peer>(core_, std::move(stream), std::move(*token))));
  }

  /// Ends miners, channels and the upstream. `done` is called when nothing of the translator runs here any more.
  void drain(Duration patience, std::function<void()> done) {
    done_ = std::move(done);
    stopping_ = true;
    tick_.cancel();
    retry_.cancel();
    stop_.cancel();
    const auto now = now_from_system();
    const auto peers = peers_;
    for (const auto& [number, peer] : peers) {
      translator_.remove_miner(*std::exchange(peer->miner, nullptr), now);
      peer->stream->close(net::CloseCode::kShutdown);
    }
    peers_.clear();
    flush();
    if (connection_) shard_.spawn(drain_upstream(shared_from_this(), patience));
    finish_if_done();
  }

  void cut_off() {
    if (connection_) connection_->close(net::CloseCode::kShutdown);
  }

  [[nodiscard]] std::vector<MinerInfo> list(std::size_t limit) const {
    std::vector<MinerInfo> infos;
    for (const auto& [number, miner] : translator_.miners()) {
      if (infos.size() >= limit) break;
      infos.push_back({.number = number,
                       .peer = miner->peer(),
                       .user = miner->server().user(),
                       .user_agent = miner->server().user_agent(),
                       .ready = miner->server().ready(),
                       .channel_id = miner->channel() ? std::optional(miner->channel()->id()) : std::nullopt,
                       .hash_rate_hps = miner->hash_rate_hps(),
                       .shares_accepted = miner->shares_accepted(),
                       .shares_rejected = miner->shares_rejected()});
    }
    return infos;
  }

  /// Any thread.
  [[nodiscard]] Published published() const {
    const std::scoped_lock lock(published_mutex_);
    return published_;
  }
  [[nodiscard]] net::Shard& shard() { return shard_; }

 private:
  /// One miner's connection. Shared by its reader and its writer.
  struct Peer {
    Peer(std::shared_ptr<Core> owner, std::unique_ptr<net::ByteStream> from, net::Admission::Token place)
        : core(std::move(owner)), stream(std::move(from)), token(std::move(place)) {}
    std::shared_ptr<Core> core;  ///< Whose admission gave the token.
    std::unique_ptr<net::ByteStream> stream;
    net::Admission::Token token;
    Miner* miner = nullptr;  ///< The engine's; null once removed there.
    std::string queued;      ///< Not yet taken by the carrier.
    bool writing = false;    ///< A writer waits for the carrier.
    bool established = false;
    std::optional<Instant> last_words;  ///< It was sent away: closed at the latest then.
  };
  using PeerPtr = std::shared_ptr<Peer>;

  /// Counts what runs here, so that a stop knows when it is over.
  class Running {
   public:
    explicit Running(Home& home) : home_(home) { ++home_.running_; }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;
    ~Running() {
      --home_.running_;
      home_.finish_if_done();
    }

   private:
    Home& home_;
  };

  static Options numbered(Options options, unsigned index, unsigned shards) {
    options.first_number = index + 1;
    options.number_step = shards;
    return options;
  }

  void finish_if_done() {
    if (running_ != 0 || !done_) return;
    publish();
    std::exchange(done_, nullptr)();
  }

  void publish() {
    Published now;
    now.counters = translator_.counters();
    now.upstream = upstream_;
    now.slow_readers = slow_readers_;
    const std::scoped_lock lock(published_mutex_);
    published_ = std::move(now);
  }

  void complain(std::string_view event, std::string_view peer, std::string_view message) {
    if (complaints_ == 0) {
      ++untold_;
      return;
    }
    --complaints_;
    log::warn(event, {{"peer", peer}, {"message", message}});
  }

  // ---- TranslatorEvents
  void on_upstream_ready() override {
    upstream_.ready = true;
    ++upstream_.connects;
    ready_at_ = now_from_system().instant;
    upstream_.metadata = connection_->metadata();
    const auto& metadata = *upstream_.metadata;
    log::info("translator.upstream_ready",
              {{"url", upstream_.url},
               {"transport", net::to_string(metadata.transport)},
               {"path", net::to_string(metadata.path)},
               {"authority", metadata.authority_key.empty() ? "not checked" : metadata.authority_key}});
  }
  void on_channel_opened(const Miner& miner) override {
    log::info("translator.channel_opened",
              {{"miner", miner.number()}, {"peer", miner.peer()}, {"channel", miner.channel()->id()}});
  }
  void on_channel_refused(const Miner& miner, std::string_view code) override {
    complain("translator.channel_refused", miner.peer(), code);
  }
  void on_job(std::uint32_t job_id, bool new_tip) override {
    log::debug("translator.job", {{"job", job_id}, {"new_tip", new_tip}});
  }
  void on_share_submitted(const Miner& miner, bool block) override {
    if (block) log::info("translator.block_found", {{"miner", miner.number()}, {"peer", miner.peer()}});
  }
  void on_share_rejected(const Miner& miner, std::string_view code) override {
    complain("translator.share_rejected", miner.peer(), code);
  }

  // ---- Bytes out
  /// Sends what the engine has written, up and down.
  void flush() {
    if (!translator_.upstream_output().empty()) {
      if (connection_) connection_->send(translator_.upstream_output());
      translator_.upstream_output().clear();
    }
    for (Miner* miner : translator_.take_touched()) {
      const auto found = peers_.find(miner->number());
      if (found != peers_.end()) flush(found->second);
    }
  }

  void flush(const PeerPtr& peer) {
    Miner& miner = *peer->miner;
    peer->queued += miner.output();
    miner.output().clear();
    if (!peer->established && miner.server().ready()) {
      peer->established = true;
      peer->token.established();
    }
    if (!miner.ended().empty() && !peer->last_words) {
      peer->last_words = now_from_system().instant + kLastWords;
      complain("translator.miner_sent_away", miner.peer(), miner.ended());
    }
    write(peer);
  }

  void write(const PeerPtr& peer) {
    while (!peer->queued.empty()) {
      const auto taken = peer->stream->try_write(as_bytes(peer->queued));
      if (taken) {
        peer->queued.erase(0, *taken);
      } else if (taken.error().is(net::Errc::kWouldBlock)) {
        break;
      } else {
        peer->queued.clear();  // The reader hears of it too.
        return;
      }
    }
    if (peer->queued.size() > core_->options.max_queued_bytes) {
      ++slow_readers_;
      complain("translator.slow_reader", peer->stream->metadata().peer, "it does not read: cut off");
      peer->queued.clear();
      return peer->stream->close(net::CloseCode::kOverloaded);
    }
    if (!peer->queued.empty()) {
      if (!std::exchange(peer->writing, true)) shard_.spawn(run_writer(shared_from_this(), peer));
    } else if (peer->last_words) {
      // The miner reads the rest and closes; if not, tick() does.
      peer->stream->finish();
    }
  }

  static asio::awaitable<void> run_writer(std::shared_ptr<Home> home, PeerPtr peer) {
    const Running running(*home);
    const auto writable = co_await peer->stream->wait_writable();
    peer->writing = false;
    if (writable) home->write(peer);
  }

  // ---- Miners
  static asio::awaitable<void> serve(std::shared_ptr<Home> home, PeerPtr peer) {
    const Running running(*home);
    const auto name = peer->stream->metadata().peer;
    Miner& miner = home->translator_.add_miner(name, now_from_system());
    peer->miner = &miner;
    const auto number = miner.number();
    home->peers_[number] = peer;
    log::info("translator.miner_connected", {{"miner", number}, {"peer", name}});
    std::string reason;
    while (true) {
      const auto count = peer->stream->try_read(home->read_buffer_);
      if (count) {
        if (peer->miner == nullptr) break;
        home->translator_.on_miner_bytes(*peer->miner, Bytes(home->read_buffer_).first(*count), now_from_system());
        home->flush();
        continue;
      }
      if (!count.error().is(net::Errc::kWouldBlock)) {
        reason = count.error().message();
        break;
      }
      if (const auto readable = co_await peer->stream->wait_readable(); !readable) {
        reason = readable.error().message();
        break;
      }
    }
    if (peer->miner != nullptr) {
      if (!peer->miner->ended().empty()) reason = peer->miner->ended();
      home->peers_.erase(number);
      home->translator_.remove_miner(*std::exchange(peer->miner, nullptr), now_from_system());
      home->flush();
    }
    peer->stream->close(net::CloseCode::kShutdown);
    log::info("translator.miner_left", {{"miner", number}, {"peer", name}, {"reason", reason}});
  }

  // ---- The upstream
  asio::awaitable<void> stopped() {
    boost::system::error_code cancelled;
    if (!stopping_) co_await stop_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
  }

  enum class Outcome {
    kFailed,    ///< Or it said what it should not: the next upstream is to be tried.
    kLost,      ///< It was good.
    kMoved,     ///< It asked to be dialled anew.
    kUnusable,  ///< Until the configuration is changed.
  };

  /// One connection from the dial to its end.
  asio::awaitable<Outcome> use_upstream(const UpstreamTarget& target) {
    using namespace asio::experimental::awaitable_operators;
    upstream_.url = net::to_url(target.peer);
    net::DialOptions options;
    options.iroh = core_->options.iroh;
    auto first = co_await (net::dial(shard_, target.peer, options) || stopped());
    if (stopping_ || first.index() != 0) co_return Outcome::kFailed;
    auto& dialled = std::get<0>(first);
    if (!dialled) {
      upstream_.last_error = dialled.error().message();
      log::warn("translator.upstream_failed",
                {{"url", upstream_.url}, {"error", dialled.error().name()}, {"message", dialled.error().message()}});
      co_return Outcome::kFailed;
    }
    connection_ = std::move(*dialled);
    drop_reason_.reset();
    const auto [host, port] = endpoint_of(target.peer.transport);
    translator_.on_upstream_connected(target.user_identity, host, port, now_from_system(), target.regtest_only);
    flush();
    Error reason(net::Errc::kClosed, "");
    while (true) {
      const auto batch = co_await connection_->receive();
      if (!batch) {
        reason = drop_reason_ ? *drop_reason_ : batch.error();
        break;
      }
      const auto handled = translator_.on_upstream_frames(*batch, now_from_system());
      flush();
      if (!handled) {
        reason = handled.error();
        break;
      }
    }
    const bool was_ready = std::exchange(upstream_.ready, false);
    connection_->close(net::CloseCode::kShutdown);
    connection_.reset();
    translator_.on_upstream_lost(now_from_system());
    if (stopping_) co_return Outcome::kFailed;
    flush();
    if (reason.is(Errc::kConfiguration)) {
      log::error("translator.upstream_unusable", {{"url", upstream_.url}, {"message", reason.message()}});
      upstream_.last_error = reason.message();
      unusable_ = std::move(reason);
      co_return Outcome::kUnusable;
    }
    log::warn("translator.upstream_lost", {{"url", upstream_.url}, {"error", reason.name()}, {"message", reason.message()}});
    upstream_.last_error = reason.message();
    const bool at_fault = reason.is(Errc::kProtocol) || reason.is(Errc::kRefused) || reason.is(Errc::kTimedOut);
    if (reason.is(Errc::kReconnect)) co_return Outcome::kMoved;
    co_return was_ready && !at_fault ? Outcome::kLost : Outcome::kFailed;
  }

  /// Where the upstream that asked for a new connection is to be dialled, if that may be followed.
  std::optional<UpstreamTarget> moved(const UpstreamTarget& from) {
    const auto& request = translator_.reconnect();
    auto peer = net::reconnect_target(from.peer, request.host, request.port);
    if (peer && !reconnects_.take(now_from_system().instant)) {
      peer = fail(net::Errc::kProtocol, "the upstream asked for new connections too often: not followed");
    }
    if (!peer) {
      log::warn("translator.reconnect_refused", {{"url", upstream_.url}, {"message", peer.error().message()}});
      return std::nullopt;
    }
    log::info("translator.reconnect", {{"url", net::to_url(*peer)}});
    UpstreamTarget target = from;
    target.peer = std::move(*peer);
    return target;
  }

  static asio::awaitable<void> run_upstream(std::shared_ptr<Home> home) {
    const Running running(*home);
    const auto& options = home->core_->options;
    Backoff backoff(options.first_retry, options.longest_retry);
    std::mt19937_64 random{std::random_device{}()};
    std::vector<bool> unusable(options.upstreams.size());
    std::optional<UpstreamTarget> elsewhere;  // Where a Reconnect leads.
    std::size_t next = 0;
    while (!home->stopping_ && std::ranges::find(unusable, false) != unusable.end()) {
      if (unusable[next]) {
        next = (next + 1) % unusable.size();
        continue;
      }
      home->ready_at_.reset();
      const UpstreamTarget target = elsewhere ? *std::exchange(elsewhere, std::nullopt) : options.upstreams[next];
      const Outcome outcome = co_await home->use_upstream(target);
      if (home->stopping_) break;
      if (outcome == Outcome::kMoved) elsewhere = home->moved(target);
      if (elsewhere) continue;
      if (outcome == Outcome::kUnusable) unusable[next] = true;
      if ((outcome == Outcome::kFailed || outcome == Outcome::kUnusable) && ++next < options.upstreams.size()) continue;
      // The round is over, or one that was good was lost: from the first again, after a wait.
      next = 0;
      if (home->ready_at_ && now_from_system().instant - *home->ready_at_ >= options.stable_after) backoff.reset();
      co_await home->wait(backoff.next(random()));
    }
    if (!home->stopping_) home->upstream_.unusable = home->unusable_;
  }

  asio::awaitable<void> wait(Duration duration) {
    retry_.expires_after(duration);
    boost::system::error_code cancelled;
    if (!stopping_) co_await retry_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
  }

  static asio::awaitable<void> drain_upstream(std::shared_ptr<Home> home, Duration patience) {
    const Running running(*home);
    if (const auto connection = home->connection_) co_await connection->drain(patience);
  }

  // ---- Time
  static asio::awaitable<void> run_ticks(std::shared_ptr<Home> home) {
    const Running running(*home);
    home->publish();
    while (!home->stopping_) {
      home->tick_.expires_after(kTick);
      boost::system::error_code cancelled;
      co_await home->tick_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
      if (!home->stopping_) home->tick();
    }
  }

  void tick() {
    const auto now = now_from_system();
    if (const auto ticked = translator_.on_tick(now); !ticked && connection_) {
      drop_reason_ = ticked.error();
      connection_->close(net::CloseCode::kProtocolError);
    }
    flush();
    for (const auto& [number, peer] : peers_) {
      if (peer->last_words && now.instant >= *peer->last_words) peer->stream->close(net::CloseCode::kShutdown);
    }
    if (connection_) upstream_.metadata = connection_->metadata();
    complaints_ = kComplaintsPerTick;
    if (const auto untold = std::exchange(untold_, 0); untold != 0)
      log::warn("translator.more_complaints", {{"count", untold}});
    publish();
  }

  const std::shared_ptr<Core> core_;  ///< First, so that it is gone last.
  net::Shard& shard_;
  Translator translator_;
  asio::steady_timer tick_;
  asio::steady_timer retry_;
  asio::steady_timer stop_;                             ///< Never expires: a stop cancels it.
  std::unordered_map<std::uint64_t, PeerPtr> peers_;    ///< By the miner's number.
  std::array<std::uint8_t, 16 * 1024> read_buffer_;     ///< Of one read; its bytes are used up before anything waits.
  std::shared_ptr<net::NetworkConnection> connection_;  ///< Shared with drain_upstream alone.
  UpstreamStatus upstream_;
  std::optional<Instant> ready_at_;
  net::ReconnectBudget reconnects_;
  std::optional<Error> unusable_;     ///< Why an upstream is not to be dialled again.
  std::optional<Error> drop_reason_;  ///< Why tick() closed the connection.
  std::uint64_t slow_readers_ = 0;
  std::size_t running_ = 0;
  bool stopping_ = false;
  int complaints_ = kComplaintsPerTick;
  std::uint64_t untold_ = 0;
  std::function<void()> done_;
  // Held for a copy, once a second. Not std::atomic<std::shared_ptr>: libstdc++ 12's unlocks without a barrier.
  mutable std::mutex published_mutex_;
  Published published_;
};

TranslatorServer::TranslatorServer(net::Shards& shards, ServerOptions options)
    : core_(std::make_shared<Core>(shards, std::move(options))) {}

TranslatorServer::~TranslatorServer() {
  stop(Duration::zero());
  core_->homes.clear();  // They hold the core.
}

Result<void> TranslatorServer::start() {
  auto& core = *core_;
  if (core.options.upstreams.empty()) {
    return fail(net::Errc::kConfiguration, "the translator has no upstream: configure [[upstreams]]");
  }
  ADIT_TRY(core.listener, net::TcpListener::bind(core.shards[0], core.options.listen));
  for (unsigned i = 0; i < core.shards.size(); ++i) core.homes.push_back(std::make_shared<Home>(core_, core.shards[i]));
  for (const auto& home : core.homes) home->shard().post([home] { home->begin(); });
  core.listener->start(core.shards, [homes = core.homes](net::Shard& shard, std::unique_ptr<net::ByteStream> stream) {
    homes[shard.index()]->take(std::move(stream));
  });
  log::info("translator.listening", {{"address", core.listener->address()}});
  return {};
}

void TranslatorServer::stop(Duration patience) {
  auto& core = *core_;
  if (std::exchange(core.stop_called, true)) return;
  core.stopping = true;
  if (core.listener) core.listener->stop();
  std::vector<std::future<void>> ends;
  for (const auto& home : core.homes) {
    auto promise = std::make_shared<std::promise<void>>();
    ends.push_back(promise->get_future());
    home->shard().post([home, patience, promise] { home->drain(patience, [promise] { promise->set_value(); }); });
  }
  const auto wait_until = [&](auto moment) {
    for (auto& end : ends) end.wait_until(moment);
  };
  wait_until(std::chrono::steady_clock::now() + patience);
  for (const auto& home : core.homes) home->shard().post([home] { home->cut_off(); });
  wait_until(std::chrono::steady_clock::now() + kLastWords);
}

std::uint16_t TranslatorServer::port() const { return core_->listener ? core_->listener->port() : 0; }
std::string TranslatorServer::address() const { return core_->listener ? core_->listener->address() : ""; }

ServerStats TranslatorServer::stats() const {
  ServerStats stats;
  for (const auto& home : core_->homes) {
    auto part = home->published();
    add(stats.counters, part.counters);
    stats.upstreams.push_back(std::move(part.upstream));
    stats.slow_readers += part.slow_readers;
  }
  stats.admission = core_->admission.counts();
  return stats;
}

std::vector<MinerInfo> TranslatorServer::miners(std::size_t limit) const {
  std::vector<MinerInfo> all;
  if (core_->stop_called) return all;
  for (const auto& home : core_->homes) {
    std::promise<std::vector<MinerInfo>> promise;
    auto future = promise.get_future();
    home->shard().post([home, limit, &promise] { promise.set_value(home->list(limit)); });
    for (auto& info : future.get()) all.push_back(std::move(info));
  }
  return all;
}

}  // namespace adit::translator
