// Errors of the SV1 layer, and the codes that SV1 peers put in their answers.
#pragma once

#include <string_view>

namespace adit::sv1 {

enum class Errc {
  kLineTooLong,  ///< A line reached the limit before its end: cut the connection off, there is no way to find the next message.
  kNotJson,      ///< Not one JSON value, or nested too deeply: answer with an error, count it.
  kNotSv1,       ///< JSON, but neither a request, a response nor a notification: answer with an error, count it.
  kAbuse,        ///< Too many malformed lines: cut the connection off.
  kTimedOut,     ///< The miner did not subscribe and authorize in time.
  kRefused,      ///< The server refused subscribe or authorize: the message has its words.
  kUnexpected,   ///< The server broke the order of the protocol.
};

constexpr std::string_view error_layer(Errc) { return "sv1"; }
constexpr std::string_view error_name(Errc code) {
  switch (code) {
    case Errc::kLineTooLong:
      return "line_too_long";
    case Errc::kNotJson:
      return "not_json";
    case Errc::kNotSv1:
      return "not_sv1";
    case Errc::kAbuse:
      return "abuse";
    case Errc::kTimedOut:
      return "timed_out";
    case Errc::kRefused:
      return "refused";
    case Errc::kUnexpected:
      return "unexpected";
  }
  return "unknown";
}

/// The first element of the `error` array of an answer (slushpool's Stratum V1 manual, "Exception handling").
enum class Reject {
  kOther = 20,
  kJobNotFound = 21,  ///< Also: stale.
  kDuplicateShare = 22,
  kLowDifficulty = 23,
  kUnauthorized = 24,
  kNotSubscribed = 25,
};

/// The sentence that pools in the field send with the code.
constexpr std::string_view to_string(Reject code) {
  switch (code) {
    case Reject::kOther:
      return "Other/Unknown";
    case Reject::kJobNotFound:
      return "Job not found (=stale)";
    case Reject::kDuplicateShare:
      return "Duplicate share";
    case Reject::kLowDifficulty:
      return "Low difficulty share";
    case Reject::kUnauthorized:
      return "Unauthorized worker";
    case Reject::kNotSubscribed:
      return "Not subscribed";
  }
  return "Other/Unknown";
}

}  // namespace adit::sv1
