// `adit pool`: configuration, template source, shards, listeners, monitor; then it waits for a signal.
#include <CLI/Option.hpp>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "base/file.h"
#include "cli/command.h"
#include "cli/serve.h"
#include "config/iroh.h"
#include "config/keys.h"
#include "ledger/error.h"
#include "monitor/server.h"
#include "roles/pool/config.h"
#include "roles/pool/from_config.h"
#include "roles/pool/metrics.h"
#include "roles/pool/server.h"
#include "upstream/url.h"

namespace adit::cli {
namespace {

constexpr std::string_view kName = "pool";
constexpr Duration kGoodbye = std::chrono::seconds(5);

struct Options {
  std::string config = "pool-config.toml";
  std::string log_file;
};

Result<> make_data_dir(const std::string& path) {
  if (const auto made = make_folders(FileSystem::real(), path); !made)
    return fail(ledger::Errc::kJournal, "`data_dir`: " + describe_file_error(path, "made", made.error()));
  return {};
}

// One way in: logged for programs, printed for people.
struct Entrance {
  std::string transport;
  std::string url;
  std::string host;
  std::uint16_t port = 0;
};

std::vector<Entrance> entrances(const pool::PoolConfig& config, const pool::PoolServer& server, const net::IrohCarrier* iroh,
                                const noise::PublicKey& authority) {
  std::vector<Entrance> ways;
  for (const std::string& host :
       config.listen_address ? reachable_hosts(config.listen_address->host) : std::vector<std::string>()) {
    const net::TcpConfig tcp{host, server.tcp_port()};
    ways.push_back({"tcp", upstream::to_url({.dialect = net::Dialect::kStratumV2, .transport = tcp, .authority = authority}),
                    host, tcp.port});
  }
  if (iroh != nullptr) {
    net::IrohConfig peer;
    peer.endpoint_id = iroh->endpoint_id();
    peer.addrs = iroh->local_addresses();
    for (const std::string& addr : config.iroh.node.external_addrs) peer.addrs.push_back(addr);
    if (std::string relay = home_relay(*iroh, config.iroh.node); !relay.empty()) peer.relay_url = std::move(relay);
    ways.push_back({"iroh", upstream::to_url({.dialect = net::Dialect::kStratumV2, .transport = peer, .authority = authority}),
                    peer.endpoint_id, 0});
  }
  return ways;
}

void announce(const std::vector<Entrance>& ways, const std::string& authority, bool for_people) {
  for (const Entrance& way : ways) {
    log::info(
        "pool.listening",
        {{"transport", way.transport}, {"url", way.url}, {"host", way.host}, {"port", way.port}, {"authority", authority}});
  }
  if (!for_people) return;
  std::printf("Miners and translators connect to\n");
  for (const Entrance& way : ways) std::printf("  %s\n", way.url.c_str());
  std::printf("Where these are separate fields:\n");
  for (const Entrance& way : ways) {
    if (way.transport == "tcp") {
      std::printf("  host           %s\n  port           %u\n", way.host.c_str(), way.port);
    } else {
      std::printf("  endpoint id    %s\n", way.host.c_str());
    }
  }
  std::printf("  authority key  %s\n", authority.c_str());
  // The one that reaches through routers, if there is one.
  if (!ways.empty()) print_qr(ways.back().url);
  std::fflush(stdout);
}

// Runs until a signal. Declared in the order of their needs: what is destroyed first needs the others.
int serve(const Global& global, const pool::PoolConfig& config, const noise::AuthorityKeyPair& authority) {
  const auto source = pool::make_source(config);
  if (!source) return give_up(kName, source.error(), exit_code_of(source.error()));
  net::Shards shards(shard_count(config.threads));
  shards.start();
  auto started_iroh = config::start_iroh(
      shards, config.iroh, [&] { return pool::load_or_make_node_key(config); }, config.health.dead_after,
      config.admission.handshake_deadline);
  if (!started_iroh) return give_up(kName, started_iroh.error(), exit_code_of(started_iroh.error()));
  std::unique_ptr<net::IrohCarrier> iroh = std::move(*started_iroh);
  pool::ServerOptions options = pool::server_options(config, authority);
  const net::IrohCarrier* const entrance = options.iroh = config.iroh.node.listens ? iroh.get() : nullptr;
  pool::PoolServer server(shards, **source, std::move(options));
  if (auto started = server.start(); !started) return give_up(kName, started.error(), exit_code_of(started.error()));

  pool::Metrics metrics(server, iroh.get());
  const auto monitor = start_monitor(config.monitoring, metrics);
  if (!monitor) return give_up(kName, monitor.error(), exit_code_of(monitor.error()));
  announce(entrances(config, server, entrance, authority.public_key()), noise::to_text(authority.public_key()),
           global.log.format == log::Format::kLogfmt);

  std::uint32_t height = 0;
  const auto tell = [&](log::Level level) {
    const pool::ServerStats stats = server.stats();
    if (std::exchange(height, stats.source.height) != stats.source.height) log::debug("pool.tip", {{"height", height}});
    pool::log_stats(level, stats);
  };
  wait_and_tell([] { return true; }, tell);
  log::info("pool.stopping");
  if (*monitor) (*monitor)->stop();
  server.stop(kGoodbye);
  tell(log::Level::kInfo);
  iroh.reset();
  shards.stop(kGoodbye);
  return kOk;
}

int run(const Global& global, const Options& options) {
  auto loaded = pool::load_config(options.config, config::environment_of_process());
  if (!may_start(loaded.findings)) return kUsage;
  const auto authority = pool::load_authority(loaded.config);
  if (!authority) return give_up(kName, authority.error(), exit_code_of(authority.error()));
  if (auto made = make_data_dir(loaded.config.data_dir); !made) return give_up(kName, made.error(), kFailure);
  if (auto begun = begin_role(global, options.log_file, loaded.config.log_file, loaded.findings); !begun)
    return give_up(kName, begun.error(), kUsage);
  return serve(global, loaded.config, *authority);
}

}  // namespace

Command add_pool(CLI::App& app) {
  auto* pool = app.add_subcommand("pool", "Run a pool: Stratum V2 over TCP and iroh, work from a node or an embedded chain");
  auto options = std::make_shared<Options>();
  pool->add_option("-c,--config", options->config, "Configuration file; POOL__* environment variables lie over it")
      ->capture_default_str();
  pool->add_option("-f,--log-file", options->log_file, "Write the log to this file too");
  return {pool, [options](const Global& global) { return run(global, *options); }};
}

}  // namespace adit::cli
