// What a translator is told, and what it counts.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/time.h"
#include "mining/sv1_miner.h"

namespace adit::translator {

struct Options {
  mining::Sv1Policy miners;
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
  std::size_t channels = 0;           ///< Open upstream now.
  double hash_rate_hps = 0;           ///< Of all ready miners now, as estimated.
  std::uint64_t shares_accepted = 0;  ///< Acknowledged by SubmitShares.Success.
  std::uint64_t work_sum = 0;         ///< Sum of SubmitShares.Success.new_shares_sum.
  std::map<std::string, std::uint64_t, std::less<>>
      rejected_upstream;                         ///< By error code of SubmitShares.Error; at most 32 codes, then "other".
  std::uint64_t unknown_channel_messages = 0;    ///< Upstream messages for channels that are not (or no longer) ours.
  std::uint64_t unknown_extension_messages = 0;  ///< Upstream messages of extensions that we do not know.
  std::uint64_t jobs = 0;                        ///< NewExtendedMiningJob received.
};

}  // namespace adit::translator
