// Durations on the command line: "20s", "5m", "1.5h".
#pragma once

#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace adit::cli {

enum class DurationErrc { kNoDuration };
constexpr std::string_view error_layer(DurationErrc) { return "duration"; }
constexpr std::string_view error_name(DurationErrc) { return "no_duration"; }

/// A number above zero with `s`, `m` or `h` behind it, at most a year.
Result<Duration> parse_duration(std::string_view text);

}  // namespace adit::cli
