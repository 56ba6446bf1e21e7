// The translator's engine: extensions, and what it asks of an upstream before it trusts it.
#include "roles/translator/translator.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "bitcoin/coinbase.h"
#include "roles/translator/translator_testing.h"

namespace adit::translator {
namespace {

// SV2 03 §3.4.1: with the channel bit a message of an unknown extension is for whoever stands behind the channel. Behind ours
// stand SV1 miners, who have no such messages, so the channel ends here; without the bit it is for us anyhow. Ignored both.
TEST_F(TranslatorTest, MessagesOfUnknownExtensionsAreIgnoredWithAndWithoutTheChannelBit) {
  upstream_up();
  auto& test = mining(2);
  const auto heard = test.heard.size();
  for (const bool for_channel : {true, false}) {
    for (const std::vector<std::uint8_t>& payload : {std::vector<std::uint8_t>{2, 0, 0, 0, 9, 9}, {77, 0, 0, 0}, {1}, {}}) {
      EXPECT_TRUE(upstream_raw({.extension_type = 0x4ad2, .channel_message = for_channel, .message_type = 0x1f}, payload));
    }
  }
  EXPECT_EQ(test.heard.size(), heard) << "no SV2 byte reaches an SV1 miner";
  EXPECT_TRUE(sent.empty());
  EXPECT_EQ(translator->counters().unknown_extension_messages, 8u);
  EXPECT_EQ(submit(test, 1), 0);
}

// ---- Forms of a job.

// Pools that send the coinbase as it stands in the block: the witness is no part of what a miner hashes.
TEST_F(TranslatorTest, ACoinbaseWithItsWitnessIsMinedWithoutIt) {
  upstream_up();
  auto& test = connect();
  open_success(2);
  const auto plain1 = coinbase1;
  const auto plain2 = coinbase2;
  coinbase1 = {1, 0, 0, 0, 0x00, 0x01, 0x01, 0x11};
  coinbase2 = {0x22, 0x01, 0x20};
  coinbase2.resize(coinbase2.size() + 32);
  coinbase2.insert(coinbase2.end(), {9, 8, 7, 6});
  first_job(2, 5);
  ASSERT_EQ(test.works.size(), 1u);
  EXPECT_EQ(to_hex(test.works[0]->job.coinbase1).substr(0, 12), "010000000111");
  EXPECT_EQ(to_hex(test.works[0]->job.coinbase2), "2209080706");
  EXPECT_EQ(submit(test, 1), 0);
}

TEST_F(TranslatorTest, AJobThatCannotBeMinedEndsTheUpstreamAndReachesNoMiner) {
  using Bytes = std::vector<std::uint8_t>;
  const std::pair<Bytes, Bytes> unusable[] = {{{1, 0, 0, 0, 0, 1, 1, 0x11}, {0x22, 0, 0, 0, 0}},
                                              {{1, 0, 0, 0, 0, 0, 1, 0x11}, Bytes(60, 0x20)},
                                              {{1, 0, 0, 0, 0, 1, 1, 0x11}, Bytes(60, 0x21)}};
  for (const auto& [first, second] : unusable) {
    SetUp();
    miners.clear();
    sent.clear();
    upstream_up();
    auto& test = connect();
    open_success(2);
    coinbase1 = first;
    coinbase2 = second;
    EXPECT_EQ(code_of(job(2, 5)), "protocol");
    EXPECT_TRUE(test.works.empty());
  }
  SetUp();
  miners.clear();
  sent.clear();
  upstream_up();
  auto& test = connect();
  open_success(2);
  EXPECT_TRUE(upstream(wire::NewMiningJob{.channel_id = 77, .job_id = 1})) << "not our channel";
  EXPECT_EQ(code_of(upstream(wire::NewMiningJob{.channel_id = 2, .job_id = 1})), "protocol");
  EXPECT_TRUE(test.works.empty());
}

// ---- Extension negotiation (ext 0x0001).

TEST_F(TranslatorTest, ExtensionsAreRequestedBeforeAnythingElse) {
  client.extensions = {0x0002};
  auto& test = connect();
  upstream_up();
  const auto request = next<wire::RequestExtensions>();
  ASSERT_EQ(request.requested_extensions.size(), 1u);
  EXPECT_EQ(request.requested_extensions[0], 0x0002);
  const std::uint16_t request_id = request.request_id;
  EXPECT_TRUE(sent.empty()) << "no open before the answer";
  EXPECT_FALSE(translator->upstream_ready());
  const std::vector<std::uint16_t> granted = {0x0002, 0x0777};
  EXPECT_TRUE(upstream(wire::RequestExtensionsSuccess{.request_id = static_cast<std::uint16_t>(request_id + 1)}));
  EXPECT_FALSE(translator->upstream_ready()) << "that answers another request";
  EXPECT_TRUE(upstream(wire::RequestExtensionsSuccess{.request_id = request_id, .supported_extensions = granted}));
  EXPECT_TRUE(translator->upstream_ready());
  open_success(2);
  first_job(2, 5);
  EXPECT_EQ(submit(test, 1), 0);
  EXPECT_EQ(to_hex(next_share_fields()),
            "020001"
            "0100"
            "77")
      << "little-endian: extension, field, length, 'w'";
}

TEST_F(TranslatorTest, AServerThatIgnoresNegotiationIsUsedWithoutExtensions) {
  client.extensions = {0x0002};
  client.negotiation_timeout = seconds(3);
  auto& test = connect();
  upstream_up();
  const std::uint16_t request_id = next<wire::RequestExtensions>().request_id;
  EXPECT_TRUE(tick(seconds(2)));
  EXPECT_TRUE(sent.empty());
  EXPECT_TRUE(tick(seconds(1)));
  open_success(2);
  first_job(2, 5);
  EXPECT_EQ(submit(test, 1), 0);
  EXPECT_TRUE(next_share_fields().empty());
  const std::vector<std::uint16_t> granted = {0x0002};
  EXPECT_TRUE(upstream(wire::RequestExtensionsSuccess{.request_id = request_id, .supported_extensions = granted}));
  EXPECT_EQ(submit(test, 2), 0);
  EXPECT_FALSE(next_share_fields().empty()) << "a late answer counts from then on";
}

TEST_F(TranslatorTest, ARequiredExtensionThatIsNotThereRefusesTheUpstream) {
  client.required_extensions = {0x0002};
  client.negotiation_timeout = seconds(3);
  upstream_up();
  const std::uint16_t request_id = next<wire::RequestExtensions>().request_id;
  const std::vector<std::uint16_t> unsupported = {0x0002};
  const auto refused = upstream(wire::RequestExtensionsError{.request_id = request_id, .unsupported_extensions = unsupported});
  EXPECT_EQ(code_of(refused), "refused");
  EXPECT_NE(refused.error().message().find("0x0002"), std::string::npos);
  translator->on_upstream_lost(now);
  sent.clear();
  upstream_up();
  EXPECT_EQ(code_of(tick(seconds(3))), "refused") << "silence is no support";
}

TEST_F(TranslatorTest, AnErrorWithoutRequirementsIsGoneOnFromAndOneWithThemIsNot) {
  client.extensions = {0x0002};
  upstream_up();
  const std::vector<std::uint16_t> list = {0x0002};
  EXPECT_TRUE(upstream(
      wire::RequestExtensionsError{.request_id = next<wire::RequestExtensions>().request_id, .unsupported_extensions = list}));
  EXPECT_TRUE(translator->upstream_ready());
  translator->on_upstream_lost(now);
  upstream_up();
  const std::vector<std::uint16_t> other = {0x0005};
  const auto refused = upstream(
      wire::RequestExtensionsError{.request_id = next<wire::RequestExtensions>().request_id, .required_extensions = other});
  EXPECT_EQ(code_of(refused), "refused");
  EXPECT_NE(refused.error().message().find("0x0005"), std::string::npos);
}

TEST_F(TranslatorTest, NoExtensionIsAskedForByDefault) {
  connect();
  upstream_up();
  next<wire::OpenExtendedMiningChannel>();
}

// SV2 03 §3.6.4.
TEST_F(TranslatorTest, AChangedEndpointIsAskedForItsExtensionsAnew) {
  client.extensions = {0x0002};
  auto& test = connect();
  upstream_up();
  const std::vector<std::uint16_t> granted = {0x0002};
  EXPECT_TRUE(upstream(wire::RequestExtensionsSuccess{.request_id = next<wire::RequestExtensions>().request_id,
                                                      .supported_extensions = granted}));
  open_success(2);
  first_job(2, 5);
  EXPECT_TRUE(upstream(wire::ChannelEndpointChanged{.channel_id = 2}));
  const std::uint16_t request_id = next<wire::RequestExtensions>().request_id;
  EXPECT_EQ(submit(test, 1), 0);
  EXPECT_TRUE(next_share_fields().empty());
  EXPECT_TRUE(upstream(wire::RequestExtensionsSuccess{.request_id = request_id, .supported_extensions = granted}));
  EXPECT_EQ(submit(test, 2), 0);
  EXPECT_FALSE(next_share_fields().empty());
}

// ext 0x0002 §1.1: at most 32 bytes of UTF-8, not padded.
TEST(WorkerIdentity, IsCutBetweenCharactersAndIsAlwaysUtf8) {
  EXPECT_EQ(mining::WorkerIdentity("Worker_001", 1).view(), "Worker_001");
  EXPECT_EQ(mining::WorkerIdentity("", 1).view(), "miner1");
  EXPECT_EQ(mining::WorkerIdentity(std::string(40, 'a'), 1).view(), std::string(32, 'a'));
  EXPECT_EQ(mining::WorkerIdentity(std::string(31, 'a') + "\u00e9", 1).view(), std::string(31, 'a'))
      << "half a character is none";
  EXPECT_EQ(mining::WorkerIdentity(std::string(30, 'a') + "\u00e9", 1).view(), std::string(30, 'a') + "\u00e9");
  EXPECT_EQ(mining::WorkerIdentity("\xe9t\xe9", 1).view(), "?t?") << "Latin-1";
  EXPECT_EQ(mining::WorkerIdentity("a\nb\x7f\xc2\x85", 1).view(), "a?b???") << "control characters";
  EXPECT_EQ(mining::WorkerIdentity("\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80", 1).view(), "?????????")
      << "overlong, surrogate, too large";
}

// SRI's translator hands on what stands behind the first dot (extension 0x0002 calls it the worker's name).
TEST(WorkerIdentity, OfAnSv1UserTheWorkersPartIsNamed) {
  const std::vector<std::pair<std::string, std::string>> cases = {{"account.rig", "rig"}, {"account.rig.01", "rig.01"},
                                                                  {"rig", "rig"},         {"account.", "account."},
                                                                  {".rig", "rig"},        {"", ""}};
  for (const auto& [user, worker] : cases) EXPECT_EQ(mining::worker_part(user), worker) << user;
  const std::string address = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
  EXPECT_EQ(mining::worker_part(address + ".kitchen"), "kitchen") << "an address would leave no room for it";
}

TEST_F(TranslatorTest, AnIdentityOfAPayoutsPatternReachesThePoolAsItIs) {
  for (const bool aggregate : {false, true}) {
    const std::string worker = aggregate ? ".translator-proxy" : ".miner1";
    const std::string address = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
    const std::vector<std::pair<std::string, std::string>> cases = {
        {"sri/donate", "sri/donate"},
        {"sri/solo/" + address, "sri/solo/" + address},
        {"sri/solo/" + address + "/a.b", "sri/solo/" + address + "/a.b"},
        {"sri/donate/5/" + address, "sri/donate/5/" + address},
        {address, address + worker},
        {address + ".farm", address + (aggregate ? "" : ".farm") + worker},
        {"farm", "farm" + worker}};
    for (const auto& [configured, sent_up] : cases) {
      miners.clear();
      sent.clear();
      make({.miners = {.min_hash_rate_hps = 1e6}, .aggregate = aggregate});
      upstream_connected(configured);
      ASSERT_TRUE(upstream(wire::SetupConnectionSuccess{.used_version = 2}));
      connect();
      EXPECT_EQ(next<wire::OpenExtendedMiningChannel>().user_identity, sent_up);
    }
  }
}

// ---- The published example key (docs/design.md §7).

TEST_F(TranslatorTest, AnExampleKeyIsMinedUnderOnRegtestAlone) {
  upstream_up(0, true);
  auto& test = connect();
  open_success(2);
  EXPECT_TRUE(job(2, 5));
  const auto refused = tip(2, 5, 7, kHardNbits);
  EXPECT_EQ(code_of(refused), "configuration");
  EXPECT_NE(refused.error().message().find("authority_pubkey"), std::string::npos) << "says what to do";
  EXPECT_TRUE(test.works.empty()) << "nothing is mined under it";
  translator->on_upstream_lost(now);
  sent.clear();
  upstream_up(0, true);
  open_success(2);
  EXPECT_TRUE(job(2, 5));
  EXPECT_TRUE(tip(2, 5, 7, 0x207fffff));
  EXPECT_EQ(test.works.size(), 1u);
  EXPECT_TRUE(job(2, 6));
  EXPECT_EQ(code_of(tip(2, 6, 8, 0x1e0377ad)), "configuration") << "the public signet, at a later tip";
  EXPECT_EQ(test.works.size(), 1u);
}

TEST_F(TranslatorTest, UnderAnExampleKeyAShortChainIsMinedHoweverHardUntilAJobIsOfALongerOne) {
  const auto coinbase_at = [](std::uint32_t height) {
    std::vector<std::uint8_t> prefix = {2, 0, 0, 0, 1};
    prefix.insert(prefix.end(), 32, 0);
    prefix.insert(prefix.end(), 4, 0xff);
    const auto push = bitcoin::height_push(height);
    prefix.push_back(static_cast<std::uint8_t>(push.size() + 6 + 16));  // Then the whole extranonce.
    prefix.insert(prefix.end(), push.begin(), push.end());
    return prefix;
  };
  upstream_up(0, true);
  auto& test = connect();
  open_success(2);
  coinbase1 = coinbase_at(32'767);
  EXPECT_TRUE(job(2, 5));
  EXPECT_TRUE(tip(2, 5));
  ASSERT_EQ(test.works.size(), 1u);
  coinbase1 = coinbase_at(32'768);
  EXPECT_EQ(code_of(job(2, 6, 1'700'000'000)), "configuration") << "a job of the same tip";
  EXPECT_EQ(test.works.size(), 1u);
}

}  // namespace
}  // namespace adit::translator
