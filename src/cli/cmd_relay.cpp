// `adit relay`: a relay of one's own, for peers behind NATs to find each other and for what cannot go directly.
#include <CLI/Option.hpp>
#include <CLI/Validators.hpp>

#include <cstdio>
#include <memory>
#include <utility>

#include "cli/command.h"
#include "cli/serve.h"

#ifdef ADIT_HAS_IROH
#include "cli/relay_config.h"
#include "config/keys.h"
#include "net/iroh/relay_server.h"
#endif

namespace adit::cli {

#ifdef ADIT_HAS_IROH
namespace {

struct Options : RelayOptions {
  std::string config;
  bool dev = false;
};

/// What the file says, but for what was given as an option. False: the file is wrong, which was said.
bool take_file(const CLI::App& command, Options& options) {
  if (options.config.empty()) return true;
  auto loaded = load_relay(options.config, /*is_all=*/false);
  if (!may_start(loaded.findings)) return false;
  RelayOptions& file = loaded.config;
  const auto take = [&command](const char* option, auto& value, auto& of_file) {
    if (command.count(option) == 0) value = std::move(of_file);
  };
  net::RelayServerConfig& server = options.server;
  take("--http", server.http, file.server.http);
  take("--https", server.https, file.server.https);
  take("--cert-file", server.cert_file, file.server.cert_file);
  take("--key-file", server.key_file, file.server.key_file);
  take("--quic", server.quic, file.server.quic);
  take("--metrics", server.metrics, file.server.metrics);
  take("--token", server.tokens, file.server.tokens);
  take("--max-clients", server.max_clients, file.server.max_clients);
  take("--max-clients-per-source", server.max_clients_per_source, file.server.max_clients_per_source);
  take("--accepts-per-second", server.accepts_per_second, file.server.accepts_per_second);
  take("--client-bytes-per-second", server.client_bytes_per_second, file.server.client_bytes_per_second);
  take("--client-burst-bytes", server.client_burst_bytes, file.server.client_burst_bytes);
  take("--threads", options.threads, file.threads);
  take("--log-file", options.log_file, file.log_file);
  return true;
}

/// What goes into a configuration of a pool or translator, with a name in place of the wildcard address.
std::string url(const char* scheme, const std::string& bound) {
  const auto colon = bound.rfind(':');
  const auto host = bound.substr(0, colon);
  const bool any = host == "0.0.0.0" || host == "[::]";
  return std::string(scheme) + "://" + (any ? "YOUR-HOST" : host) + bound.substr(colon);
}

int relay(const Global& global, Options options) {
  if (options.dev) {
    options.server.http = "127.0.0.1:3340";
    options.server.https.clear();
    options.server.quic.clear();
  }
  const auto faults = relay_faults(options.server);
  for (const auto& [key, message] : faults)
    std::fprintf(stderr, "adit relay: %s (an option, or a key of the file)\n", message.c_str());
  if (!faults.empty()) return kUsage;
  options.server.cert_file = config::credential_or(options.server.cert_file);
  options.server.key_file = config::credential_or(options.server.key_file);
  prepare_process();
  if (auto started = start_log(global, options.log_file); !started) return give_up("relay", started.error(), kFailure);
  auto server = net::RelayServer::start(options.server, options.threads);
  if (!server) return give_up("relay", server.error(), exit_code_of(server.error()));
  const bool tls = !(*server)->https().empty();
  log::info("relay.listening", {{"http", (*server)->http()},
                                {"https", (*server)->https()},
                                {"quic", (*server)->quic()},
                                {"access", options.server.tokens.empty() ? "everyone" : "token"}});
  std::printf("%s\n", tls ? url("https", (*server)->https()).c_str() : url("http", (*server)->http()).c_str());
  std::fflush(stdout);
  std::fprintf(
      stderr, "Above: the relay's URL, for `relay` in [iroh] of pools and translators%s. %s\nCtrl-C ends it.\n",
      options.server.tokens.empty() ? "" : ", with `auth_token`",
      tls ? "" : "Without TLS anybody on the way sees who talks to whom (never what): for development and private networks.");

  std::uint64_t last = 0;
  bool ended = false;
  wait_serving(nullptr, [&] {
    if (const auto clients = (*server)->clients(); clients != last) {
      log::info("relay.clients", {{"count", clients}});
      last = clients;
    }
    ended = (*server)->wait_for_end(std::chrono::milliseconds(1));
    return !ended;
  });
  if (ended) {
    std::fputs("adit relay: it ended by itself; the log above says why. Start it again.\n", stderr);
    return kFailure;
  }
  return kOk;
}

}  // namespace
#endif

Command add_relay([[maybe_unused]] CLI::App& app) {
#ifdef ADIT_HAS_IROH
  auto* command = app.add_subcommand(
      "relay",
      "Run an iroh relay of your own: peers behind NATs find each other through it, and talk through it where they must");
  auto options = std::make_shared<Options>();
  auto& server = options->server;
  command->add_option("-c,--config", options->config, "TOML file with these options as keys, e.g. http = \"0.0.0.0:80\"");
  command->add_option("--http", server.http, "ip:port of plain HTTP; with TLS it only answers probes")->capture_default_str();
  command->add_option("--https", server.https, "ip:port of HTTPS, usually 0.0.0.0:443; needs --cert-file and --key-file");
  command->add_option("--cert-file", server.cert_file, "PEM file of the certificate chain");
  command->add_option("--key-file", server.key_file, "PEM file of its private key");
  command->add_option("--quic", server.quic, "UDP ip:port of QUIC address discovery, usually 0.0.0.0:7842; needs --https");
  command->add_option("--metrics", server.metrics, "ip:port of metrics over HTTP");
  command
      ->add_option("--token", server.tokens, "Clients must show one of these (env ADIT_RELAY_TOKEN); none: everyone may use it")
      ->envname("ADIT_RELAY_TOKEN");
  command->add_option("--max-clients", server.max_clients, "At a time; 0: no bound")->capture_default_str();
  command
      ->add_option("--max-clients-per-source", server.max_clients_per_source,
                   "Connections of one IPv4 address, or one /64 of IPv6, at a time; 0: no bound, as behind a proxy")
      ->capture_default_str();
  command->add_option("--accepts-per-second", server.accepts_per_second, "Connections of clients; 0: no bound")
      ->capture_default_str();
  command->add_option("--client-bytes-per-second", server.client_bytes_per_second, "That one client may send; 0: no bound")
      ->capture_default_str();
  command->add_option("--client-burst-bytes", server.client_burst_bytes, "At once, above that; 0: iroh's default")
      ->capture_default_str();
  command->add_option("--threads", options->threads)->check(CLI::Range(1u, 64u))->capture_default_str();
  command->add_flag("--dev", options->dev, "Plain HTTP on 127.0.0.1:3340 and nothing else");
  command->add_option("--log-file,-f", options->log_file, "Log there too");
  return {command, [=](const Global& global) { return take_file(*command, *options) ? relay(global, *options) : kUsage; }};
#else
  // Without iroh there is nothing to relay, and the command is not listed.
  return {};
#endif
}

}  // namespace adit::cli
