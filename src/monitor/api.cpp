#include "monitor/api.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <utility>
#include <variant>

#include <boost/json/serialize.hpp>

#include "monitor/json.h"

namespace adit::monitor {
namespace {

constexpr std::string_view kPrometheusText = "text/plain; version=0.0.4; charset=utf-8";
/// Bytes of events that a client has not taken; more: it does not read, and its stream ends.
constexpr std::size_t kMaxUnread = 64 * 1024;

Response json_response(const json::object& body) { return {.body = boost::json::serialize(body)}; }

/// "name:port", "1.2.3.4:port" and "[::1]:port" without the port and the brackets, in lower case; empty: it is none of those.
std::string host_of(std::string_view header) {
  if (header.starts_with('[')) {
    const auto end = header.find(']');
    if (end == std::string_view::npos) return {};
    header = header.substr(1, end - 1);
  } else {
    header = header.substr(0, header.find(':'));
  }
  if (header.ends_with('.')) header.remove_suffix(1);
  std::string host(header);
  std::ranges::transform(host, host.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return host;
}

bool is_address(const std::string& host) {
  std::array<std::uint8_t, 16> address{};
  return ::inet_pton(AF_INET, host.c_str(), address.data()) == 1 || ::inet_pton(AF_INET6, host.c_str(), address.data()) == 1;
}

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

json::object of_worker(const WorkerSample& sample) {
  return {{"client_id", sample.client_id},
          {"worker", json::text(sample.worker)},
          {"hashrate_hps", json::number(sample.hashrate_hps)},
          {"shares_accepted", sample.shares_accepted},
          {"shares_rejected", sample.shares_rejected},
          {"share_work", json::number(sample.share_work)}};
}

json::object of_connection(const ConnectionSample& sample) {
  json::object out{{"client_id", sample.client_id},       {"transport", json::text(sample.transport)},
                   {"peer", json::text(sample.peer)},     {"source", json::text(sample.source)},
                   {"path", json::text(sample.path)},     {"lanes", sample.lanes},
                   {"sessions", sample.sessions},         {"authority", json::text(sample.authority)},
                   {"health", json::text(sample.health)}, {"health_reason", json::text(sample.health_reason)}};
  if (sample.rtt_seconds) out["rtt_seconds"] = json::number(*sample.rtt_seconds);
  out["bytes_sent"] = sample.bytes_sent;
  out["bytes_received"] = sample.bytes_received;
  out["packets_sent"] = sample.packets_sent;
  out["packets_lost"] = sample.packets_lost;
  out["path_changes"] = sample.path_changes;
  out["age_seconds"] = json::number(sample.age_seconds);
  out["channels"] = sample.channels;
  return out;
}

Response connections(const Call& call) {
  json::array list;
  for (const ConnectionSample& sample : call.snapshot->connections) list.emplace_back(of_connection(sample));
  return json_response({{"connections", std::move(list)}});
}

Response workers(const Call& call) {
  const SideSample none;
  const SideSample& side = call.snapshot->clients ? *call.snapshot->clients : none;
  json::array list;
  for (const WorkerSample& sample : side.worker_list) list.emplace_back(of_worker(sample));
  return json_response({{"total", side.workers}, {"workers", std::move(list)}});
}

}  // namespace

/// Server-sent events (HTML Living Standard §9.2) for one client.
class Api::Events final : public BodyStream {
 public:
  explicit Events(Instant now) : sent_at_(now) {}

  std::optional<std::string> next(Instant now) override {
    if (unread_.size() > kMaxUnread) return std::nullopt;
    // So that a client that has gone is found out.
    if (unread_.empty() && now - sent_at_ >= kHeartbeat) unread_ = ":\n\n";
    if (!unread_.empty()) sent_at_ = now;
    return std::exchange(unread_, {});
  }
  void push(std::string_view event) {
    if (unread_.size() <= kMaxUnread) unread_ += event;
    if (wake) wake();
  }

 private:
  static constexpr auto kHeartbeat = std::chrono::seconds(15);
  std::string unread_;
  Instant sent_at_;
};

Api::Api(Options options, const Now& started)
    : options_(std::move(options)),
      started_(started),
      router_(table()),
      health_{.message = "the role has only just been started"},
      health_at_(started.instant),
      since_(started.unix_time) {}

Api::~Api() = default;

std::vector<Route> Api::table() {
  return {
      {.method = "GET",
       .pattern = "/metrics",
       .description = "Metrics for Prometheus",
       .needs_snapshot = true,
       .any_host = true,  // Scrapers call services by the names that their networks give them.
       .answer =
           [this](const Call& call) {
             return Response{.content_type = std::string(kPrometheusText),
                             .body = exposition_.text(seconds(call.now.instant - started_.instant), health(call.now))};
           }},
      {.method = "GET",
       .pattern = "/api/v1/health",
       .description = "Whether the process answers, and whether the role can do its work",
       .answer =
           [this](const Call& call) {
             const bool silent = health(call.now).readiness == Readiness::kSilent;
             return Response{.status = silent ? 503U : 200U, .body = health_json(call.now)};
           }},
      {.method = "GET",
       .pattern = "/api/v1/ready",
       .description = "The same, with 503 while the role cannot do its work",
       .answer =
           [this](const Call& call) {
             return Response{.status = health(call.now).ready() ? 200U : 503U, .body = health_json(call.now)};
           }},
      {.method = "GET",
       .pattern = "/api/v1/events",
       .description = "Server-sent events: `health`, whenever what /api/v1/health says changes",
       .answer =
           [this](const Call& call) {
             auto events = std::make_shared<Events>(call.now.instant);
             events->push("retry: 3000\nid: " + std::to_string(last_event_) +
                          "\nevent: health\ndata: " + health_json(call.now) + "\n\n");
             listeners_.push_back(events);
             Response response{.content_type = "text/event-stream", .stream = std::move(events)};
             response.headers.emplace_back("X-Accel-Buffering", "no");
             return response;
           }},
      {.method = "GET",
       .pattern = "/api/v1/connections",
       .description = "Connections with clients and upstreams: transport, path, round trip, health",
       .needs_snapshot = true,
       .answer = connections},
      {.method = "GET",
       .pattern = "/api/v1/workers",
       .description = "Workers that clients name (extension 0x0002), and their shares",
       .needs_snapshot = true,
       .answer = workers},
  };
}

void Api::on_snapshot(std::shared_ptr<const Snapshot> snapshot, Duration refresh, const Now& now) {
  snapshot_ = std::move(snapshot);
  snapshot_due_ = now.instant + refresh;
  exposition_.update(*snapshot_, now.instant);
}

void Api::on_health(Health health, const Now& now) {
  const Health before = this->health(now);
  const bool turned = health.readiness != before.readiness;
  const bool changed = turned || health.message != before.message;
  if (turned) since_ = now.unix_time;
  health_ = std::move(health);
  health_at_ = now.instant;
  if (!changed) return;
  const std::string event = "id: " + std::to_string(++last_event_) + "\nevent: health\ndata: " + health_json(now) + "\n\n";
  std::erase_if(listeners_, [](const auto& listener) { return listener.expired(); });
  for (const auto& listener : listeners_) {
    if (const auto events = listener.lock()) events->push(event);
  }
}

Health Api::health(const Now& now) const {
  const Duration ago = now.instant - health_at_;
  if (ago <= options_.silent_after) return health_;
  return {.readiness = Readiness::kSilent,
          .message = "the role has not answered its monitor for " +
                     std::to_string(std::chrono::duration_cast<std::chrono::seconds>(ago).count()) +
                     " s: if that lasts, restart it",
          .work_age = {}};
}

std::string Api::health_json(const Now& now) const {
  const Health verdict = health(now);
  // `status` and `timestamp` are SRI's, whose status says of a process that answers that it is "ok".
  json::object out{{"status", verdict.readiness == Readiness::kSilent ? "silent" : "ok"},
                   {"timestamp", to_u32(now.unix_time)},
                   {"ready", verdict.ready()},
                   {"state", to_string(verdict.readiness)},
                   {"message", verdict.message.empty() ? json::value(nullptr) : json::value(json::text(verdict.message))},
                   {"since", to_u32(since_)},
                   {"work_age_seconds", verdict.work_age ? json::number(seconds(*verdict.work_age)) : json::value(nullptr)}};
  return boost::json::serialize(out);
}

bool Api::knows_host(std::string_view header) const {
  const std::string host = host_of(header);
  return host == "localhost" || host.ends_with(".localhost") || is_address(host) ||
         std::ranges::find(options_.hosts, host) != options_.hosts.end();
}

bool Api::must_wait(const Request& request) const {
  if (snapshot_ != nullptr) return false;
  const auto found = router_.find(request);
  const auto* const match = std::get_if<Router::Match>(&found);
  return match != nullptr && match->route->needs_snapshot;
}

Response Api::answer(const Request& request, const Now& now) {
  auto found = router_.find(request);
  if (auto* const refusal = std::get_if<Response>(&found)) return std::move(*refusal);
  const auto& match = std::get<Router::Match>(found);
  if (!match.route->any_host && request.host && !knows_host(*request.host)) {
    return refuse(421, "this page is not served under the name \"" + *request.host +
                           "\": use an IP address of this machine or localhost, or add the name to `monitoring_hosts`");
  }
  if (match.route->needs_snapshot) {
    if (snapshot_ == nullptr) return refuse(503, "the role has not answered its monitor yet");
    if (now.instant > snapshot_due_ + options_.silent_after) return refuse(503, "the role does not answer its monitor");
  }
  return match.route->answer({.request = request, .arguments = match.arguments, .snapshot = snapshot_.get(), .now = now});
}

}  // namespace adit::monitor
