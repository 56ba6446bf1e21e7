#include "template/block_template.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/hex.h"
#include "bitcoin/coinbase.h"
#include "bitcoin/merkle.h"
#include "bitcoin/u256.h"

namespace adit::templates {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxTransactions = 4'000'000 / (4 * 60);  // Of a block's weight, none being smaller than 60 bytes.
constexpr std::uint32_t kMaxHeight = 0x7fffffff;
constexpr std::size_t kMaxLongPollId = 1000;

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
    if (name->starts_with('!') && std::string_view(*name) != "!segwit") {
      return fail(Errc::kRefused,
                  "the node demands the rule '" + std::string(name->subview(1, 40)) + "', which this program does not know");
    }
  }
  return {};
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

Result<NodeTemplate> parse_block_template(const json::value& answer) {
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

  const auto previous = text(*object, "previousblockhash");
  if (!previous || !from_hex(*previous, made.prev_hash)) return nonsense("'previousblockhash' is not a hash of 64 digits");
  std::reverse(made.prev_hash.begin(), made.prev_hash.end());

  std::array<std::uint8_t, 4> nbits;
  const auto bits = text(*object, "bits");
  if (!bits || !from_hex(*bits, nbits)) return nonsense("'bits' is not 8 hexadecimal digits");
  made.nbits = load_be<std::uint32_t>(nbits.data());
  const auto target = bitcoin::target_from_compact(made.nbits);
  if (!target || *target == bitcoin::U256()) return nonsense("'bits' stands for no target");

  ADIT_TRY(const std::uint64_t height, number(*object, "height", kMaxHeight));
  if (height == 0) return nonsense("'height' is 0, which is the genesis block's");
  made.height = static_cast<std::uint32_t>(height);
  ADIT_TRY(const std::uint64_t min_time, number(*object, "mintime", UINT32_MAX));
  ADIT_TRY(const std::uint64_t current_time, number(*object, "curtime", UINT32_MAX));
  made.min_ntime = static_cast<std::uint32_t>(min_time);
  made.current_time = static_cast<std::uint32_t>(std::max(min_time, current_time));
  ADIT_TRY(made.coinbase_value_sat, number(*object, "coinbasevalue", bitcoin::kMaxMoneySat));
  made.coinbase_script_prefix = bitcoin::height_push(made.height);

  const json::value* transactions = object->if_contains("transactions");
  if (transactions == nullptr || !transactions->is_array()) return nonsense("'transactions' is missing");
  if (transactions->get_array().size() > kMaxTransactions) return nonsense("it has more transactions than a block can hold");
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
  made.merkle_path = bitcoin::merkle_path(txids);

  // btcd leaves the commitment out of an empty template, where a block needs none (BIP141).
  std::vector<std::uint8_t> commitment = bitcoin::witness_commitment_script(wtxids);
  const json::value* node_commitment = object->if_contains("default_witness_commitment");
  if (node_commitment != nullptr) {
    const auto hex = text(*object, "default_witness_commitment");
    if (!hex || from_hex(*hex) != commitment) return nonsense("'default_witness_commitment' does not fit its transactions");
  }
  if (node_commitment != nullptr || any_witness) {
    made.coinbase_outputs = {{0, std::move(commitment)}};
    made.has_witness_commitment = true;
  }

  if (const auto id = text(*object, "longpollid")) {
    if (id->size() > kMaxLongPollId) return nonsense("'longpollid' has " + std::to_string(id->size()) + " characters");
    result.long_poll_id = *id;
  }
  return result;
}

}  // namespace adit::templates
