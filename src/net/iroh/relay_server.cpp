#include "net/iroh/relay_server.h"

#include <sys/stat.h>

#include <cstdio>
#include <string>
#include <utility>

namespace adit::net {
namespace {

constexpr std::uint32_t kStartMs = 10'000;

/// A group may read it: systems keep certificates' keys for one. What cannot be looked at cannot be read, which is told then.
Result<void> check_mode(const std::string& key_file) {
  struct stat info{};
  if (key_file.empty() || ::stat(key_file.c_str(), &info) != 0 || (info.st_mode & 027) == 0) return {};
  char mode[8];
  std::snprintf(mode, sizeof mode, "%04o", static_cast<unsigned>(info.st_mode & 07777));
  return fail(Errc::kConfiguration,
              "the private key " + key_file + " is open to others (mode " + mode + "): chmod 640 " + key_file);
}

}  // namespace

Result<std::unique_ptr<RelayServer>> RelayServer::start(const RelayServerConfig& config, unsigned threads) {
  ADIT_CHECK(check_mode(config.key_file));
  ADIT_TRY(auto runtime, BridgeRuntime::acquire(threads));
  std::unique_ptr<RelayServer> server(new RelayServer(std::move(runtime)));
  adit_handle handle = 0;
  if (const auto result = adit_loop_create(8, &handle); result != ADIT_OK)
    return fail(bridge_error(result, 0, "cannot start the relay"));
  server->loop_ = BridgeHandle(handle);

  const auto tokens = bridge_views(config.tokens);
  const adit_relay_server_config given{.http_bind = bridge_view(config.http),
                                       .https_bind = bridge_view(config.https),
                                       .cert_file = bridge_view(config.cert_file),
                                       .key_file = bridge_view(config.key_file),
                                       .quic_bind = bridge_view(config.quic),
                                       .metrics_bind = bridge_view(config.metrics),
                                       .tokens = tokens.data(),
                                       .token_count = tokens.size(),
                                       .max_clients = config.max_clients,
                                       .max_clients_per_source = config.max_clients_per_source,
                                       .accepts_per_second = config.accepts_per_second,
                                       .client_bytes_per_second = config.client_bytes_per_second,
                                       .client_burst_bytes = config.client_burst_bytes};
  if (const auto result = adit_relay_server_start(server->loop_.get(), &given, kStartMs, &handle); result != ADIT_OK)
    return fail(bridge_error(result, 0, "cannot start the relay"));
  server->relay_ = BridgeHandle(handle);
  if (const auto result = wait_for_event(server->loop_.get(), handle, ADIT_READY_DONE, kStartMs + 1000); result != ADIT_OK)
    return fail(bridge_error(result, handle, "cannot start the relay"));

  for (const auto& line :
       bridge_lines([handle](char* text, std::size_t size) { return adit_relay_server_sockets(handle, text, size); })) {
    const auto space = line.find(' ');
    const auto name = line.substr(0, space);
    auto& bound = name == "http" ? server->http_ : name == "https" ? server->https_ : server->quic_;
    bound = line.substr(space + 1);
  }
  return server;
}

std::uint64_t RelayServer::clients() const {
  const auto count = adit_relay_server_clients(relay_.get());
  return count > 0 ? static_cast<std::uint64_t>(count) : 0;
}

bool RelayServer::wait_for_end(Duration patience) const {
  return wait_for_event(loop_.get(), relay_.get(), ADIT_READY_CLOSED, bridge_ms(patience)) != ADIT_TIMED_OUT;
}

}  // namespace adit::net
