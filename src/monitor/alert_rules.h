// What alerts there are, when they are told, and to whom.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "base/time.h"

namespace adit::monitor {

enum class AlertKind : std::uint8_t {
  kNotReady,     ///< The role cannot do its work, for whatever reason but the next two.
  kUpstream,     ///< No server above is connected; or the connection with it is degraded, or goes through a relay.
  kNode,         ///< A node gives no work, or is behind another.
  kClock,        ///< A node's clock differs from ours.
  kNoShares,     ///< Miners are connected, and no share is accepted.
  kMinerGone,    ///< A miner that has mined is not there any more.
  kRejects,      ///< Too large a part of the shares is refused.
  kDisk,         ///< The folder of the role's data is nearly full.
  kDescriptors,  ///< The process has nearly as many files and connections open as it may have.
  kBlock,        ///< A block was found. It is never over.
};
inline constexpr std::array kAllAlerts = {
    AlertKind::kNotReady,  AlertKind::kUpstream, AlertKind::kNode, AlertKind::kClock,       AlertKind::kNoShares,
    AlertKind::kMinerGone, AlertKind::kRejects,  AlertKind::kDisk, AlertKind::kDescriptors, AlertKind::kBlock};
constexpr std::string_view to_string(AlertKind kind) {
  switch (kind) {
    case AlertKind::kNotReady:
      return "not_ready";
    case AlertKind::kUpstream:
      return "upstream";
    case AlertKind::kNode:
      return "node";
    case AlertKind::kClock:
      return "clock";
    case AlertKind::kNoShares:
      return "no_shares";
    case AlertKind::kMinerGone:
      return "miner_gone";
    case AlertKind::kRejects:
      return "rejects";
    case AlertKind::kDisk:
      return "disk";
    case AlertKind::kDescriptors:
      return "descriptors";
    case AlertKind::kBlock:
      break;
  }
  return "block";
}

struct AlertRules {
  /// So long a fault of role, upstream, node or clock lasts before it is told; and so long whatever was told has to be away
  /// before it is over.
  Duration patience = std::chrono::minutes(2);
  Duration no_shares = std::chrono::minutes(10);  ///< Without an accepted share, while miners are connected.
  Duration miner_gone = std::chrono::minutes(5);
  unsigned rejects_percent = 10;  ///< Of the shares of the last ten minutes, at least kLeastShares.
  std::int64_t clock_seconds = 30;
  std::uint64_t least_disk_bytes = 500ull << 20;
  unsigned most_descriptors_percent = 90;  ///< Of those that the process may have.
  std::set<AlertKind> muted{};             ///< These are never told; the page shows them.
};

/// How the receiver wants to be told.
enum class WebhookShape : std::uint8_t {
  kJson,      ///< Our own JSON: every field of the alert.
  kNtfy,      ///< A text, with title, priority and tags in headers.
  kDiscord,   ///< {"content": ...}
  kTelegram,  ///< {"chat_id": ..., "text": ...}, to the URL of a bot's sendMessage.
};

struct WebhookConfig {
  std::string url;  ///< http:// or https://; may hold a secret, and stands in no log line.
  WebhookShape shape = WebhookShape::kJson;
  std::string chat_id{};                           ///< Of Telegram.
  std::string name{};                              ///< How this role is called in the texts; "pool on farm.example".
  Duration deadline = std::chrono::seconds(20);    ///< Of one request, its connection included.
  Duration retry_first = std::chrono::seconds(5);  ///< After a failure; it grows fourfold.
  unsigned attempts = 5;                           ///< For one alert; then it is given up, and logged.
};

}  // namespace adit::monitor
