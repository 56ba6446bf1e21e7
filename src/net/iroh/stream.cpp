#include "net/iroh/stream.h"

#include <algorithm>
#include <string>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace adit::net {
namespace {

/// How long a closed connection may still deliver. One round trip and an acknowledgement's delay, unless packets are lost.
constexpr std::uint32_t kLingerMs = 1000;

std::string_view meaning(std::uint64_t code) {
  switch (code) {
    case 0:
      return "without goodbye";
    case static_cast<std::uint64_t>(CloseCode::kShutdown):
      return "shutting down";
    case static_cast<std::uint64_t>(CloseCode::kUnauthorized):
      return "unauthorized";
    case static_cast<std::uint64_t>(CloseCode::kProtocolError):
      return "protocol error";
    case static_cast<std::uint64_t>(CloseCode::kOverloaded):
      return "overloaded";
    case static_cast<std::uint64_t>(CloseCode::kDuplicate):
      return "duplicate";
    default:
      return "for a reason we do not know";
  }
}

std::string with_meaning(std::string text, std::uint64_t code) {
  return std::move(text) + " (" + std::to_string(code) + ", " + std::string(meaning(code)) + ")";
}

/// Of a connection that has.
Error why_ended(adit_handle connection) {
  adit_close_reason reason;
  if (adit_connection_close_reason(connection, &reason) != ADIT_OK) return Error(Errc::kReset, "the connection has ended");
  const std::string words(reason.reason, reason.reason_len);
  switch (reason.kind) {
    case ADIT_CLOSE_BY_US:  // and neither this stream nor the whole node was ended
      return Error(Errc::kReset, "this iroh endpoint was built anew, because it had lost its relay");
    case ADIT_CLOSE_BY_PEER: {
      const auto is = [&reason](CloseCode code) { return reason.code == static_cast<std::uint64_t>(code); };
      return Error(is(CloseCode::kShutdown)       ? Errc::kEndOfStream
                   : is(CloseCode::kUnauthorized) ? Errc::kDenied
                                                  : Errc::kReset,
                   with_meaning("the peer closed the connection", reason.code) + (words.empty() ? "" : ": " + words));
    }
    case ADIT_CLOSE_TIMED_OUT:
      return Error(Errc::kTimedOut, "the peer has not been heard for the idle timeout");
    case ADIT_CLOSE_RESET:
      return Error(Errc::kReset, "the peer no longer knows the connection: it has restarted");
    default:
      return Error(Errc::kReset,
                   "QUIC ended the connection (" + std::to_string(reason.code) + ")" + (words.empty() ? "" : ": " + words));
  }
}

}  // namespace

boost::system::error_code asio_error(const Error& error) {
  if (error.is(Errc::kEndOfStream)) return asio::error::eof;
  if (error.is(Errc::kReset)) return asio::error::connection_reset;
  if (error.is(Errc::kClosed)) return asio::error::operation_aborted;
  if (error.is(Errc::kTimedOut)) return asio::error::timed_out;
  return boost::system::errc::make_error_code(boost::system::errc::io_error);
}

IrohStream::IrohStream(std::shared_ptr<EventLoop> loop, BridgeHandle connection, BridgeHandle stream)
    : IrohStream(std::make_shared<SharedConnection>(std::move(loop), std::move(connection), nullptr), std::move(stream)) {
  lane_ = false;
}

IrohStream::IrohStream(std::shared_ptr<SharedConnection> connection, BridgeHandle stream, std::int32_t priority)
    : loop_(connection->loop()),
      connection_(std::move(connection)),
      lane_(true),
      stream_(std::move(stream)),
      reading_(std::make_shared<Readiness>(loop_->shard().context())),
      writing_(std::make_shared<Readiness>(loop_->shard().context())) {
  loop_->watch(stream_.get(), *this);
  if (priority != 0) set_priority(priority);
  last_.transport = Transport::kIroh;
  last_.alpn = connection_->alpn();
  last_.opened_at = now_from_system().instant;
}

void IrohStream::set_priority(std::int32_t priority) { (void)adit_stream_set_priority(stream_.get(), priority); }

IrohStream::~IrohStream() { IrohStream::close(CloseCode::kShutdown); }

Result<std::size_t> IrohStream::try_read(MutableBytes into) {
  if (failure_) return fail(*failure_);
  if (end_of_reading_) return fail(*end_of_reading_);
  std::uint64_t code = 0;
  const auto got = adit_stream_read(stream_.get(), into.data(), into.size(), &code);
  if (got > 0) {
    bytes_received_ += static_cast<std::uint64_t>(got);
    return static_cast<std::size_t>(got);
  }
  if (got == ADIT_AGAIN) {
    reading_->blocked = true;
    return fail(Errc::kWouldBlock, {});
  }
  return end(got, code);
}

Result<IrohStream::Pieces> IrohStream::try_read_pieces() {
  if (failure_) return fail(*failure_);
  if (end_of_reading_) return fail(*end_of_reading_);
  std::array<adit_bytes, std::tuple_size_v<decltype(Pieces::parts_)>> raw;
  std::uint64_t code = 0;
  adit_handle owner = 0;
  const auto got = adit_stream_read_pieces(stream_.get(), raw.data(), raw.size(), &code, &owner);
  if (got == ADIT_AGAIN) {
    reading_->blocked = true;
    return fail(Errc::kWouldBlock, {});
  }
  if (got < 0) return end(got, code);
  Pieces pieces;
  pieces.owner_ = BridgeHandle(owner);
  pieces.count_ = static_cast<std::size_t>(got);
  for (std::size_t i = 0; i < pieces.count_; ++i) {
    pieces.parts_[i] = Bytes(raw[i].data, raw[i].len);
    bytes_received_ += raw[i].len;
  }
  return pieces;
}

Result<std::size_t> IrohStream::try_write(Bytes from) {
  if (failure_) return fail(*failure_);
  if (end_of_writing_) return fail(*end_of_writing_);
  std::uint64_t code = 0;
  const auto taken = adit_stream_write(stream_.get(), from.data(), from.size(), &code);
  return written(taken, code);
}

Result<std::size_t> IrohStream::try_write(std::span<const Bytes> parts) {
  if (failure_) return fail(*failure_);
  if (end_of_writing_) return fail(*end_of_writing_);
  std::array<adit_bytes, 16> raw;
  const auto count = std::min(parts.size(), raw.size());
  for (std::size_t i = 0; i < count; ++i) raw[i] = {parts[i].data(), parts[i].size()};
  std::uint64_t code = 0;
  const auto taken = adit_stream_writev(stream_.get(), raw.data(), count, &code);
  return written(taken, code);
}

Result<std::size_t> IrohStream::written(std::int64_t result, std::uint64_t code) {
  if (result > 0) {
    bytes_sent_ += static_cast<std::uint64_t>(result);
    return static_cast<std::size_t>(result);
  }
  if (result == ADIT_AGAIN) {
    writing_->blocked = true;
    return fail(Errc::kWouldBlock, {});
  }
  return end(result, code);
}

std::unexpected<Error> IrohStream::end(std::int64_t result, std::uint64_t code) {
  if (loop_->leaving()) {  // what the peer answers to that is no news
    failure_ = Error(Errc::kClosed, "iroh was shut down here");
    return fail(*failure_);
  }
  if (result == ADIT_FIN) {
    end_of_reading_ = Error(Errc::kEndOfStream, "the peer finished the stream");
    return fail(*end_of_reading_);
  }
  switch (result) {
    case ADIT_RESET:
      failure_ = Error(Errc::kReset, with_meaning("the peer reset the stream", code));
      break;
    case ADIT_STOPPED:
      failure_ = Error(Errc::kReset, with_meaning("the peer stopped reading", code));
      break;
    case ADIT_CLOSED:
      failure_ = connection_->closed_here() ? *connection_->closed_here() : why_ended(connection_->handle());
      break;
    case ADIT_STALE:
      failure_ = Error(Errc::kClosed, "iroh was shut down here");
      break;
    default:
      failure_ = bridge_error(static_cast<std::int32_t>(result), stream_.get(), "the stream failed inside iroh");
      break;
  }
  return fail(*failure_);
}

void IrohStream::on_event(std::uint32_t ready, std::int32_t) {
  if ((ready & ADIT_READY_READABLE) != 0) reading_->wake();
  if ((ready & ADIT_READY_WRITABLE) != 0) writing_->wake();
}

asio::awaitable<Result<void>> IrohStream::wait(std::shared_ptr<Readiness> direction) {
  // A coroutine that Asio cancels throws at its next wait, so whatever ends this one is looked at here.
  while (direction->blocked && !direction->closed) co_await direction->woken.async_wait(asio::as_tuple(asio::use_awaitable));
  if (direction->closed) co_return fail(Errc::kClosed, "closed here");
  co_return Result<void>();
}

asio::awaitable<Result<void>> IrohStream::wait_readable() { return wait(reading_); }
asio::awaitable<Result<void>> IrohStream::wait_writable() { return wait(writing_); }

bool IrohStream::wake_when_readable(const std::shared_ptr<asio::steady_timer>& woken) {
  if (!reading_->blocked || reading_->closed) return false;
  reading_->other = woken;
  return true;
}

void IrohStream::finish() {
  // A stream that was finished or lost before has nothing left to finish.
  (void)adit_stream_finish(stream_.get());
  if (!end_of_writing_) end_of_writing_ = Error(Errc::kClosed, "the stream was finished here");
}

void IrohStream::reset_sending(CloseCode code) {
  (void)adit_stream_reset(stream_.get(), static_cast<std::uint64_t>(code));
  end_of_writing_ = Error(Errc::kClosed, "what was being sent was abandoned here");
  writing_->wake();
}

void IrohStream::stop_reading(CloseCode code) {
  (void)adit_stream_stop(stream_.get(), static_cast<std::uint64_t>(code));
  end_of_reading_ = Error(Errc::kClosed, "no more was wanted here");
  reading_->wake();
}

void IrohStream::close(CloseCode code) {
  if (stream_.get() == 0) return;
  last_ = IrohStream::metadata();
  loop_->forget(stream_.get());
  const auto number = static_cast<std::uint64_t>(code);
  if (lane_) {
    // Finished before, or broken: then there is nothing to deliver.
    if (code == CloseCode::kShutdown) (void)adit_stream_finish(stream_.get());
    // Perhaps we gave it up because nothing is heard any more: what begins anew must not wait for that.
    if (code != CloseCode::kShutdown || !end_of_reading_ || !end_of_reading_->is(Errc::kEndOfStream)) connection_->doubt();
    (void)adit_release(stream_.give_up(), number);
  } else if (adit_close_when_delivered(connection_->handle(), stream_.get(), number, kLingerMs) == ADIT_OK) {
    connection_->give_up();
    stream_.give_up();
  } else {
    stream_.reset();
  }
  connection_.reset();
  session_.reset();
  failure_ = Error(Errc::kClosed, "closed here");
  reading_->close();
  writing_->close();
}

ConnectionMetadata IrohStream::metadata() const {
  auto metadata = last_;
  metadata.bytes_received = bytes_received_;
  metadata.bytes_sent = bytes_sent_;
  if (!connection_) return metadata;
  if (lane_) metadata.sessions = static_cast<unsigned>(connection_->sessions());
  connection_->describe(metadata);
  return metadata;
}

std::optional<CarrierFigures> IrohStream::figures() const { return connection_ ? connection_->figures() : std::nullopt; }

Error open_error(const EventLoop& loop, adit_handle connection, std::int32_t result, adit_handle stream) {
  if (result == ADIT_CLOSED && !loop.leaving()) return why_ended(connection);
  return bridge_error(result, stream, "cannot open a stream");
}

}  // namespace adit::net
