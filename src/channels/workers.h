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
#include "channels/work.h"

namespace adit::channels {

/// Counts shares by the worker's name. The names are the peer's to choose, so their number is bounded: what comes after is
/// counted together. Counting allocates only for a name not seen before. Not thread-safe.
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

  explicit WorkerAccounts(std::size_t max_workers) : max_workers_(max_workers) {}

  /// The account of `name`: of nobody if it is empty, longer than 32 bytes, not UTF-8 or with control characters, or one too
  /// many. Valid as long as this object.
  Account& of(Bytes name);

  /// Nobody's first, then by first share.
  [[nodiscard]] const std::deque<Account>& all() const { return accounts_; }

 private:
  void grow();
  [[nodiscard]] std::uint32_t& slot_of(std::string_view name);

  std::size_t max_workers_;
  std::deque<Account> accounts_{1};   ///< The first is nobody's.
  std::vector<std::uint32_t> slots_;  ///< Places in accounts_ by hash, a power of two of them; 0 is empty.
};

/// Whether `name` may be a worker's: 1 to 32 bytes of UTF-8 without control characters.
bool is_worker_name(Bytes name);

}  // namespace adit::channels
