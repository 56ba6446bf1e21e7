#include "channels/share.h"

#include <algorithm>

namespace adit::channels {

std::string_view share_error_code(ShareVerdict verdict) {
  switch (verdict) {
    case ShareVerdict::kAccepted:
    case ShareVerdict::kBlock:
      return "";
    case ShareVerdict::kInvalidChannel:
      return "invalid-channel-id";
    case ShareVerdict::kStale:
      return "stale-share";
    case ShareVerdict::kInvalidJob:
      return "invalid-job-id";
    case ShareVerdict::kBadExtranonceSize:
      return "bad-extranonce-size";
    case ShareVerdict::kInvalidTime:
      return "invalid-share";
    case ShareVerdict::kVersionBits:
      return "invalid-non-rollable-version-bit";
    case ShareVerdict::kVersionRolling:
      return "version-rolling-not-allowed";
    case ShareVerdict::kTooEasy:
      return "difficulty-too-low";
    case ShareVerdict::kDuplicate:
      return "duplicate-share";
    case ShareVerdict::kTooMany:
      return "too-many-shares";
  }
  return "invalid-share";
}

std::array<std::uint8_t, bitcoin::kHeaderSize> share_header(const HeaderRules& rules, const Share& share,
                                                            const bitcoin::Hash256& merkle_root) {
  std::array<std::uint8_t, bitcoin::kHeaderSize> header;
  store_le(header.data(), share.version);
  std::ranges::copy(rules.prev_hash, header.begin() + 4);
  std::ranges::copy(merkle_root, header.begin() + 36);
  store_le(header.data() + 68, share.ntime);
  store_le(header.data() + 72, rules.nbits);
  store_le(header.data() + 76, share.nonce);
  return header;
}

}  // namespace adit::channels
