// How a Bitcoin node is reached by IPC.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/time.h"
#include "bitcoin/address.h"

namespace adit::templates {

struct IpcConfig {
  std::string socket_path;                  ///< The node's node.sock.
  std::optional<bitcoin::Network> network;  ///< The node must be on this one; absent: on any.
  /// On one tip a new template is worth telling once its fees are higher by this much.
  std::uint64_t fee_threshold_sat = 100;
  /// Templates that only bring fees come no closer than this to each other. New tips are told at once, always.
  Duration min_interval = std::chrono::seconds(5);

  /// On a new tip a template without transactions is told first, and then the full one, which a node with a full mempool takes
  /// longer for.
  bool empty_first = false;

  Duration wait_slice = std::chrono::seconds(10);        ///< How long the node waits at most before it answers.
  Duration wait_grace = std::chrono::seconds(20);        ///< How much later than that its answer may come.
  Duration connect_deadline = std::chrono::seconds(10);  ///< Connecting, and the first calls.
  Duration call_deadline = std::chrono::seconds(20);     ///< Every other call,
  Duration submit_deadline = std::chrono::seconds(60);   ///< but those that bring blocks.
  Duration loading_after = std::chrono::seconds(2);      ///< A node that takes longer to begin is told to be loading its chain.
  Duration behind_after = std::chrono::seconds(3);       ///< One that takes longer for its first template, to be catching up.
  Duration look_again_every = std::chrono::seconds(2);   ///< At a node in its initial block download.
  Duration pause = std::chrono::seconds(1);              ///< Before a node that answers without news at once is asked again.
  Duration retry_first =
      std::chrono::milliseconds(100);  ///< Backoff after a failure: first and largest wait. Trying costs next to nothing.
  Duration retry_cap = std::chrono::seconds(2);
  Duration retry_misconfigured =
      std::chrono::seconds(10);  ///< The wait instead, after a failure that only an operator can mend.
};

/// How logs and messages name the node.
inline const std::string& node_name(const IpcConfig& config) { return config.socket_path; }

}  // namespace adit::templates
