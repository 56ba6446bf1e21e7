// Published vectors, run on the primitives as this layer calls them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <secp256k1_ellswift.h>
#include <secp256k1_schnorrsig.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/hex.h"
#include "base/text.h"
#include "noise/certificate.h"
#include "noise/handshake.h"
#include "noise/hash.h"
#include "noise/secp256k1_context.h"
#include "noise/test_support.h"

namespace adit::noise {
namespace {

using test::array;
using test::bytes;

TEST(Vectors, HmacOfRfc4231Case1And2) {
  EXPECT_EQ(to_hex(hmac_sha256(bytes("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"), as_bytes("Hi There")).bytes()),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(to_hex(hmac_sha256(as_bytes("Jefe"), as_bytes("what do ya want "), as_bytes("for nothing?")).bytes()),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(Vectors, HkdfOfRfc5869Case3) {  // The one with empty info, as Noise uses it; its 42 bytes begin both of our outputs.
  const auto [first, second] = hkdf2({}, bytes("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"));
  EXPECT_EQ(to_hex(first.bytes()), "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d");
  EXPECT_EQ(to_hex(second.bytes()).substr(0, 20), "9d201395faa4b61a96c8");
}

TEST(Vectors, AeadOfRfc8439AppendixA5) {  // Its nonce is 0 and a little-endian counter, which is Noise's form.
  const auto key = array<32>("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0");
  const auto sealed = bytes(
      "64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb24c6cfc18755d43eea09ee94e382d26b0bdb7b73c321b0100d4f03b7f"
      "35"
      "5894cf332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c8559797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9"
      "f6"
      "157b53c867e4b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523eaf4534d7f83fa1155b0047718cbc546a0d072b04b356"
      "4e"
      "ea1b422273f548271a0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a1049e617d91d361094fa68f0ff77987130305bea"
      "ba"
      "2eda04df997b714d6c6f2c29a6ad5cb4022b02709b"
      "eead9d67890cbb22392336fea1851f38");
  const auto associated = bytes("f33388860000000000004e91");
  CipherState cipher{Secret(key), 0x0807060504030201};
  std::vector<std::uint8_t> plain(sealed.size() - kMacSize);
  ASSERT_TRUE(cipher.open(sealed, associated, plain.data()));
  EXPECT_THAT(std::string(as_text(plain)),
              testing::StartsWith("Internet-Drafts are draft documents valid for a maximum of six"));
  EXPECT_THAT(std::string(as_text(plain)), testing::EndsWith("/\xe2\x80\x9cwork in progress.\x2f\xe2\x80\x9d"));

  CipherState again{Secret(key), 0x0807060504030201};
  std::vector<std::uint8_t> resealed(sealed.size());
  again.seal(plain, associated, resealed.data());
  EXPECT_EQ(to_hex(resealed), to_hex(sealed));
}

/// The rows of a file in testdata/ by its header's names.
std::vector<std::map<std::string, std::string>> rows_of(const std::string& name) {
  std::ifstream file(ADIT_NOISE_TESTDATA "/" + name);
  EXPECT_TRUE(file) << name;
  const auto cells_of = [](const std::string& line) {
    std::vector<std::string> cells;
    std::istringstream text(line.ends_with('\r') ? line.substr(0, line.size() - 1) : line);
    for (std::string cell; std::getline(text, cell, ',');) cells.push_back(cell);
    return cells;
  };
  std::string line;
  std::getline(file, line);
  const auto names = cells_of(line);
  std::vector<std::map<std::string, std::string>> rows;
  while (std::getline(file, line)) {
    const auto cells = cells_of(line);
    auto& row = rows.emplace_back();
    for (std::size_t i = 0; i < std::min(cells.size(), names.size()); ++i) row[names[i]] = cells[i];
  }
  return rows;
}

TEST(Vectors, EllSwiftDecodesAsBip324) {
  const auto rows = rows_of("bip324_ellswift_decode.csv");
  EXPECT_EQ(rows.size(), 76U);
  for (auto row : rows) EXPECT_EQ(to_hex(public_key_of(array<64>(row["ellswift"])).x), row["x"]) << row["ellswift"];
}

TEST(Vectors, SharedSecretAsBip324) {
  const auto rows = rows_of("bip324_shared_secrets.csv");
  EXPECT_EQ(rows.size(), 7U);
  for (auto row : rows) {
    const bool initiating = row["in_initiating"] == "1";
    const auto ours = array<64>(row["in_ellswift_ours"]);
    const auto theirs = array<64>(row["in_ellswift_theirs"]);
    EXPECT_EQ(to_hex(public_key_of(ours).x), row["mid_x_ours"]);
    EXPECT_EQ(to_hex(public_key_of(theirs).x), row["mid_x_theirs"]);
    const Secret shared =
        bip324_ecdh(initiating ? ours : theirs, initiating ? theirs : ours, Secret(array<32>(row["in_priv_ours"])),
                    initiating ? Party::kInitiator : Party::kResponder);
    EXPECT_EQ(to_hex(shared.bytes()), row["mid_shared_secret"]);
  }
}

TEST(Vectors, SignaturesAsBip340) {
  int signing = 0, verifying = 0;
  for (auto row : rows_of("bip340_signatures.csv")) {
    const auto message = bytes(lower_case(row["message"]));
    const auto signature = bytes(lower_case(row["signature"]));
    secp256k1_xonly_pubkey key;
    const bool point = secp256k1_xonly_pubkey_parse(secp256k1(), &key, bytes(lower_case(row["public key"])).data()) == 1;
    const bool valid =
        point && secp256k1_schnorrsig_verify(secp256k1(), signature.data(), message.data(), message.size(), &key) == 1;
    EXPECT_EQ(valid, row["verification result"] == "TRUE") << row["index"] << ": " << row["comment"];
    ++verifying;
    if (row["secret key"].empty() || message.size() != 32) continue;  // Certificates sign 32 bytes, as sign32 does.
    const auto pair = AuthorityKeyPair::from_secret(Secret(array<32>(lower_case(row["secret key"]))));
    ASSERT_TRUE(pair);
    EXPECT_EQ(to_hex(pair->public_key().x), lower_case(row["public key"]));
    secp256k1_keypair keypair;
    ASSERT_EQ(secp256k1_keypair_create(secp256k1(), &keypair, pair->secret().data()), 1);
    std::array<std::uint8_t, 64> made;
    ASSERT_EQ(secp256k1_schnorrsig_sign32(secp256k1(), made.data(), message.data(), &keypair,
                                          bytes(lower_case(row["aux_rand"])).data()),
              1);
    EXPECT_EQ(to_hex(made), lower_case(row["signature"])) << row["index"];
    ++signing;
  }
  EXPECT_EQ(verifying, 19);
  EXPECT_EQ(signing, 4);
}

}  // namespace
}  // namespace adit::noise
