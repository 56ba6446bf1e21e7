// What a Bitcoin node says on its IPC socket.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "template/node_info.h"

namespace adit::cli {

struct IpcQuestions {
  unsigned count = 4;                            ///< Round trips to measure.
  Duration deadline = std::chrono::seconds(10);  ///< For each step.
  bool block = true;                             ///< Fetch the template's whole block.
};

/// What was found out, as far as it got.
struct IpcReport {
  Duration reached{};                         ///< Zero: it was not reached.
  bool has_rpc = false;                       ///< Bitcoin Core 31.99 or later.
  std::optional<templates::ChainInfo> chain;  ///< Absent where the node does not say.
  bool is_test_chain = false;                 ///< Where `has_rpc` is false.
  bool is_downloading = false;                ///< It has not caught up with the chain.
  std::optional<Duration> template_after;
  std::uint32_t height = 0;
  std::uint64_t value_sat = 0;
  std::chrono::seconds clock_ahead{0};  ///< The node's, of ours.
  std::optional<Duration> block_after;
  std::size_t transactions = 0;
  std::size_t block_bytes = 0;
  std::vector<Duration> round_trips;
};

/// Errors: ipc's; of a build without IPC net's kUnsupported.
Result<> ping_node(const std::string& socket_path, const IpcQuestions& questions, IpcReport& report);

}  // namespace adit::cli
