#include "sv1/line_reader.h"

#include <algorithm>
#include <cstring>

namespace adit::sv1 {

std::size_t LineReader::feed(Bytes bytes) {
  if (begin_ == buffer_.size()) {
    buffer_.clear();
    begin_ = scanned_ = 0;
  } else if (begin_ > 0) {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(begin_));
    scanned_ -= begin_;
    begin_ = 0;
  }
  const std::size_t taken = std::min(bytes.size(), limit_ - buffer_.size());
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(taken));
  return taken;
}

Result<std::optional<std::string_view>> LineReader::next() {
  while (true) {
    const char* const from = buffer_.data() + scanned_;
    const auto* end =
        scanned_ == buffer_.size() ? nullptr : static_cast<const char*>(std::memchr(from, '\n', buffer_.size() - scanned_));
    if (end == nullptr) {
      scanned_ = buffer_.size();
      if (buffer_.size() - begin_ == limit_) {
        return fail(Errc::kLineTooLong, "a line of more than " + std::to_string(limit_) + " bytes");
      }
      return std::nullopt;
    }
    std::string_view line(buffer_.data() + begin_, static_cast<std::size_t>(end - (buffer_.data() + begin_)));
    begin_ = scanned_ = static_cast<std::size_t>(end - buffer_.data()) + 1;
    constexpr auto is_blank = [](char c) { return static_cast<unsigned char>(c) <= ' '; };
    while (!line.empty() && is_blank(line.front())) line.remove_prefix(1);
    while (!line.empty() && is_blank(line.back())) line.remove_suffix(1);
    if (!line.empty()) return line;
  }
}

}  // namespace adit::sv1
