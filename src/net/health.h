// How a connection is: healthy, degraded or dead, and why. An engine: no I/O, time is an argument. It knows no carrier: what it
// is told are Pongs (session/adit_extension.h), frames, and what the carrier counts.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "base/time.h"
#include "net/metadata.h"

namespace adit::net {

struct HealthPolicy {
  Duration dead_after = std::chrono::seconds(10);         ///< A peer that gives no sign of life for so long is dead.
  Duration slow_after = std::chrono::milliseconds(2000);  ///< Three Pings in a row that take longer: degraded.
  double lossy = 0.10;  ///< Of the packets sent, so many lost: degraded. Half of it and less: not any more.
};

/// In words that follow a peer's name: "answers slowly".
std::string_view to_words(HealthReason reason);

/// One connection's. To be looked at about once a second; a look that comes much later than that says that this process itself
/// was stopped, and all that was waited for is waited for anew.
///
/// Signs of life are of two kinds. The carrier hears the peer's host (TCP's acknowledgements, QUIC's): silence there is a dead
/// host or a cut link. Frames come from its program: a Ping that has no answer, and no other frame behind it, is a hung one.
/// Where no Ping is spoken a quiet program is not suspected.
///
/// Whatever makes it degraded counts at once; it is healthy again when nothing was wrong for kCalm times dead_after, so it
/// changes its mind seldom however fast things change.
class HealthMonitor {
 public:
  static constexpr int kCalm = 3;
  /// Round trips are asked for at least so often, even while frames come.
  static constexpr Duration kMeasureEvery = std::chrono::seconds(15);
  static constexpr std::size_t kSlowInARow = 3;
  /// Packets sent, of which the lost ones are judged together.
  static constexpr std::uint64_t kLossWindow = 128;

  HealthMonitor(HealthPolicy policy, Instant now)
      : policy_(policy), looked_at_(now), heard_at_(now), frames_at_(now), measured_at_(now) {}

  /// At least one frame came.
  void on_frames(Instant now) { frames_at_ = now; }
  /// A Ping was sent.
  void on_ping(Instant now);
  /// It was answered.
  void on_round_trip(Duration round_trip);

  /// Whether a Ping is due, where that is spoken: after a quarter of dead_after without a frame, and every kMeasureEvery. Never
  /// while one waits for its answer.
  [[nodiscard]] bool ping_due(Instant now) const;

  /// `figures`: what the carrier counts now, if it does. Dead is said one look early rather than late, so that dead_after
  /// holds. Dead is not final: a peer that shows life is degraded, then healthy.
  Health look(Instant now, const std::optional<CarrierFigures>& figures);
  /// As well as that, without asking the carrier, unless needs_figures().
  Health look(Instant now);
  /// What the carrier counts may change the judgement now. Where it knows when it heard the peer (CarrierFigures::heard_ago)
  /// that is seldom.
  [[nodiscard]] bool needs_figures(Instant now) const;
  [[nodiscard]] Health health() const { return health_; }

 private:
  /// True if this process was stopped since the last look, so that all is waited for anew.
  bool begin_look(Instant now);
  Health conclude(Instant now);
  void count(const CarrierFigures& figures);
  /// What is wrong now; kHealthy: nothing.
  [[nodiscard]] Health judge(Instant now) const;

  HealthPolicy policy_;
  Health health_;
  Instant looked_at_;
  Duration since_last_look_{};
  Instant heard_at_;   ///< The peer's host, as far as the looks tell.
  Instant frames_at_;  ///< Its program.
  std::optional<Instant> pinged_at_;
  Instant measured_at_;   ///< The last Ping went out.
  std::size_t slow_ = 0;  ///< Round trips in a row.
  bool lossy_ = false;
  std::optional<CarrierFigures> window_;  ///< Where the packets that are judged together begin.
  std::optional<CarrierFigures> last_;
  Instant calm_at_{};  ///< Healthy again then, if nothing happens.
};

}  // namespace adit::net
