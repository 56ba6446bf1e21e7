#include "channels/payee.h"

#include "channels/extranonce.h"

namespace adit::channels {

const Job& Payee::renew(const Job& job) {
  if (slots_[1] != nullptr && slots_[1]->id == job.id) std::swap(slots_[0], slots_[1]);
  last_ = 0;
  // A template that nobody mines on any more is not kept for a late share that may never come.
  if (slots_[1] != nullptr) {
    slots_[1]->id = 0;
    slots_[1]->block_template = nullptr;
  }
  if (slots_[0] != nullptr && slots_[0]->id == job.id) return *slots_[0];
  return make(job, slots_[0]);
}

const Job& Payee::make(const Job& job, std::unique_ptr<Job>& slot) const {
  if (slot == nullptr) slot = std::make_unique<Job>();
  slot->id = job.id;
  slot->block_template = job.block_template;
  slot->transactions_known = job.transactions_known;
  slot->coinbase.prefix = job.coinbase.prefix;
  slot->coinbase.suffix.clear();
  const PayoutOutputs outputs = policy_.outputs(&payout_, job.block_template->coinbase_value_sat);
  bitcoin::append_coinbase_suffix(slot->coinbase.suffix, *job.block_template, outputs.all());
  slot->coinbase_id.assign(slot->coinbase.prefix, kFullExtranonceSize, slot->coinbase.suffix);
  slot->new_tip = job.new_tip;
  slot->ntime = job.ntime;
  slot->rules = job.rules;
  slot->block_work = job.block_work;
  return *slot;
}

}  // namespace adit::channels
