// What can be found out about a Stratum V2 peer by a session with it.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "net/carrier.h"
#include "net/health.h"
#include "net/metadata.h"
#include "net/shards.h"
#include "net/transport_config.h"
#include "template/source.h"
#include "wire/common_messages.h"

namespace adit::cli {

struct PeerQuestions {
  wire::Protocol protocol = wire::Protocol::kMining;
  std::uint32_t flags = 0;                         ///< SetupConnection.flags of the client in whose place is asked.
  unsigned count = 4;                              ///< Round trips to measure.
  Duration deadline = std::chrono::seconds(10);    ///< For each step.
  bool transactions = false;                       ///< Of a template, of a template provider.
  std::optional<std::string> user = std::nullopt;  ///< Open a channel under this identity, and close it.
};

/// What was found out, as far as it got.
struct PeerReport {
  net::ConnectionMetadata metadata;
  Duration reached{};  ///< Zero: it was not reached.
  Duration setup{};    ///< Zero: the session was not set up.
  bool extension = false;
  std::vector<Duration> round_trips;
  std::optional<std::chrono::milliseconds> clock;  ///< By which the peer's is ahead of ours.
  std::optional<net::Health> health;
  templates::TemplatePtr work;  ///< Of a template provider.
  Duration work_after{};        ///< From the constraints to the template.
  std::optional<Result<templates::TemplateSource::Transactions>> transactions;
  Duration transactions_after{};
  bool user_accepted = false;
};

/// Asks `peer` on a shard of `shards`, which are started, and waits. `iroh`: for a peer over iroh. The channel is asked for
/// before extension 0x4AD1, so that a peer which dislikes unknown extensions shows what a miner would see. Errors: those of
/// net::dial, of the session and of the channel (session::Errc::kRefused once the session is set up: the user was refused);
/// net::Errc::kTimedOut.
Result<> ping_peer(net::Shards& shards, const net::Peer& peer, net::IrohCarrier* iroh, const PeerQuestions& questions,
                   PeerReport& report);

}  // namespace adit::cli
