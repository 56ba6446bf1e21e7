#include "channels/hash_rate.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace adit::channels {
namespace {

constexpr double kRateSeconds = 600;
constexpr double kLeastSeconds = 60;
constexpr double kHashesPerDifficulty = 4294967296.0;

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

double MeasuredHashRate::decayed(Instant now) const { return difficulty_ * std::exp(-seconds(now - last_) / kRateSeconds); }

void MeasuredHashRate::add(const Work& work, Instant now) {
  if (difficulty_ == 0) first_ = last_ = now;
  difficulty_ = decayed(now) + work.difficulty();
  last_ = now;
}

double MeasuredHashRate::hps(Instant now) const {
  if (difficulty_ == 0) return 0;
  // The weights' sum over the time that was measured.
  const double weight = kRateSeconds * (1 - std::exp(-std::max(seconds(now - first_), kLeastSeconds) / kRateSeconds));
  return decayed(now) * kHashesPerDifficulty / weight;
}

}  // namespace adit::channels
