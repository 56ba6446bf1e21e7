// Frames over one byte stream, each direction by itself: what a FramedConnection has once and a connection over lanes twice.
#pragma once

#include <cstddef>

#include "net/byte_stream.h"
#include "net/shards.h"
#include "wire/frame.h"

namespace adit::net {

/// Reads frames. Owns no buffer while no frame is incomplete: reading and the batch use the shard's scratch. The start of an
/// incomplete frame is kept, growing with what arrives, never with what a frame declares.
class FrameReader {
 public:
  /// All three must outlive the reader. To be used on the shard's thread.
  FrameReader(Shard& shard, ByteStream& stream, wire::FrameCodec& codec) : shard_(shard), stream_(stream), codec_(codec) {}

  /// Reads once and opens what came. True: the shard's scratch holds the frames, valid until the caller suspends or calls
  /// again. Errors: the stream's (kWouldBlock among them); kProtocol for what the codec refuses.
  Result<bool> read_some();

  /// Gives back the last batch from `first`, one of its frames, on. With a codec that changes nothing in opening (plain) only.
  void put_back(const wire::FrameView& first);

  /// Opens what was given back, without reading. As read_some.
  Result<bool> reopen();

  /// The last read filled its buffer: others of the shard should run before the next.
  [[nodiscard]] bool greedy() const { return greedy_; }
  /// The reader goes on to wait: the last batch is not needed any more, and what was kept for it is given back.
  void rested() {
    drop_used();
    greedy_ = false;
  }

 private:
  void drop_used() {
    if (tail_used_ != 0) drop_from_tail();
  }
  void drop_from_tail();

  Shard& shard_;
  ByteStream& stream_;
  wire::FrameCodec& codec_;
  wire::ByteBuffer tail_;      ///< The start of a frame that has not come whole, or what was given back.
  std::size_t tail_used_ = 0;  ///< Bytes of the tail that the batch given out last lies in.
  bool batch_in_tail_ = false;
  bool greedy_ = false;
};

/// Sends bytes and keeps what the carrier does not take.
class FrameWriter {
 public:
  /// Must outlive the writer.
  explicit FrameWriter(ByteStream& stream) : stream_(stream) {}

  /// Hands `bytes` over, behind what is queued. False: the stream is dead.
  bool write(Bytes bytes);

  /// Hands over what is queued, as far as it goes. False: the stream is dead.
  bool flush();

  /// Sealed, not taken by the carrier. May be appended to while not empty.
  [[nodiscard]] wire::ByteBuffer& queue() { return queue_; }
  [[nodiscard]] const wire::ByteBuffer& queue() const { return queue_; }

 private:
  ByteStream& stream_;
  wire::ByteBuffer queue_;
};

}  // namespace adit::net
