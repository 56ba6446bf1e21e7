// One event as one line of text, whatever a peer put into its fields: no line break, terminal escape or broken UTF-8 gets
// through.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "log/log.h"

namespace adit::log {

/// Appends `text` as a logfmt value: bare if it is not empty and holds neither space, '=', '"', '\' nor anything that
/// breaks a line; else as append_json_string of base/text.h writes it, with InvalidByte::kShow.
void append_logfmt_value(std::string& out, std::string_view text);

/// `text` with each byte that is not part of valid UTF-8 replaced by U+FFFD.
std::string utf8(std::string_view text);

/// `text` with each control character and each invalid byte replaced by U+FFFD: for places that take no escapes.
std::string printable(std::string_view text);

/// Appends one line without its line feed: `ts` (UTC, milliseconds), `level`, `event`, then the fields in the order given.
/// Numbers that JSON lacks (infinities, NaN) become strings.
void append_line(std::string& out, Format format, std::chrono::system_clock::time_point time, Level level,
                 std::string_view event, Fields fields);

/// Appends "key=value" as append_line does in logfmt, a blank before it unless `out` is empty.
void append_field(std::string& out, const Field& field);

std::string_view to_string(Level level);

}  // namespace adit::log
