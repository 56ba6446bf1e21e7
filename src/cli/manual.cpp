#include <CLI/Option.hpp>

#include <string>
#include <string_view>
#include <vector>

#include "cli/command_tree.h"

namespace adit::cli {
namespace {

/// Text that roff prints as it is. A dash stays the character that is typed, and no line begins with a control character.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char byte : text) {
    if (byte == '\\')
      out += "\\e";
    else if (byte == '-')
      out += "\\-";
    else if ((byte == '.' || byte == '\'') && (out.empty() || out.back() == '\n'))
      out += std::string("\\&") + byte;
    else
      out += byte;
  }
  return out;
}

std::string bold(std::string_view text) { return "\\fB" + escaped(text) + "\\fR"; }
std::string slanted(std::string_view text) { return "\\fI" + escaped(text) + "\\fR"; }

/// "-c, --config FILE", or "ADDRESS".
std::string heading(const CLI::Option& option) {
  std::string names;
  const auto add = [&names](const std::string& name) { names += (names.empty() ? "" : ", ") + bold(name); };
  for (const std::string& name : option.get_snames()) add("-" + name);
  for (const std::string& name : option.get_lnames()) add("--" + name);
  if (names.empty()) return slanted(option.get_single_name());
  if (option.get_type_size() == 0 || option.get_type_name().empty()) return names;
  return names + " " + slanted(option.get_type_name());
}

std::string entry(const CLI::Option& option) {
  std::string text = ".TP\n" + heading(option) + "\n" + escaped(option.get_description());
  if (option.get_required()) text += " (required)";
  if (!option.get_default_str().empty()) text += " [" + escaped(option.get_default_str()) + "]";
  if (!option.get_envname().empty()) text += " (environment: " + bold(option.get_envname()) + ")";
  return text + "\n";
}

/// "adit keys node": how the command is typed. `above`: the same of what it is below.
std::string synopsis(const std::string& typed, const CLI::App& app) {
  std::string text = bold(typed) + " [OPTIONS]";
  for (const CLI::Option* option : shown_options(app)) {
    if (!option->get_positional()) continue;
    const std::string name = slanted(option->get_name(true));
    text += option->get_required() ? " " + name : " [" + name + "]";
  }
  if (!shown_commands(app).empty()) text += " COMMAND ...";
  return text;
}

std::string options_of(const CLI::App& app) {
  std::string text;
  for (const CLI::Option* option : shown_options(app)) text += entry(*option);
  return text;
}

std::string page(const CLI::App& app, const std::string& name, const std::string& typed, std::string_view version,
                 const std::string& rest) {
  return ".\\\" Made by `adit man`.\n.TH " + name + " 1 \"\" \"adit " + std::string(version) + "\" \"Stratum V2\"\n.SH NAME\n" +
         escaped(name) + " \\- " + escaped(app.get_description()) + "\n.SH SYNOPSIS\n" + synopsis(typed, app) + "\n" + rest;
}

std::string footer(const CLI::App& app) {
  return app.get_footer().empty() ? "" : ".SH NOTES\n" + escaped(app.get_footer()) + "\n";
}

ManualPage page_of_command(const CLI::App& command, const std::string& program, std::string_view version) {
  const std::string name = program + "-" + command.get_name();
  const std::string typed = program + " " + command.get_name();
  std::string rest = ".SH OPTIONS\n" + options_of(command);
  for (const CLI::App* below : shown_commands(command)) {
    rest += ".SH " + bold(typed + " " + below->get_name()) + "\n" + escaped(below->get_description()) + ".\n.PP\n" +
            synopsis(typed + " " + below->get_name(), *below) + "\n" + options_of(*below);
  }
  return {name + ".1",
          page(command, name, typed, version, rest + footer(command) + ".SH SEE ALSO\n" + bold(program) + "(1)\n")};
}

}  // namespace

std::vector<ManualPage> manual_pages(const CLI::App& app, std::string_view version) {
  const std::string program = app.get_name();
  std::string rest = ".SH OPTIONS\n" + options_of(app) + ".SH COMMANDS\n";
  std::string also;
  for (const CLI::App* command : shown_commands(app)) {
    rest += ".TP\n" + bold(command->get_name()) + "\n" + escaped(command->get_description()) + "\n";
    also += (also.empty() ? "" : ",\n") + bold(program + "-" + command->get_name()) + "(1)";
  }
  std::vector<ManualPage> pages = {
      {program + ".1", page(app, program, program, version, rest + footer(app) + ".SH SEE ALSO\n" + also + "\n")}};
  for (const CLI::App* command : shown_commands(app)) pages.push_back(page_of_command(*command, program, version));
  return pages;
}

}  // namespace adit::cli
