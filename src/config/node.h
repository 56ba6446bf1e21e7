// The tree behind a Document: TOML's and the environment's values in one shape. Private to src/config.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "config/document.h"

namespace adit::config::detail {

struct Date {};  // TOML has dates; no key of ours takes one.
struct Raw {     // From the environment: takes the type that its reader asks for.
  std::string text;
};
using List = std::vector<Node>;
using Keys = std::map<std::string, Node, std::less<>>;

struct Node {
  std::string where;
  int line = 0;
  std::string path;  // "iroh.relay"; empty: the root.
  std::variant<Raw, std::string, bool, std::int64_t, double, Date, List, Keys> value = Keys{};
  std::set<std::string, std::less<>> asked;  // Of a table: the keys that its reader knows.
  bool entered = false;                      // Of a table: a reader looked inside.
  bool from_environment = false;             // It or something below it was.
};

struct State {
  std::string name;
  bool readable = true;
  Node root;
  std::vector<Finding> findings;
};

/// Fills `state.root` from TOML, or reports why not and clears `readable`.
void read_toml(State& state, std::string_view toml);

/// Lays the variables with `prefix` over `state.root`. Returns how many there are.
std::size_t lay_environment_over(State& state, std::string_view prefix, const Environment& environment);

bool equal_without_case(std::string_view a, std::string_view b);

}  // namespace adit::config::detail
