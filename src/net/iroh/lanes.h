// Lanes on iroh (docs/lanes.md §1 and §2): how sessions begin on a connection, at the dialler and at the listener.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/result.h"
#include "base/time.h"
#include "net/iroh/event_loop.h"
#include "net/iroh/shared_connection.h"
#include "net/link.h"
#include "session/lane_preface.h"

namespace adit::net {

/// Streams that a listener lets a dialler have open at a time, and what each may have on its way. QUIC's windows of the
/// connection are shared by all streams and know no priority: they must hold what every stream may fill.
inline constexpr std::uint32_t kLaneStreams = 2 * session::LaneSessions::kMaxSessions;
inline constexpr std::uint32_t kStreamWindow = 128 * 1024;
inline constexpr std::uint32_t kReceiveWindow = kLaneStreams * kStreamWindow;
inline constexpr std::uint32_t kSendWindow = 2 * kReceiveWindow;

/// Sessions that a dialler begins on one connection before it makes another: far from the listener's bound, since it may hear
/// late that one has ended.
inline constexpr std::size_t kDialledSessions = session::LaneSessions::kMaxSessions / 2;

/// Opens both lanes of a new session and writes their prefaces. Errors: as adit_stream_open; kTimedOut.
asio::awaitable<Result<Link>> open_session(std::shared_ptr<SharedConnection> connection, wire::Protocol protocol,
                                           Instant until);

/// What a listener does with a connection that speaks lanes, as long as it lives: `on_session` is called for each session that
/// is complete. Whoever breaks the rules of §2 ends the connection (3 or 4); a stream without its preface, or a session without
/// its other lane, is reset (3), and `on_churn` is called: false ends the connection (4), as its peer only costs. A connection
/// without a session for `deadline` is closed (1).
asio::awaitable<void> accept_sessions(std::shared_ptr<SharedConnection> connection, Duration deadline,
                                      std::function<void(Link)> on_session, std::function<bool()> on_churn);

/// The lanes connections that one shard has dialled, by whom they lead to. Lives on that shard.
class DialPool {
 public:
  /// A dial that everybody who wants the same waits for.
  struct Attempt {
    Attempt(asio::io_context& context, wire::Protocol dialled_for)
        : done(context, asio::steady_timer::time_point::max()), protocol(dialled_for) {}
    asio::steady_timer done;  ///< Cancelled when finished.
    wire::Protocol protocol;  ///< Whose single stream was offered beside lanes.
    bool finished = false;
    std::optional<Error> failure;
    std::shared_ptr<SharedConnection> lanes;  ///< What was dialled speaks lanes.
    BridgeHandle single;                      ///< It does not: of whoever takes it first.
  };

  /// A connection on which a session can begin; null: none.
  std::shared_ptr<SharedConnection> find(const std::string& key);
  /// The attempt under way; null: none.
  [[nodiscard]] std::shared_ptr<Attempt> attempt(const std::string& key) const;
  void begin(const std::string& key, std::shared_ptr<Attempt> attempt) { attempts_[key] = std::move(attempt); }
  /// Wakes who waits.
  void finish(const std::string& key, const std::shared_ptr<Attempt>& attempt);

 private:
  std::map<std::string, std::shared_ptr<Attempt>> attempts_;
  std::map<std::string, std::shared_ptr<SharedConnection>> connections_;
};

}  // namespace adit::net
