#include "template/source.h"

namespace adit::templates {

std::string_view error_name(Errc code) {
  switch (code) {
    case Errc::kUnreachable:
      return "unreachable";
    case Errc::kTimedOut:
      return "timed-out";
    case Errc::kUnauthorized:
      return "unauthorized";
    case Errc::kCookie:
      return "cookie";
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
    case Errc::kJournal:
      return "journal";
  }
  return "unknown";
}

std::string_view verdict_name(BlockVerdict verdict) {
  switch (verdict) {
    case BlockVerdict::kAccepted:
      return "accepted";
    case BlockVerdict::kDuplicate:
      return "duplicate";
    case BlockVerdict::kStale:
      return "stale";
    case BlockVerdict::kRejected:
      return "rejected";
  }
  return "unknown";
}

std::string_view state_name(SourceStatus::State state) {
  switch (state) {
    case SourceStatus::State::kStarting:
      return "starting";
    case SourceStatus::State::kReady:
      return "ready";
    case SourceStatus::State::kWaiting:
      return "waiting";
    case SourceStatus::State::kMisconfigured:
      return "misconfigured";
  }
  return "unknown";
}

}  // namespace adit::templates
