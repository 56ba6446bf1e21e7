#include "channels/vardiff.h"

#include <algorithm>
#include <cmath>

namespace adit::channels {
namespace {

using std::chrono::seconds;

/// 2^256 over the target of difficulty 1.
constexpr double kHashesPerDifficulty = 4295032833.0;

bool far_enough(double percent, Duration elapsed) {
  return percent >= 100 || (percent >= 60 && elapsed >= seconds(60)) || (percent >= 50 && elapsed >= seconds(120)) ||
         (percent >= 45 && elapsed >= seconds(180)) || (percent >= 30 && elapsed >= seconds(240)) ||
         (percent >= 15 && elapsed >= seconds(300));
}

double by_span(Duration elapsed, double up_to_30, double under_60, double later) {
  return elapsed <= seconds(30) ? up_to_30 : elapsed < seconds(60) ? under_60 : later;
}

}  // namespace

std::optional<double> Vardiff::update(Instant now, double hash_rate_hps, double min_hash_rate_hps, unsigned rarer) {
  const Duration elapsed = now - since_;
  // As many shares as tell something take longer where fewer are wanted.
  const bool few = shares_ < kEnoughShares;
  const Duration waited = few ? elapsed / (1u << rarer) : elapsed;
  if (waited <= seconds(15)) return std::nullopt;
  if (few && (now - judged_at_) / (1u << rarer) < seconds(60)) return std::nullopt;
  judged_at_ = now;

  const double assumed = std::isfinite(hash_rate_hps) ? std::max(hash_rate_hps, min_hash_rate_hps) : min_hash_rate_hps;
  const double measured = work_ * kHashesPerDifficulty / std::chrono::duration<double>(elapsed).count();
  const double percent = std::abs(measured - assumed) / assumed * 100;
  if (!far_enough(percent, waited)) return std::nullopt;

  double corrected = measured;
  if (work_ == 0) {
    corrected = assumed / 3;
  } else if (percent > 1000) {
    corrected = assumed * by_span(waited, 10, 5, 3);
  }
  reset(now);
  return std::max(corrected, min_hash_rate_hps);
}

}  // namespace adit::channels
