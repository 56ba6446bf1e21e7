// What an operator is to be told of without looking: what is wrong with a role, since when, and that it is over. An engine:
// time is an argument.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"
#include "monitor/alert_rules.h"
#include "monitor/health.h"
#include "monitor/machine.h"
#include "monitor/snapshot.h"

namespace adit::monitor {

struct Alert {
  AlertKind kind{};
  std::string about{};  ///< Which miner or node, where there can be several of the kind.
  std::string text{};   ///< A sentence for people; names in it are as others gave them: any bytes.
  UnixTime since{};     ///< When it began, before the patience.
  bool over = false;    ///< It was told before, and has ended.
};

/// Bounded: kMostMiners names are remembered, and of kMinerGone kMostGone are told at a time. Not thread-safe.
class Alerts {
 public:
  static constexpr std::uint64_t kLeastShares = 20;
  static constexpr std::size_t kMostMiners = 10'000;
  static constexpr std::size_t kMostGone = 20;
  /// A miner counts once it has been there for so long, and is forgotten when it has been gone for a day.
  static constexpr Duration kAtHome = std::chrono::minutes(10);

  explicit Alerts(AlertRules rules) : rules_(std::move(rules)) {}

  /// What has begun since the last look, or is over.
  std::vector<Alert> look(const Snapshot& snapshot, const Health& health, const MachineSample& machine, const Now& now);

  /// What has been told and is not over, and what would have been told if it were not muted. Of muted kMinerGone nothing is
  /// known: whoever mutes that has more miners than are worth remembering.
  [[nodiscard]] std::vector<Alert> active() const;

 private:
  using Key = std::pair<AlertKind, std::string>;
  struct State {
    std::string text;
    UnixTime since{};
    Instant began{};
    Duration patience{};
    Instant seen_at{};  ///< The last look in which it was so.
    bool told = false;
  };
  struct Miner {
    Instant first{};
    Instant last{};
    UnixTime left{};  ///< When it was seen last.
  };
  struct Count {
    Instant at{};
    std::uint64_t accepted = 0;
    std::uint64_t rejected = 0;
  };

  /// It is so in this look.
  void is(AlertKind kind, std::string about, std::string text, Duration patience);
  void look_at_role(const Health& health);
  void look_at_upstream(const Snapshot& snapshot);
  void look_at_nodes(const WorkSample& work, const Health& health);
  void look_at_shares(const Snapshot& snapshot, std::vector<Alert>& out);
  void look_at_miners(const Snapshot& snapshot);
  void look_at_machine(const MachineSample& machine);

  AlertRules rules_;
  Now now_{};
  std::map<Key, State> states_;
  std::map<std::string, Miner> miners_;
  std::deque<Count> counts_;  ///< Of the last ten minutes, oldest first.
  Instant accepted_at_{};     ///< The last look that saw another accepted share, or no miner.
  std::optional<std::uint64_t> blocks_;
};

}  // namespace adit::monitor
