#include "upstream/selection.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace adit::upstream {

Selection::Selection(const std::vector<net::Transport>& candidates, SelectionPolicy policy) : policy_(policy) {
  std::vector<std::size_t> order(candidates.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (policy.prefer != Prefer::kAsListed) {
    const auto first = policy.prefer == Prefer::kIroh ? net::Transport::kIroh : net::Transport::kTcp;
    std::ranges::sort(order, {}, [&](std::size_t candidate) { return std::pair(candidates[candidate] != first, candidate); });
  }
  std::vector<std::size_t> ranks(candidates.size());
  for (std::size_t rank = 0; rank < order.size(); ++rank) ranks[order[rank]] = rank;
  for (const std::size_t rank : ranks) candidates_.emplace_back(rank, policy);
}

bool Selection::hopeless() const {
  return std::ranges::none_of(candidates_, [](const Candidate& candidate) { return candidate.usable; });
}

bool Selection::better_than_used(const Candidate& candidate, Instant now) const {
  const Candidate& used = candidates_[*in_use_];
  if (candidate.cool_until > now) return false;
  return used.cool_until > now || candidate.rank < used.rank;
}

std::optional<std::size_t> Selection::next(Instant now) const {
  std::optional<std::size_t> best;
  const auto consider = [&](bool cooling) {
    for (std::size_t i = 0; i < candidates_.size(); ++i) {
      const Candidate& candidate = candidates_[i];
      if (candidate.state != State::kIdle || !candidate.usable || candidate.retry_at > now) continue;
      if ((candidate.cool_until > now) != cooling) continue;
      if (in_use_ && (candidate.probe_at > now || !better_than_used(candidate, now))) continue;
      if (!best || candidate.rank < candidates_[*best].rank) best = i;
    }
  };
  consider(false);
  const bool trying = std::ranges::any_of(candidates_, [&](const Candidate& c) { return c.state == State::kDialling; });
  if (!best && !in_use_ && !trying) consider(true);
  return best;
}

void Selection::settle(Instant now) {
  if (!in_use_ || settled_ || now - used_since_ < policy_.stable_after) return;
  settled_ = true;
  Candidate& used = candidates_[*in_use_];
  used.retry.reset();
  used.probe_bound = policy_.first_probe;
}

std::vector<Selection::Action> Selection::step(Instant now) {
  settle(now);
  std::vector<Action> actions;
  const bool trying = std::ranges::any_of(candidates_, [](const Candidate& c) { return c.state == State::kDialling; });
  // A probe is alone; a race goes on at its pace.
  if (trying && (in_use_ || now < race_at_)) return actions;
  if (const auto chosen = next(now)) {
    candidates_[*chosen].state = State::kDialling;
    race_at_ = now + policy_.race_after;
    actions.push_back({Action::Kind::kDial, *chosen});
  }
  return actions;
}

std::vector<Selection::Action> Selection::on_ready(std::size_t index, Instant now) {
  settle(now);
  std::vector<Action> actions;
  Candidate& winner = candidates_[index];
  if (winner.state != State::kDialling) return actions;
  if (in_use_ && !better_than_used(winner, now)) {
    winner.state = State::kIdle;
    actions.push_back({Action::Kind::kAbandon, index});
    return actions;
  }
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    if (i == index || candidates_[i].state != State::kDialling) continue;
    candidates_[i].state = State::kIdle;
    // It lost a race and did nothing wrong; one that is better is looked for after a while.
    candidates_[i].probe_at = now + candidates_[i].probe_bound;
    actions.push_back({Action::Kind::kAbandon, i});
  }
  if (in_use_) {
    candidates_[*in_use_].state = State::kIdle;
    actions.push_back({Action::Kind::kDrain, *in_use_});
  }
  winner.state = State::kInUse;
  in_use_ = index;
  used_since_ = now;
  settled_ = false;
  actions.push_back({Action::Kind::kUse, index});
  return actions;
}

std::vector<Selection::Action> Selection::on_failed(std::size_t index, Severity severity, Instant now, std::uint64_t random) {
  settle(now);
  Candidate& failed = candidates_[index];
  if (failed.state == State::kIdle) return {};
  if (in_use_ == index) in_use_.reset();
  failed.state = State::kIdle;
  race_at_ = now;
  if (severity == Severity::kUnusable) {
    failed.usable = false;
  } else if (severity == Severity::kMoved) {
    failed.retry_at = now;
    failed.probe_at = now;
  } else {
    failed.retry_at = now + failed.retry.next(random);
    const auto half = failed.probe_bound / 2;
    failed.probe_at = now + half + Duration(static_cast<Duration::rep>(random % static_cast<std::uint64_t>(half.count() + 1)));
    failed.probe_bound = std::min(failed.probe_bound * 2, policy_.longest_probe);
    failed.cool_until = std::max(failed.cool_until, now + cool_down(severity));
  }
  return step(now);
}

std::vector<Selection::Action> Selection::on_degraded(Instant now) {
  settle(now);
  if (!in_use_) return {};
  Candidate& used = candidates_[*in_use_];
  if (used.cool_until <= now) {  // News.
    used.cool_until = now + used.probe_bound;
    used.probe_bound = std::min(used.probe_bound * 2, policy_.longest_probe);
    for (Candidate& other : candidates_) other.probe_at = std::min(other.probe_at, now);
  }
  used.cool_until = std::max(used.cool_until, now + policy_.first_probe);
  return step(now);
}

Instant Selection::wake_at(Instant now) const {
  auto earliest = Instant::max();
  const auto consider = [&](Instant at) {
    if (at > now) earliest = std::min(earliest, at);
  };
  consider(race_at_);
  if (in_use_ && !settled_) consider(used_since_ + policy_.stable_after);
  for (const Candidate& candidate : candidates_) {
    if (candidate.state != State::kIdle || !candidate.usable) continue;
    consider(candidate.retry_at);
    consider(candidate.probe_at);
    consider(candidate.cool_until);
  }
  if (in_use_) consider(candidates_[*in_use_].cool_until);
  return earliest;
}

}  // namespace adit::upstream
