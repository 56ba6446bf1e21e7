// One bi stream of one iroh connection.
#pragma once

#include <memory>
#include <optional>

#include <boost/asio/steady_timer.hpp>

#include "net/byte_stream.h"
#include "net/iroh/event_loop.h"

namespace adit::net {

/// A bi stream that has its connection to itself, as a ByteStream. The connection's handle is kept, so that its paths can be
/// read for as long as the stream is open. To be used on the thread of the loop's shard alone.
///
/// close() still delivers what was taken before: the connection ends when the peer's QUIC has all of it, or after a second.
class IrohStream final : public ByteStream, private EventLoop::Waiter {
 public:
  /// Both handles are DONE and on `loop`.
  IrohStream(std::shared_ptr<EventLoop> loop, BridgeHandle connection, BridgeHandle stream);
  ~IrohStream() override;
  IrohStream(const IrohStream&) = delete;
  IrohStream& operator=(const IrohStream&) = delete;

  Result<std::size_t> try_read(MutableBytes into) override;
  Result<std::size_t> try_write(Bytes from) override;
  asio::awaitable<Result<void>> wait_readable() override;
  asio::awaitable<Result<void>> wait_writable() override;
  void finish() override;
  void close(CloseCode code) override;
  [[nodiscard]] ConnectionMetadata metadata() const override;

 private:
  /// One direction's readiness: blocked from ADIT_AGAIN until the bridge's event. Shared with the coroutine that waits.
  struct Readiness {
    explicit Readiness(asio::io_context& context) : woken(context, asio::steady_timer::time_point::max()) {}
    asio::steady_timer woken;
    bool blocked = false;
    bool closed = false;

    void wake() {
      blocked = false;
      woken.cancel();
    }
    void close() {
      closed = true;
      woken.cancel();
    }
  };

  void on_event(std::uint32_t ready, std::int32_t result) override;
  static asio::awaitable<Result<void>> wait(std::shared_ptr<Readiness> direction);
  std::unexpected<Error> end(std::int64_t result, std::uint64_t code);
  Error why_closed() const;

  std::shared_ptr<EventLoop> loop_;
  BridgeHandle connection_;
  BridgeHandle stream_;
  std::shared_ptr<Readiness> reading_;
  std::shared_ptr<Readiness> writing_;
  std::optional<Error> end_of_reading_;  ///< The peer finished; we may still write.
  std::optional<Error> failure_;         ///< Ended both ways.
  ConnectionMetadata last_;              ///< What was known when it was closed; before that its unchanging part.
  std::uint64_t bytes_received_ = 0;
  std::uint64_t bytes_sent_ = 0;
};

}  // namespace adit::net
