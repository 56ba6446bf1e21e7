// Frames over any byte stream, plain or encrypted: the NetworkConnection that both carriers share.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/byte_stream.h"
#include "net/connection.h"
#include "net/shards.h"
#include "wire/frame.h"

namespace adit::net {

struct FramedOptions {
  /// More unsent bytes than this: the peer does not read, and is cut off. From an eighth of it on nothing more is received, so
  /// that a peer which asks much before it reads is slowed down instead.
  std::size_t max_queued_bytes = 1 << 20;
  Duration stalled_deadline = std::chrono::seconds(30);  ///< So long without the carrier taking a queued byte: likewise.
  std::optional<UnixTime> certificate_until{};           ///< For the metadata, too.
  std::string authority_key{};                           ///< For the metadata: whose certificate was proved.
};

/// A NetworkConnection over `stream`, whose frames `codec` seals and opens.
///
/// An idle connection owns no buffer: reading, sealing and the batch use the shard's scratch. What is kept is the incomplete
/// frame at the end of a read (it grows as bytes arrive, never by what a frame declares) and what the carrier did not take.
class FramedConnection final : public NetworkConnection {
 public:
  /// To be used on the thread of `shard` alone; `stream` lives there.
  FramedConnection(Shard& shard, std::unique_ptr<ByteStream> stream, std::unique_ptr<wire::FrameCodec> codec,
                   FramedOptions options);
  ~FramedConnection() override;  ///< As close(kShutdown).

  asio::awaitable<Result<FrameBatch>> receive() override;
  void send(const wire::FrameBuffer& frames) override;
  [[nodiscard]] ConnectionMetadata metadata() const override;
  [[nodiscard]] std::optional<CarrierFigures> figures() const override;
  [[nodiscard]] std::size_t queued_bytes() const override;
  void count_in(Backlog& backlog, std::string_view source) override;
  asio::awaitable<void> drain(Duration deadline) override;
  void close(CloseCode code) override;

 private:
  struct State;
  static asio::awaitable<void> pause(std::shared_ptr<State> state);
  static asio::awaitable<void> pump(std::shared_ptr<State> state);
  static void flush(const std::shared_ptr<State>& state);

  std::shared_ptr<State> state_;  ///< Shared with the pump, which may end after the connection.
};

}  // namespace adit::net
