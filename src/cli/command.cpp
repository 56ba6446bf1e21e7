#include "cli/command.h"

#include <cstdio>

namespace adit::cli {

int give_up(std::string_view name, const Error& error, int code) {
  std::fprintf(stderr, "adit %.*s: %s\n", static_cast<int>(name.size()), name.data(), error.message().c_str());
  return code;
}

Result<> start_log(const Global& global, const std::string& file) {
  log::Options options = global.log;
  options.file = file;
  return log::configure(options);
}

bool may_start(const std::vector<config::Finding>& findings) {
  bool may = true;
  for (const auto& finding : findings) {
    if (finding.severity != config::Severity::kError && finding.severity != config::Severity::kBlocker) continue;
    std::fprintf(stderr, "%s\n", finding.text().c_str());
    may = false;
  }
  return may;
}

void log_findings(const std::vector<config::Finding>& findings) {
  for (const auto& finding : findings) {
    const char* const event = finding.severity == config::Severity::kNotYet ? "config.not_here_yet" : "config.warning";
    log::warn(event, {{"where", finding.where}, {"message", finding.message}});
  }
}

}  // namespace adit::cli
