#include "channels/payout.h"

#include <algorithm>
#include <cctype>
#include <string>
#include <utility>

#include "base/number.h"
#include "base/text.h"
#include "bitcoin/coinbase.h"
#include "bitcoin/consensus.h"
#include "bitcoin/tx.h"

namespace adit::channels {
namespace {

constexpr std::uint8_t kOpReturn = 0x6a;
/// Bitcoin Core relays no output below that; a coinbase may have one, which costs more to spend than it is worth.
constexpr std::uint64_t kDustSat = 546;
/// The largest output that an address stands for: value, size, and a witness program of 40 bytes with version and size
/// (BIP141).
constexpr std::uint32_t kMostAddressOutput = 8 + 1 + 2 + 40;
/// The most signature operations that a block counts in the script of an address: P2PKH's CHECKSIG.
constexpr std::uint32_t kMostAddressSigops = 1;

/// Takes what stands before the next '/'.
std::string_view take_part(std::string_view& text) {
  const auto end = text.find('/');
  const std::string_view part = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  return part;
}

bool is_test_network(bitcoin::Network network) { return network != bitcoin::Network::kMainnet; }

/// The script that an address pays to. `network`: as read_identity. Errors: those of bitcoin::script_from_address.
Result<std::vector<std::uint8_t>> script_of(std::string_view address, std::optional<bitcoin::Network> network) {
  using bitcoin::Network;
  auto script = bitcoin::script_from_address(address, network.value_or(Network::kMainnet));
  for (const Network other : {Network::kMainnet, Network::kTestnet4, Network::kSignet, Network::kRegtest}) {
    if (script || !script.error().is(bitcoin::Errc::kWrongNetwork)) break;
    if (network && !(is_test_network(*network) && is_test_network(other))) continue;
    if (auto found = bitcoin::script_from_address(address, other)) return found;
  }
  return script;
}

std::unexpected<Error> refused(std::string_view why) { return fail(Errc::kPayout, std::string(why)); }

/// "ADDRESS[.WORKER]", or what is no pattern at all.
Result<Wish> read_bare_identity(std::string_view user_identity, std::optional<bitcoin::Network> network) {
  const auto is_part = [](unsigned char c) { return std::isalnum(c) != 0; };
  const auto name = user_identity.substr(
      0, static_cast<std::size_t>(std::ranges::find_if_not(user_identity, is_part) - user_identity.begin()));
  auto script = script_of(name, network);
  const bool meant = script || script.error().is(bitcoin::Errc::kWrongNetwork) || bitcoin::looks_like_address(name);
  if (!meant) return Wish{};
  if (!script) return refused("names no valid address: " + script.error().message());
  if (name.size() != user_identity.size() && user_identity[name.size()] != '.') {
    return refused("goes on behind its address with " + in_quotes(user_identity.substr(name.size(), 1)) +
                   ": a dot stands before a worker's name");
  }
  return Wish{.kind = Wish::Kind::kAddress,
              .payout = {.script = std::move(*script), .pool_percent = kMostFeePercent, .exact = false}};
}

}  // namespace

std::optional<std::vector<std::uint8_t>> script_of_any_network(std::string_view text) {
  auto script = script_of(text, std::nullopt);
  if (!script) return std::nullopt;
  return std::move(*script);
}

Result<Wish> read_identity(std::string_view user_identity, std::optional<bitcoin::Network> network) {
  constexpr std::string_view kPattern = "sri/";
  if (!user_identity.starts_with(kPattern)) return read_bare_identity(user_identity, network);
  std::string_view rest = user_identity.substr(kPattern.size());
  const std::string_view kind = take_part(rest);
  Wish wish{.kind = Wish::Kind::kSolo, .payout = {}};
  if (kind == "donate") {
    wish.kind = Wish::Kind::kDonation;
    const bool has_address = rest.find('/') != std::string_view::npos;
    if (!has_address) return Wish{.kind = Wish::Kind::kAll, .payout = {}};
    const auto percent = number_from<unsigned>(take_part(rest));
    if (!percent || *percent < 1 || *percent > 99) return refused("donates no whole percentage from 1 to 99");
    wish.payout.pool_percent = *percent;
  } else if (kind != "solo") {
    return refused("follows none of SRI's patterns: sri/solo/ADDRESS, sri/donate, sri/donate/PERCENT/ADDRESS");
  }
  auto script = script_of(take_part(rest), network);
  if (!script) return refused("names no valid address: " + script.error().message());
  wish.payout.script = std::move(*script);
  return wish;
}

Result<Payout> payout_of(std::string_view user_identity) {
  const auto none = [&](std::string_view why) {
    return fail(Errc::kPayout, "user_identity \"" + std::string(user_identity) + "\" " + std::string(why) +
                                   "; payouts are verified for sri/solo/ADDRESS[/WORKER], "
                                   "sri/donate/PERCENT/ADDRESS[/WORKER] and ADDRESS[.WORKER]");
  };
  auto wish = read_identity(user_identity);
  if (!wish) return none(wish.error().message());
  if (wish->kind == Wish::Kind::kNothing) return none("names no payout of the miner's own");
  if (wish->kind == Wish::Kind::kAll) return none("leaves the whole reward to the pool");
  return std::move(wish->payout);
}

Result<std::optional<Payout>> PayoutPolicy::decide(std::string_view user_identity) const {
  if (!by_identity) return std::nullopt;
  ADIT_TRY(Wish wish, read_identity(user_identity, network));
  if (wish.kind == Wish::Kind::kNothing || wish.kind == Wish::Kind::kAll) return std::nullopt;
  if (!solo) return refused("asks for a payout of its own, which this pool does not grant (`solo = false`)");
  if (wish.kind == Wish::Kind::kAddress) {
    wish.payout.pool_percent = solo_fee_percent;
    wish.payout.exact = solo_fee_percent == 0;
  } else if (wish.payout.pool_percent < solo_fee_percent) {
    return refused("leaves " + std::to_string(wish.payout.pool_percent) + " % to the pool, whose fee is " +
                   std::to_string(solo_fee_percent) + " % (`solo_fee_percent`): ADDRESS[.WORKER] leaves it that");
  }
  // What the pool's own script is paid is the pool's.
  if (wish.payout.script == pool_script) return std::nullopt;
  return std::move(wish.payout);
}

PayoutOutputs PayoutPolicy::outputs(const Payout* payout, std::uint64_t value_sat) const {
  PayoutOutputs outputs;
  std::uint64_t for_pool = value_sat;
  if (payout != nullptr) for_pool = value_sat * payout->pool_percent / 100;
  if (payout != nullptr && !payout->exact && for_pool < kDustSat) for_pool = 0;
  if (payout == nullptr || for_pool != 0) outputs.add(for_pool, pool_script);
  if (payout != nullptr) outputs.add(value_sat - for_pool, payout->script);
  return outputs;
}

std::uint32_t PayoutPolicy::max_outputs_size() const {
  const auto of_pool = static_cast<std::uint32_t>(bitcoin::output_size({.value_sat = 0, .script = pool_script}));
  return of_pool + (solo ? kMostAddressOutput : 0);
}

std::uint32_t PayoutPolicy::max_sigops() const { return bitcoin::count_sigops(pool_script) + (solo ? kMostAddressSigops : 0); }

Result<void> check_payout(const Payout& payout, Bytes coinbase_prefix, std::size_t extranonce_size, Bytes coinbase_suffix) {
  std::vector<std::uint8_t> bytes(coinbase_prefix.begin(), coinbase_prefix.end());
  bytes.resize(bytes.size() + extranonce_size);
  bytes.insert(bytes.end(), coinbase_suffix.begin(), coinbase_suffix.end());
  const auto coinbase = bitcoin::parse_transaction(bytes);
  if (!coinbase || !coinbase->is_coinbase()) return fail(Errc::kPayout, "its coinbase is none");
  const std::size_t script_end = bitcoin::kCoinbaseScriptBegin + coinbase->inputs[0].script.size();
  if (coinbase_prefix.size() < bitcoin::kCoinbaseScriptBegin || coinbase_prefix.size() + extranonce_size > script_end)
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
  if (all != 0 && (ours == for_us || (!payout.exact && ours > for_us))) return {};
  return fail(Errc::kPayout, "its coinbase pays us " + std::to_string(ours) + " of " + std::to_string(all) +
                                 " sat instead of " + (payout.exact ? "" : "at least ") + std::to_string(for_us));
}

}  // namespace adit::channels
