// What `adit load` measures of a pool: latencies, tips, and the CPU time and memory of the pool's process.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "base/result.h"
#include "base/time.h"
#include "bitcoin/hash.h"

namespace adit::load {

/// Durations, counted in buckets of at most 1/16 of their value. A value; adding allocates nothing.
class Histogram {
 public:
  void add(Duration duration);
  void add(const Histogram& other);
  [[nodiscard]] std::uint64_t count() const { return count_; }

  /// The upper bound of the bucket that holds the `fraction`th (0 to 1) duration; 0 if there is none.
  [[nodiscard]] Duration quantile(double fraction) const;

 private:
  static constexpr std::size_t kSteps = 16;  ///< Buckets per power of two; the first kSteps values have one each.
  std::array<std::uint64_t, 64 * kSteps> buckets_{};
  std::uint64_t count_ = 0;
};

/// When each connection heard of one new tip.
struct Tip {
  struct Hearing {
    std::uint32_t connection = 0;
    Instant at{};
    bool operator==(const Hearing&) const = default;
  };
  bitcoin::Hash256 prev_hash{};
  std::vector<Hearing> heard;
};

/// What the connections of one shard, and in the end of all, add up. Not thread-safe.
struct Meter {
  static constexpr std::size_t kMaxTips = 10'000;  ///< Later ones are not kept.

  std::uint64_t submitted = 0;
  std::uint64_t accepted = 0;
  std::map<std::string, std::uint64_t, std::less<>> rejected;  ///< By error code.
  std::uint64_t held_back = 0;                                 ///< Paced shares that a full connection could not take.
  std::uint64_t not_found = 0;  ///< Searches that ended without a share: the target is too hard for a load test.
  Histogram acknowledged;       ///< From sending the last share of a batch to its acknowledgement.
  std::vector<Tip> tips;        ///< In the order first heard.

  void on_rejected(std::string_view code);
  void on_tip(const bitcoin::Hash256& prev_hash, Tip::Hearing hearing);
  void add(const Meter& other);
};

enum class Errc {
  kRefused,    ///< The pool refused the connection or the channel: the sentence has its words.
  kClosed,     ///< The pool closed the channel.
  kStalled,    ///< The pool answers too slowly to go on.
  kProcess,    ///< No such process, or it may not be looked at.
  kResources,  ///< This machine does not allow as many connections.
};
constexpr std::string_view error_layer(Errc) { return "load"; }
std::string_view error_name(Errc code);

/// CPU time and memory of another process of this machine.
class ProcessMeter {
 public:
  /// Error: kProcess.
  static Result<ProcessMeter> of(pid_t pid);

  /// CPU time of all its threads since it started, those that ended included. Error: kProcess.
  [[nodiscard]] Result<Duration> cpu() const;

  /// Its resident set, in bytes. Error: kProcess.
  [[nodiscard]] Result<std::uint64_t> resident() const;

 private:
  ProcessMeter(pid_t pid, clockid_t clock) : pid_(pid), clock_(clock) {}
  pid_t pid_;
  clockid_t clock_;
};

}  // namespace adit::load
