// A share, and what the rules say of it: the same on the server, which pays for it, and on a client, which checks before it
// sends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "bitcoin/hash.h"
#include "bitcoin/u256.h"

namespace adit::channels {

/// The header's version bits that miners may change freely (BIP323).
inline constexpr std::uint32_t kVersionRollingMask = 0x1fffffe0;

/// Consensus: a block's time may be this far ahead of the clock of the node that receives it (MAX_FUTURE_BLOCK_TIME).
inline constexpr std::uint32_t kMaxFutureSeconds = 7200;

/// What SubmitSharesStandard and SubmitSharesExtended carry.
struct Share {
  std::uint32_t job_id = 0;
  std::uint32_t sequence_number = 0;
  std::uint32_t nonce = 0;
  std::uint32_t ntime = 0;
  std::uint32_t version = 0;
  Bytes extranonce;  ///< Empty on a standard channel.
};

/// In the order in which the rules are applied (as SRI's channels_sv2 does), the first two being good news.
enum class ShareVerdict : std::uint8_t {
  kAccepted,
  kBlock,  ///< Accepted, and it meets the network's target.
  kInvalidChannel,
  kStale,       ///< The job was this channel's, but is no longer valid.
  kInvalidJob,  ///< Never this channel's job.
  kBadExtranonceSize,
  kInvalidTime,     ///< ntime outside HeaderRules' bounds.
  kVersionBits,     ///< Bits outside BIP323's changed.
  kVersionRolling,  ///< The version changed though the job forbids it.
  kTooEasy,         ///< Above the target that the channel had when the job was given.
  kDuplicate,
  kTooMany,  ///< More shares on one tip than are remembered (SeenShares::kMaxSize).
};
inline constexpr std::size_t kShareVerdicts = 12;

constexpr bool is_accepted(ShareVerdict verdict) { return verdict <= ShareVerdict::kBlock; }

/// The error code of SubmitShares.Error, as SRI words them; "" for what was accepted.
std::string_view share_error_code(ShareVerdict verdict);

/// What a job fixes of its shares' headers.
struct HeaderRules {
  std::uint32_t version = 0;
  std::uint32_t version_mask = kVersionRollingMask;  ///< Bits that a share may change; 0 forbids version rolling.
  bitcoin::Hash256 prev_hash{};
  std::uint32_t nbits = 0;
  bitcoin::U256 network_target;
  std::uint32_t min_ntime = 0;           ///< Smallest ntime that the network takes.
  std::uint32_t max_ntime = 0xffffffff;  ///< Largest one with which nbits hold.
  std::uint32_t clock_ahead = 0;  ///< Seconds by which the source's clock was ahead of ours: either may be the right one.
  std::uint32_t known_time = 0;   ///< What the later of the two said when the job was made: ours may have gone back since.
};

/// The largest ntime of a share that the rules take at that time: two hours ahead of the latest that any clock has said, within
/// max_ntime.
inline std::uint64_t latest_ntime(const HeaderRules& rules, std::uint32_t now_unix) {
  const std::uint64_t by_ours = std::uint64_t{now_unix} + rules.clock_ahead;
  const std::uint64_t by_clocks = (by_ours < rules.known_time ? rules.known_time : by_ours) + kMaxFutureSeconds;
  return by_clocks < rules.max_ntime ? by_clocks : rules.max_ntime;
}

/// kAccepted unless ntime or version break a rule; looks at nothing else.
inline ShareVerdict check_header_fields(const HeaderRules& rules, const Share& share, std::uint32_t now_unix) {
  if (share.ntime < rules.min_ntime || share.ntime > latest_ntime(rules, now_unix)) return ShareVerdict::kInvalidTime;
  if (((share.version ^ rules.version) & ~rules.version_mask) != 0) {
    return rules.version_mask == 0 ? ShareVerdict::kVersionRolling : ShareVerdict::kVersionBits;
  }
  return ShareVerdict::kAccepted;
}

/// The block header of a share, serialized.
std::array<std::uint8_t, bitcoin::kHeaderSize> share_header(const HeaderRules& rules, const Share& share,
                                                            const bitcoin::Hash256& merkle_root);

/// kBlock, kAccepted or kTooEasy. A hash that meets the network's target is a block whatever the channel's target is.
inline ShareVerdict check_work(const bitcoin::U256& hash, const bitcoin::U256& network_target, const bitcoin::U256& target) {
  if (hash <= network_target) return ShareVerdict::kBlock;
  return hash <= target ? ShareVerdict::kAccepted : ShareVerdict::kTooEasy;
}

}  // namespace adit::channels
