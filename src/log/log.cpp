#include "log/log.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include "log/file.h"
#include "log/format.h"
#include "log/warnings.h"

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

/// Tells on standard error what the file cannot.
void tell_of_file(Format format, const std::string& path, const std::string& message, std::uint64_t lost) {
  std::string line;
  if (message.empty()) {
    append_line(line, format, std::chrono::system_clock::now(), Level::kInfo, "log.file_written_again",
                {{"file", path}, {"lost", lost}});
  } else {
    append_line(line, format, std::chrono::system_clock::now(), Level::kError, "log.file_failed",
                {{"file", path}, {"lost", lost}, {"message", message}});
  }
  line += '\n';
  std::fwrite(line.data(), 1, line.size(), stderr);
}

/// spdlog calls it on one thread.
class FileSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  explicit FileSink(std::shared_ptr<LogFile> file) : file_(std::move(file)) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    file_->append({message.payload.data(), message.payload.size()}, now_from_system().instant);
  }
  void flush_() override { file_->flush(now_from_system().instant); }

 private:
  const std::shared_ptr<LogFile> file_;
};

/// Where events go. Whoever logs holds a copy meanwhile.
struct Output {
  Format format = Format::kLogfmt;
  std::shared_ptr<spdlog::details::thread_pool> writer;  ///< Absent: the caller writes.
  std::shared_ptr<LogFile> file;                         ///< Absent: standard error only.
  std::shared_ptr<spdlog::logger> logger = make_direct();
};

struct State {
  std::mutex mutex;  // Of what follows.
  Output output;
  std::uint64_t lost_before = 0;

  std::mutex warnings_mutex;  // Of this.
  std::vector<Warning> warnings;
};

// Never destroyed: threads may log while statics are torn down.
State& state() {
  static State* const instance = new State;
  return *instance;
}

Output output_now() {
  const std::lock_guard lock(state().mutex);
  return state().output;
}

/// Of a warning or an error.
void remember(Level of, std::string_view event, Fields fields, std::chrono::system_clock::time_point now) {
  auto [message, others] = detail::warning_texts(fields);
  const std::lock_guard lock(state().warnings_mutex);
  auto& all = state().warnings;
  auto at = std::ranges::find(all, event, &Warning::event);
  if (at == all.end()) {
    if (all.size() == kMostWarnings) all.erase(std::ranges::min_element(all, {}, &Warning::at));
    at = all.insert(all.end(), Warning{.event = std::string(event)});
  }
  at->level = of;
  at->at = now;
  ++at->count;
  at->message = std::move(message);
  at->fields = std::move(others);
}

}  // namespace

std::string_view error_name(Errc code) { return code == Errc::kFile ? "file" : "level"; }

Result<> configure(const Options& options) {
  shutdown();
  Output now;
  std::vector<spdlog::sink_ptr> sinks{std::make_shared<spdlog::sinks::stderr_sink_mt>()};
  if (!options.file.empty()) {
    auto opened = LogFile::open(options.file,
                                [format = options.format, path = options.file](const std::string& message, std::uint64_t lost) {
                                  tell_of_file(format, path, message, lost);
                                });
    if (!opened) {
      return fail(Errc::kFile, "the log file " + describe_file_error(options.file, "opened for appending", opened.error()));
    }
    now.file = std::move(*opened);
    sinks.push_back(std::make_shared<FileSink>(now.file));
  }
  now.format = options.format;
  now.writer = std::make_shared<spdlog::details::thread_pool>(kQueuedEvents, 1);
  now.logger = std::make_shared<spdlog::async_logger>("adit", sinks.begin(), sinks.end(), now.writer,
                                                      spdlog::async_overflow_policy::overrun_oldest);
  now.logger->set_pattern("%v");
  now.logger->set_level(spdlog::level::trace);
  now.logger->flush_on(spdlog::level::info);  // A file that is read while the process runs, or survives its crash, is current.
  detail::level.store(options.level, std::memory_order_relaxed);
  const std::lock_guard lock(state().mutex);
  state().output = std::move(now);
  return {};
}

void shutdown() {
  Output last;
  {
    const std::lock_guard lock(state().mutex);
    if (!state().output.writer) return;
    last = std::exchange(state().output, Output{.format = state().output.format});
  }
  // Whoever is about to log holds the writer until its event is queued; the logger has only a weak reference.
  while (last.writer.use_count() > 1) std::this_thread::yield();
  std::uint64_t lost = last.writer->overrun_counter();
  last.writer.reset();  // It writes out what is queued, and ends its thread.
  if (last.file) {
    last.file->flush(now_from_system().instant);
    lost += last.file->lost();
  }
  const std::lock_guard lock(state().mutex);
  state().lost_before += lost;
}

std::uint64_t lost() {
  const std::lock_guard lock(state().mutex);
  const Output& now = state().output;
  return state().lost_before + (now.writer ? now.writer->overrun_counter() : 0) + (now.file ? now.file->lost() : 0);
}

detail::WarningTexts detail::warning_texts(Fields fields) {
  WarningTexts out;
  for (const Field& field : fields) {
    const auto* const text = std::get_if<std::string_view>(&field.value.get());
    if (text != nullptr && field.key == "message") {
      out.message = text->substr(0, kMostWarningText);
    } else if (out.fields.size() < kMostWarningText) {
      // A peer may have chosen the text, so it is cut before it is escaped.
      text == nullptr ? append_field(out.fields, field)
                      : append_field(out.fields, {field.key, text->substr(0, kMostWarningText)});
    }
  }
  if (out.fields.size() > kMostWarningText) out.fields.resize(kMostWarningText);
  return out;
}

std::vector<Warning> warnings() {
  std::vector<Warning> all;
  {
    const std::lock_guard lock(state().warnings_mutex);
    all = state().warnings;
  }
  std::ranges::sort(all, std::ranges::greater(), &Warning::at);
  return all;
}

bool has_file() { return output_now().file != nullptr; }

void reopen() {
  const std::shared_ptr<LogFile> file = output_now().file;
  if (file == nullptr) return;
  if (const auto reopened = file->reopen(); !reopened) {
    error("log.reopen_failed", {{"file", file->path()},
                                {"message", describe_file_error(file->path(), "opened for appending", reopened.error()) +
                                                "; the log goes on in the file that was open"}});
  } else {
    info("log.reopened", {{"file", file->path()}});
  }
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
  const Output now = output_now();
  const auto time = std::chrono::system_clock::now();
  append_line(line, now.format, time, of, event, fields);
  if (of >= Level::kWarn) remember(of, event, fields, time);
  now.logger->log(to_spdlog(of), std::string_view(line));
}

}  // namespace adit::log
