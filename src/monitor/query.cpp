#include "monitor/query.h"

#include <algorithm>

#include "base/number.h"

namespace adit::monitor {
namespace {

std::string decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto code =
        text[i] == '%' && i + 2 < text.size() ? number_from<std::uint8_t>(text.substr(i + 1, 2), 16) : std::nullopt;
    if (code) {
      out += static_cast<char>(*code);
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

Result<std::uint64_t> whole_number(std::string_view query, std::string_view name, std::uint64_t otherwise) {
  const auto value = query_value(query, name);
  if (!value) return otherwise;
  const auto number = number_from<std::uint64_t>(*value);
  if (!number) return fail(QueryErrc::kBad, std::string(name) + " must be a whole number of at least 0");
  return *number;
}

}  // namespace

std::optional<std::string> query_value(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
    const auto equals = pair.find('=');
    if (pair.substr(0, equals) != name) continue;
    return decode(equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1));
  }
  return std::nullopt;
}

Result<Page> page_of(std::string_view query) {
  Page page;
  ADIT_TRY(page.offset, whole_number(query, "offset", 0));
  ADIT_TRY(const auto limit, whole_number(query, "limit", Page::kDefaultLimit));
  page.limit = std::min(limit, Page::kMaxLimit);
  return page;
}

}  // namespace adit::monitor
