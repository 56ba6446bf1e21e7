// The adapter of toml++; its exceptions end here.

// It would end the process where a table's name begins oddly, which it refuses as a fault of the file a few lines further on.
#define TOML_ASSERT(expr) static_cast<void>(0)
#include <toml++/toml.h>

#include "config/node.h"

namespace adit::config::detail {
namespace {

void convert(const toml::node& from, const std::string& file, std::string path, Node& to) {
  to.line = static_cast<int>(from.source().begin.line);
  to.where = to.line > 0 ? file + ":" + std::to_string(to.line) : file;
  to.path = std::move(path);
  if (const auto* table = from.as_table()) {
    auto& keys = to.value.emplace<Keys>();
    for (const auto& [key, value] : *table) {
      const std::string name(key.str());
      convert(value, file, to.path.empty() ? name : to.path + "." + name, keys[name]);
    }
  } else if (const auto* array = from.as_array()) {
    auto& list = to.value.emplace<List>();
    for (const auto& value : *array) convert(value, file, to.path, list.emplace_back());
  } else if (const auto* text = from.as_string()) {
    to.value = text->get();
  } else if (const auto* whole = from.as_integer()) {
    to.value = whole->get();
  } else if (const auto* number = from.as_floating_point()) {
    to.value = number->get();
  } else if (const auto* truth = from.as_boolean()) {
    to.value = truth->get();
  } else {
    to.value = Date{};
  }
}

}  // namespace

void read_toml(State& state, std::string_view toml) {
  try {
    const toml::table table = toml::parse(toml, state.name);
    convert(table, state.name, "", state.root);
    state.root.where = state.name;
    state.root.line = 0;
  } catch (const toml::parse_error& error) {
    const int line = static_cast<int>(error.source().begin.line);
    state.readable = false;
    state.findings.push_back({Severity::kError, state.name + ":" + std::to_string(line),
                              "this is not TOML: " + std::string(error.description()) + " (column " +
                                  std::to_string(error.source().begin.column) + ")",
                              line});
  }
}

}  // namespace adit::config::detail
