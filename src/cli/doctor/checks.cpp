#include "cli/doctor/checks.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include "base/clock_agreement.h"
#include "log/format.h"

namespace adit::cli::doctor {
namespace {

using Outcomes = std::vector<Outcome>;
using std::to_string;

constexpr std::uint64_t kMegabyte = 1'000'000;
constexpr std::uint64_t kLeastFree = 100 * kMegabyte;
constexpr std::chrono::seconds kClockTolerance = ClockAgreement::kTolerance / 2;
constexpr Duration kSlowTemplate = std::chrono::seconds(2);
constexpr std::int64_t kLeastWeight = 2000;  // Bitcoin Core's own least for header and coinbase.
constexpr int kFewDays = 14;
constexpr std::uint64_t kFilesOfAMiner = 2;
constexpr std::uint64_t kFewFiles = 4096;
constexpr std::uint64_t kShortBacklog = 1024;
constexpr std::uint16_t kPrometheusPort = 9090;

Outcome ok(std::string message) { return {Status::kOk, std::move(message)}; }
Outcome warning(std::string message, std::string cure = "") { return {Status::kWarning, std::move(message), std::move(cure)}; }
Outcome failure(std::string message, std::string cure = "") { return {Status::kFailure, std::move(message), std::move(cure)}; }

/// `otherwise` if nothing was found.
Outcomes or_ok(Outcomes found, std::string otherwise) {
  if (found.empty()) found.push_back(ok(std::move(otherwise)));
  return found;
}

std::string ms(Duration duration) { return to_string(std::chrono::round<std::chrono::milliseconds>(duration).count()) + " ms"; }

std::string joined(const std::vector<std::string>& all) {
  std::string out;
  for (const std::string& one : all) out += (out.empty() ? "" : ", ") + one;
  return out;
}

/// 921334 as "921,334".
std::string grouped(std::uint64_t number) {
  std::string digits = to_string(number);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<std::size_t>(at), ",");
  return digits;
}

Outcomes check_clock(const Facts& facts) {
  const char* const kCure = "run `timedatectl set-ntp true` on the machine whose clock is wrong";
  Outcomes out;
  for (const auto& other : facts.clock.others) {
    if (std::chrono::abs(other.ahead) <= kClockTolerance) continue;
    const std::string by = to_string(std::chrono::abs(other.ahead).count()) + " s ";
    const std::string how = by + (other.ahead.count() > 0 ? "behind" : "ahead of") + " that of " + other.whose;
    if (facts.clock.synchronized) {
      out.push_back(failure("the clock of this machine is " + how +
                                ", and is set by NTP: the other one is wrong, or both will refuse certificates",
                            kCure));
    } else {
      out.push_back(
          failure("the clock of this machine is " + how + ", and nothing sets it: certificates will be refused", kCure));
    }
  }
  if (out.empty() && !facts.clock.synchronized)
    out.push_back(warning("nothing sets the clock of this machine: it will drift until certificates are refused",
                          "run `timedatectl set-ntp true`"));
  return or_ok(std::move(out), facts.clock.others.empty()
                                   ? "the clock is set by NTP"
                                   : "the clock agrees with " + to_string(facts.clock.others.size()) + " other(s)");
}

Outcomes check_config(const Facts& facts) {
  const ConfigFacts& config = facts.config;
  if (config.file.empty()) return {ok("no configuration was named (-c FILE): the machine alone is looked at")};
  Outcomes out;
  for (const auto& finding : config.findings) {
    const bool stops = finding.severity == config::Severity::kError || finding.severity == config::Severity::kBlocker;
    out.push_back({stops ? Status::kFailure : Status::kWarning, finding.text()});
  }
  const std::string what = config.file + (config.role.empty() ? "" : " is valid for `adit " + config.role + "`");
  out = or_ok(std::move(out), what);
  if (!config.variables.empty()) {
    out.push_back(ok(to_string(config.variables.size()) + (config.variables.size() == 1 ? " key comes" : " keys come") +
                     " from the environment: " + joined(config.variables)));
  }
  return out;
}

std::string octal(unsigned mode) {
  char text[8];
  (void)std::snprintf(text, sizeof text, "%04o", mode);
  return text;
}

Outcomes check_files(const Facts& facts) {
  Outcomes out;
  for (const SecretFile& file : facts.secrets) {
    if ((file.mode & 0077U) != 0)
      out.push_back(failure(file.path + " is readable by others (" + octal(file.mode) + ")", "chmod 600 " + file.path));
  }
  const FolderFacts& folder = facts.folder;
  if (!folder.problem.empty())
    out.push_back(failure("`data_dir`: " + folder.problem + ": found blocks could not be saved",
                          "give this user the folder, or name another by `data_dir`"));
  if (folder.bytes_free < kLeastFree)
    out.push_back(failure("`data_dir` is on a full disk (" + to_string(folder.bytes_free / kMegabyte) +
                              " MB left): found blocks could not be saved",
                          "free some space, or name a folder on another disk by `data_dir`"));
  if (!folder.kind.empty())
    out.push_back(warning("`data_dir` is on " + folder.kind + ": a found block that was saved there may be lost by a crash",
                          "name a folder on a local disk by `data_dir`"));
  if (folder.path.empty())
    return or_ok(std::move(out), facts.secrets.empty() ? "no file is needed" : "keys are their owner's alone");
  return or_ok(std::move(out), folder.is_there
                                   ? "keys are their owner's alone, and " + folder.path + " takes files"
                                   : "keys are their owner's alone; " + folder.path + " is made at the first start");
}

/// The nodes whose fault is one of these are failures of this check.
Outcomes faults_of(const Facts& facts, std::initializer_list<NodeFault> faults, const char* cure) {
  Outcomes out;
  for (const NodeFacts& node : facts.nodes) {
    if (std::ranges::find(faults, node.fault) != faults.end()) out.push_back(failure(node.message, cure));
  }
  return out;
}

/// Nothing is known of its state.
bool is_away(const NodeFacts& node) {
  return node.fault == NodeFault::kAway || node.fault == NodeFault::kAccess || node.fault == NodeFault::kOther ||
         node.fault == NodeFault::kNoWork;
}

bool all_away(const Facts& facts) { return std::ranges::all_of(facts.nodes, is_away); }

Outcomes check_node(const Facts& facts) {
  if (facts.nodes.empty()) {
    Outcomes out;
    for (const std::string& hint : facts.node_hints) out.push_back(ok(hint));
    return or_ok(std::move(out), "no node is configured");
  }
  std::vector<std::string> names;
  names.reserve(facts.nodes.size());
  for (const NodeFacts& node : facts.nodes) names.push_back(node.name);
  Outcomes out = faults_of(facts, {NodeFault::kNoWork}, "");
  for (Outcome& outcome : faults_of(facts, {NodeFault::kAway, NodeFault::kOther},
                                    "start bitcoind, with server=1 for JSON-RPC or -ipcbind=unix for IPC"))
    out.push_back(std::move(outcome));
  return or_ok(std::move(out), joined(names) + " answers");
}

Outcomes check_cookie(const Facts& facts) {
  return or_ok(faults_of(facts, {NodeFault::kAccess},
                         "for a cookie: start the node with rpccookieperms=group, and add this user to the node's group"),
               all_away(facts) ? "no node has asked who we are" : "the node lets this user in");
}

Outcomes check_node_state(const Facts& facts) {
  Outcomes out = faults_of(facts, {NodeFault::kState}, "");
  for (const NodeFacts& node : facts.nodes) {
    if (is_away(node)) continue;
    if (node.is_downloading) {
      const auto blocks = static_cast<std::uint64_t>(std::max<std::int64_t>(node.blocks.value_or(0), 0));
      const auto headers = static_cast<std::uint64_t>(std::max<std::int64_t>(node.headers.value_or(0), 1));
      out.push_back(failure(node.name + " is at block " + grouped(blocks) + " of " + grouped(headers) + " (" +
                                to_string(blocks * 100 / std::max<std::uint64_t>(headers, 1)) + " %): no work until then",
                            "wait until it has caught up"));
    }
    if (node.peers == 0 && !node.is_test_chain)
      out.push_back(failure(node.name + " has no peers: its templates are on an old tip", "see to its network"));
    if (!node.takes_transactions)
      out.push_back(warning(node.name + " takes blocks only (blocksonly=1): templates would be next to empty",
                            "start it without blocksonly"));
    if (node.is_pruned) out.push_back(ok(node.name + " is pruned, which is fine"));
  }
  return or_ok(std::move(out), all_away(facts) ? "no node has told its state" : "the node has caught up");
}

Outcomes check_network(const Facts& facts) {
  Outcomes out = faults_of(facts, {NodeFault::kNetwork}, "correct `network`, or name the node of that network");
  const PayoutFacts& payout = facts.payout;
  if (payout.is_example && payout.is_valuable)
    out.push_back(failure("`coinbase_reward_script` is the example's address: nobody owns it", "write an address of your own"));
  else if (payout.is_example)
    out.push_back(warning("`coinbase_reward_script` is the example's address: nobody owns it", "write an address of your own"));
  return or_ok(std::move(out),
               all_away(facts) ? "no node has told its network" : "node, configuration and payout are of one network");
}

Outcomes check_template(const Facts& facts) {
  Outcomes out;
  for (const NodeFacts& node : facts.nodes) {
    if (!node.template_after) continue;
    const std::string took = ms(*node.template_after);
    if (*node.template_after > kSlowTemplate) {
      out.push_back(warning("a template of " + node.name + " took " + took + " (Raspberry Pi?): tips will be late",
                            "set `empty_template_first = true`, or use a faster node"));
    }
    if (node.weight_left && *node.weight_left < kLeastWeight) {
      out.push_back(failure("templates of " + node.name + " leave " + to_string(*node.weight_left) +
                                " weight units for header and coinbase: blocks would be too large",
                            "start the node with blockreservedweight=8000"));
    }
    out.push_back(ok(node.name + " made a template for block " + grouped(node.template_height) + " in " + took +
                     "; its coinbase pays " + grouped(node.template_value_sat) + " sat" +
                     (facts.payout.script_hex.empty() ? "" : " to the script " + facts.payout.script_hex) +
                     (node.weight_left ? "; " + to_string(*node.weight_left) + " weight units are left for it" : "")));
  }
  return or_ok(std::move(out), "no template was asked for");
}

Outcomes check_ports(const Facts& facts) {
  Outcomes out;
  for (const PortFacts& port : facts.ports) {
    const auto has_it_too = [&port](const PortFacts& other) {
      return port.port != 0 && other.address == port.address && other.is_udp == port.is_udp;
    };
    if (const PortFacts& first = *std::ranges::find_if(facts.ports, has_it_too); port.port != 0 && &first != &port) {
      out.push_back(failure("`" + port.key + "`: " + port.address + " is the address of `" + first.key + "`, too",
                            "give each a port of its own"));
      continue;
    }
    if (port.holder && port.holder->pid == 0) {
      out.push_back(
          warning("`" + port.key + "`: " + port.address +
                      " is taken by a program that this user may not see: the adit that runs as a service, or another",
                  "run `sudo adit doctor`, which names it"));
    } else if (port.holder) {
      const auto& [pid, program] = *port.holder;
      const std::string taken =
          "`" + port.key + "`: " + port.address + " is taken by pid " + to_string(pid) + " (" + program + ")";
      if (program == "adit") {
        out.push_back(ok(taken + ", which is a running adit"));
      } else {
        out.push_back(failure(taken + (port.port == kPrometheusPort ? "; 9090 is Prometheus's own port" : ""),
                              "choose another port, or stop that program"));
      }
    } else if (!port.problem.empty()) {
      out.push_back(failure("`" + port.key + "`: " + port.problem));
    } else if (port.is_ours) {
      out.push_back(ok("`" + port.key + "`: this adit listens on " + port.address +
                       (port.port == 0 ? ", a port of the system's choice" : "")));
    }
    if (port.is_for_others && port.is_loopback)
      out.push_back(
          warning("`" + port.key + "`: " + port.address + " is reached from this machine alone: no miner elsewhere connects",
                  "listen on 0.0.0.0:" + to_string(port.port)));
  }
  return or_ok(std::move(out), facts.ports.empty() ? "no port is configured" : "every port is free");
}

Outcomes check_reach(const Facts& facts) {
  const ReachFacts& reach = facts.reach;
  Outcomes out;
  if (reach.is_container && !reach.has_external_addrs)
    out.push_back(warning("this is a container: the addresses shown are the container's, which nobody outside reaches",
                          reach.listens_over_iroh ? "set `external_addrs` in [iroh] to the host's address and published port"
                                                  : "give miners the host's address and the published port"));
  if (reach.hosts.empty()) {
    out.push_back(warning("this machine has no address but its own loopback", "connect it to a network"));
    return out;
  }
  out.push_back(ok("others reach this machine as " + joined(reach.hosts) +
                   (reach.local_name.empty() ? "" : " or " + reach.local_name + " (which many ASICs cannot look up)")));
  return out;
}

Outcomes check_nat(const Facts& facts) {
  const NatFacts& nat = facts.nat;
  if (!nat.is_used) return {ok("iroh is not used")};
  if (!nat.problem.empty()) return {failure(nat.problem)};
  const std::string ipv6 = nat.has_ipv6 ? "; IPv6 is there" : "; there is no IPv6";
  const std::string dials = nat.listens ? "" : "; this role only dials, and needs no port that others reach";
  if (!nat.has_relay && !nat.listens)
    return {
        ok("no relay is configured: this role only dials, and reaches peers that have a public address or are near" + ipv6)};
  if (nat.has_public_address)
    return {ok("this machine has a public address" +
               (nat.listens ? std::string(": peers reach it directly, if the firewall lets the UDP port in") : dials) + ipv6)};
  if (!nat.seen.empty())
    return {ok("relays see this machine at " + joined(nat.seen) + ", behind a NAT" + dials + ipv6 +
               (nat.asks_router ? "; the router is asked for a port" : ""))};
  if (!nat.has_relay)
    return {warning(
        "no relay is configured: nothing tells this endpoint its public address, and no peer behind a NAT is reached" + ipv6,
        "set `relay` in [iroh], unless both sides have public addresses")};
  return {
      warning("no relay has told this machine its public address: none has a `quic_port`, UDP is blocked, or the NAT is "
              "symmetric; direct with public peers only, else relayed" +
                  dials + ipv6,
              !nat.listens      ? "let UDP out at the firewall"
              : nat.asks_router ? "open a UDP port and name it by `external_addrs`"
                                : "set `port_mapping = true` in [iroh], or open a UDP port and name it by `external_addrs`")};
}

Outcomes check_relay(const Facts& facts) {
  Outcomes out;
  for (const RelayFacts& relay : facts.relays) {
    if (!relay.problem.empty()) {
      out.push_back(failure(relay.url + " does not answer: " + relay.problem, "is it running, and its URL right?"));
      continue;
    }
    std::string message = relay.url + (relay.answered          ? " answered in " + ms(*relay.answered)
                                       : relay.took_us == true ? " has a connection of this endpoint"
                                                               : "");
    if (relay.took_us == false) {
      out.push_back(failure(message + (relay.answered ? " and takes" : " takes") + " no connection of this endpoint",
                            relay.has_token ? "is its `auth_token` right?" : "does it ask for an `auth_token`?"));
      continue;
    }
    if (relay.certificate_days && *relay.certificate_days < kFewDays)
      out.push_back(
          warning("the certificate of " + relay.url + " is valid for " + to_string(*relay.certificate_days) + " more days",
                  "renew it"));
    const std::string udp = "UDP " + to_string(relay.udp_port);
    if (relay.udp == UdpAnswer::kClosed || relay.udp == UdpAnswer::kSilent) {
      message += "; " + udp;
      message += relay.udp == UdpAnswer::kClosed ? " is closed there" : " does not answer";
      out.push_back(warning(message + ": hardly any pair goes direct",
                            "open it in the relay's firewall, and start the relay with --quic"));
      continue;
    }
    if (relay.udp == UdpAnswer::kAnswered) message += ", and so does its " + udp;
    out.push_back(
        ok(message +
           (relay.certificate_days ? "; its certificate is valid for " + to_string(*relay.certificate_days) + " days" : "")));
  }
  return or_ok(std::move(out), facts.nat.has_relay ? "the public relays of iroh's makers are used" : "no relay is configured");
}

Outcomes check_upstreams(const Facts& facts) {
  Outcomes out;
  const auto works = [&facts](const UpstreamFacts& upstream) {
    return std::ranges::all_of(facts.upstreams, [&upstream](const UpstreamFacts& other) {
      return other.entry != upstream.entry || other.stage == UpstreamStage::kAccepted;
    });
  };
  const bool can_mine = std::ranges::any_of(facts.upstreams, works);
  for (const UpstreamFacts& upstream : facts.upstreams) {
    const auto complain = [&](std::string message, std::string cure) {
      // One entry that works, a pool with its declarator, is enough to mine.
      out.push_back({can_mine ? Status::kWarning : Status::kFailure, std::move(message), std::move(cure)});
    };
    if (upstream.relay_unused)
      out.push_back(warning("the URL " + upstream.url + " names a relay, and [iroh] has none: it is not found through it",
                            "set `relay` in [iroh]"));
    switch (upstream.stage) {
      case UpstreamStage::kNotReached:
        complain(upstream.url + " is not reached: " + upstream.message,
                 "is it running, and is the URL the one that it prints?");
        break;
      case UpstreamStage::kNotSetUp:
        complain(upstream.url + " refused the session: " + upstream.message, "");
        break;
      case UpstreamStage::kNoChannel:
        complain(upstream.url + " set up the session and opened no channel: " + upstream.message, "");
        break;
      case UpstreamStage::kUserRefused:
        complain(upstream.url + " does not take the user \"" + upstream.user + "\": " + upstream.message,
                 "correct `user_identity`");
        break;
      case UpstreamStage::kAccepted:
        out.push_back(ok(upstream.url + " is reached by " + upstream.path +
                         (upstream.round_trip ? " in " + ms(*upstream.round_trip) : "") +
                         (upstream.is_proved ? ", proved its authority" : ", proved no authority") +
                         (upstream.is_declarator  ? " and takes declarations"
                          : upstream.user.empty() ? ""
                                                  : " and takes \"" + upstream.user + "\"")));
        break;
    }
  }
  return or_ok(std::move(out), "no upstream is configured");
}

Outcomes check_limits(const Facts& facts) {
  const LimitFacts& limits = facts.limits;
  Outcomes out;
  if (limits.files < kFewFiles)
    out.push_back(warning(
        grouped(limits.files) + " files may be open: enough for about " + grouped(limits.files / kFilesOfAMiner) + " miners",
        "LimitNOFILE=262144 in the unit, or `ulimit -n`"));
  if (limits.backlog && *limits.backlog < kShortBacklog)
    out.push_back(
        warning("net.core.somaxconn is " + to_string(*limits.backlog) + ": miners that reconnect all at once are turned away",
                "sysctl net.core.somaxconn=4096"));
  if (limits.tracked_connections && *limits.tracked_connections < limits.files / kFilesOfAMiner &&
      *limits.tracked_connections < 65'536)
    out.push_back(
        warning("the firewall tracks " + grouped(*limits.tracked_connections) + " connections, and drops those of more miners",
                "sysctl net.netfilter.nf_conntrack_max=262144"));
  if (limits.locked_bytes == 0)
    out.push_back(
        warning("no memory may be locked (ulimit -l 0): keys can be written to swap", "LimitMEMLOCK=64K in the unit"));
  return or_ok(std::move(out),
               (limits.files == ~0ULL ? std::string("any number of") : grouped(limits.files)) + " files may be open");
}

Outcomes check_build(const Facts& facts) {
  const BuildFacts& build = facts.build;
  Outcomes out;
  if (build.needs_iroh && !build.has_iroh)
    out.push_back(failure("this build has no iroh, and the configuration uses it", "use another build"));
  if (build.needs_ipc && !build.has_ipc)
    out.push_back(failure("this build has no IPC, and the configuration names a node by it", "use another build"));
  if (!build.running_version.empty() && build.running_version != build.version)
    out.push_back(
        warning("this is adit " + build.version + ", and the adit that runs is " + build.running_version, "restart it"));
  if (build.is_replaced)
    out.push_back(warning("the program's file was replaced or removed after this adit had started from it",
                          "restart it, so that the new one runs"));
  if (!build.key_holder.empty())
    out.push_back(failure("another process runs with the key " + build.key_holder + ": each takes the other's connections away",
                          "stop one, or give each a key of its own"));
  const std::string parts =
      std::string(build.has_iroh ? " with iroh" : " without iroh") + (build.has_ipc ? " and IPC" : " and without IPC");
  return or_ok(std::move(out), "adit " + build.version + ", built" + parts +
                                   (build.running_version.empty() ? "" : "; the adit that runs is the same"));
}

}  // namespace

const std::array<Check, 15> kChecks = {{{"clock", check_clock},
                                        {"configuration", check_config, false},
                                        {"files", check_files},
                                        {"node", check_node},
                                        {"node access", check_cookie, false},
                                        {"node state", check_node_state},
                                        {"network", check_network},
                                        {"template", check_template, false},
                                        {"ports", check_ports},
                                        {"addresses", check_reach},
                                        {"NAT", check_nat},
                                        {"relay", check_relay},
                                        {"upstreams", check_upstreams},
                                        {"limits", check_limits},
                                        {"version", check_build}}};

std::string_view to_string(Status status) {
  switch (status) {
    case Status::kOk:
      return "ok";
    case Status::kWarning:
      return "warning";
    case Status::kFailure:
      break;
  }
  return "failure";
}

Status Report::Entry::status() const {
  Status worst = Status::kOk;
  for (const Outcome& outcome : outcomes) worst = std::max(worst, outcome.status);
  return worst;
}

Status Report::status() const {
  Status worst = Status::kOk;
  for (const Entry& entry : entries) worst = std::max(worst, entry.status());
  return worst;
}

namespace {

template <class Wanted>
Report examine(const Facts& facts, Wanted wanted) {
  Report report;
  for (std::size_t i = 0; i < kChecks.size(); ++i) {
    const Check& check = kChecks[i];
    if (wanted(check)) report.entries.push_back({i + 1, check.name, check.look(facts)});
  }
  return report;
}

}  // namespace

Report examine(const Facts& facts) {
  return examine(facts, [](const Check&) { return true; });
}

Report examine_role(const Facts& facts) {
  return examine(facts, [](const Check& check) { return check.by_role; });
}

std::string to_text(const Report& report) {
  std::string out;
  for (const Report::Entry& entry : report.entries) {
    for (const Outcome& outcome : entry.outcomes) {
      std::string status(to_string(outcome.status));
      status.resize(8, ' ');
      std::string name = to_string(entry.number) + " " + std::string(entry.name);
      name.resize(17, ' ');
      out += status + name + outcome.message + "\n";
      if (!outcome.cure.empty()) out += std::string(25, ' ') + "-> " + outcome.cure + "\n";
    }
  }
  return out;
}

boost::json::object to_json(const Report& report) {
  namespace json = boost::json;
  const auto text = [](const std::string& bytes) { return json::value(log::utf8(bytes)); };
  json::array checks;
  for (const Report::Entry& entry : report.entries) {
    json::array findings;
    for (const Outcome& outcome : entry.outcomes) {
      findings.push_back(json::object{{"status", to_string(outcome.status)},
                                      {"message", text(outcome.message)},
                                      {"cure", outcome.cure.empty() ? json::value(nullptr) : text(outcome.cure)}});
    }
    checks.push_back(json::object{{"number", entry.number},
                                  {"name", entry.name},
                                  {"status", to_string(entry.status())},
                                  {"findings", std::move(findings)}});
  }
  return {{"status", to_string(report.status())}, {"checks", std::move(checks)}};
}

}  // namespace adit::cli::doctor
