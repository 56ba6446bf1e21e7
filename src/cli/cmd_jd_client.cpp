// `adit jd-client`: miners below, our own node beside, a pool and its job declarator above; then it waits for a signal.
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
#include "roles/jd_client/config.h"
#include "roles/jd_client/from_config.h"
#include "roles/jd_client/metrics.h"
#include "roles/jd_client/server.h"

namespace adit::cli {
namespace {

constexpr std::string_view kName = "jd-client";
constexpr Duration kGoodbye = std::chrono::seconds(5);

struct Options {
  std::string config = "jdc-config.toml";
  std::string log_file;
};

// Runs until a signal. Declared in the order of their needs: what is destroyed first needs the others.
int serve(const Global& global, const jd_client::JdClientConfig& config, const noise::AuthorityKeyPair& authority) {
  net::Shards shards(1);  // All miners share one channel upstream.
  shards.start();
  auto started_iroh = config::start_iroh(
      shards, config.iroh, [&] { return jd_client::load_or_make_node_key(config); }, config.health.dead_after,
      config.admission.handshake_deadline);
  if (!started_iroh) return give_up(kName, started_iroh.error(), exit_code_of(started_iroh.error()));
  std::unique_ptr<net::IrohCarrier> iroh = std::move(*started_iroh);
  const auto source = jd_client::make_source(config, shards[0], iroh.get());
  if (!source) return give_up(kName, source.error(), exit_code_of(source.error()));
  jd_client::ServerOptions options = jd_client::server_options(config, authority);
  options.dialling_iroh = iroh.get();
  const net::IrohCarrier* const entrance = options.iroh = config.iroh.node.listens ? iroh.get() : nullptr;
  jd_client::JdClientServer server(shards, **source, std::move(options));
  if (auto started = server.start(); !started) return give_up(kName, started.error(), exit_code_of(started.error()));

  jd_client::Metrics metrics(server, iroh.get(), config.work.network);
  const auto monitor =
      start_monitor(config.monitoring, kName, metrics, config.data_dir, doctor::checks_of_role(config, iroh.get()));
  if (!monitor) return give_up(kName, monitor.error(), exit_code_of(monitor.error()));
  const bool for_people = global.log.format == log::Format::kLogfmt;
  std::vector<net::TcpConfig> sv1;
  if (config.sv1_address) sv1.push_back({config.sv1_address->host, server.sv1_port()});
  if (config.sv1) sv1.push_back({config.listen_address->host, server.tcp_port()});
  announce_sv1("jd_client", sv1, for_people);
  const auto ways = entrances(config.listen_address, server.tcp_port(), config.iroh.node, entrance, authority.public_key());
  announce("jd_client", kToMiners, ways, authority.public_key(), for_people);
  show(*monitor, ways, authority.public_key(), sv1);

  wait_and_tell(shards, [] { return true; }, [&](log::Level level) { jd_client::log_stats(level, server.stats()); });
  log::info("jd_client.stopping");
  if (*monitor) (*monitor)->stop();
  server.stop(kGoodbye);
  jd_client::log_stats(log::Level::kInfo, server.stats());
  iroh.reset();
  shards.stop(kGoodbye);
  return kOk;
}

int run(const Global& global, const Options& options) {
  const auto loaded = jd_client::load_config(options.config, config::environment_of_process());
  return run_server(global, kName, loaded, options.log_file, loaded.config.log_file, serve);
}

}  // namespace

Command add_jd_client(CLI::App& app) {
  auto* client =
      app.add_subcommand("jd-client", "Mine the transactions of your own node for a pool with a job declarator, or solo");
  auto options = std::make_shared<Options>();
  client->add_option("-c,--config", options->config, "Configuration file; JDC__* environment variables lie over it")
      ->capture_default_str();
  client->add_option("-f,--log-file", options->log_file, "Write the log to this file too");
  return {client, [options](const Global& global) { return run(global, *options); }};
}

}  // namespace adit::cli
