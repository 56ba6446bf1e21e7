// The client's side of a channel: what a miner or a translator knows of a channel that it opened upstream.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "bitcoin/hash.h"
#include "bitcoin/u256.h"
#include "channels/error.h"
#include "channels/seen_shares.h"
#include "channels/share.h"
#include "wire/mining_messages.h"

namespace adit::channels {

/// What NewExtendedMiningJob carries beside ids: shared by all channels of a group.
struct ExtendedWork {
  std::vector<std::uint8_t> coinbase_prefix;
  std::vector<std::uint8_t> coinbase_suffix;
  std::vector<bitcoin::Hash256> merkle_path;

  /// The merkle root above coinbase_prefix + extranonce_prefix + extranonce + coinbase_suffix. No allocation.
  [[nodiscard]] bitcoin::Hash256 merkle_root(Bytes extranonce_prefix, Bytes extranonce) const;
};

/// Copies the variable parts out of the receive buffer. Some pools send the coinbase with its witness (BIP144: marker, flag and
/// the reserved value), which is no part of what the merkle root is made of (BIP141): it is taken out.
std::shared_ptr<const ExtendedWork> copy_work(const wire::NewExtendedMiningJob& message);

/// Whether the work can be mined. Error: kMessage (the coinbase has no input, or a witness of another form).
Result<void> check_work(const ExtendedWork& work);

/// One job of one channel, as its miner needs it.
struct ClientJob {
  std::uint32_t id = 0;
  bool future = false;      ///< Waits for its SetNewPrevHash: prev_hash, nbits, ntime and target are not known yet.
  std::uint32_t ntime = 0;  ///< Smallest header time, and the one to start with.
  HeaderRules rules;        ///< version, version_mask, prev_hash, nbits, network_target, min_ntime.
  bitcoin::U256 target;     ///< Of the channel when the job became active: fixed for the job (SV2 05 §5.3.21).
  std::shared_ptr<const ExtendedWork> work;  ///< Null for a job that came as NewMiningJob.
  bitcoin::Hash256 standard_merkle_root{};   ///< Of a job that came as NewMiningJob.
  std::array<std::uint8_t, 32> extranonce_prefix{};
  std::uint8_t extranonce_prefix_size = 0;

  [[nodiscard]] Bytes prefix() const { return Bytes(extranonce_prefix).first(extranonce_prefix_size); }

  /// The header's merkle root. `extranonce` has the channel's extranonce_size bytes; it is empty on a standard channel.
  [[nodiscard]] bitcoin::Hash256 merkle_root(Bytes extranonce) const {
    return work ? work->merkle_root(prefix(), extranonce) : standard_merkle_root;
  }
};

/// A share, judged before it is sent.
struct CheckedShare {
  ShareVerdict verdict = ShareVerdict::kAccepted;
  bitcoin::U256 hash;  ///< Of the header, as a number; zero where the verdict needed none.
};

/// One standard or extended channel, opened upstream. Feed it every message that addresses it (addressed_by). Future jobs are
/// kept until their SetNewPrevHash; that one voids all other jobs (SV2 05 §5.3.17). Not thread-safe. Pointers to jobs are valid
/// until the next on_ call.
class ClientChannel {
 public:
  explicit ClientChannel(const wire::OpenStandardMiningChannelSuccess& opened);
  explicit ClientChannel(const wire::OpenExtendedMiningChannelSuccess& opened);

  [[nodiscard]] std::uint32_t id() const { return id_; }
  [[nodiscard]] std::uint32_t group_id() const { return group_id_; }
  [[nodiscard]] Bytes extranonce_prefix() const { return Bytes(extranonce_prefix_).first(extranonce_prefix_size_); }
  /// Bytes of extranonce that this channel's miner varies; 0 on a standard channel.
  [[nodiscard]] std::size_t extranonce_size() const { return extranonce_size_; }
  /// What jobs to come will be held against; a job's own is in ClientJob::target.
  [[nodiscard]] const bitcoin::U256& target() const { return target_; }

  /// Whether a message with that channel_id is for this channel: its own id, or its group's. Pools send the first job to the
  /// channel and later ones to the group.
  [[nodiscard]] bool addressed_by(std::uint32_t channel_id) const { return channel_id == id_ || channel_id == group_id_; }

  /// SetGroupChannel named this channel as a member.
  void on_set_group(std::uint32_t group_id) { group_id_ = group_id; }

  /// The job to mine on from now, or nullptr for a future job. Error: kMessage (on an extended channel, or active before any
  /// SetNewPrevHash).
  Result<const ClientJob*> on_new_mining_job(const wire::NewMiningJob& message);

  /// As above. `work` is copy_work(message), made once for all channels of a group. Error: kMessage (active
  /// before any SetNewPrevHash).
  Result<const ClientJob*> on_new_extended_mining_job(const wire::NewExtendedMiningJob& message,
                                                      std::shared_ptr<const ExtendedWork> work);

  /// The job to mine on from now. Errors: kUnknownJob (never sent as a future job: the server broke SV2 05 §5.3.17);
  /// kMessage (nbits is no target).
  Result<const ClientJob*> on_set_new_prev_hash(const wire::SetNewPrevHash& message);

  /// For jobs to come and those still future.
  void on_set_target(const bitcoin::U256& maximum_target) { target_ = maximum_target; }

  /// For jobs to come. Error: kMessage (over 32 bytes).
  Result<void> on_set_extranonce_prefix(Bytes prefix);

  /// The newest active job; nullptr before the first.
  [[nodiscard]] const ClientJob* current() const;

  /// An active job that is still valid; nullptr otherwise.
  [[nodiscard]] const ClientJob* find(std::uint32_t job_id) const;

  /// The verdict that the server will reach, as far as this side can know, in the same order; remembers accepted shares to
  /// catch duplicates. A share that is refused here is not worth sending.
  CheckedShare check(const Share& share, UnixTime now);

 private:
  ClientChannel(std::uint32_t id, std::uint32_t group_id, const wire::U256& target, Bytes prefix, std::size_t extranonce_size);
  Result<const ClientJob*> add(ClientJob job, std::optional<std::uint32_t> min_ntime);

  std::uint32_t id_;
  std::uint32_t group_id_;
  bool has_tip_ = false;
  bool extended_ = false;
  std::uint8_t extranonce_prefix_size_ = 0;
  std::uint8_t extranonce_size_ = 0;
  std::array<std::uint8_t, 32> extranonce_prefix_{};
  bitcoin::U256 target_;
  HeaderRules tip_;                        ///< prev_hash, nbits, network_target, min_ntime of the last SetNewPrevHash.
  std::vector<ClientJob> jobs_;            ///< Oldest first.
  std::vector<std::uint32_t> stale_jobs_;  ///< Ids that the last SetNewPrevHash voided.
  SeenShares seen_;
};

}  // namespace adit::channels
