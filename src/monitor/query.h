// What a request's query asks for. No I/O.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace adit::monitor {

enum class QueryErrc { kBad };
constexpr std::string_view error_layer(QueryErrc) { return "query"; }
constexpr std::string_view error_name(QueryErrc) { return "bad"; }

/// The value of `name` in "a=1&b=2", with percent signs and '+' resolved; absent: `query` does not have it.
std::optional<std::string> query_value(std::string_view query, std::string_view name);

/// Which part of a list is asked for, by SRI's rules.
struct Page {
  static constexpr std::uint64_t kDefaultLimit = 25;
  static constexpr std::uint64_t kMaxLimit = 100;

  std::uint64_t offset = 0;             ///< As asked for; it may lie beyond the end.
  std::uint64_t limit = kDefaultLimit;  ///< At most kMaxLimit, whatever was asked for; 0: none.

  /// The range [first, last) of a list of that size.
  [[nodiscard]] std::size_t first(std::size_t size) const { return offset < size ? static_cast<std::size_t>(offset) : size; }
  [[nodiscard]] std::size_t last(std::size_t size) const {
    const std::size_t from = first(size);
    return size - from < limit ? size : from + static_cast<std::size_t>(limit);
  }
};

/// `offset` and `limit` of a query. Error: kBad, with a sentence for whoever asked.
Result<Page> page_of(std::string_view query);

}  // namespace adit::monitor
