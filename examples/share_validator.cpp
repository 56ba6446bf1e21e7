// What a pool does with shares, without a network: a template becomes a job, a channel is opened and given it, and shares are
// judged: a good one, the same once more, and one whose hash is above the channel's target.
//
// All of it is one *engine*: plain objects without socket, thread or clock. Bytes and times go in, bytes and verdicts come out.
#include <array>
#include <cstdint>
#include <iostream>
#include <memory>
#include <string_view>

#include "base/time.h"
#include "bitcoin/coinbase.h"
#include "bitcoin/template.h"
#include "channels/channel.h"
#include "wire/messages.h"

using namespace adit;

namespace {

/// Work as a Bitcoin node gives it. This one is made up: its block would hold nothing but the coinbase.
bitcoin::TemplatePtr make_template(std::uint32_t now) {
  auto made = std::make_shared<bitcoin::Template>();
  made->id = 1;
  made->version = 0x20000000;
  made->prev_hash.fill(0x11);
  made->nbits = 0x1b00d7c0;  // So hard that nothing found here is a block.
  made->min_ntime = now;
  made->current_time = now;
  made->height = 900'000;
  made->coinbase_script_prefix = bitcoin::height_push(made->height);
  made->coinbase_value_sat = 312'500'000;
  return made;
}

/// The miner's part: `share` with the next nonce whose hash meets the target, or (`meets` false) does not.
channels::Share search(const channels::Job& job, channels::Share share, Bytes extranonce, const bitcoin::U256& target,
                       bool meets) {
  const auto merkle_root = job.merkle_root(extranonce);
  for (;; ++share.nonce) {
    const auto header = channels::share_header(job.rules, share, merkle_root);
    if ((bitcoin::U256::from_le(bitcoin::sha256d_header(header)) <= target) == meets) return share;
  }
}

}  // namespace

int main() {
  const Now now = now_from_system();

  // A job is a template with the pool's coinbase. It is made once for all channels.
  channels::JobFactory factory({.payout_script = {0x51}, .pool_signature = "example"});  // 0x51: anybody may spend it.
  const auto made = factory.make(make_template(to_u32(now.unix_time)), now.unix_time);
  if (!made) {
    std::cerr << "share_validator: " << made.error().message() << '\n';
    return 1;
  }
  const channels::Job& job = **made;
  channels::JobSet jobs;
  jobs.add(*made);

  // An extended channel, as OpenExtendedMiningChannel asks for it: by its hash rate the target is such that about six shares a
  // minute are found. Its extranonce prefix is its alone.
  const channels::ChannelPolicy policy{.shares_per_minute = 6};
  channels::ExtranonceAllocator extranonces({.server_id = 1});
  auto prefix = extranonces.allocate();
  if (!prefix) return 1;
  auto channel = channels::Channel::open({.kind = channels::ChannelKind::kExtended,
                                          .id = channels::kFirstChannelId,
                                          .nominal_hash_rate_hps = 10'000,
                                          .max_target = bitcoin::U256::max()},
                                         "worker", std::move(*prefix), policy, now.instant);
  if (!channel) {
    std::cerr << "share_validator: " << channel.error().message() << '\n';
    return 1;
  }

  // What a server sends now: the job, and SetNewPrevHash, by which it becomes valid.
  wire::FrameBuffer frames;
  channel->start(job, frames);
  for (const wire::FrameView& frame : frames) std::cout << "to the miner: " << wire::to_string(frame) << '\n';

  // What SubmitSharesExtended carries. The miner rolls the extranonce behind the channel's prefix; together they are in the
  // coinbase, whose hash is at the bottom of the merkle root.
  const std::array<std::uint8_t, channels::kRollableExtranonceSize> rolled{1, 2, 3};
  channels::Share share{
      .job_id = job.id, .sequence_number = 1, .ntime = job.ntime, .version = job.rules.version, .extranonce = rolled};
  const auto extranonce = channel->full_extranonce(rolled);
  const auto good = search(job, share, extranonce, channel->target(), true);
  auto again = good;
  again.sequence_number = 2;
  share.sequence_number = 3;
  const auto too_easy = search(job, share, extranonce, channel->target(), false);

  bool as_expected = true;
  const auto judge = [&](std::string_view what, const channels::Share& submitted, channels::ShareVerdict expected) {
    const channels::JudgedShare judged = channel->submit(jobs, submitted, now.unix_time);
    std::cout << what << ": ";
    if (channels::is_accepted(judged.verdict)) {
      std::cout << "accepted, worth a difficulty of " << judged.work.difficulty() << '\n';
    } else {
      std::cout << "refused, " << channels::share_error_code(judged.verdict) << '\n';
    }
    as_expected = as_expected && judged.verdict == expected;
  };
  judge("a good share", good, channels::ShareVerdict::kAccepted);
  judge("the same again", again, channels::ShareVerdict::kDuplicate);
  judge("one above the target", too_easy, channels::ShareVerdict::kTooEasy);

  // Accepted shares are acknowledged in batches: what SubmitShares.Success says.
  const auto acknowledged = channel->take_acknowledgement(/*flush=*/true);
  if (acknowledged) std::cout << "acknowledged: " << acknowledged->accepted_count << " share\n";
  return as_expected && acknowledged && acknowledged->accepted_count == 1 ? 0 : 1;
}
