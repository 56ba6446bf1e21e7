// The miner's way to its pools over Stratum V2: which one is used, how it is left, what it did.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "net/adit_extension.h"
#include "net/dial.h"
#include "net/metadata.h"
#include "net/reconnect.h"
#include "net/selection.h"
#include "net/shards.h"
#include "net/upstreams.h"
#include "roles/miner/session.h"

namespace adit::miner {

/// What an uplink tells the miner. Calls come from inside the uplink's functions; none may destroy it.
class UplinkHandler : public SessionHandler {
 public:
  /// That one is used from now on; its work comes by on_work.
  virtual void on_connected(const net::Upstream& peer, const net::ConnectionMetadata& metadata) = 0;
  /// An attempt failed, or (`used`) the one in use is lost: no work until the next on_connected. The next try is on its way.
  virtual void on_disconnected(const Error& why, bool used) = 0;
  /// Nothing is left that may be dialled before somebody changes the configuration. The last call.
  virtual void on_unusable(const Error& why) = 0;
};

/// Lives on one shard; everything is called on its thread. What it spawns there holds it.
class Uplink final : public std::enable_shared_from_this<Uplink>, private net::UpstreamsHandler {
 public:
  struct Options {
    std::vector<net::Upstream> pools;  ///< Over Stratum V2, in order of preference, at least one.
    std::vector<bool> regtest_only;    ///< By pool: SessionOptions::regtest_only.
    net::SelectionPolicy selection;
    net::DialOptions dial;
    SessionOptions session;  ///< Its endpoint and regtest_only are the pool's.
    bool goodbye = false;    ///< Ask for extension 0x4AD1 over TCP too; over iroh it is always asked for.
    Duration setup_deadline = std::chrono::seconds(10);
    Duration work_deadline = std::chrono::seconds(30);   ///< From the connection's use to the first work.
    Duration leave_deadline = std::chrono::seconds(10);  ///< For the last answers of one that another has replaced.
  };

  /// `handler` outlives it and what it runs.
  Uplink(net::Shard& shard, Options options, UplinkHandler& handler);
  ~Uplink() override;

  /// After the first shared_ptr to it exists.
  void start();
  /// A thread found something for the work that came last.
  void submit(const Solution& solution);
  /// Ends in that manner, dials nothing more. The shard's tasks end when all is over.
  void stop(net::ShutdownBehavior behavior);

 private:
  struct Link;
  using LinkPtr = std::shared_ptr<Link>;

  void write_setup(std::size_t candidate, const net::Upstream& peer, wire::FrameBuffer& out) override;
  void use(net::ReadyUpstream ready) override;
  void attempt_failed(std::size_t candidate, const net::Upstream& peer, const Error& error) override;
  void hopeless() override;

  [[nodiscard]] SessionOptions session_options(std::size_t candidate, const net::Upstream& peer) const;
  static net::asio::awaitable<void> run(std::shared_ptr<Uplink> self, LinkPtr link);
  Result<void> handle(Link& link, std::span<const wire::FrameView> frames);
  void send(Link& link);
  void leave(LinkPtr link, std::string_view reason, net::ShutdownBehavior behavior);
  void ended(Link& link, const Error& reason);
  void move(Link& link);

  net::Shard& shard_;
  const Options options_;
  UplinkHandler& handler_;
  std::unique_ptr<net::Upstreams> upstreams_;
  LinkPtr link_;              ///< The one in use.
  std::vector<bool> silent_;  ///< By pool: it gave no answer to RequestExtensions, so it is not asked again.
  net::ReconnectBudget reconnects_;
  std::optional<Error> last_unusable_;
  bool stopping_ = false;
};

}  // namespace adit::miner
