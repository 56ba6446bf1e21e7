#include "monitor/negotiation.h"

#include <algorithm>
#include <optional>
#include <string>

#include "base/number.h"
#include "base/text.h"

namespace adit::monitor {
namespace {

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

bool equals(std::string_view left, std::string_view right) {
  return std::ranges::equal(left, right, [](char a, char b) { return lower_case(a) == lower_case(b); });
}

/// Calls `each(name, weight)` for "name;q=weight, ...": a weight is 1 where none is given, 0 where it cannot be read.
template <class Each>
void for_each(std::string_view header, Each each) {
  while (!header.empty()) {
    std::string_view element = header.substr(0, header.find(','));
    header.remove_prefix(std::min(element.size() + 1, header.size()));
    const auto name = trimmed(element.substr(0, element.find(';')));
    double weight = 1;
    while (element.find(';') != std::string_view::npos) {
      element.remove_prefix(element.find(';') + 1);
      const auto parameter = trimmed(element.substr(0, element.find(';')));
      if (parameter.size() >= 2 && equals(parameter.substr(0, 2), "q="))
        weight = number_from<double>(parameter.substr(2)).value_or(0);
    }
    if (!name.empty()) each(name, weight);
  }
}

/// How much `header` wants `name`; a range that is more exact counts before one that is less.
double weight_of(std::string_view header, std::string_view name, std::string_view range, std::string_view any) {
  std::optional<double> exact;
  std::optional<double> by_range;
  std::optional<double> by_any;
  for_each(header, [&](std::string_view given, double weight) {
    if (equals(given, name)) {
      exact = weight;
    } else if (equals(given, range)) {
      by_range = weight;
    } else if (given == any) {
      by_any = weight;
    }
  });
  return exact.value_or(by_range.value_or(by_any.value_or(0)));
}

}  // namespace

bool prefers_html(std::string_view accept) {
  return weight_of(accept, "text/html", "text/*", "*/*") > weight_of(accept, "application/json", "application/*", "*/*");
}

bool accepts_gzip(std::string_view accept_encoding) { return weight_of(accept_encoding, "gzip", "x-gzip", "*") > 0; }

bool names_etag(std::string_view if_none_match, std::string_view etag) {
  bool named = false;
  for_each(if_none_match, [&](std::string_view given, double) {
    if (given.starts_with("W/")) given.remove_prefix(2);
    named = named || given == etag || given == "*";
  });
  return named;
}

}  // namespace adit::monitor
