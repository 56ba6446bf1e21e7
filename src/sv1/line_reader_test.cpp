#include "sv1/line_reader.h"

#include <gtest/gtest.h>

#include <string>

namespace adit::sv1 {
namespace {

std::vector<std::string> lines_of(std::string_view stream, std::size_t chunk, std::size_t limit = kMaxLine) {
  LineReader reader(limit);
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < stream.size(); at += chunk) {
    auto bytes = as_bytes(stream.substr(at, chunk));
    while (!bytes.empty()) {
      bytes = bytes.subspan(reader.feed(bytes));
      while (true) {
        const auto line = reader.next();
        if (!line) {
          lines.push_back("error: " + std::string(line.error().name()));
          return lines;
        }
        if (!*line) break;
        lines.emplace_back(**line);
      }
    }
  }
  return lines;
}

TEST(Sv1LineReader, AnyChunkingGivesTheSameLines) {
  const std::string stream = "one\r\n\n  \r\ntwo\n" + std::string(100, 'x') + "\nunfinished";
  const std::vector<std::string> expected = {"one", "two", std::string(100, 'x')};
  for (std::size_t chunk = 1; chunk <= stream.size(); ++chunk) {
    EXPECT_EQ(lines_of(stream, chunk), expected) << "chunk of " << chunk;
    EXPECT_EQ(lines_of(stream, chunk, 128), expected) << "chunk of " << chunk;
  }
}

TEST(Sv1LineReader, AMegabyteWithoutALineEndIsRefusedAtTheLimit) {
  const std::string stream(1024 * 1024, 'a');
  for (const std::size_t chunk : {std::size_t{1} << 20, std::size_t{4096}, std::size_t{777}}) {
    EXPECT_EQ(lines_of(stream, chunk), std::vector<std::string>{"error: line_too_long"});
  }
}

TEST(Sv1LineReader, ALineOfTheLimitMinusOneWithItsEndIsTaken) {
  EXPECT_EQ(lines_of(std::string(127, 'b') + "\n", 50, 128), std::vector<std::string>{std::string(127, 'b')});
  EXPECT_EQ(lines_of(std::string(128, 'b') + "\n", 50, 128), std::vector<std::string>{"error: line_too_long"});
}

TEST(Sv1LineReader, PendingBytesNeverExceedTheLimit) {
  LineReader reader(64);
  const std::string many = "a\nb\n" + std::string(200, 'c');
  std::size_t held = reader.feed(as_bytes(many));
  EXPECT_EQ(held, 64u);
  EXPECT_EQ(reader.feed(as_bytes(many)), 0u);
}

}  // namespace
}  // namespace adit::sv1
