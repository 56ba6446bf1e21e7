// Structured events: what happened, as a name and fields. logfmt on standard error by default, JSON lines by option, a file
// besides.
//
//   log::info("pool.listening", {{"address", address}, {"transport", "tcp"}});
//
// For drivers and the command line; engines never log. Any thread may log at any time. A call below the level costs one relaxed
// load beside the building of its fields, which hold views and numbers only. Never pass a secret.
#pragma once

#include <atomic>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"

namespace adit::log {

enum class Level { kTrace, kDebug, kInfo, kWarn, kError, kOff };
enum class Format { kLogfmt, kJson };

/// A field's value. Text is a view: it must live until the log call returns (temporaries of the call's own expression do).
class Value {
 public:
  Value(std::string_view text) : value_(text) {}                                          // NOLINT(google-explicit-constructor)
  Value(const std::string& text) : value_(std::string_view(text)) {}                      // NOLINT(google-explicit-constructor)
  Value(const char* text) : value_(std::string_view(text)) {}                             // NOLINT(google-explicit-constructor)
  Value(bool truth) : value_(truth) {}                                                    // NOLINT(google-explicit-constructor)
  Value(std::floating_point auto number) : value_(static_cast<double>(number)) {}         // NOLINT(google-explicit-constructor)
  Value(std::signed_integral auto number) : value_(static_cast<std::int64_t>(number)) {}  // NOLINT(google-explicit-constructor)
  template <std::unsigned_integral T>
    requires(!std::same_as<T, bool>)
  Value(T number) : value_(static_cast<std::uint64_t>(number)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] const std::variant<std::string_view, bool, double, std::int64_t, std::uint64_t>& get() const { return value_; }

 private:
  std::variant<std::string_view, bool, double, std::int64_t, std::uint64_t> value_;
};

/// `key` is a literal of the code: lower-case letters, digits and '_', with its unit where the value has one ("rtt_us").
struct Field {
  std::string_view key;
  Value value;
};
using Fields = std::initializer_list<Field>;

struct Options {
  Level level = Level::kInfo;
  Format format = Format::kLogfmt;
  /// Appended to beside standard error; empty: standard error only. A new one has mode 0640, less the umask's; its folder must
  /// be there. When it cannot be written, standard error has `log.file_failed`, and `log.file_written_again` later.
  std::string file{};
};

/// Sets level, format and file for the whole process. Call once, before threads start; without it `Options{}` hold.
/// Until then events are written by the caller; afterwards by a thread of their own behind a bounded queue, so that a terminal
/// or disk that stalls delays no shard: the oldest waiting events are lost and counted by lost(). Errors: Errc::kFile, the file
/// cannot be opened for appending.
[[nodiscard]] Result<> configure(const Options& options);

/// Writes out what is waiting and returns to writing by the caller. At exit, and before a fork; other threads may log
/// meanwhile.
void shutdown();

/// Events lost since the start because their reader stalled, or because the file could not be written.
std::uint64_t lost();

/// Whether events go to a file, too.
bool has_file();

/// Opens the file anew, after it was moved away, and says so (`log.reopened`); an error is told by `log.reopen_failed`. Nothing
/// where there is no file.
void reopen();

/// "trace", "debug", "info", "warn", "error", "off". Errors: Errc::kLevel.
Result<Level> parse_level(std::string_view text);

enum class Errc { kFile, kLevel };
constexpr std::string_view error_layer(Errc) { return "log"; }
std::string_view error_name(Errc code);

namespace detail {
extern std::atomic<Level> level;
void write(Level level, std::string_view event, Fields fields);
}  // namespace detail

/// True if an event of this level would be written: guards fields that cost something to make.
inline bool enabled(Level level) { return level >= detail::level.load(std::memory_order_relaxed); }

/// `event` is a literal, "part.what_happened".
inline void write(Level level, std::string_view event, Fields fields = {}) {
  if (enabled(level)) detail::write(level, event, fields);
}
inline void trace(std::string_view event, Fields fields = {}) { write(Level::kTrace, event, fields); }
inline void debug(std::string_view event, Fields fields = {}) { write(Level::kDebug, event, fields); }
inline void info(std::string_view event, Fields fields = {}) { write(Level::kInfo, event, fields); }
inline void warn(std::string_view event, Fields fields = {}) { write(Level::kWarn, event, fields); }
inline void error(std::string_view event, Fields fields = {}) { write(Level::kError, event, fields); }

}  // namespace adit::log
