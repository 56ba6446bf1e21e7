// The header of the PROXY protocol: a reader that takes no more than is missing takes at most kMaxProxyHeader bytes, comes to
// the same end however the bytes arrive, and what it understood is found again in a header that says the same.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/require_testing.h"
#include "session/proxy_header.h"

namespace {

using namespace adit;

std::vector<std::uint8_t> again(const session::ProxiedClient& client) {
  std::vector<std::uint8_t> header = {'\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n', 0x21};
  const std::size_t size = client.is_v6 ? 16 : 4;
  header.push_back(client.is_v6 ? 0x21 : 0x11);
  header.push_back(0);
  header.push_back(static_cast<std::uint8_t>(2 * size + 4));
  for (int end = 0; end < 2; ++end) header.insert(header.end(), client.address.begin(), client.address.begin() + size);
  for (int end = 0; end < 2; ++end) {
    header.push_back(static_cast<std::uint8_t>(client.port >> 8U));
    header.push_back(static_cast<std::uint8_t>(client.port));
  }
  return header;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes input(data, size);
  std::size_t taken = 0;
  for (;;) {
    const auto header = session::read_proxy_header(input.first(taken));
    if (!header) {
      require(!header.error().message().empty() && header.error().message().size() < 160);
      return 0;
    }
    if (header->missing == 0) {
      require(taken <= session::kMaxProxyHeader);
      if (!header->client) return 0;
      const auto said = again(*header->client);
      const auto same = session::read_proxy_header(said);
      require(same && same->missing == 0 && same->client == header->client);
      return 0;
    }
    require(!header->client && taken + header->missing <= session::kMaxProxyHeader);
    // What is there but is less than what is missing says no more than that so much more is to come.
    for (std::size_t some = 1; some < header->missing && some < 40 && taken + some <= size; ++some) {
      const auto less = session::read_proxy_header(input.first(taken + some));
      require(!less || less->missing != 0);
    }
    if (taken + header->missing > size) return 0;
    taken += header->missing;
  }
}
