// From [iroh] to a running endpoint.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "base/result.h"
#include "base/time.h"
#include "config/common.h"
#include "config/keys.h"
#include "net/carrier.h"
#include "net/shards.h"

namespace adit::config {

/// Binds the process's iroh endpoint, which keeps the key's lock. `dead_after`: a peer's host silent for so long is gone
/// (net/health.h). `accept_deadline`: for a handshake over iroh, and again for what follows it. The endpoint must be destroyed
/// before `shards` are stopped. Errors: kUnsupported in a build without iroh; those of IrohNodeManager::start.
Result<std::unique_ptr<net::IrohCarrier>> start_iroh(net::Shards& shards, net::IrohNodeConfig node, NodeKey key,
                                                     Duration dead_after = std::chrono::seconds(10),
                                                     Duration accept_deadline = std::chrono::seconds(10));

/// As above with the key that `key` loads, where [iroh] is wanted; null where it is not. Errors: those of `key` too.
Result<std::unique_ptr<net::IrohCarrier>> start_iroh(net::Shards& shards, const IrohSettings& settings,
                                                     const std::function<Result<NodeKey>()>& key, Duration dead_after,
                                                     Duration accept_deadline = std::chrono::seconds(10));

}  // namespace adit::config
