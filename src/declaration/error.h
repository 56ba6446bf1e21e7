// Errors of the job declaration layer.
#pragma once

#include <string_view>

namespace adit::declaration {

enum class Errc {
  kCoinbase,        ///< The coinbase that a client declared is no coinbase transaction; the message says where it breaks.
  kCoinbaseInputs,  ///< It has not exactly one input, or that one spends something.
};

constexpr std::string_view error_layer(Errc) { return "declaration"; }

constexpr std::string_view error_name(Errc code) {
  switch (code) {
    case Errc::kCoinbase:
      return "coinbase";
    case Errc::kCoinbaseInputs:
      return "coinbase-inputs";
  }
  return "unknown";
}

}  // namespace adit::declaration
