// The translator as its tests drive it: miners of ours below, an upstream that the test plays above, no socket and no clock.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "base/hex.h"
#include "bitcoin/merkle.h"
#include "roles/translator/translator.h"
#include "session/client_side.h"
#include "sv1/client.h"
#include "wire/tlv.h"

namespace adit::translator {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

inline constexpr std::uint32_t kGroup = 1;
inline constexpr std::uint32_t kHardNbits = 0x1d00ffff;
inline const bitcoin::U256 kAnyHash = bitcoin::U256::max();

/// A miner's end of its connection: our own SV1 client.
class TestMiner : public sv1::ClientHandler {
 public:
  explicit TestMiner(sv1::Client::Options options = {.user = "w"}) : client(std::move(options), *this) {}
  void on_ready() override { ready = true; }
  void on_work(std::shared_ptr<const sv1::Work> work) override { works.push_back(std::move(work)); }
  void on_submit_answer(std::uint64_t, const sv1::RpcError* error) override { answers.push_back(error ? error->code : 0); }

  sv1::Client client;
  Miner* miner = nullptr;  ///< The translator's end.
  std::string heard;       ///< All that the translator sent.
  bool ready = false;
  std::vector<std::shared_ptr<const sv1::Work>> works;
  std::vector<int> answers;
};

/// The translator between test miners and an upstream that the test plays.
class TranslatorTest : public testing::Test, public TranslatorEvents {
 protected:
  void make(Options options) {
    miners.clear();  // They are of the translator before.
    translator.emplace(options, *this);
  }
  void SetUp() override { make({.miners = {.extranonce2_size = 4, .min_hash_rate_hps = 1e6, .shares_per_minute = 6}}); }

  // ---- Miners.
  TestMiner& connect(sv1::Client::Options options = {.user = "w"}, std::string source = "192.0.2.1") {
    auto& test = miners.emplace_back(std::make_unique<TestMiner>(std::move(options)));
    test->miner = &translator->add_miner(source + ":1", now, source);
    test->client.start();
    pump();
    return *test;
  }
  /// Carries bytes both ways until nothing moves.
  void pump() {
    bool moved = true;
    while (moved) {
      moved = false;
      translator->take_touched();
      for (auto& test : miners) {
        if (test->miner == nullptr) continue;
        if (auto out = std::exchange(test->client.output(), {}); !out.empty()) {
          test->miner->on_bytes(as_bytes(out), now);
          moved = true;
        }
        if (auto in = std::exchange(test->miner->output(), {}); !in.empty()) {
          test->heard += in;
          if (test->miner->ended().empty()) EXPECT_TRUE(test->client.receive(as_bytes(in)));
          moved = true;
        }
      }
      for (const auto frame : translator->upstream_output())
        sent.push_back({frame.header, {frame.payload.begin(), frame.payload.end()}});
      translator->upstream_output().clear();
    }
  }
  void leave(TestMiner& test) {
    translator->remove_miner(*std::exchange(test.miner, nullptr), now);
    pump();
  }

  // ---- The upstream.
  struct Sent {
    wire::FrameHeader header;
    std::vector<std::uint8_t> payload;
  };
  template <wire::Message M>
  Result<void> upstream(const M& message) {
    wire::FrameBuffer buffer;
    EXPECT_TRUE(buffer.push(message));
    return hear(buffer);
  }
  /// What an uplink does with frames.
  Result<void> hear(const wire::FrameBuffer& buffer) {
    const std::vector<wire::FrameView> frames(buffer.begin(), buffer.end());
    auto handled = side->on_frames(
        frames, now, translator->upstream_output(),
        [&](std::span<const wire::FrameView> run) { return translator->on_upstream_frames(run, now); }, [&] { begin(); });
    pump();
    return handled;
  }
  void begin() {
    if (!side->ready() || std::exchange(begun, true)) return;
    translator->on_upstream_ready(user_identity, side->setup().agreement(), now, regtest_only);
  }
  /// The next message that the translator sent up, which must be an M. Its views live until the next call.
  template <wire::Message M>
  M next() {
    if (sent.empty()) {
      ADD_FAILURE() << "nothing sent, wanted " << M::kName;
      return {};
    }
    last = std::move(sent.front());
    sent.pop_front();
    const auto message = wire::FrameView{last.header, last.payload}.as<M>();
    EXPECT_TRUE(message) << "wanted " << M::kName;
    return message ? *message : M{};
  }
  /// SetupConnection is sent to an upstream.
  void upstream_connected(std::string user = "id", bool example_key = false) {
    user_identity = std::move(user);
    regtest_only = example_key;
    begun = false;
    side.emplace(client, false, false);
    wire::FrameBuffer ignored;
    side->start("192.0.2.2", 3333, now, ignored);
  }
  void upstream_up(std::uint32_t flags = 0, bool example_key = false) {
    upstream_connected("id", example_key);
    EXPECT_TRUE(upstream(wire::SetupConnectionSuccess{.used_version = 2, .flags = flags}));
  }
  /// A frame as it is.
  Result<void> upstream_raw(wire::FrameHeader header, std::vector<std::uint8_t> payload) {
    wire::FrameBuffer buffer;
    EXPECT_TRUE(buffer.push_raw(header, payload));
    return hear(buffer);
  }
  /// The TLV fields behind the share that was sent next.
  std::vector<std::uint8_t> next_share_fields() {
    last = std::move(sent.front());
    sent.pop_front();
    Bytes rest;
    EXPECT_TRUE((wire::FrameView{last.header, last.payload}.as<wire::SubmitSharesExtended>(&rest)));
    return {rest.begin(), rest.end()};
  }
  void open_success(std::uint32_t channel_id, const bitcoin::U256& target = kAnyHash, std::vector<std::uint8_t> prefix = {},
                    std::uint16_t extranonce_size = 16) {
    const auto open = next<wire::OpenExtendedMiningChannel>();
    if (prefix.empty()) prefix = {0xaa, 0xbb, 0, 0, 0, static_cast<std::uint8_t>(channel_id)};
    EXPECT_TRUE(upstream(wire::OpenExtendedMiningChannelSuccess{.request_id = open.request_id,
                                                                .channel_id = channel_id,
                                                                .target = target.to_le(),
                                                                .extranonce_size = extranonce_size,
                                                                .extranonce_prefix = prefix,
                                                                .group_channel_id = kGroup}));
  }
  Result<void> job(std::uint32_t channel_id, std::uint32_t job_id, std::optional<std::uint32_t> min_ntime = std::nullopt,
                   bool rolling = true) {
    return upstream(wire::NewExtendedMiningJob{.channel_id = channel_id,
                                               .job_id = job_id,
                                               .min_ntime = min_ntime,
                                               .version = 0x20000000,
                                               .version_rolling_allowed = rolling,
                                               .merkle_path = path,
                                               .coinbase_tx_prefix = coinbase1,
                                               .coinbase_tx_suffix = coinbase2});
  }
  Result<void> tip(std::uint32_t channel_id, std::uint32_t job_id, std::uint8_t prev_hash = 7,
                   std::uint32_t nbits = kHardNbits) {
    wire::U256 hash{};
    std::iota(hash.begin(), hash.end(), prev_hash);
    return upstream(wire::SetNewPrevHash{
        .channel_id = channel_id, .job_id = job_id, .prev_hash = hash, .min_ntime = 1'700'000'000, .nbits = nbits});
  }
  /// Future job `job_id` for the channel, then its previous hash.
  void first_job(std::uint32_t channel_id, std::uint32_t job_id, std::uint8_t prev_hash = 7) {
    EXPECT_TRUE(job(channel_id, job_id));
    EXPECT_TRUE(tip(channel_id, job_id, prev_hash));
  }
  /// A miner with a channel and a job.
  TestMiner& mining(std::uint32_t channel_id, const bitcoin::U256& target = kAnyHash) {
    auto& test = connect();
    open_success(channel_id, target);
    first_job(channel_id, 100 + channel_id);
    EXPECT_FALSE(test.works.empty());
    return test;
  }

  int submit(TestMiner& test, std::uint32_t nonce, std::uint32_t version_bits = 0, std::optional<std::size_t> work = {}) {
    const auto& from = *test.works.at(work.value_or(test.works.size() - 1));
    const std::uint8_t extranonce2[] = {1, 2, 3, 4};
    EXPECT_TRUE(test.client.submit(from, sv1::Extranonce(extranonce2), from.job.ntime, nonce, version_bits));
    pump();
    if (test.answers.empty()) return -1;
    return std::exchange(test.answers, {}).back();
  }
  void suggest(TestMiner& test, std::string_view difficulty) {
    const std::string line =
        "{\"id\":50,\"method\":\"mining.suggest_difficulty\",\"params\":[" + std::string(difficulty) + "]}\n";
    test.miner->on_bytes(as_bytes(line), now);
    pump();
  }
  void pass(Duration duration) {
    now.instant += duration;
    now.unix_time += std::chrono::duration_cast<seconds>(duration);
  }
  Result<void> tick(Duration after = seconds(1)) {
    pass(after);
    auto ticked = translator->on_tick(now);
    if (ticked && side && !begun) {
      ticked = side->setup().on_tick(now);
      begin();
    }
    pump();
    return ticked;
  }

  void on_worker_refused(const Miner&, std::string_view worker) override { workers_refused.emplace_back(worker); }
  void on_share_rejected(const Miner&, std::string_view code) override { rejected.emplace_back(code); }

  Now now{Instant(seconds(1000)), UnixTime(seconds(1'700'000'100))};
  session::ClientOptions client;  ///< Of upstreams from upstream_connected() on.
  std::optional<session::ClientSide> side;
  std::string user_identity;
  bool regtest_only = false;
  bool begun = false;
  std::optional<Translator> translator;
  std::vector<std::unique_ptr<TestMiner>> miners;
  std::deque<Sent> sent;
  Sent last;
  std::vector<std::string> rejected;
  std::vector<std::string> workers_refused;
  std::vector<std::uint8_t> coinbase1 = {1, 0, 0, 0, 0x11};
  std::vector<std::uint8_t> coinbase2 = {0x22, 0, 0, 0, 0};
  std::vector<wire::U256> path = {{1}, {2}};
};

/// What stands before the bytes that a miner rolls, as its upstream's coinbase has it: the last `size` bytes.
inline std::string before_extranonce2(const sv1::Work& work, std::size_t size) {
  const std::string all = to_hex(work.job.coinbase1) + to_hex(work.extranonce1.bytes());
  return all.substr(all.size() - 2 * size);
}

inline std::string code_of(const Result<void>& result) { return result ? "" : std::string(result.error().name()); }

}  // namespace adit::translator
