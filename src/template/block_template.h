// getblocktemplate's answer (BIP22, BIP23, BIP145) to a Template. Everything in it is checked: a template with one wrong field
// costs a block, and the node's bytes are as foreign as any peer's.
#pragma once

#include <boost/json/value.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "template/source.h"

namespace adit::templates {

struct NodeTemplate {
  Template block_template;      ///< Its id is left 0.
  std::string long_poll_id;     ///< Empty if the node has none.
  std::uint32_t node_time = 0;  ///< `curtime`: what the node's clock says, or the least time of the tip if that is later.
  /// The coinbase's value without the fees; absent if a transaction names no fee.
  std::optional<std::uint64_t> subsidy_sat;
  bool is_made_here = false;  ///< By empty_template_after: node_time and long_poll_id have no meaning.
  std::size_t left_out = 0;   ///< Transactions of the node's that were left out, for the coinbase's sake.
  std::optional<std::vector<std::uint8_t>> signet_challenge;  ///< Absent but on signet.
};

/// `answer` is the call's result. Transaction ids and the witness commitment are computed from the transactions themselves;
/// where the node sends default_witness_commitment it must be the same. If the coinbase that `constraints` allow does not fit
/// beside all transactions, the last ones are left out (none of the others needs them) and the coinbase's value is less by
/// their fees. Errors: kNonsense, naming the field; kRefused for a rule ('!name' in rules) that this program does not know,
/// which BIP9 forbids to ignore.
Result<NodeTemplate> parse_block_template(const boost::json::value& answer, CoinbaseConstraints constraints = {});

/// The newest block of a node's chain, as getblockheader has it.
struct TipHeader {
  Hash256 hash{};
  std::uint32_t height = 0;
  std::uint32_t nbits = 0;
  std::uint32_t median_time = 0;  ///< Of it and the ten before it: the next block must be later.
};

/// Nullopt if the block is not in the node's chain any more. Errors: kNonsense, naming the field.
Result<std::optional<TipHeader>> parse_tip_header(const boost::json::value& answer);

/// The template without transactions that follows that block. What its header does not tell is as in `last`, a template of the
/// node's on the same chain, whose subsidy is given. Nullopt where that may be different for the next block: the first block of
/// 2016 (bits, version), or of those with one subsidy; a chain whose bits depend on the time; and where the subsidy is unknown.
std::optional<NodeTemplate> empty_template_after(const TipHeader& tip, const Template& last,
                                                 std::optional<std::uint64_t> subsidy_sat, std::string_view chain,
                                                 const Now& now);

/// Testnets allow blocks of the least difficulty whose time is more than twenty minutes after that of the block before, so that
/// nbits hold for certain times only (Bitcoin Core's GetNextWorkRequired). Bounds the template's ntime accordingly. `tip_time`
/// is the time of the block that it builds on, absent if that is not known.
void bound_to_min_difficulty(Template& made, std::optional<std::uint32_t> tip_time);

/// The moment, in the seconds of block headers, from which on a template on that tip has other bits; absent if its bits stay.
std::optional<std::uint32_t> bits_change_at(const Template& made, std::uint32_t tip_time);

/// Whether blocks on a signet of that challenge (BIP325) need its owners' signature. False for challenges that a block without
/// a signature meets, such as 51 (OP_TRUE).
bool signet_needs_signature(Bytes challenge);

}  // namespace adit::templates
