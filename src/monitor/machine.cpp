#include "monitor/machine.h"

#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>
#include <system_error>

#include "base/number.h"

namespace adit::monitor {
namespace {

/// proc_pid_stat(5): ticks since the machine was started.
std::optional<double> started_after_boot() {
  std::ifstream file("/proc/self/stat");
  std::string stat;
  if (!std::getline(file, stat) || stat.rfind(')') == std::string::npos) return std::nullopt;
  // What stands before may hold anything: the program's name. What follows begins with the third field.
  std::istringstream rest(stat.substr(stat.rfind(')') + 1));
  constexpr int kStartTime = 22;
  std::string field;
  for (int i = 3; i <= kStartTime; ++i) rest >> field;
  const long ticks = ::sysconf(_SC_CLK_TCK);
  const auto start = number_from<std::uint64_t>(field);
  if (!start || ticks <= 0) return std::nullopt;
  return static_cast<double>(*start) / static_cast<double>(ticks);
}

std::optional<double> started_at() {
  // The clock of those ticks: it counts while the machine sleeps, and nobody sets it. A container may have an uptime of its
  // own.
  timespec boot{};
  const auto started = started_after_boot();
  if (!started || ::clock_gettime(CLOCK_BOOTTIME, &boot) != 0) return std::nullopt;
  const double since_boot = static_cast<double>(boot.tv_sec) + static_cast<double>(boot.tv_nsec) / 1e9;
  const auto now = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  return now - (since_boot - *started);
}

std::optional<std::uint64_t> resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t size = 0;
  std::uint64_t resident = 0;
  const long page = ::sysconf(_SC_PAGESIZE);
  if (!(file >> size >> resident) || page <= 0) return std::nullopt;
  return resident * static_cast<std::uint64_t>(page);
}

double seconds_of(const timeval& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6; }

}  // namespace

MachineSample look_at_machine(const std::string& data_dir) {
  MachineSample sample;
  std::error_code unknown;
  if (!data_dir.empty()) {
    const auto space = std::filesystem::space(data_dir, unknown);
    if (!unknown) sample.disk_free_bytes = space.available;
  }
  // It does not change, and a clock that is set would make it look as if it did.
  static const std::optional<double> kStarted = started_at();
  sample.started_unix_seconds = kStarted;
  sample.resident_bytes = resident_bytes();
  rusage used{};
  if (getrusage(RUSAGE_SELF, &used) == 0) sample.cpu_seconds = seconds_of(used.ru_utime) + seconds_of(used.ru_stime);
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return sample;
  sample.descriptors_limit = limit.rlim_cur;
  std::uint64_t count = 0;
  for (std::filesystem::directory_iterator open("/proc/self/fd", unknown);
       !unknown && open != std::filesystem::directory_iterator(); open.increment(unknown))
    ++count;
  // Not even the folder of descriptors can be opened without one.
  if (unknown == std::errc::too_many_files_open) count = limit.rlim_cur;
  if (!unknown || unknown == std::errc::too_many_files_open) sample.descriptors_open = count;
  return sample;
}

void add_process(Families& out, const MachineSample& machine) {
  const auto gauge = [&](std::string_view name, std::string_view help, const auto& value) {
    if (value) out.gauge(name, help).add(*value);
  };
  if (machine.cpu_seconds)
    out.counter("process_cpu_seconds_total", "Seconds that the process's threads have run").add(*machine.cpu_seconds);
  gauge("process_resident_memory_bytes", "Memory of the process that is in RAM", machine.resident_bytes);
  gauge("process_start_time_seconds", "When the process was started, in Unix time", machine.started_unix_seconds);
  gauge("process_open_fds", "Descriptors that the process has open", machine.descriptors_open);
  if (machine.descriptors_limit != 0)
    out.gauge("process_max_fds", "Descriptors that it may have").add(machine.descriptors_limit);
}

}  // namespace adit::monitor
