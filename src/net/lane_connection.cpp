#include "net/lane_connection.h"

#include <optional>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "net/deadline.h"
#include "net/frame_stream.h"
#include "session/lane_order.h"

namespace adit::net {
namespace {

Instant now() { return now_from_system().instant; }

}  // namespace

/// One lane.
struct LaneConnection::Half {
  Half(Shard& shard, std::unique_ptr<ByteStream> bytes, std::uint32_t max_payload)
      : stream(std::move(bytes)), codec(max_payload), reader(shard, *stream, codec), writer(*stream) {}

  std::unique_ptr<ByteStream> stream;
  wire::PlainCodec codec;
  FrameReader reader;
  FrameWriter writer;
  bool pumping = false;
  bool ended = false;  ///< The peer finished it.
  bool held = false;   ///< The reader was given frames back, which wait at a mark.
};

struct LaneConnection::State final : Backlog::Queue {
  State(Shard& home, std::unique_ptr<ByteStream> first, std::unique_ptr<ByteStream> other, wire::Protocol protocol,
        LaneOptions limits)
      : shard(home),
        options(std::move(limits)),
        control(shard, std::move(first), options.max_payload),
        second(shard, std::move(other), options.max_payload),
        sender(protocol),
        receiver(protocol),
        patience(shard.context()) {}

  Shard& shard;
  LaneOptions options;
  Half control;
  Half second;
  session::LaneSender sender;
  session::LaneReceiver receiver;
  asio::steady_timer patience;   ///< With a lane that waits for the other, in its order or in its end.
  bool impatient = false;        ///< It runs.
  std::optional<Error> failure;  ///< Why the session ended, if not as somebody asked.
  bool closed = false;
  bool receiving = false;
  bool draining = false;      ///< What still comes is dropped.
  std::string authority_key;  ///< As proved() said.
  std::optional<UnixTime> certificate_until;
  /// Never expires: cancelled when a receive() that waits should look again.
  std::shared_ptr<asio::steady_timer> woken = std::make_shared<asio::steady_timer>(shard.context(), Instant::max());
  /// Of a drain() that waits for the queues to empty, then for the end. Shared, since an abort unwinds that drain at any wait.
  std::shared_ptr<asio::steady_timer> drain_step;

  [[nodiscard]] std::size_t queued() const { return control.writer.queue().size() + second.writer.queue().size(); }

  void end(CloseCode code) {
    if (std::exchange(closed, true)) return;
    control.stream->close(code);
    second.stream->close(code);
    control.writer.queue().release();
    second.writer.queue().release();
    leave();
    patience.cancel();
    wake_drain();
    woken->cancel();
  }
  void cut_off(std::string reason) override { end(CloseCode::kOverloaded, Error(Errc::kSlowReader, std::move(reason))); }
  /// The peer asks faster than it reads what it is answered on that lane.
  [[nodiscard]] bool full(const Half& half) const { return half.writer.queue().size() > options.max_queued_bytes / 8; }
  [[nodiscard]] bool readable(const Half& half) const {
    return !half.ended && !full(half) && (&half == &control || receiver.second_open());
  }
  void end(CloseCode code, Error why) {
    if (!closed && !failure) failure = std::move(why);
    end(code);
  }
  void wake_drain() {
    if (drain_step) drain_step->cancel();
  }

  /// Reads one lane and puts what may be handled into the batch. Errors: the stream's; kProtocol.
  Result<void> read(Half& half) {
    const auto batch = std::exchange(half.held, false) ? half.reader.reopen() : half.reader.read_some();
    if (!batch) return fail(batch.error());
    if (!*batch) return {};
    auto& scratch = shard.scratch();
    if (&half == &control) {
      if (const auto taken = receiver.on_control(scratch.frames, now(), scratch.merged); !taken) {
        return fail(Errc::kProtocol, taken.error().message());
      }
      return {};
    }
    const auto taken = receiver.on_second(scratch.frames, now(), scratch.merged);
    if (!taken) return fail(Errc::kProtocol, taken.error().message());
    if (*taken < scratch.frames.size()) {
      half.reader.put_back(scratch.frames[*taken]);
      half.held = true;
    }
    return {};
  }
};

LaneConnection::LaneConnection(Shard& shard, std::unique_ptr<ByteStream> control, std::unique_ptr<ByteStream> second,
                               wire::Protocol protocol, LaneOptions options)
    : state_(std::make_shared<State>(shard, std::move(control), std::move(second), protocol, std::move(options))) {}

LaneConnection::~LaneConnection() { close(CloseCode::kShutdown); }

/// Until a lane that may be read has something, or one that was full may be.
asio::awaitable<Result<void>> LaneConnection::wait(std::shared_ptr<State> state) {
  bool any = state->full(state->control) || state->full(state->second);
  for (Half* half : {&state->control, &state->second}) {
    if (!state->readable(*half)) continue;
    any = true;
    if (!half->stream->wake_when_readable(state->woken)) co_return Result<void>();
  }
  // Control has ended and what the other lane waits for will not come.
  if (!any) co_return fail(Errc::kProtocol, "the peer ended control before frames that its other lane waits for");
  boost::system::error_code cancelled;
  co_await state->woken->async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
  co_return Result<void>();
}

asio::awaitable<Result<FrameBatch>> LaneConnection::receive() {
  const auto state = state_;
  state->receiving = true;
  Error error(Errc::kClosed, "closed here");
  while (!state->closed) {
    if (state->control.reader.greedy() || state->second.reader.greedy()) {
      state->control.reader.rested();
      state->second.reader.rested();
      co_await asio::post(state->shard.context(), asio::use_awaitable);
      if (state->closed) break;
    }
    auto& batch = state->shard.scratch().merged;
    batch.clear();
    bool progress = false;
    std::optional<Error> failed;
    // Control first, always: that is what lanes are for.
    for (Half* half : {&state->control, &state->second}) {
      if (!state->readable(*half)) continue;
      const auto read = state->read(*half);
      if (read) {
        progress = true;
      } else if (read.error().is(Errc::kEndOfStream)) {
        half->ended = progress = true;
      } else if (!read.error().is(Errc::kWouldBlock)) {
        failed = read.error();
        break;
      }
      if (!batch.empty()) break;
    }
    if (!batch.empty() && !state->draining && !failed) {
      state->receiving = false;
      co_return FrameBatch(batch);
    }
    if (!failed && state->control.ended && state->second.ended) {
      failed = state->receiver.waiting() == 0
                   ? Error(Errc::kEndOfStream, "the peer finished the session")
                   : Error(Errc::kProtocol, "the peer ended its lanes with frames still waiting for others");
    }
    if (!failed && !progress) {
      const bool half_ended = state->control.ended != state->second.ended;
      const auto waiting = state->receiver.waiting_since();
      if ((waiting || half_ended) && !std::exchange(state->impatient, true)) {
        state->patience.expires_at(waiting ? *waiting + session::LaneReceiver::kMaxWait
                                           : now() + state->options.half_ended_deadline);
        state->patience.async_wait([weak = std::weak_ptr(state)](const boost::system::error_code& cancelled) {
          const auto alive = weak.lock();
          if (cancelled || !alive) return;
          alive->impatient = false;
          if (const auto late = alive->receiver.on_tick(now()); !late) {
            return alive->end(CloseCode::kProtocolError, Error(Errc::kProtocol, late.error().message()));
          }
          if (alive->control.ended != alive->second.ended) {
            alive->end(CloseCode::kProtocolError, Error(Errc::kTimedOut, "the peer ended one lane of two"));
          }
        });
      }
      const auto ready = co_await wait(state);
      // A patience that has run out closes the streams under the wait and says why.
      if (!ready && !state->closed) failed = ready.error();
    }
    if (failed) {
      error = std::move(*failed);
      state->end(error.is(Errc::kProtocol) ? CloseCode::kProtocolError : CloseCode::kShutdown);
    }
  }
  state->receiving = false;
  co_return fail(state->failure ? *state->failure : std::move(error));
}

asio::awaitable<void> LaneConnection::pump(std::shared_ptr<State> state, Half& half) {
  auto& queue = half.writer.queue();
  while (!state->closed && !queue.empty()) {
    const auto before = queue.size();
    {
      const Deadline deadline(state->shard.context(), *half.stream, state->options.stalled_deadline);
      const auto ready = co_await half.stream->wait_writable();
      if (!ready) {
        if (deadline.passed()) {
          state->end(CloseCode::kOverloaded, Error(Errc::kSlowReader, "the peer took nothing of what it is sent for too long"));
        }
        state->end(CloseCode::kOverloaded);
        break;
      }
    }
    if (!half.writer.flush()) state->end(CloseCode::kShutdown);
    if (!state->closed) state->report(state->queued(), queue.size() != before);
    if (state->queued() == 0) state->wake_drain();
    if (!state->full(half)) state->woken->cancel();
    if (!state->closed && queue.size() == before) co_await asio::post(state->shard.context(), asio::use_awaitable);
  }
  half.pumping = false;
}

void LaneConnection::send(const wire::FrameBuffer& frames) {
  auto& state = *state_;
  if (state.closed || state.draining || frames.empty()) return;
  auto& scratch = state.shard.scratch();
  scratch.control.clear();
  scratch.second.clear();
  if (auto routed = state.sender.route(frames, scratch.control, scratch.second); !routed) {
    return state.end(CloseCode::kProtocolError, Error(Errc::kInternal, routed.error().message()));
  }
  for (const auto& [half, bytes] :
       {std::pair{&state.control, scratch.control.bytes()}, {&state.second, scratch.second.bytes()}}) {
    if (bytes.empty()) continue;
    if (!half->writer.write(bytes)) return state.end(CloseCode::kShutdown);
    if (half->writer.queue().empty()) continue;
    if (state.queued() > state.options.max_queued_bytes) {
      return state.end(CloseCode::kOverloaded,
                       Error(Errc::kSlowReader, "the peer does not read what it is sent: more than " +
                                                    std::to_string(state.options.max_queued_bytes) + " bytes waited for it"));
    }
    state.report(state.queued());
    if (state.closed) return;
    if (!std::exchange(half->pumping, true)) state.shard.spawn(pump(state_, *half));
  }
}

ConnectionMetadata LaneConnection::metadata() const {
  auto metadata = state_->control.stream->metadata();
  const auto second = state_->second.stream->metadata();
  metadata.bytes_received += second.bytes_received;
  metadata.bytes_sent += second.bytes_sent;
  metadata.lanes = 2;
  metadata.authority_key = state_->authority_key;
  metadata.certificate_until = state_->certificate_until;
  return metadata;
}

void LaneConnection::proved(std::string authority_key, UnixTime certificate_until) {
  state_->authority_key = std::move(authority_key);
  state_->certificate_until = certificate_until;
}

std::optional<CarrierFigures> LaneConnection::figures() const { return state_->control.stream->figures(); }

std::size_t LaneConnection::queued_bytes() const { return state_->queued(); }

void LaneConnection::count_in(Backlog& backlog, std::string_view source) {
  if (state_->closed) return;
  state_->join(backlog, source);
  state_->report(queued_bytes());
}

asio::awaitable<void> LaneConnection::drain(Duration deadline) {
  const auto state = state_;
  if (state->closed || std::exchange(state->draining, true)) co_return;
  const auto step = std::make_shared<asio::steady_timer>(state->shard.context(), deadline);
  state->drain_step = step;
  boost::system::error_code woken;
  if (state->queued() != 0) co_await step->async_wait(asio::redirect_error(asio::use_awaitable, woken));
  if (!state->closed && state->queued() == 0) {
    state->control.stream->finish();
    state->second.stream->finish();
    // As FramedConnection: read until the peer ends too.
    if (state->receiving) {
      co_await step->async_wait(asio::redirect_error(asio::use_awaitable, woken));
    } else {
      const Deadline limit(state->shard.context(), *state->control.stream, step->expiry() - now());
      (void)co_await receive();
    }
  }
  state->drain_step.reset();
  state->end(CloseCode::kShutdown);
}

void LaneConnection::close(CloseCode code) { state_->end(code); }

}  // namespace adit::net
