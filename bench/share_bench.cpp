// What a share costs the pool: from sealed bytes in to an answer queued (not yet sealed), acknowledged in batches of 10; beside
// the cryptography that it cannot do without, timed alone on the same bytes in the same run. Every share rolls its version, as
// miners in the field do.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/allocations_testing.h"
#include "bitcoin/hash.h"
#include "bitcoin/merkle.h"
#include "channels/job.h"
#include "mining/server_session.h"
#include "noise/session.h"
#include "timing.h"
#include "wire/messages.h"
#include "work.h"

namespace {

using namespace adit;
using namespace adit::bench;

constexpr std::size_t kBatch = 10;
/// Shares on one tip: what a channel has seen is forgotten at the next.
constexpr std::size_t kSharesPerTip = 2000;
constexpr int kWarmTips = 2;
constexpr int kTips = 60;
constexpr std::size_t kMerklePath = 12;

struct NoEvents final : mining::ServerEvents {
  bool on_block_found(const mining::ServerSession&, const mining::BlockFound&) override { std::abort(); }
};

noise::Secret key(std::uint8_t fill) {
  std::array<std::uint8_t, 32> bytes;
  bytes.fill(fill);
  return noise::Secret(bytes);
}

/// One value a batch, per share. The median batch counts: a batch is short enough that most are not interrupted on a busy
/// machine.
struct Measured {
  std::vector<double> engine_ns;
  std::vector<double> floor_ns;
  std::uint64_t allocations = 0;
};

/// What must be hashed for one share, and nothing else.
void hash_floor(const channels::Job& job, bool extended, std::span<const std::uint8_t, 24> share, volatile std::uint8_t& sink) {
  std::array<std::uint8_t, bitcoin::kHeaderSize> header{};
  std::memcpy(header.data() + 68, share.data(), 12);
  if (extended) {
    const std::array<std::uint8_t, channels::kFullExtranonceSize> extranonce{};
    const auto txid = bitcoin::sha256d(job.coinbase.prefix, extranonce, job.coinbase.suffix);
    const auto root = bitcoin::fold_merkle_path(txid, job.block_template->merkle_path);
    std::memcpy(header.data() + 36, root.data(), root.size());
  }
  sink = bitcoin::sha256d_header(header)[0];
}

template <class Submit>
Measured run() {
  constexpr bool kExtended = std::is_same_v<Submit, wire::SubmitSharesExtended>;
  // Shares per minute beyond all bounds make every hash a share; the network's target none a block.
  const mining::ServerPolicy policy{.channel = {.shares_per_minute = 1e18, .share_batch_size = kBatch}};
  NoEvents events;
  mining::ServerShard shard(policy, {}, events);
  channels::JobFactory factory({.payout_script = std::vector<std::uint8_t>(22, 0x14), .pool_signature = "bench"});
  shard.set_job(*factory.make(make_template(1, kMerklePath)));
  const Now now{Instant{}, from_u32(kNtime)};
  const session::ServerOptions options{.offers = {mining::ServerSession::offer()}};
  mining::ServerSession* mining_session = nullptr;
  session::ServerSide session(
      options, {},
      [&](const session::AcceptedSetup& setup) {
        auto made = std::make_unique<mining::ServerSession>(shard, setup.flags, now.instant);
        mining_session = made.get();
        return made;
      },
      now.instant);

  wire::FrameBuffer out;
  wire::FrameBuffer in;
  const auto deliver = [&] {
    const std::vector<wire::FrameView> frames(in.begin(), in.end());
    if (!session.on_frames(frames, now, out)) std::abort();
    in.clear();
    out.clear();
  };
  in.push(wire::SetupConnection{.protocol = 0, .min_version = 2, .max_version = 2});
  const auto max_target = bitcoin::U256::max().to_le();
  if constexpr (kExtended) {
    in.push(wire::OpenExtendedMiningChannel{
        .user_identity = std::string_view("bench"), .nominal_hash_rate = 1, .max_target = max_target});
  } else {
    in.push(wire::OpenStandardMiningChannel{
        .user_identity = std::string_view("bench"), .nominal_hash_rate = 1, .max_target = max_target});
  }
  deliver();

  noise::Session client(noise::CipherState(key(1)), noise::CipherState(key(2)), wire::kMaxPayload);
  noise::Session server(noise::CipherState(key(2)), noise::CipherState(key(1)), wire::kMaxPayload);
  noise::CipherState alone(key(1));  // Opens the same records for the floor.
  wire::ByteBuffer sealed;
  std::vector<std::uint8_t> copy;
  std::vector<wire::FrameView> frames;
  volatile std::uint8_t sink = 0;

  Measured measured;
  std::uint32_t sequence = 0;
  for (int tip = 0; tip < kWarmTips + kTips; ++tip) {
    shard.set_job(*factory.make(make_template(2 + static_cast<std::uint64_t>(tip), kMerklePath)));
    mining_session->on_job(out);
    out.clear();
    const channels::Job& job = *shard.jobs().current();
    const std::uint64_t accepted_before = shard.counters().shares_accepted;
    for (std::size_t batch = 0; batch < kSharesPerTip / kBatch; ++batch) {
      for (std::size_t i = 0; i < kBatch; ++i) {
        Submit share{.channel_id = 2,
                     .sequence_number = ++sequence,
                     .job_id = job.id,
                     .nonce = sequence,
                     .ntime = kNtime,
                     .version = kVersion | (sequence << 5 & channels::kVersionRollingMask)};
        std::array<std::uint8_t, channels::kRollableExtranonceSize> extranonce{};
        if constexpr (kExtended) {
          store_le(extranonce.data(), sequence);
          share.extranonce = extranonce;
        }
        in.push(share);
      }
      sealed.clear();
      if (!client.seal(in, sealed)) std::abort();
      in.clear();
      copy.assign(sealed.bytes().begin(), sealed.bytes().end());

      allocations::made = 0;
      allocations::count_this_thread = true;
      const double engine_ns = timed(1, [&] {
        frames.clear();
        out.clear();
        if (!server.open(sealed.bytes(), frames)) std::abort();
        if (!session.on_frames(frames, now, out)) std::abort();
      });
      allocations::count_this_thread = false;
      if (tip >= kWarmTips) measured.allocations += static_cast<std::uint64_t>(allocations::made);
      if (out.empty()) std::abort();

      const double floor_ns = timed(1, [&] {
        std::uint8_t* at = copy.data();
        for (std::size_t i = 0; i < kBatch; ++i) {
          if (!alone.open(Bytes(at, noise::kSealedHeaderSize), {}, at)) std::abort();
          const std::size_t size = wire::load_u24(at + 3) + noise::kMacSize;
          at += noise::kSealedHeaderSize;
          if (!alone.open(Bytes(at, size), {}, at)) std::abort();
          hash_floor(job, kExtended, std::span<const std::uint8_t, 24>(at, 24), sink);
          at += size;
        }
      });
      if (tip < kWarmTips) continue;
      measured.engine_ns.push_back(engine_ns / kBatch);
      measured.floor_ns.push_back(floor_ns / kBatch);
    }
    // A figure for shares that were refused would be no figure.
    if (shard.counters().shares_accepted - accepted_before != kSharesPerTip) std::abort();
  }
  return measured;
}

void report(const char* name, const Measured& measured, bool json) {
  const double engine = median(measured.engine_ns);
  const double floor = median(measured.floor_ns);
  std::vector<double> ratios;
  for (std::size_t i = 0; i < measured.engine_ns.size(); ++i) ratios.push_back(measured.engine_ns[i] / measured.floor_ns[i]);
  const double ratio = median(std::move(ratios));
  const double allocations = static_cast<double>(measured.allocations) / (kTips * static_cast<double>(kSharesPerTip));
  if (json) {
    std::printf("{\"key\":\"share.%s\",\"value\":%.1f,\"unit\":\"ns\",\"ratio\":%.3f}\n", name, engine, ratio);
    std::printf("{\"key\":\"share.%s.floor\",\"value\":%.1f,\"unit\":\"ns\",\"ratio\":null}\n", name, floor);
    std::printf("{\"key\":\"share.%s.allocations\",\"value\":%g,\"unit\":\"\",\"ratio\":null}\n", name, allocations);
  } else {
    std::printf("one %s share: %.1f ns, floor %.1f ns, ratio %.3f, allocations %g\n", name, engine, floor, ratio, allocations);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const bool json = argc > 1 && std::string_view(argv[1]) == "--json";
  report("standard", run<wire::SubmitSharesStandard>(), json);
  report("extended", run<wire::SubmitSharesExtended>(), json);
}
