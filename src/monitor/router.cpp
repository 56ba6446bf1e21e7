#include "monitor/router.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace adit::monitor {
namespace {

std::string_view take_part(std::string_view& path) {
  const auto slash = path.find('/');
  const auto part = path.substr(0, slash);
  path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
  return part;
}

/// The path's parts that stand for those in braces; absent: it is another path.
std::optional<std::vector<std::string_view>> match(std::string_view pattern, std::string_view path) {
  if (!path.starts_with('/')) return std::nullopt;
  if (std::ranges::count(pattern, '/') != std::ranges::count(path, '/')) return std::nullopt;
  std::vector<std::string_view> arguments;
  pattern.remove_prefix(1);
  path.remove_prefix(1);
  while (!pattern.empty() || !path.empty()) {
    const auto wanted = take_part(pattern);
    const auto part = take_part(path);
    if (wanted.starts_with('{')) {
      if (part.empty()) return std::nullopt;
      arguments.push_back(part);
    } else if (wanted != part) {
      return std::nullopt;
    }
  }
  return arguments;
}

}  // namespace

std::variant<Router::Match, Response> Router::find(const Request& request) const {
  const std::string_view method = request.method == "HEAD" ? "GET" : std::string_view(request.method);
  std::string allowed;
  for (const Route& route : routes_) {
    auto arguments = match(route.pattern, request.path);
    if (!arguments) continue;
    if (route.method == method) return Match{&route, std::move(*arguments)};
    if (!allowed.empty()) allowed += ", ";
    allowed += route.method;
    if (route.method == "GET") allowed += ", HEAD";
  }
  if (allowed.empty()) {
    std::string all;
    std::string_view last;
    for (const Route& route : routes_) {
      if (!route.listed || route.pattern.find('{') != std::string_view::npos) continue;
      if (std::exchange(last, route.pattern) != route.pattern) all.append(all.empty() ? "" : ", ").append(route.pattern);
    }
    return refuse(404, "there is no such page; there are " + all);
  }
  auto refusal = refuse(405, "this page is served to " + allowed + " only");
  refusal.headers.emplace_back("Allow", allowed);
  return refusal;
}

}  // namespace adit::monitor
