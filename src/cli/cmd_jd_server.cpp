// `adit jd-server`: the job declaration of a pool's file in a process of its own; then it waits for a signal.
#include <CLI/Option.hpp>

#include <memory>
#include <string>
#include <utility>

#include "cli/command.h"
#include "cli/doctor/live.h"
#include "cli/entrances.h"
#include "cli/run_role.h"
#include "cli/serve.h"
#include "config/iroh.h"
#include "monitor/server.h"
#include "roles/pool/config.h"
#include "roles/pool/declarator_server.h"
#include "roles/pool/from_config.h"

namespace adit::cli {
namespace {

constexpr std::string_view kName = "jd-server";
constexpr std::string_view kEvents = "jds";
constexpr Duration kGoodbye = std::chrono::seconds(5);

struct Options {
  std::string config = "pool-config.toml";
  std::string log_file;
};

// Runs until a signal. Declared in the order of their needs: what is destroyed first needs the others.
int serve(const Global& global, const pool::PoolConfig& config, const noise::AuthorityKeyPair& authority) {
  auto seal = pool::load_token_seal(config);
  if (!seal) return give_up(kName, seal.error(), exit_code_of(seal.error()));
  net::Shards shards(shard_count(config.threads));
  shards.start();
  auto started_iroh = config::start_iroh(
      shards, config.iroh, [&] { return pool::load_or_make_node_key(config); }, config.health.dead_after,
      config.admission.handshake_deadline);
  if (!started_iroh) return give_up(kName, started_iroh.error(), exit_code_of(started_iroh.error()));
  std::unique_ptr<net::IrohCarrier> iroh = std::move(*started_iroh);
  const auto source = pool::make_source(config, shards[0], iroh.get());
  if (!source) return give_up(kName, source.error(), exit_code_of(source.error()));
  auto options = pool::declarator_server_options(config, authority, *source, *std::move(seal));
  const net::IrohCarrier* const entrance = options.iroh = config.iroh.node.listens ? iroh.get() : nullptr;
  pool::DeclaratorServer server(shards, *source->source, std::move(options));
  if (auto started = server.start(); !started) return give_up(kName, started.error(), exit_code_of(started.error()));

  pool::DeclaratorMetrics metrics(server, iroh.get(), config.network);
  const auto monitor =
      start_monitor(config.monitoring, kName, metrics, config.data_dir, doctor::checks_of_role(config, iroh.get()));
  if (!monitor) return give_up(kName, monitor.error(), exit_code_of(monitor.error()));
  const auto ways = entrances(config.listen_address, server.tcp_port(), config.iroh.node, entrance, authority.public_key());
  announce(kEvents, kToDeclarators, ways, authority.public_key(), global.log.format == log::Format::kLogfmt);
  show(*monitor, ways, authority.public_key());

  std::uint32_t height = 0;
  const auto tell = [&](log::Level level) {
    const pool::DeclaratorServerStats stats = server.stats();
    if (std::exchange(height, stats.source.height) != stats.source.height) log::debug("jds.tip", {{"height", height}});
    pool::log_stats(level, stats);
  };
  wait_and_tell(shards, [] { return true; }, tell);
  log::info("jds.stopping");
  if (*monitor) (*monitor)->stop();
  server.stop(kGoodbye);
  tell(log::Level::kInfo);
  iroh.reset();
  shards.stop(kGoodbye);
  return kOk;
}

int run(const Global& global, const Options& options) {
  auto loaded = pool::load_config(options.config, config::environment_of_process());
  if (!config::has(loaded.findings, config::Severity::kError))
    loaded.config = pool::for_jd_server(std::move(loaded.config), loaded.findings);
  // The file's log_file is the pool's.
  return run_server(global, kName, loaded, options.log_file, "", serve);
}

}  // namespace

Command add_jd_server(CLI::App& app) {
  auto* command = app.add_subcommand(
      "jd-server", "Run the job declarator of a pool's file as a process of its own: [jds] with a token_key_file");
  auto options = std::make_shared<Options>();
  command
      ->add_option("-c,--config", options->config, "The pool's configuration file; POOL__* environment variables lie over it")
      ->capture_default_str();
  command->add_option("-f,--log-file", options->log_file, "Write the log to this file too");
  return {command, [options](const Global& global) { return run(global, *options); }};
}

}  // namespace adit::cli
