// Tokens: what a client of job declaration shows for its place, first to the declarator and then to the pool.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"

namespace adit::declaration {

/// 128 bits that a driver takes from the system's random numbers: nobody guesses one.
using Token = std::array<std::uint8_t, 16>;

/// nullopt: the bytes have not a token's length.
inline std::optional<Token> token_from(Bytes bytes) {
  if (bytes.size() != Token().size()) return std::nullopt;
  Token token;
  std::ranges::copy(bytes, token.begin());
  return token;
}

/// The tokens that one connection was allocated and has not used yet. Each is good for one job, and for its user's alone.
class AllocatedTokens {
 public:
  struct Holder {
    std::string user;                         ///< AllocateMiningJobToken.user_identifier: any bytes.
    std::vector<std::uint8_t> payout_script;  ///< Of the output that the job's coinbase has to pay.
    Instant expires;
    bool is_declared = false;  ///< A declaration with it is under way: it is good for no second one.
    bool was_refused = false;  ///< One was refused: most clients never use it again, and ask for another.
  };

  /// Where there are `max` already that have not expired, one whose declaration was refused makes room; false, and nothing is
  /// changed, if there is none.
  bool add(const Token& token, Holder holder, std::size_t max, Instant now) {
    if (held_.size() >= max) prune(now);
    if (held_.size() >= max) {
      const auto refused =
          std::ranges::find_if(held_, [](const auto& one) { return one.second.was_refused && !one.second.is_declared; });
      if (refused == held_.end()) return false;
      held_.erase(refused);
    }
    return held_.emplace(token, std::move(holder)).second;
  }

  /// Null: it was not allocated here, was used, or has expired. Valid until the next call.
  [[nodiscard]] Holder* find(const Token& token, Instant now) {
    const auto found = held_.find(token);
    return found == held_.end() || has_expired(found->second, now) ? nullptr : &found->second;
  }

  /// A declaration with it has failed: it may be used for another one.
  void give_back(const Token& token) {
    const auto found = held_.find(token);
    if (found == held_.end()) return;
    found->second.is_declared = false;
    found->second.was_refused = true;
  }
  /// Lets go of those that have expired.
  void prune(Instant now) {
    std::erase_if(held_, [&](const auto& one) { return has_expired(one.second, now); });
  }
  void burn(const Token& token) { held_.erase(token); }

  [[nodiscard]] std::size_t size() const { return held_.size(); }

 private:
  // What a declaration under way uses does not expire beneath it.
  static bool has_expired(const Holder& holder, Instant now) { return !holder.is_declared && now >= holder.expires; }

  std::map<Token, Holder> held_;
};

}  // namespace adit::declaration
