// Double SHA-256, as Bitcoin uses it for headers, transactions and merkle trees. SHA-256 itself is in base/sha256.h.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/sha256.h"

namespace adit::bitcoin {

/// A hash in internal byte order (as hashed and as in block headers); printed reversed.
using Hash256 = std::array<std::uint8_t, 32>;

using adit::sha256;
using adit::sha256d;

inline constexpr std::size_t kHeaderSize = 80;

/// SHA-256's state after the first 64 bytes of a block header: version, previous hash and all but the last four bytes of the
/// merkle root. Whoever tries many nonces or ntimes over one merkle root keeps it. A value; no allocation.
class HeaderMidstate {
 public:
  /// Of no header.
  HeaderMidstate() : state_(kSha256InitialState) {}
  explicit HeaderMidstate(std::span<const std::uint8_t, 64> first_bytes);

  /// The block hash for the header's other 16 bytes: the merkle root's last four, ntime, nbits, nonce.
  [[nodiscard]] Hash256 hash(std::span<const std::uint8_t, 16> last_bytes) const;

  [[nodiscard]] const Sha256State& state() const { return state_; }

 private:
  Sha256State state_;
};

/// The block hash of a serialized header. No allocation.
Hash256 sha256d_header(std::span<const std::uint8_t, kHeaderSize> header);

/// Of two things hashed at once, which costs little more than one where the CPU has instructions for SHA-256.
using TwoHashes = std::array<Hash256, 2>;

/// A header as SHA-256 reads it: two blocks, padded, in the words of 16 bytes that are loaded at once. A word that was just put
/// together from narrower ones would be waited for, so fields are changed in a word's register. A value; no allocation.
class PaddedHeader {
 public:
  /// Of no header: every byte is anything.
  PaddedHeader() = default;
  explicit PaddedHeader(std::span<const std::uint8_t, kHeaderSize> header);
  /// Of that header but for what a miner changes.
  PaddedHeader(std::span<const std::uint8_t, kHeaderSize> header, std::uint32_t version, std::uint32_t ntime,
               std::uint32_t nonce);

  void set_merkle_root(const Hash256& root);

  /// The block hash.
  [[nodiscard]] Hash256 hash() const;
  /// As hash(); `midstate` is of this header's first 64 bytes, which are not looked at.
  [[nodiscard]] Hash256 hash(const HeaderMidstate& midstate) const;
  /// Of two at once.
  static TwoHashes hash(const PaddedHeader& first, const PaddedHeader& second);
  static TwoHashes hash(const PaddedHeader& first, const HeaderMidstate& first_midstate, const PaddedHeader& second,
                        const HeaderMidstate& second_midstate);

 private:
  using Word [[gnu::vector_size(16)]] = std::uint32_t;

  [[nodiscard]] const std::uint8_t* bytes() const { return reinterpret_cast<const std::uint8_t*>(words_.data()); }

  std::array<Word, 8> words_;  ///< In the order of their bytes.
};

/// The parent of two nodes of a merkle tree. No allocation.
Hash256 merkle_pair(const Hash256& left, const Hash256& right);

/// The parents of two nodes that have the same sibling, each in its own tree.
TwoHashes merkle_pairs(const TwoHashes& lefts, const Hash256& right);

/// As sha256d, of bytes that lie in three pieces (a coinbase's prefix, extranonce and suffix). No allocation.
Hash256 sha256d(Bytes first, Bytes second, Bytes third);

/// sha256d of prefix + hole + suffix for many fillings of the hole: a coinbase's id for many extranonces. What lies before the
/// hole is hashed once, what lies behind it is padded once; a filling costs the blocks from the hole on. A value.
class HoleySha256d {
 public:
  /// The largest hole.
  static constexpr std::size_t kMaxHole = 64;

  /// Of an empty message.
  HoleySha256d() : HoleySha256d({}, 0, {}) {}
  /// `hole`: its size, at most kMaxHole.
  HoleySha256d(Bytes prefix, std::size_t hole, Bytes suffix) { assign(prefix, hole, suffix); }

  /// Becomes that of another message. Allocates only for a message that is longer than any before.
  void assign(Bytes prefix, std::size_t hole, Bytes suffix);

  /// `filling` has the hole's size. No allocation.
  [[nodiscard]] Hash256 operator()(Bytes filling) const;
  /// Of two fillings at once.
  [[nodiscard]] TwoHashes operator()(Bytes first, Bytes second) const;

 private:
  Sha256State start_ = kSha256InitialState;  ///< After the blocks that lie wholly before the hole.
  std::size_t at_ = 0;                       ///< Where the hole begins in `blocks_`,
  std::size_t touched_ = 0;                  ///< and how many blocks of it the hole touches.
  std::vector<std::uint8_t> blocks_;         ///< All blocks from there on, padding included.
};

}  // namespace adit::bitcoin
