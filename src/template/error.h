// Errors of template sources; each value says what its holder should do next.
#pragma once

#include <string_view>

namespace adit::templates {

enum class Errc {
  kUnreachable,      ///< Nobody listens there, or the connection broke: tried again with backoff.
  kTimedOut,         ///< The node did not answer within the call's deadline: tried again with backoff.
  kUnauthorized,     ///< Wrong user, password or cookie, or an address the node does not allow: fix the configuration.
  kNoCookie,         ///< There is no cookie file: start the node, or fix the path.
  kUnreadable,       ///< The cookie file is there and cannot be read: fix its rights.
  kWarmingUp,        ///< The node is starting: passes by itself.
  kInitialDownload,  ///< The node has not caught up with the chain: passes by itself.
  kNoPeers,          ///< The node has no peers: passes by itself, or fix its network.
  kWrongNetwork,     ///< The node is on another network than the configuration: fix one of them.
  kNonsense,         ///< The answer is not what a Bitcoin node says: is this address that of a node's RPC?
  kBusy,             ///< The node has too many calls under way: tried again with backoff.
  kInvalidBlock,     ///< submitblock alone: the node calls the block invalid, for good.
  kRefused,          ///< The node answered with another error; the message has its words.
  kConfiguration,    ///< The configuration cannot work; the message names the key.
  kUnknownTemplate,  ///< No template of that id was given out.
  kStaleTemplate,    ///< A template of that id was given out and is not kept any more.
};

constexpr std::string_view error_layer(Errc) { return "template"; }
constexpr bool error_is_usage(Errc code) { return code == Errc::kConfiguration; }
std::string_view error_name(Errc code);

}  // namespace adit::templates
