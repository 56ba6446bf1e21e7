#include "roles/load/meter.h"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <ctime>

namespace adit::load {
namespace {

Duration duration(const timespec& time) { return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec); }

std::unexpected<Error> unreadable(pid_t pid) {
  return fail(Errc::kProcess, "process " + std::to_string(pid) + " is not there, or belongs to somebody else");
}

}  // namespace

std::string_view error_name(Errc code) {
  switch (code) {
    case Errc::kRefused:
      return "refused";
    case Errc::kClosed:
      return "closed";
    case Errc::kStalled:
      return "stalled";
    case Errc::kProcess:
      return "process";
    case Errc::kResources:
      return "resources";
  }
  return "unknown";
}

// A value below kSteps is its own bucket; above, the bucket is the exponent and the kSteps steps between two powers of two.
void Histogram::add(Duration duration) {
  const auto value = static_cast<std::uint64_t>(std::max<Duration::rep>(duration.count(), 0));
  std::size_t bucket = value;
  if (value >= kSteps) {
    const auto shift = static_cast<std::size_t>(std::bit_width(value) - std::bit_width(std::uint64_t{kSteps}));
    bucket = shift * kSteps + (value >> shift);
  }
  ++buckets_[bucket];
  ++count_;
}

void Histogram::add(const Histogram& other) {
  for (std::size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
}

Duration Histogram::quantile(double fraction) const {
  if (count_ == 0) return Duration::zero();
  const auto wanted = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(fraction * static_cast<double>(count_))));
  std::uint64_t seen = 0;
  std::size_t bucket = 0;
  while (bucket + 1 < buckets_.size() && (seen += buckets_[bucket]) < wanted) ++bucket;
  if (bucket < kSteps) return Duration(bucket);
  const std::size_t shift = bucket / kSteps - 1;
  return Duration(((bucket % kSteps + kSteps + 1) << shift) - 1);
}

void Meter::on_rejected(std::string_view code) {
  const auto known = rejected.find(code);
  ++(known != rejected.end() ? known->second : rejected[std::string(code)]);
}

void Meter::on_tip(const bitcoin::Hash256& prev_hash, Tip::Hearing hearing) {
  auto tip = std::find_if(tips.rbegin(), tips.rend(), [&](const Tip& known) { return known.prev_hash == prev_hash; });
  if (tip == tips.rend()) {
    if (tips.size() >= kMaxTips) return;
    tips.push_back({.prev_hash = prev_hash, .heard = {}});
    tip = tips.rbegin();
  }
  tip->heard.push_back(hearing);
}

void Meter::add(const Meter& other) {
  submitted += other.submitted;
  accepted += other.accepted;
  for (const auto& [code, count] : other.rejected) rejected[code] += count;
  held_back += other.held_back;
  not_found += other.not_found;
  acknowledged.add(other.acknowledged);
  for (const Tip& tip : other.tips) {
    for (const Tip::Hearing& hearing : tip.heard) on_tip(tip.prev_hash, hearing);
  }
}

Result<ProcessMeter> ProcessMeter::of(pid_t pid) {
  clockid_t clock{};
  if (::clock_getcpuclockid(pid, &clock) != 0) return unreadable(pid);
  ProcessMeter meter(pid, clock);
  ADIT_CHECK(meter.cpu());
  ADIT_CHECK(meter.resident());
  return meter;
}

Result<Duration> ProcessMeter::cpu() const {
  timespec time{};
  if (::clock_gettime(clock_, &time) != 0) return unreadable(pid_);
  return duration(time);
}

Result<std::uint64_t> ProcessMeter::resident() const {
  std::FILE* file = std::fopen(("/proc/" + std::to_string(pid_) + "/statm").c_str(), "r");
  unsigned long total = 0;
  unsigned long pages = 0;
  const bool read = file != nullptr && std::fscanf(file, "%lu %lu", &total, &pages) == 2;
  if (file != nullptr) (void)std::fclose(file);
  if (!read) return unreadable(pid_);
  return std::uint64_t{pages} * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace adit::load
