// The command line's own description of itself: completion for shells, and manual pages.
#pragma once

#include <CLI/App.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace adit::cli {

/// The subcommands that are shown to people, in their order.
std::vector<const CLI::App*> shown_commands(const CLI::App& app);

/// The options that are shown to people, those without a dash (arguments) included.
std::vector<const CLI::Option*> shown_options(const CLI::App& app);

/// A script that completes subcommands, options and closed sets of values of `app`. `shell`: bash, zsh or fish; empty for
/// others.
std::string completion_script(const CLI::App& app, std::string_view shell);

struct ManualPage {
  std::string file;  ///< "adit-pool.1"
  std::string text;  ///< roff, with man(7)'s macros.
};

/// A page for `app`, and one for each of its subcommands, which has those below it as well.
std::vector<ManualPage> manual_pages(const CLI::App& app, std::string_view version);

}  // namespace adit::cli
