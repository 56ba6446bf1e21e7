#include "channels/workers.h"

#include <algorithm>
#include <random>

#include "base/utf8.h"
#include "wire/tlv.h"

namespace adit::channels {
namespace {

static_assert(sizeof(WorkerAccounts::Account::name_bytes) == wire::kMaxUserIdentity);

constexpr std::size_t kFirstSlots = 16;

/// Peers choose the names, so which of them share a slot must not be theirs to know: a sum of products with numbers that are
/// this process's secret.
std::uint64_t hash(std::string_view name) {
  static const auto secret = [] {
    std::random_device device;
    std::array<std::uint64_t, wire::kMaxUserIdentity / 8 + 1> numbers;
    for (auto& number : numbers) number = std::uint64_t{device()} << 32 | device() | 1;
    return numbers;
  }();
  std::array<std::uint8_t, wire::kMaxUserIdentity> bytes{};
  std::ranges::copy(name, bytes.begin());
  std::uint64_t sum = secret.back() * (name.size() + 1);
  for (std::size_t i = 0; i < bytes.size() / 8; ++i) sum += secret[i] * load_le<std::uint64_t>(bytes.data() + 8 * i);
  // Of such a sum the upper half is the random one.
  return sum >> 32;
}

}  // namespace

bool is_worker_name(Bytes name) {
  if (name.empty() || name.size() > wire::kMaxUserIdentity) return false;
  for (std::string_view rest = as_text(name); !rest.empty();) {
    const auto next = first_code_point(rest);
    if (next.size == 0 || is_control(next.value)) return false;
    rest.remove_prefix(next.size);
  }
  return true;
}

WorkerAccounts::Account& WorkerAccounts::find(Bytes name) {
  if (slots_.empty() || !is_worker_name(name)) return accounts_[0];
  return accounts_[slot_of(as_text(name))];
}

WorkerAccounts::Account& WorkerAccounts::of(Bytes name) {
  if (!is_worker_name(name)) return accounts_[0];
  const std::string_view text = as_text(name);
  if (slots_.empty()) grow();
  std::uint32_t* slot = &slot_of(text);
  if (*slot != 0) return accounts_[*slot];
  // A table that doubles is less than what its accounts take.
  if (accounts_.size() > max_workers_ || !held_.may_add(2 * sizeof(Account))) return accounts_[0];
  if (accounts_.size() * 2 > slots_.size()) {
    grow();
    slot = &slot_of(text);
  }
  *slot = static_cast<std::uint32_t>(accounts_.size());
  Account& account = accounts_.emplace_back();
  std::ranges::copy(text, account.name_bytes.begin());
  account.name_size = static_cast<std::uint8_t>(text.size());
  held_.set(bytes());
  return account;
}

std::uint32_t& WorkerAccounts::slot_of(std::string_view name) {
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = hash(name) & mask;
  while (slots_[at] != 0 && accounts_[slots_[at]].name() != name) at = (at + 1) & mask;
  return slots_[at];
}

void WorkerAccounts::grow() {
  slots_.assign(std::max(kFirstSlots, slots_.size() * 2), 0);
  for (std::uint32_t i = 1; i < accounts_.size(); ++i) slot_of(accounts_[i].name()) = i;
}

}  // namespace adit::channels
