#include <unistd.h>

#include "base/text.h"
#include "config/node.h"

namespace adit::config {

Environment environment_of_process() {
  Environment all;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    if (const auto equals = text.find('='); equals != std::string_view::npos) {
      all.emplace_back(text.substr(0, equals), text.substr(equals + 1));
    }
  }
  return all;
}

namespace detail {
namespace {

// Sorted after everything that has a line.
constexpr int kAfterTheFile = 1 << 30;

void mark(Node& node, const std::string& variable, std::string path) {
  node.where = "environment variable " + variable;
  node.line = kAfterTheFile;
  node.path = std::move(path);
}

// The child of `table` called `name` in any case; made if absent.
Node& child(Node& table, std::string_view name, const std::string& variable) {
  auto& keys = std::get<Keys>(table.value);
  for (auto& [key, node] : keys) {
    if (equal_without_case(key, name)) return node;
  }
  Node& made = keys[lower_case(name)];
  mark(made, variable, table.path.empty() ? lower_case(name) : table.path + "." + lower_case(name));
  return made;
}

void set(Node& table, std::string_view path, const std::string& variable, const std::string& value) {
  Node* at = &table;
  while (true) {
    const auto cut = path.find("__");
    Node& next = child(*at, path.substr(0, cut), variable);
    next.from_environment = true;
    if (cut == std::string_view::npos) {
      mark(next, variable, next.path);
      next.value = Raw{value};
      return;
    }
    if (!std::holds_alternative<Keys>(next.value)) {
      mark(next, variable, next.path);
      next.value = Keys{};
    }
    at = &next;
    path.remove_prefix(cut + 2);
  }
}

}  // namespace

bool equal_without_case(std::string_view a, std::string_view b) { return lower_case(a) == lower_case(b); }

std::size_t lay_environment_over(State& state, std::string_view prefix, const Environment& environment) {
  const std::string begin = lower_case(prefix) + "__";
  constexpr std::string_view kUpstream = "upstream_";
  std::size_t count = 0;
  std::map<std::string, Node> upstreams;
  for (const auto& [name, value] : environment) {
    if (name.size() <= begin.size() || lower_case(name.substr(0, begin.size())) != begin) continue;
    ++count;
    const std::string path = lower_case(name.substr(begin.size()));
    if (const auto cut = path.find("__"); path.starts_with(kUpstream) && cut != std::string::npos && cut > kUpstream.size()) {
      const auto [entry, is_new] = upstreams.try_emplace(path.substr(kUpstream.size(), cut - kUpstream.size()));
      if (is_new) mark(entry->second, name, "upstreams");
      set(entry->second, std::string_view(path).substr(cut + 2), name, value);
    } else {
      set(state.root, path, name, value);
    }
  }
  if (!upstreams.empty()) {
    Node& list = std::get<Keys>(state.root.value)["upstreams"];
    mark(list, std::string(prefix) + "__UPSTREAM_*", "upstreams");
    auto& entries = list.value.emplace<List>();
    for (auto& [name, node] : upstreams) entries.push_back(std::move(node));
  }
  return count;
}

}  // namespace detail
}  // namespace adit::config
