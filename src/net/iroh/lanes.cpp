#include "net/iroh/lanes.h"

#include <array>
#include <utility>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "log/log.h"
#include "net/deadline.h"
#include "net/exact_io.h"
#include "net/iroh/stream.h"

namespace adit::net {
namespace {

/// How long one wait for a stream lasts; then it is begun anew.
constexpr Duration kAcceptTurn = std::chrono::hours(1);

/// Of what waits on a connection: control goes before data, data before bulk (docs/lanes.md §2).
std::int32_t priority_of(session::Lane lane) {
  return lane == session::Lane::kControl ? 2 : lane == session::Lane::kData ? 1 : 0;
}

/// What a listener knows of one connection's sessions.
struct Accepting {
  /// A lane whose other has not come.
  struct Half {
    std::unique_ptr<IrohStream> stream;
    session::Lane lane;
    asio::steady_timer* patience;  ///< Cancelled when the other comes.
  };

  std::shared_ptr<SharedConnection> connection;
  Duration deadline;
  std::function<void(Link)> on_session;
  std::function<bool()> on_churn;
  session::LaneSessions sessions{};
  std::map<std::uint64_t, Half> halves{};
};

void refuse(Accepting& accepting, const Error& error) {
  ConnectionMetadata peer;
  accepting.connection->describe(peer);
  log::debug("iroh.lanes_refused", {{"peer", peer.peer}, {"message", error.message()}});
  accepting.connection->close(error.is(session::Errc::kOverloaded) ? CloseCode::kOverloaded : CloseCode::kProtocolError,
                              error.message());
}

/// A stream came to nothing: resets it, and ends the connection of a peer that does so again and again.
void give_up(Accepting& accepting, IrohStream& stream) {
  stream.close(CloseCode::kProtocolError);
  if (!accepting.on_churn())
    refuse(accepting, Error(session::Errc::kOverloaded, "its streams come to nothing again and again"));
}

/// Until the other lane has come, or too late.
asio::awaitable<void> wait_for_other(std::shared_ptr<Accepting> accepting, std::uint64_t id, std::unique_ptr<IrohStream> stream,
                                     session::Lane lane) {
  asio::steady_timer patience(accepting->connection->loop()->shard().context(), session::LaneSessions::kPairingTime);
  accepting->halves.emplace(id, Accepting::Half{.stream = std::move(stream), .lane = lane, .patience = &patience});
  boost::system::error_code woken;
  co_await patience.async_wait(asio::redirect_error(asio::use_awaitable, woken));
  const auto half = accepting->halves.find(id);
  if (half == accepting->halves.end() || half->second.patience != &patience) co_return;
  give_up(*accepting, *half->second.stream);
  accepting->halves.erase(half);
  accepting->sessions.on_end(id);
}

/// Reads one stream's preface and puts it where it belongs.
asio::awaitable<void> sort_in(std::shared_ptr<Accepting> accepting, std::unique_ptr<IrohStream> accepted) {
  auto stream = std::move(accepted);
  auto& shard = accepting->connection->loop()->shard();
  std::array<std::uint8_t, session::LanePreface::kSize> bytes;
  {
    const Deadline deadline(shard.context(), *stream, accepting->deadline);
    std::size_t got = 0;
    if (!co_await read_exactly(*stream, bytes, got)) co_return give_up(*accepting, *stream);
  }
  const auto preface = session::LanePreface::decode(bytes);
  if (!preface) co_return refuse(*accepting, preface.error());
  const auto id = preface->session_id;
  const auto complete = accepting->sessions.on_preface(*preface, now_from_system().instant);
  if (!complete) co_return refuse(*accepting, complete.error());
  stream->set_priority(priority_of(preface->lane));
  if (!*complete) co_return co_await wait_for_other(std::move(accepting), id, std::move(stream), preface->lane);

  const auto half = accepting->halves.find(id);
  if (half == accepting->halves.end()) co_return;
  auto other = std::move(half->second);
  accepting->halves.erase(half);
  other.patience->cancel();
  const auto session = accepting->connection->begin_session([weak = std::weak_ptr(accepting), id] {
    if (const auto alive = weak.lock()) alive->sessions.on_end(id);
  });
  stream->join(session);
  other.stream->join(session);
  Link link{.stream = std::move(stream), .second = std::move(other.stream), .protocol = preface->protocol};
  if (other.lane == session::Lane::kControl) std::swap(link.stream, link.second);
  accepting->on_session(std::move(link));
}

}  // namespace

asio::awaitable<Result<Link>> open_session(std::shared_ptr<SharedConnection> connection, wire::Protocol protocol,
                                           Instant until) {
  const auto session = connection->begin_session(nullptr);
  auto& shard = connection->loop()->shard();
  session::LanePreface preface{.lane = session::Lane::kControl, .protocol = protocol, .session_id = connection->next_number()};
  Link link{.stream = nullptr, .second = nullptr, .protocol = protocol};
  const std::array both{std::pair{&link.stream, session::Lane::kControl},
                        std::pair{&link.second, session::second_lane(protocol)}};
  for (const auto& [stream, lane] : both) {
    const auto left = until - now_from_system().instant;
    const auto& loop = connection->loop();
    adit_handle handle = 0;
    auto result = adit_stream_open(connection->handle(), bridge_ms(left), &handle);
    BridgeHandle opened(handle);
    if (result == ADIT_OK) result = co_await loop->done(handle);
    if (result != ADIT_OK) {
      connection->doubt();
      co_return fail(open_error(*loop, connection->handle(), result, handle).in("cannot begin a session"));
    }
    auto made = std::make_unique<IrohStream>(connection, std::move(opened), priority_of(lane));
    made->join(session);
    const Deadline deadline(shard.context(), *made, left);
    preface.lane = lane;
    const auto bytes = preface.encode();
    if (auto written = co_await write_all(*made, bytes); !written) {
      connection->doubt();
      if (deadline.passed()) co_return fail(Errc::kTimedOut, "cannot begin a session: the connection takes nothing");
      co_return fail(std::move(written.error()).in("cannot begin a session"));
    }
    *stream = std::move(made);
  }
  co_return link;
}

asio::awaitable<void> accept_sessions(std::shared_ptr<SharedConnection> connection, Duration deadline,
                                      std::function<void(Link)> on_session, std::function<bool()> on_churn) {
  const auto loop = connection->loop();
  const auto accepting = std::make_shared<Accepting>(Accepting{
      .connection = connection, .deadline = deadline, .on_session = std::move(on_session), .on_churn = std::move(on_churn)});
  connection->linger(deadline);
  for (;;) {
    adit_handle handle = 0;
    if (adit_stream_accept(connection->handle(), bridge_ms(kAcceptTurn), &handle) != ADIT_OK) break;
    BridgeHandle stream(handle);
    const auto result = co_await loop->done(handle);
    if (result == ADIT_TIMED_OUT) continue;
    if (result != ADIT_OK) break;
    loop->shard().spawn(sort_in(accepting, std::make_unique<IrohStream>(connection, std::move(stream))));
  }
}

std::shared_ptr<SharedConnection> DialPool::find(const std::string& key) {
  std::erase_if(connections_, [](const auto& entry) { return !entry.second->usable(); });
  const auto known = connections_.find(key);
  return known != connections_.end() && known->second->sessions() < kDialledSessions ? known->second : nullptr;
}

std::shared_ptr<DialPool::Attempt> DialPool::attempt(const std::string& key) const {
  const auto known = attempts_.find(key);
  return known == attempts_.end() ? nullptr : known->second;
}

void DialPool::finish(const std::string& key, const std::shared_ptr<Attempt>& attempt) {
  if (attempt->lanes) connections_[key] = attempt->lanes;
  attempts_.erase(key);
  attempt->finished = true;
  attempt->done.cancel();
}

}  // namespace adit::net
