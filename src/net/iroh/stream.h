// One bi stream of one iroh connection.
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "net/byte_stream.h"
#include "net/iroh/event_loop.h"
#include "net/iroh/shared_connection.h"

namespace adit::net {

/// What Asio calls it: eof for kEndOfStream, connection_reset, operation_aborted for kClosed, timed_out; io_error
/// for the rest.
boost::system::error_code asio_error(const Error& error);

/// A bi stream as a ByteStream, and as Asio's AsyncReadStream and AsyncWriteStream, so that Beast or any other Asio code runs
/// over it. Its connection is kept, so that its paths can be read for as long as the stream is open. To be used on the thread
/// of the loop's shard alone; one reader and one writer at a time, of either kind.
///
/// One that has its connection to itself ends it by close(), which still delivers what was taken before: when the peer's QUIC
/// has all of it, or after a second. One that is a lane among others ends alone: with kShutdown what was taken is delivered and
/// no more is read, any other code resets and stops it. Not final: Asio derives from what it examines.
class IrohStream : public ByteStream, private EventLoop::Waiter {
 public:
  /// The connection is its own. Both handles are DONE and on `loop`.
  IrohStream(std::shared_ptr<EventLoop> loop, BridgeHandle connection, BridgeHandle stream);
  /// One lane among others of `connection`, on whose loop `stream` is DONE. `priority`: see adit_stream_set_priority.
  IrohStream(std::shared_ptr<SharedConnection> connection, BridgeHandle stream, std::int32_t priority = 0);
  ~IrohStream() override;
  IrohStream(const IrohStream&) = delete;
  IrohStream& operator=(const IrohStream&) = delete;

  using executor_type = asio::io_context::executor_type;
  executor_type get_executor() { return loop_->shard().context().get_executor(); }

  /// Asio's model of a stream, for programs that use the library: completes with (error_code, std::size_t). All kinds of
  /// cancellation end it with operation_aborted, nothing read or written, the stream as it was: so asio::cancel_after is its
  /// deadline. Destroying the stream ends it likewise.
  template <class MutableBuffers, class Token>
  auto async_read_some(const MutableBuffers& buffers, Token&& token) {
    return asio::async_compose<Token, void(boost::system::error_code, std::size_t)>(
        Transfer<MutableBuffers>{this, reading_, buffers}, token, get_executor());
  }
  template <class ConstBuffers, class Token>
  auto async_write_some(const ConstBuffers& buffers, Token&& token) {
    return asio::async_compose<Token, void(boost::system::error_code, std::size_t)>(
        Transfer<ConstBuffers>{this, writing_, buffers}, token, get_executor());
  }

  Result<std::size_t> try_read(MutableBytes into) override;
  Result<std::size_t> try_write(Bytes from) override;

  /// As try_write, of the beginning of all parts (some byte in all, at most 64 KiB of them at a time) in one go.
  Result<std::size_t> try_write(std::span<const Bytes> parts);

  /// Bytes where they arrived, until destroyed; they outlive the stream, not the node.
  class Pieces {
   public:
    [[nodiscard]] std::span<const Bytes> parts() const { return std::span(parts_).first(count_); }

   private:
    friend class IrohStream;
    BridgeHandle owner_;
    std::array<Bytes, 64> parts_;
    std::size_t count_ = 0;
  };
  /// As try_read, without a copy: worth it from some kilobytes on. For programs that use the library, as
  /// are reset_sending and stop_reading.
  Result<Pieces> try_read_pieces();

  /// Of a lane: the session it belongs to, held until the stream is closed.
  void join(std::shared_ptr<void> session) { session_ = std::move(session); }
  void set_priority(std::int32_t priority);

  /// Abandons what we send: the peer's reads end with the code. Later writes fail with kClosed; reading goes on.
  void reset_sending(CloseCode code);
  /// Wants nothing more: the peer's writes end with the code. Later reads fail with kClosed; writing goes on.
  void stop_reading(CloseCode code);

  asio::awaitable<Result<void>> wait_readable() override;
  asio::awaitable<Result<void>> wait_writable() override;
  bool wake_when_readable(const std::shared_ptr<asio::steady_timer>& woken) override;
  void finish() override;
  void close(CloseCode code) override;
  [[nodiscard]] ConnectionMetadata metadata() const override;
  [[nodiscard]] std::optional<CarrierFigures> figures() const override;

 private:
  /// One direction's readiness: blocked from ADIT_AGAIN until the bridge's event. Shared with the coroutine that waits.
  struct Readiness {
    explicit Readiness(asio::io_context& context) : woken(context, asio::steady_timer::time_point::max()) {}
    asio::steady_timer woken;
    std::shared_ptr<asio::steady_timer> other;  ///< Of who waits for this and for more.
    bool blocked = false;
    bool closed = false;

    void wake() {
      blocked = false;
      woken.cancel();
      if (other) std::exchange(other, nullptr)->cancel();
    }
    void close() {
      closed = true;
      wake();
    }
  };

  /// An asynchronous read or write of Asio's: tried at once, and again whenever the bridge says so.
  template <class Buffers>
  struct Transfer {
    IrohStream* stream;  ///< Not to be touched once the direction is closed: it may be gone.
    std::shared_ptr<Readiness> direction;
    Buffers buffers;
    bool begun = false;
    std::optional<std::pair<boost::system::error_code, std::size_t>> outcome{};

    template <class Self>
    void operator()(Self& self, boost::system::error_code = {}, std::size_t = 0) {
      if (outcome) return self.complete(outcome->first, outcome->second);
      const bool first = !std::exchange(begun, true);
      if (first) self.reset_cancellation_state(asio::enable_total_cancellation());
      if (!first && (direction->closed || self.cancelled() != asio::cancellation_type::none)) {
        return self.complete(asio::error::operation_aborted, 0);
      }
      const auto moved = asio::buffer_size(buffers) == 0 ? Result<std::size_t>(0) : stream->move_some(buffers);
      if (!moved && moved.error().is(Errc::kWouldBlock)) {
        auto& woken = direction->woken;
        return woken.async_wait(std::move(self));
      }
      outcome.emplace(moved ? boost::system::error_code() : asio_error(moved.error()), moved ? *moved : 0);
      if (!first) return self.complete(outcome->first, outcome->second);
      // Never completed from within the call that began it.
      const auto executor = stream->get_executor();
      asio::post(executor, std::move(self));
    }
  };

  template <class Buffers>
  Result<std::size_t> move_some(const Buffers& buffers) {
    if constexpr (asio::is_mutable_buffer_sequence<Buffers>::value) {
      const auto end = asio::buffer_sequence_end(buffers);
      const auto into = std::find_if(asio::buffer_sequence_begin(buffers), end,
                                     [](const asio::mutable_buffer& each) { return each.size() > 0; });
      const asio::mutable_buffer buffer(*into);
      return try_read(MutableBytes(static_cast<std::uint8_t*>(buffer.data()), buffer.size()));
    } else {
      std::array<Bytes, 16> parts;
      std::size_t count = 0;
      for (auto at = asio::buffer_sequence_begin(buffers); at != asio::buffer_sequence_end(buffers) && count < parts.size();
           ++at) {
        const asio::const_buffer buffer(*at);
        if (buffer.size() > 0) parts[count++] = Bytes(static_cast<const std::uint8_t*>(buffer.data()), buffer.size());
      }
      return try_write(std::span<const Bytes>(parts.data(), count));
    }
  }

  void on_event(std::uint32_t ready, std::int32_t result) override;
  static asio::awaitable<Result<void>> wait(std::shared_ptr<Readiness> direction);
  Result<std::size_t> written(std::int64_t result, std::uint64_t code);
  std::unexpected<Error> end(std::int64_t result, std::uint64_t code);

  std::shared_ptr<EventLoop> loop_;
  std::shared_ptr<SharedConnection> connection_;  ///< Null once closed.
  bool lane_;
  std::shared_ptr<void> session_;
  BridgeHandle stream_;
  std::shared_ptr<Readiness> reading_;
  std::shared_ptr<Readiness> writing_;
  std::optional<Error> end_of_reading_;  ///< The peer finished or we want no more; we may still write.
  std::optional<Error> end_of_writing_;  ///< We finished or abandoned it; we may still read.
  std::optional<Error> failure_;         ///< Ended both ways.
  ConnectionMetadata last_;              ///< What was known when it was closed; before that its unchanging part.
  std::uint64_t bytes_received_ = 0;
  std::uint64_t bytes_sent_ = 0;
};

/// What a bi stream of `connection`, which is on `loop`, could not be opened for: `result`, of adit_stream_open (`stream` is 0)
/// or of the event that follows. If the connection has ended, why, as its streams say it: what the peer said last may be that
/// it wants none of us, and whoever asks for a stream first is who hears it.
Error open_error(const EventLoop& loop, adit_handle connection, std::int32_t result, adit_handle stream);

}  // namespace adit::net
