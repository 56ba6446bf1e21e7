#include "bitcoin/tx.h"

#include <gtest/gtest.h>

#include "bitcoin/test_data.h"

namespace adit::bitcoin {
namespace {

using test::bytes_of;

TEST(CompactSize, TakesTheShortestFormAndReadsItBack) {
  for (std::uint64_t value : {0ull, 0xfcull, 0xfdull, 0xffffull, 0x10000ull, 0xffffffffull, 0x100000000ull, ~0ull}) {
    std::vector<std::uint8_t> bytes;
    append_compact_size(bytes, value);
    EXPECT_EQ(bytes.size(), compact_size_length(value));
    ByteReader reader(bytes);
    EXPECT_EQ(reader.compact_size(), value);
    EXPECT_TRUE(reader.ok());
    EXPECT_EQ(reader.left(), 0u);
  }
}

TEST(CompactSize, RefusesLongerFormsAndMissingBytes) {
  for (const char* hex : {"fd0500", "fe0000ffff", "fefc000000", "ff00000000ffffffff", "fd05", "ff", ""}) {
    const auto bytes = bytes_of(hex);
    ByteReader reader(bytes);
    if (std::string_view(hex) == "fe0000ffff" || std::string_view(hex) == "ff00000000ffffffff") {
      reader.compact_size();
      EXPECT_TRUE(reader.ok()) << hex;  // These are the shortest forms of large numbers.
      continue;
    }
    EXPECT_EQ(reader.compact_size(), 0u) << hex;
    EXPECT_FALSE(reader.ok()) << hex;
  }
}

TEST(ByteReader, StaysFailedAfterTheFirstReadBeyondTheEnd) {
  const auto bytes = bytes_of("0102030405");
  ByteReader reader(bytes);
  EXPECT_EQ(reader.u32(), 0x04030201u);
  EXPECT_EQ(reader.u32(), 0u);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.u8(), 0);
  EXPECT_TRUE(reader.take(~0ull).empty());
}

TEST(Transaction, IdsOfASegwitTransactionLeaveOutItsWitness) {
  const auto bytes = bytes_of(test::kSegwitTransaction);
  const auto ids = transaction_ids(bytes);
  ASSERT_TRUE(ids) << ids.error().message();
  EXPECT_EQ(to_hex_reversed(ids->txid), test::kSegwitTxid);
  EXPECT_EQ(to_hex_reversed(ids->wtxid), test::kSegwitWtxid);
  const auto stripped = strip_witness(bytes);
  ASSERT_TRUE(stripped);
  EXPECT_EQ(to_hex_reversed(sha256d(*stripped)), test::kSegwitTxid);
  EXPECT_EQ(strip_witness(*stripped).value(), *stripped);
}

TEST(Transaction, TheGenesisCoinbaseHasItsId) {
  const auto bytes = bytes_of(test::kGenesisCoinbase);
  const auto ids = transaction_ids(bytes);
  ASSERT_TRUE(ids);
  EXPECT_EQ(to_hex_reversed(ids->txid), test::kGenesisMerkleRoot);
  EXPECT_EQ(ids->txid, ids->wtxid);
  const auto transaction = parse_transaction(bytes);
  ASSERT_TRUE(transaction);
  EXPECT_TRUE(transaction->is_coinbase());
  ASSERT_EQ(transaction->outputs.size(), 1u);
  EXPECT_EQ(transaction->outputs[0].value_sat, 50'0000'0000u);
}

TEST(Transaction, ParsingAndSerializingGiveTheSameBytes) {
  for (std::string_view hex : {test::kSegwitTransaction, test::kGenesisCoinbase}) {
    const auto transaction = parse_transaction(bytes_of(hex));
    ASSERT_TRUE(transaction) << transaction.error().message();
    EXPECT_EQ(to_hex(serialize(*transaction)), hex);
  }
  EXPECT_FALSE(parse_transaction(bytes_of(test::kSegwitTransaction))->is_coinbase());
}

TEST(Transaction, CutShortAnywhereIsRefused) {
  const auto bytes = bytes_of(test::kSegwitTransaction);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(transaction_ids(Bytes(bytes).first(size))) << size;
    EXPECT_FALSE(parse_transaction(Bytes(bytes).first(size))) << size;
  }
  auto longer = bytes;
  longer.push_back(0);
  EXPECT_FALSE(transaction_ids(longer));
  EXPECT_FALSE(parse_transaction(longer));
}

TEST(Transaction, AnyChangedByteIsReadWithinBoundsOrRefused) {
  const auto good = bytes_of(test::kSegwitTransaction);
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (int value : {0x00, 0x01, 0xfd, 0xfe, 0xff}) {
      auto bad = good;
      bad[at] = static_cast<std::uint8_t>(value);
      const auto layout = transaction_layout(bad);
      EXPECT_EQ(layout && layout->size == bad.size(), parse_transaction(Bytes(bad)).has_value()) << at;
      if (layout) EXPECT_LE(layout->size, bad.size());
    }
  }
}

TEST(Transaction, DeclaredCountsAreRefusedBeforeMemoryIsTakenForThem) {
  EXPECT_FALSE(parse_transaction(bytes_of("01000000ffffffffffffffffff00")));
  EXPECT_FALSE(parse_transaction(bytes_of("0100000001" + std::string(64, '0') + "ffffffff00ffffffffffffffffffffffffff")));
  EXPECT_FALSE(parse_counted_outputs(bytes_of("feffffffff")));
}

TEST(Transaction, AMarkerWithoutAnyWitnessIsRefused) {
  // BIP144: such a transaction must be serialized without marker and flag.
  EXPECT_FALSE(parse_transaction(bytes_of("02000000000101" + std::string(64, '1') +
                                          "0000000000ffffffff0100000000000000000000"
                                          "00000000")));
}

TEST(Outputs, RoundTripWithAndWithoutCount) {
  const std::vector<TxOutput> outputs{{5'000, bytes_of("0014751e76e8199196d454941c45d1b3a323f1433bd6")}, {0, bytes_of("6a")}};
  std::vector<std::uint8_t> bytes;
  for (const TxOutput& output : outputs) append_output(bytes, output);
  EXPECT_EQ(bytes.size(), output_size(outputs[0]) + output_size(outputs[1]));
  EXPECT_EQ(parse_outputs(bytes, 2).value(), outputs);
  EXPECT_FALSE(parse_outputs(bytes, 1));
  EXPECT_FALSE(parse_outputs(bytes, 3));
  bytes.insert(bytes.begin(), 2);
  EXPECT_EQ(parse_counted_outputs(bytes).value(), outputs);
}

}  // namespace
}  // namespace adit::bitcoin
