// Who is paid for a channel's blocks, and how much: what a user_identity asks for, what a pool grants of that, the outputs that
// follow from it, and whether a job's coinbase has them. All who decide, pay, count or verify do it by what stands here.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "bitcoin/address.h"
#include "bitcoin/coinbase.h"
#include "channels/error.h"

namespace adit::channels {

/// A block's reward, divided between a miner's own script and the pool.
struct Payout {
  std::vector<std::uint8_t> script;  ///< The miner's.
  unsigned pool_percent = 0;         ///< The pool's part of what the outputs can spend, rounded down; the miner has the rest.
  /// The identity names the pool's part, so it is exactly that. Otherwise (an address alone) the pool may have less.
  bool exact = true;

  bool operator==(const Payout&) const = default;
};

/// The largest fee that an address alone leaves to a pool, as it names none (SRI's rule).
inline constexpr unsigned kMostFeePercent = 10;

/// What an identity asks for, by the patterns of SRI (stratum-apps, payout.rs).
struct Wish {
  enum class Kind : std::uint8_t {
    kNothing,   ///< It follows no pattern: the pool's own payout.
    kAll,       ///< "sri/donate[/WORKER]": everything to the pool.
    kAddress,   ///< "ADDRESS[.WORKER]".
    kSolo,      ///< "sri/solo/ADDRESS[/WORKER]".
    kDonation,  ///< "sri/donate/PERCENT/ADDRESS[/WORKER]", the pool's part from 1 to 99.
  };
  Kind kind = Kind::kNothing;
  Payout payout;  ///< Of the last three kinds; that of kAddress leaves kMostFeePercent to the pool.
};

/// Reads an identity. `network`: whose addresses are taken; those of all test networks are where it is one of them, and those
/// of every network if it is absent. Error: kPayout, with the reason, for a pattern that is not followed to its end and for
/// what is shaped like an address and is none: whoever wrote that wants to be paid.
Result<Wish> read_identity(std::string_view user_identity, std::optional<bitcoin::Network> network = std::nullopt);

/// For a client that verifies its payouts: what `user_identity` asks for. Errors: kPayout: as read_identity, and for an
/// identity that names no payout of the client's own, as there is nothing to verify.
Result<Payout> payout_of(std::string_view user_identity);

/// Whether the coinbase prefix + extranonce of that size + suffix, without witness, pays `payout`. Outputs of OP_RETURN are
/// left out of the reckoning. Errors: kPayout: not so, or no coinbase, or one whose extranonce is not part of its script: bytes
/// that are not known yet could make any other part of it say something else.
Result<void> check_payout(const Payout& payout, Bytes coinbase_prefix, std::size_t extranonce_size, Bytes coinbase_suffix);

/// At most two outputs; their scripts are those of the payout and the pool.
class PayoutOutputs {
 public:
  void add(std::uint64_t value_sat, Bytes script) { outputs_[count_++] = {.value_sat = value_sat, .script = script}; }
  [[nodiscard]] std::span<const bitcoin::OutputView> all() const { return std::span(outputs_).first(count_); }

 private:
  std::array<bitcoin::OutputView, 2> outputs_;
  std::size_t count_ = 0;
};

/// What a pool grants. A value; immutable while it is in use.
struct PayoutPolicy {
  std::vector<std::uint8_t> pool_script;                   ///< What the pool itself is paid by.
  bool solo = false;                                       ///< Miners are paid by their own scripts where they ask for it.
  unsigned solo_fee_percent = 0;                           ///< The pool's part of that, at most kMostFeePercent.
  std::optional<bitcoin::Network> network = std::nullopt;  ///< As read_identity.
  /// False: an identity is a name and nothing else, as with whoever does not pay the miners itself.
  bool by_identity = true;

  /// What a channel of that identity is paid; nullopt: everything is the pool's. Errors: kPayout, with the reason: those of
  /// read_identity; a payout of the miner's own where `solo` is false; an identity that names a smaller part for the pool than
  /// its fee.
  [[nodiscard]] Result<std::optional<Payout>> decide(std::string_view user_identity) const;

  /// The outputs that pay `payout` (nullptr: the pool alone), the pool's first (as SRI). The values add up to `value_sat`. No
  /// output is worth nothing beside another one; a fee that is dust is left to the miner; a donation is paid to the satoshi, as
  /// whoever verifies it counts. The scripts are not copied.
  [[nodiscard]] PayoutOutputs outputs(const Payout* payout, std::uint64_t value_sat) const;

  /// The most that any payout adds to a coinbase: serialized bytes of outputs, and signature operations as a block counts those
  /// of its legacy scripts.
  [[nodiscard]] std::uint32_t max_outputs_size() const;
  [[nodiscard]] std::uint32_t max_sigops() const;
};

/// The script that an address of any network pays to; nullopt if `text` is none.
std::optional<std::vector<std::uint8_t>> script_of_any_network(std::string_view text);

}  // namespace adit::channels
