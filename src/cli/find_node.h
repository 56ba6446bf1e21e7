// A Bitcoin node of this machine, found where such nodes usually are.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bitcoin/address.h"

namespace adit::cli {

/// How a node that runs can be asked: by IPC if `socket` is not empty, else by JSON-RPC.
struct FoundNode {
  bitcoin::Network network;
  std::string socket;          ///< Its node.sock.
  std::string cookie_file;     ///< Its .cookie, which this user may read.
  std::uint16_t rpc_port = 0;  ///< On 127.0.0.1.
};

struct NodeSearch {
  std::optional<FoundNode> found;
  std::vector<std::string> obstacles;  ///< What was there and could not be used, each with the cure, as sentences.
};

/// The folders in which Bitcoin Core has its data on most machines: below the home folder, and those of packages.
std::vector<std::string> usual_node_folders();

/// The first node that answers, by the order of `networks`, then of `folders`. Of one node IPC is preferred. `rpc_port`: 0: the
/// network's own.
NodeSearch find_node(std::span<const bitcoin::Network> networks, std::span<const std::string> folders, std::uint16_t rpc_port);

}  // namespace adit::cli
