// The work that shares are measured on: SRI's side (tests/oracle/src/bench.rs) has the same.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "bitcoin/template.h"

namespace adit::bench {

inline constexpr std::uint32_t kNtime = 1'745'596'910;
inline constexpr std::uint32_t kVersion = 0x20000000;

inline bitcoin::TemplatePtr make_template(std::uint64_t id, std::size_t merkle_path) {
  auto made = std::make_shared<bitcoin::Template>();
  made->id = id;
  made->version = kVersion;
  store_le(made->prev_hash.data(), id);  // Another tip each time.
  made->nbits = 0x1700d7c0;
  made->min_ntime = made->current_time = kNtime;
  made->height = 900'000;
  made->coinbase_script_prefix = {3, 0xa0, 0xbb, 0x0d};
  made->coinbase_value_sat = 312'500'000;
  made->coinbase_outputs = {{0, std::vector<std::uint8_t>(38, 0x6a)}};
  made->merkle_path.resize(merkle_path);
  return made;
}

}  // namespace adit::bench
