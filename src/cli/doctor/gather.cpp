#include "cli/doctor/gather.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>

#include "base/hex.h"
#include "base/text.h"
#include "cli/doctor/http_probe.h"
#include "cli/doctor/machine.h"
#include "cli/doctor/setup.h"
#include "cli/find_node.h"
#include "cli/made_config.h"
#include "cli/ping_node.h"
#include "cli/ping_peer.h"
#include "cli/serve.h"
#include "cli/start_checks.h"
#include "config/iroh.h"
#include "config/keys.h"
#include "config/make_source.h"
#ifdef ADIT_HAS_IPC
#include "ipc/error.h"
#endif
#include "net/shards.h"
#include "net/tcp.h"
#include "net/udp.h"
#include "session/error.h"
#include "template/error.h"
#include "template/node_info.h"
#include "template/rpc_config.h"
#include "template/rpc_line.h"
#include "upstream/url.h"
#include "wire/common_messages.h"

namespace adit::cli::doctor {
namespace {

namespace asio = boost::asio;
namespace json = boost::json;

constexpr std::size_t kMaxTemplate = 64 << 20;
constexpr std::string_view kOurProgram = "adit";
constexpr unsigned kHttpOk = 200;
constexpr Duration kPublicAddressAfter = std::chrono::seconds(3);

NodeFault fault_of(const Error& error) {
  using templates::Errc;
  const auto is_one_of = [&error](std::initializer_list<Errc> codes) {
    return std::ranges::any_of(codes, [&error](Errc code) { return error.is(code); });
  };
  if (is_one_of({Errc::kUnreachable, Errc::kTimedOut})) return NodeFault::kAway;
  if (is_one_of({Errc::kUnauthorized, Errc::kNoCookie, Errc::kUnreadable})) return NodeFault::kAccess;
  if (is_one_of({Errc::kWarmingUp, Errc::kInitialDownload, Errc::kNoPeers, Errc::kBusy})) return NodeFault::kState;
  if (error.is(Errc::kWrongNetwork)) return NodeFault::kNetwork;
#ifdef ADIT_HAS_IPC
  if (error.is(ipc::Errc::kForbidden)) return NodeFault::kAccess;
  if (error.is(ipc::Errc::kNoSocket) || error.is(ipc::Errc::kNotListening) || error.is(ipc::Errc::kTimedOut))
    return NodeFault::kAway;
#endif
  return NodeFault::kOther;
}

void set_fault(NodeFacts& node, const Error& error) {
  if (node.fault != NodeFault::kNone) return;
  node.fault = fault_of(error);
  node.message = error.message();
}

/// Whether a chain gives work whatever its peers and its download are: it may have no other miner.
bool is_own_chain(std::string_view chain) { return chain == "regtest" || chain == "signet"; }

bool is_true(const json::value& value, std::string_view key) {
  const json::object* const object = value.if_object();
  const json::value* const found = object == nullptr ? nullptr : object->if_contains(key);
  return found != nullptr && found->is_bool() && found->get_bool();
}

/// What a block on this template may still weigh.
std::optional<std::int64_t> weight_left(const json::value& made) {
  const auto limit = templates::integer_in(made, "weightlimit");
  const json::object* const object = made.if_object();
  const json::value* const list = object == nullptr ? nullptr : object->if_contains("transactions");
  if (!limit || list == nullptr || !list->is_array()) return std::nullopt;
  std::int64_t left = *limit;
  for (const json::value& one : list->get_array()) left -= templates::integer_in(one, "weight").value_or(0);
  return left;
}

asio::awaitable<void> ask_rpc(std::shared_ptr<templates::RpcLine> line, std::optional<bitcoin::Network> network,
                              Duration deadline, NodeFacts& node, std::optional<std::chrono::seconds>& clock) {
  const auto info = co_await line->call("getblockchaininfo", {}, {.deadline = deadline});
  if (!info) co_return set_fault(node, info.error());
  const auto chain = templates::parse_chain_info(*info);
  if (!chain) co_return set_fault(node, chain.error());
  node.blocks = chain->blocks;
  node.headers = chain->headers;
  node.is_test_chain = is_own_chain(chain->chain);
  node.is_downloading = (is_true(*info, "initialblockdownload") && !node.is_test_chain) || templates::is_behind(*chain);
  node.is_pruned = is_true(*info, "pruned");
  if (const auto right = templates::check_network(*chain, network); !right) co_return set_fault(node, right.error());
  if (const auto net = co_await line->call("getnetworkinfo", {}, {.deadline = deadline}); net) {
    node.peers = templates::integer_in(*net, "connections");
    node.takes_transactions = templates::relay_caution(*net).empty();
  }
  json::array rules{"segwit"};
  if (chain->chain == "signet") rules.push_back("signet");
  json::array params;
  params.push_back(json::object{{"rules", std::move(rules)}});
  const Instant asked = now_from_system().instant;
  const auto made =
      co_await line->call("getblocktemplate", std::move(params), {.deadline = deadline, .max_answer = kMaxTemplate});
  if (!made) {
    // What its state explains is said once.
    if (!node.is_downloading && node.peers != 0) set_fault(node, made.error());
    co_return;
  }
  node.template_after = now_from_system().instant - asked;
  node.template_height = static_cast<std::uint32_t>(templates::integer_in(*made, "height").value_or(0));
  node.template_value_sat = static_cast<std::uint64_t>(templates::integer_in(*made, "coinbasevalue").value_or(0));
  node.weight_left = weight_left(*made);
  // On a test chain its clock may be that of the tip.
  const auto time = templates::integer_in(*made, "curtime");
  if (time && network == bitcoin::Network::kMainnet)
    clock = std::chrono::seconds(*time - std::int64_t{to_u32(now_from_system().unix_time)});
}

class Gathering {
 public:
  Gathering(AnyLoaded* loaded, const config::Environment& environment, Duration deadline)
      : loaded_(loaded), environment_(environment), deadline_(deadline) {}
  ~Gathering() {
    iroh_.reset();
    shards_.stop(std::chrono::seconds(2));
  }
  Gathering(const Gathering&) = delete;
  Gathering& operator=(const Gathering&) = delete;

  Facts run() {
    shards_.start();
    look_at_machine(facts_);
    look_at_config();
    if (loaded_ != nullptr && loaded_->valid()) {
      setup_ = std::visit([](const auto& config) { return setup_of(config); }, loaded_->config);
      look_at_setup(setup_, facts_);
      for (PortFacts& port : facts_.ports) try_port(port);
      look_at_start_of_role();
      look_at_files();
      look_at_iroh();
      look_at_nodes();
      look_at_upstreams();
      look_at_running();
    } else if (loaded_ == nullptr) {
      look_for_node();
    }
    return std::move(facts_);
  }

 private:
  void look_at_config() {
    if (loaded_ == nullptr) return;
    ConfigFacts& config = facts_.config;
    config.file = loaded_->file;
    config.role = loaded_->role;
    config.findings = loaded_->findings;
    const std::string prefix = lower_case(std::string(environment_prefix(loaded_->role)) + "__");
    for (const auto& [name, value] : environment_) {
      if (!loaded_->role.empty() && lower_case(name).starts_with(prefix)) config.variables.push_back(name);
    }
  }

  /// Listens for a moment. Only where that fails is it asked who has the port.
  void try_port(PortFacts& port) {
    const auto at = upstream::parse_host_port(port.address);
    if (!at) return;
    std::optional<Error> failed;
    if (port.is_udp) {
      if (const auto bound = net::bind_udp(port.address); !bound) failed = bound.error();
    } else if (const auto listener = net::TcpListener::bind(shards_[0], *at, std::chrono::seconds(10)); !listener) {
      failed = listener.error();
    }
    if (failed && failed->is(net::Errc::kAddressInUse)) port.holder = who_has(*at, port.is_udp);
    if (failed && !port.holder) port.problem = failed->message();
    // One that cannot be seen may be the role that runs as a service.
    if (port.holder && (port.holder->pid == 0 || port.holder->program == kOurProgram)) is_running_ = true;
  }

  void look_at_start_of_role() {
    std::visit(
        [this](const auto& config) { look_at_start(config, loaded_->file, facts_.config.findings, StartScope::kKeysAndFiles); },
        loaded_->config);
  }

  void look_at_files() {
    facts_.folder = look_at_folder(setup_.data_dir);
    if (is_running_ || setup_.node_key_file.empty() || !mode_of(setup_.node_key_file)) return;
    const auto taken = config::take_node_key(setup_.node_key_file);
    if (!taken && taken.error().is(config::KeyErrc::kInUse)) facts_.build.key_holder = setup_.node_key_file;
  }

  /// By an endpoint of our own that only dials.
  void look_at_iroh() {
    const config::IrohSettings& iroh = *setup_.iroh;
    if (!iroh.enabled) return;
    for (const net::IrohRelay& relay : iroh.node.relays) look_at_relay(relay);
#ifdef ADIT_HAS_IROH
    auto started = config::start_iroh(shards_, probing(iroh.node), {config::generate_node_key(), {}});
    if (!started) {
      facts_.nat.problem = started.error().message();
      return;
    }
    iroh_ = std::move(*started);
    if (facts_.nat.has_relay && gets_home_relay(*iroh_)) wait_for_public_address();
#endif
  }

  void look_at_relay(const net::IrohRelay& relay) {
    RelayFacts facts{.url = relay.url, .udp_port = relay.quic_port, .has_token = !relay.auth_token.empty()};
    const HttpAnswer answer = http_get(relay.url, "/ping", setup_.iroh->node.relay_ca_file, "", deadline_);
    facts.problem = answer.problem;
    if (answer.problem.empty() && answer.status != kHttpOk)
      facts.problem = "what answers there is no relay (HTTP " + std::to_string(answer.status) + ")";
    facts.answered = answer.after;
    facts.certificate_days = answer.certificate_days;
    if (relay.quic_port != 0) facts.udp = quic_answers(host_of(relay.url), relay.quic_port, std::chrono::seconds(2));
#ifdef ADIT_HAS_IROH
    if (facts.problem.empty()) {
      // An endpoint connects with one of its relays alone, its home: so each is tried by an endpoint that has no other.
      net::IrohNodeConfig node = probing(setup_.iroh->node);
      node.relay_mode = net::IrohRelays::kList;
      node.relays = {relay};
      node.mdns = false;
      node.pkarr_relays.clear();
      node.dns_origins.clear();
      if (const auto one = config::start_iroh(shards_, std::move(node), {config::generate_node_key(), {}}); one)
        facts.took_us = gets_home_relay(**one);
    }
#endif
    facts_.relays.push_back(std::move(facts));
  }

  /// Whether a relay takes the endpoint in time: it is a home only while it is connected.
  [[nodiscard]] bool gets_home_relay(const net::IrohCarrier& endpoint) const {
    constexpr auto kTurn = std::chrono::milliseconds(100);
    for (Duration waited{}; waited < deadline_; waited += kTurn) {
      if (!endpoint.home_relay().empty()) return true;
      std::this_thread::sleep_for(kTurn);
    }
    return false;
  }

  void wait_for_public_address() {
    constexpr auto kTurn = std::chrono::milliseconds(100);
    for (Duration waited{}; waited < kPublicAddressAfter; waited += kTurn) {
      facts_.nat.seen = addresses_seen(*iroh_);
      if (!facts_.nat.seen.empty()) return;
      std::this_thread::sleep_for(kTurn);
    }
  }

  void look_at_nodes() {
    if (!setup_.source) return;
    for (const config::FurtherNode& node : config::nodes_of(*setup_.source)) {
      facts_.nodes.push_back(std::visit([this](const auto& one) { return ask(one); }, node));
    }
  }

  NodeFacts ask(const config::BitcoinRpcNode& rpc) {
    NodeFacts node{.name = upstream::host_port(rpc.node)};
    const HttpAnswer there = http_get("http://" + node.name, "/", "", "", deadline_);
    if (there.status == 0 && there.problem == "nothing listens there") {
      node.fault = NodeFault::kAway;
      node.message = "nothing listens at " + node.name + ": is bitcoind running with server=1?";
      return node;
    }
    const auto config = config::rpc_config(rpc, setup_.network);
    if (!config) {
      node.fault = NodeFault::kAccess;
      node.message = config.error().message();
      return node;
    }
    asio::io_context context;
    std::optional<std::chrono::seconds> clock;
    const auto line = templates::RpcLine::make(context.get_executor(), *config);
    asio::co_spawn(context, ask_rpc(line, setup_.network, deadline_, node, clock), asio::detached);
    context.run();
    if (clock) facts_.clock.others.push_back({"the node at " + node.name, *clock});
    return node;
  }

  NodeFacts ask(const config::BitcoinIpcNode& ipc) {
    NodeFacts node{.name = ipc.socket};
    facts_.build.needs_ipc = true;
    IpcReport report;
    const auto asked = ping_node(ipc.socket, {.count = 0, .deadline = deadline_, .block = false}, report);
    if (report.chain) {
      node.blocks = report.chain->blocks;
      node.headers = report.chain->headers;
      node.is_test_chain = is_own_chain(report.chain->chain);
      if (const auto right = templates::check_network(*report.chain, setup_.network); !right) set_fault(node, right.error());
    } else {
      node.is_test_chain = report.is_test_chain;
      if (report.reached != Duration::zero() && setup_.network &&
          report.is_test_chain != (setup_.network != bitcoin::Network::kMainnet)) {
        node.fault = NodeFault::kNetwork;
        node.message = "the node at " + ipc.socket + " is on " + (report.is_test_chain ? "a test network" : "mainnet") +
                       ", but the configuration is for " + std::string(bitcoin::network_name(*setup_.network));
      }
    }
    node.is_downloading = report.is_downloading && !node.is_test_chain;
    node.template_after = report.template_after;
    node.template_height = report.height;
    node.template_value_sat = report.value_sat;
    if (!asked) set_fault(node, asked.error());
    return node;
  }

  NodeFacts ask(const config::Sv2TpNode& sv2) {
    NodeFacts node{.name = upstream::to_url(sv2.provider)};
    PeerReport report;
    const auto asked =
        ping_peer(shards_, sv2.provider, iroh_.get(),
                  {.protocol = wire::Protocol::kTemplateDistribution, .count = 1, .deadline = deadline_}, report);
    note_clock("the template provider " + node.name, report);
    if (report.work != nullptr) {
      node.template_after = report.work_after;
      node.template_height = report.work->height;
      node.template_value_sat = report.work->coinbase_value_sat;
    }
    if (!asked) {
      node.fault = report.reached == Duration::zero() ? NodeFault::kAway : NodeFault::kOther;
      node.message = asked.error().message();
    }
    return node;
  }

  void note_clock(std::string whose, const PeerReport& report) {
    if (report.clock)
      facts_.clock.others.push_back({std::move(whose), std::chrono::round<std::chrono::seconds>(*report.clock)});
  }

  void look_at_upstreams() {
    for (const Setup::Upstream& upstream : setup_.upstreams) {
      const bool is_declarator = upstream.protocol == wire::Protocol::kJobDeclaration;
      UpstreamFacts facts{.entry = upstream.entry,
                          .url = upstream::to_url(upstream.peer),
                          .user = upstream.user,
                          .is_declarator = is_declarator};
      const auto* const over = std::get_if<net::IrohConfig>(&upstream.peer.transport);
      facts.relay_unused = over != nullptr && over->relay_url && setup_.iroh->node.relay_mode == net::IrohRelays::kNone;
      PeerReport report;
      const auto asked = ping_peer(shards_, upstream.peer, iroh_.get(),
                                   {.protocol = upstream.protocol,
                                    .flags = upstream.flags,
                                    .count = 2,
                                    .deadline = deadline_,
                                    .user = is_declarator ? std::nullopt : std::optional(upstream.user)},
                                   report);
      note_clock((is_declarator ? "the declarator " : "the pool ") + facts.url, report);
      if (!asked) facts.message = asked.error().message();
      facts.is_proved = !report.metadata.authority_key.empty();
      facts.path = std::string(net::to_string(report.metadata.transport)) +
                   (over == nullptr ? "" : " " + std::string(net::to_string(report.metadata.path)));
      if (!report.round_trips.empty()) {
        facts.round_trip = report.round_trips.front();
      } else if (report.setup != Duration::zero()) {
        facts.round_trip = report.setup;
      }
      facts.stage = stage_of(asked, report, is_declarator);
      facts_.upstreams.push_back(std::move(facts));
    }
  }

  /// Whether what has the monitor's port is the role that runs by this configuration: an adit, which has each other port that
  /// is taken as well. Nothing else is shown the token.
  [[nodiscard]] bool has_own_monitor() const {
    const auto& ports = facts_.ports;
    const auto monitor = std::ranges::find(ports, config::kMonitoringKey, &PortFacts::key);
    if (monitor == ports.end() || !monitor->holder || monitor->holder->program != kOurProgram) return false;
    return std::ranges::all_of(ports,
                               [&](const PortFacts& port) { return !port.holder || port.holder->pid == monitor->holder->pid; });
  }

  /// The version that the running role's monitor names.
  void look_at_running() {
    const auto& monitoring = *setup_.monitoring;
    if (!has_own_monitor()) return;
    std::string token;
    if (!monitoring.token_file.empty()) token = config::read_secret_file(monitoring.token_file).value_or("");
    net::TcpConfig at = *monitoring.address;
    if (at.host == "0.0.0.0") at.host = "127.0.0.1";
    if (at.host == "::") at.host = "::1";
    const HttpAnswer answer = http_get("http://" + upstream::host_port(at), "/api/v1/status", "", token, deadline_);
    boost::system::error_code error;
    const json::value status = json::parse(answer.body, error);
    if (error || !status.is_object()) return;
    const json::value* const version = status.get_object().if_contains("version");
    if (version != nullptr && version->is_string()) facts_.build.running_version = std::string(version->get_string());
  }

  void look_for_node() {
    using enum bitcoin::Network;
    constexpr std::array kAll = {kMainnet, kTestnet4, kSignet, kRegtest};
    const NodeSearch search = find_node(kAll, usual_node_folders(), 0);
    if (search.found) {
      facts_.node_hints.push_back("a Bitcoin node of this machine answers on " +
                                  std::string(bitcoin::network_name(search.found->network)) + " at " +
                                  node_text(*search.found));
    }
    for (const std::string& obstacle : search.obstacles) facts_.node_hints.push_back(obstacle);
    if (facts_.node_hints.empty()) facts_.node_hints.emplace_back("no Bitcoin node of this machine is in the usual places");
  }

  AnyLoaded* const loaded_;
  const config::Environment& environment_;
  const Duration deadline_;
  Facts facts_;
  Setup setup_;
  bool is_running_ = false;
  net::Shards shards_{1};
  std::unique_ptr<net::IrohCarrier> iroh_;
};

}  // namespace

net::IrohNodeConfig probing(net::IrohNodeConfig node) {
  node.listens = false;
  node.bind.clear();
  node.external_addrs.clear();
  node.accept = {};
  node.portmap = false;
  return node;
}

UpstreamStage stage_of(const Result<>& asked, const PeerReport& report, bool is_declarator) {
  if (report.reached == Duration::zero()) return UpstreamStage::kNotReached;
  if (report.setup == Duration::zero()) return UpstreamStage::kNotSetUp;
  if (is_declarator || report.user_accepted) return UpstreamStage::kAccepted;
  return !asked && asked.error().is(session::Errc::kRefused) ? UpstreamStage::kUserRefused : UpstreamStage::kNoChannel;
}

Facts gather(AnyLoaded* loaded, const config::Environment& environment, Duration deadline) {
  return Gathering(loaded, environment, deadline).run();
}

}  // namespace adit::cli::doctor
