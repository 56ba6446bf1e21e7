// Reads and writes of a known size over any byte stream, for what comes before frames: handshakes and prefaces.
#pragma once

#include <cstddef>

#include <boost/asio/awaitable.hpp>

#include "base/bytes.h"
#include "base/result.h"
#include "net/byte_stream.h"

namespace adit::net {

/// Reads until `into` is full. `got` counts the bytes that have come, also when it fails. Errors: the stream's. Both `stream`
/// and what `into` views must outlive the call; a Deadline on the stream bounds it.
boost::asio::awaitable<Result<void>> read_exactly(ByteStream& stream, MutableBytes into, std::size_t& got);

/// Writes all of `from`. Errors: the stream's. Lifetimes and bounds as for read_exactly.
boost::asio::awaitable<Result<void>> write_all(ByteStream& stream, Bytes from);

}  // namespace adit::net
