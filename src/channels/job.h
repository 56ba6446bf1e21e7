// Jobs: a template as work. Made once for the whole pool, shared by every channel of every shard.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "bitcoin/coinbase.h"
#include "bitcoin/template.h"
#include "channels/client.h"
#include "channels/extranonce.h"
#include "channels/share.h"
#include "channels/work.h"
#include "wire/frame.h"

namespace adit::channels {

/// Every channel of a connection belongs to this group unless the connection asked for standard jobs; channels start at 2 (as
/// SRI).
inline constexpr std::uint32_t kGroupChannelId = 1;
inline constexpr std::uint32_t kFirstChannelId = 2;

/// Jobs of one tip that stay valid beside the current one (SRI's MAX_PAST_JOBS).
inline constexpr std::size_t kMaxPastJobs = 16;

/// Seconds by which a job may start ahead of our clock.
inline constexpr std::uint32_t kMaxClockLead = 300;

/// Ids of custom jobs start here, and count up on each channel; those of the pool's own jobs are smaller.
inline constexpr std::uint32_t kFirstCustomJobId = 1u << 31;

/// One job, immutable. Its id is the same on every channel: ids count up over the process's life, so none is used twice (SV2 05
/// §5.3.15); at one a second they reach kFirstCustomJobId after 68 years.
struct Job {
  std::uint32_t id = 0;
  bitcoin::TemplatePtr block_template;
  bool transactions_known = true;  ///< The template has them; false where another has: a custom job's client, or a pool.
  std::size_t extranonce_size = kFullExtranonceSize;  ///< Bytes that stand between the parts of its coinbase.
  bitcoin::CoinbaseParts coinbase;                    ///< Around them.
  bitcoin::HoleySha256d coinbase_id;                  ///< Of a full extranonce: the coinbase's txid.
  /// The first job on its tip or with its nbits, which alone a SetNewPrevHash tells: it goes out as a future job with one
  /// behind it, and all earlier work is stale.
  bool new_tip = false;
  std::uint32_t ntime = 0;  ///< To start from: what SetNewPrevHash and the job's min_ntime say.
  HeaderRules rules;        ///< min_ntime is that of the tip's first template, from which on shares are taken.
  Work block_work;          ///< What a share is worth that is a block.
  /// The job for kGroupChannelId, and SetNewPrevHash if new_tip: the same bytes for every connection. Empty in a job of a
  /// Payee's.
  wire::FrameBuffer group_frames;

  /// prefix + extranonce + suffix: the coinbase without its witness. `extranonce` has extranonce_size bytes, or more, of which
  /// the first count; so it is below.
  [[nodiscard]] std::vector<std::uint8_t> coinbase_with(Bytes extranonce) const;

  /// The merkle root above the coinbase with that extranonce. No allocation.
  [[nodiscard]] bitcoin::Hash256 merkle_root(Bytes extranonce) const;
  /// Of two at once.
  [[nodiscard]] bitcoin::TwoHashes merkle_roots(Bytes first, Bytes second) const;

  /// Appends NewMiningJob for a standard channel; a future job if `future`.
  void push_standard(std::uint32_t channel_id, const bitcoin::Hash256& merkle_root, bool future, wire::FrameBuffer& out) const;
  /// Appends NewExtendedMiningJob for an extended channel or a group.
  void push_extended(std::uint32_t channel_id, bool future, wire::FrameBuffer& out) const;
  void push_set_new_prev_hash(std::uint32_t channel_id, wire::FrameBuffer& out) const;
  /// Appends the job for a group; as a future job with its SetNewPrevHash if `future`, which is to be so where the group was
  /// given no job of this tip yet.
  void push_group(std::uint32_t group_id, bool future, wire::FrameBuffer& out) const;
};

using JobPtr = std::shared_ptr<const Job>;

/// The same work as `job`, one of a JobFactory, under another id and with a search space of its own: its coinbase is another
/// one in the eight bytes that are a job's own. So what was found on `job` is nothing on it, and it can be held against another
/// target. `id` is one of a channel's (kFirstCustomJobId and above), used once on that channel. It has no group_frames.
JobPtr make_twin(const Job& job, std::uint32_t id);

/// What a job's coinbase is when it is not the pool's own.
struct CoinbaseShape {
  std::span<const bitcoin::TxOutput> payouts;  ///< Worth the template's whole coinbase value, before the template's outputs.
  Bytes front;  ///< In the script between what is the job's own and the extranonce: not rolled by anybody.
  std::size_t extranonce_size = kFullExtranonceSize;
};

/// Turns templates into jobs. One for the whole pool, on one thread; what it makes goes to every shard in the order made.
///
/// Each job's coinbase has eight bytes of its own, salt + id, in the push that ends with the extranonce: two jobs never have
/// the same coinbase, not even on a tip that comes back after a reorganisation, in a restarted process, or in another pool with
/// the same server id and script. So a share of one job is no share of any other, and nobody has to remember those of voided
/// jobs.
class JobFactory {
 public:
  struct Config {
    std::vector<std::uint8_t> payout_script;  ///< Gets the whole coinbase value.
    std::string pool_signature;               ///< In the coinbase as "Sv2/<signature>//" (as SRI).
    std::uint64_t salt = 0;                   ///< Chosen at random by a driver, so that it differs between processes.
  };

  explicit JobFactory(Config config) : config_(std::move(config)) {}

  /// A job starts at the template's current time, but at most kMaxClockLead ahead of our clock `now`, because a source's clock
  /// may be wrong; absent: the template's is taken as it is. Errors: kCoinbase (signature too long); kMessage for a template
  /// whose nbits is no target.
  Result<JobPtr> make(bitcoin::TemplatePtr block_template, std::optional<UnixTime> now = std::nullopt);
  /// The same with a coinbase of that shape, whose push before the extranonce holds the front too. Errors also: kCoinbase where
  /// the script has no room for it or the payouts are worth too much.
  Result<JobPtr> make(bitcoin::TemplatePtr block_template, std::optional<UnixTime> now, const CoinbaseShape& shape);
  /// An extended channel's active job at another server, as one of ours: `front` stands behind the channel's prefix, before
  /// `extranonce_size` bytes of ours. `height`: that of its block. Only that server can build the block.
  JobPtr adopt(const ClientJob& theirs, std::uint32_t height, Bytes front, std::size_t extranonce_size);

 private:
  /// Gives `job` the next id and sets new_tip, by the tip that its rules name.
  void begin(Job& job);
  /// Fills in what follows from the rest.
  static void finish(Job& job);

  Config config_;
  std::uint32_t last_id_ = 0;
  bool has_tip_ = false;
  bitcoin::Hash256 tip_{};
  std::uint32_t tip_nbits_ = 0;
  std::uint32_t tip_min_ntime_ = 0;  ///< Of the tip's first template.
  std::uint32_t tip_ntime_ = 0;      ///< That the tip's first job starts at: no later one starts before.
  bool tip_adopted_ = false;         ///< All of the tip's jobs so far were adopted.
};

/// The jobs of the current tip, as one shard knows them. Not thread-safe.
class JobSet {
 public:
  explicit JobSet(std::size_t max_past_jobs = kMaxPastJobs) : slots_(max_past_jobs + 1) {}

  /// Makes `job` the current one; with job->new_tip every job before it becomes stale.
  void add(JobPtr job);

  /// nullptr before the first add().
  [[nodiscard]] const Job* current() const { return current_.get(); }
  /// The id of the first job of the current tip; 0 before the first add().
  [[nodiscard]] std::uint32_t tip_job_id() const { return tip_job_id_; }

  /// A job of the pool's own that is valid now: the current one or one of the past ones of its tip. nullptr otherwise.
  [[nodiscard]] const Job* find(std::uint32_t id) const {
    // Nearly always; and a division costs as much as a third of a share's bookkeeping.
    if (current_ != nullptr && current_->id == id) return current_.get();
    const Job* job = slots_[id % slots_.size()].get();
    return job != nullptr && job->id == id ? job : nullptr;
  }

  [[nodiscard]] std::size_t max_past_jobs() const { return slots_.size() - 1; }

 private:
  JobPtr current_;
  std::uint32_t tip_job_id_ = 0;
  std::vector<JobPtr> slots_;  ///< By id modulo size, so that each new job replaces the oldest.
};

}  // namespace adit::channels
