#include "log/log.h"

#include <cerrno>
#include <memory>
#include <system_error>
#include <vector>

#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include "log/format.h"

namespace adit::log {
namespace detail {
std::atomic<Level> level{Level::kInfo};
}

namespace {

constexpr std::size_t kQueuedEvents = 8192;

spdlog::level::level_enum to_spdlog(Level level) { return static_cast<spdlog::level::level_enum>(level); }
static_assert(static_cast<int>(Level::kError) == spdlog::level::err && static_cast<int>(Level::kWarn) == spdlog::level::warn);

std::shared_ptr<spdlog::logger> make_direct() {
  auto logger = std::make_shared<spdlog::logger>("adit", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("%v");
  logger->set_level(spdlog::level::trace);  // Our own level decides, before anything is formatted.
  return logger;
}

// What configure() and shutdown() change, while no other thread logs.
struct State {
  Format format = Format::kLogfmt;
  std::shared_ptr<spdlog::details::thread_pool> writer;
  std::shared_ptr<spdlog::logger> logger = make_direct();
  std::uint64_t lost_before = 0;
};

// Never destroyed: threads may log while statics are torn down.
State& state() {
  static State* const instance = new State;
  return *instance;
}

}  // namespace

std::string_view error_name(Errc code) { return code == Errc::kFile ? "file" : "level"; }

Result<> configure(const Options& options) {
  shutdown();
  std::vector<spdlog::sink_ptr> sinks{std::make_shared<spdlog::sinks::stderr_sink_mt>()};
  if (!options.file.empty()) {
    try {
      sinks.push_back(std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.file));
    } catch (const spdlog::spdlog_ex&) {
      const std::string reason = std::generic_category().message(errno);
      return fail(Errc::kFile, "cannot open the log file " + options.file + " for appending: " + reason);
    }
  }
  State& now = state();
  now.format = options.format;
  now.writer = std::make_shared<spdlog::details::thread_pool>(kQueuedEvents, 1);
  now.logger = std::make_shared<spdlog::async_logger>("adit", sinks.begin(), sinks.end(), now.writer,
                                                      spdlog::async_overflow_policy::overrun_oldest);
  now.logger->set_pattern("%v");
  now.logger->set_level(spdlog::level::trace);
  now.logger->flush_on(spdlog::level::info);  // A file that is read while the process runs, or survives its crash, is current.
  detail::level.store(options.level, std::memory_order_relaxed);
  return {};
}

void shutdown() {
  State& now = state();
  if (!now.writer) return;
  now.lost_before += now.writer->overrun_counter();
  now.writer.reset();
  // The logger holds only a weak reference: the line above wrote out what was queued and joined the thread.
  now.logger = make_direct();
}

std::uint64_t lost() {
  const State& now = state();
  return now.lost_before + (now.writer ? now.writer->overrun_counter() : 0);
}

Result<Level> parse_level(std::string_view text) {
  for (const Level level : {Level::kTrace, Level::kDebug, Level::kInfo, Level::kWarn, Level::kError, Level::kOff}) {
    if (to_string(level) == text) return level;
  }
  return fail(Errc::kLevel, "unknown log level `" + std::string(text) + "`: it is one of trace, debug, info, warn, error, off");
}

void detail::write(Level of, std::string_view event, Fields fields) {
  thread_local std::string line;
  line.clear();
  State& now = state();
  append_line(line, now.format, std::chrono::system_clock::now(), of, event, fields);
  now.logger->log(to_spdlog(of), std::string_view(line));
}

}  // namespace adit::log
