#include "config/document.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <fstream>
#include <numeric>
#include <sstream>
#include <system_error>

#include "base/bytes.h"
#include "base/hex.h"
#include "base/number.h"
#include "base/text.h"
#include "config/node.h"

namespace adit::config {

using detail::Date;
using detail::Keys;
using detail::List;
using detail::Node;
using detail::Raw;
using detail::State;

namespace {

constexpr std::size_t kMaxFileBytes = 1 << 20;

std::string shortened(const std::string& text) {
  constexpr std::size_t kShown = 40;
  return text.size() <= kShown ? text : text.substr(0, kShown) + "...";
}

std::string number_text(double value) {
  char digits[32];
  return {digits, std::to_chars(digits, digits + sizeof digits, value).ptr};
}

// What a wrong value is, for "must be ..., not ...".
std::string describe(const Node& node) {
  struct Describe {
    std::string operator()(const Raw& raw) const { return "\"" + shortened(raw.text) + "\""; }
    std::string operator()(const std::string& text) const { return "the string \"" + shortened(text) + "\""; }
    std::string operator()(bool truth) const { return truth ? "true" : "false"; }
    std::string operator()(std::int64_t whole) const { return std::to_string(whole); }
    std::string operator()(double number) const { return number_text(number); }
    std::string operator()(const Date&) const { return "a date"; }
    std::string operator()(const List&) const { return "a list"; }
    std::string operator()(const Keys&) const { return "a table"; }
  };
  return std::visit(Describe{}, node.value);
}

std::optional<std::string> as_text(const Node& node) {
  if (const auto* text = std::get_if<std::string>(&node.value)) return *text;
  if (const auto* raw = std::get_if<Raw>(&node.value)) return raw->text;
  return std::nullopt;
}

std::optional<std::int64_t> as_whole(const Node& node) {
  if (const auto* whole = std::get_if<std::int64_t>(&node.value)) return *whole;
  const auto* raw = std::get_if<Raw>(&node.value);
  return raw == nullptr ? std::nullopt : number_from<std::int64_t>(raw->text);
}

std::optional<double> as_number(const Node& node) {
  if (const auto* number = std::get_if<double>(&node.value)) return *number;
  if (const auto* whole = std::get_if<std::int64_t>(&node.value)) return static_cast<double>(*whole);
  const auto* raw = std::get_if<Raw>(&node.value);
  return raw == nullptr ? std::nullopt : number_from<double>(raw->text);
}

std::optional<bool> as_boolean(const Node& node) {
  if (const auto* truth = std::get_if<bool>(&node.value)) return *truth;
  if (const auto* raw = std::get_if<Raw>(&node.value)) {
    if (detail::equal_without_case(raw->text, "true")) return true;
    if (detail::equal_without_case(raw->text, "false")) return false;
  }
  return std::nullopt;
}

// A list, or the comma-separated items of an environment variable.
std::optional<List> as_list(const Node& node) {
  if (const auto* list = std::get_if<List>(&node.value)) return *list;
  const auto* raw = std::get_if<Raw>(&node.value);
  if (raw == nullptr) return std::nullopt;
  List items;
  std::stringstream text(raw->text);
  for (std::string item; std::getline(text, item, ',');) {
    const auto first = item.find_first_not_of(" \t");
    if (first == std::string::npos) continue;
    item = item.substr(first, item.find_last_not_of(" \t") - first + 1);
    Node& made = items.emplace_back();
    made.where = node.where, made.line = node.line, made.path = node.path;
    made.value = Raw{std::move(item)};
  }
  return items;
}

std::string range(std::int64_t least, std::int64_t most) {
  return "a whole number from " + std::to_string(least) + " to " + std::to_string(most);
}

std::string in_table(const Node& table) { return table.path.empty() ? "at the top level" : "in [" + table.path + "]"; }

// Tables that a reader entered, the root first.
void collect_entered(const Node& node, std::vector<const Node*>& out) {
  if (const auto* keys = std::get_if<Keys>(&node.value)) {
    if (!node.entered) return;
    out.push_back(&node);
    for (const auto& [key, child] : *keys) collect_entered(child, out);
  } else if (const auto* list = std::get_if<List>(&node.value)) {
    for (const Node& child : *list) collect_entered(child, out);
  }
}

// The message for a key of `table` that nobody asked for.
std::string unknown_key(const std::string& key, const Node& table, const std::vector<const Node*>& entered) {
  const std::string* nearest = nullptr;
  std::size_t best = std::max<std::size_t>(2, key.size() / 3) + 1;
  for (const std::string& known : table.asked) {
    if (const std::size_t distance = edit_distance(key, known); distance < best) best = distance, nearest = &known;
  }
  if (nearest != nullptr) return "unknown key " + in_quotes(key, '`') + "; did you mean " + in_quotes(*nearest, '`') + "?";
  // The usual slip in TOML: a key below the header of a table to which it does not belong.
  for (const Node* other : entered) {
    if (other->path != table.path && other->asked.contains(key)) {
      const std::string home = other->path.empty() ? "the top level, above the first [table]" : "[" + other->path + "]";
      return "unknown key " + in_quotes(key, '`') + " " + in_table(table) + "; it belongs to " + home;
    }
  }
  return "unknown key " + in_quotes(key, '`') + " " + in_table(table);
}

}  // namespace

std::string_view to_string(Severity severity) {
  switch (severity) {
    case Severity::kError:
      return "error";
    case Severity::kBlocker:
      return "stops the start";
    case Severity::kWarning:
      return "warning";
    case Severity::kNotYet:
      return "not here yet";
  }
  return "error";
}

std::string Finding::text() const { return where + ": " + message; }

bool has(const std::vector<Finding>& findings, Severity severity) {
  return std::ranges::any_of(findings, [severity](const Finding& finding) { return finding.severity == severity; });
}

std::string toml_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out.append(1, '\\').append(1, c);
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += "\\u00" + to_hex(as_bytes(std::string_view(&c, 1)));
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  // Optimal string alignment: three rows of the usual table.
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> above(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(above.begin(), above.end(), 0u);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] == b[j - 1] ? 0u : 1u)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, above);
    std::swap(above, row);
  }
  return above[b.size()];
}

Node* Table::ask(std::string_view key) {
  node_->asked.emplace(key);
  auto& keys = std::get<Keys>(node_->value);
  const auto found = keys.find(key);
  return found == keys.end() ? nullptr : &found->second;
}

void Table::wrong(const Node& node, std::string_view key, const std::string& expected) {
  state_->findings.push_back({Severity::kError, node.where, in_quotes(key, '`') + " must be " + expected, node.line});
}

std::optional<std::string> Table::text(std::string_view key) {
  const Node* const node = ask(key);
  if (node == nullptr) return std::nullopt;
  auto value = as_text(*node);
  if (!value) wrong(*node, key, "a string, not " + describe(*node));
  return value;
}

std::optional<std::string> Table::secret(std::string_view key) {
  const Node* const node = ask(key);
  if (node == nullptr) return std::nullopt;
  auto value = as_text(*node);
  if (!value) wrong(*node, key, "a string");
  return value;
}

std::optional<bool> Table::boolean(std::string_view key) {
  const Node* const node = ask(key);
  if (node == nullptr) return std::nullopt;
  const auto value = as_boolean(*node);
  if (!value) wrong(*node, key, "true or false, not " + describe(*node));
  return value;
}

std::optional<double> Table::number(std::string_view key, double least, double most) {
  const Node* const node = ask(key);
  if (node == nullptr) return std::nullopt;
  const auto value = as_number(*node);
  if (value && std::isfinite(*value) && *value >= least && *value <= most) return value;
  wrong(*node, key, "a number from " + number_text(least) + " to " + number_text(most) + ", not " + describe(*node));
  return std::nullopt;
}

std::optional<std::int64_t> Table::whole(std::string_view key, std::int64_t least, std::int64_t most) {
  const Node* const node = ask(key);
  if (node == nullptr) return std::nullopt;
  const auto value = as_whole(*node);
  if (value && *value >= least && *value <= most) return value;
  wrong(*node, key, range(least, most) + ", not " + describe(*node));
  return std::nullopt;
}

std::optional<std::vector<std::string>> Table::texts(std::string_view key) {
  const Node* const node = ask(key);
  if (node == nullptr) return std::nullopt;
  const auto list = as_list(*node);
  if (!list) {
    wrong(*node, key, "a list of strings, not " + describe(*node));
    return std::nullopt;
  }
  std::vector<std::string> out;
  for (const Node& item : *list) {
    auto value = as_text(item);
    if (!value) {
      wrong(item, key, "a list of strings; it holds " + describe(item));
      return std::nullopt;
    }
    out.push_back(std::move(*value));
  }
  return out;
}

std::optional<std::vector<std::int64_t>> Table::wholes(std::string_view key, std::int64_t least, std::int64_t most) {
  const Node* const node = ask(key);
  if (node == nullptr) return std::nullopt;
  const auto list = as_list(*node);
  const std::string expected = "a list; each item must be " + range(least, most);
  if (!list) {
    wrong(*node, key, expected + ", not " + describe(*node));
    return std::nullopt;
  }
  std::vector<std::int64_t> out;
  for (const Node& item : *list) {
    const auto value = as_whole(item);
    if (!value || *value < least || *value > most) {
      wrong(item, key, expected + ", not " + describe(item));
      return std::nullopt;
    }
    out.push_back(*value);
  }
  return out;
}

std::optional<Table> Table::table(std::string_view key) {
  Node* const node = ask(key);
  if (node == nullptr) return std::nullopt;
  if (!std::holds_alternative<Keys>(node->value)) {
    wrong(*node, key, "a table, not " + describe(*node));
    return std::nullopt;
  }
  node->entered = true;
  return Table(*state_, *node);
}

std::vector<Table> Table::tables(std::string_view key) {
  Node* const node = ask(key);
  if (node == nullptr) return {};
  auto* const list = std::get_if<List>(&node->value);
  if (list == nullptr) {
    wrong(*node, key, "a list of tables ([[" + std::string(key) + "]]), not " + describe(*node));
    return {};
  }
  std::vector<Table> out;
  for (Node& item : *list) {
    if (!std::holds_alternative<Keys>(item.value)) {
      wrong(item, key, "a list of tables ([[" + std::string(key) + "]]); it holds " + describe(item));
      continue;
    }
    item.entered = true;
    out.push_back(Table(*state_, item));
  }
  return out;
}

std::optional<std::pair<std::string, Table>> Table::variant(std::string_view key,
                                                            std::initializer_list<std::string_view> names) {
  auto outer = table(key);
  if (!outer) return std::nullopt;
  std::string choices;
  for (const std::string_view name : names) {
    outer->node_->asked.emplace(name);
    choices += (choices.empty() ? "[" : ", [") + std::string(key) + "." + std::string(name) + "]";
  }
  auto& keys = std::get<Keys>(outer->node_->value);
  // One named in the environment takes the place of the file's.
  if (std::ranges::any_of(keys, [](const auto& entry) { return entry.second.from_environment; })) {
    std::erase_if(keys, [](const auto& entry) { return !entry.second.from_environment; });
  }
  std::vector<std::pair<std::string, std::string>> given;  // The name as declared, and as written.
  for (const auto& [written, node] : keys) {
    const auto match =
        std::ranges::find_if(names, [&](std::string_view name) { return detail::equal_without_case(name, written); });
    if (match != names.end()) given.emplace_back(*match, written);
  }
  if (given.size() != 1) {
    report(Severity::kError, key, in_quotes(key, '`') + " must hold exactly one of " + choices);
    return std::nullopt;
  }
  auto inner = outer->table(given[0].second);
  if (!inner) return std::nullopt;
  return std::pair(given[0].first, *inner);
}

bool Table::has(std::string_view key) const { return std::get<Keys>(node_->value).contains(key); }

bool Table::has_list(std::string_view key) const {
  const auto& keys = std::get<Keys>(node_->value);
  const auto found = keys.find(key);
  return found != keys.end() && std::holds_alternative<List>(found->second.value);
}

bool Table::has_something(std::string_view key) const {
  const auto& keys = std::get<Keys>(node_->value);
  const auto found = keys.find(key);
  if (found == keys.end() || as_boolean(found->second) == false) return false;
  const auto* const list = std::get_if<List>(&found->second.value);
  return list == nullptr || !list->empty();
}

bool Table::require(std::string_view key, std::string_view what) {
  if (has(key)) return true;
  node_->asked.emplace(key);
  state_->findings.push_back({Severity::kError, node_->where,
                              "missing key " + in_quotes(key, '`') + " " + in_table(*node_) + ": " + std::string(what),
                              node_->line});
  return false;
}

void Table::report(Severity severity, std::string_view key, std::string message) {
  const auto& keys = std::get<Keys>(node_->value);
  const auto found = keys.find(key);
  const Node& at = found == keys.end() ? *node_ : found->second;
  state_->findings.push_back({severity, at.where, std::move(message), at.line});
}

Document::Document() : state_(std::make_unique<State>()) { state_->root.entered = true; }
Document::Document(Document&&) noexcept = default;
Document& Document::operator=(Document&&) noexcept = default;
Document::~Document() = default;

Document Document::parse(std::string_view toml, std::string name, std::string_view prefix, const Environment& environment) {
  Document document;
  State& state = *document.state_;
  state.name = std::move(name);
  state.root.where = state.name;
  detail::read_toml(state, toml);
  if (state.readable) detail::lay_environment_over(state, prefix, environment);
  return document;
}

Document Document::open(const std::string& path, std::string_view prefix, const Environment& environment) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string text;
  if (file) {
    text.resize(kMaxFileBytes + 1);
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(file.gcount()));
  }
  // A folder opens but cannot be read.
  const int error = file.is_open() && !file.bad() && (file.eof() || !text.empty()) ? 0 : errno;

  Document document;
  State& state = *document.state_;
  state.name = path;
  state.root.where = path;
  const auto unreadable = [&](std::string message) {
    state.readable = false;
    state.findings.push_back({Severity::kError, path, std::move(message)});
  };
  if (error == 0) {
    if (text.size() > kMaxFileBytes) {
      unreadable("this is larger than 1 MiB: surely not a configuration");
      return document;
    }
    detail::read_toml(state, text);
  } else if (error != ENOENT) {
    unreadable(std::string("cannot be read: ") + std::generic_category().message(error));
  }
  if (!state.readable) return document;
  if (detail::lay_environment_over(state, prefix, environment) == 0 && error == ENOENT) {
    unreadable("there is no such file, and no environment variable begins with " + std::string(prefix) + "__");
  }
  return document;
}

bool Document::readable() const { return state_->readable; }

Table Document::root() { return Table(*state_, state_->root); }

namespace {

// `text` with each control character as \xNN.
std::string printable(std::string_view text) {
  std::string shown;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    byte >= 0x20 && byte != 0x7f ? void(shown += c) : append_escaped_byte(shown, c);
  }
  return shown;
}

}  // namespace

std::vector<Finding> Document::finish() {
  if (state_->readable) {
    std::vector<const Node*> entered;
    collect_entered(state_->root, entered);
    for (const Node* table : entered) {
      for (const auto& [key, node] : std::get<Keys>(table->value)) {
        if (table->asked.contains(key)) continue;
        state_->findings.push_back({Severity::kError, node.where, unknown_key(key, *table, entered), node.line});
      }
    }
  }
  std::vector<Finding> sorted;
  for (Finding& finding : state_->findings) {
    // A key or value that is quoted may hold anything, and is printed to a terminal.
    finding.where = printable(finding.where);
    finding.message = printable(finding.message);
    sorted.insert(std::ranges::upper_bound(sorted, finding.line, {}, &Finding::line), finding);
  }
  return sorted;
}

}  // namespace adit::config
