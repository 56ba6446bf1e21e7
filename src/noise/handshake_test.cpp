#include "noise/handshake.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/sha256.h"
#include "noise/test_support.h"

namespace adit::noise {
namespace {

using namespace std::chrono_literals;
using test::array;
using test::bytes;
using test::counting;
using test::kNow;

constexpr std::uint32_t kMaxPayload = wire::kMaxPayload;

TEST(SymmetricState, StartsFromTheProtocolsName) {  // SV2 04 §4.5.1
  const SymmetricState state;
  EXPECT_EQ(to_hex(state.chaining_key()), "2eb47881208e9eee1f669f67c66ee70ea9ea88090d503fe830dc4bc83e29bf10");
  EXPECT_EQ(to_hex(state.hash()), to_hex(sha256(state.chaining_key())));
}

/// A handshake and three records each way, made by SRI's crate noise_sv2 2.0.0 with fixed randomness: the authority's secret is
/// 32 times 0x42, the initiator's ephemeral secret 0x10, 0x11, ..., the responder's ephemeral 0x60, ... and static 0x80, ...
struct SriTranscript {
  static constexpr std::string_view kAuthority = "24653eac434488002cc06bbfb7f10fe18991e35f9fe4302dbea6d2353dc0ab1c";
  static constexpr std::string_view kAct1 =
      "48a3748fe67bc8318e9c1ee781708172005307ac323612d41b28e8c0f66a4031"
      "5c0a386653ad9b92488f2d7db71b5a5febe8d12081cf0936b80c32f141f74d0e";
  static constexpr std::string_view kAct2 =
      "3882b3cb26cbf985cd8af00bc47205533ec95491278ee22bb0da9f8ecb4379f018fbc7a5decb14fbd7b844f1885b758048dec6d5e337ffbd601f74d9"
      "5d26b1d6162ec0b521cbe510cf8216765357fff6360df73d3890c6c6358f490f41b2af3e95b5a576daed6d7bb192c22e76ab8634d3397bf5714b0e3e"
      "1f00b2935da4d457bb99b5d6d7e1db7459c6f77a894491e7efd0230b3442e9190615fd5ad3178e3bc8ba1da4304d979eaa923b428e0cc3b601c1e74d"
      "77ba44a713007f839338af5228c5e87009a02538ba146b983d112bf76226ee10d11fdca52948c478df10d88fe872aa6a48ffec55708f";
  static constexpr std::string_view kStaticEncoded =
      "bda7440d227792ffaf1e1487ca1e6bd486a8e52ea66941efad87d63ecc0bb532"
      "1035a1dde1bd765fe3606ced05b6b4d27448d2a342982d70ab41cfeec78e8af6";
  static constexpr UnixTime kTime{1'700'000'000s};

  static Secret secret_from(std::uint8_t first) {
    std::array<std::uint8_t, 32> secret;
    counting(first)(secret);
    return Secret(secret);
  }
  static Initiator initiator() {
    return Initiator(PublicKey{array<32>(kAuthority)}, EllSwiftKeyPair{secret_from(0x10), array<64>(kAct1)});
  }
  static EllSwiftKeyPair responder_ephemeral() { return {secret_from(0x60), array<64>(kAct2.substr(0, 128))}; }
};

/// SRI's three records of a direction: 6 + 20 n bytes of `n ^ mask`, each sealed by itself.
void expect_sri_records(CipherState& cipher, std::uint8_t mask, const std::vector<std::string_view>& records) {
  for (std::size_t n = 0; n < records.size(); ++n) {
    const std::vector<std::uint8_t> plain(6 + n * 20, static_cast<std::uint8_t>(n ^ mask));
    std::vector<std::uint8_t> sealed(plain.size() + kMacSize);
    cipher.seal(plain, {}, sealed.data());
    EXPECT_EQ(to_hex(sealed), records[n]);
  }
}

TEST(Handshake, AsInitiatorTheAnswerOfSriIsAcceptedInItsTime) {
  Initiator initiator = SriTranscript::initiator();
  EXPECT_EQ(to_hex(initiator.act1()), SriTranscript::kAct1);
  EXPECT_TRUE(initiator.read_act2(bytes(SriTranscript::kAct2), SriTranscript::kTime, kMaxPayload));
  Initiator late = SriTranscript::initiator();
  const auto result = late.read_act2(bytes(SriTranscript::kAct2), SriTranscript::kTime + 3600s + 42s, kMaxPayload);
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message(), testing::HasSubstr("42 seconds"));
}

TEST(Handshake, EveryStepGivesSrisBytes) {
  const auto act1 = array<64>(SriTranscript::kAct1);
  const auto act2 = bytes(SriTranscript::kAct2);
  const Bytes answer(act2);

  // As initiator, step by step, to see what the server sent inside.
  SymmetricState state;
  state.mix_hash(act1);
  state.mix_hash({});
  const Secret ours = SriTranscript::secret_from(0x10);
  state.mix_hash(answer.first(64));
  state.mix_key(bip324_ecdh(act1, answer.first<64>(), ours, Party::kInitiator).bytes());
  CertifiedKey key;
  ASSERT_TRUE(state.decrypt_and_hash(answer.subspan(64, 80), key.key.encoded.data()));
  EXPECT_EQ(to_hex(key.key.encoded), SriTranscript::kStaticEncoded);
  state.mix_key(bip324_ecdh(act1, key.key.encoded, ours, Party::kInitiator).bytes());
  std::array<std::uint8_t, Certificate::kSize> certificate;
  ASSERT_TRUE(state.decrypt_and_hash(answer.subspan(144, 90), certificate.data()));
  key.certificate = Certificate::decode(certificate);
  EXPECT_EQ(key.certificate.version, 0);
  EXPECT_EQ(key.certificate.valid_from, 1'700'000'000U);
  EXPECT_EQ(key.certificate.not_valid_after, 1'700'003'600U);

  auto [to_responder, to_initiator] = state.split();
  expect_sri_records(
      to_responder, 0x00,
      {"6581acf632ff5ceb7604a5e5abf3209928eb2256793a",
       "9cb41642cab0c65107c5641bd396b5faf06e271cfb3a560ff8966a59d611f4c40d987e71640edcd62553",
       "44341046854ffa38265b37313c9f36741a683c09fd154a1a22ff1dad1a2975de7fd1b77b503d45638008d1b6493eebf2301a5828d8dd1e5"
       "de4df0406f921"});
  expect_sri_records(
      to_initiator, 0xff,
      {"981017ba576e72829b98151ff0e0215d86998b24eb1b",
       "30e11ac97bddf9b224c715f8e6b5499a54023dce8cf7edb5ec94d31f7abe7032f5b9627c40cfbc5b2f7a",
       "6eb7f1bffa1b34a0457b7680061002bbcb6a1f222673396367acbad8d2dd0e19be2676a4f6f9ded68553e793ad232ff2a8ae38744d7f49c"
       "c78f71e11ce6e"});

  // As responder, with the same keys and certificate, the very same answer.
  key.key.secret = SriTranscript::secret_from(0x80);
  const auto ours_answer = Responder::answer(act1, key, SriTranscript::responder_ephemeral(), kMaxPayload);
  ASSERT_TRUE(ours_answer);
  EXPECT_EQ(to_hex(ours_answer->act2), SriTranscript::kAct2);
}

class HandshakeTest : public testing::Test {
 protected:
  Result<Responder::Answer> answer(const Initiator& initiator) const {
    return Responder::answer(initiator.act1(), key_, counting(4), kMaxPayload);
  }

  AuthorityKeyPair authority_ = AuthorityKeyPair::generate(counting(1));
  CertifiedKey key_ = CertifiedKey::make(authority_, kNow, 1h, counting(2));
};

TEST_F(HandshakeTest, BothEndsHoldMatchingSessions) {
  auto [client, server] = test::connected_pair();
  wire::FrameBuffer frames;
  frames.push_raw({.message_type = 0x1a}, bytes("010203"));
  for (const auto& [from, to] : {std::pair{&client, &server}, std::pair{&server, &client}}) {
    wire::ByteBuffer sealed;
    ASSERT_TRUE(from->seal(frames, sealed));
    std::vector<wire::FrameView> received;
    ASSERT_TRUE(to->open(sealed.bytes(), received));
    ASSERT_EQ(received.size(), 1U);
    EXPECT_EQ(to_hex(received[0].payload), "010203");
  }
}

TEST_F(HandshakeTest, EveryBitOfTheAnswerIsAuthenticated) {
  Initiator probe(authority_.public_key(), counting(3));
  const auto genuine = answer(probe)->act2;
  for (std::size_t i = 0; i < kAct2Size; ++i) {
    auto damaged = genuine;
    damaged[i] ^= static_cast<std::uint8_t>(1U << (i % 8));
    Initiator initiator(authority_.public_key(), counting(3));
    const auto result = initiator.read_act2(damaged, kNow, kMaxPayload);
    ASSERT_FALSE(result) << i;
    EXPECT_TRUE(result.error().is(Errc::kAuthentication)) << i;
  }
}

TEST_F(HandshakeTest, ADamagedFirstActGivesAnAnswerThatTheInitiatorRefuses) {
  for (const std::size_t i : {0U, 31U, 32U, 63U}) {
    Initiator initiator(authority_.public_key(), counting(3));
    auto act1 = initiator.act1();
    act1[i] ^= 0x80;
    const auto result = Responder::answer(act1, key_, counting(4), kMaxPayload);
    ASSERT_TRUE(result) << "any 64 bytes are a key";
    EXPECT_TRUE(initiator.read_act2(result->act2, kNow, kMaxPayload).error().is(Errc::kAuthentication)) << i;
  }
}

TEST_F(HandshakeTest, AnAnswerToAnotherConnectionIsRefused) {
  Initiator first(authority_.public_key(), counting(3));
  Initiator second(authority_.public_key(), counting(8));
  EXPECT_TRUE(second.read_act2(answer(first)->act2, kNow, kMaxPayload).error().is(Errc::kAuthentication));
}

TEST_F(HandshakeTest, AWrongAuthorityIsItsOwnError) {
  Initiator initiator(AuthorityKeyPair::generate(counting(99)).public_key(), counting(3));
  EXPECT_TRUE(initiator.read_act2(answer(initiator)->act2, kNow, kMaxPayload).error().is(Errc::kWrongAuthority));
}

TEST_F(HandshakeTest, ACertificateForAnotherServersKeyIsRefused) {
  key_.key = EllSwiftKeyPair::generate(counting(50));
  Initiator initiator(authority_.public_key(), counting(3));
  EXPECT_TRUE(initiator.read_act2(answer(initiator)->act2, kNow, kMaxPayload).error().is(Errc::kWrongAuthority));
}

TEST_F(HandshakeTest, AServerThatShowsAKeyItDoesNotHoldIsRefused) {
  key_.key.secret = SriTranscript::secret_from(0x33);
  Initiator initiator(authority_.public_key(), counting(3));
  EXPECT_TRUE(initiator.read_act2(answer(initiator)->act2, kNow, kMaxPayload).error().is(Errc::kAuthentication));
}

TEST_F(HandshakeTest, ClocksApartAreToldInSeconds) {
  Initiator initiator(authority_.public_key(), counting(3));
  const auto result = initiator.read_act2(answer(initiator)->act2, kNow - 5min, kMaxPayload);
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(Errc::kCertificateNotYetValid));
  EXPECT_THAT(result.error().message(), testing::HasSubstr("your clock is at least 240 seconds behind"));
}

TEST_F(HandshakeTest, WithoutAnAuthorityAnyServerIsAccepted) {
  Initiator initiator(std::nullopt, counting(3));
  EXPECT_TRUE(initiator.read_act2(answer(initiator)->act2, kNow + 24h, kMaxPayload));
}

TEST_F(HandshakeTest, AHandshakeIsUsedOnce) {
  Initiator initiator(authority_.public_key(), counting(3));
  const auto act2 = answer(initiator)->act2;
  auto damaged = act2;
  damaged[100] ^= 1;
  EXPECT_FALSE(initiator.read_act2(damaged, kNow, kMaxPayload));
  EXPECT_TRUE(initiator.read_act2(act2, kNow, kMaxPayload).error().is(Errc::kDead));
}

TEST_F(HandshakeTest, AMessageOfAnotherSizeIsRefused) {
  for (const std::size_t size : {0U, 63U, 65U}) {
    EXPECT_TRUE(
        Responder::answer(std::vector<std::uint8_t>(size), key_, counting(4), kMaxPayload).error().is(Errc::kBadLength));
  }
  for (const std::size_t size : {0U, 170U, 233U, 235U}) {
    Initiator initiator(authority_.public_key(), counting(3));
    EXPECT_TRUE(initiator.read_act2(std::vector<std::uint8_t>(size), kNow, kMaxPayload).error().is(Errc::kBadLength));
  }
}

TEST_F(HandshakeTest, GarbageIsRefusedWhateverItIs) {
  std::uint8_t fill = 0;
  for (int round = 0; round < 20; ++round) {
    std::vector<std::uint8_t> garbage(kAct2Size, fill);
    fill = static_cast<std::uint8_t>(fill * 3 + 29);
    Initiator initiator(std::nullopt, counting(3));
    EXPECT_TRUE(initiator.read_act2(garbage, kNow, kMaxPayload).error().is(Errc::kAuthentication));
  }
}

}  // namespace
}  // namespace adit::noise
