// What a role did over the last minutes, hours and days: figures for plots. An engine: time is an argument. history_store.h has
// how it outlives the process.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "monitor/json.h"

namespace adit::monitor {

/// One look at a role, or several that were put together.
struct Point {
  std::uint64_t id = 0;        ///< Of the newest look in it: ids ascend. 0: all looks are an earlier process's.
  UnixTime at{};               ///< Of that look.
  double measured_hps = 0;     ///< Hashes per second that shares prove.
  double declared_hps = 0;     ///< That clients declare.
  std::uint64_t accepted = 0;  ///< Shares since the point before.
  std::uint64_t rejected = 0;  ///< Likewise.
  std::uint64_t miners = 0;
  std::optional<double> rtt_ms{};  ///< Round trip to the server above; absent: there is none, or it is not known.
  unsigned looks = 1;              ///< That were put together.
};

inline constexpr std::array<std::string_view, 5> kMarkKinds = {"tip", "block", "upstream", "path", "state"};

/// Something that happened at one moment, to be marked in a plot.
struct Mark {
  UnixTime at{};
  std::string_view kind;  ///< One of kMarkKinds.
  std::string text;       ///< For people.
};

/// Bounded: three spans of points, each with a step of its own, and the newest marks. Not thread-safe.
class History {
 public:
  struct Span {
    std::string_view name;
    std::chrono::seconds length;
    std::chrono::seconds step;
    /// Points that it has at most.
    [[nodiscard]] constexpr std::size_t most() const { return static_cast<std::size_t>(length / step); }
    /// Steps between 1970 and `at`.
    [[nodiscard]] constexpr std::int64_t step_of(UnixTime at) const { return at.time_since_epoch() / step; }
  };
  /// A change of these is another version of the file: history_store.cpp.
  static constexpr std::array<Span, 3> kSpans = {
      Span{.name = "10m", .length = std::chrono::minutes(10), .step = std::chrono::seconds(1)},
      Span{.name = "6h", .length = std::chrono::hours(6), .step = std::chrono::seconds(10)},
      Span{.name = "7d", .length = std::chrono::hours(24 * 7), .step = std::chrono::minutes(1)}};
  static constexpr std::size_t kMaxMarks = 256;
  /// An answer has no more points: where there are more, neighbouring steps are put together.
  static constexpr std::size_t kMaxAnswered = 720;

  /// Looks in one step of a span become one point of it. Where the clock was set back, points that lie ahead of `point` are put
  /// together with it: times ascend, each step has one point, and no share is lost.
  void add(const Point& point);
  void add(Mark mark);

  /// One span as columns, and the marks within it. Absent: no span has that name.
  [[nodiscard]] std::optional<json::object> columns(std::string_view span) const;

  /// The points of the shortest span that came after the one with that id, as columns; `complete` is false where older ones
  /// were forgotten already.
  [[nodiscard]] json::object since(std::uint64_t id) const;

  /// How far the history was written down.
  struct Position {
    std::uint64_t point = 0;  ///< Id of the newest point.
    std::uint64_t marks = 0;  ///< How many marks were added by then.
  };
  /// Points of each span and marks, both oldest first.
  struct Part {
    std::array<std::vector<Point>, kSpans.size()> points;
    std::vector<Mark> marks;
    Position until;  ///< Of the newest in it.
  };

  /// What was added or changed after `position`. Nothing of restore() is, until new looks are put together with it.
  [[nodiscard]] Part after(const Position& position) const;

  /// Puts what an earlier process wrote down before what this one has. Left out: what is older than a span, what lies in the
  /// future of `now` (the clock was set back), and what is not older than this process's own.
  void restore(Part part, UnixTime now);

  [[nodiscard]] static json::object of(const Mark& mark);
  [[nodiscard]] const std::deque<Mark>& marks() const { return marks_; }

 private:
  std::array<std::deque<Point>, kSpans.size()> points_;
  std::uint64_t forgotten_ = 0;  ///< The newest id that the shortest span has no more.
  std::deque<Mark> marks_;       ///< Oldest first.
  std::uint64_t marks_added_ = 0;
};

}  // namespace adit::monitor
