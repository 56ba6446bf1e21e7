// Errors of the channel engines.
#pragma once

#include <string_view>

namespace adit::channels {

enum class Errc {
  kExtranonceExhausted,  ///< Every prefix of this shard is in use: close channels, or run another server id.
  kCoinbase,    ///< The coinbase cannot be built: script too long, or payouts that do not add up to the template's value.
  kHashRate,    ///< A nominal hash rate that is no number >= 0.
  kUnknownJob,  ///< The peer referred to a job it never sent, or that is no longer valid.
  kPayout,      ///< A user_identity or a coinbase that does not pay the miner what was asked for.
  kMessage,     ///< A message that the rules forbid here; the sentence names the field.
};

constexpr std::string_view error_layer(Errc) { return "channels"; }
std::string_view error_name(Errc code);

}  // namespace adit::channels
