#include "bitcoin/hash.h"

#include <algorithm>

namespace adit::bitcoin {
namespace {

void store_state(const Sha256State& state, std::uint8_t* to) {
  for (std::size_t i = 0; i < state.size(); ++i) store_be(to + 4 * i, state[i]);
}

// Hashes the 32 bytes of `first` once more: one block, whose padding never changes.
Hash256 second_hash(const Sha256State& first, Sha256Compress compress) {
  std::array<std::uint8_t, 64> block{};
  store_state(first, block.data());
  block[32] = 0x80;
  store_be(block.data() + 56, std::uint64_t{32 * 8});
  Sha256State state = kSha256InitialState;
  compress(state, block.data(), 1);
  Hash256 hash;
  store_state(state, hash.data());
  return hash;
}

// The same of two.
TwoHashes second_hashes(const Sha256State& first, const Sha256State& second, Sha256CompressTwo compress_two) {
  std::array<std::uint8_t, 128> blocks{};
  store_state(first, blocks.data());
  store_state(second, blocks.data() + 64);
  for (const std::size_t at : {0u, 64u}) {
    blocks[at + 32] = 0x80;
    store_be(blocks.data() + at + 56, std::uint64_t{32 * 8});
  }
  Sha256State one = kSha256InitialState;
  Sha256State two = kSha256InitialState;
  compress_two(one, blocks.data(), two, blocks.data() + 64, 1);
  TwoHashes hashes;
  store_state(one, hashes[0].data());
  store_state(two, hashes[1].data());
  return hashes;
}

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
  const Sha256Compress compress = sha256_implementation().compress;
  std::array<std::uint8_t, 64> block{};
  std::copy(last_bytes.begin(), last_bytes.end(), block.begin());
  block[16] = 0x80;
  store_be(block.data() + 56, std::uint64_t{kHeaderSize * 8});
  Sha256State state = state_;
  compress(state, block.data(), 1);
  return second_hash(state, compress);
}

Hash256 sha256d_header(std::span<const std::uint8_t, kHeaderSize> header) {
  return HeaderMidstate(header.first<64>()).hash(header.last<16>());
}

TwoHashes sha256d_headers(std::span<const std::uint8_t, kHeaderSize> first, std::span<const std::uint8_t, kHeaderSize> second) {
  const Sha256CompressTwo compress_two = sha256_implementation().compress_two;
  std::array<std::uint8_t, 128> tails{};
  Sha256State one = kSha256InitialState;
  Sha256State two = kSha256InitialState;
  compress_two(one, first.data(), two, second.data(), 1);
  std::copy(first.begin() + 64, first.end(), tails.begin());
  std::copy(second.begin() + 64, second.end(), tails.begin() + 64);
  for (const std::size_t at : {0u, 64u}) {
    tails[at + 16] = 0x80;
    store_be(tails.data() + at + 56, std::uint64_t{kHeaderSize * 8});
  }
  compress_two(one, tails.data(), two, tails.data() + 64, 1);
  return second_hashes(one, two, compress_two);
}

TwoHashes merkle_pairs(const TwoHashes& lefts, const Hash256& right) {
  const Sha256CompressTwo compress_two = sha256_implementation().compress_two;
  std::array<std::uint8_t, 128> blocks;
  for (std::size_t i = 0; i < 2; ++i) {
    std::ranges::copy(lefts[i], blocks.begin() + static_cast<std::ptrdiff_t>(64 * i));
    std::ranges::copy(right, blocks.begin() + static_cast<std::ptrdiff_t>(64 * i + 32));
  }
  Sha256State one = kSha256InitialState;
  Sha256State two = kSha256InitialState;
  compress_two(one, blocks.data(), two, blocks.data() + 64, 1);
  compress_two(one, kPaddingAfter64.data(), two, kPaddingAfter64.data(), 1);
  return second_hashes(one, two, compress_two);
}

Hash256 merkle_pair(const Hash256& left, const Hash256& right) {
  const Sha256Compress compress = sha256_implementation().compress;
  std::array<std::uint8_t, 64> block;
  std::copy(left.begin(), left.end(), block.begin());
  std::copy(right.begin(), right.end(), block.begin() + 32);
  Sha256State state = kSha256InitialState;
  compress(state, block.data(), 1);
  compress(state, kPaddingAfter64.data(), 1);
  return second_hash(state, compress);
}

HoleySha256d::HoleySha256d(Bytes prefix, std::size_t hole, Bytes suffix) {
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
  const Sha256Compress compress = sha256_implementation().compress;
  std::array<std::uint8_t, kMaxHole + 64> touched;
  std::copy_n(blocks_.begin(), touched_ * 64, touched.begin());
  std::copy(filling.begin(), filling.end(), touched.begin() + static_cast<std::ptrdiff_t>(at_));
  Sha256State state = start_;
  compress(state, touched.data(), touched_);
  compress(state, blocks_.data() + touched_ * 64, blocks_.size() / 64 - touched_);
  return second_hash(state, compress);
}

TwoHashes HoleySha256d::operator()(Bytes first, Bytes second) const {
  const Sha256CompressTwo compress_two = sha256_implementation().compress_two;
  constexpr std::size_t kSize = kMaxHole + 64;
  std::array<std::uint8_t, 2 * kSize> touched;
  std::copy_n(blocks_.begin(), touched_ * 64, touched.begin());
  std::copy_n(blocks_.begin(), touched_ * 64, touched.begin() + kSize);
  std::copy(first.begin(), first.end(), touched.begin() + static_cast<std::ptrdiff_t>(at_));
  std::copy(second.begin(), second.end(), touched.begin() + static_cast<std::ptrdiff_t>(kSize + at_));
  Sha256State one = start_;
  Sha256State two = start_;
  compress_two(one, touched.data(), two, touched.data() + kSize, touched_);
  const std::uint8_t* rest = blocks_.data() + touched_ * 64;
  compress_two(one, rest, two, rest, blocks_.size() / 64 - touched_);
  return second_hashes(one, two, compress_two);
}

Hash256 sha256d(Bytes first, Bytes second, Bytes third) {
  const Hash256 once = Sha256().update(first).update(second).update(third).finish();
  return sha256(once);
}

}  // namespace adit::bitcoin
