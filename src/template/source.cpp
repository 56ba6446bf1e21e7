#include "template/source.h"

#include "base/hex.h"
#include "log/log.h"

namespace adit::templates {

std::string_view error_name(Errc code) {
  switch (code) {
    case Errc::kUnreachable:
      return "unreachable";
    case Errc::kTimedOut:
      return "timed-out";
    case Errc::kUnauthorized:
      return "unauthorized";
    case Errc::kNoCookie:
      return "no-cookie";
    case Errc::kUnreadable:
      return "unreadable";
    case Errc::kWarmingUp:
      return "warming-up";
    case Errc::kInitialDownload:
      return "initial-download";
    case Errc::kNoPeers:
      return "no-peers";
    case Errc::kWrongNetwork:
      return "wrong-network";
    case Errc::kNonsense:
      return "nonsense";
    case Errc::kBusy:
      return "busy";
    case Errc::kInvalidBlock:
      return "invalid-block";
    case Errc::kRefused:
      return "refused";
    case Errc::kConfiguration:
      return "configuration";
    case Errc::kUnknownTemplate:
      return "unknown-template";
    case Errc::kStaleTemplate:
      return "stale-template";
  }
  return "unknown";
}

std::string_view state_name(SourceState state) {
  switch (state) {
    case SourceState::kStarting:
      return "starting";
    case SourceState::kReady:
      return "ready";
    case SourceState::kWaiting:
      return "waiting";
    case SourceState::kMisconfigured:
      return "misconfigured";
  }
  return "unknown";
}

void log_result(std::string_view event, const BlockResult& result) {
  log::write(result.verdict == BlockVerdict::kRejected ? log::Level::kError : log::Level::kInfo, event,
             {{"hash", to_hex_reversed(result.hash)},
              {"height", result.height},
              {"verdict", ledger::verdict_name(result.verdict)},
              {"reason", result.reason},
              {"node", result.node}});
}

void log_status(std::string_view event, const SourceStatus& status) {
  log::write(status.state == SourceState::kMisconfigured ? log::Level::kError : log::Level::kInfo, event,
             {{"state", state_name(status.state)}, {"message", status.message}, {"height", status.height}});
}

}  // namespace adit::templates
