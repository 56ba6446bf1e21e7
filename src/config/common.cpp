#include "config/common.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/hex.h"
#include "noise/keys.h"

namespace adit::config {
namespace {

// Protocol extensions that are here: the negotiation itself, which needs no key, and worker identities.
constexpr std::uint16_t kNegotiation = 0x0001;
constexpr std::uint16_t kWorkerIdentities = 0x0002;

// As upstream::parse_host_port; port 0 is the system's choice, which only a listener can use.
Result<net::TcpConfig> parse_listen(std::string_view text) {
  if (!text.ends_with(":0")) return upstream::parse_host_port(text);
  auto parsed = upstream::parse_host_port(std::string(text.substr(0, text.size() - 1)) + "1");
  if (parsed) parsed->port = 0;
  return parsed;
}

// Every "ip:port" of the list `key`.
std::vector<std::string> read_socket_addresses(Table& table, std::string_view key) {
  std::vector<std::string> good;
  for (std::string& text : table.texts(key).value_or(std::vector<std::string>{})) {
    if (auto parsed = parse_listen(text); !parsed) {
      table.report(Severity::kError, key, "`" + std::string(key) + "`: " + parsed.error().message());
    } else {
      good.push_back(std::move(text));
    }
  }
  return good;
}

// "" if it is not set.
std::string variable(const char* name) {
  const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nothing in this program sets variables
  return value == nullptr ? "" : value;
}

bool is_http(std::string_view url) { return upstream::scheme_of(url) == "https" || upstream::scheme_of(url) == "http"; }

void read_relays(Table& table, net::IrohNodeConfig& node) {
  if (table.has_list("relay")) {
    node.relay_mode = net::IrohRelays::kList;
    for (Table& entry : table.tables("relay")) {
      net::IrohRelay relay;
      entry.require("url", "the relay's https:// URL");
      relay.url = entry.text("url").value_or("");
      if (!relay.url.empty() && !is_http(relay.url)) {
        entry.report(Severity::kError, "url", "`url` of a relay must begin with https:// (or http://)");
      }
      relay.quic_port = entry.integer<std::uint16_t>("quic_port", 1).value_or(0);
      relay.auth_token = entry.secret("auth_token").value_or("");
      node.relays.push_back(std::move(relay));
    }
    return;
  }
  const auto relay = table.text("relay");
  if (!relay || *relay == "none") return;
  if (*relay == "n0") {
    node.relay_mode = net::IrohRelays::kN0;
  } else if (is_http(*relay)) {
    node.relay_mode = net::IrohRelays::kList;
    // What iroh assumes of a relay of which only the URL is known; address discovery needs TLS.
    node.relays.push_back(
        {.url = *relay, .quic_port = static_cast<std::uint16_t>(upstream::scheme_of(*relay) == "https" ? 7842 : 0)});
  } else {
    table.report(
        Severity::kError, "relay",
        "`relay` must be \"none\", \"n0\", the https:// URL of a relay, or a list of {url, quic_port, auth_token}, not \"" +
            *relay + "\"");
  }
}

// Keys that other iroh programs have, and that would be wrong to ignore.
void refuse_foreign_keys(Table& table) {
  if (table.has("stun_servers")) {
    (void)table.texts("stun_servers");
    table.report(
        Severity::kError, "stun_servers",
        "`stun_servers` cannot be honoured: iroh 1.x speaks no STUN and learns its public address by QUIC address discovery on "
        "relays; set `quic_port` of a relay (relay = [{url = \"https://...\", quic_port = 7842}]), or `external_addrs`");
  }
}

std::optional<net::Peer> read_iroh_peer(Table& entry, std::optional<noise::PublicKey> authority) {
  net::IrohConfig iroh;
  if (!entry.require("endpoint_id", "the pool's iroh endpoint id, 64 hexadecimal digits")) return std::nullopt;
  const auto id = entry.text("endpoint_id");
  const auto relay = entry.text("relay");
  const auto addrs = read_socket_addresses(entry, "addrs");
  if (!id) return std::nullopt;
  // The URL's parser holds the rules; it is asked part by part so that a complaint finds its line.
  auto parsed = upstream::parse_url("stratum2+iroh://" + *id);
  if (!parsed) {
    entry.report(Severity::kError, "endpoint_id", "`endpoint_id`: " + parsed.error().message());
    return std::nullopt;
  }
  iroh = std::get<net::IrohConfig>(parsed->transport);
  if (relay && !is_http(*relay)) {
    entry.report(Severity::kError, "relay", "`relay` of an upstream must be the https:// URL of the pool's relay");
    return std::nullopt;
  }
  iroh.relay_url = relay;
  iroh.addrs = addrs;
  return net::Peer{.dialect = net::Dialect::kStratumV2, .transport = std::move(iroh), .authority = authority};
}

std::optional<net::Peer> read_peer(Table& entry) {
  constexpr std::string_view kParts[] = {"transport", "address", "port", "authority_pubkey", "endpoint_id", "relay", "addrs"};
  if (entry.has("url")) {
    const auto url = entry.text("url");
    for (const std::string_view part : kParts) {
      if (entry.has(part)) {
        entry.report(Severity::kError, part,
                     "`" + std::string(part) + "` beside `url`: the URL already says it; remove one of the two");
      }
    }
    // Declared, so that the sentence above is the only one about them.
    for (const std::string_view part : {"transport", "address", "authority_pubkey", "endpoint_id", "relay"})
      (void)entry.text(part);
    (void)entry.integer<std::uint16_t>("port");
    (void)entry.texts("addrs");
    if (!url) return std::nullopt;
    auto parsed = upstream::parse_url(*url);
    if (!parsed) {
      entry.report(Severity::kError, "url", "`url`: " + parsed.error().message());
      return std::nullopt;
    }
    if (parsed->dialect != net::Dialect::kStratumV2) {
      entry.report(Severity::kError, "url", "`url`: an upstream speaks Stratum V2: stratum2+tcp:// or stratum2+iroh://");
      return std::nullopt;
    }
    return *parsed;
  }

  const std::string transport = entry.text("transport").value_or("tcp");
  std::optional<noise::PublicKey> authority;
  bool good = true;
  if (const auto text = entry.text("authority_pubkey")) {
    if (auto parsed = noise::parse_public_key(*text)) {
      authority = *parsed;
    } else {
      entry.report(Severity::kError, "authority_pubkey", "`authority_pubkey`: " + parsed.error().message());
      good = false;
    }
  }
  if (transport == "iroh") {
    auto peer = read_iroh_peer(entry, authority);
    return good ? peer : std::nullopt;
  }
  if (transport != "tcp") {
    entry.report(Severity::kError, "transport", "`transport` must be \"tcp\" or \"iroh\", not \"" + transport + "\"");
    return std::nullopt;
  }
  good &= entry.require("address", "the pool's host name or IP address (or give a `url`)");
  good &= entry.require("port", "the pool's port");
  auto host = entry.text("address");
  const auto port = entry.integer<std::uint16_t>("port", 1);
  if (host && host->starts_with('[') && host->ends_with(']')) host = host->substr(1, host->size() - 2);
  if (!good || !host || !port) return std::nullopt;
  return net::Peer{.dialect = net::Dialect::kStratumV2, .transport = net::TcpConfig{*host, *port}, .authority = authority};
}

std::string extension_text(std::uint16_t extension) {
  std::array<std::uint8_t, 2> bytes{};
  store_be(bytes.data(), extension);
  return "0x" + to_hex(bytes);
}

bool is_loopback(const net::TransportConfig& transport) {
  const auto* const tcp = std::get_if<net::TcpConfig>(&transport);
  return tcp != nullptr && (tcp->host.starts_with("127.") || tcp->host == "::1" || tcp->host == "localhost");
}

// Things that work, and that the user should know.
void warn_about_authority(Table& entry, const net::Peer& peer) {
  const std::string_view key = entry.has("url") ? "url" : "authority_pubkey";
  if (is_loopback(peer.transport)) return;
  if (!peer.authority && std::holds_alternative<net::TcpConfig>(peer.transport)) {
    entry.report(Severity::kWarning, key,
                 "no authority key is given for this upstream: whoever answers there is believed to be the pool");
  } else if (has_example_authority(peer)) {
    entry.report(
        Severity::kWarning, key,
        "this upstream's authority is SRI's published example key, whose secret everybody has: anybody can pose as the "
        "pool, so nothing is mined under it but regtest");
  }
}

}  // namespace

IrohSettings read_iroh(Table& root, bool listens) {
  refuse_foreign_keys(root);
  IrohSettings settings;
  net::IrohNodeConfig& node = settings.node;
  node.listens = false;
  auto table = root.table("iroh");
  if (!table) return settings;
  refuse_foreign_keys(*table);
  settings.enabled = table->boolean("enabled").value_or(true);
  settings.secret_key_file = read_path(*table, "secret_key_file").value_or("");
  node.listens = table->boolean("listen").value_or(listens);
  read_relays(*table, node);
  node.bind = read_socket_addresses(*table, "bind_addresses");
  node.external_addrs = read_socket_addresses(*table, "external_addrs");
  node.portmap = table->boolean("port_mapping").value_or(false);
  node.mdns = table->boolean("mdns").value_or(false);
  node.dns_origins = table->texts("dns_origins").value_or(std::vector<std::string>());
  node.dns_server = table->text("dns_server").value_or("");
  if (const auto parsed = parse_listen(node.dns_server); !node.dns_server.empty() && !parsed) {
    table->report(Severity::kError, "dns_server", "`dns_server`: " + parsed.error().message());
  }
  node.pkarr_relays = table->texts("pkarr_relays").value_or(std::vector<std::string>());
  if (!std::ranges::all_of(node.pkarr_relays, is_http)) {
    table->report(Severity::kError, "pkarr_relays", "each of `pkarr_relays` must begin with https:// (or http://)");
  }
  node.log_filter = table->text("log_filter").value_or(node.log_filter);
  for (const std::string& text : table->texts("allowed_endpoint_ids").value_or(std::vector<std::string>())) {
    if (const auto parsed = upstream::parse_url("stratum2+iroh://" + text); !parsed) {
      table->report(Severity::kError, "allowed_endpoint_ids", "`allowed_endpoint_ids`: " + parsed.error().message());
    } else {
      node.accept.allowed.push_back(std::get<net::IrohConfig>(parsed->transport).endpoint_id);
    }
  }
  if (!node.listens && table->has_something("allowed_endpoint_ids")) {
    table->report(Severity::kError, "allowed_endpoint_ids",
                  "`allowed_endpoint_ids` says who may connect, and this endpoint only dials: leave it out");
  }
  node.relay_ca_file = read_path(*table, "relay_ca_file").value_or("");
  node.relay_only = table->boolean("relay_only").value_or(false);
  if (node.relay_only && node.relay_mode == net::IrohRelays::kNone) {
    table->report(Severity::kError, "relay_only",
                  "`relay_only` without a relay leaves no way to any peer: set `relay` or `relay_servers`");
  }
  if (node.relay_only && !node.bind.empty()) {
    table->report(Severity::kError, "relay_only", "`relay_only` binds no address: leave `bind_addresses` out");
  }
  return settings;
}

AdmissionSettings read_admission(Table& root, std::chrono::seconds handshake_deadline) {
  AdmissionSettings settings{.limits = {}, .handshake_deadline = handshake_deadline};
  auto table = root.table("admission");
  if (!table) return settings;
  auto& limits = settings.limits;
  const auto bound = [&table](std::string_view key, std::size_t& value) {
    value = table->integer<std::uint32_t>(key, 1, 10'000'000).value_or(value);
  };
  bound("max_connections", limits.max_connections);
  bound("max_unproven_per_source", limits.max_unproven_per_source);
  bound("max_handshakes", limits.max_handshakes);
  bound("max_handshakes_per_source", limits.max_handshakes_per_source);
  if (const auto rate = table->integer<std::uint32_t>("max_connects_per_source", 1, 10'000'000)) {
    limits.source_costs.amount = *rate;
  }
  if (const auto seconds = table->integer<std::uint32_t>("handshake_deadline_secs", 1, 600))
    settings.handshake_deadline = std::chrono::seconds(*seconds);
  return settings;
}

MonitoringSettings read_monitoring(Table& root) {
  MonitoringSettings settings;
  settings.address = read_listen_address(root, "monitoring_address");
  settings.refresh = std::chrono::seconds(root.integer<std::uint32_t>("monitoring_cache_refresh_secs", 1, 3600).value_or(15));
  for (std::string& name : root.texts("monitoring_hosts").value_or(std::vector<std::string>())) {
    std::ranges::transform(name, name.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    const bool plain = !name.empty() && std::ranges::all_of(name, [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
    });
    if (plain) {
      settings.hosts.push_back(std::move(name));
    } else {
      root.report(Severity::kError, "monitoring_hosts",
                  "`monitoring_hosts` lists names of this machine, without scheme and port, such as \"farm.example\", not \"" +
                      name + "\"");
    }
  }
  return settings;
}

net::HealthPolicy read_health(Table& root) {
  net::HealthPolicy policy;
  auto table = root.table("health");
  if (!table) return policy;
  // Less than five seconds would call a busy machine dead.
  if (const auto seconds = table->integer<std::uint32_t>("dead_after_secs", 5, 600))
    policy.dead_after = std::chrono::seconds(*seconds);
  if (const auto ms = table->integer<std::uint32_t>("slow_after_ms", 10, 60'000))
    policy.slow_after = std::chrono::milliseconds(*ms);
  if (const auto percent = table->integer<std::uint32_t>("lossy_percent", 1, 100)) policy.lossy = *percent / 100.0;
  return policy;
}

upstream::SelectionPolicy read_transport(Table& root) {
  upstream::SelectionPolicy policy;
  auto table = root.table("transport");
  if (!table) return policy;
  refuse_foreign_keys(*table);
  if (const auto prefer = table->text("prefer")) {
    if (*prefer == "iroh") {
      policy.prefer = upstream::Prefer::kIroh;
    } else if (*prefer == "tcp") {
      policy.prefer = upstream::Prefer::kTcp;
    } else {
      table->report(Severity::kError, "prefer",
                    "`prefer` must be \"iroh\" or \"tcp\", not \"" + *prefer +
                        "\"; without it the upstreams are tried in the order listed");
    }
  }
  if (const auto ms = table->integer<std::uint32_t>("race_after_ms", 10, 60'000))
    policy.race_after = std::chrono::milliseconds(*ms);
  return policy;
}

std::vector<UpstreamSettings> read_upstreams(Table& root) {
  std::vector<UpstreamSettings> upstreams;
  for (Table& entry : root.tables("upstreams")) {
    entry.require("user_identity", "the name under which the pool credits the work");
    auto identity = entry.text("user_identity");
    const bool goodbye = entry.boolean("goodbye").value_or(false);
    auto peer = read_peer(entry);
    if (peer) warn_about_authority(entry, *peer);
    if (peer && identity) upstreams.push_back({std::move(*peer), std::move(*identity), goodbye});
  }
  return upstreams;
}

std::vector<std::uint16_t> read_extensions(Table& root, std::string_view key, Severity if_missing) {
  std::vector<std::uint16_t> here;
  const auto extensions = root.integers<std::uint16_t>(key);
  if (!extensions) return here;
  for (const std::uint16_t extension : *extensions) {
    if (extension != kNegotiation && extension != kWorkerIdentities) {
      root.report(if_missing, key,
                  "`" + std::string(key) + "`: extension " + extension_text(extension) +
                      " is not here; those that are: 0x0001 (negotiation), 0x0002 (worker identities)");
    } else if (std::ranges::find(here, extension) == here.end()) {
      here.push_back(extension);
    }
  }
  return here;
}

bool has_example_authority(const net::Peer& peer) {
  return peer.authority && noise::to_text(*peer.authority) == kExampleAuthority;
}

std::optional<net::TcpConfig> read_listen_address(Table& table, std::string_view key) {
  const auto text = table.text(key);
  if (!text) return std::nullopt;
  auto parsed = parse_listen(*text);
  if (!parsed) {
    table.report(Severity::kError, key, "`" + std::string(key) + "`: " + parsed.error().message());
    return std::nullopt;
  }
  return *parsed;
}

std::vector<net::AddressRange> read_trusted_proxies(Table& root) {
  constexpr std::string_view kKey = "trusted_proxies";
  std::vector<net::AddressRange> ranges;
  for (const std::string& text : root.texts(kKey).value_or(std::vector<std::string>())) {
    const auto range = net::AddressRange::parse(text);
    if (!range) {
      root.report(Severity::kError, kKey, "`trusted_proxies`: " + range.error().message());
      continue;
    }
    if (range->is_everybody()) {
      root.report(Severity::kWarning, kKey,
                  "`trusted_proxies`: " + text + " lets everybody choose the address under which they are counted");
    }
    ranges.push_back(*range);
  }
  return ranges;
}

std::optional<std::string> read_path(Table& table, std::string_view key) {
  auto path = table.text(key);
  if (path && path->empty()) {
    table.report(Severity::kError, key, "`" + std::string(key) + "` is empty: name the path, or leave the key out");
    return std::nullopt;
  }
  if (!path || !path->starts_with("~/")) return path;
  const std::string home = home_folder();
  if (home.empty()) {
    table.report(Severity::kBlocker, key,
                 "`" + std::string(key) + "` begins with ~/, and HOME is not set: write the whole path");
  } else {
    path->replace(0, 1, home);
  }
  return path;
}

std::string home_folder() { return variable("HOME"); }

void report_not_yet(Table& table, std::span<const NotYet> keys) {
  for (const NotYet& entry : keys) {
    if (table.has_something(entry.key))
      table.report(Severity::kNotYet, entry.key, "`" + std::string(entry.key) + "`: " + std::string(entry.sentence));
  }
}

std::string read_data_dir(Table& root, std::string_view role) {
  if (auto given = read_path(root, "data_dir")) return std::move(*given);
  // A unit may have several, by colons.
  if (const std::string unit = variable("STATE_DIRECTORY"); !unit.empty()) return unit.substr(0, unit.find(':'));
  const std::string below = "/adit/" + std::string(role);
  if (const std::string state = variable("XDG_STATE_HOME"); !state.empty()) return state + below;
  if (const std::string home = home_folder(); !home.empty()) return home + "/.local/state" + below;
  root.report(Severity::kBlocker, "data_dir",
              "HOME is not set, so `data_dir` has no default: name a folder by its whole path, such as data_dir = "
              "\"/var/lib/adit\", or give the systemd unit StateDirectory=adit");
  return "";
}

}  // namespace adit::config
