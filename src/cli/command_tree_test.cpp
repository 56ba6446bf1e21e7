#include "cli/command_tree.h"

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <CLI/Option.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <string_view>

#include "cli/cli_testing.h"
#include "cli/command.h"

namespace adit::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class CommandTree : public Cli {
 protected:
  CommandTree() { add_all(app_); }

  /// Calls `look` with each command that is shown, the root first.
  void each(const std::function<void(const CLI::App&)>& look) const { each(app_, look); }
  static void each(const CLI::App& app, const std::function<void(const CLI::App&)>& look) {
    look(app);
    for (const CLI::App* command : shown_commands(app)) each(*command, look);
  }

  /// What bash proposes after these words, the last of which is being typed.
  [[nodiscard]] std::string completed(const std::string& words) const {
    const std::string script = write("completion.bash", completion_script(app_, "bash"));
    return shell("bash -c '. " + script + "; COMP_WORDS=(" + words + "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _adit; " +
                 R"(echo "${COMPREPLY[*]}"')")
        .output;
  }

  CLI::App app_{"All of it", "adit"};
};

TEST_F(CommandTree, EveryCommandAndOptionIsInEachScript) {
  for (const char* const name : {"bash", "zsh", "fish"}) {
    const std::string script = completion_script(app_, name);
    each([&](const CLI::App& command) {
      EXPECT_THAT(script, HasSubstr(command.get_name())) << name;
      for (const CLI::Option* option : shown_options(command)) {
        for (const std::string& long_name : option->get_lnames()) EXPECT_THAT(script, HasSubstr(long_name)) << name;
      }
    });
  }
  EXPECT_THAT(completion_script(app_, "tcsh"), IsEmpty());
}

TEST_F(CommandTree, BashReadsItsScriptAndCompletesByIt) {
  const std::string script = write("completion.bash", completion_script(app_, "bash"));
  const Ran read = shell("bash -n " + script);
  EXPECT_EQ(read.code, 0) << read.output;
  EXPECT_EQ(completed("adit po"), "pool\n");
  EXPECT_EQ(completed("adit keys no"), "node\n");
  EXPECT_EQ(completed("adit --log-level debug keys no"), "node\n");
  EXPECT_EQ(completed("adit ping --protocol t"), "templates\n");
  EXPECT_EQ(completed("adit pool --conf"), "--config\n");
  EXPECT_EQ(completed("adit keys node --fo"), "--force\n");
  EXPECT_EQ(completed("adit pool --force"), "\n") << "another command's";
  EXPECT_EQ(completed("adit pool -c po"), "\n") << "a file, which is bash's to know";
  each([&](const CLI::App& command) {
    // One level below is enough to show that paths are told apart.
    if (command.get_parent() != &app_) return;
    const std::string shown = completed("adit " + command.get_name() + " --");
    for (const CLI::Option* option : shown_options(command)) {
      for (const std::string& name : option->get_lnames())
        EXPECT_THAT(" " + shown, HasSubstr(" --" + name)) << command.get_name();
    }
  });
}

TEST_F(CommandTree, OtherShellsReadTheirScripts) {
  for (const std::string name : {"zsh", "fish"}) {
    if (shell("command -v " + name).code != 0) continue;  // Neither is needed to build or use adit.
    const Ran read = shell(name + " -n " + write("completion." + name, completion_script(app_, name)));
    EXPECT_EQ(read.code, 0) << read.output;
  }
}

/// roff's text as it is shown: its escapes are for dashes and dots alone.
std::string shown(std::string text) {
  for (const std::string_view escape : {"\\-", "\\&."}) {
    for (std::size_t at = 0; (at = text.find(escape, at)) != std::string::npos;)
      text.replace(at, escape.size(), escape.substr(escape.size() - 1));
  }
  return text;
}

TEST_F(CommandTree, EveryCommandAndOptionHasItsPlaceInTheManual) {
  const auto pages = manual_pages(app_, "1.2.3");
  ASSERT_EQ(pages.size(), shown_commands(app_).size() + 1);
  std::size_t index = 0;
  EXPECT_EQ(pages[0].file, "adit.1");
  for (const CLI::App* command : shown_commands(app_)) {
    EXPECT_THAT(shown(pages[0].text), AllOf(HasSubstr("adit-" + command->get_name()), HasSubstr(command->get_description())));
    const ManualPage& page = pages[++index];
    EXPECT_EQ(page.file, "adit-" + command->get_name() + ".1");
    each(*command, [&](const CLI::App& one) {
      EXPECT_THAT(shown(page.text), AllOf(HasSubstr(one.get_name()), HasSubstr(one.get_description())));
      for (const CLI::Option* option : shown_options(one)) {
        EXPECT_THAT(shown(page.text), HasSubstr(option->get_description()));
        for (const std::string& name : option->get_lnames()) EXPECT_THAT(shown(page.text), HasSubstr("--" + name));
      }
    });
  }
  for (const ManualPage& page : pages) EXPECT_THAT(page.text, HasSubstr("adit 1.2.3"));
}

TEST_F(CommandTree, GroffHasNothingToSayAgainstTheManual) {
  if (shell("command -v groff").code != 0) GTEST_SKIP() << "no groff here";
  for (const ManualPage& page : manual_pages(app_, "1.2.3")) {
    const Ran formatted = shell("groff -man -ww -K utf8 -T utf8 -z " + write(page.file, page.text));
    EXPECT_EQ(formatted.code, 0);
    EXPECT_THAT(formatted.output, IsEmpty()) << page.file;
  }
}

TEST_F(CommandTree, TheProgramPrintsAndWritesThem) {
  EXPECT_THAT(adit("completion bash").output, HasSubstr("complete -o default -F _adit adit"));
  EXPECT_EQ(adit("completion tcsh").code, kUsage);
  EXPECT_THAT(adit("--help").output, Not(HasSubstr("completion")));
  EXPECT_EQ(adit("man " + folder_).code, kOk);
  EXPECT_TRUE(fs::exists(folder_ + "/adit-pool.1"));
  EXPECT_EQ(adit("man " + folder_ + "/none").code, kFailure);
}

}  // namespace
}  // namespace adit::cli
