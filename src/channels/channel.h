// The server's side of a channel: its target, which jobs it was given, and what its shares are worth.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "bitcoin/hash.h"
#include "bitcoin/u256.h"
#include "channels/error.h"
#include "channels/extranonce.h"
#include "channels/hash_rate.h"
#include "channels/job.h"
#include "channels/memory_budget.h"
#include "channels/payee.h"
#include "channels/seen_shares.h"
#include "channels/share.h"
#include "channels/share_record.h"
#include "channels/vardiff.h"
#include "channels/work.h"
#include "wire/frame.h"

namespace adit::channels {

enum class ChannelKind : std::uint8_t { kStandard, kExtended };

/// The least difficulty that a pool's configuration has by default: 2^17 hashes, which the weakest device that people mine with
/// (50,000 a second) finds in three seconds.
inline constexpr double kDefaultMinDifficulty = 1.0 / (1 << 15);

/// What a pool applies to all of its channels.
struct ChannelPolicy {
  double shares_per_minute = 6;         ///< Vardiff's aim. Positive.
  std::uint32_t share_batch_size = 10;  ///< Accepted shares per SubmitShares.Success. At least 1.
  double min_hash_rate_hps =
      1;  ///< The least that a channel is taken to have (SRI's default); 0 from a proxy means "none yet".
  /// The least difficulty of a share, as the network counts it (1 is worth 2^32 hashes), whatever a client declares or wants.
  double min_difficulty = 0;
  /// A hash rate that a client declares moves its target at most to this many times what its shares have proved, or to that
  /// part of it. At least 1.
  double max_declared_factor = 4;

  /// No channel's target is harder than this, if it accepts that: what a proxy's own upstream takes, so that no share which
  /// counts there is lost. Zero: there is no such bound. May change while channels are open, on their thread; adjust() sees it.
  bitcoin::U256 hardest_target{};
  std::size_t rollable_extranonce_size = kRollableExtranonceSize;  ///< Bytes that an extended channel's miner rolls; no more.
  bool twins = true;  ///< Channel::send_twin does something; false where every coinbase is agreed upon with somebody else.

  /// The least hash rate that a channel is taken to have, so that its target is no easier than min_difficulty.
  [[nodiscard]] double least_hash_rate_hps() const;

  /// Accepted shares of one tip beyond which a channel's are refused: twenty hours of them, as SRI bounds it, within the memory
  /// that a channel may take.
  [[nodiscard]] std::size_t max_shares_per_tip() const {
    return static_cast<std::size_t>(std::clamp(shares_per_minute * 1200, 4096.0, double{SeenShares::kMaxSize}));
  }
};

/// SubmitShares.Success: a batch of accepted shares (SV2 05 §5.3.13).
struct Acknowledgement {
  std::uint32_t last_sequence_number = 0;
  std::uint32_t accepted_count = 0;
  Work work_sum;                ///< Of the batch; the message says its whole difficulty, rounded down as SRI does.
  LedgerPosition position = 0;  ///< Of its last share that was recorded.
};

/// What a channel has done so far, for logs and metrics.
struct ChannelStats {
  std::uint64_t accepted = 0;
  std::uint32_t blocks_found = 0;
  Work work_sum;                                         ///< Of all accepted shares, each at its job's target.
  std::array<std::uint32_t, kShareVerdicts> rejected{};  ///< By verdict.
};

using FullExtranonce = std::array<std::uint8_t, kFullExtranonceSize>;

/// One share, judged. What stands behind `verdict` is set if it is accepted.
struct JudgedShare {
  ShareVerdict verdict = ShareVerdict::kAccepted;
  Work work;  ///< What it is worth.
  /// Of the JobSet, the channel, or its payee: valid until one of them gets another, or two more shares are prepared. Null if
  /// the share names none.
  const Job* job = nullptr;
  FullExtranonce extranonce{};
  bitcoin::Hash256 hash{};  ///< Of the header.
};

class Channel;

/// One share between its two halves: looked up and bounded, not hashed yet. Made by Channel::prepare, hashed by one of hash(),
/// judged by Channel::judge.
struct PreparedShare {
  JudgedShare judged;  ///< kAccepted until something else is known; then it needs no hash.
  Work target_work;
  bitcoin::U256 target;
  bitcoin::PaddedHeader header;  ///< Without its merkle root on an extended channel.
  bool extended = false;
  bool has_midstate = false;         ///< A standard channel's share with its job's own version:
  bitcoin::HeaderMidstate midstate;  ///< a third of the hashing was done when the job was given.
};

/// The hash of the header.
void hash(PreparedShare& share);
/// Of two at once, which takes less than twice as long where both are of one kind, and of one job if extended.
void hash(PreparedShare& first, PreparedShare& second);

/// A standard or an extended channel. Its shares cost no allocation but the growth of what it has seen, which doubles.
///
/// Jobs are the shard's (JobSet); the channel keeps only what is its own: the first job that it was given, the targets and
/// extranonce prefixes of jobs, the headers that were used last, the custom jobs that its client set. Lives on its shard;
/// the policy must outlive it.
class Channel {
 public:
  struct Config {
    ChannelKind kind = ChannelKind::kStandard;
    std::uint32_t id = 0;
    double nominal_hash_rate_hps = 0;  ///< As the client declared it.
    bitcoin::U256 max_target;          ///< The easiest that the client accepts.
    bool own_jobs = false;           ///< Each job is sent for this channel alone (send_job), and none that was not sent counts.
    MemoryBudget* budget = nullptr;  ///< That what it has seen counts against; outlives the channel.
    std::shared_ptr<Payee> payee = nullptr;  ///< nullptr: its blocks pay the pool.
    bool for_sv1 = false;  ///< Its difficulty is one that SV1 firmware takes as it is (sv1::difficulty_for_firmware).
  };

  /// Error: kHashRate (not a number, infinite or negative).
  static Result<Channel> open(const Config& config, std::string user_identity, ExtranonceLease lease,
                              const ChannelPolicy& policy, Instant now);

  [[nodiscard]] ChannelKind kind() const { return kind_; }
  [[nodiscard]] std::uint32_t id() const { return id_; }
  [[nodiscard]] const std::string& user_identity() const { return user_identity_; }
  [[nodiscard]] double hash_rate_hps() const { return hash_rate_hps_; }  ///< Declared, then corrected by vardiff.
  [[nodiscard]] const bitcoin::U256& target() const { return terms_.target; }
  [[nodiscard]] std::uint32_t group_id() const { return group_id_; }
  /// `given_job_id`: the job that the group was given last, 0 before the first; outlives the membership.
  void set_group(std::uint32_t group_id, const std::uint32_t* given_job_id) {
    group_id_ = group_id;
    group_job_id_ = given_job_id;
  }
  /// nullptr: its blocks pay the pool.
  [[nodiscard]] Payee* payee() const { return payee_.get(); }
  [[nodiscard]] const ChannelStats& stats() const { return stats_; }
  /// Difficulty of the best share so far; 0 before the first.
  [[nodiscard]] double best_difficulty() const;
  /// The easiest target that the client accepts.
  [[nodiscard]] const bitcoin::U256& max_target() const { return max_target_; }
  [[nodiscard]] const ChannelPolicy& policy() const { return *policy_; }
  /// Whether the last adjust() left the target as it was; false before the first.
  [[nodiscard]] bool steady() const { return steady_; }
  /// Of the share that was accepted last; 0 before the first.
  [[nodiscard]] std::uint32_t last_sequence_number() const { return last_sequence_number_; }
  /// Shares of the batch that was taken last, and their whole difficulty, rounded down; 0 before the first.
  [[nodiscard]] std::uint32_t last_batch_accepted() const { return last_batch_accepted_; }
  [[nodiscard]] std::uint64_t last_batch_work() const { return last_batch_work_; }

  /// What the client hears of its extranonce: the whole of it on a standard channel, the part before the rollable one on an
  /// extended one. Valid as long as the channel stays where it is.
  [[nodiscard]] Bytes extranonce_prefix() const;
  /// The policy's rollable_extranonce_size, or 0 on a standard channel.
  [[nodiscard]] std::size_t extranonce_size() const {
    return kind_ == ChannelKind::kExtended ? policy_->rollable_extranonce_size : 0;
  }
  /// The full extranonce of a share of the next job; `extranonce` has extranonce_size() bytes.
  [[nodiscard]] FullExtranonce full_extranonce(Bytes extranonce) const { return full_extranonce(terms_, extranonce); }

  /// Whether the channel was given a job yet.
  [[nodiscard]] bool started() const { return first_job_id_ != 0; }

  /// Appends the channel's first job, as a future job, and its SetNewPrevHash (SV2 05 §5.3.15).
  void start(const Job& job, wire::FrameBuffer& out);

  /// Forgets what belongs to jobs of an earlier tip, if that was not done yet. Every function that is given the jobs does so by
  /// itself, so a new tip costs nothing where a group's frames tell it.
  void follow(const JobSet& jobs);

  /// Appends the current job for this channel alone: NewMiningJob or NewExtendedMiningJob; if the channel was given no job of
  /// this tip yet, as a future job, and its SetNewPrevHash to `tips`, which the caller sends behind it (SV2 05 §5.3.17).
  void send_job(const JobSet& jobs, wire::FrameBuffer& out, wire::FrameBuffer& tips);
  /// The job that start() or send_job() sent last; 0 before.
  [[nodiscard]] std::uint32_t given_job_id() const { return given_job_id_; }

  /// Appends the current job once more, as a twin (make_twin) that is held against the target of now. To be called behind a
  /// SetTarget that is easier: miners that apply it to the job they are at lose nothing (the job itself keeps the target that
  /// it was given with, SV2 05 §5.3.21). Nothing where the current job was not given yet, as that comes with the target of now;
  /// nor twice within kTwinEvery, nor without room in the budget. Not on a channel that has custom jobs.
  void send_twin(const JobSet& jobs, Instant now, wire::FrameBuffer& out);
  static constexpr Duration kTwinEvery = std::chrono::seconds(10);
  /// Twins of one tip that are valid at once; they go before those jobs do.
  static constexpr std::size_t kMaxTwins = 2;

  /// A custom job of this channel's client, an extended channel's: counts from now until the next tip; beyond a bound of
  /// `max_jobs` the oldest no longer does. Its id is that of next_custom_job_id() or above.
  void add_custom_job(JobPtr job, std::size_t max_jobs, const JobSet& jobs);
  [[nodiscard]] std::uint32_t next_custom_job_id() const { return last_custom_job_id_ + 1; }
  [[nodiscard]] std::size_t custom_jobs() const { return custom_jobs_.size(); }

  /// SetExtranoncePrefix: jobs after this one have the prefix of `lease` (SV2 05 §5.3.10). The old one is given back, and rests
  /// at least as long as jobs that use it are valid.
  void set_prefix(ExtranonceLease lease, const JobSet& jobs);

  /// Judges one share and keeps the account of it: the three steps below in one.
  JudgedShare submit(const JobSet& jobs, const Share& share, UnixTime now);

  /// Every rule that needs no hash. Two shares may both be prepared before either is judged, so that they can be hashed
  /// together; nothing else may happen to the channel in between.
  void prepare(const JobSet& jobs, const Share& share, UnixTime now, PreparedShare& out);
  /// The rest of the rules, in order of the shares; keeps the account.
  void judge(PreparedShare& share, std::uint32_t sequence_number);

  /// The ledger has the share that was accepted last at that position.
  void recorded(LedgerPosition position) { batch_.position = position; }

  /// The batch to acknowledge, if it is full, if a block is in it, or (`flush`) if there is anything; starts the next batch.
  /// It may be sent once its position is durable.
  std::optional<Acknowledgement> take_acknowledgement(bool flush = false);

  /// Whether a batch that was taken is not sent yet. Meanwhile no other is to be taken, so that what waits stays small.
  [[nodiscard]] bool acknowledgement_waits() const { return acknowledgement_waits_; }
  void set_acknowledgement_waits(bool waits) { acknowledgement_waits_ = waits; }

  /// Accepted shares that no acknowledgement covers yet.
  [[nodiscard]] std::uint32_t unacknowledged() const { return batch_.accepted_count; }

  /// UpdateChannel. True if the target changed and SetTarget must say so. A rate that was declared before says nothing new:
  /// what vardiff has found since stays. Another one counts as far as what shares have proved in the last minutes allows
  /// (ChannelPolicy::max_declared_factor). Error: kHashRate.
  Result<bool> update(double nominal_hash_rate_hps, const bitcoin::U256& max_target, const JobSet& jobs, Instant now);

  /// To be called about once a second: vardiff, and rarer shares while there is little room to remember them. True if the
  /// target changed and SetTarget must say so.
  bool adjust(const JobSet& jobs, Instant now);

  /// The hash rate that its shares of the last minutes prove; nullopt: they are too few or too recent to tell.
  [[nodiscard]] std::optional<double> proven_hash_rate_hps(Instant now) const;

 private:
  /// What the channel's jobs from `first_job_id` on are held against, until the next ones'.
  struct Terms {
    std::uint32_t first_job_id = 0;
    bitcoin::U256 target;
    Work work;                    ///< That a share on it is worth.
    FullExtranonce extranonce{};  ///< The prefix, and zeros.
  };
  struct CustomJob {
    JobPtr job;
    Terms terms;
    MemoryBudget::Held bytes;  ///< Of a twin; the client's own are bounded by their number.
  };
  /// A standard channel's header of one job, and what is hashed of it when nobody rolls its version.
  struct StandardHeader {
    std::uint32_t job_id = 0;
    std::array<std::uint8_t, bitcoin::kHeaderSize> header{};
    bitcoin::HeaderMidstate midstate;

    [[nodiscard]] bitcoin::Hash256 merkle_root() const;
  };

  Channel(const Config& config, std::string user_identity, ExtranonceLease lease, const ChannelPolicy& policy, Instant now);

  [[nodiscard]] FullExtranonce full_extranonce(const Terms& terms, Bytes extranonce) const;
  [[nodiscard]] const Terms& terms_of(std::uint32_t job_id) const;
  /// Makes `terms` those of the jobs to come.
  void set_terms(Terms terms, const JobSet& jobs);
  [[nodiscard]] bitcoin::U256 target_from(double hash_rate_hps);
  /// What was measured since the last call becomes part of what is proved.
  void measure(Instant now);
  /// How often the wanted share rate is to be halved.
  [[nodiscard]] unsigned crowding() const;
  /// Whether own_jobs allows a share of that job of the shard's.
  [[nodiscard]] bool was_given(std::uint32_t job_id) const;
  bool set_hash_rate(double hash_rate_hps, const JobSet& jobs);
  /// The last job that its client was given.
  [[nodiscard]] std::uint32_t last_given(const JobSet& jobs) const;
  /// The current job as this channel is given it.
  [[nodiscard]] const Job& renew(const Job& job) { return payee_ == nullptr ? job : payee_->renew(job); }
  const StandardHeader& standard_header_of(const Job& job, const Terms& terms);
  ShareVerdict judge_hash(PreparedShare& share);

  const ChannelPolicy* policy_;
  std::uint32_t max_shares_per_tip_;  ///< The policy's, computed once.
  std::uint32_t id_;
  ChannelKind kind_;
  bool own_jobs_;
  bool for_sv1_;
  bool block_in_batch_ = false;
  bool acknowledgement_waits_ = false;
  bool steady_ = false;
  std::uint8_t newest_header_ = 0;    ///< Which of standard_headers_ was made last.
  std::uint8_t crowding_ = 0;         ///< How often the wanted share rate is halved now.
  std::uint32_t crowded_at_tip_ = 0;  ///< The tip at which that was raised last, by its first job.
  std::uint32_t tip_job_id_ = 0;      ///< The first job of the tip that the channel follows.
  std::uint32_t given_job_id_ = 0;    ///< 0: none yet.
  std::uint32_t group_id_ = kGroupChannelId;
  std::uint64_t given_ = 0;                      ///< Of own_jobs: bit n says that job given_job_id_ - n was given.
  const std::uint32_t* group_job_id_ = nullptr;  ///< The job that its group was given last; nullptr: all are given at once.
  std::uint32_t first_job_id_ = 0;               ///< 0: none yet.
  std::uint32_t last_custom_job_id_ = kFirstCustomJobId - 1;
  double declared_hash_rate_hps_;  ///< What the client said last.
  double hash_rate_hps_ = 0;
  bitcoin::U256 max_target_;
  Terms terms_;
  std::vector<Terms> past_terms_;       ///< Of earlier jobs of this tip, oldest first; mostly none.
  std::vector<CustomJob> custom_jobs_;  ///< Of this tip, oldest first: the client's, or twins of ours; mostly none.
  Instant twin_at_{};                   ///< The last twin; the clock's zero: none.
  ExtranonceLease lease_;
  std::shared_ptr<Payee> payee_;
  std::array<StandardHeader, 2> standard_headers_;  ///< Of the job just given and the one before; others when asked for.
  SeenShares seen_;
  MemoryBudget::Held seen_bytes_;
  Vardiff vardiff_;
  MeasuredHashRate measured_;  ///< Up to the last call of measure().
  Work unmeasured_;            ///< Since then.
  std::uint32_t proofs_ = 0;   ///< Shares that measured_ is made of.
  Acknowledgement batch_;
  std::uint32_t last_sequence_number_ = 0;
  std::uint32_t last_batch_accepted_ = 0;
  std::uint64_t last_batch_work_ = 0;
  bitcoin::U256 best_hash_ = bitcoin::U256::max();
  ChannelStats stats_;
  std::string user_identity_;
};

}  // namespace adit::channels
