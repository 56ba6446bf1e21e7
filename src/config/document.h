// A TOML file, overridden by the environment, read key by key; what is wrong with it is collected and told all at once.
//
//   Document document = Document::open("pool.toml", "POOL", environment_of_process());
//   Table root = document.root();
//   root.require("server_id", "the number of this pool");
//   config.server_id = root.integer<std::uint8_t>("server_id").value_or(0);
//   std::vector<Finding> findings = document.finish();
//
// A key that nobody asked for is an error of finish(): asking declares it.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace adit::config {

enum class Severity {
  kError,    ///< The configuration is wrong: nothing may start with it.
  kBlocker,  ///< It is well formed, but the role refuses to start with it (`adit check` passes).
  kWarning,  ///< The role starts; the user should know.
  kNotYet,   ///< Accepted, and has no effect: the feature is not here yet.
};
std::string_view to_string(Severity severity);

/// One thing to tell the user.
struct Finding {
  Severity severity = Severity::kError;
  std::string where;    ///< "pool.toml:12", or "environment variable POOL__SERVER_ID".
  std::string message;  ///< A sentence without a full stop; never holds the value of a secret.
  int line = 0;         ///< For sorting; 0: of the file as a whole.

  /// "pool.toml:12: message".
  [[nodiscard]] std::string text() const;
};

/// True if one of `findings` is of that severity.
bool has(const std::vector<Finding>& findings, Severity severity);

/// Names and values of environment variables.
using Environment = std::vector<std::pair<std::string, std::string>>;
Environment environment_of_process();

/// What a role's loader returns.
template <class Config>
struct Loaded {
  Config config;                  ///< Means something only if valid().
  std::vector<Finding> findings;  ///< In the order of the file.
  [[nodiscard]] bool valid() const { return !has(findings, Severity::kError); }
  [[nodiscard]] bool may_start() const { return valid() && !has(findings, Severity::kBlocker); }
};

namespace detail {
struct Node;
struct State;
}  // namespace detail

/// One table of a document; a view that must not outlive it. Every getter declares its key as known, returns nullopt if the key
/// is absent, and reports a wrong type or range (file, line, key, what is expected) before it returns nullopt.
class Table {
 public:
  std::optional<std::string> text(std::string_view key);
  std::optional<bool> boolean(std::string_view key);

  /// A finite number in [least, most]; whole numbers are taken too.
  std::optional<double> number(std::string_view key, double least, double most);

  /// A whole number in [least, most].
  template <std::integral T>
  std::optional<T> integer(std::string_view key, T least = std::numeric_limits<T>::min(),
                           T most = std::numeric_limits<T>::max()) {
    const auto value = whole(key, static_cast<std::int64_t>(least), clamp(most));
    return value ? std::optional<T>(static_cast<T>(*value)) : std::nullopt;
  }

  /// As text, but no report shows the value.
  std::optional<std::string> secret(std::string_view key);

  std::optional<std::vector<std::string>> texts(std::string_view key);

  template <std::integral T>
  std::optional<std::vector<T>> integers(std::string_view key) {
    const auto values =
        wholes(key, static_cast<std::int64_t>(std::numeric_limits<T>::min()), clamp(std::numeric_limits<T>::max()));
    if (!values) return std::nullopt;
    std::vector<T> out;
    for (const std::int64_t value : *values) out.push_back(static_cast<T>(value));
    return out;
  }

  std::optional<Table> table(std::string_view key);

  /// An array of tables; empty if the key is absent.
  std::vector<Table> tables(std::string_view key);

  /// A table that holds exactly one of the tables `names` (SRI's enums: [template_provider_type.Sv2Tp]). Names are compared
  /// without case, because the environment has none. `key` absent: nullopt; another name, or more than one: reported.
  std::optional<std::pair<std::string, Table>> variant(std::string_view key, std::initializer_list<std::string_view> names);

  /// True if the key is there, of whatever type. Declares nothing.
  [[nodiscard]] bool has(std::string_view key) const;
  /// True if the key is there and a list. Declares nothing.
  [[nodiscard]] bool has_list(std::string_view key) const;
  /// True if the key is there and neither `false` nor an empty list. Declares nothing.
  [[nodiscard]] bool has_something(std::string_view key) const;

  /// Reports an error if the key is absent; `what` says what it is for. True if it is there.
  bool require(std::string_view key, std::string_view what);

  /// Reports `message` at the key's line, or at this table's if the key is absent. Declares nothing.
  void report(Severity severity, std::string_view key, std::string message);

 private:
  friend class Document;
  Table(detail::State& state, detail::Node& node) : state_(&state), node_(&node) {}

  template <std::integral T>
  static constexpr std::int64_t clamp(T most) {
    return std::cmp_greater(most, std::numeric_limits<std::int64_t>::max()) ? std::numeric_limits<std::int64_t>::max()
                                                                            : static_cast<std::int64_t>(most);
  }
  detail::Node* ask(std::string_view key);
  std::optional<std::int64_t> whole(std::string_view key, std::int64_t least, std::int64_t most);
  std::optional<std::vector<std::int64_t>> wholes(std::string_view key, std::int64_t least, std::int64_t most);
  void wrong(const detail::Node& node, std::string_view key, const std::string& expected);

  detail::State* state_;
  detail::Node* node_;
};

class Document {
 public:
  /// Reads the file at `path` and lays the variables of `environment` over it that begin with `prefix` and "__", as SRI does:
  /// `__` goes down one table, lists are separated by commas, and any PREFIX__UPSTREAM_<NAME>__<FIELD> replaces the whole list
  /// `upstreams` by one entry for each NAME, in their alphabetic order. The file may be absent if such a variable is set.
  /// An unreadable file, or one that is not TOML, is a finding, and readable() is false.
  static Document open(const std::string& path, std::string_view prefix, const Environment& environment);

  /// The same from text; `name` stands for the file in findings.
  static Document parse(std::string_view toml, std::string name, std::string_view prefix, const Environment& environment);

  Document(Document&&) noexcept;
  Document& operator=(Document&&) noexcept;
  ~Document();

  [[nodiscard]] bool readable() const;
  Table root();

  /// Reports every key that nobody asked for, with the nearest known one, and returns all findings in the order of the file.
  std::vector<Finding> finish();

 private:
  Document();
  std::unique_ptr<detail::State> state_;
};

/// `text` as a string of TOML, in double quotes. Its bytes are not checked to be UTF-8.
std::string toml_text(std::string_view text);

/// Edits (insertions, deletions, changes, swaps of neighbours) between two keys.
std::size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace adit::config
