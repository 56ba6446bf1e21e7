// The connections of a role on one shard whose peers speak lines (SV1): admission, bounded queues, slow peers, last messages.
// What is said is the role's engines' (session::LineSession).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include <boost/asio/awaitable.hpp>

#include "base/time.h"
#include "log/limited.h"
#include "net/admission.h"
#include "net/backlog.h"
#include "net/byte_stream.h"
#include "net/service.h"
#include "session/line_session.h"

namespace adit::net {

/// What a role is to its host. Calls come from inside the host's functions.
class LineHostRole {
 public:
  virtual ~LineHostRole() = default;
  /// A peer has connected: makes its engine, which lives until leave(). `source`: who it is counted to (Admission).
  virtual session::LineSession& join(std::uint64_t connection, const std::string& peer, const std::string& source,
                                     const Now& now) = 0;
  /// The connection is gone: its engine may be destroyed.
  virtual void leave(std::uint64_t connection, const std::string& reason, const Now& now) = 0;
  /// Bytes of `connection` were handled, or it has left: the role sends what that brought about, and calls LineHost::flush for
  /// each connection with output.
  virtual void flush(std::uint64_t connection) = 0;
};

struct LineHostOptions {
  std::string name;  ///< The role's, with which its events begin ("translator").
  /// Unsent bytes of one peer; more: it does not read, and is cut off. From an eighth of it on nothing more is read from it, so
  /// that a peer which asks much before it reads an answer is slowed down instead.
  std::size_t max_queued_bytes = 256 * 1024;
  Duration stalled_deadline = std::chrono::seconds(30);  ///< So long without taking a queued byte: it is cut off likewise.
};

/// Owned by the service part of its role. Everything is called on the shard's thread.
class LineHost {
 public:
  /// `part` owns the host and is held by what runs for it. `backlog`: the shard's, if there are other hosts on it; null: one of
  /// the host's own.
  LineHost(ServicePart& part, LineHostOptions options, Admission admission, LineHostRole& role,
           std::shared_ptr<Backlog> backlog = nullptr);
  ~LineHost();
  LineHost(const LineHost&) = delete;
  LineHost& operator=(const LineHost&) = delete;

  /// A listener has accepted a peer.
  void take(std::unique_ptr<ByteStream> stream);
  /// A peer that has a place already, and has sent `first`.
  void take(std::unique_ptr<ByteStream> stream, Admission::Token place, Bytes first);

  /// Sends what the connection's engine has written.
  void flush(std::uint64_t connection);

  /// Of a connection that is here: as ByteStream::metadata().
  [[nodiscard]] ConnectionMetadata metadata(std::uint64_t connection) const;

  /// To be called about once a second: peers that do not read, and those that were sent away.
  void tick(const Now& now);

  /// Ends every connection; their engines leave. Takes no further one.
  void drain();

  /// Peers cut off because they did not read, since the start.
  [[nodiscard]] std::uint64_t slow_readers() const { return slow_readers_; }

  /// What the peers have not read, by source and in all.
  [[nodiscard]] const Backlog& backlog() const { return *backlog_; }

 private:
  struct Peer;
  using PeerPtr = std::shared_ptr<Peer>;

  static asio::awaitable<void> serve(std::shared_ptr<ServicePart> part, LineHost& host, PeerPtr peer, std::string first);
  /// Until the peer's queue has shrunk or, if it is not full, others of the shard have had their turn.
  static asio::awaitable<void> pause(LineHost& host, PeerPtr peer);
  static asio::awaitable<void> run_writer(std::shared_ptr<ServicePart> part, LineHost& host, PeerPtr peer);
  void flush(const PeerPtr& peer);
  void write(const PeerPtr& peer);
  [[nodiscard]] bool is_full(const Peer& peer) const;
  void cut_off(Peer& peer, std::string_view reason);
  void displace(std::uint64_t connection);
  [[nodiscard]] std::string event(std::string_view what) const;
  void complain(std::string_view what, std::string_view peer, std::string_view message);

  ServicePart& part_;
  const LineHostOptions options_;
  Admission admission_;
  LineHostRole& role_;
  std::shared_ptr<Backlog> backlog_;
  std::uint64_t last_connection_ = 0;
  std::unordered_map<std::uint64_t, PeerPtr> peers_;
  std::array<std::uint8_t, 16 * 1024> read_buffer_;  ///< Of one read; its bytes are used up before anything waits.
  std::uint64_t slow_readers_ = 0;
  std::string more_complaints_;
  log::Limited complaints_;
};

}  // namespace adit::net
