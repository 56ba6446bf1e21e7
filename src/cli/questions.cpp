#include "cli/questions.h"

#include <istream>
#include <ostream>

#include "cli/made_config.h"

namespace adit::cli {

Result<std::string> answer(const Question& question, const std::string& given, std::istream* terminal, std::ostream& out) {
  const auto check = [&question](const std::string& text) { return question.check ? question.check(text) : Result<>(); };
  if (!given.empty()) {
    ADIT_CHECK(check(given));
    return given;
  }
  const auto missing = [&question] { return fail(MakeErrc::kMissing, question.option + " is missing: " + question.text); };
  if (terminal == nullptr) {
    if (!question.fallback) return missing();
    return *question.fallback;
  }
  for (;;) {
    out << question.text << (question.fallback ? " [" + *question.fallback + "]" : "") << ": " << std::flush;
    std::string line;
    if (!std::getline(*terminal, line)) return missing();
    constexpr const char* kSpace = " \t\r";
    if (const auto begin = line.find_first_not_of(kSpace); begin != std::string::npos) {
      std::string text = line.substr(begin, line.find_last_not_of(kSpace) + 1 - begin);
      const auto checked = check(text);
      if (checked) return text;
      out << checked.error().message() << "\n";
    } else if (question.fallback) {
      return *question.fallback;
    }
  }
}

}  // namespace adit::cli
