// The newest warnings of this process, for whoever shows how it goes.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "log/log.h"

namespace adit::log {

/// A warning or an error of this process, as its event was logged last.
struct Warning {
  std::string event;
  Level level = Level::kWarn;
  std::chrono::system_clock::time_point at;  ///< The last time.
  std::uint64_t count = 0;                   ///< Times since the start.
  std::string
      message;  ///< The event's field of that name, mostly a sentence; empty: it has none. Any bytes, as peers gave them.
  std::string fields;  ///< All others, as logfmt.
};
/// So many events are kept, by their names: one that comes again and again takes the place of none. Their texts are cut there.
inline constexpr std::size_t kMostWarnings = 20;
inline constexpr std::size_t kMostWarningText = 500;  ///< Bytes.
/// The last ones, the newest first.
std::vector<Warning> warnings();

namespace detail {
struct WarningTexts {
  std::string message;
  std::string fields;
};
/// What is kept of an event's fields. It takes no more memory than a few times kMostWarningText, however long they are.
WarningTexts warning_texts(Fields fields);
}  // namespace detail

}  // namespace adit::log
