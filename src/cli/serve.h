// What the commands that run a role share: this process's limits, its iroh node, its addresses, the wait for a signal.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json/object.hpp>

#include "base/result.h"
#include "base/time.h"
#include "config/common.h"
#include "log/log.h"
#include "monitor/server.h"
#include "net/carrier.h"
#include "net/shards.h"
#include "noise/keys.h"

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11's
class App;
}

namespace adit::cli {

struct Global;

/// Lifts the limit on open files as far as this user may, and makes writing to a closed pipe an error instead of a signal.
/// Before threads start, with SIGINT, SIGTERM and SIGHUP blocked for the threads to come: wait_for_signal takes them.
void prepare_process();

/// How a role with a configuration begins: prepare_process, the log (in the file that the option names, else the
/// configuration), and what may_start() let pass. Error: start_log's.
Result<> begin_role(const Global& global, const std::string& log_option, const std::string& log_configured,
                    const std::vector<config::Finding>& findings);

/// Makes the folder of a role's state where it is missing. Error: ledger's kJournal.
Result<> make_data_dir(const std::string& path);

/// The version of this program.
std::string_view program_version();

/// How many shards `configured` means (0: one for each CPU).
unsigned shard_count(unsigned configured);

/// How an endpoint that only dials finds its peer.
struct IrohDialling {
  std::string relay;  ///< "n0" for the public relays and lookup, or a URL; empty: the peer's, if its URL names one.
  bool mdns = false;  ///< Look for it on the local network.
  std::vector<std::string> pkarr_relays;
  std::vector<std::string> dns_origins;
};

/// Options of a subcommand for these; `dialling` outlives the application.
void add_iroh_options(CLI::App& command, IrohDialling& dialling);

/// An endpoint that only dials `peer`: a new key each time, and of relays none but the one that is asked for. Errors:
/// those of config::start_iroh.
Result<std::unique_ptr<net::IrohCarrier>> dialling_iroh(net::Shards& shards, const net::IrohConfig& peer,
                                                        const IrohDialling& dialling);

/// The relay to put into our URL: waits up to 5 s until the endpoint is connected to one, if it is to have one. If none
/// answers: the configured one where there is exactly one, else empty.
std::string home_relay(const net::IrohCarrier& iroh, const net::IrohNodeConfig& node);

/// The IP addresses under which others reach a listener on `host`: itself, unless it is 0.0.0.0 or ::, then those of this
/// machine (loopback's only if there are no others).
std::vector<std::string> reachable_hosts(const std::string& host);

/// The webhook of [alerts], its URL read from its file if it stands in one. Errors: those of config::read_secret_file and
/// monitor::Server::check.
Result<monitor::WebhookConfig> webhook_of(const config::MonitoringSettings::Alerts& alerts);

/// The role's monitor, if it is to have one. `name`: "pool". Its history is kept in `data_dir`, unless that is empty. `role`
/// outlives it. `checks`: monitor::Server::Options::checks. Errors: those of config::take_token, webhook_of and
/// monitor::Server::start.
Result<std::unique_ptr<monitor::Server>> start_monitor(
    const config::MonitoringSettings& settings, std::string_view name, monitor::Role& role, const std::string& data_dir,
    std::function<boost::json::object(const monitor::Snapshot&)> checks = {});

/// `text` as a QR code of half blocks, in UTF-8; empty if it is too long for one.
std::string qr_code(const std::string& text);

/// Prints `text` as a QR code of half blocks, if standard output is a terminal that is wide enough.
void print_qr(const std::string& text);

/// Calls `each` every `period` on this thread until SIGINT or SIGTERM comes, `limit` has passed, or `each` says false: there is
/// nothing left to wait for. A second signal ends the process at once. SIGHUP opens the log's file anew; where there is none it
/// ends the wait like the others, unless the process was started with it ignored (nohup).
void wait_for_signal(Duration period, const std::function<bool()>& each, Duration limit = Duration::max());

/// How a role serves: wait_for_signal with `each` called each second. The service manager (cli/service_manager.h) is sent that
/// the role is ready, then regularly that it is alive while this thread and all shards answer, at last that it stops. `shards`:
/// nullptr for a role without them.
void wait_serving(net::Shards* shards, const std::function<bool()>& each);

/// wait_serving, and `tell` is called once a minute at level info, and each second in between where debug is logged.
void wait_and_tell(net::Shards& shards, const std::function<bool()>& each, const std::function<void(log::Level)>& tell);

}  // namespace adit::cli
