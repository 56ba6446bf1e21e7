#include "mining/payees.h"

#include <tuple>
#include <utility>

#include "channels/memory_budget.h"

namespace adit::mining {
namespace {

bool less(const channels::Payout& a, const channels::Payout& b) {
  return std::tie(a.script, a.pool_percent, a.exact) < std::tie(b.script, b.pool_percent, b.exact);
}

}  // namespace

struct Payees::Entry final : channels::Payee, std::enable_shared_from_this<Entry> {
  Entry(channels::Payout payout, Payees& all, std::shared_ptr<Source> first)
      : Payee(std::move(payout), all.policy_), payees(all), source(std::move(first)), held(&source->memory()) {
    held.set(kBytes);
    source->count_payout(+1);
    payees.entries_.insert(this);
    payees.count_ = payees.entries_.size();
  }
  ~Entry() {
    payees.entries_.erase(this);
    payees.count_ = payees.entries_.size();
    source->count_payout(-1);
  }
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

  Payees& payees;
  std::shared_ptr<Source> source;  ///< Before `held`, whose budget it has.
  channels::MemoryBudget::Held held;
};

bool Payees::Less::operator()(const Entry* a, const Entry* b) const { return less(a->payout(), b->payout()); }
bool Payees::Less::operator()(const Entry* a, const channels::Payout& b) const { return less(a->payout(), b); }
bool Payees::Less::operator()(const channels::Payout& a, const Entry* b) const { return less(a, b->payout()); }

std::shared_ptr<channels::Payee> Payees::of(channels::Payout payout, const std::shared_ptr<Source>& source) {
  if (const auto found = entries_.find(payout); found != entries_.end()) return (*found)->shared_from_this();
  if (!source->may_add_payout() || !source->memory().has_room(kBytes)) return nullptr;
  return std::make_shared<Entry>(std::move(payout), *this, source);
}

}  // namespace adit::mining
