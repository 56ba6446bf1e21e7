#include "base/sha256.h"

#include <gtest/gtest.h>
#include <openssl/sha.h>

#include <iostream>
#include <string>
#include <vector>

#include "base/hex.h"

namespace adit {
namespace {

// Every implementation goes through the same cases; one that this CPU lacks is skipped, visibly.
class EachSha256 : public testing::TestWithParam<std::size_t> {
 protected:
  void SetUp() override {
    if (!implementation().runs_here) {
      GTEST_SKIP() << "this CPU lacks the instructions of SHA-256 '" << implementation().name << "': not tested here";
    }
  }
  const Sha256Implementation& implementation() const { return sha256_implementations()[GetParam()]; }
  std::string hash(Bytes bytes) const { return to_hex(Sha256(implementation()).update(bytes).finish()); }
};

TEST_P(EachSha256, AgreesWithTheStandardsExamples) {
  EXPECT_EQ(hash({}), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hash(as_bytes("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hash(as_bytes("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hash(as_bytes(std::string(1'000'000, 'a'))), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_P(EachSha256, AgreesWithOpenSslAtEverySizeAndSplit) {
  std::vector<std::uint8_t> bytes(300);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i * 167 + i / 7);
  for (std::size_t size = 0; size <= bytes.size(); ++size) {
    const Bytes input = Bytes(bytes).first(size);
    Sha256Digest expected;
    SHA256(input.data(), input.size(), expected.data());
    for (const std::size_t split : {std::size_t{0}, size / 3, size / 2, size}) {
      EXPECT_EQ(Sha256(implementation()).update(input.first(split)).update(input.subspan(split)).finish(), expected) << size;
    }
  }
}

TEST_P(EachSha256, BytePerByteIsTheSameAsAtOnce) {
  const Bytes input =
      as_bytes("The Times 03/Jan/2009 Chancellor on brink of second bailout for banks, and more than one block.");
  Sha256 hasher(implementation());
  for (std::uint8_t byte : input) hasher.update({&byte, 1});
  EXPECT_EQ(to_hex(hasher.finish()), hash(input));
}

TEST_P(EachSha256, TwoAtOnceAreEachTheirOwn) {
  std::vector<std::uint8_t> bytes(2 * 64 * 5);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i * 59 + i / 11);
  for (std::size_t count = 0; count <= 5; ++count) {
    Sha256State first = kSha256InitialState;
    Sha256State second = kSha256InitialState;
    std::swap(second[0], second[5]);
    Sha256State first_alone = first;
    Sha256State second_alone = second;
    implementation().compress_two(first, bytes.data(), second, bytes.data() + 320, count);
    implementation().compress(first_alone, bytes.data(), count);
    implementation().compress(second_alone, bytes.data() + 320, count);
    EXPECT_EQ(first, first_alone) << count;
    EXPECT_EQ(second, second_alone) << count;
  }
}

TEST_P(EachSha256, FinishingTwiceIsHashingTheDigest) {
  std::vector<std::uint8_t> bytes(2 * 64 * 3);
  Sha256State first = kSha256InitialState;
  Sha256State second = kSha256InitialState;
  std::swap(second[1], second[6]);
  const auto hashed_again = [this](Sha256State state, const std::uint8_t* blocks, std::size_t count) {
    implementation().compress(state, blocks, count);
    Sha256Digest digest;
    for (std::size_t i = 0; i < state.size(); ++i) store_be(digest.data() + 4 * i, state[i]);
    return Sha256(implementation()).update(digest).finish();
  };
  for (int round = 0; round < 100; ++round) {
    for (std::size_t count = 0; count <= 3; ++count) {
      const std::uint8_t* others = bytes.data() + 64 * count;
      Sha256Digest digest;
      implementation().finish_twice(first, bytes.data(), count, digest);
      ASSERT_EQ(digest, hashed_again(first, bytes.data(), count));
      std::array<Sha256Digest, 2> digests;
      implementation().finish_twice_two(first, bytes.data(), second, others, count, digests);
      ASSERT_EQ(digests[0], digest);
      ASSERT_EQ(digests[1], hashed_again(second, others, count));
      for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(bytes[i] * 3 + digest[i % 32]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sha256, EachSha256, testing::Range<std::size_t>(0, sha256_implementations().size()),
                         [](const auto& info) {
                           std::string name(sha256_implementations()[info.param].name);
                           std::erase(name, '-');
                           return name;
                         });

TEST(Sha256, TheChosenImplementationRunsHereAndNoBetterOneDoes) {
  EXPECT_TRUE(sha256_implementation().runs_here);
  bool after = false;
  for (const Sha256Implementation& one : sha256_implementations()) {
    if (after) EXPECT_FALSE(one.runs_here) << one.name;
    if (one.compress == sha256_implementation().compress) after = true;
  }
  EXPECT_TRUE(after);
  std::cout << "SHA-256 by '" << sha256_implementation().name << "'\n";
}

TEST(Sha256, TwiceIsTheHashOfTheHash) {
  EXPECT_EQ(to_hex(sha256d(as_bytes("hello"))), "9595c9df90075148eb06860365df33584b75bff782a510c6cd4883a419833d50");
}

}  // namespace
}  // namespace adit
