// What a user_identity asks for in the way of payouts, and whether a job's coinbase gives it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "channels/error.h"

namespace adit::channels {

/// The part of a block's reward that must go to its miner's own script.
struct Payout {
  std::vector<std::uint8_t> script;
  unsigned pool_percent = 0;  ///< Of what the coinbase's outputs can spend; the miner's is exactly the rest, or
  bool may_be_less_for_us =
      false;  ///< at least that, as with a bare address: it names no fee, and up to 10 % is taken for one.
};

/// The script that an address of any network pays to; nullopt if `text` is none.
std::optional<std::vector<std::uint8_t>> script_of_any_network(std::string_view text);

/// By SRI's patterns (stratum-apps, payout.rs): "sri/solo/ADDRESS[/WORKER]", "sri/donate/PERCENT/ADDRESS[/WORKER]" with the
/// pool's part from 1 to 99, "ADDRESS[.WORKER]". Errors: kPayout for every other identity, as there is nothing to verify.
Result<Payout> payout_of(std::string_view user_identity);

/// Whether the coinbase prefix + extranonce of that size + suffix, without witness, pays `payout`. Outputs of OP_RETURN are
/// left out of the reckoning. Errors: kPayout: not so, or no coinbase, or one whose extranonce is not part of its script: bytes
/// that are not known yet could make any other part of it say something else.
Result<void> check_payout(const Payout& payout, Bytes coinbase_prefix, std::size_t extranonce_size, Bytes coinbase_suffix);

}  // namespace adit::channels
