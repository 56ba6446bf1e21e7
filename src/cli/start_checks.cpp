#include "cli/start_checks.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>

#include "base/fd.h"
#include "base/file.h"
#include "cli/serve.h"
#include "config/keys.h"
#include "config/make_source.h"
#ifdef ADIT_HAS_IPC
#include "ipc/node.h"
#endif
#include "net/shards.h"
#include "net/tcp.h"
#include "net/udp.h"
#include "template/embedded.h"

namespace adit::cli {
namespace {

namespace fs = std::filesystem;
using config::Finding;
using config::Severity;

/// Collects what is found about one file.
class Look {
 public:
  Look(std::string_view role, const std::string& file, std::vector<Finding>& findings, StartScope scope)
      : role_(role), file_(file), findings_(findings), scope_(scope) {
    shards_.start();
  }
  ~Look() {
    listeners_.clear();
    shards_.stop(Duration::zero());
  }
  Look(const Look&) = delete;
  Look& operator=(const Look&) = delete;

  [[nodiscard]] bool at_all() const { return scope_ == StartScope::kAll; }
  void block(std::string message) { findings_.push_back({Severity::kBlocker, file_, std::move(message)}); }
  /// The role would start and wait for `whom`.
  void would_wait(std::string_view whom, const std::string& why) {
    findings_.push_back(
        {Severity::kWarning, file_, "the " + std::string(role_) + " would wait for " + std::string(whom) + ": " + why});
  }
  template <class T>
  void block_on(const Result<T>& result) {
    if (result || (!at_all() && result.error().is(config::KeyErrc::kTooOpen))) return;
    block(result.error().message());
  }

  /// Kept until the end, so that two keys with one address are found.
  void at_listener(std::string_view key, const net::TcpConfig& address) {
    if (!at_all()) return;
    auto listener = net::TcpListener::bind(shards_[0], address, std::chrono::seconds(10));
    if (listener) {
      listeners_.push_back(std::move(*listener));
    } else {
      block("`" + std::string(key) + "`: " + listener.error().message());
    }
  }

  void at_log_file(const std::string& path) {
    if (path.empty()) return;
    const Fd there(::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK));
    if (there.ok()) return;
    int error = errno;
    const std::string folder = folder_of(path);
    struct stat info{};
    if (error == ENOENT && ::stat(folder.c_str(), &info) == 0) {
      if (::access(folder.c_str(), W_OK | X_OK) == 0) return;
      error = errno;
    }
    block("`log_file`: " + describe_file_error(path, "opened for appending", error));
  }

  /// A folder that is made where it is missing.
  void at_folder(std::string_view key, const std::string& path) {
    std::error_code error;
    fs::path there = fs::absolute(path, error).lexically_normal();
    if (there.filename().empty()) there = there.parent_path();
    const fs::path wanted = there;
    while (!fs::exists(there, error) && !error && there != there.parent_path()) there = there.parent_path();
    const bool is_here = there == wanted;
    int reason = error.value();
    if (reason == 0 && !fs::is_directory(there, error)) reason = ENOTDIR;
    if (reason == 0 && ::access(there.c_str(), W_OK | X_OK) != 0) reason = errno;
    if (reason != 0) {
      block("`" + std::string(key) + "`: " + describe_file_error(path, is_here ? "written to" : "made", reason));
    }
  }

  void at_file_to_read(std::string_view key, const std::string& path) {
    if (path.empty()) return;
    const Fd there(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!there.ok()) block("`" + std::string(key) + "`: " + describe_file_error(path, "read", errno));
  }

  /// "ip:port" over UDP.
  void at_udp_address(std::string_view key, const std::string& text) {
    if (!at_all()) return;
    auto bound = net::bind_udp(text);
    if (bound) {
      sockets_.push_back(std::move(*bound));
    } else {
      block("`" + std::string(key) + "`: " + bound.error().message());
    }
  }

  /// What a role needs beside its own port. `node_key`: where its key is unless [iroh] names another file; empty: in none.
  void at_shared(const config::IrohSettings& iroh, const config::MonitoringSettings& monitoring, const std::string& log_file,
                 const std::string& node_key) {
    struct stat info{};
    if (monitoring.address) {
      at_listener(config::kMonitoringKey, *monitoring.address);
      const std::string& token = monitoring.token_file;
      const bool is_here = !monitoring.makes_token || ::lstat(token.c_str(), &info) == 0;
      if (!token.empty() && is_here) block_on(config::read_token(token));
      if (monitoring.alerts) block_on(webhook_of(*monitoring.alerts));
    }
    at_log_file(log_file);
    if (!iroh.enabled) return;
#ifndef ADIT_HAS_IROH
    block("this build of adit has no iroh (ADIT_IROH=OFF): remove [iroh] and the upstreams over iroh, or use another build");
#endif
    if (!iroh.secret_key_file.empty()) {
      at_node_key(iroh.secret_key_file);
    } else if (!node_key.empty() && ::lstat(node_key.c_str(), &info) == 0) {
      at_node_key(node_key);
    }
    for (const std::string& address : iroh.node.bind) at_udp_address("bind_addresses", address);
    at_file_to_read("relay_ca_file", iroh.node.relay_ca_file);
  }

 private:
  void at_node_key(const std::string& path) {
    if (at_all()) {
      block_on(config::take_node_key(path));
    } else {
      block_on(config::read_node_key(path));
    }
  }

  const std::string_view role_;
  const std::string& file_;
  std::vector<Finding>& findings_;
  const StartScope scope_;
  net::Shards shards_{1};
  std::vector<std::unique_ptr<net::TcpListener>> listeners_;
  std::vector<Fd> sockets_;
};

/// Whether the node can be reached by IPC now. One that is away is waited for; what only an operator can mend stops the start.
void look_at_node(const config::BitcoinIpcNode& node, Look& look) {
#ifdef ADIT_HAS_IPC
  const auto looked = ipc::look_at_socket(node.socket);
  if (looked) return;
  if (looked.error().is(ipc::Errc::kNoSocket) || looked.error().is(ipc::Errc::kNotListening)) {
    look.would_wait("its node", looked.error().message());
  } else {
    look.block(looked.error().message());
  }
#else
  look.block("this build of adit has no IPC (ADIT_IPC=OFF), and the node at " + node.socket +
             " is to be reached by it: use another build, or [template_provider_type.BitcoinRpc]");
#endif
}

/// The files that it takes to ask the node. A role waits for a cookie, which the node writes at each start.
void look_at_node(const config::BitcoinRpcNode& node, Look& look) {
  if (!node.password_file.empty()) look.block_on(config::read_secret_file(node.password_file));
  if (!node.user.empty() || node.cookie_file.empty()) return;
  const Fd cookie(::open(node.cookie_file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!cookie.ok()) look.would_wait("its node's cookie", describe_file_error(node.cookie_file, "read", errno));
}

/// A provider is waited for; whether it is there only a dial can tell (`adit ping --protocol templates`).
void look_at_node(const config::Sv2TpNode& node, [[maybe_unused]] Look& look) {
#ifndef ADIT_HAS_IROH
  if (std::holds_alternative<net::IrohConfig>(node.provider.transport))
    look.block("this build of adit has no iroh (ADIT_IROH=OFF), and a template provider is to be reached over it");
#else
  (void)node;
#endif
}

/// Whether another pool keeps its blocks there now.
void look_at_journal(const std::string& data_dir, Look& look) {
  const std::string path = config::journal_folder(data_dir);
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return;
  look.at_folder("data_dir", path);
  const auto folder = FileSystem::real().open_folder(path);
  if (!folder) return;
  if (const auto locked = (*folder)->lock(); !locked && locked.error() == EWOULDBLOCK) {
    look.block("`data_dir`: another process keeps its found blocks in " + path +
               ": stop it (or is it this very one?), or give each a `data_dir` of its own");
  }
}

void look_at_source(const config::TemplateSource& source, const std::string& data_dir, Look& look) {
  if (const auto* embedded = std::get_if<config::EmbeddedSource>(&source)) {
    return look.block_on(templates::EmbeddedSource::check(config::options_of(*embedded)));
  }
  if (!look.at_all()) return;
  for (const config::FurtherNode& node : config::nodes_of(source)) {
    std::visit([&](const auto& one) { look_at_node(one, look); }, node);
  }
  look_at_journal(data_dir, look);
}

/// What roles that serve Stratum V2 have in common.
template <class Config>
void look_at_server(const Config& config, const config::TemplateSource& source, Look& look) {
  // A key that stands in the configuration itself was judged with it.
  if (!config.authority.secret_key_file.empty()) look.block_on(load_authority(config));
  if (!config.data_dir.empty()) look.at_folder("data_dir", config.data_dir);
  for (const auto& [key, address] : listeners_of(config)) {
    if (address) look.at_listener(key, *address);
  }
  look.at_shared(config.iroh, config.monitoring, config.log_file, config.data_dir + "/node.key");
  look_at_source(source, config.data_dir, look);
}

}  // namespace

Listeners listeners_of(const pool::PoolConfig& config) {
  return {{"listen_address", config.listen_address},
          {"sv1_address", config.sv1_address},
          {"jds.listen_address", config.jds ? config.jds->own_listener() : std::nullopt}};
}

Listeners listeners_of(const provider::ProviderConfig& config) { return {{"listen_address", config.listen_address}}; }

Listeners listeners_of(const jd_client::JdClientConfig& config) {
  return {{"listening_address", config.listen_address}, {"sv1_address", config.sv1_address}};
}

Listeners listeners_of(const translator::TranslatorConfig& config) { return {{"downstream_address", config.downstream}}; }

void look_at_start(const pool::PoolConfig& config, const std::string& file, std::vector<Finding>& findings, StartScope scope) {
  Look look("pool", file, findings, scope);
  if (config.jds && !config.jds->token_key_file.empty()) look.block_on(config::read_token(config.jds->token_key_file));
  look_at_server(config, config.source, look);
}

void look_at_start(const provider::ProviderConfig& config, const std::string& file, std::vector<Finding>& findings,
                   StartScope scope) {
  Look look("template provider", file, findings, scope);
  look_at_server(config, config.work.source, look);
}

void look_at_start(const jd_client::JdClientConfig& config, const std::string& file, std::vector<Finding>& findings,
                   StartScope scope) {
  Look look("job declarator client", file, findings, scope);
  look_at_server(config, config.work.source, look);
}

void look_at_start(const translator::TranslatorConfig& config, const std::string& file, std::vector<Finding>& findings,
                   StartScope scope) {
  Look look("translator", file, findings, scope);
  for (const auto& [key, address] : listeners_of(config)) look.at_listener(key, *address);
  if (config.monitoring.makes_token) look.at_folder("data_dir", folder_of(config.monitoring.token_file));
  look.at_shared(config.iroh, config.monitoring, config.log_file, "");
}

}  // namespace adit::cli
