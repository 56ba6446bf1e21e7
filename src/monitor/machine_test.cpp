#include "monitor/machine.h"

#include <chrono>

#include <gtest/gtest.h>

#include "monitor/prometheus_testing.h"

namespace adit::monitor {
namespace {

double unix_now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

const double kStarted = unix_now();  // As this process is.

TEST(Machine, IsSeenFromTheProcess) {
  const MachineSample machine = look_at_machine("/");
  ASSERT_TRUE(machine.descriptors_open && machine.resident_bytes && machine.cpu_seconds && machine.started_unix_seconds);
  EXPECT_GE(*machine.descriptors_open, 3u);
  EXPECT_GE(machine.descriptors_limit, *machine.descriptors_open);
  EXPECT_GT(*machine.resident_bytes, 1u << 20);
  EXPECT_TRUE(machine.disk_free_bytes);
  EXPECT_NEAR(*machine.started_unix_seconds, kStarted, 60);
  EXPECT_EQ(look_at_machine("/").started_unix_seconds, machine.started_unix_seconds) << "it does not change";
  EXPECT_EQ(look_at_machine("/none").disk_free_bytes, std::nullopt);
}

TEST(Machine, IsShownUnderTheNamesOfPrometheusClients) {
  Families out;
  add_process(out, look_at_machine(""));
  std::size_t left_out = 0;
  const test::PrometheusText text(out.text(1 << 16, left_out));
  EXPECT_EQ(text.problem(), "");
  EXPECT_EQ(text.type("process_cpu_seconds_total"), "counter");
  for (const char* const name :
       {"process_resident_memory_bytes", "process_start_time_seconds", "process_open_fds", "process_max_fds"})
    EXPECT_EQ(text.type(name), "gauge") << name;
  Families nothing;
  add_process(nothing, {});
  EXPECT_EQ(nothing.size(), 0u);
}

}  // namespace
}  // namespace adit::monitor
