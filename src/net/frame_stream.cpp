#include "net/frame_stream.h"

#include <algorithm>
#include <utility>

namespace adit::net {
namespace {

/// One read. Large enough for a thousand shares, small enough that one peer's flood leaves the shard to others after a
/// millisecond.
constexpr std::size_t kReadSize = 64 * 1024;

}  // namespace

void FrameReader::drop_from_tail() {
  tail_.consume(std::exchange(tail_used_, 0));
  if (tail_.empty()) tail_.release();
}

Result<bool> FrameReader::read_some() {
  drop_used();
  auto& scratch = shard_.scratch();
  const std::size_t wanted = codec_.bytes_wanted();
  // A frame too large for one read is gathered in the reader's own tail, which grows by what has arrived; everything else is
  // opened in the shard's scratch, behind what was left over.
  const bool gather = wanted > kReadSize;
  auto& read = scratch.receive;
  read.clear();
  if (!gather) read.append(tail_.bytes());
  const std::size_t room = gather ? std::min(kReadSize, wanted - tail_.size()) : kReadSize;
  const auto got = stream_.try_read(read.extend(room));
  if (!got) return fail(got.error());
  read.shrink(room - *got);
  greedy_ = *got == room;
  batch_in_tail_ = gather;
  if (gather) {
    tail_.append(read.bytes());
    if (tail_.size() < wanted) return false;
  }

  scratch.frames.clear();
  auto& buffer = gather ? tail_ : read;
  const auto used = codec_.open(buffer.bytes(), scratch.frames);
  if (!used) return fail(Errc::kProtocol, used.error().message());
  if (gather) {
    tail_used_ = *used;  // the batch lies in the tail: dropped by the next call
  } else {
    const auto rest = Bytes(buffer.bytes()).subspan(*used);
    if (!rest.empty()) {
      tail_.clear();
      tail_.append(rest);
    } else if (tail_.capacity() != 0) {
      tail_.release();
    }
  }
  return !scratch.frames.empty();
}

void FrameReader::put_back(const wire::FrameView& first) {
  const std::uint8_t* from = first.payload.data() - wire::kHeaderSize;
  if (batch_in_tail_) {
    tail_used_ = static_cast<std::size_t>(from - tail_.bytes().data());
    return;
  }
  const Bytes read = shard_.scratch().receive.bytes();
  tail_.clear();
  tail_.append(read.subspan(static_cast<std::size_t>(from - read.data())));
}

Result<bool> FrameReader::reopen() {
  drop_used();
  auto& frames = shard_.scratch().frames;
  frames.clear();
  batch_in_tail_ = true;
  const auto used = codec_.open(tail_.bytes(), frames);
  if (!used) return fail(Errc::kProtocol, used.error().message());
  tail_used_ = *used;
  return !frames.empty();
}

bool FrameWriter::write(Bytes bytes) {
  if (queue_.empty()) {
    while (!bytes.empty()) {
      const auto taken = stream_.try_write(bytes);
      if (!taken) {
        if (!taken.error().is(Errc::kWouldBlock)) return false;
        break;
      }
      bytes = bytes.subspan(*taken);
    }
  }
  queue_.append(bytes);
  return true;
}

bool FrameWriter::flush() {
  while (!queue_.empty()) {
    const auto taken = stream_.try_write(queue_.bytes());
    if (!taken) return taken.error().is(Errc::kWouldBlock);
    queue_.consume(*taken);
  }
  queue_.release();
  return true;
}

}  // namespace adit::net
