// What a carrier hands over: the streams of one session, before anybody has proved who they are to Stratum V2.
#pragma once

#include <memory>
#include <optional>

#include "net/byte_stream.h"
#include "wire/common_messages.h"

namespace adit::net {

/// One stream, or the two lanes of a session with their prefaces behind them (docs/lanes.md §2).
struct Link {
  std::unique_ptr<ByteStream> stream;    ///< The only one, or control.
  std::unique_ptr<ByteStream> second{};  ///< Over lanes: data or bulk. Null: one stream carries all.
  /// What the carrier has settled: over lanes by the prefaces, over one stream of iroh by its ALPN. Over TCP nothing.
  std::optional<wire::Protocol> protocol{};

  [[nodiscard]] bool lanes() const { return second != nullptr; }
  void close(CloseCode code) {
    if (stream) stream->close(code);
    if (second) second->close(code);
  }
};

}  // namespace adit::net
