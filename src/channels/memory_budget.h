// How much memory peers may make us keep.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>

namespace adit::channels {

/// How often what was free at first has been halved: 0 up to a half used, 1 up to three quarters, and so on, at most `most`,
/// which it is once nothing is free.
constexpr unsigned halvings(std::size_t used, std::size_t limit, unsigned most) {
  if (used >= limit) return most;
  unsigned count = 0;
  while (count < most && used > limit - (limit >> (count + 1))) ++count;
  return count;
}

/// Counts the bytes that the peers of one source make a shard keep, within what the shard has for all sources. Not thread-safe.
class MemoryBudget {
 public:
  /// A share rate that is halved this often is still one share in some minutes.
  static constexpr unsigned kMaxCrowding = 6;

  /// `limit`: bytes. `always`: bytes that may be taken however full `parent` is. `parent` outlives this; nullptr: there is
  /// none.
  explicit MemoryBudget(std::size_t limit, MemoryBudget* parent = nullptr, std::size_t always = 0)
      : limit_(limit), always_(always), parent_(parent) {}
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;

  [[nodiscard]] std::size_t used() const { return used_; }
  [[nodiscard]] bool has_room(std::size_t bytes) const {
    if (used_ + bytes <= always_) return true;
    return used_ + bytes <= limit_ && (parent_ == nullptr || parent_->has_room(bytes));
  }
  /// How much less each peer of the source should make us keep: each step means half as much. 0 while the source has no more
  /// than it may always have.
  [[nodiscard]] unsigned crowding() const {
    if (used_ <= always_) return 0;
    return std::max(halvings(used_, limit_, kMaxCrowding), parent_ == nullptr ? 0 : parent_->crowding());
  }

  /// Bytes that one object holds, given back when it dies. Must die before the budget.
  class Held {
   public:
    Held() = default;
    explicit Held(MemoryBudget* budget) : budget_(budget) {}
    Held(Held&& other) noexcept : budget_(other.budget_), bytes_(std::exchange(other.bytes_, 0)) {}
    Held& operator=(Held&& other) noexcept {
      std::swap(budget_, other.budget_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    ~Held() { set(0); }

    [[nodiscard]] std::size_t bytes() const { return bytes_; }
    [[nodiscard]] bool may_add(std::size_t more) const { return budget_ == nullptr || budget_->has_room(more); }
    [[nodiscard]] unsigned crowding() const { return budget_ == nullptr ? 0 : budget_->crowding(); }
    /// Counts that many bytes from now on, whether there is room or not.
    void set(std::size_t bytes) {
      if (budget_ != nullptr) budget_->change(bytes_, bytes);
      bytes_ = bytes;
    }
    /// That many bytes of another object, of the same budget.
    [[nodiscard]] Held beside(std::size_t bytes) const {
      Held other(budget_);
      other.set(bytes);
      return other;
    }

   private:
    MemoryBudget* budget_ = nullptr;
    std::size_t bytes_ = 0;
  };

 private:
  void change(std::size_t from, std::size_t to) {
    used_ += to - from;  // Wraps around where it shrinks.
    if (parent_ != nullptr) parent_->change(from, to);
  }

  std::size_t limit_;
  std::size_t always_;
  std::size_t used_ = 0;
  MemoryBudget* parent_;
};

}  // namespace adit::channels
