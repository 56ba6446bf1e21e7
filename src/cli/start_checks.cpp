#include "cli/start_checks.h"

#include <fcntl.h>
#include <netdb.h>
#include <sys/socket.h>
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
#include "config/keys.h"
#include "config/make_source.h"
#ifdef ADIT_HAS_IPC
#include "ipc/node.h"
#endif
#include "net/shards.h"
#include "net/tcp.h"
#include "template/embedded.h"

namespace adit::cli {
namespace {

namespace fs = std::filesystem;
using config::Finding;
using config::Severity;

/// Collects what is found about one file.
class Look {
 public:
  Look(std::string_view role, const std::string& file, std::vector<Finding>& findings)
      : role_(role), file_(file), findings_(findings) {
    shards_.start();
  }
  ~Look() {
    listeners_.clear();
    shards_.stop(Duration::zero());
  }
  Look(const Look&) = delete;
  Look& operator=(const Look&) = delete;

  void block(std::string message) { findings_.push_back({Severity::kBlocker, file_, std::move(message)}); }
  /// The role would start and wait for `whom`.
  void would_wait(std::string_view whom, const std::string& why) {
    findings_.push_back(
        {Severity::kWarning, file_, "the " + std::string(role_) + " would wait for " + std::string(whom) + ": " + why});
  }
  template <class T>
  void block_on(const Result<T>& result) {
    if (!result) block(result.error().message());
  }

  /// Kept until the end, so that two keys with one address are found.
  void at_listener(std::string_view key, const net::TcpConfig& address) {
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
    const auto complain = [&](std::string_view why) {
      block("`" + std::string(key) + "`: cannot use UDP " + text + ": " + std::string(why));
    };
    const std::size_t colon = text.rfind(':');
    std::string host = text.substr(0, colon);
    if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
    addrinfo wanted{};
    wanted.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    wanted.ai_socktype = SOCK_DGRAM;
    addrinfo* found = nullptr;
    if (::getaddrinfo(host.c_str(), text.substr(colon + 1).c_str(), &wanted, &found) != 0) {
      return complain("it must be an IP address of this machine and a port");
    }
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> address(found, &::freeaddrinfo);
    Fd socket(::socket(address->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!socket.ok()) return complain(std::generic_category().message(errno));
    constexpr int kYes = 1;
    // IPv4 has an address of its own beside it.
    if (address->ai_family == AF_INET6) (void)::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &kYes, sizeof kYes);
    if (::bind(socket.get(), address->ai_addr, address->ai_addrlen) != 0) {
      return complain(std::generic_category().message(errno));
    }
    sockets_.push_back(std::move(socket));
  }

  /// What a role needs beside its own port. `node_key`: where its key is unless [iroh] names another file; empty: in none.
  void at_shared(const config::IrohSettings& iroh, const config::MonitoringSettings& monitoring, const std::string& log_file,
                 const std::string& node_key) {
    if (monitoring.address) at_listener("monitoring_address", *monitoring.address);
    at_log_file(log_file);
    if (!iroh.enabled) return;
#ifndef ADIT_HAS_IROH
    block("this build of adit has no iroh (ADIT_IROH=OFF): remove [iroh] and the upstreams over iroh, or use another build");
#endif
    struct stat info{};
    if (!iroh.secret_key_file.empty()) {
      block_on(config::take_node_key(iroh.secret_key_file));
    } else if (!node_key.empty() && ::lstat(node_key.c_str(), &info) == 0) {
      block_on(config::take_node_key(node_key));
    }
    for (const std::string& address : iroh.node.bind) at_udp_address("bind_addresses", address);
    at_file_to_read("relay_ca_file", iroh.node.relay_ca_file);
  }

 private:
  const std::string_view role_;
  const std::string& file_;
  std::vector<Finding>& findings_;
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
  for (const config::FurtherNode& node : config::nodes_of(source)) {
    std::visit([&](const auto& one) { look_at_node(one, look); }, node);
  }
  look_at_journal(data_dir, look);
}

}  // namespace

void look_at_start(const pool::PoolConfig& config, const std::string& file, std::vector<Finding>& findings) {
  Look look("pool", file, findings);
  // A key that stands in the configuration itself was judged with it.
  if (!config.authority.secret_key_file.empty()) look.block_on(pool::load_authority(config));
  if (!config.data_dir.empty()) look.at_folder("data_dir", config.data_dir);
  if (config.listen_address) look.at_listener("listen_address", *config.listen_address);
  look.at_shared(config.iroh, config.monitoring, config.log_file, config.data_dir + "/node.key");
  look_at_source(config.source, config.data_dir, look);
}

void look_at_start(const provider::ProviderConfig& config, const std::string& file, std::vector<Finding>& findings) {
  Look look("template provider", file, findings);
  if (!config.authority.secret_key_file.empty()) look.block_on(provider::load_authority(config));
  if (!config.data_dir.empty()) look.at_folder("data_dir", config.data_dir);
  if (config.listen_address) look.at_listener("listen_address", *config.listen_address);
  look.at_shared(config.iroh, config.monitoring, config.log_file, config.data_dir + "/node.key");
  look_at_source(config.work.source, config.data_dir, look);
}

void look_at_start(const translator::TranslatorConfig& config, const std::string& file, std::vector<Finding>& findings) {
  Look look("translator", file, findings);
  look.at_listener("downstream_address", config.downstream);
  look.at_shared(config.iroh, config.monitoring, config.log_file, "");
}

}  // namespace adit::cli
