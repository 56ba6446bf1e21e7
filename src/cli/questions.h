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
};

/// The answer: `given`, if it is not empty; else asked for on `terminal`, where `out` shows the question; else the fallback.
/// `terminal` null: there is no person to ask. Error: MakeErrc::kMissing, which names the option; also at the end of
/// `terminal`.
Result<std::string> answer(const Question& question, const std::string& given, std::istream* terminal, std::ostream& out);

}  // namespace adit::cli
