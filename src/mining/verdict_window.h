// Whether an upstream takes a miner's shares.
#pragma once

#include <cstdint>

namespace adit::mining {

/// The upstream's verdicts on the newest shares of a miner that we judged good. Shares that came too late for a tip say nothing
/// of an upstream and are not counted here. A value; allocates nothing.
class VerdictWindow {
 public:
  /// So many refusals say that it is no accident: at six shares a minute they come in less than three minutes.
  static constexpr std::uint32_t kEnough = 16;

  void on_accepted() { count(accepted_); }
  void on_refused() { count(refused_); }

  /// Nearly all are refused: 19 of 20, and kEnough at least.
  [[nodiscard]] bool refuses() const { return refused_ >= kEnough && refused_ >= 19 * accepted_; }
  /// Some are accepted, and not only by the way.
  [[nodiscard]] bool accepts() const { return accepted_ != 0 && !refuses(); }
  [[nodiscard]] std::uint32_t accepted() const { return accepted_; }
  [[nodiscard]] std::uint32_t refused() const { return refused_; }

 private:
  static constexpr std::uint32_t kMost = 64;

  void count(std::uint32_t& which) {
    ++which;
    if (accepted_ + refused_ < kMost) return;
    accepted_ /= 2;
    refused_ /= 2;
  }

  std::uint32_t accepted_ = 0;
  std::uint32_t refused_ = 0;
};

}  // namespace adit::mining
