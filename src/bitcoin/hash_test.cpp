#include "bitcoin/hash.h"

#include <gtest/gtest.h>
#include <openssl/sha.h>

#include "bitcoin/test_data.h"

namespace adit::bitcoin {
namespace {

using test::bytes_of;

Hash256 openssl_sha256d(Bytes bytes) {
  Hash256 once;
  SHA256(bytes.data(), bytes.size(), once.data());
  Hash256 twice;
  SHA256(once.data(), once.size(), twice.data());
  return twice;
}

TEST(Hash, HeadersOfRealBlocksHaveTheirHashes) {
  const auto genesis = bytes_of(test::kGenesisHeader);
  EXPECT_EQ(to_hex_reversed(sha256d_header(std::span(genesis).first<80>())), test::kGenesisHash);
  const auto later = bytes_of(test::kHeader125552);
  EXPECT_EQ(to_hex_reversed(sha256d_header(std::span(later).first<80>())), test::kHash125552);
}

TEST(Hash, EveryFastPathAgreesWithOpenSsl) {
  std::vector<std::uint8_t> bytes(80);
  for (int round = 0; round < 200; ++round) {
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(bytes[i] * 31 + i + round);
    const Hash256 expected = openssl_sha256d(bytes);
    EXPECT_EQ(sha256d(bytes), expected);
    EXPECT_EQ(sha256d_header(std::span(bytes).first<80>()), expected);
    EXPECT_EQ(HeaderMidstate(std::span(bytes).first<64>()).hash(std::span(bytes).last<16>()), expected);
    EXPECT_EQ(sha256d(Bytes(bytes).first(11), Bytes(bytes).subspan(11, 60), Bytes(bytes).subspan(71)), expected);
    Hash256 left, right;
    std::copy_n(bytes.begin(), 32, left.begin());
    std::copy_n(bytes.begin() + 32, 32, right.begin());
    EXPECT_EQ(merkle_pair(left, right), openssl_sha256d(Bytes(bytes).first(64)));
    // Two at once, each its own.
    auto other = bytes;
    other[70] ^= 0x55;
    const Hash256 expected_other = openssl_sha256d(other);
    const auto padded = [](const auto& of) { return PaddedHeader(std::span(of).template first<80>()); };
    EXPECT_EQ(PaddedHeader::hash(padded(bytes), padded(other)), (TwoHashes{expected, expected_other}));
    const auto midstate = [](const auto& of) { return HeaderMidstate(std::span(of).template first<64>()); };
    EXPECT_EQ(padded(bytes).hash(midstate(bytes)), expected);
    auto third = other;
    third[3] ^= 0x11;
    EXPECT_EQ(PaddedHeader::hash(padded(bytes), midstate(bytes), padded(third), midstate(third)),
              (TwoHashes{expected, openssl_sha256d(third)}));
    EXPECT_EQ(merkle_pairs({left, right}, right), (TwoHashes{merkle_pair(left, right), merkle_pair(right, right)}));
  }
}

TEST(Hash, AHeadersFieldsAreChangedWhereTheyStand) {
  std::array<std::uint8_t, kHeaderSize> bytes;
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i * 7 + 1);
  PaddedHeader header(bytes, 0x2345'6789, 0xabcd'ef01, 0x1234'5678);
  store_le(bytes.data(), 0x2345'6789U);
  store_le(bytes.data() + 68, 0xabcd'ef01U);
  store_le(bytes.data() + 76, 0x1234'5678U);
  EXPECT_EQ(header.hash(), openssl_sha256d(bytes));
  Hash256 root;
  for (std::size_t i = 0; i < root.size(); ++i) root[i] = static_cast<std::uint8_t>(200 - i);
  header.set_merkle_root(root);
  std::ranges::copy(root, bytes.begin() + 36);
  EXPECT_EQ(header.hash(), openssl_sha256d(bytes));
}

TEST(Hash, AHoleMayLieAnywhereInAMessage) {
  std::vector<std::uint8_t> bytes(300);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i * 89 + 3);
  for (const std::size_t hole : {0u, 1u, 22u, 32u, 63u, 64u}) {
    for (std::size_t before = 0; before <= 130; ++before) {
      for (const std::size_t after : {0u, 1u, 33u, 55u, 56u, 64u, 100u}) {
        const Bytes all = Bytes(bytes).first(before + hole + after);
        const HoleySha256d hash(all.first(before), hole, all.last(after));
        const Bytes filling = all.subspan(before, hole);
        ASSERT_EQ(hash(filling), openssl_sha256d(all)) << before << '+' << hole << '+' << after;
        auto other = std::vector<std::uint8_t>(all.begin(), all.end());
        for (std::size_t i = 0; i < hole; ++i) other[before + i] ^= 0x33;
        ASSERT_EQ(hash(filling, Bytes(other).subspan(before, hole)), (TwoHashes{openssl_sha256d(all), openssl_sha256d(other)}));
      }
    }
  }
  EXPECT_EQ(HoleySha256d()({}), openssl_sha256d({}));
}

TEST(Hash, OneMidstateServesManyNonces) {
  auto header = bytes_of(test::kHeader125552);
  const HeaderMidstate midstate(std::span(header).first<64>());
  store_le(header.data() + 76, std::uint32_t{1});
  const Hash256 other = midstate.hash(std::span(header).last<16>());
  EXPECT_EQ(other, openssl_sha256d(header));
  header = bytes_of(test::kHeader125552);
  EXPECT_EQ(to_hex_reversed(midstate.hash(std::span(header).last<16>())), test::kHash125552);
}

}  // namespace
}  // namespace adit::bitcoin
