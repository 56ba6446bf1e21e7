// A strict reader of Prometheus' text format 0.0.4, written from its description and not from our writer, so that a test can
// say of any text that every scraper takes it.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace adit::monitor::test {

class PrometheusText {
 public:
  /// Reads all of `text`. What breaks a rule is in problem().
  explicit PrometheusText(std::string_view text) {
    if (!text.empty() && !text.ends_with('\n')) complain("the last line does not end", text);
    for (std::size_t line = 1; !text.empty() && problem_.empty(); ++line) {
      const auto end = text.find('\n');
      read_line(text.substr(0, end));
      if (!problem_.empty()) problem_ = "line " + std::to_string(line) + ": " + problem_;
      text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    }
    close_family();
  }

  /// Empty: the text is as it must be.
  [[nodiscard]] const std::string& problem() const { return problem_; }
  /// The value of the sample that is written like this, such as `name{a="b"}`; absent: there is none.
  [[nodiscard]] std::optional<double> value(const std::string& series) const {
    const auto found = samples_.find(series);
    return found == samples_.end() ? std::nullopt : std::optional(found->second);
  }
  /// "gauge", "counter", "histogram"; empty: there is no such family.
  [[nodiscard]] std::string type(const std::string& family) const {
    const auto found = types_.find(family);
    return found == types_.end() ? std::string() : found->second;
  }
  [[nodiscard]] std::size_t count(std::string_view name) const {
    std::size_t found = 0;
    for (const auto& [series, value] : samples_) found += series == name || series.starts_with(std::string(name) + "{") ? 1 : 0;
    return found;
  }
  /// All of them, as they are written.
  [[nodiscard]] const std::map<std::string, double>& samples() const { return samples_; }
  [[nodiscard]] const std::map<std::string, std::string>& types() const { return types_; }

 private:
  using Labels = std::map<std::string, std::string>;

  void complain(std::string what, std::string_view where) {
    if (problem_.empty()) problem_ = std::move(what) + ": " + std::string(where.substr(0, 200));
  }

  static bool is_name(std::string_view text, bool colons) {
    if (text.empty() || (text[0] >= '0' && text[0] <= '9')) return false;
    for (const char c : text) {
      const bool good =
          (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || (colons && c == ':');
      if (!good) return false;
    }
    return true;
  }

  // RFC 3629, by its table of byte sequences.
  static bool is_utf8(std::string_view text) {
    const auto in = [&](std::size_t i, unsigned low, unsigned high) {
      return i < text.size() && static_cast<unsigned char>(text[i]) >= low && static_cast<unsigned char>(text[i]) <= high;
    };
    for (std::size_t i = 0; i < text.size();) {
      if (in(i, 0x00, 0x7f)) {
        i += 1;
      } else if (in(i, 0xc2, 0xdf) && in(i + 1, 0x80, 0xbf)) {
        i += 2;
      } else if ((in(i, 0xe0, 0xe0) && in(i + 1, 0xa0, 0xbf) && in(i + 2, 0x80, 0xbf)) ||
                 (in(i, 0xe1, 0xec) && in(i + 1, 0x80, 0xbf) && in(i + 2, 0x80, 0xbf)) ||
                 (in(i, 0xed, 0xed) && in(i + 1, 0x80, 0x9f) && in(i + 2, 0x80, 0xbf)) ||
                 (in(i, 0xee, 0xef) && in(i + 1, 0x80, 0xbf) && in(i + 2, 0x80, 0xbf))) {
        i += 3;
      } else if ((in(i, 0xf0, 0xf0) && in(i + 1, 0x90, 0xbf) && in(i + 2, 0x80, 0xbf) && in(i + 3, 0x80, 0xbf)) ||
                 (in(i, 0xf1, 0xf3) && in(i + 1, 0x80, 0xbf) && in(i + 2, 0x80, 0xbf) && in(i + 3, 0x80, 0xbf)) ||
                 (in(i, 0xf4, 0xf4) && in(i + 1, 0x80, 0x8f) && in(i + 2, 0x80, 0xbf) && in(i + 3, 0x80, 0xbf))) {
        i += 4;
      } else {
        return false;
      }
    }
    return true;
  }

  void read_line(std::string_view line) {
    if (!is_utf8(line)) return complain("it is not UTF-8", line);
    if (line.empty()) return complain("an empty line", line);
    if (line[0] == '#') return read_comment(line);
    read_sample(line);
  }

  void read_comment(std::string_view line) {
    const bool help = line.starts_with("# HELP ");
    if (!help && !line.starts_with("# TYPE ")) return complain("a comment", line);
    const auto rest = line.substr(7);
    const auto space = rest.find(' ');
    const std::string name(rest.substr(0, space));
    const std::string_view what = space == std::string_view::npos ? std::string_view() : rest.substr(space + 1);
    if (!is_name(name, true)) return complain("no name", line);
    if (help) {
      close_family();
      if (!helps_.insert(name).second) return complain("a second HELP", line);
      if (types_.contains(name)) return complain("HELP behind its TYPE", line);
      for (std::size_t i = 0; i < what.size(); ++i) {
        if (what[i] == '\\' && (++i == what.size() || (what[i] != '\\' && what[i] != 'n')))
          return complain("a bad escape", line);
      }
      family_ = name;
      return;
    }
    if (name != family_) return complain("TYPE without its HELP before it", line);
    if (what != "gauge" && what != "counter" && what != "histogram") return complain("no type", line);
    if (!types_.emplace(name, what).second) return complain("a second TYPE", line);
  }

  void read_sample(std::string_view line) {
    const auto end = line.find_first_of("{ ");
    if (end == std::string_view::npos) return complain("no value", line);
    const std::string name(line.substr(0, end));
    if (!is_name(name, true)) return complain("no name", line);
    std::string_view rest = line.substr(end);
    Labels labels;
    if (rest[0] == '{' && !read_labels(rest, labels, line)) return;
    const std::string series(line.substr(0, static_cast<std::size_t>(rest.data() - line.data())));
    if (!rest.starts_with(' ')) return complain("no space before the value", line);
    const std::string text(rest.substr(1));
    double value = 0;
    if (text == "+Inf" || text == "-Inf") {
      value = text == "+Inf" ? HUGE_VAL : -HUGE_VAL;
    } else if (text == "NaN") {
      value = NAN;
    } else {
      char* stopped = nullptr;
      value = std::strtod(text.c_str(), &stopped);
      const bool decimal = text.find_first_not_of("0123456789+-.e") == std::string::npos;
      if (text.empty() || *stopped != '\0' || !decimal) return complain("no value", line);
    }

    const auto type = types_.find(family_);
    if (type == types_.end()) return complain("a sample without its TYPE", line);
    const bool histogram = type->second == "histogram";
    const bool belongs =
        histogram ? name == family_ + "_bucket" || name == family_ + "_sum" || name == family_ + "_count" : name == family_;
    if (!belongs) return complain("a sample of another family than the one that was begun (" + family_ + ")", line);
    if (type->second == "counter" && !(value >= 0)) return complain("a counter below 0", line);
    if (!seen_.emplace(name, labels).second) return complain("a second sample with equal labels", line);
    samples_[series] = value;
    if (histogram) read_histogram(name, labels, value, line);
  }

  void read_histogram(const std::string& name, Labels labels, double value, std::string_view line) {
    const bool bucket = name.ends_with("_bucket");
    const auto bound = labels.find("le");
    if (bucket != (bound != labels.end())) return complain("`le` belongs to buckets and to nothing else", line);
    const double upper = !bucket ? 0 : bound->second == "+Inf" ? HUGE_VAL : std::atof(bound->second.c_str());
    if (bucket) labels.erase("le");
    Buckets& buckets = histograms_[labels];
    if (bucket) {
      if (buckets.bound && upper <= *buckets.bound) return complain("bounds do not ascend", line);
      if (value < buckets.below) return complain("buckets do not add up", line);
      buckets.bound = upper;
      buckets.below = value;
    } else if (name.ends_with("_count")) {
      buckets.count = value;
    } else {
      buckets.sum = value;
    }
  }

  bool read_labels(std::string_view& rest, Labels& labels, std::string_view line) {
    rest.remove_prefix(1);
    while (true) {
      const auto equals = rest.find('=');
      if (equals == std::string_view::npos || !is_name(rest.substr(0, equals), false))
        return complain("no label name", line), false;
      const std::string name(rest.substr(0, equals));
      rest.remove_prefix(equals + 1);
      if (!rest.starts_with('"')) return complain("a label without quotes", line), false;
      rest.remove_prefix(1);
      std::string value;
      while (!rest.starts_with('"')) {
        if (rest.empty()) return complain("a label that does not end", line), false;
        if (rest[0] == '\\') {
          if (rest.size() < 2 || (rest[1] != '\\' && rest[1] != '"' && rest[1] != 'n'))
            return complain("a bad escape", line), false;
          value += rest[1] == 'n' ? '\n' : rest[1];
          rest.remove_prefix(2);
        } else {
          value += rest[0];
          rest.remove_prefix(1);
        }
      }
      rest.remove_prefix(1);
      if (!labels.emplace(name, value).second) return complain("one label twice", line), false;
      if (rest.starts_with(',')) {
        rest.remove_prefix(1);
        continue;
      }
      if (!rest.starts_with('}')) return complain("labels that do not end", line), false;
      rest.remove_prefix(1);
      return true;
    }
  }

  void close_family() {
    for (const auto& [labels, buckets] : histograms_) {
      if (!buckets.bound || *buckets.bound != HUGE_VAL) complain("a histogram without its last bucket", family_);
      if (!buckets.count || *buckets.count != buckets.below)
        complain("a histogram whose count is not its last bucket", family_);
      if (!buckets.sum) complain("a histogram without its sum", family_);
    }
    histograms_.clear();
  }

  struct Buckets {
    std::optional<double> bound;
    double below = 0;
    std::optional<double> count;
    std::optional<double> sum;
  };

  std::string problem_;
  std::string family_;  ///< The one that is being read.
  std::set<std::string> helps_;
  std::map<std::string, std::string> types_;
  std::map<std::string, double> samples_;
  std::set<std::pair<std::string, Labels>> seen_;
  std::map<Labels, Buckets> histograms_;  ///< Of family_.
};

}  // namespace adit::monitor::test
