// Whether another machine's clock and ours agree, and how that is said.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <utility>

namespace adit {

/// One other clock, as it shows from time to time. Not thread-safe.
class ClockAgreement {
 public:
  /// Clocks that differ by more are told apart; they agree again once they differ by less than half of it. What tells the other
  /// clock is a second or two on its way.
  static constexpr std::chrono::seconds kTolerance{20};

  /// The other clock was so far ahead of ours (negative: behind). True: this is news, which differs() says.
  bool note(std::chrono::seconds ahead) {
    const bool differs = std::chrono::abs(ahead) > (differs_ ? kTolerance / 2 : kTolerance);
    return std::exchange(differs_, differs) != differs;
  }
  [[nodiscard]] bool differs() const { return differs_; }

 private:
  bool differs_ = false;
};

/// "the clock of WHOSE is 5 s ahead of this machine's: set whichever is wrong".
inline std::string describe_clock(std::string_view whose, std::chrono::seconds ahead) {
  return "the clock of " + std::string(whose) + " is " + std::to_string(std::chrono::abs(ahead).count()) + " s " +
         (ahead.count() > 0 ? "ahead of" : "behind") + " this machine's: set whichever is wrong";
}

}  // namespace adit
