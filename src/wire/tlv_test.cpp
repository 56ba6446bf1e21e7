#include "wire/tlv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "base/hex.h"
#include "wire/messages.h"

namespace adit::wire {
namespace {

using testing::ElementsAreArray;

std::vector<std::uint8_t> bytes(std::string_view hex) { return *from_hex(hex); }

TEST(Tlv, TypeAndLengthAreLittleEndianAsSriEncodesThem) {
  ByteBuffer out;
  ASSERT_TRUE(append_tlv(out, kWorkerTracking, kUserIdentityField, as_bytes("Worker_001")));
  EXPECT_EQ(to_hex(out.bytes()), "0200010a00576f726b65725f303031");

  const auto value = find_tlv(out.bytes(), kWorkerTracking, kUserIdentityField);
  ASSERT_TRUE(value);
  EXPECT_EQ(as_text(*value), "Worker_001");
}

TEST(Tlv, FieldsOfOtherExtensionsAreSkipped) {
  ByteBuffer out;
  append_tlv(out, 0x0003, 0x01, as_bytes("other extension"));
  append_tlv(out, kWorkerTracking, 0x02, as_bytes("other field"));
  append_tlv(out, kWorkerTracking, kUserIdentityField, {});
  append_tlv(out, kWorkerTracking, kUserIdentityField, as_bytes("second"));
  const auto value = find_tlv(out.bytes(), kWorkerTracking, kUserIdentityField);
  ASSERT_TRUE(value);
  EXPECT_TRUE(value->empty());
  EXPECT_FALSE(find_tlv(out.bytes(), 0x0004, 0x01));
}

TEST(Tlv, AListCutAnywhereInAFieldIsNotWellFormed) {
  ByteBuffer out;
  append_tlv(out, 0x0002, 0x01, as_bytes("ab"));
  append_tlv(out, 0x0003, 0x01, as_bytes("cde"));
  const Bytes whole = std::as_const(out).bytes();
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    EXPECT_EQ(well_formed_tlvs(whole.first(size)), size == 0 || size == 7 || size == whole.size()) << size;
  }
}

TEST(Tlv, ADeclaredLengthBeyondTheBytesIsNoField) {
  const auto field = bytes("020001ffff00");
  Bytes rest = field;
  EXPECT_FALSE(take_tlv(rest));
  EXPECT_THAT(rest, ElementsAreArray(field));
}

TEST(Tlv, AValueBeyondU16IsRefused) {
  ByteBuffer out;
  const std::vector<std::uint8_t> value(0x10000);
  EXPECT_FALSE(append_tlv(out, 0x0002, 0x01, value));
  EXPECT_TRUE(out.empty());
  EXPECT_TRUE(append_tlv(out, 0x0002, 0x01, Bytes(value).first(0xffff)));
}

TEST(Tlv, FollowsTheFieldsOfAShareAndIsHandedOut) {
  ByteBuffer tlvs;
  append_tlv(tlvs, kWorkerTracking, kUserIdentityField, as_bytes("rig-7"));
  FrameBuffer frames;
  const auto extranonce = bytes("0102030405060708");
  ASSERT_TRUE(frames.push(SubmitSharesExtended{.channel_id = 1, .extranonce = extranonce}, tlvs.bytes()));

  const FrameView frame = *frames.begin();
  Bytes rest;
  const auto share = frame.as<SubmitSharesExtended>(&rest);
  ASSERT_TRUE(share);
  EXPECT_EQ(to_hex(share->extranonce), "0102030405060708");
  EXPECT_EQ(as_text(find_tlv(rest, kWorkerTracking, kUserIdentityField).value()), "rig-7");
  // Who did not negotiate the extension ignores the field.
  EXPECT_TRUE(frame.as<SubmitSharesExtended>());
}

}  // namespace
}  // namespace adit::wire
