#include "template/sv2_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "bitcoin/consensus.h"
#include "bitcoin/tx.h"
#include "bitcoin/u256.h"
#include "session/error.h"
#include "template/chain.h"
#include "template/sv2_testing.h"

namespace adit::templates {
namespace {

constexpr UnixTime kNow{std::chrono::seconds(1'800'000'000)};

wire::FrameView view(std::vector<std::uint8_t>& payload) {
  return {{.message_type = wire::CoinbaseOutputConstraints::kType, .length = static_cast<std::uint32_t>(payload.size())},
          payload};
}

TEST(Sv2Template, ConstraintsAreReadInTheOlderFormWithoutSigopsToo) {
  std::vector<std::uint8_t> old_form{0x22, 0x01, 0, 0};
  EXPECT_EQ(*read_constraints(view(old_form)), (CoinbaseConstraints{0x122, kUnsaidSigops}));
  std::vector<std::uint8_t> new_form{0x22, 0x01, 0, 0, 9, 0};
  EXPECT_EQ(*read_constraints(view(new_form)), (CoinbaseConstraints{0x122, 3}));  // A cost of 9, 4 for each.
  for (const std::size_t size : {0u, 3u, 5u, 7u}) {
    std::vector<std::uint8_t> cut(size, 1);
    const auto refused = read_constraints(view(cut));
    ASSERT_FALSE(refused) << size;
    EXPECT_TRUE(refused.error().is(session::Errc::kProtocol));
  }
}

TEST(Sv2Template, SigopsGoOutAtTheirCostAsFarAsTheFieldCanSay) {
  EXPECT_EQ(to_message({34, 20}).coinbase_output_max_additional_sigops, 80);
  EXPECT_EQ(to_message({34, 20}).coinbase_output_max_additional_size, 34u);
  EXPECT_EQ(to_message({34, 16'384}).coinbase_output_max_additional_sigops, 0xffff);
  EXPECT_EQ(to_message({34, 0xffffffff}).coinbase_output_max_additional_sigops, 0xffff);
}

Template work() {
  Chain chain = test::long_chain();
  for (std::uint32_t n = 0; n < 5; ++n) EXPECT_TRUE(chain.add_transaction(test::numbered_transaction(n), 500));
  return chain.make_template(kNow);
}

TEST(Sv2Template, WhatIsEncodedIsReadAsTheSameTemplate) {
  const auto sent = std::make_shared<const Template>(work());
  const auto encoded = encode_template(sent, 77);
  ASSERT_TRUE(encoded);
  const auto update = test::nth<wire::NewTemplate>((*encoded)->as_update);
  EXPECT_FALSE(update.future_template);
  EXPECT_THAT(test::names((*encoded)->as_update), testing::ElementsAre("NewTemplate"));
  EXPECT_THAT(test::names((*encoded)->as_tip), testing::ElementsAre("NewTemplate", "SetNewPrevHashTdp"));
  const auto future = test::nth<wire::NewTemplate>((*encoded)->as_tip);
  EXPECT_TRUE(future.future_template);
  EXPECT_EQ(future.template_id, 77u);
  const auto prev_hash = test::nth<wire::SetNewPrevHashTdp>((*encoded)->as_tip);
  EXPECT_EQ(prev_hash.template_id, 77u);
  EXPECT_EQ(bitcoin::U256::from_le(prev_hash.target), *bitcoin::target_from_compact(sent->nbits));
  EXPECT_EQ(prev_hash.header_timestamp, sent->current_time);

  auto read = read_new_template(future, {34, 0});
  ASSERT_TRUE(read) << read.error().message();
  ASSERT_TRUE(set_prev_hash(*read, prev_hash, kNow));
  EXPECT_EQ(read->height, sent->height);
  EXPECT_EQ(read->version, sent->version);
  EXPECT_EQ(read->prev_hash, sent->prev_hash);
  EXPECT_EQ(read->nbits, sent->nbits);
  EXPECT_EQ(read->min_ntime, sent->current_time);
  EXPECT_EQ(read->current_time, sent->current_time);
  EXPECT_EQ(read->coinbase_version, sent->coinbase_version);
  EXPECT_EQ(read->coinbase_script_prefix, sent->coinbase_script_prefix);
  EXPECT_EQ(read->coinbase_sequence, sent->coinbase_sequence);
  EXPECT_EQ(read->coinbase_locktime, sent->coinbase_locktime);
  EXPECT_EQ(read->coinbase_value_sat, sent->coinbase_value_sat);
  EXPECT_EQ(read->coinbase_outputs, sent->coinbase_outputs);
  EXPECT_EQ(read->merkle_path, sent->merkle_path);
  EXPECT_FALSE(read->merkle_path.empty());
  EXPECT_TRUE(read->has_witness_commitment);
  EXPECT_TRUE(read->transactions.empty());
}

TEST(Sv2Template, HeightsOfOneOpcodeAndBytesBehindTheHeightAreRead) {
  for (const std::vector<std::uint8_t>& prefix :
       {std::vector<std::uint8_t>{0x51}, {0x60}, {0x01, 0x11}, {0x03, 1, 2, 3}, {0x60, 0x00}, {0x03, 1, 2, 3, 0x01, 0xff}}) {
    wire::NewTemplate message{.coinbase_prefix = prefix};
    EXPECT_TRUE(read_new_template(message, {})) << prefix.size();
  }
}

TEST(Sv2Template, AProvidersNonsenseIsNamed) {
  const std::vector<std::uint8_t> height{0x02, 0x34, 0x12};
  const auto refusal = [&](const std::function<void(wire::NewTemplate&)>& spoil, CoinbaseConstraints constraints = {34, 1}) {
    wire::NewTemplate message{.coinbase_prefix = height};
    EXPECT_TRUE(read_new_template(message, constraints));
    spoil(message);
    const auto read = read_new_template(message, constraints);
    EXPECT_FALSE(read);
    if (read) return std::string();
    EXPECT_TRUE(read.error().is(Errc::kNonsense));
    return read.error().message();
  };
  using testing::HasSubstr;
  const std::vector<std::uint8_t> long_prefix{0x02, 0x34, 0x12, 0, 0, 0, 0, 0, 0};
  EXPECT_THAT(refusal([&](auto& m) { m.coinbase_prefix = long_prefix; }), HasSubstr("more than 8 bytes"));
  for (const std::vector<std::uint8_t>& prefix :
       {std::vector<std::uint8_t>{}, {0x00}, {0x03, 0x34, 0x12, 0x00}, {0x05, 1, 2}, {0x04, 0xff, 0xff, 0xff, 0xff}, {0x61}}) {
    EXPECT_THAT(refusal([&](auto& m) { m.coinbase_prefix = prefix; }), HasSubstr("BIP34"));
  }
  EXPECT_THAT(refusal([](auto& m) { m.coinbase_tx_value_remaining = bitcoin::kMaxMoneySat + 1; }), HasSubstr("more value"));
  // Fewer or more outputs than declared.
  std::vector<std::uint8_t> outputs;
  bitcoin::append_output(outputs, {.value_sat = 0, .script = {0x6a}});
  EXPECT_THAT(refusal([&](auto& m) { m.coinbase_tx_outputs = outputs; }), HasSubstr("the coinbase's outputs"));
  EXPECT_THAT(refusal([&](auto& m) {
                m.coinbase_tx_outputs = outputs;
                m.coinbase_tx_outputs_count = 2;
              }),
              HasSubstr("the coinbase's outputs"));
  EXPECT_THAT(refusal([&](auto& m) { m.coinbase_tx_outputs_count = 0xffffffff; }), HasSubstr("the coinbase's outputs"));
  // Outputs beside which ours do not fit.
  std::vector<std::uint8_t> many;
  bitcoin::append_output(many, {.value_sat = 0, .script = std::vector<std::uint8_t>(60'000, 0x6a)});
  EXPECT_THAT(refusal(
                  [&](auto& m) {
                    m.coinbase_tx_outputs = many;
                    m.coinbase_tx_outputs_count = 1;
                  },
                  {6'000, 0}),
              HasSubstr("leave no room for ours"));
  const std::vector<Hash256> deep(25);
  EXPECT_THAT(refusal([&](auto& m) { m.merkle_path = deep; }), HasSubstr("deeper"));
}

TEST(Sv2Template, APrevHashWithBitsThatAreNoTargetIsRefused) {
  Template made;
  for (const std::uint32_t bits : {0u, 0x00800001u, 0xff00ffffu}) {
    const auto refused = set_prev_hash(made, {.n_bits = bits}, kNow);
    ASSERT_FALSE(refused) << bits;
    EXPECT_TRUE(refused.error().is(Errc::kNonsense));
  }
}

TEST(Sv2Template, ATimeThatTheNetworkWouldRefuseBecomesOurs) {
  Template made;
  const std::uint32_t ours = to_u32(kNow);
  for (const std::uint32_t timestamp : {ours - 100'000, ours, ours + 7'200}) {
    ASSERT_TRUE(set_prev_hash(made, {.header_timestamp = timestamp, .n_bits = 0x207fffff}, kNow));
    EXPECT_EQ(made.min_ntime, timestamp);
    EXPECT_EQ(made.current_time, timestamp);
  }
  ASSERT_TRUE(set_prev_hash(made, {.header_timestamp = ours + 7'201, .n_bits = 0x207fffff}, kNow));
  EXPECT_EQ(made.min_ntime, ours);
}

TEST(Sv2Template, WhatTheMessagesCannotCarryIsNotEncoded) {
  const auto refused = [](const std::function<void(Template&)>& spoil) {
    Template made = work();
    spoil(made);
    const auto encoded = encode_template(std::make_shared<const Template>(std::move(made)), 1);
    return !encoded && encoded.error().is(Errc::kNonsense);
  };
  EXPECT_FALSE(refused([](Template&) {}));
  EXPECT_TRUE(refused([](Template& made) { made.nbits = 0xff00ffff; }));
  EXPECT_TRUE(refused([](Template& made) { made.coinbase_script_prefix.resize(9); }));
  EXPECT_TRUE(refused([](Template& made) { made.merkle_path.resize(256); }));
  EXPECT_TRUE(refused([](Template& made) { made.coinbase_outputs.push_back({0, std::vector<std::uint8_t>(65'536)}); }));
}

}  // namespace
}  // namespace adit::templates
