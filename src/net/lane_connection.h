// A session over lanes as a NetworkConnection: two byte streams, one order (docs/lanes.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "net/byte_stream.h"
#include "net/connection.h"
#include "net/shards.h"
#include "session/protocols.h"

namespace adit::net {

struct LaneOptions {
  /// Of both lanes: more unsent bytes than this, and the peer is cut off. With an eighth of it on one lane that lane is not
  /// read, so that a peer which asks much before it reads is slowed down instead.
  std::size_t max_queued_bytes = 1 << 20;
  Duration stalled_deadline = std::chrono::seconds(30);     ///< So long without a lane taking a queued byte: likewise.
  Duration half_ended_deadline = std::chrono::seconds(10);  ///< For the other lane to end after one did.
  std::uint32_t max_payload = wire::kMaxPayload;            ///< A frame that declares more ends the session.
};

/// A NetworkConnection over two streams that have their prefaces behind them. Frames are plain: the carrier encrypts and has
/// authenticated. An idle one owns no buffer.
///
/// Besides the errors of NetworkConnection::receive: kProtocol when the peer breaks the order of lanes, kTimedOut when one lane
/// ended and the other did not in time. Either lane's failure ends the session.
class LaneConnection final : public NetworkConnection {
 public:
  LaneConnection(Shard& shard, std::unique_ptr<ByteStream> control, std::unique_ptr<ByteStream> second, wire::Protocol protocol,
                 LaneOptions options);
  ~LaneConnection() override;  ///< As close(kShutdown).

  asio::awaitable<Result<FrameBatch>> receive() override;
  void send(const wire::FrameBuffer& frames) override;
  [[nodiscard]] ConnectionMetadata metadata() const override;
  [[nodiscard]] std::optional<CarrierFigures> figures() const override;
  [[nodiscard]] std::size_t queued_bytes() const override;
  void count_in(Backlog& backlog, std::string_view source) override;
  asio::awaitable<void> drain(Duration deadline) override;
  void close(CloseCode code) override;

  /// For the metadata: whose endpoint certificate holds (empty: nobody's was looked at), and how long.
  void proved(std::string authority_key, UnixTime certificate_until);

 private:
  struct Half;
  struct State;
  static asio::awaitable<void> pump(std::shared_ptr<State> state, Half& half);
  static asio::awaitable<Result<void>> wait(std::shared_ptr<State> state);

  std::shared_ptr<State> state_;  ///< Shared with the pumps, which may end after the connection.
};

}  // namespace adit::net
