#include "monitor/families.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <limits>

#include "log/format.h"

namespace adit::monitor {
namespace {

constexpr std::size_t kMaxLabelBytes = 255;

constexpr std::string_view to_string(MetricType type) {
  switch (type) {
    case MetricType::kGauge:
      return "gauge";
    case MetricType::kCounter:
      return "counter";
    case MetricType::kHistogram:
      break;
  }
  return "histogram";
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name(std::string_view name) {
  return !name.empty() && is_letter(name[0]) &&
         std::ranges::all_of(name, [](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
}

void append_escaped(std::string& out, std::string_view text, bool quotes) {
  for (const char c : text) {
    if (c == '\\' || (quotes && c == '"')) out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
}

void append_number(std::string& out, double value) {
  if (std::isnan(value)) {
    out += "NaN";
  } else if (std::isinf(value)) {
    out += value > 0 ? "+Inf" : "-Inf";
  } else {
    char digits[32];
    out.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
  }
}

void append_label(std::string& out, std::string_view name, std::string_view value) {
  if (!out.empty()) out += ',';
  out.append(name) += "=\"";
  append_escaped(out, value, true);
  out += '"';
}

void append_line(std::string& out, std::string_view name, std::string_view labels, std::string_view more, double value) {
  out += name;
  if (!labels.empty() || !more.empty()) {
    out.append("{").append(labels);
    if (!labels.empty() && !more.empty()) out += ',';
    out.append(more) += '}';
  }
  out += ' ';
  append_number(out, value);
  out += '\n';
}

std::string header(std::string_view name, std::string_view help, MetricType type) {
  std::string out = "# HELP ";
  out.append(name) += ' ';
  append_escaped(out, help, false);
  out.append("\n# TYPE ").append(name).append(" ").append(to_string(type)) += '\n';
  return out;
}

}  // namespace

std::string label_value(std::string_view text) { return log::printable(text.substr(0, kMaxLabelBytes)); }

Family::Sample* Family::find(const Labels& labels) {
  const auto name_of = [](const auto& label) -> const std::string& { return label.first; };
  if (const auto bad = std::ranges::find_if_not(labels, is_name, name_of); bad != labels.end()) {
    defects_.push_back(name_ + " has a label whose name is not a name: " + bad->first);
    return nullptr;
  }
  if (samples_.empty()) {
    label_names_.clear();
    std::ranges::transform(labels, std::back_inserter(label_names_), name_of);
  }
  if (!std::ranges::equal(labels, label_names_, {}, name_of)) {
    defects_.push_back(name_ + " has samples with other label names than its first");
    return nullptr;
  }
  std::string written;
  for (const auto& [name, value] : labels) append_label(written, name, label_value(value));
  const auto [at, added] = places_.try_emplace(std::move(written), samples_.size());
  if (added) samples_.push_back({.labels = at->first});
  return &samples_[at->second];
}

void Family::add(double value, const Labels& labels) {
  if (type_ == MetricType::kHistogram) return defects_.push_back(name_ + " is a histogram and was given a number");
  if (auto* const sample = find(labels)) sample->value += value;
}

void Family::add(const Histogram& value, const Labels& labels) {
  if (type_ != MetricType::kHistogram) return defects_.push_back(name_ + " was given a histogram and is none");
  if (value.counts.size() != value.bounds.size() + 1 || !std::ranges::is_sorted(value.bounds)) {
    return defects_.push_back(name_ + " was given a histogram whose buckets are none");
  }
  auto* const sample = find(labels);
  if (sample == nullptr) return;
  Histogram& sum = sample->histogram;
  if (sum.counts.empty()) {
    sum = value;
    return;
  }
  if (sum.bounds != value.bounds) return defects_.push_back(name_ + " has histograms with unequal bounds");
  for (std::size_t i = 0; i < sum.counts.size(); ++i) sum.counts[i] += value.counts[i];
  sum.sum += value.sum;
}

void Family::append(std::string& out, const Sample& sample) const {
  if (type_ != MetricType::kHistogram) return append_line(out, name_, sample.labels, {}, sample.value);
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < sample.histogram.counts.size(); ++i) {
    below += sample.histogram.counts[i];
    std::string bound = "le=\"";
    append_number(bound,
                  i < sample.histogram.bounds.size() ? sample.histogram.bounds[i] : std::numeric_limits<double>::infinity());
    append_line(out, name_ + "_bucket", sample.labels, bound + '"', static_cast<double>(below));
  }
  append_line(out, name_ + "_sum", sample.labels, {}, sample.histogram.sum);
  append_line(out, name_ + "_count", sample.labels, {}, static_cast<double>(below));
}

Family& Families::get(std::string_view name, std::string_view help, MetricType type) {
  const auto refuse = [&](std::string why) -> Family& {
    defects_.push_back(std::string(name) + std::move(why));
    refused_.push_back(Family(std::string(name), std::string(help), type));
    return refused_.back();
  };
  if (const auto there = places_.find(name); there != places_.end()) {
    Family& family = families_[there->second];
    if (family.type_ != type)
      return refuse(" is a " + std::string(to_string(family.type_)) + " and a " + std::string(to_string(type)));
    if (family.help_ != help) return refuse(" has two helps: " + family.help_ + "; " + std::string(help));
    return family;
  }
  if (!is_name(name)) return refuse(" is no name");
  const bool of_sri = name.starts_with("sv1_") || name.starts_with("sv2_");
  if (!of_sri && name.ends_with("_total") != (type == MetricType::kCounter))
    return refuse(": `_total` ends counters' names and no others");
  places_.emplace(name, families_.size());
  families_.push_back(Family(std::string(name), std::string(help), type));
  return families_.back();
}

void Families::append(const Families& other) {
  for (const Family& family : other.families_) {
    Family& mine = get(family.name_, family.help_, family.type_);
    for (const auto& sample : family.samples_) {
      const auto [at, added] = mine.places_.try_emplace(sample.labels, mine.samples_.size());
      if (!added) {
        mine.defects_.push_back(mine.name_ + " comes from two places with the same labels");
        continue;
      }
      mine.samples_.push_back(sample);
    }
    if (mine.label_names_.empty()) mine.label_names_ = family.label_names_;
    mine.defects_.insert(mine.defects_.end(), family.defects_.begin(), family.defects_.end());
  }
  defects_.insert(defects_.end(), other.defects_.begin(), other.defects_.end());
}

std::vector<std::string> Families::defects() const {
  std::vector<std::string> all = defects_;
  for (const auto* some : {&families_, &refused_}) {
    for (const Family& family : *some) all.insert(all.end(), family.defects_.begin(), family.defects_.end());
  }
  return all;
}

std::size_t Families::size() const {
  std::size_t count = 0;
  for (const Family& family : families_) count += family.size();
  return count;
}

std::string Families::text(std::size_t max_bytes, std::size_t& left_out) const {
  std::string out;
  std::string next;
  for (const Family& family : families_) {
    bool first = true;
    for (const auto& sample : family.samples_) {
      next = first ? header(family.name_, family.help_, family.type_) : std::string();
      family.append(next, sample);
      if (out.size() + next.size() > max_bytes) {
        ++left_out;
        continue;
      }
      out += next;
      first = false;
    }
  }
  return out;
}

}  // namespace adit::monitor
