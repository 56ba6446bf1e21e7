// Metric families of Prometheus, each under its name, and the text that a scrape reads.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace adit::monitor {

/// Names and values, in the order in which they are written. A value may be any bytes: it is written as label_value() has it.
using Labels = std::vector<std::pair<std::string, std::string>>;

/// `text` as a label's value may be: bytes that are not UTF-8, and control characters, become U+FFFD; what comes after the
/// first 255 bytes is left out (no name in Stratum V2 is longer).
std::string label_value(std::string_view text);

/// How often what was measured lay in which bucket.
struct Histogram {
  std::vector<double> bounds;         ///< Upper bounds, ascending, without the last, which is infinite.
  std::vector<std::uint64_t> counts;  ///< Of each bucket by itself; one more than bounds.
  double sum = 0;                     ///< Of everything measured.
};

enum class MetricType : std::uint8_t { kGauge, kCounter, kHistogram };

/// The samples of one name.
class Family {
 public:
  /// Adds `value` to the sample with these labels, which is 0 until then: two names that look the same once they are written
  /// are counted together, and no two samples ever have equal labels. All samples of a family must have the same label names.
  void add(double value, const Labels& labels = {});
  void add(std::integral auto count, const Labels& labels = {}) { add(static_cast<double>(count), labels); }
  void add(const Histogram& value, const Labels& labels = {});

  [[nodiscard]] std::size_t size() const { return samples_.size(); }

 private:
  friend class Families;

  struct Sample {
    std::string labels;  ///< As written, without the braces; empty: none.
    double value = 0;
    Histogram histogram;
  };

  Family(std::string name, std::string help, MetricType type) : name_(std::move(name)), help_(std::move(help)), type_(type) {}
  /// Null if `labels` are not those of this family.
  Sample* find(const Labels& labels);
  void append(std::string& out, const Sample& sample) const;

  std::string name_;
  std::string help_;
  MetricType type_;
  std::vector<std::string> label_names_;                 ///< Of the first sample.
  std::vector<Sample> samples_;                          ///< In the order of their first add().
  std::unordered_map<std::string, std::size_t> places_;  ///< In samples_, by labels as written.
  std::vector<std::string> defects_;
};

/// All families of one scrape. A value; not thread-safe.
class Families {
 public:
  /// The family of that name, made at its first mention and written in that order. References stay valid as long as this.
  Family& gauge(std::string_view name, std::string_view help) { return get(name, help, MetricType::kGauge); }
  /// A counter's name ends in "_total". That of a gauge does not, except in SRI's names ("sv1_", "sv2_").
  Family& counter(std::string_view name, std::string_view help) { return get(name, help, MetricType::kCounter); }
  Family& histogram(std::string_view name, std::string_view help) { return get(name, help, MetricType::kHistogram); }

  /// Takes over what `other` has.
  void append(const Families& other);

  /// What was asked of it that makes no sense: one name with two types or helps, names that are not names, other label names
  /// than those of a family's first sample. Each is a mistake in the program, in one sentence; what it concerned is left out of
  /// the text, so that the rest of a scrape is not lost with it.
  [[nodiscard]] std::vector<std::string> defects() const;

  /// How many samples there are; a histogram's count as one.
  [[nodiscard]] std::size_t size() const;

  /// The text format 0.0.4. Of families that would make it longer than `max_bytes`, later ones first, samples are left out, as
  /// many as `left_out` is increased by. A family without samples is not written.
  [[nodiscard]] std::string text(std::size_t max_bytes, std::size_t& left_out) const;

 private:
  Family& get(std::string_view name, std::string_view help, MetricType type);

  std::deque<Family> families_;
  std::map<std::string, std::size_t, std::less<>> places_;  ///< In families_, by name.
  std::deque<Family> refused_;                              ///< Those that must not be written.
  std::vector<std::string> defects_;
};

}  // namespace adit::monitor
