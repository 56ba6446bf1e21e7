// Errors of the wire layer: bytes that are not what SV2 allows.
#pragma once

#include <string_view>

namespace adit::wire {

enum class Errc {
  kTruncated,      ///< The payload ends before its fields do.
  kTrailingBytes,  ///< Bytes after the last field are no well-formed TLV list.
  kTooLong,        ///< A length prefix above its type's bound (SV2 03 §3.1).
  kBadOption,      ///< An OPTION with more than one element.
  kWrongType,      ///< The frame carries another message than the one asked for.
  kFrameTooLarge,  ///< A frame declares more payload than this connection allows.
  kDead,           ///< An earlier error ended this codec.
};

constexpr std::string_view error_layer(Errc) { return "wire"; }
constexpr std::string_view error_name(Errc code) {
  switch (code) {
    case Errc::kTruncated:
      return "truncated";
    case Errc::kTrailingBytes:
      return "trailing-bytes";
    case Errc::kTooLong:
      return "too-long";
    case Errc::kBadOption:
      return "bad-option";
    case Errc::kWrongType:
      return "wrong-type";
    case Errc::kDead:
      return "dead";
    case Errc::kFrameTooLarge:
      return "frame-too-large";
  }
  return "unknown";
}

}  // namespace adit::wire
