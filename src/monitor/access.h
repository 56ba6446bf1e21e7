// Who may read what the monitor serves: everybody, or a client that gives the token.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "base/sha256.h"

namespace adit::monitor {

/// A token is not longer, in bytes. What a client gives in its place is not looked at if it is.
inline constexpr std::size_t kMaxTokenSize = 256;

/// A value, of which each copy decides alike.
class Access {
 public:
  /// Everybody is admitted.
  Access() = default;
  /// Clients are admitted that give the token of which `token` is the SHA-256. The token itself is kept nowhere.
  explicit Access(const Sha256Digest& token) : token_(token) {}

  /// Whether a client is admitted whose request has `authorization` in the header field of that name: "Bearer TOKEN"
  /// (RFC 6750), or "Basic" and the base64 of "USER:TOKEN" (RFC 7617), where the user may be anything, also nothing. The
  /// comparison takes as long for a wrong token as for the right one.
  [[nodiscard]] bool admits(std::string_view authorization) const;

 private:
  std::optional<Sha256Digest> token_;
};

}  // namespace adit::monitor
