// Cuts a byte stream into lines, whatever the chunks, within a bound.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "sv1/error.h"

namespace adit::sv1 {

/// Longest line taken, without its end. The longest that a miner sends is below 1 KiB; a notify of a full block about 10 KiB.
inline constexpr std::size_t kMaxLine = 16 * 1024;

/// Longest line taken from a pool: the coinbase of a job that pays many has kilobytes.
inline constexpr std::size_t kMaxServerLine = 512 * 1024;

/// Not thread-safe. Memory grows with what is pending, never beyond the limit. Feed and drain in turn:
///   while (!bytes.empty()) { bytes = bytes.subspan(reader.feed(bytes)); while (auto line = next()) ... }
class LineReader {
 public:
  explicit LineReader(std::size_t limit = kMaxLine) : limit_(limit) {}

  /// Takes a prefix of `bytes` and returns its length: all of it, unless `limit` bytes wait to be returned by next().
  std::size_t feed(Bytes bytes);

  /// The next whole line without its end, stripped of blanks and control characters at both ends (the CR of some firmware);
  /// empty lines are skipped. nullopt: no whole line yet. The view is valid until the next call of feed().
  /// Errors: kLineTooLong, when `limit` bytes hold no line end.
  Result<std::optional<std::string_view>> next();

 private:
  std::size_t limit_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0;    ///< First byte not returned.
  std::size_t scanned_ = 0;  ///< No line end between begin_ and this.
};

}  // namespace adit::sv1
