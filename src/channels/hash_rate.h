// What hash rate shares prove.
#pragma once

#include "base/time.h"
#include "channels/work.h"

namespace adit::channels {

/// The hash rate that shares prove, the last ten minutes' counting most: an average with exponentially falling weights.
class MeasuredHashRate {
 public:
  void add(const Work& work, Instant now);
  /// In hashes per second. Low in the first minute, when there is nothing yet to measure by.
  [[nodiscard]] double hps(Instant now) const;
  /// How long ago the first share came; zero before.
  [[nodiscard]] Duration age(Instant now) const { return difficulty_ == 0 ? Duration::zero() : now - first_; }
  /// How long ago the last share came; zero before the first.
  [[nodiscard]] Duration silence(Instant now) const { return difficulty_ == 0 ? Duration::zero() : now - last_; }

 private:
  [[nodiscard]] double decayed(Instant now) const;
  double difficulty_ = 0;  ///< As of `last_`.
  Instant first_{};
  Instant last_{};
};

}  // namespace adit::channels
