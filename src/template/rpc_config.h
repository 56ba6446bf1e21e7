// How a Bitcoin node is reached by JSON-RPC.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <variant>

#include "base/time.h"
#include "bitcoin/address.h"

namespace adit::templates {

/// The file that Bitcoin Core writes at each start ("__cookie__:password"); read again for every call.
struct RpcCookie {
  std::filesystem::path file;
};
struct RpcPassword {
  std::string user;
  std::string password;
};

struct RpcConfig {
  std::string host = "127.0.0.1";
  std::uint16_t port = 8332;
  std::variant<RpcCookie, RpcPassword> auth;
  std::optional<bitcoin::Network> network;  ///< The node must be on this one; absent: on any.
  /// On a new tip a template without transactions is told first, made from the tip's header, and then the node's full one,
  /// which takes it longer. The node is asked for its height instead of by the long poll of getblocktemplate.
  bool empty_first = false;
  Duration refresh_every = std::chrono::seconds(30);  ///< A new template at least this often.
  /// How often the node is asked whether fees have risen by more than `fee_threshold_sat`, which is told at once.
  Duration fees_every = std::chrono::seconds(5);
  std::uint64_t fee_threshold_sat = 100;
  Duration look_every = std::chrono::seconds(10);  ///< Whether the node is behind its own headers, at most this often.
  /// A node that has had headers of two blocks more than blocks for so long gives no work: its templates are on an old tip. One
  /// header ahead is a block on its way.
  Duration behind_after = std::chrono::seconds(60);
  Duration poll_every = std::chrono::seconds(2);  ///< Instead, for a node whose templates carry no longpollid.
  /// Connecting, sending and the whole answer; not for the long poll, see RpcSource.
  Duration call_deadline = std::chrono::seconds(20);
  /// The same for submitblock: a node under load takes its time over a block, and each block is submitted beside the others.
  Duration submit_deadline = std::chrono::seconds(60);
  Duration retry_first = std::chrono::milliseconds(250);  ///< Backoff after a failure: first and largest wait.
  Duration retry_cap = std::chrono::seconds(10);
  /// How often the connection that is kept open for blocks is used, so that no end closes it for idleness (Bitcoin Core does
  /// after 30 s).
  Duration keep_warm_every = std::chrono::seconds(15);
};

/// How logs and messages name the node: "127.0.0.1:8332".
inline std::string node_name(const RpcConfig& config) {
  const bool v6 = config.host.find(':') != std::string::npos;
  return (v6 ? "[" + config.host + "]" : config.host) + ":" + std::to_string(config.port);
}

}  // namespace adit::templates
