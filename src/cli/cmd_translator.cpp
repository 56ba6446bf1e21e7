// `adit translator`: Stratum V1 miners below, a Stratum V2 pool above, over TCP or iroh; then it waits for a signal.
#include <CLI/Option.hpp>

#include <algorithm>
#include <memory>
#include <string>

#include "cli/command.h"
#include "cli/serve.h"
#include "monitor/server.h"
#include "roles/translator/config.h"
#include "roles/translator/server.h"

namespace adit::cli {
namespace {

constexpr std::string_view kName = "translator";
constexpr Duration kGoodbye = std::chrono::seconds(5);

struct Options {
  std::string config = "tproxy-config.toml";
  std::string log_file;
};

translator::ServerOptions server_options(const translator::TranslatorConfig& config) {
  translator::ServerOptions options;
  options.listen = config.downstream;
  for (const config::UpstreamSettings& upstream : config.upstreams) {
    options.upstreams.push_back({.peer = upstream.peer,
                                 .user_identity = upstream.user_identity,
                                 .regtest_only = config::has_example_authority(upstream.peer),
                                 .goodbye = upstream.goodbye});
  }
  options.health = config.health;
  options.admission = config.admission.limits;
  options.translator.miners.handshake_timeout = config.admission.handshake_deadline;
  options.selection = config.selection;
  options.translator.verify_payout = config.verify_payout;
  options.translator.aggregate = config.aggregate_channels;
  options.extensions = config.supported_extensions;
  options.required_extensions = config.required_extensions;
  std::erase(options.extensions, wire::kExtensionsNegotiation);  // It is how the others are asked for.
  std::erase(options.required_extensions, wire::kExtensionsNegotiation);
  options.translator.miners.extranonce2_size = config.downstream_extranonce2_size;
  options.translator.miners.min_hash_rate_hps = config.min_individual_miner_hashrate_hps;
  options.translator.miners.shares_per_minute = config.shares_per_minute;
  options.translator.miners.vardiff = config.enable_vardiff;
  options.translator.miners.keepalive = config.job_keepalive_interval;
  return options;
}

std::uint64_t rejected(const translator::Counters& counters) {
  std::uint64_t total = 0;
  for (const auto& [code, count] : counters.rejected_upstream) total += count;
  return total;
}

// What changed since the last look, and where the paths lie now.
class Watch {
 public:
  void look(const translator::ServerStats& stats) {
    connects_.resize(stats.upstreams.size());
    for (std::size_t i = 0; i < stats.upstreams.size(); ++i) {
      const upstream::UplinkStatus& upstream = stats.upstreams[i];
      if (!upstream.ready || !upstream.metadata) continue;
      const net::ConnectionMetadata& metadata = *upstream.metadata;
      if (std::exchange(connects_[i], upstream.connects) != upstream.connects) {
        log::debug("translator.upstream_connected", {{"transport", net::to_string(metadata.transport)},
                                                     {"alpn", metadata.alpn},
                                                     {"lanes", metadata.lanes},
                                                     {"sessions", metadata.sessions},
                                                     {"peer", metadata.peer},
                                                     {"url", upstream.url}});
      }
      const auto rtt = std::chrono::duration_cast<std::chrono::microseconds>(metadata.path_rtt.value_or(Duration{0}));
      log::debug("translator.path", {{"path", net::to_string(metadata.path)},
                                     {"rtt_us", rtt.count()},
                                     {"peer", metadata.peer},
                                     {"health", net::to_string(metadata.health.state)},
                                     {"packets_sent", metadata.figures ? metadata.figures->packets_sent : 0},
                                     {"packets_lost", metadata.figures ? metadata.figures->packets_lost : 0}});
    }
  }

 private:
  std::vector<std::uint64_t> connects_;
};

void log_stats(log::Level level, const translator::ServerStats& stats) {
  log::write(level, "translator.stats",
             {{"miners", stats.counters.miners},
              {"channels", stats.counters.channels},
              {"shares_submitted", stats.counters.shares_submitted},
              {"shares_accepted", stats.counters.shares_accepted},
              {"shares_rejected", rejected(stats.counters)},
              {"blocks_found", stats.counters.blocks_found},
              {"upstreams_ready", std::ranges::count(stats.upstreams, true, &upstream::UplinkStatus::ready)}});
}

monitor::Snapshot snapshot(const translator::TranslatorServer& server, const net::IrohCarrier* iroh) {
  const translator::ServerStats stats = server.stats();
  monitor::Snapshot out;
  out.sv1 = monitor::Sv1Sample{.clients = stats.counters.miners, .hashrate_hps = stats.counters.hash_rate_hps};
  auto& upstream = out.server.emplace();
  upstream.connections = static_cast<std::uint64_t>(std::ranges::count(stats.upstreams, true, &upstream::UplinkStatus::ready));
  upstream.blocks_found = stats.counters.blocks_found;
  for (const translator::MinerInfo& miner : server.miners()) {
    if (!miner.channel_id) continue;
    monitor::ChannelSample& sample = upstream.channels.emplace_back();
    sample.channel_id = *miner.channel_id;
    sample.extended = true;
    sample.user_identity = miner.user;
    sample.hashrate_hps = miner.hash_rate_hps;
    sample.shares_accepted = miner.shares_accepted;
    ++upstream.extended_channels;
    upstream.hashrate_hps += miner.hash_rate_hps;
  }
  const auto add = [&out](const char* name, const char* help, auto value,
                          std::vector<std::pair<std::string, std::string>> labels = {}) {
    out.gauges.push_back({name, help, std::move(labels), static_cast<double>(value)});
  };
  add("adit_upstreams_ready", "Upstream connections that are set up", upstream.connections);
  add("adit_upstream_shares_submitted_total", "Shares sent to the upstream", stats.counters.shares_submitted);
  bool first = true;
  for (const auto& [code, count] : stats.counters.rejected_upstream) {
    add("adit_upstream_shares_rejected_total",
        std::exchange(first, false) ? "Shares that the upstream refused, by error code" : "", count, {{"error_code", code}});
  }
  first = true;
  for (const auto& [code, count] : stats.counters.rejected_local) {
    add("adit_miner_shares_rejected_total", std::exchange(first, false) ? "Shares refused to miners here, by SV1 code" : "",
        count, {{"code", std::to_string(code)}});
  }
  add("adit_miner_shares_orphaned_total", "Shares for jobs of an upstream that had been left", stats.counters.shares_orphaned);
  add("adit_slow_miners_cut_total", "Miners cut off because they did not read", stats.slow_readers);
  for (std::size_t i = 0; i < stats.upstreams.size(); ++i) {
    const auto& metadata = stats.upstreams[i].metadata;
    if (!stats.upstreams[i].ready || !metadata || !metadata->path_rtt) continue;
    add("adit_upstream_rtt_seconds", i == 0 ? "Round trip to the upstream, as the carrier estimates it" : "",
        std::chrono::duration<double>(*metadata->path_rtt).count(),
        {{"shard", std::to_string(i)},
         {"transport", std::string(net::to_string(metadata->transport))},
         {"path", std::string(net::to_string(metadata->path))}});
  }
  for (std::size_t i = 0; i < stats.upstreams.size(); ++i) {
    const auto& status = stats.upstreams[i];
    const std::string shard = std::to_string(i);
    if (status.ready && status.metadata)
      out.connections.push_back(connection_sample(*status.metadata, 0, stats.counters.channels));
    for (const auto transport : {net::Transport::kTcp, net::Transport::kIroh}) {
      out.histograms.push_back(histogram("adit_upstream_round_trip_seconds", "Round trips of Ping and of SetupConnection",
                                         {{"shard", shard}, {"transport", std::string(net::to_string(transport))}},
                                         status.round_trips[static_cast<std::size_t>(transport)]));
    }
  }
  const auto of_shards = [&](const char* name, const char* help, auto member) {
    for (std::size_t i = 0; i < stats.upstreams.size(); ++i)
      add(name, i == 0 ? help : "", stats.upstreams[i].*member, {{"shard", std::to_string(i)}});
  };
  of_shards("adit_upstream_connects_total", "Times that an upstream became ready", &upstream::UplinkStatus::connects);
  of_shards("adit_upstream_fallbacks_total", "Times that another upstream than the last became ready",
            &upstream::UplinkStatus::fallbacks);
  of_shards("adit_upstream_goodbyes_total", "Endings in which every Goodbye was acknowledged",
            &upstream::UplinkStatus::goodbyes);
  add_carrier(out, iroh);
  of_shards("adit_upstream_path_changes_total", "Times that a connection's data began to go another way",
            &upstream::UplinkStatus::path_changes);
  of_shards("adit_upstream_shares_unanswered_total", "Shares whose connection ended before the answer",
            &upstream::UplinkStatus::shares_unanswered);
  const auto by_transport = [&](const char* name, const char* help, auto member) {
    bool first_of_name = true;
    for (std::size_t i = 0; i < stats.upstreams.size(); ++i) {
      for (const auto transport : {net::Transport::kTcp, net::Transport::kIroh}) {
        add(name, std::exchange(first_of_name, false) ? help : "",
            (stats.upstreams[i].*member)[static_cast<std::size_t>(transport)],
            {{"shard", std::to_string(i)}, {"transport", std::string(net::to_string(transport))}});
      }
    }
  };
  by_transport("adit_upstream_degraded_total", "Times that an upstream connection became degraded",
               &upstream::UplinkStatus::degraded);
  by_transport("adit_upstream_dead_total", "Upstream connections that were found dead", &upstream::UplinkStatus::dead);
  bool first_health = true;
  for (std::size_t i = 0; i < stats.upstreams.size(); ++i) {
    const auto& status = stats.upstreams[i];
    if (!status.ready || !status.metadata) continue;
    add("adit_upstream_health",
        std::exchange(first_health, false) ? "Of the upstream in use: 0 healthy, 1 degraded for that reason" : "",
        status.metadata->health.state == net::HealthState::kHealthy ? 0 : 1,
        {{"shard", std::to_string(i)},
         {"transport", std::string(net::to_string(status.metadata->transport))},
         {"reason", std::string(net::to_string(status.metadata->health.reason))}});
  }
  add("adit_log_events_lost_total", "Log events lost because their reader stalled", log::lost());
  return out;
}

// Runs until a signal. Declared in the order of their needs: what is destroyed first needs the others.
int serve(const translator::TranslatorConfig& config) {
  // Each shard has an upstream connection of its own: one carries more miners than most farms have.
  net::Shards shards(config.threads == 0 ? 1 : config.threads);
  shards.start();
  auto started_iroh =
      start_role_iroh(shards, config.iroh, [&] { return translator::load_or_make_node_key(config); }, config.health.dead_after);
  if (!started_iroh) return give_up(kName, started_iroh.error(), exit_code_of(started_iroh.error()));
  std::unique_ptr<net::IrohCarrier> iroh = std::move(*started_iroh);
  if (iroh) log::info("translator.iroh", {{"endpoint_id", iroh->endpoint_id()}});
  translator::ServerOptions options = server_options(config);
  options.iroh = iroh.get();
  translator::TranslatorServer server(shards, std::move(options));
  if (auto started = server.start(); !started) return give_up(kName, started.error(), exit_code_of(started.error()));

  const auto monitor = start_monitor(config.monitoring_address, config.monitoring_cache_refresh,
                                     [&server, carrier = iroh.get()] { return snapshot(server, carrier); });
  if (!monitor) return give_up(kName, monitor.error(), exit_code_of(monitor.error()));

  Watch watch;
  std::optional<Error> unusable;
  const auto still_usable = [&] {
    for (const upstream::UplinkStatus& upstream : server.stats().upstreams) {
      if (upstream.unusable) unusable = upstream.unusable;
    }
    return !unusable;
  };
  wait_and_tell(still_usable, [&](log::Level level) {
    const translator::ServerStats stats = server.stats();
    watch.look(stats);
    log_stats(level, stats);
  });
  log::info("translator.stopping");
  if (*monitor) (*monitor)->stop();
  server.stop(kGoodbye);
  log_stats(log::Level::kInfo, server.stats());
  iroh.reset();
  shards.stop(kGoodbye);
  return unusable ? give_up(kName, *unusable, exit_code_of(*unusable)) : kOk;
}

int run(const Global& global, const Options& options) {
  auto loaded = translator::load_config(options.config, config::environment_of_process());
  if (!may_start(loaded.findings)) return kUsage;
  if (auto begun = begin_role(global, options.log_file, loaded.config.log_file, loaded.findings); !begun)
    return give_up(kName, begun.error(), kUsage);
  return serve(loaded.config);
}

}  // namespace

Command add_translator(CLI::App& app) {
  auto* translator = app.add_subcommand("translator", "Let Stratum V1 miners mine on a Stratum V2 pool, over TCP or iroh");
  auto options = std::make_shared<Options>();
  translator->add_option("-c,--config", options->config, "Configuration file; TPROXY__* environment variables lie over it")
      ->capture_default_str();
  translator->add_option("-f,--log-file", options->log_file, "Write the log to this file too");
  return {translator, [options](const Global& global) { return run(global, *options); }};
}

}  // namespace adit::cli
