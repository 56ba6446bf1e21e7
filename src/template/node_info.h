// What a node says of itself by JSON-RPC, whichever way the answer came.
#pragma once

#include <boost/json/value.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "bitcoin/address.h"
#include "template/error.h"

namespace adit::templates {

/// Of getblockchaininfo.
struct ChainInfo {
  std::string chain;  ///< As the node calls it: "main", "testnet4", ...
  std::optional<std::int64_t> blocks;
  std::optional<std::int64_t> headers;
};

/// `result` is that of getblockchaininfo. Errors: kNonsense if it names no chain.
Result<ChainInfo> parse_chain_info(const boost::json::value& result);

/// Errors: kWrongNetwork if the node's chain is not the one that is wanted; absent: any is.
Result<> check_network(const ChainInfo& info, std::optional<bitcoin::Network> wanted);

/// Whether it knows of more blocks than the next one that it does not have.
bool is_behind(const ChainInfo& info);

/// How far a node is that has not caught up, to be put behind a sentence: " (it has 5 of 9 blocks)", or nothing.
std::string progress_of(const ChainInfo& info);

/// Whether blocks of the least difficulty are allowed there that others are not.
bool has_min_difficulty_blocks(std::string_view chain);

/// The caution about a node that takes no transactions from others, from getnetworkinfo's result; empty about any other.
std::string relay_caution(const boost::json::value& result);

/// The caution about a signet whose blocks need a signature; empty where a block without one is valid.
std::string signet_caution(Bytes challenge);

/// The member `key` if it is a whole number.
std::optional<std::int64_t> integer_in(const boost::json::value& value, std::string_view key);

}  // namespace adit::templates
