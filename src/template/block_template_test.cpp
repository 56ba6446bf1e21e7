#include "template/block_template.h"

#include <gtest/gtest.h>

#include "bitcoin/coinbase.h"
#include "bitcoin/test_data.h"
#include "template/test_node.h"

namespace adit::templates {
namespace {

namespace json = boost::json;

constexpr UnixTime kNow{std::chrono::seconds(1'800'000'000)};

// Of Bitcoin Core's shape, with one segwit transaction.
json::object good() {
  Chain chain{Chain::Options{}};
  (void)chain.add_transaction(bitcoin::test::bytes_of(bitcoin::test::kSegwitTransaction), 1'000);
  return test::template_json(chain.make_template(kNow));
}

TEST(BlockTemplate, GivesTheTemplateThatTheNodeMeant) {
  Chain chain{Chain::Options{}};
  (void)chain.add_transaction(bitcoin::test::bytes_of(bitcoin::test::kSegwitTransaction), 1'000);
  const Template meant = chain.make_template(kNow);
  const auto parsed = parse_block_template(test::template_json(meant));
  ASSERT_TRUE(parsed) << parsed.error().message();
  const Template& made = parsed->block_template;
  EXPECT_EQ(made.version, meant.version);
  EXPECT_EQ(made.prev_hash, meant.prev_hash);
  EXPECT_EQ(made.nbits, meant.nbits);
  EXPECT_EQ(made.min_ntime, meant.min_ntime);
  EXPECT_EQ(made.current_time, meant.current_time);
  EXPECT_EQ(made.height, meant.height);
  EXPECT_EQ(made.coinbase_script_prefix, meant.coinbase_script_prefix);
  EXPECT_EQ(made.coinbase_value_sat, meant.coinbase_value_sat);
  EXPECT_EQ(made.coinbase_outputs, meant.coinbase_outputs);
  EXPECT_EQ(made.merkle_path, meant.merkle_path);
  EXPECT_EQ(made.transactions, meant.transactions);
  EXPECT_TRUE(made.has_witness_commitment);
  EXPECT_FALSE(parsed->long_poll_id.empty());
}

TEST(BlockTemplate, WithoutCommitmentAndTransactionsNeedsNone) {
  Chain chain{Chain::Options{}};
  json::object answer = test::template_json(chain.make_template(kNow));
  answer.erase("default_witness_commitment");
  answer.erase("longpollid");
  const auto parsed = parse_block_template(answer);
  ASSERT_TRUE(parsed);
  EXPECT_FALSE(parsed->block_template.has_witness_commitment);
  EXPECT_TRUE(parsed->block_template.coinbase_outputs.empty());
  EXPECT_TRUE(parsed->long_poll_id.empty());
}

TEST(BlockTemplate, WithoutCommitmentButWithAWitnessGetsOurs) {
  json::object answer = good();
  const std::string commitment(answer["default_witness_commitment"].as_string());
  answer.erase("default_witness_commitment");
  const auto parsed = parse_block_template(answer);
  ASSERT_TRUE(parsed);
  EXPECT_TRUE(parsed->block_template.has_witness_commitment);
  EXPECT_EQ(to_hex(parsed->block_template.coinbase_outputs.at(0).script), commitment);
}

TEST(BlockTemplate, ANegativeVersionIsTakenAsItsBits) {
  json::object answer = good();
  answer["version"] = -1;
  const auto parsed = parse_block_template(answer);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->block_template.version, 0xffffffffu);
}

TEST(BlockTemplate, EveryMissingFieldIsNamed) {
  for (const char* field :
       {"version", "previousblockhash", "transactions", "coinbasevalue", "mintime", "curtime", "bits", "height"}) {
    json::object answer = good();
    answer.erase(field);
    const auto parsed = parse_block_template(answer);
    ASSERT_FALSE(parsed) << field;
    EXPECT_TRUE(parsed.error().is(Errc::kNonsense));
    EXPECT_NE(parsed.error().message().find(field), std::string::npos) << parsed.error().message();
  }
}

TEST(BlockTemplate, EveryAbsurdValueIsNamed) {
  // Values as JSON.
  const std::vector<std::pair<std::string, std::string>> absurd{
      {"version", R"("536870912")"},
      {"version", "4294967296"},
      {"version", "0.5"},
      {"version", "null"},
      {"previousblockhash", R"("")"},
      {"previousblockhash", '"' + std::string(64, 'g') + '"'},
      {"previousblockhash", '"' + std::string(66, '0') + '"'},
      {"previousblockhash", "7"},
      {"transactions", "1"},
      {"transactions", "{}"},
      {"coinbasevalue", "-1"},
      {"coinbasevalue", "2100000000000001"},
      {"coinbasevalue", "1e30"},
      {"coinbasevalue", R"("50")"},
      {"mintime", "4294967296"},
      {"mintime", "-5"},
      {"curtime", "1099511627776"},
      {"curtime", "[]"},
      {"bits", R"("207fff")"},
      {"bits", R"("00000000")"},
      {"bits", R"("04923456")"},
      {"bits", R"("ff123456")"},
      {"bits", "545259519"},
      {"height", "0"},
      {"height", "2147483648"},
      {"height", R"("1")"},
      {"default_witness_commitment", "1"},
      {"default_witness_commitment", R"("")"},
      {"default_witness_commitment", R"("6a24aa21a9ed)" + std::string(64, '0') + '"'},
      {"longpollid", '"' + std::string(100'000, '7') + '"'},
  };
  for (const auto& [field, value] : absurd) {
    json::object answer = good();
    answer[field] = json::parse(value);
    const auto parsed = parse_block_template(answer);
    ASSERT_FALSE(parsed) << field << ' ' << value.substr(0, 80);
    EXPECT_TRUE(parsed.error().is(Errc::kNonsense));
    EXPECT_NE(parsed.error().message().find(field), std::string::npos) << parsed.error().message();
    EXPECT_LT(parsed.error().message().size(), 300u);
  }
}

TEST(BlockTemplate, TransactionsThatAreNoneAreRefused) {
  for (const json::value& entry :
       {json::value(nullptr), json::value("00"), json::value(json::object{}), json::value(json::object{{"data", 7}}),
        json::value(json::object{{"data", "zz"}}), json::value(json::object{{"data", "0100"}})}) {
    json::object answer = good();
    answer["transactions"].as_array().push_back(entry);
    const auto parsed = parse_block_template(answer);
    ASSERT_FALSE(parsed) << json::serialize(entry);
    EXPECT_NE(parsed.error().message().find("transaction 1"), std::string::npos) << parsed.error().message();
  }
  json::object many = good();
  many["transactions"].as_array().resize(100'000);
  EXPECT_FALSE(parse_block_template(many));
}

TEST(BlockTemplate, ARuleThatWeDoNotKnowIsNotIgnored) {
  json::object answer = good();
  answer["rules"] = {"csv", "!segwit", "!signet"};
  const auto parsed = parse_block_template(answer);
  ASSERT_FALSE(parsed);
  EXPECT_TRUE(parsed.error().is(Errc::kRefused));
  EXPECT_NE(parsed.error().message().find("signet"), std::string::npos);
}

TEST(BlockTemplate, AnythingButAnObjectIsRefused) {
  for (const json::value& answer :
       {json::value(nullptr), json::value(json::array{}), json::value("a"), json::value(1), json::value(json::object{})}) {
    const auto parsed = parse_block_template(answer);
    ASSERT_FALSE(parsed);
    EXPECT_TRUE(parsed.error().is(Errc::kNonsense));
  }
}

}  // namespace
}  // namespace adit::templates
