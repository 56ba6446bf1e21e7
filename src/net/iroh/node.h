// The process's iroh endpoint: who we are, where we listen, whom we dial.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "adit_bridge.h"
#include "base/result.h"
#include "base/time.h"
#include "net/carrier.h"
#include "net/iroh/accept.h"
#include "net/iroh/event_loop.h"
#include "net/iroh/iroh_log.h"
#include "net/iroh/lanes.h"
#include "net/iroh/node_config.h"
#include "net/iroh/runtime.h"
#include "net/shards.h"

namespace adit::net {

/// One iroh endpoint (IrohCarrier), serving all roles and shards of the process.
///
/// Destroy it before `shards`, and dial no more; it then waits, at most 3 s, until peers know. Streams still open end with
/// kClosed.
class IrohNodeManager final : public IrohCarrier {
 public:
  /// Binds. Blocks until bound, so not from a shard's thread; `shards` may be started before or after.
  /// Errors: kConfiguration (names what), kAddressInUse, kTimedOut, kOverloaded, kInternal.
  static Result<std::unique_ptr<IrohNodeManager>> start(Shards& shards, IrohNodeConfig config);
  ~IrohNodeManager() override;
  IrohNodeManager(const IrohNodeManager&) = delete;
  IrohNodeManager& operator=(const IrohNodeManager&) = delete;

  /// Besides those of IrohCarrier: kHandshake (another endpoint answers there), kConfiguration (no such id, our own, a bad
  /// address).
  asio::awaitable<Result<Link>> dial(Shard& shard, IrohConfig to, wire::Protocol protocol, Duration deadline) override;
  /// Not from within on_link: neither is stop_listening. Errors: kConfiguration.
  Result<void> listen(std::vector<std::string> alpns, Admission admission, OnLink on_link) override;
  void stop_listening() override;

  [[nodiscard]] Counts counts() const override;
  [[nodiscard]] std::string endpoint_id() const override;
  [[nodiscard]] std::vector<std::string> local_addresses() const override;
  [[nodiscard]] std::string home_relay() const override;

 private:
  class Listening;

  IrohNodeManager(Shards& shards, BridgeRuntime runtime, IrohNodeConfig config);
  Result<void> start_loops();
  Result<BridgeHandle> bind(const std::vector<std::string>& addresses);
  Result<void> begin_listening();
  void close();
  [[nodiscard]] std::size_t direct_connections() const;
  void watch(const std::stop_token& stop);
  void rebuild();
  [[nodiscard]] adit_handle endpoint() const;
  asio::awaitable<Result<std::shared_ptr<DialPool::Attempt>>> connect(Shard& shard, const IrohConfig& to,
                                                                      wire::Protocol protocol, std::string key,
                                                                      Duration deadline);

  Shards& shards_;
  BridgeRuntime runtime_;
  IrohNodeConfig config_;
  std::unique_ptr<IrohLog> log_;
  BridgeHandle control_;      ///< A loop that only one thread waits on: start's, then the watchdog's, then the destructor's.
  mutable std::mutex mutex_;  ///< Guards what the watchdog replaces: the next two, and the wish to listen.
  BridgeHandle endpoint_;
  std::shared_ptr<Listening> listening_;
  AcceptPolicy::Counts decided_before_;            ///< By the listeners before this one.
  std::vector<std::shared_ptr<EventLoop>> loops_;  ///< One per shard, by index.
  std::vector<std::string> alpns_;                 ///< Empty: nobody listens.
  std::optional<Admission> admission_;             ///< Where there are alpns_, as the next.
  OnLink on_link_;
  std::vector<std::shared_ptr<DialPool>> pools_;  ///< One per shard, by index; each of its shard alone.
  std::shared_ptr<OpenConnections> open_ = std::make_shared<OpenConnections>();  ///< Those with lanes.
  std::atomic<std::uint64_t> rebuilds_{0};
  std::condition_variable_any waking_;
  std::jthread watchdog_;  ///< Where there are relays.
};

}  // namespace adit::net
