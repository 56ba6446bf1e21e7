// For tests of what no call-back tells.
#pragma once

#include <chrono>
#include <thread>

namespace adit {

/// True once `holds()`; asked again and again for at most a minute, for this machine may be busy.
template <class Condition>
bool eventually(Condition holds) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace adit
