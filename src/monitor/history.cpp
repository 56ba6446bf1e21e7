#include "monitor/history.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <ranges>
#include <utility>

namespace adit::monitor {
namespace {

/// Four digits are more than a plot shows.
json::value rounded(double number) {
  if (!std::isfinite(number) || number == 0) return json::number(number);
  const double exponent = std::floor(std::log10(std::abs(number))) - 3;
  const double power = std::pow(10.0, std::abs(exponent));
  return json::number(exponent < 0 ? std::round(number * power) / power : std::round(number / power) * power);
}

/// `next` into `point`: rates are averaged, counts added up.
void put_together(Point& point, const Point& next) {
  point.looks += next.looks;
  const double weight = static_cast<double>(next.looks) / point.looks;
  const auto mean = [&](double before, double after) { return before + (after - before) * weight; };
  point.id = next.id;
  point.at = next.at;
  point.measured_hps = mean(point.measured_hps, next.measured_hps);
  point.declared_hps = mean(point.declared_hps, next.declared_hps);
  point.accepted += next.accepted;
  point.rejected += next.rejected;
  point.miners = next.miners;
  if (next.rtt_ms) point.rtt_ms = next.rtt_ms;
}

json::object columns_of(const std::vector<Point>& points) {
  json::array at;
  json::array measured;
  json::array declared;
  json::array accepted;
  json::array rejected;
  json::array miners;
  json::array rtt;
  for (const Point& point : points) {
    at.emplace_back(to_u32(point.at));
    measured.push_back(rounded(point.measured_hps));
    declared.push_back(rounded(point.declared_hps));
    accepted.emplace_back(point.accepted);
    rejected.emplace_back(point.rejected);
    miners.emplace_back(point.miners);
    rtt.push_back(point.rtt_ms ? rounded(*point.rtt_ms) : json::value(nullptr));
  }
  return {{"at", std::move(at)},
          {"measured_hps", std::move(measured)},
          {"declared_hps", std::move(declared)},
          {"accepted", std::move(accepted)},
          {"rejected", std::move(rejected)},
          {"miners", std::move(miners)},
          {"rtt_ms", std::move(rtt)}};
}

}  // namespace

void History::add(const Point& point) {
  for (std::size_t i = 0; i < kSpans.size(); ++i) {
    auto& points = points_[i];
    const auto step_of = [&](const Point& of) { return kSpans[i].step_of(of.at); };
    // Points ahead of this one were taken before the clock was set back.
    while (points.size() > 1 && step_of(points[points.size() - 2]) >= step_of(point)) {
      const Point ahead = points.back();
      points.pop_back();
      put_together(points.back(), ahead);
    }
    if (!points.empty() && step_of(points.back()) >= step_of(point)) {
      put_together(points.back(), point);
    } else {
      points.push_back(point);
    }
    const std::size_t most = kSpans[i].most();
    while (points.size() > most || points.front().at + kSpans[i].length < point.at) {
      if (i == 0) forgotten_ = points.front().id;
      points.pop_front();
    }
  }
}

void History::add(Mark mark) {
  marks_.push_back(std::move(mark));
  ++marks_added_;
  if (marks_.size() > kMaxMarks) marks_.pop_front();
}

History::Part History::after(const Position& position) const {
  Part part;
  for (std::size_t i = 0; i < kSpans.size(); ++i) {
    std::ranges::copy_if(points_[i], std::back_inserter(part.points[i]),
                         [&](const Point& point) { return point.id > position.point; });
  }
  const auto fresh = static_cast<std::size_t>(std::min<std::uint64_t>(marks_added_ - position.marks, marks_.size()));
  part.marks.assign(marks_.end() - static_cast<std::ptrdiff_t>(fresh), marks_.end());
  part.until = {.point = points_.front().empty() ? 0 : points_.front().back().id, .marks = marks_added_};
  return part;
}

void History::restore(Part part, UnixTime now) {
  for (std::size_t i = 0; i < kSpans.size(); ++i) {
    auto& points = points_[i];
    const std::size_t most = kSpans[i].most();
    // From the newest to the oldest.
    for (Point& point : std::views::reverse(part.points[i])) {
      const auto limit = points.empty() ? kSpans[i].step_of(now) + 1 : kSpans[i].step_of(points.front().at);
      if (point.at > now || kSpans[i].step_of(point.at) >= limit) continue;
      if (points.size() == most || point.at + kSpans[i].length < now) break;
      point.id = 0;
      points.push_front(point);
    }
  }
  const UnixTime limit = marks_.empty() ? now : std::min(now, marks_.front().at);
  for (Mark& mark : std::views::reverse(part.marks)) {
    if (marks_.size() == kMaxMarks) break;
    if (mark.at <= limit && mark.at + kSpans.back().length >= now) marks_.push_front(std::move(mark));
  }
}

std::optional<json::object> History::columns(std::string_view span) const {
  const auto found = std::ranges::find(kSpans, span, &Span::name);
  if (found == kSpans.end()) return std::nullopt;
  const auto& points = points_[static_cast<std::size_t>(found - kSpans.begin())];
  // Steps are put together, not points, so that a point never stands for both sides of a gap.
  const std::size_t together = points.size() <= kMaxAnswered ? 1 : (found->most() + kMaxAnswered - 1) / kMaxAnswered;
  std::vector<Point> answered;
  std::size_t last_group = 0;
  for (const Point& point : points) {
    const auto steps_ago = static_cast<std::size_t>(found->step_of(points.back().at) - found->step_of(point.at));
    const std::size_t group = std::min(steps_ago, found->most() - 1) / together;
    if (answered.empty() || group != last_group) {
      answered.push_back(point);
    } else {
      put_together(answered.back(), point);
    }
    last_group = group;
  }
  json::object out = columns_of(answered);
  out["span"] = found->name;
  out["length_secs"] = found->length.count();
  out["id"] = points.empty() ? 0 : points.back().id;
  json::array marks;
  for (const Mark& mark : marks_) {
    if (!points.empty() && mark.at + found->length >= points.back().at) marks.push_back(of(mark));
  }
  out["marks"] = std::move(marks);
  return out;
}

json::object History::since(std::uint64_t id) const {
  std::vector<Point> newer;
  std::ranges::copy_if(points_.front(), std::back_inserter(newer), [id](const Point& point) { return point.id > id; });
  json::object out = columns_of(newer);
  out["complete"] = forgotten_ <= id;
  return out;
}

json::object History::of(const Mark& mark) {
  return {{"at", to_u32(mark.at)}, {"kind", mark.kind}, {"text", json::text(mark.text)}};
}

}  // namespace adit::monitor
