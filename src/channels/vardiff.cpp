#include "channels/vardiff.h"

#include <algorithm>
#include <cmath>

namespace adit::channels {
namespace {

using std::chrono::seconds;

/// 2^256 over the target of difficulty 1.
constexpr double kHashesPerDifficulty = 4295032833.0;
constexpr double kLeastPercent = 15;
constexpr Duration kRememberedFor = std::chrono::minutes(30);
constexpr std::uint32_t kMany = 1 << 20;  // Whatever their age.

double by_span(Duration elapsed, double up_to_30, double under_60, double later) {
  return elapsed <= seconds(30) ? up_to_30 : elapsed < seconds(60) ? under_60 : later;
}

}  // namespace

std::optional<double> Vardiff::update(Instant now, double hash_rate_hps, double min_hash_rate_hps, unsigned rarer) {
  // As many shares as tell something take longer where fewer are wanted.
  const bool few = recent_.shares < kEnoughShares;
  const auto waited = [&](Instant since) { return few ? (now - since) / (1u << rarer) : now - since; };
  if (waited(judged_at_) < (few ? seconds(60) : seconds(15) + Duration(1))) return std::nullopt;
  judged_at_ = now;

  const double assumed = std::isfinite(hash_rate_hps) ? std::max(hash_rate_hps, min_hash_rate_hps) : min_hash_rate_hps;
  const auto begin_anew_with = [&](double corrected) {
    reset(now);
    return std::max(corrected, min_hash_rate_hps);
  };
  if (all_.shares == 0) return begin_anew_with(assumed / 3);

  const double share = double{all_.work} / all_.shares;  // Difficulty of one.
  const auto expected_work = [&](const Window& window) {
    return assumed * std::chrono::duration<double>(now - window.since).count() / kHashesPerDifficulty;
  };
  const auto percent_off = [&](const Window& window) {
    return 100 * std::abs(window.work - expected_work(window)) / expected_work(window);
  };
  const auto percent_by_chance = [&](const Window& window) {
    return 100 / std::sqrt(expected_work(window) / (window.shares > 0 ? double{window.work} / window.shares : share));
  };
  const auto measured = [&](const Window& window) { return assumed * window.work / expected_work(window); };

  const double off = percent_off(recent_);
  if (off >= std::max(kLeastPercent, kSurprising * percent_by_chance(recent_))) {
    if (recent_.shares == 0) return begin_anew_with(assumed / 3);
    // SRI does so however many there are. Enough shares are believed here, so that a miner of any rate can begin with the
    // easiest ones: the first tell what it has.
    if (few && off > 1000) return begin_anew_with(assumed * by_span(waited(recent_.since), 10, 5, 3));
    const double corrected = measured(recent_);
    // What is of one rate from its beginning is kept.
    if (recent_.since != all_.since) return begin_anew_with(corrected);
    if (recent_.shares >= kRecent) recent_ = {now};
    return std::max(corrected, min_hash_rate_hps);
  }
  const bool wrong = percent_off(all_) >= std::max(kLeastPercent, percent_by_chance(all_));
  const double corrected = measured(all_);
  if (recent_.shares >= kRecent) recent_ = {now};
  if (all_.shares > kRemembered && (now - all_.since > kRememberedFor || all_.shares > kMany))
    all_ = {.since = all_.since + (now - all_.since) / 2, .work = all_.work / 2, .shares = all_.shares / 2};
  if (!wrong) return std::nullopt;
  return std::max(corrected, min_hash_rate_hps);
}

}  // namespace adit::channels
