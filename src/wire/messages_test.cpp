#include "wire/messages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "base/hex.h"
#include "wire/test_support.h"

namespace adit::wire {
namespace {

std::vector<std::uint8_t> bytes(std::string_view hex) { return *from_hex(hex); }

template <Message M>
std::string encoded_hex(const M& message) {
  FrameBuffer frames;
  EXPECT_TRUE(frames.push(message));
  return to_hex(frames.bytes());
}

U256 u256(std::string_view hex) {
  U256 value;
  EXPECT_TRUE(from_hex(hex, value));
  return value;
}

// ---- Bytes that other implementations published ----

TEST(Messages, NewMiningJobMatchesSrisFrame) {  // parsers_sv2 lib.rs new_mining_job_serialization
  NewMiningJob job{.channel_id = 0x04030201, .job_id = 0x08070605, .min_ntime = 0x0c0b0a09, .version = 0x100f0e0d};
  std::iota(job.merkle_root.begin(), job.merkle_root.end(), std::uint8_t{17});
  EXPECT_EQ(encoded_hex(job),
            "008015310000"
            "0102030405060708010"
            "90a0b0c0d0e0f10"
            "1112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f30");
}

TEST(Messages, PushSolutionMatchesSrisFrame) {  // parsers_sv2 lib.rs push_solution_serialization
  const auto extranonce = bytes("01020304");
  PushSolution solution{
      .extranonce = extranonce, .nonce = 0x11223344, .ntime = 0x55667788, .nbits = 0x99aabbcc, .version = 0xddeeff00};
  std::iota(solution.prev_hash.begin(), solution.prev_hash.end(), std::uint8_t{5});
  EXPECT_EQ(encoded_hex(solution),
            "000060350000"
            "0401020304"
            "05060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2021222324"
            "4433221188776655ccbbaa9900ffeedd");
}

TEST(Messages, SetupConnectionMatchesSv2Tp) {  // sv2-tp src/test/sv2_messages_tests.cpp, as the four below
  const auto payload = bytes(
      "020200020001000000"
      "07302e302e302e30"
      "6121"
      "074269746d61696e"
      "08533969"
      "2031332e35"
      "1c62726169696e732d6f732d323031382d30392d32322d312d68617368"
      "10736f6d652d6465766963652d75756964");
  ASSERT_EQ(payload.size(), 82U);
  const auto setup = decode<SetupConnection>(payload);
  ASSERT_TRUE(setup);
  EXPECT_EQ(setup->protocol, std::to_underlying(Protocol::kTemplateDistribution));
  EXPECT_EQ(setup->min_version, 2);
  EXPECT_EQ(setup->max_version, 2);
  EXPECT_EQ(setup->flags, 1U);
  EXPECT_EQ(setup->endpoint_host, "0.0.0.0");
  EXPECT_EQ(setup->endpoint_port, 8545);
  EXPECT_EQ(setup->vendor, "Bitmain");
  EXPECT_EQ(setup->hardware_version, "S9i 13.5");
  EXPECT_EQ(setup->firmware, "braiins-os-2018-09-22-1-hash");
  EXPECT_EQ(setup->device_id, "some-device-uuid");
  EXPECT_EQ(encoded_hex(*setup), "000000520000" + to_hex(payload));
}

TEST(Messages, SetupConnectionAnswersMatchSv2Tp) {
  EXPECT_EQ(encoded_hex(SetupConnectionSuccess{.used_version = 2, .flags = 3}),
            "000001060000"
            "020003000000");
  EXPECT_EQ(encoded_hex(SetupConnectionError{.flags = 0, .error_code = "protocol-version-mismatch"}),
            "0000021e0000"
            "000000001970726f746f636f6c2d76657273696f6e2d6d69736d61746368");
}

TEST(Messages, TemplateSetNewPrevHashMatchesSv2Tp) {
  const SetNewPrevHashTdp message{
      .template_id = 2,
      .prev_hash = u256("e59a2ef8d4826b89fe637f3b5322c0f167fd2d3dc88ec568a7c2c8ffd8eb8873"),
      .header_timestamp = 1661877399,
      .n_bits = 58720255,
      .target = u256("ffff7f0000000000000000000000000000000000000000000000000000000000"),
  };
  EXPECT_EQ(encoded_hex(message),
            "000072500000"
            "0200000000000000e59a2ef8d4826b89fe637f3b5322c0f167fd2d3dc88ec568a7c2c8ffd8eb8873973c0e63ffff7f03"
            "ffff7f0000000000000000000000000000000000000000000000000000000000");
}

TEST(Messages, SubmitSolutionMatchesSv2Tp) {
  auto payload = bytes("020000000000000002000000973c0e63ffff7f035d00");
  payload.resize(payload.size() + 0x5d, 0xab);
  const auto solution = decode<SubmitSolution>(payload);
  ASSERT_TRUE(solution);
  EXPECT_EQ(solution->template_id, 2U);
  EXPECT_EQ(solution->version, 2U);
  EXPECT_EQ(solution->header_timestamp, 1661877399U);
  EXPECT_EQ(solution->header_nonce, 58720255U);
  EXPECT_EQ(solution->coinbase_tx.size(), 0x5dU);
}

// ---- The table of messages ----

TEST(Messages, IdsAndChannelBitsAreThoseOfTheSpecification) {  // SV2 08 and ext 0x0001 §3
  // Name, extension, type, channel bit, in the order of AllMessages.
  const std::vector<std::tuple<std::string_view, int, int, bool>> expected = {
      {"SetupConnection", 0, 0x00, false},
      {"SetupConnection.Success", 0, 0x01, false},
      {"SetupConnection.Error", 0, 0x02, false},
      {"ChannelEndpointChanged", 0, 0x03, true},
      {"Reconnect", 0, 0x04, false},
      {"OpenStandardMiningChannel", 0, 0x10, false},
      {"OpenStandardMiningChannel.Success", 0, 0x11, false},
      {"OpenMiningChannel.Error", 0, 0x12, false},
      {"OpenExtendedMiningChannel", 0, 0x13, false},
      {"OpenExtendedMiningChannel.Success", 0, 0x14, false},
      {"NewMiningJob", 0, 0x15, true},
      {"UpdateChannel", 0, 0x16, true},
      {"UpdateChannel.Error", 0, 0x17, true},
      {"CloseChannel", 0, 0x18, true},
      {"SetExtranoncePrefix", 0, 0x19, true},
      {"SubmitSharesStandard", 0, 0x1a, true},
      {"SubmitSharesExtended", 0, 0x1b, true},
      {"SubmitShares.Success", 0, 0x1c, true},
      {"SubmitShares.Error", 0, 0x1d, true},
      {"NewExtendedMiningJob", 0, 0x1f, true},
      {"SetNewPrevHash", 0, 0x20, true},
      {"SetTarget", 0, 0x21, true},
      {"SetCustomMiningJob", 0, 0x22, true},
      {"SetCustomMiningJob.Success", 0, 0x23, true},
      {"SetCustomMiningJob.Error", 0, 0x24, true},
      {"SetGroupChannel", 0, 0x25, false},
      {"AllocateMiningJobToken", 0, 0x50, false},
      {"AllocateMiningJobToken.Success", 0, 0x51, false},
      {"ProvideMissingTransactions", 0, 0x55, false},
      {"ProvideMissingTransactions.Success", 0, 0x56, false},
      {"DeclareMiningJob", 0, 0x57, false},
      {"DeclareMiningJob.Success", 0, 0x58, false},
      {"DeclareMiningJob.Error", 0, 0x59, false},
      {"PushSolution", 0, 0x60, false},
      {"CoinbaseOutputConstraints", 0, 0x70, false},
      {"NewTemplate", 0, 0x71, false},
      {"SetNewPrevHashTdp", 0, 0x72, false},
      {"RequestTransactionData", 0, 0x73, false},
      {"RequestTransactionData.Success", 0, 0x74, false},
      {"RequestTransactionData.Error", 0, 0x75, false},
      {"SubmitSolution", 0, 0x76, false},
      {"RequestExtensions", 1, 0x00, false},
      {"RequestExtensions.Success", 1, 0x01, false},
      {"RequestExtensions.Error", 1, 0x02, false},
      // Our own (wire/adit_messages.h).
      {"Goodbye", 0x4ad1, 0x00, false},
      {"GoodbyeAck", 0x4ad1, 0x01, false},
      {"Ping", 0x4ad1, 0x02, false},
      {"Pong", 0x4ad1, 0x03, false},
      {"ControlMark", 0x4ad1, 0x04, false},
      {"DataMark", 0x4ad1, 0x05, false},
      {"EndpointCertificate", 0x4ad1, 0x06, false},
      {"FollowPoolTip", 0x4ad1, 0x07, false},
  };
  std::vector<std::tuple<std::string_view, int, int, bool>> declared;
  AllMessages::any([&]<class M>(std::type_identity<M>) {
    declared.emplace_back(M::kName, M::kExtension, M::kType, M::kChannelMessage);
    return false;
  });
  EXPECT_EQ(declared, expected);
}

TEST(Messages, AChannelMessageStartsWithItsChannelId) {  // SV2 03 §3.2.1
  AllMessages::any([&]<class M>(std::type_identity<M>) {
    if constexpr (M::kChannelMessage) {
      EXPECT_EQ(std::get<0>(M::kFields).name, "channel_id") << M::kName;
    }
    return false;
  });
}

// ---- Properties, for every message and random values ----

template <class M>
class EveryMessage : public testing::Test {};

TYPED_TEST_SUITE(EveryMessage, test::AsTestTypes<AllMessages>::type, test::MessageNames);

TYPED_TEST(EveryMessage, DecodesToWhatWasEncodedAndEncodesToTheSameBytes) {
  using M = TypeParam;
  for (std::uint32_t seed = 0; seed < 50; ++seed) {
    test::RandomMessages random(seed);
    const M message = random.template make<M>();
    std::vector<std::uint8_t> payload(encoded_size(message));
    ASSERT_TRUE(can_encode(message));
    encode_to(message, payload.data());
    const auto decoded = decode<M>(payload);
    ASSERT_TRUE(decoded) << decoded.error().message();
    EXPECT_TRUE(*decoded == message) << to_string(*decoded) << "\n" << to_string(message);
    std::vector<std::uint8_t> again(encoded_size(*decoded));
    encode_to(*decoded, again.data());
    EXPECT_EQ(again, payload);
  }
}

TYPED_TEST(EveryMessage, CutAnywhereIsRefused) {
  using M = TypeParam;
  test::RandomMessages random(7);
  for (int round = 0; round < 5; ++round) {
    const M message = random.template make<M>();
    std::vector<std::uint8_t> payload(encoded_size(message));
    encode_to(message, payload.data());
    const std::size_t step = std::max<std::size_t>(1, payload.size() / 500);
    for (std::size_t size = 0; size < payload.size(); size += step) {
      // A copy of exactly that size, so that the address sanitizer sees every read beyond it.
      const std::vector<std::uint8_t> cut(payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(size));
      const auto decoded = decode<M>(cut);
      ASSERT_FALSE(decoded) << size << " of " << payload.size();
      EXPECT_TRUE(decoded.error().is(Errc::kTruncated));
    }
  }
}

TYPED_TEST(EveryMessage, DamagedBytesAreRefusedOrDecodeToSomethingThatEncodesBack) {
  using M = TypeParam;
  test::RandomMessages random(11);
  for (int round = 0; round < 200; ++round) {
    const M message = random.template make<M>();
    std::vector<std::uint8_t> payload(encoded_size(message));
    encode_to(message, payload.data());
    if (payload.empty()) return;  // nothing to damage
    for (std::size_t i = 0; i < 3; ++i)
      payload[random.below(payload.size())] ^= static_cast<std::uint8_t>(1U << random.below(8));
    Bytes rest;
    const auto decoded = decode<M>(payload, &rest);
    if (!decoded) continue;
    // Whatever was accepted views the payload, and encodes to as many bytes as were read.
    EXPECT_EQ(encoded_size(*decoded) + rest.size(), payload.size());
    std::vector<std::uint8_t> again(encoded_size(*decoded));
    encode_to(*decoded, again.data());
    const auto twice = decode<M>(again);
    ASSERT_TRUE(twice);
    EXPECT_EQ(to_string(*twice), to_string(*decoded));
  }
}

TYPED_TEST(EveryMessage, TrailingBytesAreHandedOutOrMustBeTlvs) {
  using M = TypeParam;
  test::RandomMessages random(13);
  const M message = random.template make<M>();
  std::vector<std::uint8_t> payload(encoded_size(message));
  encode_to(message, payload.data());
  const std::size_t size = payload.size();

  const auto tlv = bytes("030001020000ff");
  payload.insert(payload.end(), tlv.begin(), tlv.end());
  EXPECT_TRUE(decode<M>(payload));
  Bytes rest;
  ASSERT_TRUE(decode<M>(payload, &rest));
  EXPECT_EQ(to_hex(rest), to_hex(tlv));

  payload.resize(size);
  payload.push_back(0);
  const auto decoded = decode<M>(payload);
  ASSERT_FALSE(decoded);
  EXPECT_TRUE(decoded.error().is(Errc::kTrailingBytes));
}

// ---- Data types ----

TEST(Messages, OnlyTheLowestBitOfABoolCounts) {  // SV2 03 §3.1
  NewTemplate message;
  std::vector<std::uint8_t> payload(encoded_size(message));
  encode_to(message, payload.data());
  payload[8] = 0xfe;
  EXPECT_FALSE(decode<NewTemplate>(payload)->future_template);
  payload[8] = 0x03;
  EXPECT_TRUE(decode<NewTemplate>(payload)->future_template);
}

TEST(Messages, AnOptionHoldsAtMostOneElement) {
  std::vector<std::uint8_t> payload(encoded_size(NewMiningJob{}) + 8);
  encode_to(NewMiningJob{}, payload.data());
  payload[8] = 2;
  const auto job = decode<NewMiningJob>(payload);
  ASSERT_FALSE(job);
  EXPECT_TRUE(job.error().is(Errc::kBadOption));
}

TEST(Messages, AByteStringAboveItsBoundIsRefusedEvenIfItsBytesAreThere) {
  std::vector<std::uint8_t> payload(4 + 1 + 33);
  payload[4] = 33;
  const auto prefix = decode<SetExtranoncePrefix>(payload);
  ASSERT_FALSE(prefix);
  EXPECT_TRUE(prefix.error().is(Errc::kTooLong));
}

TEST(Messages, ADeclaredCountBeyondThePayloadCostsNothing) {
  auto payload = bytes(
      "01000000"
      "ffff");
  EXPECT_TRUE(decode<SetGroupChannel>(payload).error().is(Errc::kTruncated));
  EXPECT_TRUE(decode<ProvideMissingTransactionsSuccess>(payload).error().is(Errc::kTruncated));
}

TEST(Messages, ADecodedListIsReadWithoutAlignment) {
  const std::vector<std::uint32_t> ids{1, 0x01020304, 0xffffffff};
  FrameBuffer frames;
  ASSERT_TRUE(frames.push(SetGroupChannel{.group_channel_id = 5, .channel_ids = ids}));
  std::vector<std::uint8_t> shifted(1);
  const Bytes payload = (*frames.begin()).payload;
  shifted.insert(shifted.end(), payload.begin(), payload.end());
  const auto decoded = decode<SetGroupChannel>(Bytes(shifted).subspan(1));
  ASSERT_TRUE(decoded);
  EXPECT_THAT(std::vector<std::uint32_t>(decoded->channel_ids.begin(), decoded->channel_ids.end()),
              testing::ElementsAreArray(ids));
  EXPECT_EQ(decoded->channel_ids[1], 0x01020304U);
}

TEST(Messages, AllocateMiningJobTokenHasTheIdentifierFirst) {
  EXPECT_EQ(encoded_hex(AllocateMiningJobToken{.user_identifier = "ab", .request_id = 7}),
            "000050070000"
            "026162"
            "07000000");
}

TEST(Messages, NotANumberTravelsUnchanged) {
  const auto payload = bytes(
      "01000000"
      "0000c07f"
      "0000000000000000000000000000000000000000000000000000000000000000");
  const auto update = decode<UpdateChannel>(payload);
  ASSERT_TRUE(update);
  EXPECT_TRUE(update->nominal_hash_rate != update->nominal_hash_rate);
  std::vector<std::uint8_t> again(encoded_size(*update));
  encode_to(*update, again.data());
  EXPECT_EQ(again, payload);
}

// ---- Text ----

TEST(Messages, TextNamesEachFieldAndEscapesControlCharacters) {
  EXPECT_EQ(
      to_string(SubmitSharesStandard{.channel_id = 1, .sequence_number = 2, .job_id = 3, .nonce = 4, .ntime = 5, .version = 6}),
      "SubmitSharesStandard{channel_id=1, sequence_number=2, job_id=3, nonce=4, ntime=5, version=6}");
  EXPECT_EQ(to_string(CloseChannel{.channel_id = 1, .reason_code = "a\n\"\x1b[31m"}),
            "CloseChannel{channel_id=1, reason_code=\"a\\x0a\\\"\\x1b[31m\"}");
  const std::vector<std::uint8_t> prefix(100, 0xab);
  const std::string text = to_string(NewExtendedMiningJob{.coinbase_tx_prefix = prefix});
  EXPECT_THAT(text, testing::HasSubstr("min_ntime=none"));
  EXPECT_THAT(text, testing::HasSubstr("...(100 bytes)"));
}

TEST(Messages, AFrameOfAnyKindHasText) {
  FrameBuffer frames;
  frames.push(SetTarget{.channel_id = 9});
  frames.push_raw({.message_type = SetTarget::kType}, bytes("01"));
  frames.push_raw({.extension_type = 0x4ad2, .message_type = 3}, bytes("0102"));
  std::vector<std::string> text;
  for (const FrameView frame : frames) text.push_back(to_string(frame));
  EXPECT_THAT(text[0], testing::StartsWith("SetTarget{channel_id=9, maximum_target="));
  EXPECT_EQ(text[1], "SetTarget: the payload ends before its fields do");
  EXPECT_EQ(text[2], "unknown{extension=19154, type=3, payload=0102}");
}

}  // namespace
}  // namespace adit::wire
