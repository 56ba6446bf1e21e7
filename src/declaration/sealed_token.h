// Tokens that speak for themselves: what a declarator says of a job to a pool that is another process. Both have one key.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "declaration/declared_job.h"
#include "declaration/token.h"
#include "wire/mining_messages.h"

namespace adit::declaration {

/// Seals tokens and checks them. A sealed token is `kind (1 byte) | expiry (8, seconds since 1970) | id (16) | HMAC-SHA256
/// (32)`, and its code is over all of that, the user, and what SetCustomMiningJob has to say of the job: the prefix and the
/// size of the extranonce, version, outputs, locktime and sequence of its coinbase, its merkle path, previous hash, nbits and
/// version. Where the client keeps its transactions to itself (06 §6.3.1), it is over the user alone.
class TokenSeal {
 public:
  using Key = std::array<std::uint8_t, 32>;
  static constexpr std::size_t kSize = 1 + 8 + 16 + 32;

  explicit TokenSeal(const Key& key) : key_(key) {}
  ~TokenSeal();
  TokenSeal(const TokenSeal&) = delete;
  TokenSeal& operator=(const TokenSeal&) = delete;

  /// A token for that job, whose token is this one's id. kSize bytes.
  [[nodiscard]] std::vector<std::uint8_t> seal(const DeclaredJob& job, UnixTime expires) const;

  struct Opened {
    Token id{};
    UnixTime expires;
  };
  /// nullopt: the token is not of this key, not that user's, or of another job. Its expiry is the caller's to look at.
  [[nodiscard]] std::optional<Opened> open(std::string_view user, const wire::SetCustomMiningJob& message) const;

 private:
  Key key_;
};

}  // namespace adit::declaration
