// Configurations that a command makes of what it is told, as TOML.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "bitcoin/address.h"
#include "cli/find_node.h"

namespace adit::cli {

enum class MakeErrc {
  kMissing,  ///< An answer is missing that has no default, and no terminal is there to ask.
  kWrong,    ///< An answer cannot be used.
};
constexpr std::string_view error_layer(MakeErrc) { return "init"; }
constexpr bool error_is_usage(MakeErrc) { return true; }
std::string_view error_name(MakeErrc code);

/// The networks on which somebody can be paid by the address. Error: of the first network that it could have been meant for.
Result<std::vector<bitcoin::Network>> networks_of(const std::string& address);

/// [template_provider_type] of a node that was found.
std::string source_toml(const FoundNode& node);

/// How a person names that node: "unix:PATH" or "http://127.0.0.1:PORT".
std::string node_text(const FoundNode& node);

/// [template_provider_type] of a node that a person names: "embedded", "unix:PATH", "http://HOST:PORT" (its cookie in the usual
/// place) or the URL of a template provider. Error: kWrong.
Result<std::string> source_toml(const std::string& node, bitcoin::Network network);

/// Whether TOML reads `text` as a hash rate of a miner. Error: kWrong.
Result<> check_hash_rate(const std::string& text);

struct TranslatorAnswers {
  std::string url;
  std::string user;
  std::string listen;  ///< "ip:port".
  std::string monitoring;
  std::string hash_rate = "10_000.0";  ///< Hashes/s of the weakest miner, which check_hash_rate takes.
};
/// Of `adit translator`. A relay that the URL names is used. Error: kWrong, of `listen`.
Result<std::string> translator_toml(const TranslatorAnswers& answers);

/// The table [iroh] of a role that listens: "off" (none), "none" (without a relay), "n0" or a relay's URL. Error: kWrong.
Result<std::string> iroh_toml(const std::string& relay);

}  // namespace adit::cli
