// `adit translator`: Stratum V1 miners below, a Stratum V2 pool above, over TCP or iroh; then it waits for a signal.
#include <CLI/Option.hpp>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "cli/command.h"
#include "cli/doctor/live.h"
#include "cli/entrances.h"
#include "cli/made_config.h"
#include "cli/run_role.h"
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
  // In place of the file:
  std::string url;
  std::string user;
  std::uint16_t port = 34255;
  std::string monitoring = "127.0.0.1:9092";
  bool print_config = false;
};

// Runs until a signal. Declared in the order of their needs: what is destroyed first needs the others.
int serve(const Global& global, const translator::TranslatorConfig& config) {
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
  const auto monitor =
      start_monitor(config.monitoring, kName, metrics, config.data_dir, doctor::checks_of_role(config, iroh.get()));
  if (!monitor) return give_up(kName, monitor.error(), exit_code_of(monitor.error()));

  const net::TcpConfig downstream{config.downstream.host, server.port()};
  announce_sv1(kName, {downstream}, global.log.format == log::Format::kLogfmt);
  show_sv1(*monitor, downstream);

  translator::Watch watch;
  std::optional<Error> unusable;
  const auto still_usable = [&] {
    for (const upstream::UplinkStatus& upstream : server.stats().upstreams) {
      if (upstream.unusable) unusable = upstream.unusable;
    }
    return !unusable;
  };
  wait_and_tell(shards, still_usable, [&](log::Level level) {
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
  const auto environment = config::environment_of_process();
  if (options.url.empty())
    return run_translator(global, translator::load_config(options.config, environment), options.log_file);
  const auto made = translator_toml({.url = options.url,
                                     .user = options.user,
                                     .listen = "0.0.0.0:" + std::to_string(options.port),
                                     .monitoring = options.monitoring});
  if (!made) return give_up(kName, made.error(), kUsage);
  if (options.print_config) {
    std::fputs(made->c_str(), stdout);
    return kOk;
  }
  return run_translator(global, translator::parse_config(*made, "adit translator", environment), options.log_file);
}

}  // namespace

int run_translator(const Global& global, const config::Loaded<translator::TranslatorConfig>& loaded,
                   const std::string& log_file) {
  if (!may_start(loaded.findings)) return kUsage;
  if (auto begun = begin_role(global, log_file, loaded.config.log_file, loaded.findings); !begun)
    return give_up(kName, begun.error(), kUsage);
  return serve(global, loaded.config);
}

Command add_translator(CLI::App& app) {
  auto* translator = app.add_subcommand("translator", "Let Stratum V1 miners mine on a Stratum V2 pool, over TCP or iroh");
  auto options = std::make_shared<Options>();
  auto* const file =
      translator->add_option("-c,--config", options->config, "Configuration file; TPROXY__* environment variables lie over it")
          ->capture_default_str();
  translator->add_option("-f,--log-file", options->log_file, "Write the log to this file too");
  auto* const url =
      translator->add_option("URL", options->url, "In place of a file: the pool, as it prints itself (stratum2+...)");
  url->excludes(file);
  auto* const user = translator->add_option("--user", options->user, "With URL: the user identity at the pool");
  url->needs(user);
  for (CLI::Option* const one :
       {user, translator->add_option("--port", options->port, "With URL: where miners connect")->capture_default_str(),
        translator->add_option("--monitoring", options->monitoring, "With URL: IP:PORT of the page")->capture_default_str(),
        translator->add_flag("--print-config", options->print_config, "With URL: print it as a configuration file, and end")}) {
    one->needs(url);
  }
  return {translator, [options](const Global& global) { return run(global, *options); }};
}

}  // namespace adit::cli
