#include "template/block_template.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/hex.h"
#include "bitcoin/coinbase.h"
#include "bitcoin/consensus.h"
#include "bitcoin/merkle.h"
#include "bitcoin/tx.h"
#include "bitcoin/u256.h"
#include "template/node_info.h"

namespace adit::templates {
namespace {

namespace json = boost::json;

constexpr std::uint32_t kMaxHeight = 0x7fffffff;
constexpr std::size_t kMaxLongPollId = 1000;
constexpr std::uint64_t kMaxBlockSigops = 80'000;
// Weight of the block's header, its transaction count, and a coinbase without the outputs that pay: as sv2-tp reserves it.
constexpr std::uint64_t kLeastReserve = 2000;
constexpr std::uint64_t kReserveBesideOutputs = 1168 + 400;
// Testnet's least difficulty: Bitcoin Core's powLimit, twice its nPowTargetSpacing, its retarget interval.
constexpr std::uint32_t kLeastDifficultyBits = 0x1d00ffff;
constexpr std::uint32_t kLeastDifficultyAfter = 2 * 600;
constexpr std::uint32_t kRetargetInterval = 2016;

std::unexpected<Error> nonsense(const std::string& what) {
  return fail(Errc::kNonsense, "the node's block template makes no sense: " + what);
}

Result<std::uint64_t> number(const json::object& object, std::string_view key, std::uint64_t max) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr) return nonsense("'" + std::string(key) + "' is missing");
  std::uint64_t result = 0;
  if (const auto* whole = value->if_uint64()) {
    result = *whole;
  } else if (const auto* with_sign = value->if_int64(); with_sign != nullptr && *with_sign >= 0) {
    result = static_cast<std::uint64_t>(*with_sign);
  } else {
    return nonsense("'" + std::string(key) + "' is not a whole number of zero or more");
  }
  if (result > max)
    return nonsense("'" + std::string(key) + "' is " + std::to_string(result) + ", more than " + std::to_string(max));
  return result;
}

/// nullopt for anything but text.
std::optional<std::string_view> text(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr) return std::nullopt;
  const json::string* found = value->if_string();
  if (found == nullptr) return std::nullopt;
  return std::string_view(*found);
}

Result<> check_rules(const json::object& object) {
  const json::value* rules = object.if_contains("rules");
  if (rules == nullptr || !rules->is_array()) return {};
  for (const json::value& rule : rules->get_array()) {
    const json::string* name = rule.if_string();
    if (name == nullptr) return nonsense("'rules' holds something else than names");
    // What signet's rule asks for beside segwit's commitment, if anything, is signet_needs_signature's to say.
    if (name->starts_with('!') && std::string_view(*name) != "!segwit" && std::string_view(*name) != "!signet") {
      return fail(Errc::kRefused,
                  "the node demands the rule '" + std::string(name->subview(1, 40)) +
                      "' of every block, which this program does not know: no block of ours would be valid; a newer version of "
                      "this program may know it");
    }
  }
  return {};
}

/// BIP141's weight of one serialized transaction.
std::uint64_t weight_of(Bytes transaction) {
  const auto layout = bitcoin::transaction_layout(transaction);
  const std::uint64_t witness = layout && layout->has_witness ? 2 + (layout->locktime - layout->witness) : 0;
  return 4 * (transaction.size() - witness) + witness;
}

/// Leaves out the last transactions until the coinbase fits. Returns how many; they are gone from `made` and `entries`' fees
/// from its value, the merkle path and the commitment are still the caller's to make.
Result<std::size_t> make_room(const json::object& object, const json::array& entries, CoinbaseConstraints constraints,
                              Template& made) {
  std::uint64_t max_weight = bitcoin::kMaxBlockWeight;
  std::uint64_t max_sigops = kMaxBlockSigops;
  if (object.contains("weightlimit")) {
    ADIT_TRY(max_weight, number(object, "weightlimit", bitcoin::kMaxBlockWeight));
  }
  if (object.contains("sigoplimit")) {
    ADIT_TRY(max_sigops, number(object, "sigoplimit", kMaxBlockSigops));
  }
  std::uint64_t weight = std::max(kLeastReserve, kReserveBesideOutputs + 4 * std::uint64_t{constraints.max_additional_size});
  std::uint64_t sigops = 4 * std::uint64_t{constraints.max_additional_sigops};
  const auto sigops_of = [](const json::value& entry) {
    const json::value* value = entry.get_object().if_contains("sigops");
    return value != nullptr && value->is_int64() && value->get_int64() > 0 ? static_cast<std::uint64_t>(value->get_int64()) : 0;
  };
  for (std::size_t i = 0; i < made.transactions.size(); ++i) {
    weight += weight_of(made.transactions[i]);
    sigops += std::min(sigops_of(entries[i]), kMaxBlockSigops);
  }
  std::size_t left_out = 0;
  while ((weight > max_weight || sigops > max_sigops) && !made.transactions.empty()) {
    const std::size_t last = made.transactions.size() - 1;
    const auto fee = number(entries[last].get_object(), "fee", bitcoin::kMaxMoneySat);
    if (!fee || *fee > made.coinbase_value_sat) {
      return nonsense("its transactions leave no room for the coinbase, and transaction " + std::to_string(last) +
                      ", to be left out, names no fee");
    }
    made.coinbase_value_sat -= *fee;
    weight -= weight_of(made.transactions[last]);
    sigops -= std::min(sigops_of(entries[last]), kMaxBlockSigops);
    made.transactions.pop_back();
    ++left_out;
  }
  return left_out;
}

std::optional<std::uint64_t> subsidy_in(std::uint64_t coinbase_value, const json::array& entries) {
  std::uint64_t fees = 0;
  for (const json::value& entry : entries) {
    const json::object* object = entry.if_object();
    const auto fee = object == nullptr ? nonsense("") : number(*object, "fee", bitcoin::kMaxMoneySat);
    if (!fee) return std::nullopt;
    fees += *fee;
  }
  return fees <= coinbase_value ? std::optional(coinbase_value - fees) : std::nullopt;
}

Result<std::array<std::uint8_t, 4>> bits_in(const json::object& object) {
  std::array<std::uint8_t, 4> nbits;
  const auto bits = text(object, "bits");
  if (!bits || !from_hex(*bits, nbits)) return nonsense("'bits' is not 8 hexadecimal digits");
  const auto target = bitcoin::target_from_compact(load_be<std::uint32_t>(nbits.data()));
  if (!target || *target == bitcoin::U256()) return nonsense("'bits' stands for no target");
  return nbits;
}

Result<Hash256> hash_in(const json::object& object, std::string_view key) {
  Hash256 hash;
  const auto digits = text(object, key);
  if (!digits || !from_hex(*digits, hash)) return nonsense("'" + std::string(key) + "' is not a hash of 64 digits");
  std::reverse(hash.begin(), hash.end());
  return hash;
}

Result<std::vector<std::uint8_t>> transaction_bytes(const json::value& entry, std::size_t index) {
  const std::string name = "transaction " + std::to_string(index);
  const json::object* object = entry.if_object();
  const auto hex = object == nullptr ? std::nullopt : text(*object, "data");
  auto bytes = hex ? from_hex(*hex) : std::nullopt;
  if (!bytes) return nonsense(name + " has no 'data' in hexadecimal");
  return std::move(*bytes);
}

}  // namespace

Result<NodeTemplate> parse_block_template(const json::value& answer, CoinbaseConstraints constraints) {
  const json::object* object = answer.if_object();
  if (object == nullptr) return nonsense("it is not an object");
  ADIT_CHECK(check_rules(*object));

  NodeTemplate result;
  Template& made = result.block_template;
  const json::value* version = object->if_contains("version");
  if (version == nullptr || (!version->is_int64() && !version->is_uint64())) return nonsense("'version' is not a whole number");
  // A signed number of 32 bits, as a node prints it.
  boost::system::error_code out_of_range;
  made.version = static_cast<std::uint32_t>(version->to_number<std::int32_t>(out_of_range));
  if (out_of_range) return nonsense("'version' is out of range");

  ADIT_TRY(made.prev_hash, hash_in(*object, "previousblockhash"));
  ADIT_TRY(const auto nbits, bits_in(*object));
  made.nbits = load_be<std::uint32_t>(nbits.data());

  ADIT_TRY(const std::uint64_t height, number(*object, "height", kMaxHeight));
  if (height == 0) return nonsense("'height' is 0, which is the genesis block's");
  made.height = static_cast<std::uint32_t>(height);
  ADIT_TRY(const std::uint64_t min_time, number(*object, "mintime", UINT32_MAX));
  ADIT_TRY(const std::uint64_t current_time, number(*object, "curtime", UINT32_MAX));
  made.min_ntime = static_cast<std::uint32_t>(min_time);
  made.current_time = static_cast<std::uint32_t>(std::max(min_time, current_time));
  result.node_time = static_cast<std::uint32_t>(current_time);
  ADIT_TRY(made.coinbase_value_sat, number(*object, "coinbasevalue", bitcoin::kMaxMoneySat));
  made.coinbase_script_prefix = bitcoin::height_push(made.height);

  const json::value* transactions = object->if_contains("transactions");
  if (transactions == nullptr || !transactions->is_array()) return nonsense("'transactions' is missing");
  if (transactions->get_array().size() > bitcoin::kMaxBlockTransactions)
    return nonsense("it has more transactions than a block can hold");
  std::vector<Hash256> txids;
  std::vector<Hash256> wtxids;
  bool any_witness = false;
  for (const json::value& entry : transactions->get_array()) {
    ADIT_TRY(auto bytes, transaction_bytes(entry, made.transactions.size()));
    const auto ids = bitcoin::transaction_ids(bytes);
    if (!ids) return nonsense("transaction " + std::to_string(made.transactions.size()) + ": " + ids.error().message());
    any_witness = any_witness || ids->txid != ids->wtxid;
    txids.push_back(ids->txid);
    wtxids.push_back(ids->wtxid);
    made.transactions.push_back(std::move(bytes));
  }

  // btcd leaves the commitment out of an empty template, where a block needs none (BIP141).
  std::vector<std::uint8_t> commitment = bitcoin::witness_commitment_script(wtxids);
  const json::value* node_commitment = object->if_contains("default_witness_commitment");
  if (node_commitment != nullptr) {
    const auto hex = text(*object, "default_witness_commitment");
    if (!hex || from_hex(*hex) != commitment) return nonsense("'default_witness_commitment' does not fit its transactions");
  }
  result.subsidy_sat = subsidy_in(made.coinbase_value_sat, transactions->get_array());
  ADIT_TRY(result.left_out, make_room(*object, transactions->get_array(), constraints, made));
  if (result.left_out != 0) {
    txids.resize(made.transactions.size());
    wtxids.resize(made.transactions.size());
    commitment = bitcoin::witness_commitment_script(wtxids);
  }
  made.merkle_path = bitcoin::merkle_path(txids);
  if (node_commitment != nullptr || any_witness) {
    made.coinbase_outputs = {{0, std::move(commitment)}};
    made.has_witness_commitment = true;
  }

  if (const auto id = text(*object, "longpollid")) {
    if (id->size() > kMaxLongPollId) return nonsense("'longpollid' has " + std::to_string(id->size()) + " characters");
    result.long_poll_id = *id;
  }
  if (object->contains("signet_challenge")) {
    const auto hex = text(*object, "signet_challenge");
    result.signet_challenge = hex ? from_hex(*hex) : std::nullopt;
    if (!result.signet_challenge) return nonsense("'signet_challenge' is not hexadecimal");
  }
  return result;
}

Result<std::optional<TipHeader>> parse_tip_header(const json::value& answer) {
  const json::object* object = answer.if_object();
  if (object == nullptr) return fail(Errc::kNonsense, "the node's answer to getblockheader is not an object");
  if (const json::value* depth = object->if_contains("confirmations"); depth != nullptr && depth->is_int64()) {
    if (depth->get_int64() < 1) return std::nullopt;
  }
  TipHeader tip;
  ADIT_TRY(tip.hash, hash_in(*object, "hash"));
  ADIT_TRY(const std::uint64_t height, number(*object, "height", kMaxHeight - 1));
  tip.height = static_cast<std::uint32_t>(height);
  ADIT_TRY(const auto nbits, bits_in(*object));
  tip.nbits = load_be<std::uint32_t>(nbits.data());
  ADIT_TRY(const std::uint64_t median_time, number(*object, "mediantime", UINT32_MAX - 1));
  tip.median_time = static_cast<std::uint32_t>(median_time);
  return tip;
}

std::optional<NodeTemplate> empty_template_after(const TipHeader& tip, const Template& last,
                                                 std::optional<std::uint64_t> subsidy_sat, std::string_view chain,
                                                 const Now& now) {
  const std::uint32_t height = tip.height + 1;
  const auto network = bitcoin::network_from_name(chain).value_or(bitcoin::Network::kMainnet);
  const std::uint32_t halving = bitcoin::halving_interval(network);
  const bool is_boundary = height % kRetargetInterval == 0 || height / kRetargetInterval != last.height / kRetargetInterval;
  if (!subsidy_sat || is_boundary || height / halving != last.height / halving || has_min_difficulty_blocks(chain))
    return std::nullopt;
  NodeTemplate result;
  result.is_made_here = true;
  result.subsidy_sat = subsidy_sat;
  Template& made = result.block_template;
  made.version = last.version;
  made.prev_hash = tip.hash;
  made.nbits = tip.nbits;
  made.min_ntime = tip.median_time + 1;
  made.current_time = std::max(made.min_ntime, to_u32(now.unix_time));
  made.height = height;
  made.coinbase_script_prefix = bitcoin::height_push(height);
  made.coinbase_value_sat = *subsidy_sat;
  made.has_witness_commitment = last.has_witness_commitment;
  if (made.has_witness_commitment) made.coinbase_outputs = {{0, bitcoin::witness_commitment_script({})}};
  return result;
}

void bound_to_min_difficulty(Template& made, std::optional<std::uint32_t> tip_time) {
  const bool least = made.nbits == kLeastDifficultyBits;
  if (made.height % kRetargetInterval == 0) return;  // Its bits are computed whatever its time is.
  if (!tip_time) {
    // With the time that the node proposes its bits hold, and with any later one.
    if (least) made.min_ntime = made.current_time;
    return;
  }
  const auto change = bits_change_at(made, *tip_time);
  if (change && made.current_time < *change) made.max_ntime = *change - 1;
  if (least && made.current_time > std::uint64_t{*tip_time} + kLeastDifficultyAfter) {
    made.min_ntime = std::max(made.min_ntime, *tip_time + kLeastDifficultyAfter + 1);
  }
}

std::optional<std::uint32_t> bits_change_at(const Template& made, std::uint32_t tip_time) {
  const std::uint64_t change = std::uint64_t{tip_time} + kLeastDifficultyAfter + 1;
  const bool stay = made.nbits == kLeastDifficultyBits || made.height % kRetargetInterval == 0 || change > UINT32_MAX;
  return stay ? std::nullopt : std::optional(static_cast<std::uint32_t>(change));
}

bool signet_needs_signature(Bytes challenge) {
  if (challenge.empty()) return true;
  const std::uint8_t first = challenge[0];
  const bool one_small_number = challenge.size() == 1 && (first == 0x4f || (first >= 0x51 && first <= 0x60));  // -1, 1 to 16.
  // One push of something that is true: a byte other than zero, the last one's sign bit aside.
  bool one_push = first >= 1 && first <= 75 && challenge.size() == 1u + first;
  if (one_push) {
    const Bytes pushed = challenge.subspan(1);
    one_push = (pushed.back() & 0x7f) != 0 ||
               std::ranges::any_of(pushed.first(pushed.size() - 1), [](std::uint8_t byte) { return byte != 0; });
  }
  return !one_small_number && !one_push;
}

}  // namespace adit::templates
