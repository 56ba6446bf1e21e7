#include "roles/translator/server.h"

#include <atomic>
#include <ranges>
#include <unordered_map>
#include <utility>

#include "base/hex.h"
#include "log/limited.h"
#include "log/log.h"
#include "net/descriptors.h"
#include "net/line_host.h"
#include "net/service.h"
#include "net/tcp.h"
#include "net/ticker.h"

namespace adit::translator {
namespace {

constexpr auto kTick = std::chrono::seconds(1);

void add(Counters& sum, const Counters& part) {
  sum.miners += part.miners;
  sum.ready_miners += part.ready_miners;
  sum.waiting_miners += part.waiting_miners;
  sum.channels += part.channels;
  sum.kept_channels += part.kept_channels;
  sum.declared_hps += part.declared_hps;
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
  if (part.nbits != 0) sum.nbits = part.nbits;  // Whichever: shards are on one chain.
}

/// What one shard tells of itself.
struct PartStats {
  Counters counters;
  upstream::UplinkStatus upstream;
  std::uint64_t slow_readers = 0;
  net::Backlog::Counts unread;
};

ServerStats sum_of(std::vector<PartStats> parts) {
  ServerStats stats;
  for (auto& part : parts) {
    add(stats.counters, part.counters);
    stats.upstreams.push_back(std::move(part.upstream));
    stats.slow_readers += part.slow_readers;
    stats.unread.add(part.unread);
  }
  return stats;
}

}  // namespace

struct TranslatorServer::Core {
  Core(net::Shards& all, ServerOptions given)
      : options(std::move(given)), admission(net::fit_to_process(options.admission, "translator")), service(all) {}

  const ServerOptions options;
  net::Admission admission;
  std::unique_ptr<net::TcpListener> listener;
  std::atomic<bool> stop_called{false};
  std::atomic<bool> stopped{false};  ///< `last` holds.
  ServerStats last;
  net::Service<Part> service;
};

/// The translator on one shard.
class TranslatorServer::Part final : public net::ServicePart, private net::LineHostRole, private TranslatorEvents {
 public:
  Part(std::shared_ptr<Core> core, net::Shard& shard)
      : net::ServicePart(shard),
        core_(std::move(core)),
        translator_(numbered(core_->options.translator, shard.index(), core_->service.shards().size()), *this),
        role_(core_->options.upstreams, translator_, [this] { send_to_miners(); }),
        uplink_(std::make_shared<upstream::Uplink>(shard, uplink_options(core_->options), role_)),
        miners_(*this,
                {.name = "translator",
                 .max_queued_bytes = core_->options.max_queued_bytes,
                 .stalled_deadline = core_->options.stalled_deadline},
                core_->admission, *this,
                std::make_shared<net::Backlog>(
                    core_->options.backlog.value_or(net::BacklogBounds::above(core_->options.max_queued_bytes)))) {}

  void take(std::unique_ptr<net::ByteStream> stream) { miners_.take(std::move(stream)); }

  [[nodiscard]] std::vector<MinerInfo> list(std::size_t limit) const {
    std::vector<MinerInfo> infos;
    const Instant now = now_from_system().instant;
    for (const auto& [number, miner] : translator_.miners() | std::views::take(limit)) {
      const auto& subscription = miner->server().subscription();
      infos.push_back({.number = number,
                       .peer = miner->peer(),
                       .user = miner->server().user(),
                       .user_agent = miner->server().user_agent(),
                       .ready = miner->established(),
                       .channel_id = miner->channel() ? std::optional(miner->channel()->id()) : std::nullopt,
                       .channel_identity = miner->link() != nullptr ? miner->link()->user_identity : std::string(),
                       .hash_rate_hps = miner->hash_rate_hps(),
                       .shares_submitted = miner->shares_submitted(),
                       .shares_local = miner->shares_local(),
                       .shares_accepted = miner->shares_accepted(),
                       .shares_rejected = miner->shares_rejected(),
                       .rejected = miner->rejected(),
                       .best_difficulty = miner->best_difficulty(),
                       .last_share_age = miner->last_share_at() ? std::optional(now - *miner->last_share_at()) : std::nullopt,
                       .target = miner->told_target(),
                       .steady = miner->steady(),
                       .extranonce1_hex = subscription ? to_hex(subscription->extranonce1.bytes()) : std::string(),
                       .extranonce2_size = subscription ? subscription->extranonce2_size : 0,
                       .version_mask = miner->server().version_mask()});
    }
    return infos;
  }

  [[nodiscard]] ChannelList channels(std::size_t limit) const {
    ChannelList out;
    for (const auto& link : translator_.channels()) {
      if (!link->channel) continue;
      ++out.total;
      if (out.listed.size() >= limit) continue;
      const channels::ClientChannel& channel = *link->channel;
      const Bytes prefix = channel.extranonce_prefix();
      const channels::ClientJob* const job = channel.current();
      out.listed.push_back({.channel_id = channel.id(),
                            .user_identity = link->user_identity,
                            .declared_hps = link->declared_hps,
                            .proven_hps = link->hash_rate_hps(),
                            .target = channel.target(),
                            .extranonce_prefix = {prefix.begin(), prefix.end()},
                            .extranonce_size = channel.extranonce_size(),
                            .version_rolling = job != nullptr && job->rules.version_mask != 0,
                            .account = link->account,
                            .miners = link->members.size()});
    }
    return out;
  }

  [[nodiscard]] PartStats stats() const {
    PartStats stats{.counters = translator_.counters(),
                    .upstream = uplink_->status(),
                    .slow_readers = miners_.slow_readers(),
                    .unread = miners_.backlog().counts()};
    stats.counters.shares_accepted += role_.late_accepted();
    stats.counters.work_sum += role_.late_work();
    return stats;
  }

 private:
  static upstream::Uplink::Options uplink_options(const ServerOptions& options) {
    auto uplink = UpstreamRole::uplink_options(options.upstreams);
    uplink.client.extensions = options.extensions;
    uplink.client.required_extensions = options.required_extensions;
    uplink.selection = options.selection;
    uplink.dial = {.silent_host = options.health.dead_after, .iroh = options.iroh};
    uplink.health = options.health;
    return uplink;
  }

  static Options numbered(Options options, unsigned index, unsigned shards) {
    options.first_number = index + 1;
    options.number_step = shards;
    return options;
  }

  // ---- ServicePart
  void begin() override {
    ticker_.emplace(shard(), kTick, [this] { tick(); });
    uplink_->start();
  }
  void drain(const session::ShutdownBehavior& behavior) override {
    ticker_.reset();
    miners_.drain();
    translator_.close_kept(now_from_system());
    flush();
    uplink_->shut_down(behavior, "the translator stops",
                       [part = shared_from_this(), running = std::make_shared<net::TaskGate::Token>(gate())] {});
  }
  void cut_off() override { uplink_->cut_off(); }

  void tick() {
    const auto now = now_from_system();
    uplink_->on_tick(now);
    miners_.tick(now);
    complaints_.tick();
    comings_.tick();
  }

  // ---- LineHostRole
  session::LineSession& join(std::uint64_t connection, const std::string& peer, const std::string& source,
                             const Now& now) override {
    Miner& miner = translator_.add_miner(peer, now, source);
    by_connection_[connection] = &miner;
    connections_[miner.number()] = connection;
    log::debug("translator.miner_accepted", {{"miner", miner.number()}, {"peer", peer}});
    return miner;
  }
  void leave(std::uint64_t connection, const std::string& reason, const Now& now) override {
    const auto found = by_connection_.find(connection);
    if (found == by_connection_.end()) return;
    Miner& miner = *found->second;
    // Who never authorized, such as a probe of the port, is not worth a line: that he was sent away is told by the host.
    comings_.write(miner.established() ? log::Level::kInfo : log::Level::kDebug, "translator.miner_left",
                   {{"miner", miner.number()}, {"peer", miner.peer()}, {"reason", reason}});
    connections_.erase(miner.number());
    by_connection_.erase(found);
    translator_.remove_miner(miner, now);
  }
  void flush(std::uint64_t /*connection*/) override { flush(); }
  void flush() {
    uplink_->send();
    send_to_miners();
  }
  void send_to_miners() {
    for (const Miner* miner : translator_.take_touched()) {
      const auto found = connections_.find(miner->number());
      if (found != connections_.end()) miners_.flush(found->second);
    }
  }

  void complain(std::string_view event, std::string_view peer, std::string_view message) {
    complaints_.warn(event, {{"peer", peer}, {"message", message}});
  }

  // ---- TranslatorEvents
  void on_upstream_ready() override {
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
  void on_miner_ready(const Miner& miner) override {
    comings_.write(log::Level::kInfo, "translator.miner_connected",
                   {{"miner", miner.number()}, {"peer", miner.peer()}, {"user", miner.server().user()}});
  }
  void on_worker_refused(const Miner& miner, std::string_view worker) override {
    complaints_.warn("translator.worker_refused",
                     {{"miner", miner.number()}, {"peer", miner.peer()}, {"worker", worker.substr(0, 64)}});
  }
  void on_channel_opened(const Miner& miner) override {
    comings_.write(log::Level::kInfo, "translator.channel_opened",
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

  const std::shared_ptr<Core> core_;  ///< First, so that it is gone last.
  Translator translator_;
  UpstreamRole role_;
  const std::shared_ptr<upstream::Uplink> uplink_;
  net::LineHost miners_;
  std::unordered_map<std::uint64_t, Miner*> by_connection_;       ///< By the host's number of the connection.
  std::unordered_map<std::uint64_t, std::uint64_t> connections_;  ///< The reverse, by the miner's number.
  std::optional<net::Ticker> ticker_;
  log::Limited complaints_{"translator.more_complaints"};
  log::Limited comings_{"translator.more_comings"};  ///< Miners connect, get their channel and leave as often as they like.
};

TranslatorServer::TranslatorServer(net::Shards& shards, ServerOptions options)
    : core_(std::make_shared<Core>(shards, std::move(options))) {}

// NOLINTNEXTLINE(bugprone-exception-escape): a lock or a promise that fails here leaves nothing to go on with
TranslatorServer::~TranslatorServer() {
  stop(Duration::zero());
  core_->service.clear();  // Its parts hold the core.
}

Result<void> TranslatorServer::start() {
  auto& core = *core_;
  if (core.options.upstreams.empty()) {
    return fail(net::Errc::kConfiguration, "the translator has no upstream: configure [[upstreams]]");
  }
  auto& shards = core.service.shards();
  ADIT_TRY(core.listener,
           net::TcpListener::bind(shards[0], core.options.listen, net::kSilentHost, core.options.trusted_proxies));
  core.service.start([&](net::Shard& shard) { return std::make_shared<Part>(core_, shard); });
  std::vector<std::weak_ptr<Part>> parts;
  parts.reserve(shards.size());
  for (unsigned i = 0; i < shards.size(); ++i) parts.push_back(core.service.on(shards[i]));
  core.listener->start(shards, [parts](net::Shard& shard, std::unique_ptr<net::ByteStream> stream) {
    if (const auto alive = parts[shard.index()].lock()) alive->take(std::move(stream));
  });
  log::info("translator.listening", {{"address", core.listener->address()}});
  return {};
}

void TranslatorServer::stop(session::ShutdownBehavior behavior) {
  auto& core = *core_;
  if (core.stop_called.exchange(true)) return;
  if (core.listener) core.listener->stop();
  core.service.stop(behavior);
  core.last = sum_of(core.service.ask([](const Part& part) { return part.stats(); }));
  core.stopped = true;
}

std::uint16_t TranslatorServer::port() const { return core_->listener ? core_->listener->port() : 0; }
std::string TranslatorServer::address() const { return core_->listener ? core_->listener->address() : ""; }

ServerStats TranslatorServer::stats() const {
  ServerStats stats;
  if (core_->stopped) {
    stats = core_->last;
  } else {
    stats = sum_of(core_->service.ask([](const Part& part) { return part.stats(); }));
    stats.silent_shards = core_->service.shards().size() - stats.upstreams.size();
  }
  stats.admission = core_->admission.counts();
  if (core_->listener) stats.failed_accepts = core_->listener->failed_accepts();
  return stats;
}

std::vector<MinerInfo> TranslatorServer::miners(std::size_t limit) const {
  std::vector<MinerInfo> all;
  if (core_->stopped) return all;
  for (auto& of_shard : core_->service.ask([limit](const Part& part) { return part.list(limit); })) {
    std::ranges::move(of_shard, std::back_inserter(all));
  }
  return all;
}

ChannelList TranslatorServer::channels(std::size_t limit) const {
  ChannelList all;
  all.declares = core_->options.translator.miners.vardiff;
  if (core_->stopped) return all;
  for (auto& of_shard : core_->service.ask([limit](const Part& part) { return part.channels(limit); })) {
    std::ranges::move(of_shard.listed, std::back_inserter(all.listed));
    all.total += of_shard.total;
  }
  return all;
}

}  // namespace adit::translator
