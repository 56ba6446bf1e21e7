#include "base/sha256.h"

#include <algorithm>
#include <bit>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <arm_neon.h>
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace adit {
namespace {

alignas(16) constexpr std::uint32_t kRound[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
    0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
    0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
    0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

// One round; the caller rotates the names instead of the values.
[[gnu::always_inline]] inline void round(std::uint32_t a, std::uint32_t b, std::uint32_t c, std::uint32_t& d, std::uint32_t e,
                                         std::uint32_t f, std::uint32_t g, std::uint32_t& h, std::uint32_t word_and_constant) {
  const std::uint32_t t = h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) + (g ^ (e & (f ^ g))) + word_and_constant;
  d += t;
  h = t + (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) | (c & (a | b)));
}

[[gnu::always_inline]] inline std::uint32_t expand(std::uint32_t& word, std::uint32_t plus14, std::uint32_t plus9,
                                                   std::uint32_t plus1) {
  word += (std::rotr(plus14, 17) ^ std::rotr(plus14, 19) ^ (plus14 >> 10)) + plus9 +
          (std::rotr(plus1, 7) ^ std::rotr(plus1, 18) ^ (plus1 >> 3));
  return word;
}

[[gnu::always_inline]] inline void compress_scalar(Sha256State& state, const std::uint8_t* blocks, std::size_t count) {
  for (; count != 0; --count, blocks += 64) {
    std::uint32_t w[16];
    std::uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    std::uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (std::size_t i = 0; i < 16; i += 8) {
      for (std::size_t j = i; j < i + 8; ++j) w[j] = load_be<std::uint32_t>(blocks + 4 * j);
      round(a, b, c, d, e, f, g, h, kRound[i] + w[i]);
      round(h, a, b, c, d, e, f, g, kRound[i + 1] + w[i + 1]);
      round(g, h, a, b, c, d, e, f, kRound[i + 2] + w[i + 2]);
      round(f, g, h, a, b, c, d, e, kRound[i + 3] + w[i + 3]);
      round(e, f, g, h, a, b, c, d, kRound[i + 4] + w[i + 4]);
      round(d, e, f, g, h, a, b, c, kRound[i + 5] + w[i + 5]);
      round(c, d, e, f, g, h, a, b, kRound[i + 6] + w[i + 6]);
      round(b, c, d, e, f, g, h, a, kRound[i + 7] + w[i + 7]);
    }
    for (std::size_t i = 16; i < 64; i += 16) {
      const std::uint32_t* k = kRound + i;
      round(a, b, c, d, e, f, g, h, k[0] + expand(w[0], w[14], w[9], w[1]));
      round(h, a, b, c, d, e, f, g, k[1] + expand(w[1], w[15], w[10], w[2]));
      round(g, h, a, b, c, d, e, f, k[2] + expand(w[2], w[0], w[11], w[3]));
      round(f, g, h, a, b, c, d, e, k[3] + expand(w[3], w[1], w[12], w[4]));
      round(e, f, g, h, a, b, c, d, k[4] + expand(w[4], w[2], w[13], w[5]));
      round(d, e, f, g, h, a, b, c, k[5] + expand(w[5], w[3], w[14], w[6]));
      round(c, d, e, f, g, h, a, b, k[6] + expand(w[6], w[4], w[15], w[7]));
      round(b, c, d, e, f, g, h, a, k[7] + expand(w[7], w[5], w[0], w[8]));
      round(a, b, c, d, e, f, g, h, k[8] + expand(w[8], w[6], w[1], w[9]));
      round(h, a, b, c, d, e, f, g, k[9] + expand(w[9], w[7], w[2], w[10]));
      round(g, h, a, b, c, d, e, f, k[10] + expand(w[10], w[8], w[3], w[11]));
      round(f, g, h, a, b, c, d, e, k[11] + expand(w[11], w[9], w[4], w[12]));
      round(e, f, g, h, a, b, c, d, k[12] + expand(w[12], w[10], w[5], w[13]));
      round(d, e, f, g, h, a, b, c, k[13] + expand(w[13], w[11], w[6], w[14]));
      round(c, d, e, f, g, h, a, b, k[14] + expand(w[14], w[12], w[7], w[15]));
      round(b, c, d, e, f, g, h, a, k[15] + expand(w[15], w[13], w[8], w[0]));
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;
  }
}

void compress_portable(Sha256State& state, const std::uint8_t* blocks, std::size_t count) {
  compress_scalar(state, blocks, count);
}

#if defined(__x86_64__)

// The same rounds with three-operand rotates (rorx) and and-not.
[[gnu::target("bmi,bmi2")]] void compress_bmi2(Sha256State& state, const std::uint8_t* blocks, std::size_t count) {
  compress_scalar(state, blocks, count);
}

// One message's state as the instructions want it, ABEF and CDGH with A and C in the highest lane, and its schedule.
struct ShaNiLane {
  __m128i abef;
  __m128i cdgh;
  __m128i w[4];

  [[gnu::always_inline, gnu::target("sha,sse4.1,ssse3")]] void load(const Sha256State& state) {
    const __m128i abcd = _mm_shuffle_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(state.data())), 0xb1);
    const __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(state.data() + 4)), 0x1b);
    abef = _mm_alignr_epi8(abcd, efgh, 8);
    cdgh = _mm_blend_epi16(efgh, abcd, 0xf0);
  }
  [[gnu::always_inline, gnu::target("sha,sse4.1,ssse3")]] void store(Sha256State& state) const {
    const __m128i feba = _mm_shuffle_epi32(abef, 0x1b);
    const __m128i dchg = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(state.data()), _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(state.data() + 4), _mm_alignr_epi8(dchg, feba, 8));
  }
  [[gnu::always_inline, gnu::target("sha,sse4.1,ssse3")]] void begin(const std::uint8_t* block) {
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    for (int i = 0; i < 4; ++i) {
      w[i] = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(block + 16 * i)), big_endian);
    }
  }
  // Four of the 64 rounds, and the words that the fourth group from here needs.
  [[gnu::always_inline, gnu::target("sha,sse4.1,ssse3")]] void rounds(int i) {
    const __m128i words = _mm_add_epi32(w[i % 4], _mm_load_si128(reinterpret_cast<const __m128i*>(kRound + 4 * i)));
    cdgh = _mm_sha256rnds2_epu32(cdgh, abef, words);
    abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(words, 0x0e));
    if (i < 12) {
      const __m128i last = w[(i + 3) % 4];
      const __m128i plus9 = _mm_alignr_epi8(last, w[(i + 2) % 4], 4);
      const __m128i partial = _mm_add_epi32(_mm_sha256msg1_epu32(w[i % 4], w[(i + 1) % 4]), plus9);
      w[i % 4] = _mm_sha256msg2_epu32(partial, last);
    }
  }
};

[[gnu::target("sha,sse4.1,ssse3")]] void compress_sha_ni(Sha256State& state, const std::uint8_t* blocks, std::size_t count) {
  ShaNiLane lane;
  lane.load(state);
  for (; count != 0; --count, blocks += 64) {
    const __m128i abef = lane.abef;
    const __m128i cdgh = lane.cdgh;
    lane.begin(blocks);
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) lane.rounds(i);
    lane.abef = _mm_add_epi32(lane.abef, abef);
    lane.cdgh = _mm_add_epi32(lane.cdgh, cdgh);
  }
  lane.store(state);
}

// A digest's words are in registers or nearly: no way through bytes and back.
struct ShaNiDigest : ShaNiLane {
  [[gnu::always_inline, gnu::target("sha,sse4.1,ssse3")]] void begin_digest(const Sha256State& state) {
    load(kSha256InitialState);
    w[0] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(state.data()));
    w[1] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(state.data() + 4));
    w[2] = _mm_set_epi32(0, 0, 0, std::bit_cast<int>(0x80000000));
    w[3] = _mm_set_epi32(256, 0, 0, 0);
  }
  [[gnu::always_inline, gnu::target("sha,sse4.1,ssse3")]] void finish(Sha256State& state) {
    ShaNiLane initial;
    initial.load(kSha256InitialState);
    abef = _mm_add_epi32(abef, initial.abef);
    cdgh = _mm_add_epi32(cdgh, initial.cdgh);
    store(state);
  }
};

[[gnu::target("sha,sse4.1,ssse3")]] void rehash_sha_ni(Sha256State& state) {
  ShaNiDigest lane;
  lane.begin_digest(state);
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) lane.rounds(i);
  lane.finish(state);
}

[[gnu::target("sha,sse4.1,ssse3")]] void rehash_two_sha_ni(Sha256State& first, Sha256State& second) {
  ShaNiDigest one, two;
  one.begin_digest(first);
  two.begin_digest(second);
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) {
    one.rounds(i);
    two.rounds(i);
  }
  one.finish(first);
  two.finish(second);
}

// The instruction takes four cycles and another can start after two: two messages take little longer than one.
[[gnu::target("sha,sse4.1,ssse3")]] void compress_two_sha_ni(Sha256State& first, const std::uint8_t* first_blocks,
                                                             Sha256State& second, const std::uint8_t* second_blocks,
                                                             std::size_t count) {
  ShaNiLane one;
  ShaNiLane two;
  one.load(first);
  two.load(second);
  for (; count != 0; --count, first_blocks += 64, second_blocks += 64) {
    const __m128i abef_one = one.abef;
    const __m128i cdgh_one = one.cdgh;
    const __m128i abef_two = two.abef;
    const __m128i cdgh_two = two.cdgh;
    one.begin(first_blocks);
    two.begin(second_blocks);
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) {
      one.rounds(i);
      two.rounds(i);
    }
    one.abef = _mm_add_epi32(one.abef, abef_one);
    one.cdgh = _mm_add_epi32(one.cdgh, cdgh_one);
    two.abef = _mm_add_epi32(two.abef, abef_two);
    two.cdgh = _mm_add_epi32(two.cdgh, cdgh_two);
  }
  one.store(first);
  two.store(second);
}

#elif defined(__aarch64__) && defined(__linux__)

[[gnu::target("+crypto")]] void compress_armv8(Sha256State& state, const std::uint8_t* blocks, std::size_t count) {
  uint32x4_t abcd = vld1q_u32(state.data());
  uint32x4_t efgh = vld1q_u32(state.data() + 4);
  for (; count != 0; --count, blocks += 64) {
    const uint32x4_t abcd_before = abcd;
    const uint32x4_t efgh_before = efgh;
    uint32x4_t w[4];
    for (int i = 0; i < 4; ++i) w[i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(blocks + 16 * i)));
    for (int i = 0; i < 16; ++i) {
      const uint32x4_t words = vaddq_u32(w[i % 4], vld1q_u32(kRound + 4 * i));
      const uint32x4_t old = abcd;
      abcd = vsha256hq_u32(abcd, efgh, words);
      efgh = vsha256h2q_u32(efgh, old, words);
      if (i < 12) w[i % 4] = vsha256su1q_u32(vsha256su0q_u32(w[i % 4], w[(i + 1) % 4]), w[(i + 2) % 4], w[(i + 3) % 4]);
    }
    abcd = vaddq_u32(abcd, abcd_before);
    efgh = vaddq_u32(efgh, efgh_before);
  }
  vst1q_u32(state.data(), abcd);
  vst1q_u32(state.data() + 4, efgh);
}

#endif

template <Sha256Compress kCompress>
void one_after_the_other(Sha256State& first, const std::uint8_t* first_blocks, Sha256State& second,
                         const std::uint8_t* second_blocks, std::size_t count) {
  kCompress(first, first_blocks, count);
  kCompress(second, second_blocks, count);
}

// Through bytes.
template <Sha256Compress kCompress>
void rehash(Sha256State& state) {
  std::uint8_t block[64] = {};
  for (std::size_t i = 0; i < state.size(); ++i) store_be(block + 4 * i, state[i]);
  block[32] = 0x80;
  block[62] = 1;  // 256 bits, big-endian.
  state = kSha256InitialState;
  kCompress(state, block, 1);
}

template <Sha256Compress kCompress>
void rehash_two(Sha256State& first, Sha256State& second) {
  rehash<kCompress>(first);
  rehash<kCompress>(second);
}

template <Sha256Compress kCompress>
Sha256Implementation plain(std::string_view name, bool runs_here) {
  return {name, runs_here, kCompress, one_after_the_other<kCompress>, rehash<kCompress>, rehash_two<kCompress>};
}

std::vector<Sha256Implementation> find_implementations() {
  std::vector<Sha256Implementation> found{plain<compress_portable>("portable", true)};
#if defined(__x86_64__)
  __builtin_cpu_init();
  found.push_back(plain<compress_bmi2>("bmi2", __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2")));
  found.push_back({"sha-ni", __builtin_cpu_supports("sha") && __builtin_cpu_supports("sse4.1"), compress_sha_ni,
                   compress_two_sha_ni, rehash_sha_ni, rehash_two_sha_ni});
#elif defined(__aarch64__) && defined(__linux__)
  found.push_back(plain<compress_armv8>("armv8", (getauxval(AT_HWCAP) & HWCAP_SHA2) != 0));
#endif
  return found;
}

}  // namespace

std::span<const Sha256Implementation> sha256_implementations() {
  static const std::vector<Sha256Implementation> implementations = find_implementations();
  return implementations;
}

const Sha256Implementation& sha256_implementation() {
  static const Sha256Implementation& chosen = [] -> const Sha256Implementation& {
    const auto all = sha256_implementations();
    return *std::find_if(all.rbegin(), all.rend(), [](const Sha256Implementation& one) { return one.runs_here; });
  }();
  return chosen;
}

Sha256& Sha256::update(Bytes bytes) {
  const std::size_t filled = size_ % 64;
  size_ += bytes.size();
  if (filled != 0) {
    const std::size_t taken = std::min(64 - filled, bytes.size());
    std::copy_n(bytes.begin(), taken, block_.begin() + filled);
    bytes = bytes.subspan(taken);
    if (filled + taken < 64) return *this;
    compress_(state_, block_.data(), 1);
  }
  compress_(state_, bytes.data(), bytes.size() / 64);
  const Bytes rest = bytes.last(bytes.size() % 64);
  std::copy(rest.begin(), rest.end(), block_.begin());
  return *this;
}

Sha256Digest Sha256::finish() {
  std::size_t filled = size_ % 64;
  block_[filled++] = 0x80;
  if (filled > 56) {
    std::fill(block_.begin() + filled, block_.end(), std::uint8_t{0});
    compress_(state_, block_.data(), 1);
    filled = 0;
  }
  std::fill(block_.begin() + filled, block_.end(), std::uint8_t{0});
  store_be(block_.data() + 56, size_ * 8);
  compress_(state_, block_.data(), 1);
  Sha256Digest digest;
  for (std::size_t i = 0; i < state_.size(); ++i) store_be(digest.data() + 4 * i, state_[i]);
  return digest;
}

Sha256Digest sha256(Bytes bytes) { return Sha256().update(bytes).finish(); }

Sha256Digest sha256d(Bytes bytes) {
  const Sha256Digest once = sha256(bytes);
  return sha256(once);
}

}  // namespace adit
