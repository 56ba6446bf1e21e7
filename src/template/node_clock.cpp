#include "template/node_clock.h"

#include "log/log.h"

namespace adit::templates {
namespace {

// A clock that differs by more is told, and is right again once it differs by less than half of it.
constexpr std::chrono::seconds kTolerance{20};

}  // namespace

std::optional<std::chrono::seconds> NodeClock::note(std::uint32_t node_time, std::uint32_t min_ntime, const Now& now) {
  const auto ours = std::int64_t{to_u32(now.unix_time)};
  const std::chrono::seconds ahead(std::int64_t{node_time} - ours);
  if (node_time <= min_ntime && ahead.count() >= 0) return std::nullopt;
  const bool differs = std::chrono::abs(ahead) > (differs_ ? kTolerance / 2 : kTolerance);
  if (std::exchange(differs_, differs) == differs) return ahead;
  if (!differs) {
    log::info("template.clock_agrees", {{"node", node_}, {"seconds", ahead.count()}});
    return ahead;
  }
  const std::string seconds = std::to_string(std::chrono::abs(ahead).count()) + " s ";
  std::string message = "the clock of the node at " + node_ + " is " + seconds + (ahead.count() > 0 ? "ahead of" : "behind") +
                        " this machine's: set whichever is wrong";
  if (ours < std::int64_t{min_ntime}) {
    message = "this machine's clock is at least " + std::to_string(min_ntime - ours) +
              " s behind: the chain's newest blocks are later than its time";
  }
  log::warn("template.clock_differs", {{"node", node_}, {"seconds", ahead.count()}, {"message", message}});
  return ahead;
}

}  // namespace adit::templates
