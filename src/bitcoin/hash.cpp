#include "bitcoin/hash.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace adit::bitcoin {
namespace {

// A header's padding: what follows its 80 bytes in two blocks.
constexpr std::array<std::uint8_t, 48> kPaddingAfterHeader = [] {
  std::array<std::uint8_t, 48> padding{};
  padding[0] = 0x80;
  padding[46] = 2;  // 640 bits, big-endian.
  padding[47] = 0x80;
  return padding;
}();

// The padding block of a 64-byte message.
constexpr std::array<std::uint8_t, 64> kPaddingAfter64 = [] {
  std::array<std::uint8_t, 64> block{};
  block[0] = 0x80;
  block[62] = 2;  // 512 bits, big-endian.
  return block;
}();

}  // namespace

HeaderMidstate::HeaderMidstate(std::span<const std::uint8_t, 64> first_bytes) : state_(kSha256InitialState) {
  sha256_implementation().compress(state_, first_bytes.data(), 1);
}

Hash256 HeaderMidstate::hash(std::span<const std::uint8_t, 16> last_bytes) const {
  const Sha256Implementation& sha = sha256_implementation();
  std::array<std::uint8_t, 64> block;
  std::copy(last_bytes.begin(), last_bytes.end(), block.begin());
  std::copy(kPaddingAfterHeader.begin(), kPaddingAfterHeader.end(), block.begin() + 16);
  Hash256 hash;
  sha.finish_twice(state_, block.data(), 1, hash);
  return hash;
}

Hash256 sha256d_header(std::span<const std::uint8_t, kHeaderSize> header) { return PaddedHeader(header).hash(); }

namespace {

/// A field as it stands in a header's word.
std::uint32_t as_stored(std::uint32_t field) { return std::endian::native == std::endian::big ? std::byteswap(field) : field; }

}  // namespace

PaddedHeader::PaddedHeader(std::span<const std::uint8_t, kHeaderSize> header) {
  std::memcpy(words_.data(), header.data(), kHeaderSize);
  std::memcpy(words_.data() + 5, kPaddingAfterHeader.data(), kPaddingAfterHeader.size());
}

PaddedHeader::PaddedHeader(std::span<const std::uint8_t, kHeaderSize> header, std::uint32_t version, std::uint32_t ntime,
                           std::uint32_t nonce) {
  Word first;
  std::memcpy(&first, header.data(), sizeof first);
  words_[0] = __builtin_shufflevector(first, Word{as_stored(version)}, 4, 1, 2, 3);  // Lanes from 4 on are the second's.
  std::memcpy(words_.data() + 1, header.data() + 16, 48);
  Word last;
  std::memcpy(&last, header.data() + 64, sizeof last);
  words_[4] = __builtin_shufflevector(last, Word{as_stored(ntime), as_stored(nonce)}, 0, 4, 2, 5);
  std::memcpy(words_.data() + 5, kPaddingAfterHeader.data(), kPaddingAfterHeader.size());
}

void PaddedHeader::set_merkle_root(const Hash256& root) {
  // Bytes 36 to 67: the last three lanes of a word, a word, a lane.
  std::array<std::uint32_t, 8> lanes;
  std::memcpy(lanes.data(), root.data(), root.size());
  Word first = words_[2];
  Word last = words_[4];
  for (std::size_t i : {1, 2, 3}) first[i] = lanes[i - 1];
  last[0] = lanes[7];
  words_[2] = first;
  words_[3] = Word{lanes[3], lanes[4], lanes[5], lanes[6]};
  words_[4] = last;
}

Hash256 PaddedHeader::hash() const {
  Hash256 hash;
  sha256_implementation().finish_twice(kSha256InitialState, bytes(), 2, hash);
  return hash;
}

Hash256 PaddedHeader::hash(const HeaderMidstate& midstate) const {
  Hash256 hash;
  sha256_implementation().finish_twice(midstate.state(), bytes() + 64, 1, hash);
  return hash;
}

TwoHashes PaddedHeader::hash(const PaddedHeader& first, const PaddedHeader& second) {
  TwoHashes hashes;
  sha256_implementation().finish_twice_two(kSha256InitialState, first.bytes(), kSha256InitialState, second.bytes(), 2, hashes);
  return hashes;
}

TwoHashes PaddedHeader::hash(const PaddedHeader& first, const HeaderMidstate& first_midstate, const PaddedHeader& second,
                             const HeaderMidstate& second_midstate) {
  TwoHashes hashes;
  sha256_implementation().finish_twice_two(first_midstate.state(), first.bytes() + 64, second_midstate.state(),
                                           second.bytes() + 64, 1, hashes);
  return hashes;
}

TwoHashes merkle_pairs(const TwoHashes& lefts, const Hash256& right) {
  const Sha256Implementation& sha = sha256_implementation();
  std::array<std::uint8_t, 256> blocks;
  auto to = blocks.begin();
  for (const Hash256& left : lefts) {
    to = std::ranges::copy(left, to).out;
    to = std::ranges::copy(right, to).out;
    to = std::ranges::copy(kPaddingAfter64, to).out;
  }
  TwoHashes hashes;
  sha.finish_twice_two(kSha256InitialState, blocks.data(), kSha256InitialState, blocks.data() + 128, 2, hashes);
  return hashes;
}

Hash256 merkle_pair(const Hash256& left, const Hash256& right) {
  const Sha256Implementation& sha = sha256_implementation();
  std::array<std::uint8_t, 128> blocks;
  std::copy(left.begin(), left.end(), blocks.begin());
  std::copy(right.begin(), right.end(), blocks.begin() + 32);
  std::copy(kPaddingAfter64.begin(), kPaddingAfter64.end(), blocks.begin() + 64);
  Hash256 hash;
  sha.finish_twice(kSha256InitialState, blocks.data(), 2, hash);
  return hash;
}

void HoleySha256d::assign(Bytes prefix, std::size_t hole, Bytes suffix) {
  start_ = kSha256InitialState;
  const std::size_t before = prefix.size() / 64 * 64;
  sha256_implementation().compress(start_, prefix.data(), before / 64);
  at_ = prefix.size() - before;
  touched_ = (at_ + hole + 63) / 64;
  const std::size_t size = prefix.size() + hole + suffix.size();
  blocks_.assign(prefix.begin() + static_cast<std::ptrdiff_t>(before), prefix.end());
  blocks_.resize(at_ + hole);
  blocks_.insert(blocks_.end(), suffix.begin(), suffix.end());
  blocks_.push_back(0x80);
  blocks_.resize((blocks_.size() + 8 + 63) / 64 * 64);
  store_be(blocks_.data() + blocks_.size() - 8, std::uint64_t{size} * 8);
}

Hash256 HoleySha256d::operator()(Bytes filling) const {
  const Sha256Implementation& sha = sha256_implementation();
  std::array<std::uint8_t, kMaxHole + 64> touched;
  std::copy_n(blocks_.begin(), touched_ * 64, touched.begin());
  std::copy(filling.begin(), filling.end(), touched.begin() + static_cast<std::ptrdiff_t>(at_));
  Sha256State state = start_;
  sha.compress(state, touched.data(), touched_);
  Hash256 hash;
  sha.finish_twice(state, blocks_.data() + touched_ * 64, blocks_.size() / 64 - touched_, hash);
  return hash;
}

TwoHashes HoleySha256d::operator()(Bytes first, Bytes second) const {
  const Sha256Implementation& sha = sha256_implementation();
  constexpr std::size_t kSize = kMaxHole + 64;
  std::array<std::uint8_t, 2 * kSize> touched;
  std::copy_n(blocks_.begin(), touched_ * 64, touched.begin());
  std::copy_n(blocks_.begin(), touched_ * 64, touched.begin() + kSize);
  std::copy(first.begin(), first.end(), touched.begin() + static_cast<std::ptrdiff_t>(at_));
  std::copy(second.begin(), second.end(), touched.begin() + static_cast<std::ptrdiff_t>(kSize + at_));
  Sha256State one = start_;
  Sha256State two = start_;
  sha.compress_two(one, touched.data(), two, touched.data() + kSize, touched_);
  const std::uint8_t* rest = blocks_.data() + touched_ * 64;
  TwoHashes hashes;
  sha.finish_twice_two(one, rest, two, rest, blocks_.size() / 64 - touched_, hashes);
  return hashes;
}

Hash256 sha256d(Bytes first, Bytes second, Bytes third) {
  const Hash256 once = Sha256().update(first).update(second).update(third).finish();
  return sha256(once);
}

}  // namespace adit::bitcoin
