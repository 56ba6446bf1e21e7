// One line of SV1 to one message.
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "sv1/message.h"

namespace adit::sv1 {

/// Deepest nesting taken; SV1 itself needs four.
inline constexpr std::size_t kMaxDepth = 8;

/// Keeps the memory that messages view; one per shard is enough. Not thread-safe.
class Parser {
 public:
  Parser();
  ~Parser();
  Parser(Parser&&) noexcept;
  Parser& operator=(Parser&&) noexcept;

  /// A line that a miner sent. Each parameter is taken in every form that deployed miners and proxies write and that has one
  /// meaning: hex in either case, with or without 0x; a number, or text in the base that its writers use; a name as text, as a
  /// whole number, or null for none. What cannot be read is BadParameters. A response (we send no requests) is nullopt. Views
  /// in the result are valid until the next call. Errors: kNotJson, kNotSv1.
  Result<std::optional<Request>> from_client(std::string_view line);

  /// A line that a pool sent; methods that we do not know come as Request. Errors: kNotJson, kNotSv1.
  Result<FromServer> from_server(std::string_view line);

 private:
  struct Memory;
  std::unique_ptr<Memory> memory_;
};

}  // namespace adit::sv1
