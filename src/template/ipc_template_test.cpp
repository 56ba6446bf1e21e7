#include "template/ipc_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bitcoin/coinbase.h"

namespace adit::templates {
namespace {

using testing::HasSubstr;

constexpr std::uint32_t kNow = 1'800'000'000;
constexpr std::uint32_t kLeastDifficulty = 0x1d00ffff;

Now now() { return {.instant = {}, .unix_time = from_u32(kNow)}; }

ipc::TemplateData data(std::uint32_t time = kNow, std::uint32_t height = 70'000) {
  ipc::TemplateData made;
  made.header = {.version = 0x20000004, .prev_hash = {7}, .merkle_root = {}, .ntime = time, .nbits = 0x1c123456, .nonce = 0};
  made.coinbase = {.version = 2,
                   .sequence = 0xfffffffe,
                   .script_prefix = bitcoin::height_push(height),
                   .has_witness = true,
                   .value_sat = 312'500'000,
                   .required_outputs = {{0, {0x6a, 0x01, 0x02}}},
                   .lock_time = height - 1};
  made.merkle_path = {{1}, {2}};
  return made;
}

TEST(IpcTemplate, CarriesWhatTheNodeSays) {
  const auto made = make_template(data(), "main", std::nullopt, now());
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_EQ(made->version, 0x20000004U);
  EXPECT_EQ(made->prev_hash, Hash256{7});
  EXPECT_EQ(made->nbits, 0x1c123456U);
  EXPECT_EQ(made->height, 70'000U);
  EXPECT_EQ(made->current_time, kNow);
  EXPECT_EQ(made->min_ntime, kNow);
  EXPECT_EQ(made->max_ntime, 0xffffffffU);
  EXPECT_EQ(made->coinbase_version, 2U);
  EXPECT_EQ(made->coinbase_sequence, 0xfffffffeU);
  EXPECT_EQ(made->coinbase_locktime, 69'999U);
  EXPECT_EQ(made->coinbase_value_sat, 312'500'000U);
  EXPECT_EQ(made->coinbase_outputs, data().coinbase.required_outputs);
  EXPECT_EQ(made->merkle_path, data().merkle_path);
  EXPECT_TRUE(made->has_witness_commitment);
}

TEST(IpcTemplate, NonsenseIsNamed) {
  const auto error = [](auto change) {
    ipc::TemplateData changed = data();
    change(changed);
    const auto made = make_template(changed, "main", std::nullopt, now());
    return made ? std::string("none") : made.error().message();
  };
  EXPECT_THAT(error([](auto& d) { d.header.nbits = 0xff123456; }), HasSubstr("bits"));
  EXPECT_THAT(error([](auto& d) { d.coinbase.script_prefix = {0x02, 0x01}; }), HasSubstr("height"));
  EXPECT_THAT(error([](auto& d) { d.coinbase.required_outputs[0].value_sat = 1; }), HasSubstr("output"));
}

TEST(IpcTemplate, TheHeightIsReadFromEveryMinimalPush) {
  for (const std::uint32_t height :
       {1U, 16U, 17U, 127U, 128U, 255U, 256U, 32'767U, 32'768U, 900'000U, 8'388'608U, 0x7fffffffU}) {
    EXPECT_EQ(height_in(bitcoin::height_push(height)), height);
  }
  using Prefix = std::vector<std::uint8_t>;
  EXPECT_EQ(height_in(Prefix{}), std::nullopt);
  EXPECT_EQ(height_in(Prefix{0x00}), std::nullopt);
  EXPECT_EQ(height_in(Prefix{0x01, 0x05}), std::nullopt);              // OP_5 says it shorter.
  EXPECT_EQ(height_in(Prefix{0x03, 0x70, 0x11, 0x00}), std::nullopt);  // A byte too many.
  EXPECT_EQ(height_in(Prefix{0x02, 0x70, 0x11, 0x01}), std::nullopt);  // Something behind it.
  EXPECT_EQ(height_in(Prefix{0x05, 0xff, 0xff, 0xff, 0xff, 0x01}), std::nullopt);
  EXPECT_EQ(height_in(Prefix{0x04, 0x70, 0x11}), std::nullopt);  // Cut off.
}

TEST(IpcTemplate, RoomIsReservedByTheSpecificationsSumAndTheNodesFloor) {
  EXPECT_EQ(create_options({}).reserved_weight, 2000U);
  EXPECT_EQ(create_options({}).reserved_sigops, 0U);
  EXPECT_EQ(create_options({.max_additional_size = 208}).reserved_weight, 2000U);
  EXPECT_EQ(create_options({.max_additional_size = 209}).reserved_weight, 2004U);
  EXPECT_EQ(create_options({.max_additional_size = 1000, .max_additional_sigops = 3}).reserved_weight, 5168U);
  EXPECT_EQ(create_options({.max_additional_size = 1000, .max_additional_sigops = 3}).reserved_sigops, 12U);
  EXPECT_EQ(create_options({.max_additional_size = UINT32_MAX}).reserved_weight, 4'000'000U);
}

TEST(IpcTemplate, AClockThatIsAheadLowersTheLeastTimeAsFarAsIsKnown) {
  const TipTimes tip{{7}, kNow - 100, kNow - 3000};
  // Clocks agree: any time before the header's is nobody's.
  EXPECT_FALSE(needs_tip_times(data(kNow + 20), "main", now()));
  EXPECT_EQ(make_template(data(kNow + 20), "main", tip, now())->min_ntime, kNow + 20);
  // The node's is ahead: the tip's times say what the chain allows.
  EXPECT_TRUE(needs_tip_times(data(kNow + 21), "main", now()));
  EXPECT_EQ(make_template(data(kNow + 10'800), "main", tip, now())->min_ntime, kNow - 2999);
  EXPECT_EQ(make_template(data(kNow + 10'800), "main", tip, now())->current_time, kNow + 10'800);
  // Nobody says: a header's time that the network would take is taken, one that it would not is not.
  EXPECT_EQ(make_template(data(kNow + 7200), "main", std::nullopt, now())->min_ntime, kNow + 7200);
  EXPECT_EQ(make_template(data(kNow + 7201), "main", std::nullopt, now())->min_ntime, kNow);
  // Another block's times are not the tip's.
  EXPECT_EQ(make_template(data(kNow + 7201), "main", TipTimes{{8}, 1, 1}, now())->min_ntime, kNow);
}

TEST(IpcTemplate, OnTestnetsTheTipsTimeBoundsTheBits) {
  EXPECT_TRUE(needs_tip_times(data(), "testnet4", now()));
  const TipTimes tip{{7}, kNow - 100, kNow - 3000};
  EXPECT_EQ(make_template(data(), "testnet4", tip, now())->max_ntime, tip.time + 1200);
  EXPECT_EQ(make_template(data(), "main", tip, now())->max_ntime, 0xffffffffU);
  ipc::TemplateData least = data();
  least.header.nbits = kLeastDifficulty;
  const TipTimes old{{7}, kNow - 2000, kNow - 3000};
  EXPECT_EQ(make_template(least, "testnet4", old, now())->min_ntime, std::max(kNow, old.time + 1201));
  EXPECT_EQ(make_template(least, "testnet4", std::nullopt, now())->min_ntime, kNow);
}

}  // namespace
}  // namespace adit::templates
