// A URL that parses is written back as one that parses to the same.
#include "upstream/url.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/require_testing.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto parsed = adit::upstream::parse_url(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!parsed) return 0;
  const auto again = adit::upstream::parse_url(adit::upstream::to_url(*parsed));
  adit::require(again && *again == *parsed);
  return 0;
}
