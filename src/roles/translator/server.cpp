#include "roles/translator/server.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <future>
#include <unordered_map>
#include <utility>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "log/limited.h"
#include "net/tcp.h"
#include "net/ticker.h"

namespace adit::translator {
namespace {

namespace asio = boost::asio;

constexpr auto kTick = std::chrono::seconds(1);
/// How long a miner that is sent away has to take the words that say why.
constexpr auto kLastWords = std::chrono::seconds(2);

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
  sum.shares_orphaned += part.shares_orphaned;
  for (const auto& [code, count] : part.rejected_local) sum.rejected_local[code] += count;
  sum.unknown_channel_messages += part.unknown_channel_messages;
  sum.unknown_extension_messages += part.unknown_extension_messages;
  sum.jobs += part.jobs;
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
    net::UplinkStatus upstream;
    std::uint64_t slow_readers = 0;
  };

  Home(std::shared_ptr<Core> core, net::Shard& shard)
      : core_(std::move(core)),
        shard_(shard),
        translator_(numbered(core_->options.translator, shard.index(), core_->shards.size()), *this),
        role_(core_->options.upstreams, translator_, [this] { flush(); }),
        uplink_(std::make_shared<net::Uplink>(shard, uplink_options(core_->options), role_)) {}

  void begin() {
    publish();
    ticker_.emplace(shard_, kTick, [this] { tick(); });
    uplink_->start();
  }

  void take(std::unique_ptr<net::ByteStream> stream) {
    const auto metadata = stream->metadata();
    auto token = core_->admission.admit(metadata.source.empty() ? metadata.peer : metadata.source);
    if (stopping_ || core_->stopping || !token) {
      if (!token) complain("translator.refused", metadata.peer, token.error().message());
      return stream->close(net::CloseCode::kOverloaded);
    }
    shard_.spawn(serve(shared_from_this(), std::make_shared<Peer>(core_, shard_, std::move(stream), std::move(*token))));
  }

  /// Ends miners, channels and the upstream. `done` is called when nothing of the translator runs here any more.
  void drain(net::ShutdownBehavior behavior, std::function<void()> done) {
    done_ = std::move(done);
    stopping_ = true;
    ticker_.reset();
    const auto now = now_from_system();
    const auto peers = peers_;
    for (const auto& [number, peer] : peers) {
      translator_.remove_miner(*std::exchange(peer->miner, nullptr), now);
      peer->close(net::CloseCode::kShutdown);
    }
    peers_.clear();
    flush();
    ++running_;  // The uplink.
    uplink_->shut_down(behavior, "the translator stops", [home = shared_from_this()] {
      --home->running_;
      home->finish_if_done();
    });
  }

  void cut_off() { uplink_->cut_off(); }

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
    Peer(std::shared_ptr<Core> owner, net::Shard& shard, std::unique_ptr<net::ByteStream> from, net::Admission::Token place)
        : core(std::move(owner)), stream(std::move(from)), token(std::move(place)), drained(shard.context()) {
      drained.expires_at(asio::steady_timer::time_point::max());
    }

    void close(net::CloseCode code) {
      closed = true;
      drained.cancel();
      stream->close(code);
    }
    std::shared_ptr<Core> core;  ///< Whose admission gave the token.
    std::unique_ptr<net::ByteStream> stream;
    net::Admission::Token token;
    Miner* miner = nullptr;      ///< The engine's; null once removed there.
    std::string queued;          ///< Not yet taken by the carrier.
    Instant moved_at{};          ///< The carrier took a byte, or nothing was queued.
    bool writing = false;        ///< A writer waits for the carrier.
    bool closed = false;         ///< By us.
    asio::steady_timer drained;  ///< Never expires: cancelled when more may be read.
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

  static net::Uplink::Options uplink_options(const ServerOptions& options) {
    auto uplink = UpstreamRole::uplink_options(options.upstreams);
    uplink.selection = options.selection;
    uplink.dial = {.silent_host = options.health.dead_after, .iroh = options.iroh};
    uplink.health = options.health;
    uplink.setup_deadline = options.translator.setup_timeout;
    return uplink;
  }

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
    now.counters.shares_accepted += role_.late_accepted();
    now.counters.work_sum += role_.late_work();
    now.upstream = uplink_->status();
    now.slow_readers = slow_readers_;
    const std::scoped_lock lock(published_mutex_);
    published_ = std::move(now);
  }

  void complain(std::string_view event, std::string_view peer, std::string_view message) {
    complaints_.warn(event, {{"peer", peer}, {"message", message}});
  }

  // ---- TranslatorEvents
  void on_upstream_ready() override {
    uplink_->on_ready();
    const auto& status = uplink_->status();
    const auto& metadata = *status.metadata;
    const std::string authority = metadata.authority_key.empty() ? "not checked" : metadata.authority_key;
    if (metadata.certificate_until) {
      const auto left = *metadata.certificate_until - now_from_system().unix_time;
      log::debug("translator.certificate", {{"url", status.url}, {"authority", authority}, {"seconds_left", left.count()}});
    }
    log::info("translator.upstream_ready",
              {{"url", status.url},
               {"transport", net::to_string(metadata.transport)},
               {"alpn", metadata.alpn},
               {"lanes", metadata.lanes},
               {"sessions", metadata.sessions},
               {"path", net::to_string(metadata.path)},
               {"rtt_ms", std::chrono::duration_cast<std::chrono::milliseconds>(*status.round_trip).count()},
               {"authority", authority}});
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
    uplink_->send();
    for (Miner* miner : translator_.take_touched()) {
      const auto found = peers_.find(miner->number());
      if (found != peers_.end()) flush(found->second);
    }
  }

  void flush(const PeerPtr& peer) {
    Miner& miner = *peer->miner;
    if (peer->queued.empty()) peer->moved_at = now_from_system().instant;
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
    std::size_t taken_in_all = 0;
    while (taken_in_all < peer->queued.size()) {
      const auto taken = peer->stream->try_write(as_bytes(peer->queued).subspan(taken_in_all));
      if (taken) {
        taken_in_all += *taken;
      } else if (taken.error().is(net::Errc::kWouldBlock)) {
        break;
      } else {
        peer->queued.clear();  // The reader hears of it too.
        peer->drained.cancel();
        return;
      }
    }
    if (taken_in_all != 0) {
      peer->queued.erase(0, taken_in_all);
      peer->moved_at = now_from_system().instant;
    }
    if (peer->queued.size() > core_->options.max_queued_bytes) return cut_off(peer);
    if (!is_full(*peer)) peer->drained.cancel();
    if (!peer->queued.empty()) {
      if (!std::exchange(peer->writing, true)) shard_.spawn(run_writer(shared_from_this(), peer));
    } else if (peer->last_words) {
      // The miner reads the rest and closes; if not, tick() does.
      peer->stream->finish();
    }
  }

  /// So much waits for it that nothing more is read of it.
  [[nodiscard]] bool is_full(const Peer& peer) const { return peer.queued.size() >= core_->options.max_queued_bytes / 8; }

  void cut_off(const PeerPtr& peer) {
    ++slow_readers_;
    complain("translator.slow_reader", peer->stream->metadata().peer, "it does not read: cut off");
    peer->queued.clear();
    peer->close(net::CloseCode::kOverloaded);
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
      while (home->is_full(*peer) && !peer->closed) {
        boost::system::error_code woken;
        co_await peer->drained.async_wait(asio::redirect_error(asio::use_awaitable, woken));
      }
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
    peer->close(net::CloseCode::kShutdown);
    log::info("translator.miner_left", {{"miner", number}, {"peer", name}, {"reason", reason}});
  }

  // ---- Time
  void tick() {
    const auto now = now_from_system();
    uplink_->on_tick(now, translator_.on_tick(now));
    flush();
    for (const auto& [number, peer] : peers_) {
      if (peer->closed) continue;
      if (peer->last_words && now.instant >= *peer->last_words) {
        peer->close(net::CloseCode::kShutdown);
      } else if (!peer->queued.empty() && now.instant - peer->moved_at >= core_->options.stalled_deadline) {
        cut_off(peer);
      }
    }
    complaints_.tick();
    publish();
  }

  const std::shared_ptr<Core> core_;  ///< First, so that it is gone last.
  net::Shard& shard_;
  Translator translator_;
  UpstreamRole role_;
  const std::shared_ptr<net::Uplink> uplink_;
  std::optional<net::Ticker> ticker_;
  std::unordered_map<std::uint64_t, PeerPtr> peers_;  ///< By the miner's number.
  std::array<std::uint8_t, 16 * 1024> read_buffer_;   ///< Of one read; its bytes are used up before anything waits.
  std::uint64_t slow_readers_ = 0;
  std::size_t running_ = 0;
  bool stopping_ = false;
  log::Limited complaints_{"translator.more_complaints"};
  std::function<void()> done_;
  // Held for a copy, once a second. Not std::atomic<std::shared_ptr>: libstdc++ 12's unlocks without a barrier.
  mutable std::mutex published_mutex_;
  Published published_;
};

TranslatorServer::TranslatorServer(net::Shards& shards, ServerOptions options)
    : core_(std::make_shared<Core>(shards, std::move(options))) {}

// NOLINTNEXTLINE(bugprone-exception-escape): a lock or a promise that fails here leaves nothing to go on with
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

void TranslatorServer::stop(net::ShutdownBehavior behavior) {
  auto& core = *core_;
  if (std::exchange(core.stop_called, true)) return;
  core.stopping = true;
  if (core.listener) core.listener->stop();
  std::vector<std::future<void>> ends;
  for (const auto& home : core.homes) {
    auto promise = std::make_shared<std::promise<void>>();
    ends.push_back(promise->get_future());
    home->shard().post([home, behavior, promise] { home->drain(behavior, [promise] { promise->set_value(); }); });
  }
  const auto wait_until = [&](auto moment) {
    for (auto& end : ends) end.wait_until(moment);
  };
  wait_until(std::chrono::steady_clock::now() + behavior.deadline);
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
