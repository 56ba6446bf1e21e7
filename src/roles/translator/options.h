// What a translator is told, and what it counts.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/time.h"
#include "mining/sv1_miner.h"

namespace adit::translator {

/// How upstream channels are given out where each miner has its own. A miner counts as unproven until its first share. One
/// that gets no channel waits for it, connected.
struct Ration {
  std::size_t of_source = 512;         ///< Channels of one source's unproven miners, and one more for each proven miner of it.
  std::size_t unproven = 2048;         ///< Channels of all unproven miners,
  std::size_t reserve = 1024;          ///< and those beyond, for sources that have few:
  std::size_t reserve_of_source = 16;  ///< fewer than so many.
  std::size_t kept = 1024;             ///< Channels that miners left, kept for the next ones,
  Duration keep = std::chrono::minutes(10);  ///< for so long at most.
  Duration unproven_time =
      std::chrono::minutes(2);  ///< A miner without a share for so long gives its channel to one that waits.
  Duration capacity_retry = std::chrono::seconds(30);  ///< An upstream that had no channel left is asked again after so long.
};

struct Options {
  mining::Sv1Policy miners;
  Ration ration;
  bool aggregate = false;                            ///< One channel upstream for all miners, instead of one each.
  std::uint64_t first_number = 1;                    ///< The N of the first miner's `minerN`.
  std::uint64_t number_step = 1;                     ///< What lies between two numbers: shards count in turns.
  bool verify_payout = false;                        ///< Jobs must pay what the user_identity asks for (channels/payout.h).
  Duration open_timeout = std::chrono::seconds(20);  ///< For the answer to an open.
};

/// Totals since the start, and what is open now.
struct Counters : mining::Sv1Counters {
  std::size_t miners = 0;             ///< Connected now.
  std::size_t ready_miners = 0;       ///< Subscribed and authorized now.
  std::size_t waiting_miners = 0;     ///< Of these: without a channel, as there is no upstream or none is left for them.
  std::size_t channels = 0;           ///< Open upstream now.
  std::size_t kept_channels = 0;      ///< Of these: for the next miner.
  double hash_rate_hps = 0;           ///< Of all ready miners now, as their shares prove.
  double declared_hps = 0;            ///< What the upstream was told of it last.
  std::uint64_t shares_accepted = 0;  ///< Acknowledged by SubmitShares.Success.
  std::uint64_t work_sum = 0;         ///< Sum of SubmitShares.Success.new_shares_sum.
  std::map<std::string, std::uint64_t, std::less<>>
      rejected_upstream;                         ///< By error code of SubmitShares.Error; at most 32 codes, then "other".
  std::uint64_t unknown_channel_messages = 0;    ///< Upstream messages for channels that are not (or no longer) ours.
  std::uint64_t unknown_extension_messages = 0;  ///< Upstream messages of extensions that we do not know.
  std::uint64_t jobs = 0;                        ///< NewExtendedMiningJob received.
  std::uint32_t nbits = 0;                       ///< Of the newest SetNewPrevHash; 0 before the first.
};

}  // namespace adit::translator
