#include "noise/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "noise/test_support.h"
#include "wire/messages.h"

namespace adit::noise {
namespace {

using test::bytes;
using test::connected_pair;

struct Owned {
  wire::FrameHeader header;
  std::vector<std::uint8_t> payload;
  bool operator==(const Owned&) const = default;
};

Owned own(const wire::FrameView& frame) { return {frame.header, {frame.payload.begin(), frame.payload.end()}}; }

std::vector<Owned> own(const wire::FrameBuffer& frames) {
  std::vector<Owned> result;
  for (const wire::FrameView frame : frames) result.push_back(own(frame));
  return result;
}

std::vector<std::uint8_t> sealed(Session& session, const wire::FrameBuffer& frames) {
  wire::ByteBuffer out;
  EXPECT_TRUE(session.seal(frames, out));
  return {out.bytes().begin(), out.bytes().end()};
}

/// Feeds `arrived` in chunks that `next_size` chooses, keeping the unused rest as a connection does.
Result<std::vector<Owned>> feed(Session& session, Bytes arrived, const std::function<std::size_t()>& next_size) {
  std::vector<Owned> result;
  std::vector<std::uint8_t> kept;
  while (!arrived.empty()) {
    const std::size_t size = std::min(next_size(), arrived.size());
    kept.insert(kept.end(), arrived.begin(), arrived.begin() + static_cast<std::ptrdiff_t>(size));
    arrived = arrived.subspan(size);
    // Memory of its own each time: the session may rely on no address.
    std::vector<std::uint8_t> moved = kept;
    std::vector<wire::FrameView> views;
    auto used = session.open(moved, views);
    for (const wire::FrameView& view : views) result.push_back(own(view));
    if (!used) return fail(std::move(used.error()));
    kept.assign(moved.begin() + static_cast<std::ptrdiff_t>(*used), moved.end());
    EXPECT_GT(session.bytes_wanted(), kept.size());
  }
  EXPECT_TRUE(kept.empty());
  return result;
}

wire::FrameBuffer frames_of_sizes(std::initializer_list<std::size_t> sizes) {
  wire::FrameBuffer frames;
  std::uint8_t type = 1;
  for (const std::size_t size : sizes) {
    std::vector<std::uint8_t> payload(size);
    for (std::size_t i = 0; i < size; ++i) payload[i] = static_cast<std::uint8_t>(i * 31 + type);
    frames.push_raw({.extension_type = 0x1234, .channel_message = true, .message_type = type++}, payload);
  }
  return frames;
}

TEST(Session, SealedSizesAreThoseOfTheSpecification) {  // SV2 04 §4.6: pt_len_to_ct_len
  EXPECT_EQ(sealed_payload_size(0), 0U);
  EXPECT_EQ(sealed_payload_size(1), 17U);
  EXPECT_EQ(sealed_payload_size(65519), 65535U);
  EXPECT_EQ(sealed_payload_size(65520), 65535U + 17);
  EXPECT_EQ(sealed_payload_size(2 * 65519), 2 * 65535U);
  auto [client, server] = connected_pair();
  EXPECT_EQ(sealed(client, frames_of_sizes({0})).size(), 22U);
  EXPECT_EQ(sealed(client, frames_of_sizes({24})).size(), 22U + 24 + 16);
}

TEST(Session, PayloadsOfAllChunkCountsArriveWhole) {
  auto [client, server] = connected_pair();
  const auto frames = frames_of_sizes({0, 1, 65518, 65519, 65520, 2 * 65519, 2 * 65519 + 1, 300'000, 0, 5});
  auto wire = sealed(client, frames);
  std::vector<wire::FrameView> views;
  const auto used = server.open(wire, views);
  ASSERT_TRUE(used);
  EXPECT_EQ(*used, wire.size());
  std::vector<Owned> received;
  for (const auto& view : views) received.push_back(own(view));
  EXPECT_EQ(received, own(frames));
}

TEST(Session, TheLargestFrameOfTheProtocolPasses) {
  auto [client, server] = connected_pair();
  const auto frames = frames_of_sizes({wire::kMaxPayload});
  auto wire = sealed(client, frames);
  std::vector<wire::FrameView> views;
  ASSERT_TRUE(server.open(wire, views));
  ASSERT_EQ(views.size(), 1U);
  EXPECT_TRUE(std::ranges::equal(views[0].payload, (*frames.begin()).payload));
}

TEST(Session, AnyChunkingGivesTheSameFrames) {
  const auto frames = frames_of_sizes({24, 0, 70'000, 12, 131'038, 3});
  const auto expected = own(frames);
  std::mt19937 random(3);
  for (int round = 0; round < 20; ++round) {
    auto [client, server] = connected_pair();
    std::uniform_int_distribution<std::size_t> size(1, round < 5 ? 2'000 : 100'000);
    const auto received = feed(server, sealed(client, frames), [&] { return size(random); });
    ASSERT_TRUE(received);
    EXPECT_EQ(*received, expected);
  }
}

TEST(Session, OneByteAtATimeGivesTheSameFrames) {
  auto [client, server] = connected_pair();
  const auto frames = frames_of_sizes({24, 0, 300, 1});
  const auto received = feed(server, sealed(client, frames), [] { return std::size_t{1}; });
  ASSERT_TRUE(received);
  EXPECT_EQ(*received, own(frames));
}

TEST(Session, SeveralSealsAppendToOneBuffer) {
  auto [client, server] = connected_pair();
  wire::ByteBuffer out;
  ASSERT_TRUE(client.seal(frames_of_sizes({10}), out));
  ASSERT_TRUE(client.seal(wire::FrameBuffer(), out));
  ASSERT_TRUE(client.seal(frames_of_sizes({20}), out));
  std::vector<wire::FrameView> views;
  ASSERT_TRUE(server.open(out.bytes(), views));
  EXPECT_EQ(views.size(), 2U);
}

TEST(Session, AnyDamagedByteEndsItForGood) {
  const auto frames = frames_of_sizes({24, 100});
  auto [sample, unused] = connected_pair();
  const std::size_t size = sealed(sample, frames).size();
  for (std::size_t i = 0; i < size; ++i) {
    auto [client, server] = connected_pair();
    auto wire = sealed(client, frames);
    auto genuine = sealed(client, frames_of_sizes({7}));
    wire[i] ^= 0x40;
    std::vector<wire::FrameView> views;
    const auto result = server.open(wire, views);
    ASSERT_FALSE(result) << i;
    EXPECT_TRUE(result.error().is(Errc::kAuthentication));
    EXPECT_EQ(views.size(), i < 62 ? 0U : 1U) << "frames before the damage stand, others do not";
    EXPECT_TRUE(server.dead());
    views.clear();
    EXPECT_TRUE(server.open(genuine, views).error().is(Errc::kDead));
    wire::ByteBuffer out;
    EXPECT_TRUE(server.seal(frames, out).error().is(Errc::kDead));
    EXPECT_TRUE(views.empty());
    EXPECT_TRUE(out.empty());
  }
}

// stratum#2342: a decoder that stays usable after a payload failed would take the attacker's next bytes for a header.
TEST(Session, AfterAForgedPayloadTheGenuineOneIsNotAcceptedEither) {
  auto [client, server] = connected_pair();
  const auto wire = sealed(client, frames_of_sizes({24}));
  auto header = std::vector<std::uint8_t>(wire.begin(), wire.begin() + kSealedHeaderSize);
  auto payload = std::vector<std::uint8_t>(wire.begin() + kSealedHeaderSize, wire.end());
  std::vector<wire::FrameView> views;
  EXPECT_EQ(server.open(header, views).value(), kSealedHeaderSize);
  auto forged = payload;
  forged[0] ^= 1;
  EXPECT_TRUE(server.open(forged, views).error().is(Errc::kAuthentication));
  EXPECT_TRUE(server.open(payload, views).error().is(Errc::kDead));
  EXPECT_TRUE(views.empty());
}

TEST(Session, ARepeatedFrameIsRefused) {
  auto [client, server] = connected_pair();
  auto wire = sealed(client, frames_of_sizes({24}));
  auto replay = wire;
  std::vector<wire::FrameView> views;
  ASSERT_TRUE(server.open(wire, views));
  EXPECT_TRUE(server.open(replay, views).error().is(Errc::kAuthentication));
}

TEST(Session, FramesOutOfOrderAreRefused) {
  auto [client, server] = connected_pair();
  const auto first = sealed(client, frames_of_sizes({24}));
  auto second = sealed(client, frames_of_sizes({24}));
  std::vector<wire::FrameView> views;
  EXPECT_TRUE(server.open(second, views).error().is(Errc::kAuthentication));
}

TEST(Session, AFrameReflectedToItsSenderIsRefused) {
  auto [client, server] = connected_pair();
  auto wire = sealed(client, frames_of_sizes({24}));
  std::vector<wire::FrameView> views;
  EXPECT_TRUE(client.open(wire, views).error().is(Errc::kAuthentication));
}

TEST(Session, ADeclaredLengthAboveTheLimitIsAnErrorFromItsHeaderAlone) {
  auto [client, server] = connected_pair(1000);
  auto wire = sealed(client, frames_of_sizes({1000, 1001}));
  wire.resize(22 + 1000 + 16 + 22);  // Nothing of the second payload.
  std::vector<wire::FrameView> views;
  const auto result = server.open(wire, views);
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(wire::Errc::kFrameTooLarge));
  EXPECT_EQ(views.size(), 1U);
  EXPECT_TRUE(server.dead());
}

TEST(Session, ALargeFrameThatIsOnlyDeclaredAsksForNoMoreThanItsBytes) {
  auto [client, server] = connected_pair();
  auto wire = sealed(client, frames_of_sizes({16'000'000}));
  wire.resize(22 + 10);
  std::vector<wire::FrameView> views;
  EXPECT_EQ(server.open(wire, views).value(), 22U);
  EXPECT_EQ(server.bytes_wanted(), sealed_payload_size(16'000'000));
  EXPECT_EQ(views.capacity(), 0U);
}

// What a watcher of the line learns (class of attack 20): that a share was sent, not what it is worth nor what became of the
// one before. docs/iroh.md says what the sizes and times do tell.
TEST(Session, ARecordTellsNoMoreThanTheKindOfItsMessage) {
  std::mt19937 random(20);
  for (int i = 0; i < 100; ++i) {
    auto [client, server] = connected_pair();
    const auto size_of = [&session = client](const auto& message) {
      wire::FrameBuffer frames;
      EXPECT_TRUE(frames.push(message));
      return sealed(session, frames).size();
    };
    EXPECT_EQ(size_of(wire::SubmitSharesStandard{.channel_id = static_cast<std::uint32_t>(random()),
                                                 .sequence_number = static_cast<std::uint32_t>(random()),
                                                 .job_id = static_cast<std::uint32_t>(random()),
                                                 .nonce = static_cast<std::uint32_t>(random()),
                                                 .ntime = static_cast<std::uint32_t>(random()),
                                                 .version = static_cast<std::uint32_t>(random())}),
              62u);
    EXPECT_EQ(size_of(wire::SubmitSharesSuccess{.channel_id = static_cast<std::uint32_t>(random()),
                                                .last_sequence_number = static_cast<std::uint32_t>(random()),
                                                .new_submits_accepted_count = static_cast<std::uint32_t>(random()),
                                                .new_shares_sum = random()}),
              58u);
    EXPECT_EQ(size_of(wire::SetNewPrevHash{.channel_id = static_cast<std::uint32_t>(random()), .nbits = 0x1d00ffff}), 86u);
  }
}

TEST(Session, TheLastNonceIsAnErrorNotAWrap) {
  const auto key = test::array<32>("0101010101010101010101010101010101010101010101010101010101010101");
  constexpr std::uint64_t kEnd = ~std::uint64_t{0};
  const auto session_at = [&](std::uint64_t nonce) {
    return Session(CipherState(Secret(key), nonce), CipherState(Secret(key), nonce), wire::kMaxPayload);
  };
  Session sender = session_at(kEnd - 2);
  Session receiver = session_at(kEnd - 2);
  auto wire = sealed(sender, frames_of_sizes({24}));  // A header and a payload: the last two.
  std::vector<wire::FrameView> views;
  ASSERT_TRUE(receiver.open(wire, views));

  wire::ByteBuffer out;
  EXPECT_TRUE(sender.seal(frames_of_sizes({0}), out).error().is(Errc::kNonceExhausted));
  EXPECT_TRUE(out.empty());
  EXPECT_TRUE(sender.dead());
  std::vector<std::uint8_t> more(22);
  EXPECT_TRUE(receiver.open(more, views).error().is(Errc::kNonceExhausted));
  EXPECT_TRUE(receiver.dead());

  Session cannot_take_both = session_at(kEnd - 1);
  EXPECT_TRUE(cannot_take_both.seal(frames_of_sizes({24}), out).error().is(Errc::kNonceExhausted));
  EXPECT_TRUE(out.empty());
}

TEST(Session, WhatItWasMovedFromIsDead) {
  auto [client, server] = connected_pair();
  Session moved = std::move(client);
  wire::ByteBuffer out;
  EXPECT_TRUE(client.seal(frames_of_sizes({1}), out).error().is(Errc::kDead));  // NOLINT(bugprone-use-after-move)
  EXPECT_FALSE(moved.dead());
  auto wire = sealed(moved, frames_of_sizes({1}));
  std::vector<wire::FrameView> views;
  EXPECT_TRUE(server.open(wire, views));
}

TEST(Session, IsSmall) { EXPECT_LE(sizeof(Session), 160U); }

}  // namespace
}  // namespace adit::noise
