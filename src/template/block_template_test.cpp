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

TEST(BlockTemplate, ARuleThatWeDoNotKnowIsNotIgnoredAndNamed) {
  json::object answer = good();
  answer["rules"] = {"csv", "!segwit", "!signet", "!tomorrow"};
  const auto parsed = parse_block_template(answer);
  ASSERT_FALSE(parsed);
  EXPECT_TRUE(parsed.error().is(Errc::kRefused));
  EXPECT_NE(parsed.error().message().find("'tomorrow'"), std::string::npos);
}

TEST(BlockTemplate, SignetsRuleIsUnderstoodAndItsChallengeSaysWhoseBlocksAreValid) {
  json::object answer = good();
  answer["rules"] = {"csv", "!segwit", "!signet", "taproot"};
  answer["signet_challenge"] = "51";
  const auto parsed = parse_block_template(answer);
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(parsed->signet_challenge, std::vector<std::uint8_t>{0x51});
  answer["signet_challenge"] = "5";
  EXPECT_FALSE(parse_block_template(answer));

  using bitcoin::test::bytes_of;
  for (const char* open : {"51", "60", "4f", "0101", "0101", "020100", "0181"}) {
    EXPECT_FALSE(signet_needs_signature(bytes_of(open))) << open;
  }
  for (const char* closed : {"", "00", "0100", "0180", "6a", "5151", "0201", "020000",
                             "0014"
                             "00112233445566778899aabbccddeeff00112233",
                             "512103ad5e0edad18cb1f0fc0d28a3d4f1f3e445640337489abb10404f2d1e086be430210359ef5021964fe22d6f8e05b"
                             "2463c9540ce96883fe3b278760f"
                             "048f5189f2e6c452ae"}) {
    EXPECT_TRUE(signet_needs_signature(bytes_of(closed))) << closed;
  }
}

// Three transactions of which the last has the least fee, as a node orders them.
json::object three_transactions() {
  Chain chain{Chain::Options{}};
  for (std::uint32_t n = 0; n < 3; ++n) {
    bitcoin::Transaction transaction;
    transaction.inputs.emplace_back();
    transaction.inputs[0].prev_index = n;
    transaction.inputs[0].witness = {{1, 2, 3}};
    transaction.outputs.push_back({1, std::vector<std::uint8_t>(100, 0x51)});
    EXPECT_TRUE(chain.add_transaction(bitcoin::serialize(transaction), 3'000 - n));
  }
  json::object answer = test::template_json(chain.make_template(kNow));
  std::uint64_t fee = 3'000;
  for (auto& entry : answer["transactions"].as_array()) {
    entry.as_object()["fee"] = fee--;
    entry.as_object()["sigops"] = 1000;
  }
  answer["sigoplimit"] = 80'000;
  answer["weightlimit"] = 4'000'000;
  return answer;
}

TEST(BlockTemplate, TheLastTransactionsMakeRoomForTheCoinbase) {
  const auto whole = parse_block_template(three_transactions());
  ASSERT_TRUE(whole) << whole.error().message();
  EXPECT_EQ(whole->left_out, 0u);
  ASSERT_EQ(whole->block_template.transactions.size(), 3u);

  // 2000 are reserved for a coinbase of few outputs, 4 a byte for one of more. A transaction has a weight of some 700.
  json::object tight = three_transactions();
  tight["weightlimit"] = 4'000 + 700;
  const auto all = parse_block_template(tight, {.max_additional_size = 100});
  ASSERT_TRUE(all);
  EXPECT_EQ(all->left_out, 0u);
  const auto fewer = parse_block_template(tight, {.max_additional_size = 500});
  ASSERT_TRUE(fewer);
  EXPECT_EQ(fewer->left_out, 2u);
  ASSERT_EQ(fewer->block_template.transactions.size(), 1u);
  EXPECT_EQ(fewer->block_template.transactions[0], whole->block_template.transactions[0]);
  EXPECT_EQ(fewer->block_template.coinbase_value_sat, whole->block_template.coinbase_value_sat - 2'999 - 2'998);
  EXPECT_EQ(fewer->block_template.merkle_path.size(), 1u);
  // What is left is a valid block of its own.
  const auto ids = bitcoin::transaction_ids(fewer->block_template.transactions[0]);
  EXPECT_EQ(fewer->block_template.merkle_path[0], ids->txid);
  EXPECT_EQ(fewer->block_template.coinbase_outputs[0].script, bitcoin::witness_commitment_script(std::vector{ids->wtxid}));

  tight["transactions"].as_array()[2].as_object().erase("fee");
  EXPECT_FALSE(parse_block_template(tight, {.max_additional_size = 500}));

  json::object sigops = three_transactions();
  sigops["sigoplimit"] = 3'100;
  EXPECT_EQ(parse_block_template(sigops, {.max_additional_sigops = 25})->left_out, 0u);
  EXPECT_EQ(parse_block_template(sigops, {.max_additional_sigops = 26})->left_out, 1u);
}

Template on_tip(std::uint32_t height, std::uint32_t nbits, std::uint32_t current_time) {
  Template made;
  made.height = height;
  made.nbits = nbits;
  made.min_ntime = 1'000'000;
  made.current_time = current_time;
  return made;
}

TEST(BlockTemplate, BitsOfTestnetHoldForCertainTimes) {
  constexpr std::uint32_t kTip = 1'000'500;
  constexpr std::uint32_t kLast = kTip + 1200;  // The last second with the bits of the chain.
  Template real = on_tip(5000, 0x1a0fffff, kTip + 60);
  bound_to_min_difficulty(real, kTip);
  EXPECT_EQ(real.min_ntime, 1'000'000u);
  EXPECT_EQ(real.max_ntime, kLast);
  EXPECT_EQ(bits_change_at(real, kTip), kLast + 1);

  Template least = on_tip(5000, 0x1d00ffff, kLast + 1);
  bound_to_min_difficulty(least, kTip);
  EXPECT_EQ(least.min_ntime, kLast + 1);
  EXPECT_EQ(least.max_ntime, 0xffffffffu);
  EXPECT_FALSE(bits_change_at(least, kTip));

  // Where the chain's own bits are the least already, nothing changes.
  Template easy = on_tip(5000, 0x1d00ffff, kTip + 60);
  bound_to_min_difficulty(easy, kTip);
  EXPECT_EQ(easy.min_ntime, 1'000'000u);
  EXPECT_EQ(easy.max_ntime, 0xffffffffu);

  // Nor at a retarget, whose bits do not ask for the time.
  Template retarget = on_tip(2016 * 3, 0x1a0fffff, kTip + 60);
  bound_to_min_difficulty(retarget, kTip);
  EXPECT_EQ(retarget.max_ntime, 0xffffffffu);

  // Without the tip's time: whatever is later than what the node proposes.
  Template unknown = on_tip(5000, 0x1d00ffff, kLast + 30);
  bound_to_min_difficulty(unknown, std::nullopt);
  EXPECT_EQ(unknown.min_ntime, kLast + 30);
}

json::object header(std::uint32_t height) {
  return {{"hash", std::string(64, 'a')}, {"confirmations", 1},          {"height", height},
          {"time", 1'700'000'900},        {"mediantime", 1'700'000'000}, {"bits", "1a0fffff"}};
}

TEST(EmptyTemplate, FollowsTheTipAndPaysTheSubsidyAlone) {
  const auto tip = parse_tip_header(header(900'001));
  ASSERT_TRUE(tip && *tip);
  Template last = on_tip(900'001, 0x1a0fffff, 5);
  last.version = 0x20000004;
  last.coinbase_value_sat = 9'999'999'999;
  last.has_witness_commitment = true;
  const auto made = empty_template_after(**tip, last, 312'500'000, "main", {.instant = {}, .unix_time = kNow});
  ASSERT_TRUE(made);
  const Template& work = made->block_template;
  EXPECT_EQ(work.height, 900'002u);
  EXPECT_EQ(work.coinbase_script_prefix, bitcoin::height_push(900'002));
  EXPECT_EQ(to_hex(work.prev_hash), std::string(64, 'a'));
  EXPECT_EQ(work.nbits, 0x1a0fffffu);
  EXPECT_EQ(work.version, 0x20000004u);
  EXPECT_EQ(work.min_ntime, 1'700'000'001u);
  EXPECT_EQ(work.current_time, to_u32(kNow));
  EXPECT_EQ(work.coinbase_value_sat, 312'500'000u);
  EXPECT_TRUE(work.merkle_path.empty());
  ASSERT_EQ(work.coinbase_outputs.size(), 1u);
  // BIP141 of a block of its coinbase alone: SHA256d of 64 zero bytes.
  EXPECT_EQ(to_hex(work.coinbase_outputs[0].script),
            "6a24aa21a9ede2f61c3f71d1defd3fa999dfa36953755c690689799962b48bebd836974e8cf9");
  last.has_witness_commitment = false;
  EXPECT_TRUE(empty_template_after(**tip, last, 1, "main", {})->block_template.coinbase_outputs.empty());
}

TEST(EmptyTemplate, IsNotMadeWhereTheNextBlockMayDiffer) {
  struct Case {
    std::uint32_t tip;   // The newest block,
    std::uint32_t last;  // what the newest template of the node's was for,
    const char* chain;
    bool is_made;
  };
  for (const Case& one : {Case{900'001, 900'001, "main", true}, Case{900'010, 900'001, "main", true},
                          // The first block of 2016, and one in the next 2016.
                          Case{2016 * 400 - 2, 2016 * 400 - 2, "main", true},
                          Case{2016 * 400 - 1, 2016 * 400 - 1, "main", false}, Case{2016 * 400 - 1, 2016 * 400, "main", false},
                          Case{2016 * 400, 2016 * 400 - 1, "main", false}, Case{2016 * 400, 2016 * 400, "main", true},
                          // The first block with half the subsidy.
                          Case{840'000 - 1, 840'000 - 1, "main", false}, Case{840'000, 840'000, "main", true},
                          Case{149, 149, "regtest", false}, Case{150, 150, "regtest", true}, Case{149, 149, "main", true},
                          // Bits that depend on the time.
                          Case{900'001, 900'001, "test", false}, Case{900'001, 900'001, "testnet4", false},
                          Case{900'001, 900'001, "signet", true}}) {
    const auto tip = parse_tip_header(header(one.tip));
    ASSERT_TRUE(tip && *tip);
    const Template last = on_tip(one.last, 0x1a0fffff, 5);
    EXPECT_EQ(empty_template_after(**tip, last, 1, one.chain, {}).has_value(), one.is_made)
        << one.chain << " " << one.tip << " after a template for " << one.last;
    EXPECT_FALSE(empty_template_after(**tip, last, std::nullopt, one.chain, {})) << "its subsidy is not known";
  }
}

TEST(EmptyTemplate, TheSubsidyIsWhatIsLeftWithoutTheFees) {
  json::object answer = good();
  EXPECT_EQ(parse_block_template(answer)->subsidy_sat, Chain::subsidy_sat(1));
  auto& transaction = answer["transactions"].as_array()[0].as_object();
  transaction["fee"] = 2'000;
  EXPECT_EQ(parse_block_template(answer)->subsidy_sat, Chain::subsidy_sat(1) - 1'000);
  for (const json::value& fee : {json::value(-1), json::value("1000"), json::value(2'100'000'000'000'000)}) {
    transaction["fee"] = fee;
    EXPECT_EQ(parse_block_template(answer)->subsidy_sat, std::nullopt) << fee;
  }
  transaction.erase("fee");
  EXPECT_EQ(parse_block_template(answer)->subsidy_sat, std::nullopt);
}

TEST(EmptyTemplate, AHeaderThatIsNoneIsNamed) {
  json::object beside = header(100);
  beside["confirmations"] = -1;
  const auto gone = parse_tip_header(beside);
  ASSERT_TRUE(gone);
  EXPECT_FALSE(*gone) << "it is not in the chain any more";
  for (const char* const key : {"hash", "height", "bits", "mediantime"}) {
    for (const json::value& value : {json::value(nullptr), json::value(-1), json::value("00"), json::value(UINT64_MAX)}) {
      json::object wrong = header(100);
      wrong[key] = value;
      const auto parsed = parse_tip_header(wrong);
      ASSERT_FALSE(parsed) << key << " " << value;
      EXPECT_TRUE(parsed.error().is(Errc::kNonsense));
      EXPECT_NE(parsed.error().message().find(key), std::string::npos) << parsed.error().message();
    }
  }
  EXPECT_FALSE(parse_tip_header(json::value(json::array{})));
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
