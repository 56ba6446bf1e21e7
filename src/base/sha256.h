// SHA-256 (FIPS 180-4): one portable implementation, and the CPU's own instructions where it has them, chosen at run time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/bytes.h"

namespace adit {

using Sha256Digest = std::array<std::uint8_t, 32>;

/// The eight working words between blocks.
using Sha256State = std::array<std::uint32_t, 8>;

inline constexpr Sha256State kSha256InitialState = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

/// Absorbs `count` blocks of 64 bytes at `blocks` into `state`.
using Sha256Compress = void (*)(Sha256State& state, const std::uint8_t* blocks, std::size_t count);

/// The same for two messages at once, `count` blocks of each: where the CPU waits for one it works on the other.
using Sha256CompressTwo = void (*)(Sha256State& first, const std::uint8_t* first_blocks, Sha256State& second,
                                   const std::uint8_t* second_blocks, std::size_t count);

/// SHA-256 of the SHA-256 of a message: absorbs its last `count` blocks, padding included, into `state`, which stands behind
/// those before, and hashes the digest.
using Sha256Finish = void (*)(const Sha256State& state, const std::uint8_t* blocks, std::size_t count, Sha256Digest& digest);

/// The same of two messages.
using Sha256FinishTwo = void (*)(const Sha256State& first, const std::uint8_t* first_blocks, const Sha256State& second,
                                 const std::uint8_t* second_blocks, std::size_t count, std::array<Sha256Digest, 2>& digests);

/// One way to compute the compression function, which this build holds.
struct Sha256Implementation {
  std::string_view name;  ///< "portable", "avx", "sha-ni", "armv8".
  bool runs_here;         ///< The CPU has the instructions; calling `compress` without them is undefined.
  Sha256Compress compress;
  Sha256CompressTwo compress_two;
  Sha256Finish finish_twice;
  Sha256FinishTwo finish_twice_two;
};

/// All that were built for this architecture, "portable" first, the preferred last. Any thread.
std::span<const Sha256Implementation> sha256_implementations();

/// The last of sha256_implementations() that runs here; chosen once. Any thread.
const Sha256Implementation& sha256_implementation();

/// Incremental hashing. A value: copies continue independently. No allocation.
class Sha256 {
 public:
  /// `implementation` must outlive this object and run here.
  explicit Sha256(const Sha256Implementation& implementation = sha256_implementation()) : compress_(implementation.compress) {}

  Sha256& update(Bytes bytes);

  /// The digest of everything so far. Call once; the object is spent after it.
  Sha256Digest finish();

 private:
  Sha256Compress compress_;
  Sha256State state_ = kSha256InitialState;
  std::uint64_t size_ = 0;
  std::array<std::uint8_t, 64> block_{};
};

Sha256Digest sha256(Bytes bytes);

/// SHA-256 of the SHA-256: what Bitcoin and base58check use.
Sha256Digest sha256d(Bytes bytes);

}  // namespace adit
