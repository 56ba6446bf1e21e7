// `adit demo`.
#include <CLI/Option.hpp>

#include <unistd.h>
#include <cstdlib>
#include <memory>

#include "cli/command.h"
#include "cli/demo/run.h"
#include "cli/duration.h"

namespace adit::cli {
namespace {

struct Options {
  std::string run_for;
  DemoOptions demo;
};

int run(const Global& global, Options options) {
  if (!options.run_for.empty()) {
    const auto run_for = parse_duration(options.run_for);
    if (!run_for) return give_up("demo: --for", run_for.error(), kUsage);
    options.demo.run_for = *run_for;
  }
  options.demo.colour = isatty(options.demo.json ? STDERR_FILENO : STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr;
  return run_demo(global.program, options.demo);
}

}  // namespace

Command add_demo(CLI::App& app) {
  auto* demo = app.add_subcommand("demo", "Pool, translator and miner on this machine, over iroh: watch shares become blocks");
  auto options = std::make_shared<Options>();
  demo->add_option("--for", options->run_for, "End by itself after this long (20s, 5m); otherwise Ctrl-C ends it");
  demo->add_option("--threads", options->demo.threads, "Hashing threads")->check(CLI::Range(1, 256))->capture_default_str();
  demo->add_flag("--json", options->demo.json, "Print one JSON object at the end");
  return {demo, [options](const Global& global) { return run(global, *options); }};
}

}  // namespace adit::cli
