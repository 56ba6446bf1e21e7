// An honest miner that comes to a pool while an attack is on.
#pragma once

#include <cstdint>
#include <string>

#include "attack/peer.h"
#include "attack/pool.h"

namespace adit::attack {

inline constexpr float kEasy = 8;  ///< Hashes for a share.

/// Reads until a SetNewPrevHash of that tip comes.
inline bool hears_tip(Miner& miner, std::uint8_t tip) {
  return miner.until([&](const Frame& frame) {
    const auto told = frame.view().as<wire::SetNewPrevHash>();
    return told && told->prev_hash == channels::testing::hash_of(tip);
  });
}

/// Connects while an attack is on, opens a channel, gets a share accepted and hears of a tip.
inline std::string newcomer_mines(Pool& pool, std::uint8_t tip, std::uint32_t flags = 0, std::uint32_t from = 0) {
  Miner newcomer(pool.server->tcp_port(), authority(), from);
  if (auto problem = newcomer.start("newcomer", flags == 0, kEasy, flags); !problem.empty()) return problem;
  if (auto answer = newcomer.submit(newcomer.mine()); answer != "accepted") return answer;
  pool.source.publish(tip);
  if (!hears_tip(newcomer, tip)) return "no tip";
  const auto answer = newcomer.submit(newcomer.mine());
  newcomer.peer.close();
  return answer == "accepted" ? "" : answer;
}

}  // namespace adit::attack
