// The parts of a configuration that several roles share: addresses, upstreams, the [iroh] table.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/document.h"
#include "monitor/alert_rules.h"
#include "net/address_range.h"
#include "net/admission.h"
#include "net/health.h"
#include "net/iroh/node_config.h"
#include "net/transport_config.h"
#include "upstream/selection.h"
#include "upstream/url.h"

namespace adit::config {

/// The table [iroh]. A file without it has `enabled` false, and an endpoint that only dials.
struct IrohSettings {
  bool enabled = false;
  std::string secret_key_file;  ///< Empty: the role's default.
  net::IrohNodeConfig node;     ///< As configured; without the key, which is loaded when the role starts.
  /// The UDP port of an endpoint that listens and whose addresses are not configured; 0: the system's choice.
  std::uint16_t default_port = 0;

  /// The "ip:port" that it binds: those configured; else the wildcards of both families with `default_port`, as far as they are
  /// free when it starts. Empty: the system's choice, or none.
  [[nodiscard]] std::vector<std::string> udp_addresses() const;
};

/// The UDP port of a role that listens over iroh alone.
inline constexpr std::uint16_t kDefaultUdpPort = 4433;

/// Reads [iroh] of `root`. `listens`: what `listen` is when the table does not say.
IrohSettings read_iroh(Table& root, bool listens);

/// The table [admission]: who is let in, whatever carries it.
struct AdmissionSettings {
  net::AdmissionLimits limits;
  std::chrono::seconds handshake_deadline{0};  ///< For all that comes before a connection is of use.
};

/// Reads [admission] of `root`. `handshake_deadline`: what it is when the table does not say.
AdmissionSettings read_admission(Table& root, std::chrono::seconds handshake_deadline);

/// What a role's monitor is told. SRI's keys, `monitoring_hosts` and `monitoring_token_file`.
struct MonitoringSettings {
  std::optional<net::TcpConfig> address;  ///< Where it listens; absent: there is none. Port 0: the system's choice.
  std::chrono::seconds refresh{15};       ///< Between two snapshots of the role.
  std::vector<std::string> hosts;         ///< Names, in lower case, by which browsers ask for it: monitor::Server::Options.
  std::string token_file;                 ///< Holds the token that its clients give; empty: it answers everybody.
  /// [alerts]; absent: nobody is told.
  struct Alerts {
    monitor::AlertRules rules{};
    monitor::WebhookConfig webhook{};
    std::string webhook_file;  ///< Holds the URL, a secret; empty: it stands in `webhook`.
  };
  std::optional<Alerts> alerts{};
  bool makes_token = false;  ///< `token_file` is the role's own, which is made at the first start.
};

/// The key that names the monitor's address.
inline constexpr std::string_view kMonitoringKey = "monitoring_address";

/// Reads monitoring_address, monitoring_cache_refresh_secs, monitoring_hosts, monitoring_token_file and [alerts] of `root`.
/// Where the address is not net::is_local and no token file is named, the token is that of `data_dir`; if that is empty, a
/// blocker is reported.
MonitoringSettings read_monitoring(Table& root, const std::string& data_dir);

/// Reads [health]: when a connection is called degraded or dead. Whole seconds of dead_after.
net::HealthPolicy read_health(Table& root);

/// One entry of [[upstreams]].
struct UpstreamSettings {
  net::Peer peer;
  std::string user_identity;
  bool goodbye = false;  ///< Ask it for extension 0x4AD1 over TCP too; over iroh that is always done.
};

/// Reads [transport]: `prefer` ("iroh" or "tcp": upstreams over that carrier come first; else the order listed holds) and
/// `race_after_ms` (when the next one is tried beside one that has not answered).
upstream::SelectionPolicy read_transport(Table& root);

/// Reads [[upstreams]]: SRI's {address, port, authority_pubkey, user_identity}; or `url` in place of the first three; or
/// `transport = "iroh"` with endpoint_id, relay, addrs, authority_pubkey. Entries that are wrong are reported and left out.
std::vector<UpstreamSettings> read_upstreams(Table& root);

/// One entry of a job declarator client's [[upstreams]]: a pool, and the declarator that works for it.
struct DeclaringUpstream {
  net::Peer pool;
  net::Peer declarator;
  std::string user_identity;
  bool goodbye = false;  ///< As UpstreamSettings.
};

/// Reads [[upstreams]] of a job declarator client: SRI's {authority_pubkey, pool_address, pool_port, jds_address, jds_port,
/// user_identity}; or `pool_url` and `jds_url` in place of an address and a port each. Entries that are wrong are reported and
/// left out.
std::vector<DeclaringUpstream> read_declaring_upstreams(Table& root);

/// "host:port" of `key`, where port 0 is the system's choice; reported if it is none.
std::optional<net::TcpConfig> read_listen_address(Table& table, std::string_view key);

/// The key `trusted_proxies`: from where a TCP listener takes the PROXY protocol, and nothing else. What is wrong is reported
/// and left out.
std::vector<net::AddressRange> read_trusted_proxies(Table& root);

/// A file or folder name, reported if it is empty; "~/" at its start is the home folder, which is reported if there is none.
std::optional<std::string> read_path(Table& table, std::string_view key);

/// $HOME; empty: it is not set, as in a systemd unit of the system's.
std::string home_folder();

/// Where the state of a role is kept that is told no folder: $STATE_DIRECTORY, which systemd sets (StateDirectory=); else
/// $XDG_STATE_HOME/adit/ROLE; else ~/.local/state/adit/ROLE. Empty: there is none of these.
std::string default_data_dir(std::string_view role);

/// The key `data_dir`; else as default_data_dir().
std::string find_data_dir(Table& root, std::string_view role);

/// The same for a role that needs one: without any of these a blocker is reported, and it is empty.
std::string read_data_dir(Table& root, std::string_view role);

/// The protocol extensions that the list `key` names, each once, without those that are not here, each of which is reported as
/// `if_missing`.
std::vector<std::uint16_t> read_extensions(Table& root, std::string_view key, Severity if_missing);

/// SRI's published example keys: everybody has the secret one.
inline constexpr std::string_view kExampleAuthority = "9auqWEzQDVyd2oe1JVGFLMLHZtCo2FFqZwtKA5gd9xbuEu7PH72";

/// Whether the peer is to prove itself by that key, which anybody can: to be believed on regtest only.
bool has_example_authority(const net::Peer& peer);

/// A key that is read and has no effect yet, and the sentence that says so.
struct NotYet {
  std::string_view key;
  std::string_view sentence;
};

/// Reports those of `keys` that `table` has, with a list that is not empty or any other value but `false`.
void report_not_yet(Table& table, std::span<const NotYet> keys);

}  // namespace adit::config
