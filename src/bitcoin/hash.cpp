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

Hash256 sha256d(Bytes first, Bytes second, Bytes third) {
  const Hash256 once = Sha256().update(first).update(second).update(third).finish();
  return sha256(once);
}

}  // namespace adit::bitcoin
