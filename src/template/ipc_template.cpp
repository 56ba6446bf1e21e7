#include "template/ipc_template.h"

#include <algorithm>
#include <string>

#include "bitcoin/coinbase.h"
#include "bitcoin/consensus.h"
#include "bitcoin/u256.h"
#include "template/block_template.h"
#include "template/node_info.h"

namespace adit::templates {
namespace {

constexpr std::uint64_t kReserveBesideOutputs = 1168;
constexpr std::uint64_t kLeastReserve = 2000;
constexpr std::uint64_t kWeightPerByte = 4;
constexpr std::uint64_t kCostPerSigop = 4;
// Clocks that agree differ by less when a header's time arrives.
constexpr std::int64_t kClockTolerance = 20;
// Blocks whose time is further ahead are refused by the network for now (Bitcoin Core's MAX_FUTURE_BLOCK_TIME).
constexpr std::int64_t kMaxFuture = 2 * 3600;

std::unexpected<Error> nonsense(const std::string& what) {
  return fail(Errc::kNonsense, "the node's template makes no sense: " + what);
}

std::int64_t ahead_of(const Now& now, std::uint32_t time) { return std::int64_t{time} - std::int64_t{to_u32(now.unix_time)}; }

/// Every template on a tip may be mined with its header's time; whether with an earlier one only the tip's times tell.
std::uint32_t least_time(std::uint32_t header_time, const std::optional<TipTimes>& tip, const Now& now) {
  const std::int64_t ahead = ahead_of(now, header_time);
  if (ahead <= kClockTolerance) return header_time;
  if (tip) return std::min(header_time, tip->median_time + 1);
  return ahead > kMaxFuture ? to_u32(now.unix_time) : header_time;
}

}  // namespace

ipc::CreateOptions create_options(CoinbaseConstraints constraints) {
  ipc::CreateOptions options;
  const std::uint64_t weight = kReserveBesideOutputs + kWeightPerByte * std::uint64_t{constraints.max_additional_size};
  options.reserved_weight = std::clamp(weight, kLeastReserve, std::uint64_t{bitcoin::kMaxBlockWeight});
  options.reserved_sigops = kCostPerSigop * std::uint64_t{constraints.max_additional_sigops};
  return options;
}

std::optional<std::uint32_t> height_in(Bytes script_prefix) {
  // No more than the height, which is no genesis block's.
  const auto height = bitcoin::height_at_front(script_prefix);
  if (!height || *height == 0 || *height > 0x7fffffff || bitcoin::height_push(*height).size() != script_prefix.size())
    return std::nullopt;
  return height;
}

bool needs_tip_times(const ipc::TemplateData& data, std::string_view chain, const Now& now) {
  return has_min_difficulty_blocks(chain) || ahead_of(now, data.header.ntime) > kClockTolerance;
}

Result<Template> make_template(const ipc::TemplateData& data, std::string_view chain, const std::optional<TipTimes>& tip,
                               const Now& now) {
  Template made;
  made.version = data.header.version;
  made.prev_hash = data.header.prev_hash;
  made.nbits = data.header.nbits;
  if (!bitcoin::target_from_compact(made.nbits)) return nonsense("its bits are no target");
  made.current_time = data.header.ntime;
  const auto height = height_in(data.coinbase.script_prefix);
  if (!height) return nonsense("the coinbase's script does not begin with the block's height (BIP34)");
  made.height = *height;
  made.coinbase_version = data.coinbase.version;
  made.coinbase_script_prefix = data.coinbase.script_prefix;
  made.coinbase_sequence = data.coinbase.sequence;
  made.coinbase_locktime = data.coinbase.lock_time;
  made.coinbase_value_sat = data.coinbase.value_sat;
  for (const bitcoin::TxOutput& output : data.coinbase.required_outputs) {
    if (output.value_sat != 0) return nonsense("a required output of the coinbase has a value");
  }
  made.coinbase_outputs = data.coinbase.required_outputs;
  made.has_witness_commitment = data.coinbase.has_witness;
  made.merkle_path = data.merkle_path;
  const bool tip_known = tip && tip->hash == made.prev_hash;
  made.min_ntime = least_time(data.header.ntime, tip_known ? tip : std::nullopt, now);
  if (has_min_difficulty_blocks(chain)) bound_to_min_difficulty(made, tip_known ? std::optional(tip->time) : std::nullopt);
  return made;
}

}  // namespace adit::templates
