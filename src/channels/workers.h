// Who found a connection's shares: the worker that each names (extension 0x0002).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "channels/hash_rate.h"
#include "channels/memory_budget.h"
#include "channels/work.h"

namespace adit::channels {

/// Counts shares by the worker's name. The names are the peer's to choose, so their number is bounded, and only an accepted
/// share makes an account: all others are counted together. Counting allocates only for a name not seen before. Not
/// thread-safe.
class WorkerAccounts {
 public:
  struct Account {
    std::uint64_t accepted = 0;
    std::uint64_t rejected = 0;
    Work work;  ///< Of the accepted ones.
    MeasuredHashRate hash_rate;
    std::array<char, 32> name_bytes{};
    std::uint8_t name_size = 0;
    /// Empty: shares that named nobody, or nobody that could be counted.
    [[nodiscard]] std::string_view name() const { return {name_bytes.data(), name_size}; }

    void accept(const Work& of_share, Instant now) {
      ++accepted;
      work += of_share;
      hash_rate.add(of_share, now);
    }
  };

  /// `budget` outlives this; nullptr: only the number is bounded.
  explicit WorkerAccounts(std::size_t max_workers, MemoryBudget* budget = nullptr) : max_workers_(max_workers), held_(budget) {}

  /// The account of `name`: of nobody if it is empty, longer than 32 bytes, not UTF-8 or with control characters, one too many,
  /// or beyond the budget. Valid as long as this object.
  Account& of(Bytes name);
  /// The same, without making one: of nobody if it is not there yet.
  Account& find(Bytes name);

  /// Nobody's first, then by first share.
  [[nodiscard]] const std::deque<Account>& all() const { return accounts_; }

 private:
  void grow();
  [[nodiscard]] std::uint32_t& slot_of(std::string_view name);
  [[nodiscard]] std::size_t bytes() const { return accounts_.size() * sizeof(Account) + slots_.size() * sizeof(slots_[0]); }

  std::size_t max_workers_;
  MemoryBudget::Held held_;
  std::deque<Account> accounts_{1};   ///< The first is nobody's.
  std::vector<std::uint32_t> slots_;  ///< Places in accounts_ by hash, a power of two of them; 0 is empty.
};

/// Whether `name` may be a worker's: 1 to 32 bytes of UTF-8 without control characters.
bool is_worker_name(Bytes name);

}  // namespace adit::channels
