#include "declaration/coinbase_parts.h"

#include <gtest/gtest.h>
#include <random>
#include <string>

#include "bitcoin/block.h"
#include "bitcoin/consensus.h"
#include "bitcoin/tx.h"

namespace adit::declaration {
namespace {

DeclaredCoinbase example(bool with_witness = true) {
  return {.version = 2,
          .script = {0x02, 0x10, 0x27, 0x03, 'a', 'b', 'c', 0x14},
          .extranonce_size = 20,
          .sequence = 0xfffffffe,
          .outputs = {{5'000'000'000, {0x51}}, {0, {0x6a, 0x01, 0x02}}},
          .locktime = 9'999,
          .has_witness = with_witness};
}

/// The error's name, or "" if both parts are read.
std::string_view fault_of(const CoinbaseFields& parts) {
  const auto read = parse_coinbase_parts(parts.prefix, parts.suffix);
  return read ? std::string_view() : read.error().name();
}

TEST(CoinbaseParts, WhatIsWrittenIsReadBackAndIsATransaction) {
  for (const bool with_witness : {true, false}) {
    const auto coinbase = example(with_witness);
    const auto parts = coinbase_parts(coinbase);
    const auto read = parse_coinbase_parts(parts.prefix, parts.suffix);
    ASSERT_TRUE(read) << read.error().message();
    EXPECT_EQ(*read, coinbase);

    std::vector<std::uint8_t> whole = parts.prefix;
    whole.insert(whole.end(), coinbase.extranonce_size, 0xee);
    whole.insert(whole.end(), parts.suffix.begin(), parts.suffix.end());
    const auto transaction = bitcoin::parse_transaction(whole);
    ASSERT_TRUE(transaction) << transaction.error().message();
    EXPECT_TRUE(transaction->is_coinbase());
    EXPECT_EQ(transaction->inputs[0].script.size(), coinbase.script.size() + coinbase.extranonce_size);
    EXPECT_EQ(transaction->outputs, coinbase.outputs);
    EXPECT_EQ(transaction->locktime, coinbase.locktime);
  }
}

TEST(CoinbaseParts, CountedOutputsAreWhatSetCustomMiningJobCarries) {
  const auto outputs = example().outputs;
  const auto read = bitcoin::parse_counted_outputs(counted_outputs(outputs));
  ASSERT_TRUE(read);
  EXPECT_EQ(*read, outputs);
}

TEST(CoinbaseParts, APrefixThatEndsAnywhereIsRefused) {
  // From the scriptSig's length on, which then leaves more to the extranonce, it is another coinbase and not a broken one.
  const auto parts = coinbase_parts(example());
  constexpr std::size_t kScript = 4 + 2 + 1 + 36 + 1;
  for (std::size_t size = 0; size < kScript; ++size) {
    const auto cut =
        CoinbaseFields{{parts.prefix.begin(), parts.prefix.begin() + static_cast<std::ptrdiff_t>(size)}, parts.suffix};
    EXPECT_FALSE(fault_of(cut).empty()) << size;
  }
}

TEST(CoinbaseParts, ASuffixThatEndsEarlyOrGoesOnIsRefused) {
  auto parts = coinbase_parts(example());
  for (std::size_t size = 0; size < parts.suffix.size(); ++size) {
    const auto cut =
        CoinbaseFields{parts.prefix, {parts.suffix.begin(), parts.suffix.begin() + static_cast<std::ptrdiff_t>(size)}};
    EXPECT_EQ(fault_of(cut), "coinbase") << size;
  }
  parts.suffix.push_back(0);
  EXPECT_EQ(fault_of(parts), "coinbase");
}

TEST(CoinbaseParts, ALengthThatLiesCostsNothing) {
  constexpr std::size_t kScriptSize = 4 + 2 + 1 + 36;
  const auto with = [&](std::vector<std::uint8_t> length) {
    auto parts = coinbase_parts(example());
    parts.prefix.erase(parts.prefix.begin() + kScriptSize);
    parts.prefix.insert(parts.prefix.begin() + kScriptSize, length.begin(), length.end());
    return fault_of(parts);
  };
  EXPECT_EQ(with({28}), "");
  EXPECT_EQ(with({0}), "coinbase");
  EXPECT_EQ(with({1}), "coinbase");
  EXPECT_EQ(with({7}), "coinbase") << "less than the prefix holds of it";
  EXPECT_EQ(with({41}), "coinbase") << "an extranonce of 33 bytes";
  EXPECT_EQ(with({101}), "coinbase");
  EXPECT_EQ(with({0xfd, 28, 0}), "coinbase") << "not minimal";
  EXPECT_EQ(with({0xfe, 0xff, 0xff, 0xff, 0xff}), "coinbase");
  EXPECT_EQ(with({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}), "coinbase");

  auto many = coinbase_parts(example());
  many.suffix.erase(many.suffix.begin() + 4);
  many.suffix.insert(many.suffix.begin() + 4, {0xfe, 0xff, 0xff, 0xff, 0xff});
  EXPECT_EQ(fault_of(many), "coinbase") << "four thousand million outputs";
  auto long_script = coinbase_parts(example());
  long_script.suffix[4 + 1 + 8] = 0xfc;
  EXPECT_EQ(fault_of(long_script), "coinbase");
}

TEST(CoinbaseParts, ItHasOneInputThatSpendsNothing) {
  for (const bool with_witness : {true, false}) {
    const std::size_t count = with_witness ? 6 : 4;
    auto two = coinbase_parts(example(with_witness));
    two.prefix[count] = 2;
    EXPECT_EQ(fault_of(two), "coinbase-inputs");
    auto spends = coinbase_parts(example(with_witness));
    spends.prefix[count + 1] = 1;
    EXPECT_EQ(fault_of(spends), "coinbase-inputs");
    auto index = coinbase_parts(example(with_witness));
    index.prefix[count + 33] = 1;
    EXPECT_EQ(fault_of(index), "coinbase-inputs");
  }
  auto none = coinbase_parts(example(true));
  none.prefix[6] = 0;
  EXPECT_EQ(fault_of(none), "coinbase-inputs");
  auto none_without_witness = coinbase_parts(example(false));
  none_without_witness.prefix[4] = 0;
  EXPECT_EQ(fault_of(none_without_witness), "coinbase-inputs");
}

TEST(CoinbaseParts, OutputsAndWitnessAreThoseOfACoinbase) {
  auto coinbase = example();
  coinbase.outputs.clear();
  EXPECT_EQ(fault_of(coinbase_parts(coinbase)), "coinbase");
  coinbase = example();
  coinbase.outputs[0].value_sat = bitcoin::kMaxMoneySat;
  EXPECT_EQ(fault_of(coinbase_parts(coinbase)), "");
  coinbase.outputs[1].value_sat = 1;
  EXPECT_EQ(fault_of(coinbase_parts(coinbase)), "coinbase");
  coinbase.outputs[1].value_sat = ~std::uint64_t{0};
  EXPECT_EQ(fault_of(coinbase_parts(coinbase)), "coinbase") << "a sum that wraps";

  auto parts = coinbase_parts(example());
  parts.suffix[parts.suffix.size() - 5] = 1;
  EXPECT_EQ(fault_of(parts), "coinbase") << "another reserved value";
  parts = coinbase_parts(example());
  parts.suffix[parts.suffix.size() - 4 - 32 - 2] = 2;
  EXPECT_EQ(fault_of(parts), "coinbase") << "two witnesses";
}

TEST(CoinbaseParts, AnyBytesAreReadWithoutHarm) {
  std::mt19937 random(14);
  const auto good = coinbase_parts(example());
  for (int i = 0; i < 20'000; ++i) {
    auto parts = good;
    for (int flips = 0; flips < 3; ++flips) {
      auto& field = random() % 2 == 0 ? parts.prefix : parts.suffix;
      field[random() % field.size()] = static_cast<std::uint8_t>(random());
      if (random() % 8 == 0) field.resize(random() % (field.size() + 1) + 1);
    }
    const auto read = parse_coinbase_parts(parts.prefix, parts.suffix);
    if (!read) continue;
    EXPECT_LE(read->script.size() + read->extranonce_size, 100u);
    const auto again = coinbase_parts(*read);
    EXPECT_EQ(again.prefix, parts.prefix);
    EXPECT_EQ(again.suffix, parts.suffix);
  }
}

}  // namespace
}  // namespace adit::declaration
