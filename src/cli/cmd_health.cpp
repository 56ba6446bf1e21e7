// `adit health`: whether a running role answers, for what has no HTTP client of its own, as a container.
#include <CLI/App.hpp>
#include <CLI/Option.hpp>

#include <chrono>
#include <cstdio>
#include <memory>
#include <string>

#include "cli/command.h"
#include "cli/doctor/http_probe.h"
#include "config/keys.h"

namespace adit::cli {
namespace {

struct Options {
  std::string url = "http://127.0.0.1:9090";
  std::string token_file;
  bool ready = false;
};

int run(const Options& options) {
  std::string token;
  if (!options.token_file.empty()) {
    auto read = config::read_secret_file(options.token_file);
    if (!read) return give_up("health", read.error(), kUsage);
    token = std::move(*read);
  }
  const auto answer =
      doctor::http_get(options.url, options.ready ? "/api/v1/ready" : "/api/v1/health", "", token, std::chrono::seconds(5));
  if (!answer.problem.empty()) {
    std::fprintf(stderr, "adit health: %s: %s\n", options.url.c_str(), answer.problem.c_str());
    return kFailure;
  }
  std::printf("%s\n", answer.body.c_str());
  if (answer.status == 200) return kOk;
  if (answer.status == 401) std::fputs("adit health: it asks for a token: --token-file\n", stderr);
  return kFailure;
}

}  // namespace

Command add_health(CLI::App& app) {
  auto* health = app.add_subcommand("health", "Ask a running role whether it answers, or whether it can do its work");
  auto options = std::make_shared<Options>();
  health->add_option("URL", options->url, "Its monitor: http://HOST:PORT")->envname("ADIT_HEALTH_URL")->capture_default_str();
  health->add_option("--token-file", options->token_file, "The token that it asks for, where it is not on loopback")
      ->envname("ADIT_HEALTH_TOKEN_FILE");
  health->add_flag("--ready", options->ready, "Fail also while it answers and cannot do its work");
  health->footer("Exit code 0: it answers. 1: it does not, or it says that it hangs. Its answer is printed as JSON.");
  return {health, [options](const Global&) { return run(*options); }};
}

}  // namespace adit::cli
