#include "bitcoin/coinbase.h"

#include <gtest/gtest.h>

#include "bitcoin/test_data.h"

namespace adit::bitcoin {
namespace {

using test::bytes_of;

std::vector<std::uint8_t> joined(const CoinbaseParts& parts, Bytes extranonce) {
  std::vector<std::uint8_t> bytes = parts.prefix;
  bytes.insert(bytes.end(), extranonce.begin(), extranonce.end());
  bytes.insert(bytes.end(), parts.suffix.begin(), parts.suffix.end());
  return bytes;
}

Template some_template() {
  Template t;
  t.height = 227931;
  t.coinbase_script_prefix = height_push(t.height);
  t.coinbase_value_sat = 25'0000'0000;
  t.coinbase_outputs = {{0, witness_commitment_script({})}};
  t.has_witness_commitment = true;
  return t;
}

const std::vector<TxOutput> kPayout{{25'0000'0000, bytes_of("0014751e76e8199196d454941c45d1b3a323f1433bd6")}};

TEST(HeightPush, IsBip34sAndMinimal) {
  EXPECT_EQ(to_hex(height_push(227931)), "035b7a03");  // BIP34's example.
  EXPECT_EQ(to_hex(height_push(500'000)), "0320a107");
  EXPECT_EQ(to_hex(height_push(0)), "00");
  EXPECT_EQ(to_hex(height_push(1)), "51");
  EXPECT_EQ(to_hex(height_push(16)), "60");
  EXPECT_EQ(to_hex(height_push(17)), "0111");
  EXPECT_EQ(to_hex(height_push(127)), "017f");
  EXPECT_EQ(to_hex(height_push(128)), "028000");
  EXPECT_EQ(to_hex(height_push(32767)), "02ff7f");
  EXPECT_EQ(to_hex(height_push(32768)), "03008000");
  EXPECT_EQ(to_hex(height_push(0xffffffff)), "05ffffffff00");
}

TEST(HeightPush, IsReadBackWhateverFollowsItAndOnlyIfItIsMinimal) {
  for (const std::uint32_t height : {0u, 1u, 16u, 17u, 127u, 128u, 32767u, 32768u, 227931u, 0xffffffffu}) {
    auto script = height_push(height);
    EXPECT_EQ(height_at_front(script), height);
    script.insert(script.end(), {0x51, 0xff});
    EXPECT_EQ(height_at_front(script), height);
    script.resize(height_push(height).size() - 1);
    EXPECT_EQ(height_at_front(script), std::nullopt) << height;
  }
  for (const char* const wrong :
       {"", "0101", "02ff", "025a00", "03ff0000", "61", "50", "4c0111", "0600000000000001", "05000000000100"})
    EXPECT_EQ(height_at_front(bytes_of(wrong)), std::nullopt) << wrong;
}

TEST(HeightOfCoinbase, IsReadFromAWholeOneAndFromAPrefixOfAJob) {
  for (const std::uint32_t height : {0u, 1u, 2u, 15u, 16u, 17u, 127u, 128u, 32767u, 32768u, 8388607u, 8388608u, 0xffffffffu}) {
    Template t = some_template();
    t.height = height;
    t.coinbase_script_prefix = height_push(height);
    const auto parts = *build_coinbase(t, kPayout, "tag", 8);
    EXPECT_EQ(height_of_coinbase(parts.prefix), height);
    const auto whole = joined(parts, bytes_of("0102030405060708"));
    EXPECT_EQ(height_of_coinbase(whole), height);
    std::vector<std::uint8_t> with_witness = whole;
    with_witness.insert(with_witness.begin() + 4, {0x00, 0x01});
    EXPECT_EQ(height_of_coinbase(with_witness), height);
    const std::size_t behind_height = kCoinbaseScriptBegin + height_push(height).size();
    EXPECT_EQ(height_of_coinbase(Bytes(whole).first(behind_height)), height);
    for (std::size_t size = 0; size < behind_height; ++size)
      EXPECT_EQ(height_of_coinbase(Bytes(whole).first(size)), std::nullopt) << height << ", cut off behind " << size;
  }
}

TEST(HeightOfCoinbase, IsNotThatOfAMalformedOne) {
  const auto coinbase = [](const std::string& inputs, const std::string& script_size, const std::string& script) {
    return bytes_of("01000000" + inputs + std::string(64, '0') + "ffffffff" + script_size + script);
  };
  const std::string rest = "035b7a03" + std::string(192, '0');
  EXPECT_EQ(height_of_coinbase(coinbase("01", "64", rest)), 227931u);
  EXPECT_EQ(height_of_coinbase(coinbase("01", "65", rest + "00")), std::nullopt) << "a script of more than 100 bytes";
  EXPECT_EQ(height_of_coinbase(coinbase("01", "fd", rest)), std::nullopt);
  EXPECT_EQ(height_of_coinbase(coinbase("00", "64", rest)), std::nullopt) << "no input";
  EXPECT_EQ(height_of_coinbase(coinbase("02", "64", rest)), std::nullopt) << "two inputs";
  EXPECT_EQ(height_of_coinbase(coinbase("01", "03", rest)), std::nullopt) << "the script has ended before the height";
  EXPECT_EQ(height_of_coinbase(coinbase("01", "00", "51")), std::nullopt);
  EXPECT_EQ(height_of_coinbase(coinbase("01", "02", "0105")), std::nullopt) << "5 is one opcode";
  EXPECT_EQ(height_of_coinbase(coinbase("01", "05", "047a5b0300")), std::nullopt) << "a byte too many";
  EXPECT_EQ(height_of_coinbase(coinbase("01", "02", "0190")), std::nullopt) << "a negative number";
  EXPECT_EQ(height_of_coinbase(coinbase("01", "01", "61")), std::nullopt) << "no push";
  EXPECT_EQ(height_of_coinbase({}), std::nullopt);
}

TEST(Coinbase, BuildsTheGenesisCoinbaseByteForByte) {
  Template t;
  t.coinbase_version = 1;
  t.coinbase_script_prefix = bytes_of("04ffff001d0104");
  t.coinbase_value_sat = 50'0000'0000;
  const auto genesis = bytes_of(test::kGenesisCoinbase);
  const std::vector<TxOutput> payout{{50'0000'0000, parse_transaction(genesis)->outputs[0].script}};
  const auto parts = build_coinbase(t, payout, "The Times 03/Jan/2009 Chancellor on brink of second bailout for banks", 0);
  ASSERT_TRUE(parts) << parts.error().message();
  EXPECT_EQ(to_hex(joined(*parts, {})), test::kGenesisCoinbase);
}

TEST(Coinbase, TheExtranonceIsTheLastPushOfItsScript) {
  const Template t = some_template();
  const auto extranonce = bytes_of("00112233445566778899aabbccddeeff");
  const auto parts = build_coinbase(t, kPayout, "/Adit/", extranonce.size());
  ASSERT_TRUE(parts);
  const auto coinbase = parse_transaction(Bytes(joined(*parts, extranonce)));
  ASSERT_TRUE(coinbase) << coinbase.error().message();
  EXPECT_TRUE(coinbase->is_coinbase());
  EXPECT_EQ(to_hex(coinbase->inputs[0].script),
            "035b7a03"
            "06"
            "2f416469742f"
            "10"
            "00112233445566778899aabbccddeeff");
  ASSERT_EQ(coinbase->outputs.size(), 2u);
  EXPECT_EQ(coinbase->outputs[0], kPayout[0]);
  EXPECT_EQ(coinbase->outputs[1], t.coinbase_outputs[0]);
}

TEST(Coinbase, AnEmptyTagTakesNoRoom) {
  const auto parts = build_coinbase(some_template(), kPayout, "", 8);
  ASSERT_TRUE(parts);
  EXPECT_EQ(to_hex(parse_transaction(Bytes(joined(*parts, bytes_of("0001020304050607"))))->inputs[0].script),
            "035b7a03080001020304050607");
}

TEST(Coinbase, AScriptOver100BytesIsRefusedAndTheErrorNamesTheRoomLeft) {
  const Template t = some_template();
  for (std::size_t extranonce_size : {0u, 4u, 16u, 20u, 32u}) {
    const std::size_t room = max_coinbase_tag_size(t, extranonce_size);
    const auto fits = build_coinbase(t, kPayout, std::string(room, 'x'), extranonce_size);
    ASSERT_TRUE(fits) << extranonce_size;
    const auto coinbase = parse_transaction(Bytes(joined(*fits, std::vector<std::uint8_t>(extranonce_size))));
    ASSERT_TRUE(coinbase) << coinbase.error().message();
    EXPECT_LE(coinbase->inputs[0].script.size(), kMaxCoinbaseScriptSize);
    const auto refused = build_coinbase(t, kPayout, std::string(room + 1, 'x'), extranonce_size);
    ASSERT_FALSE(refused) << extranonce_size;
    EXPECT_TRUE(refused.error().is(Errc::kTooLarge));
    EXPECT_NE(refused.error().message().find("at most " + std::to_string(room)), std::string::npos)
        << refused.error().message();
  }
}

TEST(Coinbase, PayoutsBeyondTheBlocksValueAreRefused) {
  Template t = some_template();
  t.coinbase_value_sat -= 1;
  const auto refused = build_coinbase(t, kPayout, "", 8);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(Errc::kValue));
  const std::vector<TxOutput> overflowing{{~0ull, {}}, {2, {}}};
  EXPECT_FALSE(build_coinbase(t, overflowing, "", 8));
}

TEST(Coinbase, WitnessChangesTheWtxidButNotTheTxid) {
  const auto parts = build_coinbase(some_template(), kPayout, "/Adit/", 8);
  const auto stripped = joined(*parts, bytes_of("0001020304050607"));
  const auto whole = add_coinbase_witness(stripped);
  ASSERT_TRUE(whole);
  const auto ids = transaction_ids(*whole);
  ASSERT_TRUE(ids);
  EXPECT_EQ(ids->txid, sha256d(stripped));
  EXPECT_NE(ids->wtxid, ids->txid);
  const auto transaction = parse_transaction(Bytes(*whole));
  ASSERT_TRUE(transaction);
  ASSERT_EQ(transaction->inputs[0].witness.size(), 1u);
  EXPECT_EQ(transaction->inputs[0].witness[0], std::vector<std::uint8_t>(32, 0));
  EXPECT_FALSE(add_coinbase_witness(*whole));
  EXPECT_FALSE(add_coinbase_witness(bytes_of("00")));
}

TEST(WitnessCommitment, OfABlockWithNothingButItsCoinbaseIsTheWellKnownOne) {
  EXPECT_EQ(to_hex(witness_commitment_script({})),
            "6a24aa21a9ede2f61c3f71d1defd3fa999dfa36953755c690689799962b48bebd836974e8cf9");
}

TEST(Coinbase, SignatureOperationsOfScriptsAreCountedAsBlocksDo) {
  using test::bytes_of;
  EXPECT_EQ(count_sigops({}), 0u);
  EXPECT_EQ(count_sigops(bytes_of("0014acacacacacacacacacacacacacacacacacacacac")), 0u) << "what is pushed is no opcode";
  EXPECT_EQ(count_sigops(bytes_of("76a914acacacacacacacacacacacacacacacacacacacac88ac")), 1u);
  EXPECT_EQ(count_sigops(bytes_of("5152ae")), 20u);
  EXPECT_EQ(count_sigops(bytes_of("4c02acacad")), 1u);
  EXPECT_EQ(count_sigops(bytes_of("4d0100acac")), 1u);
  EXPECT_EQ(count_sigops(bytes_of("4e01000000acac")), 1u);
  EXPECT_EQ(count_sigops(bytes_of("ac4effffffffac")), 1u) << "a push beyond the end";
}

}  // namespace
}  // namespace adit::bitcoin
