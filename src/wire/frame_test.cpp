#include "wire/frame.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <string>
#include <vector>

#include "base/hex.h"
#include "wire/messages.h"

namespace adit::wire {
namespace {

std::vector<std::uint8_t> bytes(std::string_view hex) { return *from_hex(hex); }

/// A copy of a frame, for comparison after the receive buffer has moved on.
struct Owned {
  FrameHeader header;
  std::vector<std::uint8_t> payload;
  bool operator==(const Owned&) const = default;
};

Owned own(const FrameView& frame) { return {frame.header, {frame.payload.begin(), frame.payload.end()}}; }

FrameBuffer sample_frames() {
  FrameBuffer frames;
  frames.push(SetupConnection{.protocol = 0, .min_version = 2, .max_version = 2, .endpoint_host = "pool.example"});
  frames.push(SubmitSharesStandard{.channel_id = 1, .sequence_number = 2});
  frames.push_raw({.extension_type = 0x7abc, .channel_message = true, .message_type = 0xff}, {});
  const std::vector<std::uint8_t> big(70'000, 0x5a);
  frames.push_raw({.extension_type = 1, .message_type = 9}, big);
  frames.push(SetupConnectionSuccess{.used_version = 2});
  return frames;
}

/// Feeds `wire` to `codec` in chunks that `next_size` chooses, as a connection would. Returns the frames, or the first error.
Result<std::vector<Owned>> feed(FrameCodec& codec, Bytes wire, const std::function<std::size_t()>& next_size) {
  std::vector<Owned> result;
  std::vector<std::uint8_t> kept;
  std::vector<FrameView> views;
  while (!wire.empty()) {
    const std::size_t size = std::min(std::max<std::size_t>(next_size(), 1), wire.size());
    kept.insert(kept.end(), wire.begin(), wire.begin() + static_cast<std::ptrdiff_t>(size));
    wire = wire.subspan(size);
    views.clear();
    auto used = codec.open(kept, views);
    for (const FrameView& view : views) result.push_back(own(view));
    if (!used) return fail(std::move(used.error()));
    kept.erase(kept.begin(), kept.begin() + static_cast<std::ptrdiff_t>(*used));
    EXPECT_GT(codec.bytes_wanted(), kept.size()) << "an open frame was left in the buffer";
  }
  EXPECT_TRUE(kept.empty());
  return result;
}

TEST(FrameHeader, KeepsTheChannelBitApartFromTheExtension) {
  const auto encoded = bytes("bc8a15310000");
  const FrameHeader header = decode_header(encoded.data());
  EXPECT_EQ(header.extension_type, 0x0abc);
  EXPECT_TRUE(header.channel_message);
  EXPECT_EQ(header.message_type, 0x15);
  EXPECT_EQ(header.length, 0x31U);
  std::array<std::uint8_t, kHeaderSize> again;
  encode_header(header, again.data());
  EXPECT_EQ(to_hex(again), "bc8a15310000");
}

TEST(FrameHeader, MatchesSv2TpsBytes) {  // sv2-tp src/test/sv2_messages_tests.cpp
  const FrameHeader header = decode_header(bytes("000000520000").data());
  EXPECT_TRUE(header.is<SetupConnection>());
  EXPECT_EQ(header.length, 82U);
  std::array<std::uint8_t, kHeaderSize> encoded;
  encode_header({.message_type = NewTemplate::kType}, encoded.data());
  EXPECT_EQ(to_hex(encoded), "000071000000");
}

TEST(FrameHeader, IsMatchedWithoutTheChannelBit) {
  FrameHeader header{.channel_message = false, .message_type = SetCustomMiningJob::kType};
  EXPECT_TRUE(header.is<SetCustomMiningJob>());
  header.channel_message = true;
  EXPECT_TRUE(header.is<SetCustomMiningJob>());
  header.extension_type = 2;
  EXPECT_FALSE(header.is<SetCustomMiningJob>());
}

TEST(FrameBuffer, YieldsItsFramesInTheOrderPushed) {
  const FrameBuffer frames = sample_frames();
  std::vector<std::string> names;
  for (const FrameView frame : frames) names.emplace_back(message_name(frame.header));
  EXPECT_THAT(names,
              testing::ElementsAre("SetupConnection", "SubmitSharesStandard", "unknown", "unknown", "SetupConnection.Success"));
}

TEST(FrameBuffer, KeepsItsCapacityWhenCleared) {
  FrameBuffer frames;
  for (int i = 0; i < 10; ++i) frames.push(SubmitSharesStandard{});
  const std::uint8_t* const memory = frames.bytes().data();
  frames.clear();
  EXPECT_TRUE(frames.empty());
  EXPECT_EQ(frames.begin(), frames.end());
  for (int i = 0; i < 10; ++i) frames.push(SubmitSharesStandard{});
  EXPECT_EQ(frames.bytes().data(), memory);
}

TEST(FrameBuffer, RefusesAFieldBeyondItsBoundAndAppendsNothing) {
  FrameBuffer frames;
  const std::string long_text(256, 'x');
  const std::vector<std::uint8_t> long_bytes(33);
  EXPECT_FALSE(frames.push(CloseChannel{.channel_id = 1, .reason_code = long_text}));
  EXPECT_FALSE(frames.push(SetExtranoncePrefix{.channel_id = 1, .extranonce_prefix = long_bytes}));
  EXPECT_TRUE(frames.empty());
  EXPECT_TRUE(frames.push(CloseChannel{.channel_id = 1, .reason_code = std::string_view(long_text).substr(1)}));
  EXPECT_TRUE(frames.push(SetExtranoncePrefix{.channel_id = 1, .extranonce_prefix = Bytes(long_bytes).subspan(1)}));
}

TEST(FrameBuffer, RefusesAPayloadThatTheHeaderCannotDeclare) {
  FrameBuffer frames;
  const std::vector<std::uint8_t> payload(kMaxPayload + 1);
  EXPECT_FALSE(frames.push_raw({}, payload));
  const B0_16M transaction(Bytes(payload).first(kMaxU24 - 100));
  const std::vector<B0_16M> two{transaction, transaction};
  EXPECT_FALSE(frames.push(ProvideMissingTransactionsSuccess{.request_id = 1, .transaction_list = two}));
  EXPECT_TRUE(frames.empty());
}

TEST(FrameView, SaysWhatItIsWhenAskedForAnotherMessage) {
  FrameBuffer frames;
  frames.push(SetTarget{.channel_id = 1});
  const auto result = (*frames.begin()).as<SetNewPrevHash>();
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(Errc::kWrongType));
  EXPECT_THAT(result.error().message(), testing::HasSubstr("SetNewPrevHash"));
}

TEST(PlainCodec, AnyChunkingGivesTheSameFrames) {
  const FrameBuffer frames = sample_frames();
  std::vector<Owned> expected;
  for (const FrameView frame : frames) expected.push_back(own(frame));
  std::mt19937 random(1);
  for (int round = 0; round < 30; ++round) {
    PlainCodec codec;
    ByteBuffer wire;
    ASSERT_TRUE(codec.seal(frames, wire));
    std::uniform_int_distribution<std::size_t> size(1, round < 10 ? 20 : 40'000);
    const auto received = feed(codec, wire.bytes(), [&] { return size(random); });
    ASSERT_TRUE(received);
    EXPECT_EQ(*received, expected);
  }
}

TEST(PlainCodec, OneByteAtATimeGivesTheSameFrames) {
  FrameBuffer frames;
  frames.push(SubmitSharesStandard{.nonce = 7});
  frames.push_raw({.message_type = 3}, {});
  PlainCodec codec;
  const auto received = feed(codec, frames.bytes(), [] { return std::size_t{1}; });
  ASSERT_TRUE(received);
  EXPECT_EQ(received->size(), 2U);
}

TEST(PlainCodec, ADeclaredLengthAboveTheLimitIsAnErrorBeforeItsBytesCome) {
  PlainCodec codec(1000);
  auto bomb = bytes("00001affffff");
  std::vector<FrameView> frames;
  const auto result = codec.open(bomb, frames);
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(Errc::kFrameTooLarge));
  auto good = bytes("000001000000");
  const auto after = codec.open(good, frames);
  ASSERT_FALSE(after);
  EXPECT_TRUE(after.error().is(Errc::kDead));
  EXPECT_TRUE(frames.empty());
}

TEST(PlainCodec, FramesBeforeABrokenOneAreHandedOut) {
  PlainCodec codec(1000);
  auto received = bytes(
      "000001000000"
      "00001affffff");
  std::vector<FrameView> frames;
  EXPECT_FALSE(codec.open(received, frames));
  EXPECT_EQ(frames.size(), 1U);
}

TEST(PlainCodec, ALargeFrameAsksForItsBytesAndNoMore) {
  PlainCodec codec;
  auto received = bytes(
      "000001ffffff"
      "0102");
  std::vector<FrameView> frames;
  const auto used = codec.open(received, frames);
  ASSERT_TRUE(used);
  EXPECT_EQ(*used, 0U);
  EXPECT_EQ(codec.bytes_wanted(), kHeaderSize + kMaxPayload);
}

TEST(ByteBuffer, ConsumedBytesAreGoneAndTheirRoomIsUsedAgain) {
  ByteBuffer buffer;
  buffer.append(bytes("00010203"));
  buffer.consume(3);
  EXPECT_EQ(to_hex(buffer.bytes()), "03");
  const std::size_t capacity = buffer.capacity();
  for (std::uint8_t i = 4; i < 250; ++i) {
    buffer.append(Bytes(&i, 1));
    EXPECT_EQ(buffer.bytes()[0], i - 1);
    buffer.consume(1);
  }
  EXPECT_EQ(buffer.capacity(), capacity);
  ByteBuffer moved = std::move(buffer);
  EXPECT_EQ(to_hex(moved.bytes()), "f9");
}

}  // namespace
}  // namespace adit::wire
