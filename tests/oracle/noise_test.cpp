// Our handshake and records against SRI's noise_sv2 and codec_sv2: from the same keys and randomness the same bytes, in both
// roles, and the same damage refused.
#include <gtest/gtest.h>

#include <secp256k1_ellswift.h>

#include <random>
#include <vector>

#include "noise/handshake.h"
#include "noise/secp256k1_context.h"
#include "oracle/oracle.h"

namespace adit::oracle {
namespace {

using noise::CertifiedKey;
using noise::EllSwiftKeyPair;
using noise::Initiator;
using noise::Responder;
using noise::Secret;

constexpr std::uint32_t kNow = 1'700'000'000;
constexpr std::uint32_t kValidity = 3600;
constexpr UnixTime kTime{std::chrono::seconds{kNow}};
constexpr int kHandshakes = 50;

/// One program for all tests.
Oracle& sri() {
  static Oracle oracle("serve");
  return oracle;
}

/// Randomness that both sides are given, and ids for SRI's sessions.
class OracleNoise : public testing::Test {
 protected:
  std::vector<std::uint8_t> random_bytes(std::size_t count) {
    std::vector<std::uint8_t> bytes(count);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random_());
    return bytes;
  }

  /// The key that SRI makes of 32 random bytes: it wants an even y, and encodes without randomness.
  static EllSwiftKeyPair key_of(Bytes bytes) {
    EllSwiftKeyPair key;
    key.secret = Secret(bytes.first<32>());
    secp256k1_pubkey point;
    EXPECT_EQ(secp256k1_ec_pubkey_create(noise::secp256k1(), &point, key.secret.data()), 1);
    std::array<std::uint8_t, 33> compressed;
    std::size_t size = compressed.size();
    secp256k1_ec_pubkey_serialize(noise::secp256k1(), compressed.data(), &size, &point, SECP256K1_EC_COMPRESSED);
    if (compressed[0] == 3) {
      EXPECT_EQ(secp256k1_ec_seckey_negate(noise::secp256k1(), key.secret.data()), 1);
      EXPECT_EQ(secp256k1_ec_pubkey_negate(noise::secp256k1(), &point), 1);
    }
    const std::array<std::uint8_t, 32> none{};
    EXPECT_EQ(secp256k1_ellswift_encode(noise::secp256k1(), key.encoded.data(), &point, none.data()), 1);
    return key;
  }

  std::array<std::uint8_t, 64> sri_initiates(std::uint32_t id, Bytes tape) {
    Body body;
    body.put(id).put(std::uint8_t{1}).raw(authority_.public_key().x).blob(tape);
    auto answer = sri().ask(Request::kInitiate, body);
    EXPECT_TRUE(answer) << answer.error();
    std::array<std::uint8_t, 64> act1;
    std::ranges::copy(answer->take(64), act1.begin());
    return act1;
  }

  std::vector<std::uint8_t> sri_responds(std::uint32_t id, Bytes act1, Bytes tape) {
    Body body;
    body.put(id).raw(authority_.public_key().x).raw(authority_.secret().bytes()).put(kValidity).put(kNow).raw(act1).blob(tape);
    auto answer = sri().ask(Request::kRespond, body);
    EXPECT_TRUE(answer) << answer.error();
    return answer->bytes();
  }

  /// What SRI's responder answers with from the same tape: ephemeral secret, static secret, the signature's randomness.
  Responder::Answer we_respond(Bytes act1, Bytes tape) {
    CertifiedKey key{.key = key_of(tape.subspan(32, 32)), .certificate = {}};
    const noise::RandomSource auxiliary = [&](MutableBytes out) {
      std::ranges::copy(tape.subspan(64, out.size()), out.begin());
    };
    key.certificate = noise::Certificate::sign(authority_, noise::public_key_of(key.key.encoded), kTime,
                                               kTime + std::chrono::seconds{kValidity}, auxiliary);
    auto answer = Responder::answer(act1, key, key_of(tape), wire::kMaxPayload);
    EXPECT_TRUE(answer);
    return std::move(*answer);
  }

  bool sri_finishes(std::uint32_t id, Bytes act2) {
    Body body;
    return sri().ask(Request::kFinish, body.put(id).put(kNow).raw(act2)).has_value();
  }

  std::vector<std::uint8_t> sri_seals(std::uint32_t id, const wire::FrameBuffer& frames) {
    Body body;
    body.put(id);
    for (const wire::FrameView frame : frames)
      body.blob(Bytes(frame.payload.data() - wire::kHeaderSize, frame.payload.size() + wire::kHeaderSize));
    auto answer = sri().ask(Request::kSeal, body);
    EXPECT_TRUE(answer) << answer.error();
    return answer->bytes();
  }

  static std::vector<std::uint8_t> we_seal(noise::Session& session, const wire::FrameBuffer& frames) {
    wire::ByteBuffer sealed;
    EXPECT_TRUE(session.seal(frames, sealed));
    return {sealed.bytes().begin(), sealed.bytes().end()};
  }

  /// The opened frames, one behind another.
  static std::vector<std::uint8_t> we_open(noise::Session& session, std::vector<std::uint8_t> sealed) {
    std::vector<wire::FrameView> frames;
    const auto used = session.open(sealed, frames);
    EXPECT_TRUE(used) << used.error().message();
    wire::FrameBuffer opened;
    for (const auto& frame : frames) opened.push_raw(frame.header, frame.payload);
    return {opened.bytes().begin(), opened.bytes().end()};
  }

  static std::vector<std::uint8_t> sri_opens(std::uint32_t id, Bytes sealed) {
    Body body;
    auto answer = sri().ask(Request::kOpen, body.put(id).raw(sealed));
    EXPECT_TRUE(answer) << answer.error();
    std::vector<std::uint8_t> opened;
    while (!answer->empty()) {
      const Bytes frame = answer->take_blob();
      opened.insert(opened.end(), frame.begin(), frame.end());
    }
    return opened;
  }

  /// Frames of every number of chunks.
  wire::FrameBuffer some_frames() {
    wire::FrameBuffer frames;
    for (const std::size_t size : {0, 1, 33, 65518, 65519, 65520, 131038, 131039, 200'000}) {
      frames.push_raw({.extension_type = static_cast<std::uint16_t>(random_() & 0x7fff),
                       .channel_message = random_() % 2 == 0,
                       .message_type = static_cast<std::uint8_t>(random_())},
                      random_bytes(size));
    }
    return frames;
  }
  static std::vector<std::uint8_t> plain(const wire::FrameBuffer& frames) {
    return {frames.bytes().begin(), frames.bytes().end()};
  }

  std::uint32_t next_id() {
    static std::uint32_t id = 0;
    return ++id;
  }

  std::mt19937 random_{20260829};
  noise::AuthorityKeyPair authority_ =
      noise::AuthorityKeyPair::generate([this](MutableBytes out) { std::ranges::copy(random_bytes(out.size()), out.begin()); });
};

TEST_F(OracleNoise, FromTheSameRandomnessBothRolesSendSrisBytes) {
  for (int round = 0; round < kHandshakes; ++round) {
    const auto initiators = random_bytes(32), responders = random_bytes(96);
    const std::uint32_t initiator_id = next_id(), responder_id = next_id();

    const auto act1 = sri_initiates(initiator_id, initiators);
    Initiator ours(authority_.public_key(), key_of(initiators));
    ASSERT_EQ(ours.act1(), act1);

    const auto act2 = sri_responds(responder_id, act1, responders);
    auto answer = we_respond(act1, responders);
    ASSERT_TRUE(std::ranges::equal(answer.act2, act2));

    ASSERT_TRUE(sri_finishes(initiator_id, act2));
    auto client = ours.read_act2(act2, kTime, wire::kMaxPayload);
    ASSERT_TRUE(client) << client.error().message();

    if (round >= 3) continue;  // Every handshake above; records are long.
    for (int turn = 0; turn < 3; ++turn) {
      const auto up = some_frames(), down = some_frames();
      const auto sealed_up = we_seal(*client, up), sealed_down = we_seal(answer.session, down);
      ASSERT_EQ(sealed_up, sri_seals(initiator_id, up));
      ASSERT_EQ(sealed_down, sri_seals(responder_id, down));
      ASSERT_EQ(we_open(answer.session, sealed_up), plain(up));
      ASSERT_EQ(sri_opens(responder_id, sealed_up), plain(up));
      ASSERT_EQ(we_open(*client, sealed_down), plain(down));
      ASSERT_EQ(sri_opens(initiator_id, sealed_down), plain(down));
    }
  }
}

TEST_F(OracleNoise, ADamagedAnswerIsRefusedByBoth) {
  const auto initiators = random_bytes(32), responders = random_bytes(96);
  const auto act2 = sri_responds(next_id(), sri_initiates(next_id(), initiators), responders);
  for (std::size_t at = 0; at < act2.size(); at += 3) {
    auto damaged = act2;
    damaged[at] ^= static_cast<std::uint8_t>(1U << (at % 8));
    const std::uint32_t id = next_id();
    sri_initiates(id, initiators);
    EXPECT_FALSE(sri_finishes(id, damaged)) << at;
    EXPECT_FALSE(Initiator(authority_.public_key(), key_of(initiators)).read_act2(damaged, kTime, wire::kMaxPayload)) << at;
  }
}

TEST_F(OracleNoise, ADamagedRecordEndsBothSessions) {
  for (std::size_t at = 0; at < 22 + 33 + 16; at += 7) {
    const auto initiators = random_bytes(32), responders = random_bytes(96);
    const std::uint32_t initiator_id = next_id(), responder_id = next_id();
    const auto act1 = sri_initiates(initiator_id, initiators);
    const auto act2 = sri_responds(responder_id, act1, responders);
    auto answer = we_respond(act1, responders);
    ASSERT_TRUE(sri_finishes(initiator_id, act2));

    wire::FrameBuffer frames;
    frames.push_raw({.message_type = 0x1b}, random_bytes(33));
    const auto genuine = sri_seals(initiator_id, frames);
    auto damaged = genuine;
    damaged[at] ^= 1;
    Body body;
    EXPECT_FALSE(sri().ask(Request::kOpen, body.put(responder_id).raw(damaged)));
    std::vector<wire::FrameView> opened;
    EXPECT_TRUE(answer.session.open(damaged, opened).error().is(noise::Errc::kAuthentication));
    // And what was genuine comes too late.
    auto again = genuine;
    EXPECT_FALSE(sri().ask(Request::kOpen, Body().put(responder_id).raw(genuine)));
    EXPECT_TRUE(answer.session.open(again, opened).error().is(noise::Errc::kDead));
  }
}

TEST_F(OracleNoise, EachAcceptsTheOthersOwnRandomness) {
  for (int round = 0; round < kHandshakes; ++round) {
    // Our own way to draw and encode keys, which is not SRI's.
    Initiator ours(authority_.public_key(), noise::system_random());
    const auto act2 = sri_responds(next_id(), ours.act1(), random_bytes(96));
    const auto session = ours.read_act2(act2, kTime, wire::kMaxPayload);
    EXPECT_TRUE(session) << session.error().message();

    const std::uint32_t id = next_id();
    const auto act1 = sri_initiates(id, random_bytes(32));
    const auto key = CertifiedKey::make(authority_, kTime, std::chrono::seconds{kValidity}, noise::system_random());
    const auto answer = Responder::answer(act1, key, noise::system_random(), wire::kMaxPayload);
    EXPECT_TRUE(sri_finishes(id, answer->act2));
  }
}

}  // namespace
}  // namespace adit::oracle
