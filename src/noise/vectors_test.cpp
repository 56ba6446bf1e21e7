// Published vectors, run on the primitives as this layer calls them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <secp256k1_ellswift.h>
#include <secp256k1_schnorrsig.h>

#include <string_view>
#include <vector>

#include "base/hex.h"
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

TEST(Vectors, EllSwiftDecodesAsBip324) {
  struct Vector {
    std::string_view encoded, x;
  };
  // BIP324 ellswift_decode_test_vectors.csv, six of them.
  constexpr Vector kVectors[] = {
      {"00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
       "000000000",
       "edd1fd3e327ce90cc7a3542614289aee9682003e9cf7dcc9cf2ca9743be5aa0c"},
      {"000000000000000000000000000000000000000000000000000000000000000001d3475bf7655b0fb2d852921035b2ef607f49069b97454e6795251"
       "062741771",
       "b5da00b73cd6560520e7c364086e7cd23a34bf60d0e707be9fc34d4cd5fdfa2c"},
      {"0ffde9ca81d751e9cdaffc1a50779245320b28996dbaf32f822f20117c22fbd6c74d99efceaa550f1ad1c0f43f46e7ff1ee3bd0162b7bf55f2965da"
       "9c3450646",
       "74e880b3ffd18fe3cddf7902522551ddf97fa4a35a3cfda8197f947081a57b8f"},
      {"a0f18492183e61e8063e573606591421b06bc3513631578a73a39c1c3306239f2f32904f0d2a33ecca8a5451705bb537d3bf44e071226025cdbfd24"
       "9fe0f7ad6",
       "97a09cf1a2eae7c494df3c6f8a9445bfb8c09d60832f9b0b9d5eabe25fbd14b9"},
      {"ffffffffffffffffffffffffffffffffffffffffffffffffffffffff3a08cc1efffffffffffffffffffffffffffffffffffffffffffffffffffffff"
       "ff760e9f0",
       "38e2a5ce6a93e795e16d2c398bc99f0369202ce21e8f09d56777b40fc512bccc"},
      {"fffffffffffffffffffffffffffffffffffffffffffffffffffffffffefbb982fffffffffffffffffffffffffffffffffffffffffffffffffffffff"
       "ff6d6db1f",
       "1c92ccdfcf4ac550c28db57cff0c8515cb26936c786584a70114008d6c33a34b"},
  };
  for (const Vector& vector : kVectors) {
    EXPECT_EQ(to_hex(public_key_of(array<64>(vector.encoded)).x), vector.x) << vector.encoded;
  }
}

TEST(Vectors, SharedSecretAsBip324) {
  struct Vector {
    std::string_view secret, ours, theirs;
    bool initiating;
    std::string_view shared;
  };
  // BIP324 packet_encoding_test_vectors.csv, as libsecp256k1 runs them.
  constexpr Vector kVectors[] = {
      {"61062ea5071d800bbfd59e2e8b53d47d194b095ae5a4df04936b49772ef0d4d7",
       "ec0adff257bbfe500c188c80b4fdd640f6b45a482bbc15fc7cef5931deff0aa186f6eb9bba7b85dc4dcc28b28722de1e3d9108b985e2967045668f6"
       "6098e475b",
       "a4a94dfce69b4a2a0a099313d10f9f7e7d649d60501c9e1d274c300e0d89aafafffffffffffffffffffffffffffffffffffffffffffffffffffffff"
       "f8faf88d5",
       true, "c6992a117f5edbea70c3f511d32d26b9798be4b81a62eaee1a5acaa8459a3592"},
      {"1f9c581b35231838f0f17cf0c979835baccb7f3abbbb96ffcc318ab71e6e126f",
       "a1855e10e94e00baa23041d916e259f7044e491da6171269694763f018c7e63693d29575dcb464ac816baa1be353ba12e3876cba7628bd0bd8e755e"
       "721eb0140",
       "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f0000000000000000000000000000000000000000000000000000000"
       "000000000",
       false, "a0138f564f74d0ad70bc337dacc9d0bf1d2349364caf1188a1e6e8ddb3b7b184"},
      {"0286c41cd30913db0fdff7a64ebda5c8e3e7cef10f2aebc00a7650443cf4c60d",
       "d1ee8a93a01130cbf299249a258f94feb5f469e7d0f2f28f69ee5e9aa8f9b54a60f2c3ff2d023634ec7f4127a96cc11662e402894cf1f694fb9a7ea"
       "a5f1d9244",
       "ffffffffffffffffffffffffffffffffffffffffffffffffffffffff22d5e441524d571a52b3def126189d3f416890a99d4da6ede2b0cde1760ce2c"
       "3f98457ae",
       true, "250b93570d411149105ab8cb0bc5079914906306368c23e9d77c2a33265b994c"},
      {"6c77432d1fda31e9f942f8af44607e10f3ad38a65f8a4bddae823e5eff90dc38",
       "d2685070c1e6376e633e825296634fd461fa9e5bdf2109bcebd735e5a91f3e587c5cb782abb797fbf6bb5074fd1542a474f2a45b673763ec2db7fb9"
       "9b737bbb9",
       "56bd0c06f10352c3a1a9f4b4c92f6fa2b26df124b57878353c1fc691c51abea77c8817daeeb9fa546b77c8daf79d89b22b0e1b87574ece42371f002"
       "37aa9d83a",
       false, "1918b741ef5f9d1d7670b050c152b4a4ead2c31be9aecb0681c0cd4324150853"},
      {"a6ec25127ca1aa4cf16b20084ba1e6516baae4d32422288e9b36d8bddd2de35a",
       "ffffffffffffffffffffffffffffffffffffffffffffffffffffffff053d7ecca53e33e185a8b9be4e7699a97c6ff4c795522e5918ab7cd6b6884f6"
       "7e683f3dc",
       "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffa7730be30000000000000000000000000000000000000000000000000000000"
       "000000000",
       true, "dd210aa6629f20bb328e5d89daa6eb2ac3d1c658a725536ff154f31b536c23b2"},
      {"0af952659ed76f80f585966b95ab6e6fd68654672827878684c8b547b1b94f5a",
       "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffc81017fd92fd31637c26c906b42092e11cc0d3afae8d9019d2578af22735ce7"
       "bc469c72d",
       "9652d78baefc028cd37a6a92625b8b8f85fde1e4c944ad3f20e198bef8c02f19fffffffffffffffffffffffffffffffffffffffffffffffffffffff"
       "ff2e91870",
       false, "3568f2aea2e14ef4ee4a3c2a8b8d31bc5e3187ba86db10739b4ff8ec92ff6655"},
      {"f90e080c64b05824c5a24b2501d5aeaf08af3872ee860aa80bdcd430f7b63494",
       "ffffffffffffffffffffffffffffffffffffffffffffffffffffffff115173765dc202cf029ad3f15479735d57697af12b0131dd21430d5772e4ef1"
       "1474d58b9",
       "12a50f3fafea7c1eeada4cf8d33777704b77361453afc83bda91eef349ae044d20126c6200547ea5a6911776c05dee2a7f1a9ba7dfbabbbd273c3ef"
       "29ef46e46",
       true, "e25461fb0e4c162e18123ecde88342d54d449631e9b75a266fd9260c2bb2f41d"},
  };
  for (const Vector& vector : kVectors) {
    const auto ours = array<64>(vector.ours);
    const auto theirs = array<64>(vector.theirs);
    const Secret shared =
        bip324_ecdh(vector.initiating ? ours : theirs, vector.initiating ? theirs : ours, Secret(array<32>(vector.secret)),
                    vector.initiating ? Party::kInitiator : Party::kResponder);
    EXPECT_EQ(to_hex(shared.bytes()), vector.shared);
  }
}

TEST(Vectors, SignaturesAsBip340) {
  struct Vector {
    std::string_view public_key, message, signature;
    bool valid;
  };
  // BIP340 test-vectors.csv, 0 to 4, and 6 (R with an odd y).
  constexpr Vector kVectors[] = {
      {"f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9",
       "0000000000000000000000000000000000000000000000000000000000000000",
       "e907831f80848d1069a5371b402410364bdf1c5f8307b0084c55f1ce2dca821525f66a4a85ea8b71e482a74f382d2ce5ebeee8fdb2172f477df4900"
       "d31"
       "0536c0",
       true},
      {"dff1d77f2a671c5f36183726db2341be58feae1da2deced843240f7b502ba659",
       "243f6a8885a308d313198a2e03707344a4093822299f31d0082efa98ec4e6c89",
       "6896bd60eeae296db48a229ff71dfe071bde413e6d43f917dc8dcf8c78de33418906d11ac976abccb20b091292bff4ea897efcb639ea871cfa95f6d"
       "e33"
       "9e4b0a",
       true},
      {"dd308afec5777e13121fa72b9cc1b7cc0139715309b086c960e18fd969774eb8",
       "7e2d58d8b3bcdf1abadec7829054f90dda9805aab56c77333024b9d0a508b75c",
       "5831aaeed7b44bb74e5eab94ba9d4294c49bcf2a60728d8b4c200f50dd313c1bab745879a5ad954a72c45a91c3a51d3c7adea98d82f8481e0e1e036"
       "74a"
       "6f3fb7",
       true},
      {"25d1dff95105f5253c4022f628a996ad3a0d95fbf21d468a1b33f8c160d8f517",
       "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
       "7eb0509757e246f19449885651611cb965ecc1a187dd51b64fda1edc9637d5ec97582b9cb13db3933705b32ba982af5af25fd78881ebb32771fc592"
       "2ef"
       "c66ea3",
       true},
      {"d69c3509bb99e412e68b0fe8544e72837dfa30746d8be2aa65975f29d22dc7b9",
       "4df3c3f68fcc83b27e9d42c90431a72499f17875c81a599b566c9889b9696703",
       "00000000000000000000003b78ce563f89a0ed9414f5aa28ad0d96d6795f9c6376afb1548af603b3eb45c9f8207dee1060cb71c04e80f593060b07d"
       "283"
       "08d7f4",
       true},
      {"dff1d77f2a671c5f36183726db2341be58feae1da2deced843240f7b502ba659",
       "243f6a8885a308d313198a2e03707344a4093822299f31d0082efa98ec4e6c89",
       "fff97bd5755eeea420453a14355235d382f6472f8568a18b2f057a14602975563cc27944640ac607cd107ae10923d9ef7a73c643e166be5ebeafa34"
       "b1a"
       "c553e2",
       false},
  };
  for (const Vector& vector : kVectors) {
    secp256k1_xonly_pubkey key;
    ASSERT_EQ(secp256k1_xonly_pubkey_parse(secp256k1(), &key, bytes(vector.public_key).data()), 1);
    const auto message = bytes(vector.message);
    EXPECT_EQ(secp256k1_schnorrsig_verify(secp256k1(), bytes(vector.signature).data(), message.data(), message.size(), &key),
              vector.valid ? 1 : 0);
  }
}

TEST(Vectors, KeyOfBip340) {
  const auto pair =
      AuthorityKeyPair::from_secret(Secret(array<32>("b7e151628aed2a6abf7158809cf4f3c762e7160f38b4da56a784d9045190cfef")));
  ASSERT_TRUE(pair);
  EXPECT_EQ(to_hex(pair->public_key().x), "dff1d77f2a671c5f36183726db2341be58feae1da2deced843240f7b502ba659");
}

}  // namespace
}  // namespace adit::noise
