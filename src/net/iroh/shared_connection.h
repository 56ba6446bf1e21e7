// One iroh connection under several streams.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include <boost/asio/steady_timer.hpp>

#include "base/time.h"
#include "net/error.h"
#include "net/iroh/event_loop.h"
#include "net/metadata.h"

namespace adit::net {

/// The connections of a node that are to be told when it goes. Any thread.
class OpenConnections {
 public:
  void add(adit_handle handle);
  void remove(adit_handle handle);
  /// Closes each with kShutdown.
  void close_all();

 private:
  std::mutex mutex_;
  std::set<adit_handle> handles_;
};

/// Owned by what uses it: its streams, the listener's loop, the dialler's pool. To be used on the thread of the loop's shard.
class SharedConnection final : public std::enable_shared_from_this<SharedConnection>, private EventLoop::Waiter {
 public:
  /// `handle` is DONE and on `loop`. `open`: where it is counted as long as it lives; null: nowhere.
  SharedConnection(std::shared_ptr<EventLoop> loop, BridgeHandle handle, std::shared_ptr<OpenConnections> open);
  ~SharedConnection();  ///< As close(kShutdown).
  SharedConnection(const SharedConnection&) = delete;
  SharedConnection& operator=(const SharedConnection&) = delete;

  [[nodiscard]] adit_handle handle() const { return handle_.get(); }
  [[nodiscard]] const std::shared_ptr<EventLoop>& loop() const { return loop_; }
  [[nodiscard]] const std::string& alpn() const { return alpn_; }
  /// The bridge closes it.
  void give_up();

  /// Who is at its other end, and how its data goes, as last published; nothing once it was given up.
  void describe(ConnectionMetadata& metadata) const;
  /// What it counts, all sessions together.
  [[nodiscard]] std::optional<CarrierFigures> figures() const;

  /// Ends it and every session on it; the peer sees both.
  void close(CloseCode code, std::string_view reason);
  /// What its sessions then end by; nullopt: not closed here.
  [[nodiscard]] const std::optional<Error>& closed_here() const { return closed_here_; }

  /// A session as long as somebody holds it; `on_end` is called when nobody does any more.
  std::shared_ptr<void> begin_session(std::function<void()> on_end);
  [[nodiscard]] std::size_t sessions() const { return sessions_; }
  /// The number of the dialler's next session.
  std::uint64_t next_number() { return ++last_number_; }

  /// To be closed with kShutdown once it has had no session for `duration`, beginning now.
  void linger(Duration duration);

  /// It has not ended, as far as is known, and nothing speaks against a further session on it.
  [[nodiscard]] bool usable() const;
  /// A session on it did not end orderly: what begins anew should not depend on it.
  void doubt() { doubtful_ = true; }

 private:
  /// The way that the data goes.
  struct Way {
    Path path = Path::kUnknown;
    std::string remote;
  };
  static Way way_of(const adit_path& path);

  void on_event(std::uint32_t ready, std::int32_t result) override;
  /// Counts and tells the moves that the bridge has counted since.
  void notice_moves();
  void wait_for_session();

  std::shared_ptr<EventLoop> loop_;
  BridgeHandle handle_;
  std::shared_ptr<OpenConnections> open_;
  std::string alpn_;
  Way way_;  ///< After the last change.
  std::uint64_t path_changes_ = 0;
  PathHistory path_history_;
  std::size_t sessions_ = 0;
  std::uint64_t last_number_ = 0;
  bool doubtful_ = false;
  std::optional<Error> closed_here_;
  Duration linger_ = Duration::max();  ///< max(): as long as somebody owns it.
  asio::steady_timer idle_;
};

}  // namespace adit::net
