// `adit doctor`: fifteen checks of a machine and a configuration, each with what to do.
#include <CLI/Option.hpp>
#include <CLI/Validators.hpp>

#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include <boost/json/serialize.hpp>

#include "cli/any_config.h"
#include "cli/command.h"
#include "cli/doctor/checks.h"
#include "cli/doctor/gather.h"
#include "cli/serve.h"

namespace adit::cli {
namespace {

struct Options {
  std::string file;
  std::string role;
  unsigned deadline_s = 10;
  bool json = false;
};

int run(const Options& options) {
  prepare_process();
  const config::Environment environment = config::environment_of_process();
  const std::string file = options.file.empty() ? usual_config_file() : options.file;
  std::optional<AnyLoaded> loaded;
  if (!file.empty()) loaded = load_any(file, options.role, environment);
  const doctor::Facts facts =
      doctor::gather(loaded ? &*loaded : nullptr, environment, std::chrono::seconds(options.deadline_s));
  const doctor::Report report = doctor::examine(facts);
  std::fputs((options.json ? boost::json::serialize(doctor::to_json(report)) + "\n" : doctor::to_text(report)).c_str(), stdout);
  std::fflush(stdout);
  return report.status() == doctor::Status::kFailure ? kFailure : kOk;
}

}  // namespace

Command add_doctor(CLI::App& app) {
  auto* doctor = app.add_subcommand(
      "doctor", "Look for what is wrong: clock, configuration, files, node, ports, network, relays, pools, limits");
  auto options = std::make_shared<Options>();
  doctor->add_option(
      "-c,--config", options->file,
      "The configuration of a role; by default as for `adit url`, and without any the machine alone is looked at");
  doctor->add_option("--role", options->role, "Whose configuration it is, if its keys do not tell")
      ->check(CLI::IsMember({"pool", "template", "translator", "jd-client"}));
  doctor->add_flag("--json", options->json, "Print one JSON object");
  doctor->add_option("--deadline", options->deadline_s, "Seconds for each step of each question to another machine")
      ->check(CLI::Range(1, 300))
      ->capture_default_str();
  doctor->footer(
      "Nothing is started or changed, but a file that is made in data_dir and removed, and a channel that is opened at each "
      "pool and closed. No secret is printed.\nExit code 0: no check failed (there may be warnings). 1: one did.");
  return {doctor, [options](const Global&) { return run(*options); }};
}

}  // namespace adit::cli
