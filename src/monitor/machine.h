// What the process takes of its machine, and what the machine has left.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "monitor/families.h"

namespace adit::monitor {

/// Absent: it is not known.
struct MachineSample {
  std::optional<std::uint64_t> disk_free_bytes{};   ///< Where the role keeps its data.
  std::optional<std::uint64_t> descriptors_open{};  ///< Of the process, as all of what follows.
  std::uint64_t descriptors_limit = 0;
  std::optional<std::uint64_t> resident_bytes{};
  std::optional<double> cpu_seconds{};           ///< That its threads have run.
  std::optional<double> started_unix_seconds{};  ///< When it was started.
};

/// `data_dir`: whose disk is looked at; empty: none.
MachineSample look_at_machine(const std::string& data_dir);

/// Adds what Prometheus' clients show of their process, under their names.
void add_process(Families& out, const MachineSample& machine);

}  // namespace adit::monitor
