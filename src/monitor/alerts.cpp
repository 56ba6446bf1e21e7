#include "monitor/alerts.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/text.h"
#include "monitor/lists.h"

namespace adit::monitor {
namespace {

constexpr Duration kWindow = std::chrono::minutes(10);
constexpr Duration kForget = std::chrono::hours(24);

std::string minutes(Duration duration) {
  return std::to_string(std::chrono::duration_cast<std::chrono::minutes>(duration).count()) + " minutes";
}

/// What mines, by the names under which it comes back.
std::set<std::string> names_of(const Snapshot& snapshot) {
  std::set<std::string> names;
  if (snapshot.sv1) {
    for (const Sv1ClientSample& miner : snapshot.sv1->list) {
      if (!miner.user.empty()) names.insert(miner.user);
    }
  }
  if (snapshot.clients) {
    for (const ChannelSample& channel : snapshot.clients->channels) {
      if (!channel.user_identity.empty()) names.insert(channel.user_identity);
    }
    for (const WorkerSample& worker : snapshot.clients->worker_list) {
      if (!worker.worker.empty()) names.insert(worker.worker);
    }
  }
  return names;
}

}  // namespace

std::vector<Alert> Alerts::look(const Snapshot& snapshot, const Health& health, const MachineSample& machine, const Now& now) {
  now_ = now;
  std::vector<Alert> out;
  look_at_role(health);
  // A role that does not answer shows how it was.
  if (health.readiness != Readiness::kSilent) {
    look_at_upstream(snapshot);
    if (snapshot.work) look_at_nodes(*snapshot.work, health);
    look_at_shares(snapshot, out);
    look_at_miners(snapshot);
  } else {
    for (auto& [key, state] : states_) {
      if (key.first != AlertKind::kNotReady) state.seen_at = now.instant;
    }
  }
  look_at_machine(machine);
  for (auto next = states_.begin(); next != states_.end();) {
    const auto at = next++;
    auto& [key, state] = *at;
    Alert alert{.kind = key.first, .about = key.second, .text = state.text, .since = state.since};
    if (state.told) {
      // What comes and goes is told once.
      if (now.instant - state.seen_at < std::max(rules_.patience, state.patience)) continue;
      alert.over = true;
    } else if (state.seen_at == now.instant) {
      if (now.instant - state.began < state.patience) continue;
      state.told = true;
    }
    const bool ends = alert.over || state.seen_at != now.instant;
    if (state.told && !rules_.muted.contains(key.first)) out.push_back(std::move(alert));
    if (ends) states_.erase(at);
  }
  return out;
}

std::vector<Alert> Alerts::active() const {
  std::vector<Alert> out;
  for (const auto& [key, state] : states_) {
    if (!state.told) continue;
    out.push_back({.kind = key.first, .about = key.second, .text = state.text, .since = state.since});
  }
  return out;
}

void Alerts::is(AlertKind kind, std::string about, std::string text, Duration patience) {
  const auto [at, is_new] = states_.try_emplace({kind, std::move(about)});
  State& state = at->second;
  if (is_new) {
    state.since = now_.unix_time;
    state.began = now_.instant;
    state.patience = patience;
  }
  state.text = std::move(text);
  state.seen_at = now_.instant;
}

void Alerts::look_at_role(const Health& health) {
  if (health.ready()) return;
  const AlertKind kind = health.readiness == Readiness::kUpstreamLost ? AlertKind::kUpstream
                         : health.readiness == Readiness::kNodeAway   ? AlertKind::kNode
                                                                      : AlertKind::kNotReady;
  is(kind, "", health.message.empty() ? std::string(to_string(health.readiness)) : health.message, rules_.patience);
}

void Alerts::look_at_upstream(const Snapshot& snapshot) {
  if (!snapshot.server) return;
  for (const ConnectionSample& connection : snapshot.connections) {
    if (connection.client_id != 0) continue;
    if (connection.health == "degraded")
      is(AlertKind::kUpstream, "degraded", "the connection with the pool is degraded: " + connection.health_reason,
         rules_.patience);
    if (connection.path == "relayed")
      is(AlertKind::kUpstream, "relayed", "the connection with the pool goes through a relay",
         std::max(rules_.patience, kWindow));
  }
}

void Alerts::look_at_nodes(const WorkSample& work, const Health& health) {
  std::uint32_t highest = 0;
  for (const NodeSample& node : work.nodes) highest = std::max(highest, node.height);
  for (const NodeSample& node : work.nodes) {
    if (node.state != "ready") {
      // Where no node gives work the role's own words say so.
      if (!health.ready()) continue;
      is(AlertKind::kNode, node.name,
         "the node " + node.name + " gives no work: " + (node.message.empty() ? node.state : node.message), rules_.patience);
    } else if (node.height != 0 && node.height + 2 < highest) {
      is(AlertKind::kNode, node.name,
         "the node " + node.name + " is " + std::to_string(highest - node.height) + " blocks behind another", rules_.patience);
    }
    if (node.clock_ahead_seconds && std::abs(*node.clock_ahead_seconds) > rules_.clock_seconds) {
      const std::int64_t ahead = *node.clock_ahead_seconds;
      is(AlertKind::kClock, node.name,
         "the clock of the node " + node.name + " is " + std::to_string(std::abs(ahead)) + " s " +
             (ahead > 0 ? "ahead of" : "behind") + " this machine's",
         rules_.patience);
    }
  }
}

void Alerts::look_at_shares(const Snapshot& snapshot, std::vector<Alert>& out) {
  const SideSample* const side = snapshot.clients ? &*snapshot.clients : snapshot.server ? &*snapshot.server : nullptr;
  if (side == nullptr) return;
  const std::uint64_t rejected = sum(side->shares_rejected);
  // A role that was restarted counts anew.
  if (!counts_.empty() && (side->shares_accepted < counts_.back().accepted || rejected < counts_.back().rejected))
    counts_.clear();
  const std::size_t miners = count_miners(snapshot);
  if (counts_.empty() || side->shares_accepted != counts_.back().accepted || miners == 0) accepted_at_ = now_.instant;
  counts_.push_back({now_.instant, side->shares_accepted, rejected});
  // One from before the window stays, from which it is counted.
  while (counts_.size() > 2 && now_.instant - counts_[1].at > kWindow) counts_.pop_front();
  if (miners != 0 && now_.instant - accepted_at_ >= rules_.no_shares) {
    is(AlertKind::kNoShares, "",
       "no share was accepted for " + minutes(rules_.no_shares) + ", though miners are connected: " + std::to_string(miners),
       Duration::zero());
  }
  const std::uint64_t bad = rejected - counts_.front().rejected;
  const std::uint64_t all = bad + side->shares_accepted - counts_.front().accepted;
  if (all >= kLeastShares && bad * 100 > all * rules_.rejects_percent) {
    is(AlertKind::kRejects, "",
       std::to_string(bad * 100 / all) + " % of the last " + std::to_string(all) + " shares were refused", Duration::zero());
  }
  const std::uint64_t blocks = side->blocks_found;
  if (blocks_ && blocks > *blocks_ && !rules_.muted.contains(AlertKind::kBlock)) {
    const std::uint64_t found = blocks - *blocks_;
    std::string text = found == 1 ? "a block was found" : std::to_string(found) + " blocks were found";
    if (snapshot.work && snapshot.work->height != 0)
      text += "; the work is for block " + std::to_string(snapshot.work->height) + " now";
    out.push_back({.kind = AlertKind::kBlock, .about = {}, .text = std::move(text), .since = now_.unix_time});
  }
  blocks_ = blocks;
}

void Alerts::look_at_miners(const Snapshot& snapshot) {
  if (rules_.muted.contains(AlertKind::kMinerGone)) return;
  for (const std::string& name : names_of(snapshot)) {
    const auto known = miners_.find(name);
    if (known == miners_.end()) {
      if (miners_.size() < kMostMiners) miners_.emplace(name, Miner{now_.instant, now_.instant, now_.unix_time});
    } else {
      known->second.last = now_.instant;
      known->second.left = now_.unix_time;
    }
  }
  std::size_t gone = 0;
  for (auto next = miners_.begin(); next != miners_.end();) {
    const auto at = next++;
    const auto& [name, miner] = *at;
    const Duration away = now_.instant - miner.last;
    // Who only looked in is no miner of ours.
    if (away >= kForget || (away >= rules_.miner_gone && miner.last - miner.first < kAtHome)) {
      states_.erase({AlertKind::kMinerGone, name});  // It is not over: nobody waits for it any more.
      miners_.erase(at);
    } else if (away >= rules_.miner_gone && ++gone <= kMostGone) {
      is(AlertKind::kMinerGone, name, "the miner " + in_quotes(name) + " is gone", Duration::zero());
      states_[{AlertKind::kMinerGone, name}].since = miner.left;
    }
  }
  if (gone > kMostGone)
    is(AlertKind::kMinerGone, "", std::to_string(gone - kMostGone) + " more miners are gone", Duration::zero());
}

void Alerts::look_at_machine(const MachineSample& machine) {
  if (machine.disk_free_bytes && *machine.disk_free_bytes < rules_.least_disk_bytes) {
    is(AlertKind::kDisk, "",
       "the folder of the role's data has " + std::to_string(*machine.disk_free_bytes >> 20) +
           " MiB left: found blocks could not be kept",
       Duration::zero());
  }
  if (machine.descriptors_open && machine.descriptors_limit != 0 &&
      *machine.descriptors_open * 100 > machine.descriptors_limit * rules_.most_descriptors_percent) {
    is(AlertKind::kDescriptors, "",
       std::to_string(*machine.descriptors_open) + " of " + std::to_string(machine.descriptors_limit) +
           " descriptors are in use: raise the limit of open files (LimitNOFILE=)",
       Duration::zero());
  }
}

}  // namespace adit::monitor
