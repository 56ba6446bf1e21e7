#include "net/iroh/iroh_log.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "adit_bridge.h"
#include "log/log.h"
#include "net/iroh/event_loop.h"
#include "net/iroh/runtime.h"

namespace adit::net {
namespace {

/// How long an end may take that nobody heard.
constexpr std::uint32_t kLongestWaitMs = 500;

void run(const std::stop_token& stop) {
  const std::stop_callback wake(stop, [] { adit_log_wake(); });
  IrohLines lines;
  std::array<char, 1000> line;
  while (!stop.stop_requested()) {
    std::uint32_t level = 0;
    const auto length = adit_log_take(&level, line.data(), line.size(), kLongestWaitMs);
    if (length < 0) continue;
    lines.write(level, {line.data(), std::min(static_cast<std::size_t>(length), line.size())}, now_from_system().instant);
  }
}

}  // namespace

void IrohLines::write(std::uint32_t level, std::string_view line, Instant now) {
  constexpr std::array kLevels{log::Level::kTrace, log::Level::kDebug, log::Level::kInfo, log::Level::kWarn,
                               log::Level::kError};
  const auto colon = std::min(line.find(": "), line.size());
  const auto words = line.substr(std::min(colon + 2, line.size()));
  const auto written = kLevels[std::min<std::size_t>(level, 4)];
  const auto target = line.substr(0, colon);
  if (written < log::Level::kWarn) {
    log::write(written, "iroh.log", {{"target", target}, {"message", words}});
  } else {
    warnings_.write_at(now, written, "iroh.log", {{"target", target}, {"message", words}});
  }
}

Result<std::unique_ptr<IrohLog>> IrohLog::start(const std::string& filter) {
  if (const auto result = adit_log_start(bridge_view(filter)); result != ADIT_OK)
    return fail(bridge_error(result, 0, "cannot take iroh's log"));
  return std::unique_ptr<IrohLog>(new IrohLog(std::jthread(run)));
}

std::uint64_t IrohLog::lost() { return static_cast<std::uint64_t>(std::max<std::int64_t>(adit_log_lost(), 0)); }

}  // namespace adit::net
