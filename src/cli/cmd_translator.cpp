// `adit translator`: Stratum V1 miners below, a Stratum V2 pool above, over TCP or iroh; then it waits for a signal.
#include <CLI/Option.hpp>

#include <memory>
#include <string>

#include "cli/command.h"
#include "cli/serve.h"
#include "config/iroh.h"
#include "monitor/server.h"
#include "roles/translator/config.h"
#include "roles/translator/from_config.h"
#include "roles/translator/metrics.h"
#include "roles/translator/server.h"

namespace adit::cli {
namespace {

constexpr std::string_view kName = "translator";
constexpr Duration kGoodbye = std::chrono::seconds(5);

struct Options {
  std::string config = "tproxy-config.toml";
  std::string log_file;
};

// Runs until a signal. Declared in the order of their needs: what is destroyed first needs the others.
int serve(const translator::TranslatorConfig& config) {
  // Each shard has an upstream connection of its own: one carries more miners than most farms have.
  net::Shards shards(config.threads == 0 ? 1 : config.threads);
  shards.start();
  auto started_iroh = config::start_iroh(
      shards, config.iroh, [&] { return translator::load_or_make_node_key(config); }, config.health.dead_after);
  if (!started_iroh) return give_up(kName, started_iroh.error(), exit_code_of(started_iroh.error()));
  std::unique_ptr<net::IrohCarrier> iroh = std::move(*started_iroh);
  if (iroh) log::info("translator.iroh", {{"endpoint_id", iroh->endpoint_id()}});
  translator::ServerOptions options = translator::server_options(config);
  options.iroh = iroh.get();
  translator::TranslatorServer server(shards, std::move(options));
  if (auto started = server.start(); !started) return give_up(kName, started.error(), exit_code_of(started.error()));

  translator::Metrics metrics(server, iroh.get());
  const auto monitor = start_monitor(config.monitoring, metrics);
  if (!monitor) return give_up(kName, monitor.error(), exit_code_of(monitor.error()));

  translator::Watch watch;
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
    translator::log_stats(level, stats);
  });
  log::info("translator.stopping");
  if (*monitor) (*monitor)->stop();
  server.stop(kGoodbye);
  translator::log_stats(log::Level::kInfo, server.stats());
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
