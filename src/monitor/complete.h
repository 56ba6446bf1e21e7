// What a role shows while a shard of it does not answer.
#pragma once

namespace adit::monitor {

/// `stats`, whose Totals are what all shards have counted. While one hangs they are those of the last look at all of them,
/// which are kept in `complete`: a counter that falls would be taken for a restart.
template <class Totals, class Stats>
Stats with_complete(Stats stats, Totals& complete) {
  if (stats.silent_shards == 0) {
    complete = stats;
  } else {
    static_cast<Totals&>(stats) = complete;
  }
  return stats;
}

}  // namespace adit::monitor
