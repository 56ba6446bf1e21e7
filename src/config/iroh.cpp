#include "config/iroh.h"

#include <utility>

#include "log/log.h"
#include "net/error.h"
#include "net/udp.h"

#ifdef ADIT_HAS_IROH
#include "net/iroh/node.h"
#endif

namespace adit::config {
namespace {

/// Those of the settings' addresses that can be bound; none if one of IPv4 is not, so that the system chooses.
std::vector<std::string> free_addresses(const IrohSettings& settings) {
  std::vector<std::string> free;
  for (std::string& address : settings.udp_addresses()) {
    const auto bound = net::bind_udp(address);
    if (bound) {
      free.push_back(std::move(address));
    } else if (!address.starts_with('[')) {  // A machine may have no IPv6.
      log::warn(
          "iroh.port_taken",
          {{"address", address},
           {"message", bound.error().message() +
                           ": another port is used this time, so the URL changes; choose one by `bind_addresses` in [iroh]"}});
      return {};
    }
  }
  return free;
}

}  // namespace

Result<std::unique_ptr<net::IrohCarrier>> start_iroh([[maybe_unused]] net::Shards& shards,
                                                     [[maybe_unused]] net::IrohNodeConfig node, [[maybe_unused]] NodeKey key,
                                                     [[maybe_unused]] Duration dead_after,
                                                     [[maybe_unused]] Duration accept_deadline) {
#ifdef ADIT_HAS_IROH
  node.secret_key = std::make_shared<const noise::Secret>(std::move(key.secret));
  node.key_lock = std::make_shared<const FileLock>(std::move(key.lock));
  node.accept_deadline = accept_deadline;
  node.set_dead_after(dead_after);
  ADIT_TRY(std::unique_ptr<net::IrohNodeManager> manager, net::IrohNodeManager::start(shards, std::move(node)));
  return std::unique_ptr<net::IrohCarrier>(std::move(manager));
#else
  return fail(
      net::Errc::kUnsupported,
      "this build of adit has no iroh (ADIT_IROH=OFF): remove [iroh] and the upstreams over iroh, or use another build");
#endif
}

Result<std::unique_ptr<net::IrohCarrier>> start_iroh(net::Shards& shards, const IrohSettings& settings,
                                                     const std::function<Result<NodeKey>()>& key, Duration dead_after,
                                                     Duration accept_deadline) {
  if (!settings.enabled) return nullptr;
  ADIT_TRY(NodeKey loaded, key());
  net::IrohNodeConfig node = settings.node;
  if (node.bind.empty()) node.bind = free_addresses(settings);
  return start_iroh(shards, std::move(node), std::move(loaded), dead_after, accept_deadline);
}

}  // namespace adit::config
