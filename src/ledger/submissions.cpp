#include "ledger/submissions.h"

#include <algorithm>
#include <utility>

namespace adit::ledger {
namespace {

bool is_in_the_chain(BlockVerdict verdict) { return verdict == BlockVerdict::kAccepted || verdict == BlockVerdict::kDuplicate; }

}  // namespace

Submissions::Submissions(std::vector<bool> preferring, Policy policy)
    : preferring_(std::move(preferring)), policy_(policy), load_(preferring_.size()), names_(preferring_.size()) {}

bool Submissions::add(const Hash256& hash, std::uint32_t height, BlockPtr bytes, Instant now) {
  if (knows(hash) || unanswered() >= policy_.max_blocks) return false;
  // The oldest of those that the chain has are no longer offered to the nodes that did not take them so far.
  while (blocks_.size() >= policy_.max_blocks) {
    const auto done = std::ranges::find_if(blocks_.rbegin(), blocks_.rend(),
                                           [](const Block& block) { return block.decided && !is_under_way(block); });
    if (done == blocks_.rend()) break;
    blocks_.erase(std::next(done).base());
  }
  Block block{.hash = hash, .height = height, .bytes = std::move(bytes)};
  block.on_disk = block.bytes == nullptr;
  for (std::size_t node = 0; node < load_.size(); ++node) block.errands.emplace_back(policy_, block.on_disk, now);
  blocks_.push_front(std::move(block));
  return true;
}

bool Submissions::has_room(std::size_t node, bool retry) const {
  const Load& load = load_[node];
  return load.under_way < policy_.max_under_way && (!retry || load.retries < policy_.max_retries_under_way);
}

std::optional<Submissions::Attempt> Submissions::next_attempt(Instant now) {
  for (Block& block : blocks_) {
    for (std::size_t node = 0; node < block.errands.size(); ++node) {
      Errand& errand = block.errands[node];
      if (errand.under_way || errand.answer || errand.due > now || !has_room(node, errand.tried)) continue;
      errand.under_way = true;
      errand.begun = now;
      ++load_[node].under_way;
      if (errand.tried) ++load_[node].retries;
      return Attempt{block.hash, node, block.bytes};
    }
  }
  return std::nullopt;
}

std::optional<Submissions::Attempt> Submissions::next_preference(Instant now) {
  for (Block& block : blocks_) {
    for (std::size_t node = 0; node < block.errands.size(); ++node) {
      if (block.errands[node].prefer_at > now) continue;
      block.errands[node].prefer_at = Instant::max();
      return Attempt{block.hash, node, nullptr};
    }
  }
  return std::nullopt;
}

Instant Submissions::next_due() const {
  Instant next = Instant::max();
  for (const Block& block : blocks_) {
    // What waits for an attempt to end is looked at when that ends.
    if (block.decided && !is_under_way(block)) next = std::min(next, block.offered_until);
    for (std::size_t node = 0; node < block.errands.size(); ++node) {
      const Errand& errand = block.errands[node];
      next = std::min(next, errand.prefer_at);
      if (!errand.under_way && !errand.answer && has_room(node, errand.tried)) next = std::min(next, errand.due);
    }
  }
  return next;
}

void Submissions::release_bytes(const Hash256& hash) {
  Block* const block = find(hash);
  if (block == nullptr) return;
  block->on_disk = true;
  drop_bytes();
}

/// The oldest go first. Of those that are decided the file is gone: what is at hand is kept for the other nodes.
void Submissions::drop_bytes() {
  auto held =
      static_cast<std::size_t>(std::ranges::count_if(blocks_, [](const Block& block) { return block.bytes != nullptr; }));
  for (auto block = blocks_.rbegin(); block != blocks_.rend() && held > policy_.max_held; ++block) {
    if (block->bytes == nullptr || !block->on_disk || block->decided || is_under_way(*block)) continue;
    block->bytes = nullptr;
    --held;
  }
}

Submissions::Block* Submissions::find(const Hash256& hash) {
  const auto block = std::ranges::find(blocks_, hash, &Block::hash);
  return block == blocks_.end() ? nullptr : &*block;
}

bool Submissions::knows(const Hash256& hash) const { return std::ranges::find(blocks_, hash, &Block::hash) != blocks_.end(); }

bool Submissions::is_under_way(const Block& block) { return std::ranges::any_of(block.errands, &Errand::under_way); }

void Submissions::end_attempt(Block& block, std::size_t node) {
  Errand& errand = block.errands[node];
  --load_[node].under_way;
  if (errand.tried) --load_[node].retries;
  errand.under_way = false;
  errand.tried = true;
}

/// The best answer is the chain's, once no better one can come.
void Submissions::decide(Block& block, bool no_more_to_come, Instant now, std::optional<BlockResult>& result) {
  if (block.decided) return;
  const NodeAnswer* best = nullptr;
  std::size_t by = 0;
  for (std::size_t node = 0; node < block.errands.size(); ++node) {
    const auto& answer = block.errands[node].answer;
    if (!answer || (best != nullptr && answer->verdict >= best->verdict)) continue;
    best = &*answer;
    by = node;
  }
  const bool all = std::ranges::all_of(block.errands, [](const Errand& errand) { return errand.answer.has_value(); });
  if (best == nullptr || !(all || no_more_to_come || is_in_the_chain(best->verdict))) return;
  block.decided = true;
  block.offered_until = no_more_to_come ? now : now + policy_.offer_to_others;
  result = {block.hash, block.height, best->verdict, best->reason, names_[by]};
}

Submissions::Outcome Submissions::on_answer(const Attempt& attempt, const NodeAnswer& answer, const std::string& node_name,
                                            Instant now) {
  Outcome outcome{.hash = attempt.hash};
  Block* const block = find(attempt.hash);
  if (block == nullptr) return outcome;
  end_attempt(*block, attempt.node);
  names_[attempt.node] = node_name;
  Errand& errand = block->errands[attempt.node];
  errand.answer = answer;
  outcome.first_answer = !std::exchange(block->answered, true);
  // One that the chain has left behind needs no preference.
  if (preferring_[attempt.node] && answer.verdict != BlockVerdict::kRejected && next_height_ <= block->height + 1) {
    errand.prefer_at = std::max(now, errand.begun + policy_.prefer_after);
  }
  decide(*block, false, now, outcome.decided);
  give_up_if_hopeless(*block, now, outcome.decided);
  drop_bytes();
  return outcome;
}

Submissions::Outcome Submissions::on_failure(const Attempt& attempt, std::uint64_t random, Instant now) {
  Outcome outcome{.hash = attempt.hash};
  Block* const block = find(attempt.hash);
  if (block == nullptr) return outcome;
  end_attempt(*block, attempt.node);
  Errand& errand = block->errands[attempt.node];
  errand.due = now + errand.backoff.next(random);
  give_up_if_hopeless(*block, now, outcome.decided);
  drop_bytes();
  return outcome;
}

void Submissions::give_up_if_hopeless(Block& block, Instant now, std::optional<BlockResult>& result) {
  if (block.decided || next_height_ <= block.height + policy_.hopeless_depth || is_under_way(block)) return;
  // What some node said is better to know than that another one said nothing.
  decide(block, true, now, result);
  if (block.decided) return;
  block.decided = true;
  block.offered_until = now;
  result = {
      block.hash, block.height, BlockVerdict::kRejected,
      "given up: no node has taken it, and the chain is " + std::to_string(next_height_ - 1 - block.height) + " blocks further",
      ""};
}

std::vector<Submissions::Outcome> Submissions::on_tip(std::uint32_t next_height, Instant now) {
  next_height_ = std::max(next_height_, next_height);
  std::vector<Outcome> outcomes;
  for (Block& block : blocks_) {
    for (Errand& errand : block.errands) errand.due = std::min(errand.due, now);
    Outcome outcome{.hash = block.hash};
    give_up_if_hopeless(block, now, outcome.decided);
    if (outcome.decided) outcomes.push_back(std::move(outcome));
  }
  return outcomes;
}

void Submissions::on_node_ready(std::size_t node, Instant now) {
  for (Block& block : blocks_) block.errands[node].due = std::min(block.errands[node].due, now);
}

bool Submissions::is_done(const Block& block, Instant now) {
  if (!block.decided || is_under_way(block)) return false;
  if (now >= block.offered_until) return true;
  const bool to_be_preferred =
      std::ranges::any_of(block.errands, [](const Errand& errand) { return errand.prefer_at != Instant::max(); });
  const bool answered_by_all =
      std::ranges::all_of(block.errands, [](const Errand& errand) { return errand.answer.has_value(); });
  return !to_be_preferred && (answered_by_all || block.bytes == nullptr);
}

void Submissions::tidy(Instant now) {
  std::erase_if(blocks_, [now](const Block& block) { return is_done(block, now); });
}

std::size_t Submissions::unanswered() const {
  return static_cast<std::size_t>(std::ranges::count(blocks_, false, &Block::decided));
}

bool Submissions::first_attempts_made() const {
  return std::ranges::all_of(blocks_, [](const Block& block) { return std::ranges::all_of(block.errands, &Errand::tried); });
}

}  // namespace adit::ledger
