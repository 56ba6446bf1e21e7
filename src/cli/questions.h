// Questions that a command asks where its options do not answer them.
#pragma once

#include <iosfwd>
#include <optional>
#include <string>

#include "base/result.h"

namespace adit::cli {

struct Question {
  std::string option;                   ///< That answers it: "--address".
  std::string text;                     ///< "Whom blocks pay".
  std::optional<std::string> fallback;  ///< What an empty answer means; absent: there must be one.
  /// Error: what is wrong with an answer that cannot be used. Null: each can.
  Result<> (*check)(const std::string& answer) = nullptr;
};

/// The answer: `given`, if it is not empty; else asked for on `terminal`, where `out` shows the question; else the fallback.
/// `terminal` null: there is no person to ask. A person whose answer cannot be used is shown why, and asked again. Errors:
/// MakeErrc::kMissing, which names the option; also at the end of `terminal`; that of `question.check` about `given`.
Result<std::string> answer(const Question& question, const std::string& given, std::istream* terminal, std::ostream& out);

}  // namespace adit::cli
