// How a Stratum V2 template provider is reached.
#pragma once

#include <string>
#include <variant>

#include "base/time.h"
#include "net/carrier.h"
#include "net/health.h"
#include "net/shards.h"
#include "net/transport_config.h"
#include "template/sv2_client.h"
#include "upstream/selection.h"

namespace adit::templates {

struct Sv2Config {
  net::Peer provider;
  net::Shard* shard = nullptr;       ///< The session lives there. It is started, and outlives whatever uses this.
  net::IrohCarrier* iroh = nullptr;  ///< For a provider over iroh; outlives whatever uses this.
  /// Each template's transactions are asked for behind it, so that a found block is whole at once. False: they are asked for
  /// when a block is found, which saves up to 4 MB for each template and leaves a block to the provider alone if that is lost
  /// in the same moment.
  bool fetch_transactions = true;
  net::HealthPolicy health{};
  upstream::SelectionPolicy selection{.longest_retry = std::chrono::seconds(5)};  ///< Trying costs next to nothing.
  Sv2ClientPolicy client{};
  /// Where solutions are kept until their effect was seen, so that they outlive this process; empty: nowhere.
  std::string solution_folder;
  bool restores_solutions = true;  ///< Those of an earlier run are sent again. One link of a folder and provider does that.
  Duration effect_deadline = std::chrono::seconds(60);  ///< From a solution to the tip that it should become.
};

/// How logs and messages name the provider: "10.0.0.2:8442", "iroh:" and its endpoint id.
inline std::string node_name(const Sv2Config& config) {
  if (const auto* iroh = std::get_if<net::IrohConfig>(&config.provider.transport)) return "iroh:" + iroh->endpoint_id;
  const auto& tcp = std::get<net::TcpConfig>(config.provider.transport);
  const bool v6 = tcp.host.find(':') != std::string::npos;
  return (v6 ? "[" + tcp.host + "]" : tcp.host) + ":" + std::to_string(tcp.port);
}

}  // namespace adit::templates
