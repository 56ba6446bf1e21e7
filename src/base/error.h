// What a failed operation tells its caller: a code to decide by, and a sentence to act on.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace adit {

/// An error of any layer.
///
/// Each layer declares one closed `enum class` and, beside it, `constexpr std::string_view error_layer(ThatEnum)` and
/// `std::string_view error_name(ThatEnum)`; every value of such an enum converts to an Error. A layer whose errors can be the
/// operator's to mend also declares `constexpr bool error_is_usage(ThatEnum)`. `message` is one sentence that says what
/// happened and, where there is something to do, what to do next; it never contains a secret.
class Error {
 public:
  template <class Code>
    requires std::is_enum_v<Code>
  Error(Code code, std::string message)
      : layer_(error_layer(code)), name_(error_name(code)), value_(static_cast<int>(code)), message_(std::move(message)) {
    if constexpr (requires { error_is_usage(code); }) usage_ = error_is_usage(code);
  }

  /// True if this error carries exactly `code`.
  template <class Code>
    requires std::is_enum_v<Code>
  [[nodiscard]] bool is(Code code) const {
    return layer_ == error_layer(code) && value_ == static_cast<int>(code);
  }

  [[nodiscard]] std::string_view layer() const { return layer_; }  ///< "wire", "net", ...
  [[nodiscard]] std::string_view name() const { return name_; }    ///< The code's stable name: "truncated".
  [[nodiscard]] const std::string& message() const { return message_; }

  /// True if the same will fail again until the operator changes a setting, a key or a file. False for everything else, also
  /// for errors of layers that do not say.
  [[nodiscard]] bool is_usage() const { return usage_; }

  /// The same error with `context + ": "` before its sentence.
  [[nodiscard]] Error in(std::string_view context) && {
    message_.insert(0, ": ").insert(0, context);
    return std::move(*this);
  }

 private:
  std::string_view layer_;
  std::string_view name_;
  int value_;
  bool usage_ = false;
  std::string message_;
};

}  // namespace adit
