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
  // Summed in the order in which it is known; the two halves of the choice have no bit in common.
  const std::uint32_t t = h + word_and_constant + (g & ~e) + (e & f) + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25));
  d += t;
  h = t + (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) | (c & (a | b)));
}

[[gnu::always_inline]] inline std::uint32_t expand(std::uint32_t& word, std::uint32_t plus14, std::uint32_t plus9,
                                                   std::uint32_t plus1) {
  word += (std::rotr(plus14, 17) ^ std::rotr(plus14, 19) ^ (plus14 >> 10)) + plus9 +
          (std::rotr(plus1, 7) ^ std::rotr(plus1, 18) ^ (plus1 >> 3));
  return word;
}

// Round `i`: the names of the eight words move on by one place a round.
[[gnu::always_inline]] inline void round(std::uint32_t (&v)[8], int i, std::uint32_t word_and_constant) {
  const auto at = [&v, i](int name) -> std::uint32_t& { return v[(name - i) & 7]; };
  round(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7), word_and_constant);
}

void compress_portable(Sha256State& state, const std::uint8_t* blocks, std::size_t count) {
  for (; count != 0; --count, blocks += 64) {
    std::uint32_t w[16];
    for (int i = 0; i < 16; ++i) w[i] = load_be<std::uint32_t>(blocks + 4 * i);
    std::uint32_t v[8];
    std::copy(state.begin(), state.end(), v);
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) round(v, i, kRound[i] + w[i]);
#pragma GCC unroll 1
    for (const std::uint32_t* k = kRound + 16; k != kRound + 64; k += 16) {
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) round(v, i, k[i] + expand(w[i], w[(i + 14) % 16], w[(i + 9) % 16], w[(i + 1) % 16]));
    }
    for (std::size_t i = 0; i < state.size(); ++i) state[i] += v[i];
  }
}

#if defined(__x86_64__)

// A block's sixteen words.
[[gnu::always_inline, gnu::target("ssse3")]] inline void load_words(const std::uint8_t* block, __m128i (&w)[4]) {
  const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  for (int i = 0; i < 4; ++i) {
    w[i] = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(block + 16 * i)), big_endian);
  }
}

// The one block whose message is a digest.
[[gnu::always_inline, gnu::target("ssse3")]] inline void digest_words(__m128i abcd, __m128i efgh, __m128i (&w)[4]) {
  w[0] = abcd;
  w[1] = efgh;
  w[2] = _mm_set_epi32(0, 0, 0, std::bit_cast<int>(0x80000000));
  w[3] = _mm_set_epi32(256, 0, 0, 0);
}

// A digest's eight words to its bytes.
[[gnu::always_inline, gnu::target("ssse3")]] inline void store_words(__m128i abcd, __m128i efgh, Sha256Digest& digest) {
  const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(digest.data()), _mm_shuffle_epi8(abcd, big_endian));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(digest.data() + 16), _mm_shuffle_epi8(efgh, big_endian));
}

// The small sigma 1 of two words, each of which stands twice: a shift of both together is a rotation of the lower.
[[gnu::always_inline, gnu::target("avx")]] inline __m128i sigma1_of_doubled(__m128i words) {
  return _mm_xor_si128(_mm_xor_si128(_mm_srli_epi64(words, 17), _mm_srli_epi64(words, 19)), _mm_srli_epi32(words, 10));
}

// The four words of the schedule that follow these sixteen.
[[gnu::always_inline, gnu::target("avx")]] inline __m128i next_words(__m128i w0, __m128i w4, __m128i w8, __m128i w12) {
  const __m128i w1 = _mm_alignr_epi8(w4, w0, 4);
  const __m128i rotated7 = _mm_xor_si128(_mm_srli_epi32(w1, 7), _mm_slli_epi32(w1, 25));
  const __m128i rotated18 = _mm_xor_si128(_mm_srli_epi32(w1, 18), _mm_slli_epi32(w1, 14));
  const __m128i sigma0 = _mm_xor_si128(_mm_xor_si128(rotated7, rotated18), _mm_srli_epi32(w1, 3));
  __m128i next = _mm_add_epi32(_mm_add_epi32(w0, sigma0), _mm_alignr_epi8(w12, w8, 4));
  // The last two need the first two.
  const __m128i to_lower = _mm_set_epi64x(-1, 0x0b0a090803020100);
  next = _mm_add_epi32(next, _mm_shuffle_epi8(sigma1_of_doubled(_mm_shuffle_epi32(w12, 0xfa)), to_lower));
  const __m128i to_upper = _mm_set_epi64x(0x0b0a090803020100, -1);
  return _mm_add_epi32(next, _mm_shuffle_epi8(sigma1_of_doubled(_mm_shuffle_epi32(next, 0x50)), to_upper));
}

// The schedule four words at a time in vectors, twelve rounds ahead of the rounds, which have three-operand rotates (rorx) and
// and-not: the units that either needs are idle while the other runs.
[[gnu::always_inline, gnu::target("avx,bmi,bmi2")]] inline void absorb_avx(Sha256State& state, __m128i (&w)[4]) {
  std::uint32_t v[8];
  std::copy(state.begin(), state.end(), v);
  alignas(16) std::uint32_t words[16];
  const auto store = [&words](int i, __m128i four, const std::uint32_t* k) {
    const __m128i constants = _mm_load_si128(reinterpret_cast<const __m128i*>(k + 4 * i));
    _mm_store_si128(reinterpret_cast<__m128i*>(words + 4 * i), _mm_add_epi32(four, constants));
  };
  for (int i = 0; i < 4; ++i) store(i, w[i], kRound);
#pragma GCC unroll 1
  for (const std::uint32_t* k = kRound + 16; k != kRound + 64; k += 16) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      w[i] = next_words(w[i], w[(i + 1) % 4], w[(i + 2) % 4], w[(i + 3) % 4]);
#pragma GCC unroll 4
      for (int j = 4 * i; j < 4 * i + 4; ++j) round(v, j, words[j]);
      store(i, w[i], k);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) round(v, i, words[i]);
  for (std::size_t i = 0; i < state.size(); ++i) state[i] += v[i];
}

[[gnu::target("avx,bmi,bmi2")]] void compress_avx(Sha256State& state, const std::uint8_t* blocks, std::size_t count) {
  for (; count != 0; --count, blocks += 64) {
    __m128i w[4];
    load_words(blocks, w);
    absorb_avx(state, w);
  }
}

[[gnu::target("avx,bmi,bmi2")]] void finish_avx(const Sha256State& from, const std::uint8_t* blocks, std::size_t count,
                                                Sha256Digest& digest) {
  Sha256State state = from;
  compress_avx(state, blocks, count);
  const auto half = [&state](int i) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(state.data() + 4 * i)); };
  __m128i w[4];
  digest_words(half(0), half(1), w);
  state = kSha256InitialState;
  absorb_avx(state, w);
  store_words(half(0), half(1), digest);
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
  [[nodiscard, gnu::always_inline, gnu::target("sha,sse4.1,ssse3")]] __m128i abcd() const {
    return _mm_blend_epi16(_mm_shuffle_epi32(abef, 0x1b), _mm_shuffle_epi32(cdgh, 0xb1), 0xf0);
  }
  [[nodiscard, gnu::always_inline, gnu::target("sha,sse4.1,ssse3")]] __m128i efgh() const {
    return _mm_alignr_epi8(_mm_shuffle_epi32(cdgh, 0xb1), _mm_shuffle_epi32(abef, 0x1b), 8);
  }
  [[gnu::always_inline, gnu::target("sha,sse4.1,ssse3")]] void store(Sha256State& state) const {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(state.data()), abcd());
    _mm_storeu_si128(reinterpret_cast<__m128i*>(state.data() + 4), efgh());
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

// The 64 rounds of one block of each message, whose words are there. The instruction takes four cycles and another can start
// after two: two messages take little longer than one.
template <std::size_t kLanes>
[[gnu::always_inline, gnu::target("sha,sse4.1,ssse3")]] inline void all_rounds(ShaNiLane (&lanes)[kLanes]) {
  __m128i before[kLanes][2];
#pragma GCC unroll 2
  for (std::size_t n = 0; n < kLanes; ++n) {
    before[n][0] = lanes[n].abef;
    before[n][1] = lanes[n].cdgh;
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) {
#pragma GCC unroll 2
    for (ShaNiLane& lane : lanes) lane.rounds(i);
  }
#pragma GCC unroll 2
  for (std::size_t n = 0; n < kLanes; ++n) {
    lanes[n].abef = _mm_add_epi32(lanes[n].abef, before[n][0]);
    lanes[n].cdgh = _mm_add_epi32(lanes[n].cdgh, before[n][1]);
  }
}

template <std::size_t kLanes>
[[gnu::always_inline, gnu::target("sha,sse4.1,ssse3")]] inline void absorb_sha_ni(
    ShaNiLane (&lanes)[kLanes], std::array<const std::uint8_t*, kLanes> blocks, std::size_t count) {
  for (; count != 0; --count) {
#pragma GCC unroll 2
    for (std::size_t n = 0; n < kLanes; ++n) {
      load_words(blocks[n], lanes[n].w);
      blocks[n] += 64;
    }
    all_rounds(lanes);
  }
}

// The second hash of sha256d: the digest's words are in registers, no way through bytes and back.
template <std::size_t kLanes>
[[gnu::always_inline, gnu::target("sha,sse4.1,ssse3")]] inline void rehash_sha_ni(ShaNiLane (&lanes)[kLanes]) {
#pragma GCC unroll 2
  for (ShaNiLane& lane : lanes) {
    digest_words(lane.abcd(), lane.efgh(), lane.w);
    lane.load(kSha256InitialState);
  }
  all_rounds(lanes);
}

[[gnu::target("sha,sse4.1,ssse3")]] void compress_sha_ni(Sha256State& state, const std::uint8_t* blocks, std::size_t count) {
  ShaNiLane lanes[1];
  lanes[0].load(state);
  absorb_sha_ni<1>(lanes, {blocks}, count);
  lanes[0].store(state);
}

[[gnu::target("sha,sse4.1,ssse3")]] void compress_two_sha_ni(Sha256State& first, const std::uint8_t* first_blocks,
                                                             Sha256State& second, const std::uint8_t* second_blocks,
                                                             std::size_t count) {
  ShaNiLane lanes[2];
  lanes[0].load(first);
  lanes[1].load(second);
  absorb_sha_ni<2>(lanes, {first_blocks, second_blocks}, count);
  lanes[0].store(first);
  lanes[1].store(second);
}

[[gnu::target("sha,sse4.1,ssse3")]] void finish_sha_ni(const Sha256State& state, const std::uint8_t* blocks, std::size_t count,
                                                       Sha256Digest& digest) {
  ShaNiLane lanes[1];
  lanes[0].load(state);
  absorb_sha_ni<1>(lanes, {blocks}, count);
  rehash_sha_ni(lanes);
  store_words(lanes[0].abcd(), lanes[0].efgh(), digest);
}

[[gnu::target("sha,sse4.1,ssse3")]] void finish_two_sha_ni(const Sha256State& first, const std::uint8_t* first_blocks,
                                                           const Sha256State& second, const std::uint8_t* second_blocks,
                                                           std::size_t count, std::array<Sha256Digest, 2>& digests) {
  ShaNiLane lanes[2];
  lanes[0].load(first);
  lanes[1].load(second);
  absorb_sha_ni<2>(lanes, {first_blocks, second_blocks}, count);
  rehash_sha_ni(lanes);
  store_words(lanes[0].abcd(), lanes[0].efgh(), digests[0]);
  store_words(lanes[1].abcd(), lanes[1].efgh(), digests[1]);
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

void store_digest(const Sha256State& state, std::uint8_t* to) {
  for (std::size_t i = 0; i < state.size(); ++i) store_be(to + 4 * i, state[i]);
}

// Through bytes.
template <Sha256Compress kCompress>
void finish(const Sha256State& from, const std::uint8_t* blocks, std::size_t count, Sha256Digest& digest) {
  Sha256State state = from;
  kCompress(state, blocks, count);
  std::uint8_t block[64] = {};
  store_digest(state, block);
  block[32] = 0x80;
  block[62] = 1;  // 256 bits, big-endian.
  state = kSha256InitialState;
  kCompress(state, block, 1);
  store_digest(state, digest.data());
}

template <Sha256Finish kFinish>
void one_after_the_other(const Sha256State& first, const std::uint8_t* first_blocks, const Sha256State& second,
                         const std::uint8_t* second_blocks, std::size_t count, std::array<Sha256Digest, 2>& digests) {
  kFinish(first, first_blocks, count, digests[0]);
  kFinish(second, second_blocks, count, digests[1]);
}

template <Sha256Compress kCompress, Sha256Finish kFinish = finish<kCompress>>
Sha256Implementation one_at_a_time(std::string_view name, bool runs_here) {
  return {name, runs_here, kCompress, one_after_the_other<kCompress>, kFinish, one_after_the_other<kFinish>};
}

std::vector<Sha256Implementation> find_implementations() {
  std::vector<Sha256Implementation> found{one_at_a_time<compress_portable>("portable", true)};
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx = __builtin_cpu_supports("avx") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  found.push_back(one_at_a_time<compress_avx, finish_avx>("avx", avx));
  found.push_back({"sha-ni", __builtin_cpu_supports("sha") && __builtin_cpu_supports("sse4.1"), compress_sha_ni,
                   compress_two_sha_ni, finish_sha_ni, finish_two_sha_ni});
#elif defined(__aarch64__) && defined(__linux__)
  found.push_back(one_at_a_time<compress_armv8>("armv8", (getauxval(AT_HWCAP) & HWCAP_SHA2) != 0));
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
  store_digest(state_, digest.data());
  return digest;
}

Sha256Digest sha256(Bytes bytes) { return Sha256().update(bytes).finish(); }

Sha256Digest sha256d(Bytes bytes) {
  const Sha256Digest once = sha256(bytes);
  return sha256(once);
}

}  // namespace adit
