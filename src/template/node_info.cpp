#include "template/node_info.h"

#include <boost/json/object.hpp>
#include <boost/json/string.hpp>

#include "base/hex.h"
#include "template/block_template.h"

namespace adit::templates {
namespace {

namespace json = boost::json;

const json::value* member(const json::value& value, std::string_view key) {
  const json::object* object = value.if_object();
  return object == nullptr ? nullptr : object->if_contains(key);
}

}  // namespace

std::optional<std::int64_t> integer_in(const json::value& value, std::string_view key) {
  const json::value* found = member(value, key);
  if (found == nullptr || !found->is_int64()) return std::nullopt;
  return found->get_int64();
}

Result<ChainInfo> parse_chain_info(const json::value& result) {
  const json::value* chain = member(result, "chain");
  if (chain == nullptr || !chain->is_string())
    return fail(Errc::kNonsense, "the node's answer to getblockchaininfo names no chain");
  return ChainInfo{std::string(chain->get_string()), integer_in(result, "blocks"), integer_in(result, "headers")};
}

Result<> check_network(const ChainInfo& info, std::optional<bitcoin::Network> wanted) {
  const auto network = bitcoin::network_from_name(info.chain);
  if (!wanted || network == wanted) return {};
  return fail(Errc::kWrongNetwork, "the node is on " +
                                       std::string(network ? bitcoin::network_name(*network) : info.chain.substr(0, 40)) +
                                       ", but the configuration is for " + std::string(bitcoin::network_name(*wanted)));
}

bool is_behind(const ChainInfo& info) {
  return info.blocks && info.headers && *info.headers > *info.blocks && *info.headers - 1 != *info.blocks;
}

std::string progress_of(const ChainInfo& info) {
  if (!info.blocks || !info.headers || *info.headers <= *info.blocks) return "";
  return " (it has " + std::to_string(*info.blocks) + " of " + std::to_string(*info.headers) + " blocks)";
}

bool has_min_difficulty_blocks(std::string_view chain) { return chain == "test" || chain == "testnet4"; }

std::string relay_caution(const json::value& result) {
  const json::value* takes = member(result, "localrelay");
  if (takes == nullptr || !takes->is_bool() || takes->get_bool()) return "";
  return "the node takes no transactions from others (blocksonly=1): blocks carry next to no fees";
}

std::string signet_caution(Bytes challenge) {
  if (!signet_needs_signature(challenge)) return "";
  return "blocks found here cannot be valid: this signet's challenge (" + to_hex(challenge).substr(0, 80) +
         ") asks for a signature that only its owners can make; mine on a signet of your own, or on testnet4";
}

}  // namespace adit::templates
