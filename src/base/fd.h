// A file descriptor with an owner.
#pragma once

#include <unistd.h>

#include <utility>

namespace adit {

/// Owns one file descriptor and closes it. Not thread-safe.
class Fd {
 public:
  Fd() = default;  ///< Owns none.
  /// Takes what a system call returned; a negative number owns none, and errno stays as it is.
  explicit Fd(int value) : value_(value) {}
  Fd(Fd&& other) noexcept : value_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept {
    reset(other.release());
    return *this;
  }
  ~Fd() { reset(); }

  [[nodiscard]] bool ok() const { return value_ >= 0; }
  [[nodiscard]] int get() const { return value_; }  ///< -1 if it owns none.

  /// Gives the descriptor up without closing it; the caller owns it from now on.
  [[nodiscard]] int release() { return std::exchange(value_, -1); }

  /// Closes the descriptor and takes `value` in its place.
  void reset(int value = -1) {
    if (value_ >= 0) ::close(value_);
    value_ = value;
  }

 private:
  int value_ = -1;
};

}  // namespace adit
