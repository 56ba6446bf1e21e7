// bash knows words alone; zsh and fish show descriptions beside them. In all three a function finds the subcommand that the
// words so far lead to, as a path: "/keys/node".
#include <CLI/Option.hpp>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command_tree.h"

namespace adit::cli {
namespace {

using Names = std::vector<std::string>;

/// One command of the tree, at its path. The root's is empty.
using Visit = std::function<void(const std::string& path, const CLI::App& app)>;

void walk(const CLI::App& app, const std::string& path, const Visit& visit) {
  visit(path, app);
  for (const CLI::App* command : shown_commands(app)) walk(*command, path + "/" + command->get_name(), visit);
}

/// "--log-file", "-f"
Names names_of(const CLI::Option& option) {
  Names names;
  for (const std::string& name : option.get_lnames()) names.push_back("--" + name);
  for (const std::string& name : option.get_snames()) names.push_back("-" + name);
  return names;
}

bool takes_value(const CLI::Option& option) { return option.get_type_size() != 0; }

/// The values of an option that takes no others; CLI11 has them in the name of the type: "TEXT:{logfmt,json}".
std::string values_of(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const auto begin = type.find('{');
  const auto end = type.rfind('}');
  if (begin == std::string::npos || end == std::string::npos || end < begin) return {};
  std::string values = type.substr(begin + 1, end - begin - 1);
  for (char& byte : values) {
    if (byte == ',') byte = ' ';
  }
  return values;
}

std::string joined(const Names& names, std::string_view between) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : std::string(between)) + name;
  return text;
}

/// As one word of a shell. A closing quote, a quoted one, an opening one: all three shells read that.
std::string shell_word(std::string_view text) {
  std::string out = "'";
  for (const char byte : text) {
    if (byte == '\'')
      out += "'\\''";
    else
      out += byte;
  }
  return out + "'";
}

/// Every path but the root's.
Names paths_of(const CLI::App& app) {
  Names paths;
  walk(app, "", [&paths](const std::string& path, const CLI::App&) {
    if (!path.empty()) paths.push_back(path);
  });
  return paths;
}

std::string for_bash(const CLI::App& app) {
  std::string words;
  std::string values;
  walk(app, "", [&](const std::string& path, const CLI::App& command) {
    Names all;
    for (const CLI::App* below : shown_commands(command)) all.push_back(below->get_name());
    for (const CLI::Option* option : shown_options(command)) {
      Names at;
      for (const std::string& name : names_of(*option)) {
        all.push_back(name);
        at.push_back(shell_word(path + " " + name));
      }
      // A value that is not of a closed set is a file's name for all we know: bash's default.
      if (takes_value(*option) && !at.empty())
        values += "    " + joined(at, " | ") + ") words=" + shell_word(values_of(*option)) + " ;;\n";
    }
    words += "    " + shell_word(path) + ") words=" + shell_word(joined(all, " ")) + " ;;\n";
  });
  return "# bash completion of " + app.get_name() + ", made by `" + app.get_name() + " completion bash`.\n_" + app.get_name() +
         R"(() {
  local path='' words='' word
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$path/$word" in
      )" +
         joined(paths_of(app), " | ") + R"() path=$path/$word ;;
    esac
  done
  case "$path" in
)" + words +
         R"(  esac
  case "$path ${COMP_WORDS[COMP_CWORD-1]}" in
)" + values +
         R"(  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}")
}
complete -o default -F _)" +
         app.get_name() + " " + app.get_name() + "\n";
}

/// "name:description", as _describe reads it.
std::string described(const std::string& name, const std::string& description) {
  std::string text;
  for (const char byte : name) text += byte == ':' ? "\\:" : std::string(1, byte);
  return shell_word(text + ":" + description);
}

std::string for_zsh(const CLI::App& app) {
  std::string words;
  std::string values;
  walk(app, "", [&](const std::string& path, const CLI::App& command) {
    Names commands;
    Names options;
    for (const CLI::App* below : shown_commands(command))
      commands.push_back(described(below->get_name(), below->get_description()));
    for (const CLI::Option* option : shown_options(command)) {
      Names at;
      for (const std::string& name : names_of(*option)) {
        options.push_back(described(name, option->get_description()));
        at.push_back(shell_word(path + " " + name));
      }
      if (!takes_value(*option) || at.empty()) continue;
      const std::string closed = values_of(*option);
      values += "    (" + joined(at, "|") + ") " + (closed.empty() ? "_files" : "compadd -- " + closed) + "; return ;;\n";
    }
    words += "    (" + shell_word(path) + ")\n      commands=(" + joined(commands, "\n        ") + ")\n      options=(" +
             joined(options, "\n        ") + ") ;;\n";
  });
  const std::string name = "_" + app.get_name();
  return "#compdef " + app.get_name() + "\n# Made by `" + app.get_name() + " completion zsh`.\n" + name + R"(() {
  local at='' word
  local -a commands options
  for word in "${(@)words[2,CURRENT-1]}"; do
    case "$at/$word" in
      ()" +
         joined(paths_of(app), "|") + R"() at=$at/$word ;;
    esac
  done
  case "$at ${words[CURRENT-1]}" in
)" + values +
         R"(  esac
  case "$at" in
)" + words +
         R"(  esac
  if [[ $PREFIX == -* ]]; then
    _describe -o option options
  elif (( $#commands )); then
    _describe command commands
  else
    _files
  fi
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  )" + name +
         R"( "$@"
else
  compdef )" +
         name + " " + app.get_name() + "\nfi\n";
}

/// As one word of fish, where a backslash within quotes must be doubled.
std::string fish_word(std::string_view text) {
  std::string out = "'";
  for (const char byte : text) {
    if (byte == '\'' || byte == '\\') out += '\\';
    out += byte;
  }
  return out + "'";
}

std::string for_fish(const CLI::App& app) {
  const std::string at = "__" + app.get_name() + "_at";
  std::string text = "# fish completion of " + app.get_name() + ", made by `" + app.get_name() +
                     " completion fish`.\nfunction " + at +
                     R"(
    set -l path ''
    for word in (commandline -opc)[2..-1]
        if contains -- "$path/$word" )" +
                     joined(paths_of(app), " ") + R"(
            set path "$path/$word"
        end
    end
    test "$path" = "$argv[1]"
end
)";
  walk(app, "", [&](const std::string& path, const CLI::App& command) {
    const std::string line = "complete -c " + app.get_name() + " -n " + fish_word(at + " '" + path + "'");
    for (const CLI::App* below : shown_commands(command))
      text += line + " -f -a " + below->get_name() + " -d " + fish_word(below->get_description()) + "\n";
    for (const CLI::Option* option : shown_options(command)) {
      std::string names;
      for (const std::string& name : option->get_lnames()) names += " -l " + name;
      for (const std::string& name : option->get_snames()) names += " -s " + name;
      if (names.empty()) continue;
      if (takes_value(*option)) names += " -r";
      if (const std::string closed = values_of(*option); !closed.empty()) names += " -f -a " + fish_word(closed);
      text += line + names + " -d " + fish_word(option->get_description()) + "\n";
    }
  });
  return text;
}

}  // namespace

std::vector<const CLI::App*> shown_commands(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* command) { return !command->get_group().empty(); });
}

std::vector<const CLI::Option*> shown_options(const CLI::App& app) {
  return app.get_options([](const CLI::Option* option) { return !option->get_group().empty(); });
}

std::string completion_script(const CLI::App& app, std::string_view shell) {
  if (shell == "bash") return for_bash(app);
  if (shell == "zsh") return for_zsh(app);
  return shell == "fish" ? for_fish(app) : "";
}

}  // namespace adit::cli
