#include "cli/duration.h"

#include <charconv>
#include <string>

namespace adit::cli {

Result<Duration> parse_duration(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  const double seconds = unit == "s" ? 1 : unit == "m" ? 60 : unit == "h" ? 3600 : 0;
  // Written so that a NaN is refused too.
  if (error != std::errc() || !(number * seconds > 0 && number * seconds <= 366.0 * 86400)) {
    return fail(DurationErrc::kNoDuration, "'" + std::string(text) + "' is no duration; write 20s, 5m or 1h");
  }
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(number * seconds));
}

}  // namespace adit::cli
