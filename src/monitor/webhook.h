// Alerts to where an operator looks: one HTTP request each.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "monitor/alerts.h"

namespace adit::monitor {

struct WebhookRequest {
  std::string content_type;
  std::vector<std::pair<std::string, std::string>> headers{};
  std::string body;
};
/// What an alert is in that shape. Texts that are not UTF-8 are mended; none is longer than receivers take.
WebhookRequest webhook_request(const WebhookConfig& config, const Alert& alert);

/// Scheme, host and port of a webhook's URL, for messages. Errors: kConfiguration: no http:// or https:// URL with a host.
Result<std::string> webhook_host(const std::string& url);

/// Sends on a thread of its own, in the order of their coming. At most kMostWaiting wait; beyond that the oldest is lost.
/// What is lost is logged.
class Webhook {
 public:
  static constexpr std::size_t kMostWaiting = 100;

  /// Errors: as webhook_host.
  static Result<std::unique_ptr<Webhook>> start(WebhookConfig config);
  ~Webhook();  ///< What waits is lost; a request under way is cut off.
  Webhook(const Webhook&) = delete;
  Webhook& operator=(const Webhook&) = delete;

  /// Any thread.
  void send(const Alert& alert);

  struct Counters {
    std::uint64_t taken = 0;  ///< By the receiver.
    std::uint64_t lost = 0;   ///< Given up.
  };
  [[nodiscard]] Counters counters() const;  ///< Any thread.

 private:
  class State;
  explicit Webhook(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace adit::monitor
