#include "cli/serve.h"

#include <CLI/Option.hpp>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <qrcodegen/qrcodegen.hpp>

#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "base/file.h"
#include "cli/command.h"
#include "cli/service_manager.h"
#include "config/iroh.h"
#include "config/keys.h"
#include "ledger/error.h"
#include "log/log.h"

namespace adit::cli {
namespace {

sigset_t end_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGHUP);
  return set;
}

bool is_ignored(int signal) {
  struct sigaction now{};
  return ::sigaction(signal, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
}

/// Waits until then. True: a signal came that ends the process.
bool is_ended_by_signal(const sigset_t& set, Instant until) {
  for (;;) {
    const Duration wait = std::max(until - now_from_system().instant, Duration::zero());
    const auto seconds = std::chrono::floor<std::chrono::seconds>(wait);
    const timespec timeout{static_cast<std::time_t>(seconds.count()), static_cast<long>((wait - seconds).count())};
    const int signal = sigtimedwait(&set, nullptr, &timeout);
    if (signal < 0 && errno == EINTR) continue;
    if (signal < 0) return false;
    if (signal != SIGHUP) return true;
    if (log::has_file()) {
      log::reopen();
    } else if (!is_ignored(SIGHUP)) {
      return true;
    }
  }
}

}  // namespace

void prepare_process() {
  std::signal(SIGPIPE, SIG_IGN);
  const sigset_t set = end_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
  }
}

Result<> begin_role(const Global& global, const std::string& log_option, const std::string& log_configured,
                    const std::vector<config::Finding>& findings) {
  prepare_process();
  ADIT_CHECK(start_log(global, log_option.empty() ? log_configured : log_option));
  log_findings(findings);
  return {};
}

Result<> make_data_dir(const std::string& path) {
  if (const auto made = make_folders(FileSystem::real(), path); !made)
    return fail(ledger::Errc::kJournal, "`data_dir`: " + describe_file_error(path, "made", made.error()));
  return {};
}

std::string_view program_version() { return ADIT_VERSION; }

unsigned shard_count(unsigned configured) {
  return configured != 0 ? configured : std::max(1u, std::thread::hardware_concurrency());
}

void add_iroh_options(CLI::App& command, IrohDialling& dialling) {
  command.add_option("--relay", dialling.relay,
                     "iroh relay to use: n0 for the public ones, or a URL; by default the one in URL, if any");
  command.add_flag("--mdns", dialling.mdns, "Look for an endpoint id on the local network, by multicast DNS");
  command
      .add_option("--pkarr-relay", dialling.pkarr_relays,
                  "Ask this server (https://...) for an endpoint id; it is told of ours")
      ->allow_extra_args(false);
  command.add_option("--dns-origin", dialling.dns_origins, "Look an endpoint id up under this domain")->allow_extra_args(false);
}

Result<std::unique_ptr<net::IrohCarrier>> dialling_iroh(net::Shards& shards, const net::IrohConfig& peer,
                                                        const IrohDialling& dialling) {
  auto node = net::IrohNodeConfig::for_dialling(peer);
  if (dialling.relay == "n0") {
    node.relay_mode = net::IrohRelays::kN0;
    node.relays.clear();
  } else if (!dialling.relay.empty()) {
    node.relay_mode = net::IrohRelays::kList;
    node.relays = {{.url = dialling.relay}};
  }
  node.mdns = dialling.mdns;
  node.pkarr_relays = dialling.pkarr_relays;
  node.dns_origins = dialling.dns_origins;
  return config::start_iroh(shards, std::move(node), {config::generate_node_key(), {}});
}

std::string home_relay(const net::IrohCarrier& iroh, const net::IrohNodeConfig& node) {
  if (node.relay_mode == net::IrohRelays::kNone) return "";
  for (int turns = 0; turns < 50; ++turns) {
    if (std::string relay = iroh.home_relay(); !relay.empty()) return relay;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  log::warn("iroh.no_relay",
            {{"message", "no relay answered within 5 s: peers behind other NATs cannot reach this endpoint until one does"}});
  return node.relays.size() == 1 ? node.relays.front().url : "";
}

std::vector<std::string> reachable_hosts(const std::string& host) {
  const bool any4 = host == "0.0.0.0";
  const bool any6 = host == "::";
  if (!any4 && !any6) return {host};
  std::vector<std::string> hosts;
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return {any4 ? "127.0.0.1" : "::1"};
  for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || (one->ifa_flags & IFF_UP) == 0 || (one->ifa_flags & IFF_LOOPBACK) != 0) continue;
    char text[INET6_ADDRSTRLEN] = {};
    if (one->ifa_addr->sa_family == AF_INET) {
      inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(one->ifa_addr)->sin_addr, text, sizeof text);
    } else if (any6 && one->ifa_addr->sa_family == AF_INET6) {
      const in6_addr& ip = reinterpret_cast<const sockaddr_in6*>(one->ifa_addr)->sin6_addr;
      if (!IN6_IS_ADDR_LINKLOCAL(&ip)) inet_ntop(AF_INET6, &ip, text, sizeof text);
    }
    if (text[0] != '\0') hosts.emplace_back(text);
  }
  freeifaddrs(all);
  if (hosts.empty()) hosts.emplace_back(any4 ? "127.0.0.1" : "::1");
  return hosts;
}

Result<monitor::WebhookConfig> webhook_of(const config::MonitoringSettings::Alerts& alerts) {
  monitor::WebhookConfig webhook = alerts.webhook;
  if (!alerts.webhook_file.empty()) {
    ADIT_TRY(webhook.url, config::read_secret_file(alerts.webhook_file));
  }
  ADIT_CHECK(monitor::Server::check(webhook));
  return webhook;
}

Result<std::unique_ptr<monitor::Server>> start_monitor(const config::MonitoringSettings& settings, std::string_view name,
                                                       monitor::Role& role, const std::string& data_dir,
                                                       std::function<boost::json::object(const monitor::Snapshot&)> checks) {
  if (!settings.address) return nullptr;
  monitor::Access access;
  if (!settings.token_file.empty()) {
    ADIT_TRY(const auto token, config::take_token(settings.token_file, settings.makes_token));
    access = monitor::Access(token);
  }
  std::array<char, HOST_NAME_MAX + 1> host{};
  if (gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  std::optional<monitor::WebhookConfig> webhook;
  if (settings.alerts) {
    ADIT_TRY(webhook, webhook_of(*settings.alerts));
    webhook->name = std::string(name) + (host[0] == '\0' ? "" : " on " + std::string(host.data()));
  }
  ADIT_TRY(auto monitor,
           monitor::Server::start({.address = *settings.address,
                                   .refresh = settings.refresh,
                                   .hosts = settings.hosts,
                                   .access = access,
                                   .identity = {.role = std::string(name), .version = ADIT_VERSION, .host_name = host.data()},
                                   .history_file = data_dir.empty() ? "" : data_dir + "/history.sqlite",
                                   .alerts = settings.alerts ? settings.alerts->rules : monitor::AlertRules(),
                                   .webhook = std::move(webhook),
                                   .data_dir = data_dir,
                                   .checks = std::move(checks)},
                                  role));
  log::info("monitor.listening", {{"address", monitor->address()}, {"url", "http://" + monitor->address() + "/"}});
  if (!settings.token_file.empty()) log::info("monitor.token_asked_for", {{"file", settings.token_file}});
  return monitor;
}

std::string qr_code(const std::string& text) {
  std::optional<qrcodegen::QrCode> code;
  try {
    code.emplace(qrcodegen::QrCode::encodeText(text.c_str(), qrcodegen::QrCode::Ecc::LOW));
  } catch (const qrcodegen::data_too_long&) {
    return {};
  }
  // Two rows a line, light on dark as terminals mostly are, and a border of the light that readers look for.
  constexpr int kBorder = 2;
  const int size = code->getSize();
  const auto is_light = [&](int x, int y) { return !code->getModule(x, y); };  // Beyond the edges too.
  std::string out;
  for (int y = -kBorder; y < size + kBorder; y += 2) {
    for (int x = -kBorder; x < size + kBorder; ++x) {
      const bool above = is_light(x, y);
      const bool below = y + 1 < size + kBorder && is_light(x, y + 1);
      out += above ? (below ? "\u2588" : "\u2580") : (below ? "\u2584" : " ");
    }
    out += '\n';
  }
  return out;
}

void print_qr(const std::string& text) {
  if (isatty(STDOUT_FILENO) == 0) return;
  const std::string code = qr_code(text);
  winsize window{};
  const auto width = static_cast<std::size_t>(std::ranges::count(code.substr(0, code.find('\n')), ' ')) +
                     static_cast<std::size_t>(std::ranges::count(code.substr(0, code.find('\n')), '\xe2'));
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col != 0 && window.ws_col < width) return;
  std::fputs(code.c_str(), stdout);
}

void wait_for_signal(Duration period, const std::function<bool()>& each, Duration limit) {
  const sigset_t set = end_signals();
  Duration left = limit;
  while (left > Duration::zero()) {
    const Instant begun = now_from_system().instant;
    if (is_ended_by_signal(set, begun + std::min(period, left))) break;
    if (!each()) break;
    left -= now_from_system().instant - begun;
  }
  // A log that is rotated from now on keeps its file.
  if (log::has_file()) std::signal(SIGHUP, SIG_IGN);
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

void wait_serving(net::Shards* shards, const std::function<bool()>& each) {
  constexpr Duration kLookEvery = std::chrono::seconds(1);
  const ServiceManager manager = ServiceManager::of_environment();
  std::optional<Pulse> pulse;
  if (shards != nullptr && manager.beat()) pulse.emplace(*shards);
  manager.is_ready();
  const Duration period = std::min(kLookEvery, manager.beat().value_or(2 * kLookEvery) / 2);
  Instant looked = now_from_system().instant;
  Instant told = looked;
  wait_for_signal(period, [&] {
    const Instant now = now_from_system().instant;
    const bool answers = !pulse || pulse->is_felt();
    if (manager.beat() && answers && now - told >= *manager.beat()) {
      manager.is_alive();
      told = now;
    }
    if (period < kLookEvery && now - looked < kLookEvery) return true;
    looked = now;
    return each();
  });
  manager.is_stopping();
}

void wait_and_tell(net::Shards& shards, const std::function<bool()>& each, const std::function<void(log::Level)>& tell) {
  constexpr unsigned kTellEvery = 60;
  unsigned turn = 0;
  wait_serving(&shards, [&] {
    const bool due = ++turn % kTellEvery == 0;
    if (due || log::enabled(log::Level::kDebug)) tell(due ? log::Level::kInfo : log::Level::kDebug);
    return each();
  });
}

}  // namespace adit::cli
