// `adit template`: configuration, template source, shards, listeners, monitor; then it waits for a signal.
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
#include "roles/template/config.h"
#include "roles/template/from_config.h"
#include "roles/template/metrics.h"
#include "roles/template/server.h"

namespace adit::cli {
namespace {

constexpr std::string_view kName = "template";
constexpr std::string_view kEvents = "provider";
constexpr Duration kGoodbye = std::chrono::seconds(5);

struct Options {
  std::string config = "template-config.toml";
  std::string log_file;
};

// Runs until a signal. Declared in the order of their needs: what is destroyed first needs the others.
int serve(const Global& global, const provider::ProviderConfig& config, const noise::AuthorityKeyPair& authority) {
  net::Shards shards(shard_count(config.threads));
  shards.start();
  auto started_iroh = config::start_iroh(
      shards, config.iroh, [&] { return provider::load_or_make_node_key(config); }, config.health.dead_after,
      config.admission.handshake_deadline);
  if (!started_iroh) return give_up(kName, started_iroh.error(), exit_code_of(started_iroh.error()));
  std::unique_ptr<net::IrohCarrier> iroh = std::move(*started_iroh);
  const auto made = provider::make_source(config, shards[0], iroh.get());
  if (!made) return give_up(kName, made.error(), exit_code_of(made.error()));
  provider::ServerOptions options = provider::server_options(config, authority);
  const net::IrohCarrier* const entrance = options.iroh = config.iroh.node.listens ? iroh.get() : nullptr;
  provider::TemplateServer server(shards, *made->source, made->further, std::move(options));
  if (auto started = server.start(); !started) return give_up(kName, started.error(), exit_code_of(started.error()));

  provider::Metrics metrics(server, iroh.get(), config.work.network);
  const auto monitor =
      start_monitor(config.monitoring, kName, metrics, config.data_dir, doctor::checks_of_role(config, iroh.get()));
  if (!monitor) return give_up(kName, monitor.error(), exit_code_of(monitor.error()));
  const auto ways = entrances(config.listen_address, server.tcp_port(), config.iroh.node, entrance, authority.public_key());
  announce(kEvents, kToClients, ways, authority.public_key(), global.log.format == log::Format::kLogfmt);
  show(*monitor, ways, authority.public_key());

  std::uint32_t height = 0;
  const auto tell = [&](log::Level level) {
    const provider::ServerStats stats = server.stats();
    if (std::exchange(height, stats.source.height) != stats.source.height) log::debug("provider.tip", {{"height", height}});
    provider::log_stats(level, stats);
  };
  wait_and_tell(shards, [] { return true; }, tell);
  log::info("provider.stopping");
  if (*monitor) (*monitor)->stop();
  server.stop(kGoodbye);
  tell(log::Level::kInfo);
  iroh.reset();
  shards.stop(kGoodbye);
  return kOk;
}

int run(const Global& global, const Options& options) {
  const auto loaded = provider::load_config(options.config, config::environment_of_process());
  return run_server(global, kName, loaded, options.log_file, loaded.config.log_file, serve);
}

}  // namespace

Command add_template(CLI::App& app) {
  auto* command = app.add_subcommand(
      "template", "Give block templates to pools and job declarators: Stratum V2 over TCP and iroh, from a Bitcoin node");
  auto options = std::make_shared<Options>();
  command->add_option("-c,--config", options->config, "Configuration file; TEMPLATE__* environment variables lie over it")
      ->capture_default_str();
  command->add_option("-f,--log-file", options->log_file, "Write the log to this file too");
  return {command, [options](const Global& global) { return run(global, *options); }};
}

}  // namespace adit::cli
