// SRI's crates, asked over a pipe: the other end of src/main.rs.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace adit::oracle {

enum class Request : std::uint8_t { kEncode, kDecode, kInitiate, kFinish, kRespond, kSeal, kOpen, kVardiff };

/// The body of a request, and the reading of an answer: integers little-endian, a blob is `u32 length | bytes`.
class Body {
 public:
  Body() = default;
  explicit Body(std::vector<std::uint8_t> bytes) : bytes_(std::move(bytes)) {}

  template <std::unsigned_integral T>
  Body& put(T value) {
    std::uint8_t encoded[sizeof value];
    store_le(encoded, value);
    return raw(encoded);
  }
  Body& raw(Bytes bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  Body& blob(Bytes bytes) { return put(static_cast<std::uint32_t>(bytes.size())).raw(bytes); }

  template <std::unsigned_integral T>
  T take() {
    return load_le<T>(take(sizeof(T)).data());
  }
  /// The next `count` bytes; a program that answers fewer is broken, and this one ends.
  Bytes take(std::size_t count);
  Bytes take_blob() { return take(take<std::uint32_t>()); }

  [[nodiscard]] bool empty() const { return at_ == bytes_.size(); }
  [[nodiscard]] const std::vector<std::uint8_t>& bytes() const { return bytes_; }

 private:
  std::vector<std::uint8_t> bytes_;
  std::size_t at_ = 0;
};

/// The program whose path $ADIT_ORACLE holds (./dev interop builds it), from here to the end of the object. Whatever keeps it
/// from answering ends this process with a sentence: a differential test without its other side must not pass.
class Oracle {
 public:
  explicit Oracle(const char* command);
  ~Oracle();
  Oracle(const Oracle&) = delete;
  Oracle& operator=(const Oracle&) = delete;

  /// What SRI made of it, or why it refused.
  std::expected<Body, std::string> ask(Request request, const Body& body);

  /// `oracle bench`: the nanoseconds of one operation of `key`.
  double time(const std::string& key);

 private:
  void write(Bytes bytes) const;
  void read(MutableBytes bytes) const;

  pid_t pid_ = 0;
  int input_ = -1;
  int output_ = -1;
};

}  // namespace adit::oracle
