// `adit completion SHELL` and `adit man DIRECTORY`: for packages, and so not listed by --help.
#include <CLI/Option.hpp>
#include <CLI/Validators.hpp>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>

#include "base/file.h"
#include "cli/command.h"
#include "cli/command_tree.h"
#include "cli/serve.h"
#include "config/keys.h"

namespace adit::cli {

Command add_completion(CLI::App& app) {
  auto* command = app.add_subcommand("completion", "Print a script by which a shell completes adit's commands and options");
  command->group("");
  auto shell = std::make_shared<std::string>();
  command->add_option("SHELL", *shell, "bash, zsh or fish")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
  return {command, [shell, &app](const Global&) {
            std::fputs(completion_script(app, *shell).c_str(), stdout);
            return kOk;
          }};
}

Command add_man(CLI::App& app) {
  auto* command = app.add_subcommand("man", "Write adit's manual pages");
  command->group("");
  auto folder = std::make_shared<std::string>();
  command->add_option("DIRECTORY", *folder, "A folder; pages that are there are replaced")->required();
  return {command, [folder, &app](const Global&) {
            for (const ManualPage& page : manual_pages(app, program_version())) {
              const std::string file = *folder + "/" + page.file;
              if (!(std::ofstream(file) << page.text << std::flush))
                return give_up("man", Error(config::KeyErrc::kUnwritable, describe_file_error(file, "written", errno)),
                               kFailure);
            }
            return kOk;
          }};
}

}  // namespace adit::cli
