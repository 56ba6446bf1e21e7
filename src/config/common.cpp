#include "config/common.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <initializer_list>

#include <boost/asio/ip/address.hpp>

#include "base/hex.h"
#include "base/text.h"
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

/// `authority_pubkey`, which may be absent: then the inner one is. Absent itself: it is wrong, and reported.
std::optional<std::optional<noise::PublicKey>> read_authority_of(Table& entry) {
  const auto text = entry.text("authority_pubkey");
  if (!text) return std::optional<noise::PublicKey>();
  auto parsed = noise::parse_public_key(*text);
  if (parsed) return std::optional(*parsed);
  entry.report(Severity::kError, "authority_pubkey", "`authority_pubkey`: " + parsed.error().message());
  return std::nullopt;
}

/// The URL of `key`, in place of which `parts` may stand. `who` is reached by it.
std::optional<net::Peer> read_url(Table& entry, const std::string& key, const std::string& who,
                                  std::initializer_list<std::string_view> parts) {
  for (const std::string_view part : parts) {
    if (entry.has(part)) {
      entry.report(Severity::kError, part,
                   "`" + std::string(part) + "` beside `" + key + "`: the URL already says it; remove one of the two");
    }
  }
  const auto url = entry.text(key);
  if (!url) return std::nullopt;
  auto parsed = upstream::parse_url(*url);
  if (!parsed) {
    entry.report(Severity::kError, key, "`" + key + "`: " + parsed.error().message());
    return std::nullopt;
  }
  if (parsed->dialect != net::Dialect::kStratumV2) {
    entry.report(Severity::kError, key, "`" + key + "`: " + who + " speaks Stratum V2: stratum2+tcp:// or stratum2+iroh://");
    return std::nullopt;
  }
  return *parsed;
}

/// `PREFIXaddress` and `PREFIXport`. `who` is reached there.
std::optional<net::Peer> read_tcp_peer(Table& entry, const std::string& prefix, const std::string& who,
                                       const std::optional<noise::PublicKey>& authority) {
  const std::string address_key = prefix + "address";
  const std::string port_key = prefix + "port";
  bool good = entry.require(address_key, who + "'s host name or IP address (or give a `" + prefix + "url`)");
  good &= entry.require(port_key, who + "'s port");
  auto host = entry.text(address_key);
  const auto port = entry.integer<std::uint16_t>(port_key, 1);
  if (host && host->starts_with('[') && host->ends_with(']')) host = host->substr(1, host->size() - 2);
  if (!good || !host || !port) return std::nullopt;
  return net::Peer{.dialect = net::Dialect::kStratumV2, .transport = net::TcpConfig{*host, *port}, .authority = authority};
}

/// Of an entry that names one peer.
std::optional<net::Peer> read_peer(Table& entry) {
  if (entry.has("url")) {
    auto peer = read_url(entry, "url", "an upstream",
                         {"transport", "address", "port", "authority_pubkey", "endpoint_id", "relay", "addrs"});
    // Declared, so that what was reported of them is the only thing.
    for (const std::string_view part : {"transport", "address", "authority_pubkey", "endpoint_id", "relay"})
      (void)entry.text(part);
    (void)entry.integer<std::uint16_t>("port");
    (void)entry.texts("addrs");
    return peer;
  }
  const std::string transport = entry.text("transport").value_or("tcp");
  const auto authority = read_authority_of(entry);
  std::optional<net::Peer> peer;
  if (transport == "iroh") {
    peer = read_iroh_peer(entry, authority.value_or(std::nullopt));
  } else if (transport == "tcp") {
    peer = read_tcp_peer(entry, "", "the pool", authority.value_or(std::nullopt));
  } else {
    entry.report(Severity::kError, "transport", "`transport` must be \"tcp\" or \"iroh\", not \"" + transport + "\"");
  }
  return authority ? peer : std::nullopt;
}

/// Of an entry that names several, which have one authority: those keys that begin with `prefix`.
std::optional<net::Peer> read_peer(Table& entry, const std::string& prefix, const std::string& who,
                                   const std::optional<noise::PublicKey>& authority) {
  const std::string url_key = prefix + "url";
  if (!entry.has(url_key)) return read_tcp_peer(entry, prefix, who, authority);
  const std::string address_key = prefix + "address";
  const std::string port_key = prefix + "port";
  auto peer = read_url(entry, url_key, who, {address_key, port_key});
  // Declared, as above.
  (void)entry.text(address_key);
  (void)entry.integer<std::uint16_t>(port_key);
  if (peer && !peer->authority) peer->authority = authority;
  return peer;
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

/// Whom a peer has to prove to be.
struct Proved {
  std::string_view name;
  std::string_view under_example_key;  ///< What follows from SRI's example key; may be empty.
};
constexpr Proved kPool{"the pool", ", so nothing is mined under it but regtest"};
constexpr Proved kDeclarator{"the pool's job declarator", ""};

/// Warns of what works and the operator should know. `url_key`: where the peer's URL stands, if it has one.
void warn_about_authority(Table& entry, const net::Peer& peer, std::string_view url_key, const Proved& proved) {
  if (is_loopback(peer.transport)) return;
  // A URL without a key takes the entry's.
  const bool of_url = entry.has(url_key) && entry.text("authority_pubkey") != kExampleAuthority;
  const std::string_view key = of_url ? url_key : "authority_pubkey";
  const std::string name(proved.name);
  if (!peer.authority && std::holds_alternative<net::TcpConfig>(peer.transport)) {
    entry.report(Severity::kWarning, key,
                 "no authority key is given for " + name + ": any server that answers there is believed to be it");
  } else if (has_example_authority(peer)) {
    entry.report(Severity::kWarning, key,
                 "the authority key of " + name +
                     " is SRI's published example, whose secret everybody has: anybody can pose as " + name +
                     std::string(proved.under_example_key));
  }
}

/// Endpoint ids as URLs carry them.
std::vector<std::string> read_endpoint_ids(Table& table, std::string_view key, bool listens) {
  std::vector<std::string> ids;
  for (const std::string& text : table.texts(key).value_or(std::vector<std::string>())) {
    if (const auto parsed = upstream::parse_url("stratum2+iroh://" + text); !parsed) {
      table.report(Severity::kError, key, "`" + std::string(key) + "`: " + parsed.error().message());
    } else {
      ids.push_back(std::get<net::IrohConfig>(parsed->transport).endpoint_id);
    }
  }
  if (!listens && table.has_something(key)) {
    table.report(Severity::kError, key,
                 "`" + std::string(key) + "` says who may connect, and this endpoint only dials: leave it out");
  }
  return ids;
}

/// Where others than this machine and its networks reach the monitor, there is a token, whether one is configured or not.
void choose_token(Table& root, const std::string& data_dir, MonitoringSettings& settings) {
  if (!settings.address || !settings.token_file.empty() || root.has("monitoring_token_file")) return;
  boost::system::error_code error;
  const auto ip = boost::asio::ip::make_address(settings.address->host, error);
  // What is no address stops the start with a sentence of its own.
  if (error || net::is_local(ip)) return;
  const std::string opens = "`" + std::string(kMonitoringKey) + "` " + settings.address->host +
                            " is neither loopback nor an address of a private network, so clients must give a token";
  if (data_dir.empty()) {
    root.report(Severity::kBlocker, kMonitoringKey,
                opens +
                    ", and there is no folder to keep one in: name a file by `monitoring_token_file`, which "
                    "`adit keys token --out FILE` makes");
    return;
  }
  settings.token_file = data_dir + "/monitoring.token";
  settings.makes_token = true;
  root.report(Severity::kWarning, kMonitoringKey,
              opens + ": the one in " + settings.token_file +
                  ", which the first start makes; `monitoring_token_file` names another file");
}

std::optional<MonitoringSettings::Alerts> read_alerts(Table& root) {
  auto table = root.table("alerts");
  if (!table) return std::nullopt;
  MonitoringSettings::Alerts alerts;
  if (!root.has(kMonitoringKey)) {
    root.report(Severity::kError, "alerts", "[alerts] needs `" + std::string(kMonitoringKey) + "`: the monitor is what looks");
  }
  alerts.webhook.url = table->secret("webhook").value_or("");
  alerts.webhook_file = read_path(*table, "webhook_file").value_or("");
  if (table->has("webhook") == table->has("webhook_file")) {
    table->report(Severity::kError, "webhook",
                  "[alerts] needs either `webhook`, the URL that alerts are posted to, or `webhook_file`, a file of mode 0600 "
                  "that holds it");
  } else if (table->has("webhook") && !is_http(alerts.webhook.url)) {
    table->report(Severity::kError, "webhook", "`webhook` must begin with https:// (or http://)");
  }
  using monitor::WebhookShape;
  const std::string format = table->text("format").value_or("json");
  const auto shape = format == "json"       ? std::optional(WebhookShape::kJson)
                     : format == "ntfy"     ? std::optional(WebhookShape::kNtfy)
                     : format == "discord"  ? std::optional(WebhookShape::kDiscord)
                     : format == "telegram" ? std::optional(WebhookShape::kTelegram)
                                            : std::nullopt;
  if (!shape) {
    table->report(Severity::kError, "format",
                  "`format` must be json, ntfy, discord or telegram, not " + in_quotes(format, '"'));
  }
  alerts.webhook.shape = shape.value_or(WebhookShape::kJson);
  alerts.webhook.chat_id = table->text("chat_id").value_or("");
  if ((alerts.webhook.shape == WebhookShape::kTelegram) != table->has("chat_id")) {
    table->report(Severity::kError, "chat_id", "`chat_id` and `format = \"telegram\"` go together");
  }
  monitor::AlertRules& rules = alerts.rules;
  const auto minutes = [&](std::string_view key, Duration& value) {
    if (const auto given = table->integer<std::uint32_t>(key, 1, 1440)) value = std::chrono::minutes(*given);
  };
  minutes("patience_minutes", rules.patience);
  minutes("no_shares_minutes", rules.no_shares);
  minutes("miner_gone_minutes", rules.miner_gone);
  if (const auto percent = table->integer<unsigned>("rejects_percent", 1, 99)) rules.rejects_percent = *percent;
  if (const auto seconds = table->integer<std::uint32_t>("clock_secs", 5, 7200)) rules.clock_seconds = *seconds;
  if (const auto mib = table->integer<std::uint32_t>("disk_free_mib", 1)) rules.least_disk_bytes = std::uint64_t{*mib} << 20;
  if (const auto percent = table->integer<unsigned>("descriptors_percent", 1, 99)) rules.most_descriptors_percent = *percent;
  for (const std::string& name : table->texts("mute").value_or(std::vector<std::string>())) {
    const auto kind = std::ranges::find(monitor::kAllAlerts, name, [](auto one) { return monitor::to_string(one); });
    if (kind != monitor::kAllAlerts.end()) {
      rules.muted.insert(*kind);
    } else {
      std::string all;
      for (const auto one : monitor::kAllAlerts) all += (all.empty() ? "" : ", ") + std::string(monitor::to_string(one));
      table->report(Severity::kError, "mute",
                    "`mute` lists kinds of alerts (" + all + "), of which " + in_quotes(name, '"') + " is none");
    }
  }
  return alerts;
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
  node.accept.allowed = read_endpoint_ids(*table, "allowed_endpoint_ids", node.listens);
  node.accept.reserved = read_endpoint_ids(*table, "reserved_endpoint_ids", node.listens);
  if (!node.accept.allowed.empty() && !node.accept.reserved.empty()) {
    table->report(
        Severity::kError, "reserved_endpoint_ids",
        "`reserved_endpoint_ids` keeps places among strangers, and `allowed_endpoint_ids` lets none in: list the ids there "
        "and leave this out");
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

std::vector<std::string> IrohSettings::udp_addresses() const {
  if (!node.bind.empty() || !node.listens || node.relay_only || default_port == 0) return node.bind;
  const std::string port = std::to_string(default_port);
  return {"0.0.0.0:" + port, "[::]:" + port};
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

MonitoringSettings read_monitoring(Table& root, const std::string& data_dir) {
  MonitoringSettings settings;
  settings.address = read_listen_address(root, kMonitoringKey);
  settings.refresh = std::chrono::seconds(root.integer<std::uint32_t>("monitoring_cache_refresh_secs", 1, 3600).value_or(15));
  for (const std::string& given : root.texts("monitoring_hosts").value_or(std::vector<std::string>())) {
    std::string name = lower_case(given);
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
  settings.token_file = read_path(root, "monitoring_token_file").value_or("");
  choose_token(root, data_dir, settings);
  settings.alerts = read_alerts(root);
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
    if (peer) warn_about_authority(entry, *peer, "url", kPool);
    if (peer && identity) upstreams.push_back({std::move(*peer), std::move(*identity), goodbye});
  }
  return upstreams;
}

std::vector<DeclaringUpstream> read_declaring_upstreams(Table& root) {
  std::vector<DeclaringUpstream> upstreams;
  for (Table& entry : root.tables("upstreams")) {
    entry.require("user_identity", "the name under which the pool credits the work");
    const auto identity = entry.text("user_identity");
    const bool goodbye = entry.boolean("goodbye").value_or(false);
    const auto authority = read_authority_of(entry);
    if (!authority) continue;
    const auto pool = read_peer(entry, "pool_", "the pool", *authority);
    const auto declarator = read_peer(entry, "jds_", "the pool's job declarator", *authority);
    if (pool) warn_about_authority(entry, *pool, "pool_url", kPool);
    if (declarator) warn_about_authority(entry, *declarator, "jds_url", kDeclarator);
    if (identity && identity->size() > 255) {
      entry.report(Severity::kError, "user_identity", "`user_identity` is longer than 255 bytes");
      continue;
    }
    if (pool && declarator && identity) upstreams.push_back({*pool, *declarator, *identity, goodbye});
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
      root.report(Severity::kWarning, kMonitoringKey,
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

std::string default_data_dir(std::string_view role) {
  // A unit may have several, by colons.
  if (const std::string unit = variable("STATE_DIRECTORY"); !unit.empty()) return unit.substr(0, unit.find(':'));
  const std::string below = "/adit/" + std::string(role);
  if (const std::string state = variable("XDG_STATE_HOME"); !state.empty()) return state + below;
  if (const std::string home = home_folder(); !home.empty()) return home + "/.local/state" + below;
  return "";
}

std::string find_data_dir(Table& root, std::string_view role) {
  auto given = read_path(root, "data_dir");
  return given ? std::move(*given) : default_data_dir(role);
}

std::string read_data_dir(Table& root, std::string_view role) {
  std::string folder = find_data_dir(root, role);
  if (!folder.empty()) return folder;
  root.report(Severity::kBlocker, "data_dir",
              "HOME is not set, so `data_dir` has no default: name a folder by its whole path, such as data_dir = "
              "\"/var/lib/adit\", or give the systemd unit StateDirectory=adit");
  return "";
}

}  // namespace adit::config
