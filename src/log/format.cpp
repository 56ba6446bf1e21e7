#include "log/format.h"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <ctime>

#include "base/text.h"
#include "base/utf8.h"

namespace adit::log {
namespace {

/// `text` with U+FFFD for each byte that is not part of valid UTF-8, and for each code point that is not `good`.
template <class Good>
std::string replaced(std::string_view text, Good good) {
  std::string out;
  while (!text.empty()) {
    const CodePoint code = first_code_point(text);
    out += code.size != 0 && good(code) ? text.substr(0, code.size) : "\xef\xbf\xbd";
    text.remove_prefix(code.size == 0 ? 1 : code.size);
  }
  return out;
}

bool is_bare(std::string_view text) {
  if (text.empty()) return false;
  while (!text.empty()) {
    const CodePoint code = first_code_point(text);
    if (code.size == 0 || breaks_line(code.value)) return false;
    if (code.value == ' ' || code.value == '=' || code.value == '"' || code.value == '\\') return false;
    text.remove_prefix(code.size);
  }
  return true;
}

void append_text(std::string& out, Format format, std::string_view text) {
  format == Format::kJson ? append_json_string(out, text) : append_logfmt_value(out, text);
}

template <class T>
void append_number(std::string& out, T number) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  out.append(digits, end);
}

void append_value(std::string& out, Format format, const Value& value) {
  std::visit(
      [&](const auto& v) {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, std::string_view>) {
          append_text(out, format, v);
        } else if constexpr (std::is_same_v<T, bool>) {
          out += v ? "true" : "false";
        } else if constexpr (std::is_same_v<T, double>) {
          if (std::isfinite(v)) {
            append_number(out, v);
          } else {
            append_text(out, format, std::isnan(v) ? "nan" : v > 0 ? "inf" : "-inf");
          }
        } else {
          append_number(out, v);
        }
      },
      value.get());
}

}  // namespace

void append_logfmt_value(std::string& out, std::string_view text) {
  is_bare(text) ? void(out += text) : append_json_string(out, text, InvalidByte::kShow);
}

std::string utf8(std::string_view text) {
  return replaced(text, [](const CodePoint&) { return true; });
}

std::string printable(std::string_view text) {
  return replaced(text, [](const CodePoint& code) { return !is_control(code.value); });
}

std::string_view to_string(Level level) {
  switch (level) {
    case Level::kTrace:
      return "trace";
    case Level::kDebug:
      return "debug";
    case Level::kInfo:
      return "info";
    case Level::kWarn:
      return "warn";
    case Level::kError:
      return "error";
    case Level::kOff:
      break;
  }
  return "off";
}

void append_line(std::string& out, Format format, std::chrono::system_clock::time_point time, Level level,
                 std::string_view event, Fields fields) {
  const auto since_epoch = std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch());
  const std::time_t seconds = static_cast<std::time_t>(since_epoch.count() / 1000);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char stamp[40];
  const std::size_t length = std::strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
  std::snprintf(stamp + length, sizeof stamp - length, ".%03uZ", static_cast<unsigned>(since_epoch.count() % 1000));

  if (format == Format::kJson) {
    out.append("{\"ts\":\"").append(stamp).append("\",\"level\":\"").append(to_string(level)).append("\",\"event\":");
    append_json_string(out, event);
    for (const Field& field : fields) {
      out += ',';
      append_json_string(out, field.key);
      out += ':';
      append_value(out, format, field.value);
    }
    out += '}';
    return;
  }
  out.append("ts=").append(stamp).append(" level=").append(to_string(level)).append(" event=");
  append_logfmt_value(out, event);
  for (const Field& field : fields) append_field(out, field);
}

void append_field(std::string& out, const Field& field) {
  if (!out.empty()) out += ' ';
  out.append(field.key).append("=");
  append_value(out, Format::kLogfmt, field.value);
}

}  // namespace adit::log
