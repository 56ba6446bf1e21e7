// Our vardiff beside SRI's: the same simulated miners, second by second, each with the difficulty that its own rule gives it.
//
// SRI's channels_sv2 is asked once a minute, as its programs do, from a second of the minute that differs from miner to miner;
// ours every second, as ours do. A new difficulty holds at once. Both begin with the same wrong assumption of the miner's hash
// rate.
#include "channels/vardiff.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "bitcoin/u256.h"
#include "oracle/oracle.h"

namespace adit::oracle {
namespace {

using std::chrono::seconds;

constexpr double kSharesPerMinute = 6;
constexpr double kAssumed = 1e12;
constexpr double kLeast = 1e9;
constexpr double kHashesPerDifficulty = 4295032833.0;
constexpr double kNear = 0.2;  ///< The share rate is as wanted within so much of it.
constexpr int kHour = 3600;
constexpr int kMinersOfKind = 100;

/// What a miner does: its hash rate in each second, and the seconds from which a new rate has to be found.
struct Miner {
  std::function<double(int second)> rate;
  std::function<double(int second)> mean;  ///< Over its bursts.
  std::vector<int> turns;
  int end = 0;
};

struct Kind {
  const char* name;
  std::function<Miner(double rate, std::mt19937_64& random)> make;
};

Miner at_turn(double before, int turn, double after) {
  const auto rate = [=](int second) { return second < turn ? before : after; };
  return {.rate = rate, .mean = rate, .turns = {0, turn}, .end = turn + kHour};
}

std::vector<Kind> kinds() {
  return {
      {"steady",
       [](double rate, auto&) {
         const auto always = [=](int) { return rate; };
         return Miner{.rate = always, .mean = always, .turns = {0}, .end = 2 * kHour};
       }},
      {"bursty",  // It works for some seconds and rests for as many.
       [](double rate, auto& random) {
         const int burst = std::uniform_int_distribution(3, 20)(random);
         return Miner{.rate = [=](int second) { return second / burst % 2 == 0 ? 2 * rate : 0; },
                      .mean = [=](int) { return rate; },
                      .turns = {0},
                      .end = 2 * kHour};
       }},
      {"switching off",  // For ten minutes.
       [](double rate, auto&) {
         const auto now = [=](int second) { return second >= kHour && second < kHour + 600 ? 0 : rate; };
         return Miner{.rate = now, .mean = now, .turns = {0, kHour + 600}, .end = 2 * kHour + 600};
       }},
      {"tenfold up", [](double rate, auto&) { return at_turn(rate, kHour, 10 * rate); }},
      {"tenfold down", [](double rate, auto&) { return at_turn(rate, kHour, rate / 10); }},
  };
}

/// A rule of vardiff, asked each second.
class Rule {
 public:
  virtual ~Rule() = default;
  virtual void on_shares(unsigned count, double difficulty) = 0;
  /// The corrected hash rate, if it is to be another one.
  virtual std::optional<double> update(int second, double assumed) = 0;
};

class Ours final : public Rule {
 public:
  void on_shares(unsigned count, double difficulty) override {
    for (unsigned i = 0; i < count; ++i) vardiff_.on_share(difficulty);
  }
  std::optional<double> update(int second, double assumed) override {
    return vardiff_.update(Instant{} + seconds(second), assumed, kLeast);
  }

 private:
  channels::Vardiff vardiff_{Instant{}};
};

class Sris final : public Rule {
 public:
  Sris(Oracle& oracle, int phase) : oracle_(oracle), phase_(phase) {}
  void on_shares(unsigned count, double) override { shares_ += count; }
  std::optional<double> update(int second, double assumed) override {
    if (second % 60 != phase_) return std::nullopt;
    Body question;
    question.put(static_cast<std::uint32_t>(second - since_)).put(shares_);
    for (const double value : {assumed, kLeast, kSharesPerMinute})
      question.put(std::bit_cast<std::uint32_t>(static_cast<float>(value)));
    question.raw(bitcoin::target_from_hash_rate(assumed, kSharesPerMinute).to_le());
    auto answer = oracle_.ask(Request::kVardiff, question);
    EXPECT_TRUE(answer) << answer.error();
    if (!answer || answer->empty()) return std::nullopt;
    since_ = second;
    shares_ = 0;
    return std::bit_cast<float>(answer->take<std::uint32_t>());
  }

 private:
  Oracle& oracle_;
  int phase_;
  int since_ = 0;
  std::uint32_t shares_ = 0;
};

struct Outcome {
  std::vector<double> found;  ///< Seconds from a turn until the share rate was near what is wanted.
  double changes = 0;
  double swings = 0;  ///< Changes from one side of what is near to its other side.
  double away = 0;    ///< Share of the time, once found, in which the rate was not near.
};

Outcome run(const Miner& miner, Rule& rule, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Outcome outcome;
  double assumed = kAssumed;
  std::optional<int> looks_since = 0;
  int near = 0, found_for = 0;
  for (int second = 1; second <= miner.end; ++second) {
    if (std::ranges::find(miner.turns, second) != miner.turns.end()) looks_since = second;
    const double difficulty = bitcoin::difficulty_from_target(bitcoin::target_from_hash_rate(assumed, kSharesPerMinute));
    const double expected = miner.rate(second) / (difficulty * kHashesPerDifficulty);
    const auto count = expected > 0 ? std::poisson_distribution<unsigned>(expected)(random) : 0;
    if (count > 0) rule.on_shares(count, difficulty);
    const double before = miner.mean(second) / assumed;
    if (const auto corrected = rule.update(second, assumed)) {
      assumed = *corrected;
      ++outcome.changes;
      const double after = miner.mean(second) / assumed;
      if ((before > 1 + kNear && after < 1 - kNear) || (before < 1 - kNear && after > 1 + kNear)) ++outcome.swings;
    }
    if (miner.mean(second) == 0) continue;
    const bool is_near = std::abs(miner.mean(second) / assumed - 1) <= kNear;
    if (looks_since && is_near) {
      outcome.found.push_back(second - *looks_since);
      looks_since.reset();
    }
    if (!looks_since) {
      ++found_for;
      near += is_near ? 1 : 0;
    }
  }
  if (looks_since) outcome.found.push_back(kHour);
  outcome.away = found_for > 0 ? 1 - static_cast<double>(near) / found_for : 1;
  return outcome;
}

double quantile(std::vector<double> values, double fraction) {
  std::ranges::sort(values);
  return values[static_cast<std::size_t>(fraction * static_cast<double>(values.size() - 1))];
}

struct Sums {
  std::vector<double> found;
  double changes = 0, swings = 0, away = 0;

  void add(const Outcome& outcome) {
    found.insert(found.end(), outcome.found.begin(), outcome.found.end());
    changes += outcome.changes;
    swings += outcome.swings;
    away += outcome.away;
  }
  void print(const char* kind, const char* whose) const {
    std::printf(
        "%-14s %-6s near after %5.0f s (median), %5.0f s (p90); %5.2f changes, %5.3f swings a miner; away %4.1f %% of the "
        "time\n",
        kind, whose, quantile(found, 0.5), quantile(found, 0.9), changes / kMinersOfKind, swings / kMinersOfKind,
        100 * away / kMinersOfKind);
  }
};

TEST(OracleVardiff, FindsTheWantedShareRateAsSoonAsSrisWithFewerChangesAndSwings) {
  Oracle sri("serve");
  std::uint64_t seed = 1;
  for (const Kind& kind : kinds()) {
    Sums ours, sris;
    for (int i = 0; i < kMinersOfKind; ++i, ++seed) {
      std::mt19937_64 random(seed);
      const double rate = kAssumed * std::pow(10, std::uniform_real_distribution(-1.0, 2.0)(random));
      const int phase = std::uniform_int_distribution(0, 59)(random);
      const Miner miner = kind.make(rate, random);
      Ours our_rule;
      Sris sri_rule(sri, phase);
      ours.add(run(miner, our_rule, seed));
      sris.add(run(miner, sri_rule, seed));
    }
    ours.print(kind.name, "ours");
    sris.print(kind.name, "SRI's");
    for (const double fraction : {0.5, 0.9})
      EXPECT_LE(quantile(ours.found, fraction), 1.05 * quantile(sris.found, fraction)) << kind.name << ", " << fraction;
    EXPECT_LT(ours.changes, sris.changes) << kind.name;
    EXPECT_LE(ours.swings, sris.swings) << kind.name;
    EXPECT_LE(ours.away, sris.away) << kind.name;
  }
}

}  // namespace
}  // namespace adit::oracle
