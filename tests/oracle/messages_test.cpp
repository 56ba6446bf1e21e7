// Our messages against SRI's crates: the same values, the same bytes, and the same bytes refused.
#include "wire/messages.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "oracle/oracle.h"
#include "wire/test_support.h"

namespace adit::oracle {
namespace {

using wire::test::RandomMessages;

constexpr int kValues = 2000;

/// One program for all tests.
Oracle& sri() {
  static Oracle oracle("serve");
  return oracle;
}

// ---- Values as both sides write them; has nothing to do with SV2's encoding ----

template <std::unsigned_integral T>
std::vector<std::uint8_t> value_of(T value) {
  return Body().put(std::uint64_t{value}).bytes();
}
std::vector<std::uint8_t> value_of(float value) { return value_of(std::bit_cast<std::uint32_t>(value)); }
template <std::size_t kSize>
std::vector<std::uint8_t> value_of(const std::array<std::uint8_t, kSize>& value) {
  return {value.begin(), value.end()};
}
template <wire::PrefixedBytes T>
std::vector<std::uint8_t> value_of(const T& value) {
  return {value.bytes().begin(), value.bytes().end()};
}
template <class T>
std::vector<std::uint8_t> value_of(const std::optional<T>& value) {
  return value ? value_of(*value) : std::vector<std::uint8_t>{};
}
template <class T, std::size_t kPrefix, std::size_t kMax>
std::vector<std::uint8_t> value_of(const wire::Sequence<T, kPrefix, kMax>& list) {
  Body body;
  for (const T& element : list) body.blob(value_of(element));
  return body.bytes();
}

using Fields = std::vector<std::pair<std::string, std::vector<std::uint8_t>>>;

template <wire::Message M>
Fields fields_of(const M& message) {
  Fields fields;
  std::apply([&](const auto&... field) { (fields.emplace_back(field.name, value_of(message.*field.member)), ...); },
             M::kFields);
  return fields;
}

struct Decoded {
  Fields fields;
  std::vector<std::pair<std::uint32_t, std::vector<std::uint8_t>>> tlvs;  ///< extension << 8 | field, value.
};

std::expected<Decoded, std::string> decoded_by_sri(Bytes frame) {
  auto answer = sri().ask(Request::kDecode, Body().raw(frame));
  if (!answer) return std::unexpected(answer.error());
  Decoded decoded;
  for (auto left = answer->take<std::uint16_t>(); left > 0; --left) {
    const Bytes name = answer->take(answer->take<std::uint8_t>());
    const Bytes value = answer->take_blob();
    decoded.fields.emplace_back(as_text(name), std::vector(value.begin(), value.end()));
  }
  while (!answer->empty()) {
    const auto extension = answer->take<std::uint16_t>();
    const auto field = answer->take<std::uint8_t>();
    const Bytes value = answer->take_blob();
    decoded.tlvs.emplace_back(extension << 8 | field, std::vector(value.begin(), value.end()));
  }
  return decoded;
}

template <wire::Message M>
std::expected<std::vector<std::uint8_t>, std::string> encoded_by_sri(const M& message, const Body& tlvs = {}) {
  const Fields fields = fields_of(message);
  Body body;
  body.put(M::kExtension).put(M::kType).put(static_cast<std::uint16_t>(fields.size()));
  for (const auto& [name, value] : fields) body.put(static_cast<std::uint8_t>(name.size())).raw(as_bytes(name)).blob(value);
  auto answer = sri().ask(Request::kEncode, body.raw(tlvs.bytes()));
  if (!answer) return std::unexpected(answer.error());
  return answer->bytes();
}

template <wire::Message M>
std::vector<std::uint8_t> frame_of(Bytes payload, bool channel_message = M::kChannelMessage) {
  wire::FrameBuffer frames;
  EXPECT_TRUE(frames.push_raw({.extension_type = M::kExtension, .channel_message = channel_message, .message_type = M::kType},
                              payload));
  return {frames.bytes().begin(), frames.bytes().end()};
}

/// A random message, of values that SRI's types have too: it knows three protocols (see below).
template <wire::Message M>
M make(RandomMessages& random) {
  M message = random.template make<M>();
  if constexpr (std::same_as<M, wire::SetupConnection>) message.protocol %= 3;
  return message;
}

/// What SRI's crates know of ours: all but our own extension.
template <class List>
struct Known;
template <class... M>
struct Known<wire::MessageList<M...>> {
  template <class T>
  using Kept = std::conditional_t<T::kExtension == wire::kAditExtension, std::tuple<>, std::tuple<T>>;
  template <class... T>
  static testing::Types<T...> as_types(std::tuple<T...>);
  using type = decltype(as_types(std::tuple_cat(std::declval<Kept<M>>()...)));
};

template <class M>
class Oracles : public testing::Test {};
TYPED_TEST_SUITE(Oracles, Known<wire::AllMessages>::type, wire::test::MessageNames);

TYPED_TEST(Oracles, EncodesToTheSameFrame) {
  using M = TypeParam;
  for (std::uint32_t seed = 0; seed < kValues; ++seed) {
    RandomMessages random(seed);
    const M message = make<M>(random);
    wire::FrameBuffer ours;
    ASSERT_TRUE(ours.push(message));
    const auto theirs = encoded_by_sri(message);
    ASSERT_TRUE(theirs) << theirs.error() << "\n" << to_string(message);
    ASSERT_TRUE(std::ranges::equal(ours.bytes(), *theirs)) << to_string(message);
  }
}

TYPED_TEST(Oracles, DecodesToTheSameValueEitherWay) {
  using M = TypeParam;
  for (std::uint32_t seed = 0; seed < kValues; ++seed) {
    RandomMessages random(kValues + seed);
    const M message = make<M>(random);
    const auto frame = encoded_by_sri(message);
    ASSERT_TRUE(frame) << frame.error();
    const auto ours = wire::decode<M>(Bytes(*frame).subspan(wire::kHeaderSize));
    ASSERT_TRUE(ours) << ours.error().message();
    ASSERT_TRUE(*ours == message) << to_string(*ours) << "\n" << to_string(message);

    wire::FrameBuffer mine;
    mine.push(message);
    const auto theirs = decoded_by_sri(mine.bytes());
    ASSERT_TRUE(theirs) << theirs.error() << "\n" << to_string(message);
    ASSERT_EQ(theirs->fields, fields_of(message));
  }
}

TYPED_TEST(Oracles, NeitherAsksForTheChannelBitReceived) {
  using M = TypeParam;
  RandomMessages random(1);
  const M message = make<M>(random);
  std::vector<std::uint8_t> payload(encoded_size(message));
  encode_to(message, payload.data());
  const auto frame = frame_of<M>(payload, !M::kChannelMessage);
  const wire::FrameView view{wire::decode_header(frame.data()), payload};
  EXPECT_TRUE(view.as<M>());
  const auto theirs = decoded_by_sri(frame);
  ASSERT_TRUE(theirs) << theirs.error();
  EXPECT_EQ(theirs->fields, fields_of(message));
}

enum class Damage { kCut, kFlipped, kExtended };

/// Both refuse `payload`, or both read the same; else one of the differences named here. False: none of them.
template <wire::Message M>
testing::AssertionResult agree(Bytes payload, Damage damage) {
  Bytes rest;
  const auto ours = wire::decode<M>(payload, &rest);
  const auto theirs = decoded_by_sri(frame_of<M>(payload));
  if (!ours && !theirs) return testing::AssertionSuccess();
  if (!ours) return testing::AssertionFailure() << "only we refuse: " << ours.error().message();
  if (!theirs) {
    // SRI has an enumeration where the specification has a number. Ours hands out the number, so that the server can answer
    // unsupported-protocol instead of closing without a word.
    if constexpr (std::same_as<M, wire::SetupConnection>) {
      if (ours->protocol > 2) return testing::AssertionSuccess();
    }
    return testing::AssertionFailure() << "only SRI refuses: " << theirs.error() << "\n" << to_string(*ours);
  }
  if (theirs->fields != fields_of(*ours)) return testing::AssertionFailure() << "read otherwise by SRI: " << to_string(*ours);
  // What follows the fields SRI drops, whatever it is. Ours refuses it unless it is TLV fields, as 03 §3.4.3 has it, where
  // nobody asks for it; shares, which may have TLV fields, are read as SRI reads them (SubmitSharesExtended below).
  const bool refused = !wire::decode<M>(payload);
  if (refused != !wire::well_formed_tlvs(rest)) return testing::AssertionFailure() << "trailing bytes misjudged";
  if (damage == Damage::kExtended && rest.empty()) return testing::AssertionFailure() << "nothing was appended";
  return testing::AssertionSuccess();
}

TYPED_TEST(Oracles, DamagedBytesAreRefusedByBothOrReadAlike) {
  using M = TypeParam;
  for (std::uint32_t seed = 0; seed < kValues; ++seed) {
    RandomMessages random(2 * kValues + seed);
    const M message = make<M>(random);
    std::vector<std::uint8_t> payload(encoded_size(message));
    encode_to(message, payload.data());

    ASSERT_TRUE(agree<M>(Bytes(payload).first(random.below(payload.size())), Damage::kCut)) << "cut " << to_string(message);

    auto extended = payload;
    for (std::size_t more = 1 + random.below(12); more > 0; --more)
      extended.push_back(static_cast<std::uint8_t>(random.below(3) == 0 ? 0 : random.below(256)));
    ASSERT_TRUE(agree<M>(extended, Damage::kExtended)) << "extended " << to_string(message);

    for (std::size_t flips = 1 + random.below(3); flips > 0; --flips)
      payload[random.below(payload.size())] ^= static_cast<std::uint8_t>(1U << random.below(8));
    ASSERT_TRUE(agree<M>(payload, Damage::kFlipped)) << "flipped " << to_string(message);
  }
}

// ---- TLV fields ----

std::vector<std::pair<std::uint32_t, std::vector<std::uint8_t>>> worker_fields(Bytes rest) {
  std::vector<std::pair<std::uint32_t, std::vector<std::uint8_t>>> fields;
  while (const auto field = wire::take_tlv(rest)) {
    if (field->extension_type != wire::kWorkerTracking) continue;
    fields.emplace_back(field->extension_type << 8 | field->field_type, std::vector(field->value.begin(), field->value.end()));
  }
  return fields;
}

TEST(OracleTlv, FieldsBehindAShareAreTheSameBytesAndReadAlike) {
  for (std::uint32_t seed = 0; seed < kValues; ++seed) {
    RandomMessages random(seed);
    const auto share = make<wire::SubmitSharesExtended>(random);
    wire::ByteBuffer ours;
    Body theirs;
    for (std::size_t fields = 1 + random.below(3); fields > 0; --fields) {
      const auto extension = static_cast<std::uint16_t>(random.below(3) == 0 ? random.below(0x10000) : wire::kWorkerTracking);
      const auto field = static_cast<std::uint8_t>(1 + random.below(3));
      const std::vector<std::uint8_t> value(random.below(40), static_cast<std::uint8_t>(random.below(256)));
      ASSERT_TRUE(wire::append_tlv(ours, extension, field, value));
      theirs.put(extension).put(field).blob(value);
    }
    wire::FrameBuffer frame;
    ASSERT_TRUE(frame.push(share, ours.bytes()));
    const auto sent = encoded_by_sri(share, theirs);
    ASSERT_TRUE(sent) << sent.error();
    ASSERT_TRUE(std::ranges::equal(frame.bytes(), *sent));

    const auto read = decoded_by_sri(frame.bytes());
    ASSERT_TRUE(read) << read.error();
    ASSERT_EQ(read->fields, fields_of(share));
    Bytes rest;
    ASSERT_TRUE((*frame.begin()).as<wire::SubmitSharesExtended>(&rest));
    ASSERT_EQ(read->tlvs, worker_fields(rest));

    // Damaged: a broken field ends the list for both.
    std::vector<std::uint8_t> damaged(frame.bytes().begin(), frame.bytes().end());
    const std::size_t fields_end = damaged.size() - ours.size();
    damaged[fields_end + random.below(ours.size())] ^= static_cast<std::uint8_t>(1U << random.below(8));
    const auto after = decoded_by_sri(damaged);
    ASSERT_TRUE(after) << after.error();
    ASSERT_EQ(after->tlvs, worker_fields(Bytes(damaged).subspan(fields_end)));
  }
}

TEST(OracleFrame, ADeclaredLengthThatIsNotThereIsNoFrameForEither) {
  RandomMessages random(1);
  const auto share = make<wire::SubmitSharesExtended>(random);
  wire::FrameBuffer frame;
  frame.push(share);
  for (const int difference : {-1, 1}) {
    std::vector<std::uint8_t> bytes(frame.bytes().begin(), frame.bytes().end());
    bytes[3] = static_cast<std::uint8_t>(bytes[3] + difference);
    EXPECT_FALSE(decoded_by_sri(bytes));
    std::vector<wire::FrameView> frames;
    wire::PlainCodec codec;
    const auto used = codec.open(bytes, frames);
    ASSERT_TRUE(used);
    EXPECT_NE(*used, bytes.size());
  }
}

TEST(OracleFrame, UnknownMessagesAreNoneForEither) {
  for (unsigned extension = 0; extension < 4; ++extension) {
    for (unsigned type = 0; type < 256; ++type) {
      const wire::FrameHeader header{.extension_type = static_cast<std::uint16_t>(extension),
                                     .message_type = static_cast<std::uint8_t>(type)};
      bool known = false;
      wire::with_message_type(header, [&]<class M>(std::type_identity<M>) { known = true; });
      wire::FrameBuffer frames;
      frames.push_raw(header, {});
      const auto theirs = decoded_by_sri(frames.bytes());
      ASSERT_FALSE(theirs) << "no known message is empty";
      EXPECT_EQ(known, !theirs.error().contains("UnexpectedMessage")) << extension << " " << type << " " << theirs.error();
    }
  }
}

}  // namespace
}  // namespace adit::oracle
