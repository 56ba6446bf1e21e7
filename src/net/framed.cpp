#include "net/framed.h"

#include <algorithm>
#include <optional>

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "net/deadline.h"
#include "net/frame_stream.h"

namespace adit::net {
namespace {

/// Between the last frame and the end of the stream. SRI's programs may hang for ever, or burn a core, where a frame and the
/// end come together: their pool of buffers waits for a frame that nobody takes any more (buffer_sv2 3.0.1).
constexpr Duration kBeforeEnd = std::chrono::milliseconds(100);

std::unexpected<Error> slow_reader(const FramedOptions& options) {
  return fail(Errc::kSlowReader,
              "the peer does not read what it is sent: more than " + std::to_string(options.max_queued_bytes) +
                  " bytes waited for it, or none was taken for " +
                  std::to_string(std::chrono::duration_cast<std::chrono::seconds>(options.stalled_deadline).count()) + " s");
}

}  // namespace

struct FramedConnection::State final : Backlog::Queue {
  State(Shard& home, std::unique_ptr<ByteStream> bytes, std::unique_ptr<wire::FrameCodec> frames, FramedOptions limits)
      : shard(home),
        stream(std::move(bytes)),
        codec(std::move(frames)),
        reader(shard, *stream, *codec),
        writer(*stream),
        options(std::move(limits)) {}

  Shard& shard;
  std::unique_ptr<ByteStream> stream;
  std::unique_ptr<wire::FrameCodec> codec;
  FrameReader reader;
  FrameWriter writer;
  bool pumping = false;
  bool slow_reader = false;
  std::unique_ptr<const std::string> cut_because;  ///< By the backlog, if it was that.
  bool closed = false;
  bool receiving = false;  ///< A receive() is under way.
  bool draining = false;   ///< What still comes is dropped.
  /// Of a drain() that waits for the queue to empty, then for the end. Shared, since an abort unwinds that drain at any wait.
  std::shared_ptr<asio::steady_timer> drain_step;
  std::unique_ptr<asio::steady_timer> rest;  ///< Of a receive() that waits for the queue to shrink.
  FramedOptions options;

  void end(CloseCode code) {
    if (std::exchange(closed, true)) return;
    stream->close(code);
    writer.queue().release();
    leave();
    wake_drain();
    if (rest) rest->cancel();
  }
  void cut_off(std::string reason) override {
    slow_reader = true;
    cut_because = std::make_unique<const std::string>(std::move(reason));
    end(CloseCode::kOverloaded);
  }
  /// The peer asks faster than it reads what it is answered.
  [[nodiscard]] bool full() const { return writer.queue().size() > options.max_queued_bytes / 8; }
  void wake_drain() {
    if (drain_step) drain_step->cancel();
  }

  /// What receive() does next.
  enum class Step : std::uint8_t {
    kBatch,  ///< It returns the shard's batch.
    kWait,   ///< It waits until the stream is readable.
    kPause,  ///< It waits as pause() does.
    kOver,   ///< It fails, for the reason given.
  };
  /// Reads as far as receive() can go without waiting. `outcome`: of its last wait, and in the end why it fails.
  Step receive_some(Result<void>& outcome) {
    while (outcome) {
      if (full() && !closed) return Step::kPause;
      if (reader.greedy()) {
        reader.rested();
        return Step::kPause;
      }
      if (closed) {
        outcome = fail(Errc::kClosed, "closed here");
        break;
      }
      if (stream->may_read()) {
        auto batch = reader.read_some();
        if (batch) {
          if (!*batch || draining) continue;
          receiving = false;
          return Step::kBatch;
        }
        if (!batch.error().is(Errc::kWouldBlock)) {
          outcome = fail(std::move(batch.error()));
          break;
        }
      }
      reader.rested();
      return Step::kWait;
    }
    receiving = false;
    end(outcome.error().is(Errc::kProtocol) ? CloseCode::kProtocolError : CloseCode::kShutdown);
    if (cut_because) {
      outcome = fail(Errc::kSlowReader, *cut_because);
    } else if (slow_reader) {
      outcome = net::slow_reader(options);
    }
    return Step::kOver;
  }
};

FramedConnection::FramedConnection(Shard& shard, std::unique_ptr<ByteStream> stream, std::unique_ptr<wire::FrameCodec> codec,
                                   FramedOptions options)
    : state_(std::make_shared<State>(shard, std::move(stream), std::move(codec), std::move(options))) {}

FramedConnection::~FramedConnection() { close(CloseCode::kShutdown); }

/// Waits until receive() may go on: until the queue has shrunk, or others of the shard have had their turn.
asio::awaitable<void> FramedConnection::pause(std::shared_ptr<State> state) {
  if (state->full()) {
    state->rest = std::make_unique<asio::steady_timer>(state->shard.context(), asio::steady_timer::time_point::max());
    boost::system::error_code woken;
    co_await state->rest->async_wait(asio::redirect_error(asio::use_awaitable, woken));
    state->rest.reset();
  } else {
    co_await asio::post(state->shard.context(), asio::use_awaitable);
  }
}

// Its frame is what an idle connection keeps and what each wake touches: what is seldom needed is done elsewhere.
asio::awaitable<Result<FrameBatch>> FramedConnection::receive() {
  const auto state = state_;
  state->receiving = true;
  Result<void> outcome;
  for (;;) {
    const auto step = state->receive_some(outcome);
    if (step == State::Step::kBatch) co_return FrameBatch(state->shard.scratch().frames);
    if (step == State::Step::kOver) co_return fail(std::move(outcome.error()));
    if (step == State::Step::kPause) {
      co_await pause(state);
    } else {
      outcome = co_await state->stream->wait_readable();
    }
  }
}

/// Hands the queue to the carrier as far as it goes.
void FramedConnection::flush(const std::shared_ptr<State>& state) {
  const auto before = state->writer.queue().size();
  if (!state->writer.flush()) return state->end(CloseCode::kShutdown);
  const auto left = state->writer.queue().size();
  state->report(left, left != before);
  if (state->writer.queue().empty()) state->wake_drain();
  if (state->rest && !state->full()) state->rest->cancel();
}

asio::awaitable<void> FramedConnection::pump(std::shared_ptr<State> state) {
  while (!state->closed && !state->writer.queue().empty()) {
    const auto before = state->writer.queue().size();
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
    if (!state->closed && state->writer.queue().size() == before)
      co_await asio::post(state->shard.context(), asio::use_awaitable);
  }
  state->pumping = false;
}

void FramedConnection::send(const wire::FrameBuffer& frames) {
  auto& state = *state_;
  // Once drained, the stream is finished: what is sent then would only break it off.
  if (state.closed || state.draining || frames.empty()) return;
  // What is queued goes first, so new bytes join it; otherwise they need not be kept at all.
  auto& queue = state.writer.queue();
  const bool behind = !queue.empty();
  auto& sealed = behind ? queue : state.shard.scratch().send;
  if (!behind) sealed.clear();
  if (!state.codec->seal(frames, sealed)) return state.end(CloseCode::kProtocolError);
  if (!behind) {
    if (!state.writer.write(sealed.bytes())) return state.end(CloseCode::kShutdown);
    if (queue.empty()) return;
  }
  if (queue.size() > state.options.max_queued_bytes) {
    state.slow_reader = true;
    return state.end(CloseCode::kOverloaded);
  }
  state.report(queue.size());
  if (state.closed) return;
  if (!std::exchange(state.pumping, true)) state.shard.spawn(pump(state_));
}

ConnectionMetadata FramedConnection::metadata() const {
  auto metadata = state_->stream->metadata();
  metadata.authority_key = state_->options.authority_key;
  metadata.certificate_until = state_->options.certificate_until;
  return metadata;
}

std::optional<CarrierFigures> FramedConnection::figures() const { return state_->stream->figures(); }

std::size_t FramedConnection::queued_bytes() const { return state_->writer.queue().size(); }

void FramedConnection::count_in(Backlog& backlog, std::string_view source) {
  if (state_->closed) return;
  state_->join(backlog, source);
  state_->report(queued_bytes());
}

asio::awaitable<void> FramedConnection::drain(Duration deadline) {
  const auto state = state_;
  if (state->closed || std::exchange(state->draining, true)) co_return;
  const auto step = std::make_shared<asio::steady_timer>(state->shard.context(), deadline);
  state->drain_step = step;
  boost::system::error_code woken;
  if (!state->writer.queue().empty()) co_await step->async_wait(asio::redirect_error(asio::use_awaitable, woken));
  const bool flushed = state->writer.queue().empty();
  if (!state->closed && flushed) {
    const auto until = step->expiry();
    step->expires_at(std::min(until, now_from_system().instant + kBeforeEnd));
    co_await step->async_wait(asio::redirect_error(asio::use_awaitable, woken));
    step->expires_at(until);
  }
  if (!state->closed && flushed) {
    state->stream->finish();
    // Bytes that nobody reads would turn the end into a reset, which can destroy what is still on its way to the peer: read
    // until the peer ends too.
    if (state->receiving) {
      co_await step->async_wait(asio::redirect_error(asio::use_awaitable, woken));
    } else {
      const Deadline limit(state->shard.context(), *state->stream, step->expiry() - now_from_system().instant);
      (void)co_await receive();
    }
  }
  state->drain_step.reset();
  state->end(CloseCode::kShutdown);
}

void FramedConnection::close(CloseCode code) { state_->end(code); }

}  // namespace adit::net
