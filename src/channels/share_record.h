// What a ledger is told of an accepted share.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "base/time.h"
#include "bitcoin/hash.h"
#include "channels/work.h"

namespace adit::channels {

/// Where a share stands in the ledger of its shard. Positions never fall, and a share is durable when its position is at or
/// below the one that the ledger has made durable. 0 is durable from the start.
using LedgerPosition = std::uint64_t;

struct Job;
struct Payout;

/// One accepted share. The texts, the job and the payout are valid during the call.
struct ShareRecord {
  std::string_view user_identity;  ///< The channel's.
  std::string_view worker;         ///< As the share named it (extension 0x0002); empty: it named nobody.
  std::uint32_t channel_id = 0;
  std::uint32_t sequence_number = 0;
  Work work;                ///< What it is worth.
  bitcoin::Hash256 hash{};  ///< Of its header.
  /// What a block of its channel pays its miner; nullptr: blocks of this channel are the pool's, and so is what it owes for the
  /// share.
  const Payout* payout = nullptr;
  bool block = false;
  const Job* job = nullptr;  ///< That it is of.
  Bytes extranonce;          ///< The full one; of kFullExtranonceSize bytes those of the job's extranonce_size count.
  std::uint32_t nonce = 0;
  std::uint32_t ntime = 0;
  std::uint32_t version = 0;
  UnixTime time{};  ///< When it came.
};

}  // namespace adit::channels
