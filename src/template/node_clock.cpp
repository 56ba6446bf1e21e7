#include "template/node_clock.h"

#include "log/log.h"

namespace adit::templates {
std::optional<std::chrono::seconds> NodeClock::note(std::uint32_t node_time, std::uint32_t min_ntime, const Now& now) {
  const auto ours = std::int64_t{to_u32(now.unix_time)};
  const std::chrono::seconds ahead(std::int64_t{node_time} - ours);
  if (node_time <= min_ntime && ahead.count() >= 0) return std::nullopt;
  if (!clock_.note(ahead)) return ahead;
  if (!clock_.differs()) {
    log::info("template.clock_agrees", {{"node", node_}, {"seconds", ahead.count()}});
    return ahead;
  }
  std::string message = describe_clock("the node at " + node_, ahead);
  if (ours < std::int64_t{min_ntime}) {
    message = "this machine's clock is at least " + std::to_string(min_ntime - ours) +
              " s behind: the chain's newest blocks are later than its time";
  }
  log::warn("template.clock_differs", {{"node", node_}, {"seconds", ahead.count()}, {"message", message}});
  return ahead;
}

}  // namespace adit::templates
