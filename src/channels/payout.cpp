#include "channels/payout.h"

#include <charconv>
#include <string>

#include "bitcoin/address.h"
#include "bitcoin/tx.h"

namespace adit::channels {
namespace {

constexpr unsigned kMostFeePercent = 10;  // SRI's, where the identity is an address alone.
constexpr std::uint8_t kOpReturn = 0x6a;
// version, number of inputs, what is spent (nothing), size of the script: below 0xfd, as it has at most 100 bytes.
constexpr std::size_t kCoinbaseScriptBegin = 4 + 1 + 36 + 1;

/// Takes what stands before the next '/'.
std::string_view take_part(std::string_view& text) {
  const auto end = text.find('/');
  const std::string_view part = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  return part;
}

}  // namespace

std::optional<std::vector<std::uint8_t>> script_of_any_network(std::string_view text) {
  using bitcoin::Network;
  for (const Network network : {Network::kMainnet, Network::kTestnet4, Network::kSignet, Network::kRegtest}) {
    if (auto script = bitcoin::script_from_address(text, network)) return std::move(*script);
  }
  return std::nullopt;
}

Result<Payout> payout_of(std::string_view user_identity) {
  const auto none = [&](std::string_view why) {
    return fail(Errc::kPayout, "user_identity \"" + std::string(user_identity) + "\" " + std::string(why) +
                                   "; payouts are verified for sri/solo/ADDRESS[/WORKER], "
                                   "sri/donate/PERCENT/ADDRESS[/WORKER] and ADDRESS[.WORKER]");
  };
  if (auto script = script_of_any_network(user_identity.substr(0, user_identity.find('.')))) {
    return Payout{.script = std::move(*script), .pool_percent = kMostFeePercent, .may_be_less_for_us = true};
  }
  std::string_view rest = user_identity;
  if (take_part(rest) != "sri") return none("names no payout of the miner's own");
  const std::string_view kind = take_part(rest);
  Payout payout;
  if (kind == "donate") {
    const std::string_view percent = take_part(rest);
    const auto read = std::from_chars(percent.data(), percent.data() + percent.size(), payout.pool_percent);
    if (rest.empty()) return none("leaves the whole reward to the pool");
    if (read.ec != std::errc() || read.ptr != percent.data() + percent.size() || payout.pool_percent < 1 ||
        payout.pool_percent > 99)
      return none("donates no whole percentage from 1 to 99");
  } else if (kind != "solo") {
    return none("follows none of SRI's patterns");
  }
  auto script = script_of_any_network(take_part(rest));
  if (!script) return none("names no valid address");
  payout.script = std::move(*script);
  return payout;
}

Result<void> check_payout(const Payout& payout, Bytes coinbase_prefix, std::size_t extranonce_size, Bytes coinbase_suffix) {
  std::vector<std::uint8_t> bytes(coinbase_prefix.begin(), coinbase_prefix.end());
  bytes.resize(bytes.size() + extranonce_size);
  bytes.insert(bytes.end(), coinbase_suffix.begin(), coinbase_suffix.end());
  const auto coinbase = bitcoin::parse_transaction(bytes);
  if (!coinbase || !coinbase->is_coinbase()) return fail(Errc::kPayout, "its coinbase is none");
  const std::size_t script_end = kCoinbaseScriptBegin + coinbase->inputs[0].script.size();
  if (coinbase_prefix.size() < kCoinbaseScriptBegin || coinbase_prefix.size() + extranonce_size > script_end)
    return fail(Errc::kPayout, "its extranonce is not within the coinbase's script");

  std::uint64_t all = 0;
  std::uint64_t ours = 0;
  for (const bitcoin::TxOutput& output : coinbase->outputs) {
    if (!output.script.empty() && output.script[0] == kOpReturn) continue;
    if (output.value_sat > bitcoin::kMaxMoneySat - all) return fail(Errc::kPayout, "its coinbase pays more than there is");
    all += output.value_sat;
    if (output.script == payout.script) ours += output.value_sat;
  }
  const std::uint64_t for_pool = all * payout.pool_percent / 100;
  const std::uint64_t for_us = all - for_pool;
  if (all != 0 && (ours == for_us || (payout.may_be_less_for_us && ours > for_us))) return {};
  return fail(Errc::kPayout, "its coinbase pays us " + std::to_string(ours) + " of " + std::to_string(all) +
                                 " sat instead of " + (payout.may_be_less_for_us ? "at least " : "") + std::to_string(for_us));
}

}  // namespace adit::channels
