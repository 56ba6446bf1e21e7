#include "net/line_host.h"

#include <optional>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace adit::net {

/// One connection. Shared by its reader and its writer.
struct LineHost::Peer final : Backlog::Queue {
  Peer(LineHost& at, std::uint64_t id, Shard& shard, std::unique_ptr<ByteStream> from, Admission::Token place)
      : host(at), connection(id), stream(std::move(from)), token(std::move(place)), drained(shard.context()) {
    drained.expires_at(asio::steady_timer::time_point::max());
  }

  void close(CloseCode code) {
    closed = true;
    leave();
    drained.cancel();
    stream->close(code);
  }
  void cut_off(std::string reason) override { host.cut_off(*this, reason); }

  LineHost& host;
  std::uint64_t connection;
  std::unique_ptr<ByteStream> stream;
  Admission::Token token;
  session::LineSession* session = nullptr;  ///< Null once the role let it go.
  std::string queued;                       ///< Not yet taken by the carrier.
  Instant moved_at{};                       ///< The carrier took a byte, or nothing was queued.
  bool writing = false;                     ///< A writer waits for the carrier.
  bool closed = false;                      ///< By us.
  asio::steady_timer drained;               ///< Never expires: it is cancelled when more may be read.
  bool established = false;
  bool displaced = false;               ///< Another connection has its place.
  std::uint64_t accepted = 0;           ///< Shares, of which `token` knows.
  std::optional<Instant> last_message;  ///< The peer was sent away: it is closed then at the latest.
};

LineHost::LineHost(ServicePart& part, LineHostOptions options, Admission admission, LineHostRole& role,
                   std::shared_ptr<Backlog> backlog)
    : part_(part),
      options_(std::move(options)),
      admission_(std::move(admission)),
      role_(role),
      backlog_(backlog ? std::move(backlog) : std::make_shared<Backlog>(BacklogBounds::above(options_.max_queued_bytes))),
      more_complaints_(event("more_complaints")),
      complaints_(more_complaints_) {}

LineHost::~LineHost() = default;

std::string LineHost::event(std::string_view what) const { return options_.name + "." + std::string(what); }

void LineHost::complain(std::string_view what, std::string_view peer, std::string_view message) {
  complaints_.warn(event(what), {{"peer", peer}, {"message", message}});
}

void LineHost::take(std::unique_ptr<ByteStream> stream) {
  const auto metadata = stream->metadata();
  auto token = admission_.admit(metadata.source.empty() ? metadata.peer : metadata.source, now_from_system().instant);
  if (part_.stopping() || !token) {
    if (!token) complain("refused", metadata.peer, token.error().message());
    return stream->close(CloseCode::kOverloaded);
  }
  take(std::move(stream), std::move(*token), {});
}

void LineHost::take(std::unique_ptr<ByteStream> stream, Admission::Token place, Bytes first) {
  if (part_.stopping()) return stream->close(CloseCode::kShutdown);
  auto peer = std::make_shared<Peer>(*this, ++last_connection_, part_.shard(), std::move(stream), std::move(place));
  part_.shard().spawn(serve(part_.shared_from_this(), *this, std::move(peer), std::string(as_text(first))));
}

asio::awaitable<void> LineHost::pause(LineHost& host, PeerPtr peer) {
  if (!host.is_full(*peer)) co_return co_await asio::post(host.part_.shard().context(), asio::use_awaitable);
  boost::system::error_code woken;
  co_await peer->drained.async_wait(asio::redirect_error(asio::use_awaitable, woken));
}

// Its frame is kept for each connection: what is seldom needed is done elsewhere.
asio::awaitable<void> LineHost::serve(std::shared_ptr<ServicePart> part, LineHost& host, PeerPtr peer, std::string first) {
  const TaskGate::Token running(part->gate());
  const auto metadata = peer->stream->metadata();
  const auto& source = metadata.source.empty() ? metadata.peer : metadata.source;
  peer->session = &host.role_.join(peer->connection, metadata.peer, source, now_from_system());
  host.peers_[peer->connection] = peer;
  peer->join(*host.backlog_, peer->token.source());
  peer->token.on_displaced([&shard = part->shard(), weak = std::weak_ptr(part), &host, connection = peer->connection] {
    shard.post([weak, &host, connection] {
      if (const auto alive = weak.lock()) host.displace(connection);
    });
  });
  std::string reason;
  if (!first.empty()) {
    peer->session->on_bytes(as_bytes(first), now_from_system());
    host.role_.flush(peer->connection);
  }
  bool greedy = false;
  while (true) {
    while (!peer->closed && (host.is_full(*peer) || std::exchange(greedy, false))) co_await pause(host, peer);
    const auto count = peer->stream->try_read(host.read_buffer_);
    if (count) {
      if (peer->session == nullptr) break;
      greedy = *count == host.read_buffer_.size();
      peer->session->on_bytes(Bytes(host.read_buffer_).first(*count), now_from_system());
      host.role_.flush(peer->connection);
      continue;
    }
    if (!count.error().is(Errc::kWouldBlock)) {
      reason = count.error().message();
      break;
    }
    if (const auto readable = co_await peer->stream->wait_readable(); !readable) {
      reason = readable.error().message();
      break;
    }
  }
  if (!peer->established && !peer->displaced && peer->stream->metadata().bytes_received != 0) {
    peer->token.charge(AdmissionLimits::kFailedHandshake, now_from_system().instant);
  }
  if (peer->session != nullptr) {
    if (!peer->session->ended().empty()) reason = peer->session->ended();
    host.peers_.erase(peer->connection);
    peer->session = nullptr;
    host.role_.leave(peer->connection, reason, now_from_system());
    host.role_.flush(peer->connection);
  }
  peer->close(CloseCode::kShutdown);
}

void LineHost::flush(std::uint64_t connection) {
  const auto found = peers_.find(connection);
  if (found != peers_.end()) flush(found->second);
}

ConnectionMetadata LineHost::metadata(std::uint64_t connection) const {
  const auto found = peers_.find(connection);
  return found == peers_.end() ? ConnectionMetadata{} : found->second->stream->metadata();
}

void LineHost::flush(const PeerPtr& peer) {
  auto& session = *peer->session;
  if (peer->queued.empty()) peer->moved_at = now_from_system().instant;
  peer->queued += session.output();
  session.output().clear();
  if (!peer->established && session.established()) {
    peer->established = true;
    peer->token.established(now_from_system().instant);
  }
  if (!session.ended().empty() && !peer->last_message) {
    peer->last_message = now_from_system().instant + kLastMessageDeadline;
    complain("miner_sent_away", peer->stream->metadata().peer, session.ended());
  }
  write(peer);
}

void LineHost::write(const PeerPtr& peer) {
  std::size_t taken_in_all = 0;
  while (taken_in_all < peer->queued.size()) {
    const auto taken = peer->stream->try_write(as_bytes(peer->queued).subspan(taken_in_all));
    if (taken) {
      taken_in_all += *taken;
    } else if (taken.error().is(Errc::kWouldBlock)) {
      break;
    } else {
      peer->queued.clear();  // The reader hears of it too.
      peer->report(0);
      peer->drained.cancel();
      return;
    }
  }
  if (taken_in_all != 0) {
    peer->queued.erase(0, taken_in_all);
    peer->moved_at = now_from_system().instant;
  }
  if (peer->queued.size() > options_.max_queued_bytes) {
    return cut_off(*peer, "it does not read: more than " + std::to_string(options_.max_queued_bytes) + " bytes waited for it");
  }
  peer->report(peer->queued.size(), taken_in_all != 0);
  if (peer->closed) return;
  if (!is_full(*peer)) peer->drained.cancel();
  if (!peer->queued.empty()) {
    if (!std::exchange(peer->writing, true)) part_.shard().spawn(run_writer(part_.shared_from_this(), *this, peer));
  } else if (peer->last_message) {
    // The peer reads the rest and closes; if not, tick() does.
    peer->stream->finish();
  }
}

/// Its send queue is full: reading is paused.
bool LineHost::is_full(const Peer& peer) const { return peer.queued.size() >= options_.max_queued_bytes / 8; }

void LineHost::cut_off(Peer& peer, std::string_view reason) {
  ++slow_readers_;
  complain("slow_reader", peer.stream->metadata().peer, reason);
  peer.token.charge(AdmissionLimits::kCutOff, now_from_system().instant);
  peer.queued.clear();
  peer.close(CloseCode::kOverloaded);
}

void LineHost::displace(std::uint64_t connection) {
  const auto found = peers_.find(connection);
  if (found == peers_.end()) return;
  const auto peer = found->second;
  peer->displaced = true;
  complain("displaced", peer->stream->metadata().peer,
           peer->established ? "another connection has its place: no share of it was accepted"
                             : "another connection has its place: it did not authorize for too long");
  peer->close(CloseCode::kOverloaded);
}

asio::awaitable<void> LineHost::run_writer(std::shared_ptr<ServicePart> part, LineHost& host, PeerPtr peer) {
  const TaskGate::Token running(part->gate());
  const auto writable = co_await peer->stream->wait_writable();
  peer->writing = false;
  if (writable) host.write(peer);
}

void LineHost::tick(const Now& now) {
  for (const auto& [connection, peer] : peers_) {
    if (peer->closed) continue;
    const auto accepted = peer->session->good_shares();
    peer->token.look(std::exchange(peer->accepted, accepted) != accepted, now.instant);
    if (peer->last_message && now.instant >= *peer->last_message) {
      peer->close(CloseCode::kShutdown);
    } else if (!peer->queued.empty() && now.instant - peer->moved_at >= options_.stalled_deadline) {
      cut_off(*peer, "it does not read: it took nothing for too long");
    }
  }
  complaints_.tick();
}

void LineHost::drain() {
  const auto now = now_from_system();
  const auto peers = std::exchange(peers_, {});
  for (const auto& [connection, peer] : peers) {
    peer->session = nullptr;
    role_.leave(connection, "the " + options_.name + " stops", now);
    peer->close(CloseCode::kShutdown);
  }
}

}  // namespace adit::net
