// What the tests of channels and of the roles above them share: templates and shares with work in them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/hex.h"
#include "base/time.h"
#include "bitcoin/coinbase.h"
#include "bitcoin/template.h"
#include "channels/job.h"
#include "channels/share.h"

namespace adit::channels::testing {

inline constexpr std::uint32_t kNtime = 1'745'596'910;
/// No share of a test meets it.
inline constexpr std::uint32_t kHardBits = 0x1b00d7c0;
/// Every other hash meets it (regtest).
inline constexpr std::uint32_t kRegtestBits = 0x207fffff;

inline bitcoin::Hash256 hash_of(std::uint8_t fill) {
  bitcoin::Hash256 hash;
  hash.fill(fill);
  return hash;
}

/// A template on the tip named by `tip`; `id` also varies the coinbase value, so that jobs of one tip differ.
inline bitcoin::TemplatePtr make_template(std::uint64_t id, std::uint8_t tip, std::uint32_t nbits = kHardBits,
                                          std::size_t path = 0) {
  auto made = std::make_shared<bitcoin::Template>();
  made->id = id;
  made->version = 0x20000000;
  made->prev_hash = hash_of(tip);
  made->nbits = nbits;
  made->min_ntime = kNtime;
  made->current_time = kNtime;
  made->height = 100u + tip;
  made->coinbase_script_prefix = bitcoin::height_push(100U + tip);
  made->coinbase_value_sat = 5'000'000'000 + id;
  for (std::size_t i = 0; i < path; ++i) made->merkle_path.push_back(hash_of(static_cast<std::uint8_t>(0x80 + i)));
  return made;
}

inline JobFactory make_factory() {
  return JobFactory({.payout_script = {0x00, 0x14, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20},
                     .pool_signature = "test"});
}

inline const Now kNow{Instant{std::chrono::hours(1)}, from_u32(kNtime + 100)};

/// Hash of the header of `share`, as a number.
inline bitcoin::U256 hash_of(const Job& job, const Share& share, Bytes full_extranonce) {
  return bitcoin::U256::from_le(bitcoin::sha256d_header(share_header(job.rules, share, job.merkle_root(full_extranonce))));
}

/// `share` with the first nonce from its own on whose hash is above `above` and at most `target`.
inline Share mine(const Job& job, Share share, Bytes full_extranonce, const bitcoin::U256& target,
                  const bitcoin::U256& above = bitcoin::U256{}) {
  const auto root = job.merkle_root(full_extranonce);
  for (;; ++share.nonce) {
    const auto hash = bitcoin::U256::from_le(bitcoin::sha256d_header(share_header(job.rules, share, root)));
    if (hash > above && hash <= target) return share;
  }
}

}  // namespace adit::channels::testing
