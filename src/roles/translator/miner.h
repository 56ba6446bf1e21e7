// One SV1 miner of a translator: its connection, the jobs that it was told, its shares.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "channels/client.h"
#include "channels/seen_shares.h"
#include "channels/vardiff.h"
#include "sv1/server.h"

namespace adit::translator {

class Miner;
class Translator;

/// An extended channel upstream, or the open of one that has no answer yet, and the miners whose shares go to it: one, or all
/// of them (Options::aggregate). Owned by the Translator.
///
/// The extranonce of a share, as the upstream sees it (SV2 05 §5.2.3):
///
///     upstream's prefix | local index | zeros | miner's extranonce2
///     \____________ extranonce1 ____________/
///
/// The local index has index_size bytes and tells the miners of one channel apart; zeros fill what the upstream gave beyond.
struct UpstreamChannel {
  std::uint32_t request_id = 0;  ///< Of its open.
  Instant open_sent{};
  std::size_t index_size = 0;
  std::vector<Miner*> members;
  std::optional<channels::ClientChannel> channel;  ///< Once the open is answered.
  Instant job_since{};                             ///< When the channel's current job became active.
  bool update_due = false;                         ///< The hash rate of the members changed.
  Instant updated_at{};

  [[nodiscard]] double hash_rate_hps() const;
};

/// One SV1 connection. Owned by its Translator.
class Miner final : private sv1::ServerHandler {
 public:
  Miner(Translator& owner, std::uint64_t number, std::string peer, const Now& now);
  Miner(const Miner&) = delete;
  Miner& operator=(const Miner&) = delete;

  [[nodiscard]] std::uint64_t number() const { return number_; }  ///< Counts up over the translator's life; the N of `minerN`.
  [[nodiscard]] const std::string& peer() const { return peer_; }
  [[nodiscard]] const sv1::Server& server() const { return server_; }
  /// The channel that takes its shares; null while there is none.
  [[nodiscard]] const channels::ClientChannel* channel() const { return link_ && link_->channel ? &*link_->channel : nullptr; }
  [[nodiscard]] double hash_rate_hps() const { return hash_rate_; }
  [[nodiscard]] std::uint64_t shares_accepted() const { return shares_accepted_; }
  [[nodiscard]] std::uint64_t shares_rejected() const { return shares_rejected_; }

  /// Bytes for the miner; the driver takes them.
  [[nodiscard]] std::string& output() { return server_.output(); }

  /// Not empty: close the connection after the output is written. Why, in one sentence.
  [[nodiscard]] const std::string& ended() const { return ended_; }

 private:
  friend class Translator;

  /// A job as the miner knows it.
  struct SentJob {
    std::uint32_t id = 0;  ///< Of the notify, in hex; never used twice on a connection.
    std::uint32_t upstream_id = 0;
    std::uint32_t ntime = 0;
    std::uint32_t version = 0;       ///< Without the bits that may be rolled,
    std::uint32_t version_mask = 0;  ///< which are these.
    double difficulty = 0;           ///< That the miner was told, and
    bitcoin::U256 target;            ///< its target: a share is accepted from it.
  };
  static constexpr std::size_t kMaxSentJobs = 64;

  void on_subscribe(std::string_view user_agent) override;
  bool on_authorize(std::string_view user, std::string_view password) override;
  void on_suggest_difficulty(double difficulty) override;
  void on_minimum_difficulty(double difficulty) override;
  void on_ready() override;
  std::optional<sv1::Reject> on_submit(const sv1::Submit& submit) override;
  std::optional<sv1::Reject> judge(const sv1::Submit& submit);
  void send_upstream(const channels::Share& share, std::string_view worker);

  /// Its channel is open: answers the subscribe that waits for it.
  void on_channel_open();
  /// Sends `job` (of its channel) with the difficulty and extranonce that go with it.
  void notify(const channels::ClientJob& job, bool clean);
  void renew_job();
  /// It has no channel any more; the connection stays.
  void forget_channel();
  void end(std::string reason);
  void set_hash_rate(double hash_rate_hps);
  void on_tick();
  [[nodiscard]] double difficulty_for(const bitcoin::U256& upstream_target) const;
  /// `prefix`, the local index, zeros.
  [[nodiscard]] sv1::Extranonce extranonce1(Bytes prefix) const;

  Translator& owner_;
  std::uint64_t number_;
  std::string peer_;
  sv1::Server server_;
  Instant connected_at_;
  std::string ended_;
  bool touched_ = false;

  bool wants_channel_ = false;
  UpstreamChannel* link_ = nullptr;
  std::uint16_t local_index_ = 0;  ///< Big-endian in the link's index_size bytes.

  double hash_rate_;
  double minimum_difficulty_ = 0;  ///< Asked for by the miner (mining.configure).
  channels::Vardiff vardiff_;

  std::vector<SentJob> sent_jobs_;  ///< Oldest first.
  std::uint32_t last_job_id_ = 0;
  std::uint32_t left_job_id_ = 0;  ///< Up to this one they are of channels that were left.
  bitcoin::U256 told_target_;      ///< Of the last difficulty sent.
  Instant notified_at_{};
  channels::SeenShares local_seen_;

  std::uint64_t shares_accepted_ = 0;
  std::uint64_t shares_rejected_ = 0;
};

/// What TLV field 0x0002 carries of a worker's name: its first 32 bytes of UTF-8, cut between characters; bytes that are none,
/// and control characters, become '?'. `otherwise` where nothing is left.
std::string worker_identity(std::string_view worker, std::string_view otherwise);

}  // namespace adit::translator
