// Which upstream to use, when to dial which, and how long to leave a bad one alone. An engine: no I/O, time and randomness are
// arguments.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/backoff.h"
#include "base/time.h"
#include "net/metadata.h"
#include "upstream/severity.h"

namespace adit::upstream {

/// Which carrier is to be tried first where an upstream can be reached over both.
enum class Prefer { kAsListed, kIroh, kTcp };

struct SelectionPolicy {
  Prefer prefer = Prefer::kAsListed;  ///< Candidates over that carrier come first, else in the order listed.
  Duration race_after =
      std::chrono::milliseconds(500);              ///< The next starts so long after the last (RFC 8305 §5), or when one fails.
  Duration first_retry = std::chrono::seconds(1);  ///< Bound of a candidate's first wait; doubles with each failure,
  Duration longest_retry = std::chrono::seconds(30);  ///< up to this; each wait is random below its bound.
  Duration stable_after = std::chrono::seconds(60);   ///< One that stood so long is good: the next failure is a first one.
  Duration first_probe = std::chrono::seconds(30);    ///< While another is in use, a better one that failed is tried again
  Duration longest_probe = std::chrono::minutes(10);  ///< after half to all of this, which doubles up to this.
};

/// At most one candidate is in use. While none is, candidates are raced in order of preference; one that cools down is tried
/// only while every other waits for its next try, so there is always one to try (but kUnusable ones). While one is in use,
/// those that are better are tried now and then, and replace it when one is ready.
class Selection {
 public:
  struct Action {
    enum class Kind {
      kDial,     ///< Dial it and set the connection up; then on_ready or on_failed.
      kAbandon,  ///< Close its attempt, or its connection that was ready too late. Neither is reported any more.
      kDrain,    ///< It was in use and another is now: let it finish what is under way, and close it.
      kUse,      ///< Open channels on its connection.
    };
    Kind kind;
    std::size_t candidate;
    bool operator==(const Action&) const = default;
  };

  /// `candidates`: the carrier of each, in the order listed; not empty.
  Selection(const std::vector<net::Transport>& candidates, SelectionPolicy policy);

  /// Time has come (wake_at), or just passes.
  std::vector<Action> step(Instant now);
  /// The attempt's SetupConnection was answered by Success, under the authority that it must prove.
  std::vector<Action> on_ready(std::size_t candidate, Instant now);
  /// An attempt failed, or the one in use is lost. `random` is uniform over all of uint64.
  std::vector<Action> on_failed(std::size_t candidate, Severity severity, Instant now, std::uint64_t random);

  /// The one in use is degraded (net/health.h); to be said as long as it is. Others are tried, and the first that is ready
  /// replaces it; then it is left alone for first_probe, twice as long each time, as one that failed is.
  std::vector<Action> on_degraded(Instant now);

  /// When step() may have something to do: not later than this. Instant::max(): never by itself.
  [[nodiscard]] Instant wake_at(Instant now) const;
  [[nodiscard]] std::optional<std::size_t> in_use() const { return in_use_; }
  /// Every candidate is unusable.
  [[nodiscard]] bool hopeless() const;

 private:
  enum class State { kIdle, kDialling, kInUse };
  struct Candidate {
    Candidate(std::size_t place, const SelectionPolicy& policy)
        : rank(place), retry(policy.first_retry, policy.longest_retry), probe_bound(policy.first_probe) {}
    std::size_t rank;  ///< 0: the best.
    State state = State::kIdle;
    bool usable = true;
    Backoff retry;
    Instant retry_at{};    ///< Not tried before.
    Duration probe_bound;  ///< Of the next wait until
    Instant probe_at{};    ///< it may be tried while another is in use.
    Instant cool_until{};
  };

  [[nodiscard]] bool better_than_used(const Candidate& candidate, Instant now) const;
  /// The best that may be dialled now.
  [[nodiscard]] std::optional<std::size_t> next(Instant now) const;
  void settle(Instant now);

  SelectionPolicy policy_;
  std::vector<Candidate> candidates_;
  std::optional<std::size_t> in_use_;
  Instant used_since_{};
  bool settled_ = false;  ///< The one in use stood long enough.
  Instant race_at_{};     ///< The next of a race starts then.
};

}  // namespace adit::upstream
