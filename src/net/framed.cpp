#include "net/framed.h"

#include <algorithm>
#include <optional>

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "net/deadline.h"

namespace adit::net {
namespace {

/// One read. Large enough for a thousand shares, small enough that one peer's flood leaves the shard to others after a
/// millisecond.
constexpr std::size_t kReadSize = 64 * 1024;

std::unexpected<Error> slow_reader(const FramedOptions& options) {
  return fail(Errc::kSlowReader,
              "the peer does not read what it is sent: more than " + std::to_string(options.max_queued_bytes) +
                  " bytes waited for it, or none was taken for " +
                  std::to_string(std::chrono::duration_cast<std::chrono::seconds>(options.stalled_deadline).count()) + " s");
}

}  // namespace

struct FramedConnection::State {
  State(Shard& home, std::unique_ptr<ByteStream> bytes, std::unique_ptr<wire::FrameCodec> frames, FramedOptions limits)
      : shard(home), stream(std::move(bytes)), codec(std::move(frames)), options(std::move(limits)) {}

  Shard& shard;
  std::unique_ptr<ByteStream> stream;
  std::unique_ptr<wire::FrameCodec> codec;
  FramedOptions options;
  wire::ByteBuffer tail;      ///< The start of a frame that has not come whole.
  std::size_t tail_used = 0;  ///< Bytes of the tail that the batch given out last lies in.
  wire::ByteBuffer queue;     ///< Sealed, not taken by the carrier.
  bool pumping = false;
  bool yield_next = false;  ///< The last read filled its buffer: let others run before the next.
  bool slow_reader = false;
  bool closed = false;
  bool receiving = false;                    ///< A receive() is under way.
  bool draining = false;                     ///< What still comes is dropped.
  asio::steady_timer* drain_step = nullptr;  ///< Of a drain() that waits for the queue to empty, then for the end.

  void end(CloseCode code) {
    if (std::exchange(closed, true)) return;
    stream->close(code);
    queue.release();
    wake_drain();
  }
  void wake_drain() {
    if (drain_step) drain_step->cancel();
  }
};

FramedConnection::FramedConnection(Shard& shard, std::unique_ptr<ByteStream> stream, std::unique_ptr<wire::FrameCodec> codec,
                                   FramedOptions options)
    : state_(std::make_shared<State>(shard, std::move(stream), std::move(codec), std::move(options))) {}

FramedConnection::~FramedConnection() { close(CloseCode::kShutdown); }

/// Reads once and opens what came. True: there is a batch.
Result<bool> FramedConnection::read_some() {
  auto& state = *state_;
  auto& scratch = state.shard.scratch();
  const std::size_t wanted = state.codec->bytes_wanted();
  // A frame too large for one read is gathered in the connection's own tail, which grows by what has arrived; everything else
  // is opened in the shard's scratch, behind what was left over.
  const bool gather = wanted > kReadSize;
  auto& read = scratch.receive;
  read.clear();
  if (!gather) read.append(state.tail.bytes());
  const std::size_t room = gather ? std::min(kReadSize, wanted - state.tail.size()) : kReadSize;
  const auto got = state.stream->try_read(read.extend(room));
  if (!got) return fail(got.error());
  read.shrink(room - *got);
  state.yield_next = *got == room;
  if (gather) {
    state.tail.append(read.bytes());
    if (state.tail.size() < wanted) return false;
  }

  scratch.frames.clear();
  auto& buffer = gather ? state.tail : read;
  const auto used = state.codec->open(buffer.bytes(), scratch.frames);
  if (!used) return fail(Errc::kProtocol, used.error().message());
  if (gather) {
    state.tail_used = *used;  // the batch lies in the tail: dropped by the next receive
  } else {
    const auto rest = Bytes(buffer.bytes()).subspan(*used);
    if (!rest.empty()) {
      state.tail.clear();
      state.tail.append(rest);
    } else if (state.tail.capacity() != 0) {
      state.tail.release();
    }
  }
  return !scratch.frames.empty();
}

asio::awaitable<Result<FrameBatch>> FramedConnection::receive() {
  const auto state = state_;
  state->receiving = true;
  for (;;) {
    if (const auto used = std::exchange(state->tail_used, 0); used != 0) {
      state->tail.consume(used);
      if (state->tail.empty()) state->tail.release();
    }
    if (state->yield_next) co_await asio::post(state->shard.context(), asio::use_awaitable);
    auto batch = state->closed ? Result<bool>(fail(Errc::kClosed, "closed here")) : read_some();
    if (batch && *batch && !state->draining) {
      state->receiving = false;
      co_return FrameBatch(state->shard.scratch().frames);
    }
    if (batch) continue;
    if (batch.error().is(Errc::kWouldBlock)) {
      state->yield_next = false;
      const auto ready = co_await state->stream->wait_readable();
      if (ready) continue;
      batch = fail(ready.error());
    }
    state->receiving = false;
    state->end(batch.error().is(Errc::kProtocol) ? CloseCode::kProtocolError : CloseCode::kShutdown);
    if (state->slow_reader) co_return slow_reader(state->options);
    co_return fail(std::move(batch.error()));
  }
}

/// Hands the queue to the carrier as far as it goes.
void FramedConnection::flush(const std::shared_ptr<State>& state) {
  while (!state->queue.empty()) {
    const auto taken = state->stream->try_write(state->queue.bytes());
    if (!taken) {
      if (!taken.error().is(Errc::kWouldBlock)) state->end(CloseCode::kShutdown);
      return;
    }
    state->queue.consume(*taken);
  }
  state->queue.release();
  state->wake_drain();
}

asio::awaitable<void> FramedConnection::pump(std::shared_ptr<State> state) {
  while (!state->closed && !state->queue.empty()) {
    const auto before = state->queue.size();
    {
      const Deadline deadline(state->shard.context(), *state->stream, state->options.stalled_deadline);
      const auto ready = co_await state->stream->wait_writable();
      if (!ready) {
        if (deadline.passed()) state->slow_reader = true;
        state->end(CloseCode::kOverloaded);
        break;
      }
    }
    flush(state);
    if (!state->closed && state->queue.size() == before) co_await asio::post(state->shard.context(), asio::use_awaitable);
  }
  state->pumping = false;
}

void FramedConnection::send(const wire::FrameBuffer& frames) {
  auto& state = *state_;
  // Once drained, the stream is finished: what is sent then would only break it off.
  if (state.closed || state.draining || frames.empty()) return;
  // What is queued goes first, so new bytes join it; otherwise they need not be kept at all.
  const bool behind = !state.queue.empty();
  auto& sealed = behind ? state.queue : state.shard.scratch().send;
  if (!behind) sealed.clear();
  if (!state.codec->seal(frames, sealed)) return state.end(CloseCode::kProtocolError);
  if (!behind) {
    while (!sealed.empty()) {
      const auto taken = state.stream->try_write(sealed.bytes());
      if (!taken) {
        if (!taken.error().is(Errc::kWouldBlock)) return state.end(CloseCode::kShutdown);
        break;
      }
      sealed.consume(*taken);
    }
    if (sealed.empty()) return;
    state.queue.append(sealed.bytes());
  }
  if (state.queue.size() > state.options.max_queued_bytes) {
    state.slow_reader = true;
    return state.end(CloseCode::kOverloaded);
  }
  if (!std::exchange(state.pumping, true)) state.shard.spawn(pump(state_));
}

ConnectionMetadata FramedConnection::metadata() const {
  auto metadata = state_->stream->metadata();
  metadata.authority_key = state_->options.authority_key;
  return metadata;
}

std::size_t FramedConnection::queued_bytes() const { return state_->queue.size(); }

asio::awaitable<void> FramedConnection::drain(Duration deadline) {
  const auto state = state_;
  if (state->closed || std::exchange(state->draining, true)) co_return;
  asio::steady_timer step(state->shard.context(), deadline);
  state->drain_step = &step;
  boost::system::error_code woken;
  if (!state->queue.empty()) co_await step.async_wait(asio::redirect_error(asio::use_awaitable, woken));
  const bool flushed = state->queue.empty();
  if (!state->closed && flushed) {
    state->stream->finish();
    // Bytes that nobody reads would turn the end into a reset, which can destroy what is still on its way to the peer: read
    // until the peer ends too.
    if (state->receiving) {
      co_await step.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    } else {
      const Deadline limit(state->shard.context(), *state->stream, step.expiry() - now_from_system().instant);
      (void)co_await receive();
    }
  }
  state->drain_step = nullptr;
  state->end(CloseCode::kShutdown);
}

void FramedConnection::close(CloseCode code) { state_->end(code); }

}  // namespace adit::net
