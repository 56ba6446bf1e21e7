// `adit pool`: configuration, template source, shards, listeners, monitor; then it waits for a signal.
#include <CLI/Option.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cli/command.h"
#include "cli/doctor/live.h"
#include "cli/entrances.h"
#include "cli/run_role.h"
#include "cli/serve.h"
#include "config/iroh.h"
#include "config/keys.h"
#include "monitor/server.h"
#include "roles/pool/config.h"
#include "roles/pool/from_config.h"
#include "roles/pool/metrics.h"
#include "roles/pool/server.h"

namespace adit::cli {
namespace {

constexpr std::string_view kName = "pool";
constexpr Duration kGoodbye = std::chrono::seconds(5);

struct Options {
  std::string config = "pool-config.toml";
  std::string log_file;
};

// Runs until a signal. Declared in the order of their needs: what is destroyed first needs the others.
int serve(const Global& global, const pool::PoolConfig& config, const noise::AuthorityKeyPair& authority) {
  net::Shards shards(shard_count(config.threads));
  shards.start();
  auto started_iroh = config::start_iroh(
      shards, config.iroh, [&] { return pool::load_or_make_node_key(config); }, config.health.dead_after,
      config.admission.handshake_deadline);
  if (!started_iroh) return give_up(kName, started_iroh.error(), exit_code_of(started_iroh.error()));
  std::unique_ptr<net::IrohCarrier> iroh = std::move(*started_iroh);
  const auto source = pool::make_source(config, shards[0], iroh.get());
  if (!source) return give_up(kName, source.error(), exit_code_of(source.error()));
  const auto seal = pool::load_token_seal(config);
  if (!seal) return give_up(kName, seal.error(), exit_code_of(seal.error()));
  pool::ServerOptions options = pool::server_options(config, authority, *source, *seal);
  const net::IrohCarrier* const entrance = options.iroh = config.iroh.node.listens ? iroh.get() : nullptr;
  pool::PoolServer server(shards, *source->source, std::move(options));
  if (auto started = server.start(); !started) return give_up(kName, started.error(), exit_code_of(started.error()));

  pool::Metrics metrics(server, iroh.get(), config.network);
  const auto monitor =
      start_monitor(config.monitoring, kName, metrics, config.data_dir, doctor::checks_of_role(config, iroh.get()));
  if (!monitor) return give_up(kName, monitor.error(), exit_code_of(monitor.error()));
  const bool for_people = global.log.format == log::Format::kLogfmt;
  std::vector<net::TcpConfig> sv1;
  if (config.sv1_address) sv1.push_back({config.sv1_address->host, server.sv1_port()});
  if (config.sv1) sv1.push_back({config.listen_address->host, server.tcp_port()});
  announce_sv1(kName, sv1, for_people);
  const auto ways = entrances(config.listen_address, server.tcp_port(), config.iroh.node, entrance, authority.public_key());
  announce(kName, kToMiners, ways, authority.public_key(), for_people);
  if (config.jds && *seal == nullptr) {
    announce(
        "jds", kToDeclarators,
        entrances(config.jds->listen_address, server.declarator_tcp_port(), config.iroh.node, entrance, authority.public_key()),
        authority.public_key(), false);
  }
  show(*monitor, ways, authority.public_key(), sv1);

  std::uint32_t height = 0;
  const auto tell = [&](log::Level level) {
    const pool::ServerStats stats = server.stats();
    if (std::exchange(height, stats.source.height) != stats.source.height) log::debug("pool.tip", {{"height", height}});
    pool::log_stats(level, stats);
  };
  wait_and_tell(shards, [] { return true; }, tell);
  log::info("pool.stopping");
  if (*monitor) (*monitor)->stop();
  server.stop(kGoodbye);
  tell(log::Level::kInfo);
  iroh.reset();
  shards.stop(kGoodbye);
  return kOk;
}

}  // namespace

int run_pool(const Global& global, const config::Loaded<pool::PoolConfig>& loaded, const std::string& log_file) {
  return run_server(global, kName, loaded, log_file, loaded.config.log_file, serve);
}

Command add_pool(CLI::App& app) {
  auto* pool = app.add_subcommand("pool", "Run a pool: Stratum V2 over TCP and iroh, work from a node or an embedded chain");
  auto options = std::make_shared<Options>();
  pool->add_option("-c,--config", options->config, "Configuration file; POOL__* environment variables lie over it")
      ->capture_default_str();
  pool->add_option("-f,--log-file", options->log_file, "Write the log to this file too");
  return {pool, [options](const Global& global) {
            return run_pool(global, pool::load_config(options->config, config::environment_of_process()), options->log_file);
          }};
}

}  // namespace adit::cli
