#include "monitor/api.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <utility>
#include <variant>

#include <boost/json/serialize.hpp>

#include "base/hex.h"
#include "base/number.h"
#include "base/text.h"
#include "bitcoin/address.h"
#include "log/format.h"
#include "monitor/json.h"
#include "monitor/lists.h"
#include "monitor/negotiation.h"
#include "monitor/query.h"

namespace adit::monitor {
namespace {

constexpr std::string_view kPrometheusText = "text/plain; version=0.0.4; charset=utf-8";
/// Bytes of events that a client has not taken; more: it does not read, and its stream ends.
constexpr std::size_t kMaxUnread = 64 * 1024;

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
  return lower_case(header);
}

bool is_address(const std::string& host) {
  std::array<std::uint8_t, 16> address{};
  return ::inet_pton(AF_INET, host.c_str(), address.data()) == 1 || ::inet_pton(AF_INET6, host.c_str(), address.data()) == 1;
}

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

std::string_view content_type(std::string_view path) {
  if (path == "/") return "text/html; charset=utf-8";
  if (path.ends_with(".js")) return "text/javascript; charset=utf-8";
  if (path.ends_with(".css")) return "text/css; charset=utf-8";
  if (path.ends_with(".svg")) return "image/svg+xml";
  if (path.ends_with(".json")) return "application/json";
  return "text/plain; charset=utf-8";
}

/// The page loads nothing from elsewhere, runs no script that stands in it, and is shown in no other page.
constexpr std::string_view kContentSecurityPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

Response serve_asset(const Asset& asset, const Request& request) {
  Response response{.content_type = std::string(content_type(asset.path)), .built_in = asset.content};
  response.headers.emplace_back("ETag", asset.etag);
  // Files in assets/ have a hash in their names: another content has another name.
  response.headers.emplace_back("Cache-Control",
                                asset.path.starts_with("/assets/") ? "public, max-age=31536000, immutable" : "no-cache");
  response.headers.emplace_back("Content-Security-Policy", kContentSecurityPolicy);
  response.headers.emplace_back("Vary", asset.path == "/" ? "Accept, Accept-Encoding" : "Accept-Encoding");
  if (asset.gzip && !accepts_gzip(request.accept_encoding)) {
    return refuse(406, "this file is served compressed only: send Accept-Encoding: gzip (curl --compressed)");
  }
  if (names_etag(request.if_none_match, asset.etag)) {
    response.status = 304;
    response.content_type.clear();
    response.built_in = {};
    return response;
  }
  if (asset.gzip) response.headers.emplace_back("Content-Encoding", "gzip");
  return response;
}

json::object of_side(const SideSample& side) {
  json::object reasons;
  for (const auto& [code, count] : side.shares_rejected) reasons[json::text(code)] = count;
  return {{"connections", side.connections},
          {"channels", side.standard_channels + side.extended_channels},
          {"workers", side.workers},
          {"declared_hps", json::number(side.hashrate_hps)},
          {"measured_hps", json::number(side.measured_hps)},
          {"shares_accepted", side.shares_accepted},
          {"shares_rejected", sum(side.shares_rejected)},
          {"shares_rejected_by_reason", std::move(reasons)},
          {"blocks_found", side.blocks_found}};
}

/// Of a coinbase, whose outputs a declarator chooses: they are shown as far as an event has room.
constexpr std::size_t kMaxOutputsShown = 16;
constexpr std::size_t kMaxScriptShown = 128;  ///< Bytes.

json::object of_output(const bitcoin::TxOutput& output, std::optional<bitcoin::Network> network) {
  const auto address = network ? bitcoin::address_from_script(output.script, *network) : std::nullopt;
  const Bytes script = output.script;
  return {{"address", address ? json::value(json::text(*address)) : json::value(nullptr)},
          {"script_hex", json::text(to_hex(script.first(std::min(script.size(), kMaxScriptShown))))},
          {"script_size", script.size()},
          {"value_sat", output.value_sat}};
}

json::object of_coinbase(const std::vector<bitcoin::TxOutput>& coinbase, const WorkSample& work) {
  json::array outputs;
  for (const bitcoin::TxOutput& output : coinbase) {
    if (outputs.size() == kMaxOutputsShown) break;
    outputs.push_back(of_output(output, work.network));
  }
  return {{"outputs", std::move(outputs)}, {"total", coinbase.size()}, {"own_payouts", work.own_payouts}};
}

template <class T>
json::value or_null(const std::optional<T>& value) {
  return value ? json::value(*value) : json::value(nullptr);
}

json::object of_work(const WorkSample& work) {
  json::array nodes;
  for (const NodeSample& node : work.nodes) {
    nodes.push_back({{"name", json::text(node.name)},
                     {"state", node.state},
                     {"message", json::text_or_null(node.message)},
                     {"in_use", node.in_use},
                     {"height", node.height},
                     {"clock_ahead_seconds", or_null(node.clock_ahead_seconds)}});
  }
  json::array blocks;
  for (const ledger::AnsweredBlock& block : work.blocks) {
    blocks.push_back({{"hash", to_hex_reversed(block.result.hash)},
                      {"height", block.result.height},
                      {"verdict", ledger::verdict_name(block.result.verdict)},
                      {"reason", json::text_or_null(block.result.reason)},
                      {"node", json::text_or_null(block.result.node)},
                      {"at", block.at.time_since_epoch().count()}});
  }
  return {{"height", work.height == 0 ? json::value(nullptr) : json::value(work.height)},
          {"network", work.network ? json::value(bitcoin::network_name(*work.network)) : json::value(nullptr)},
          {"difficulty", work.difficulty == 0 ? json::value(nullptr) : json::number(work.difficulty)},
          {"reward_sat", or_null(work.reward_sat)},
          {"fees_sat", or_null(work.fees_sat)},
          {"coinbase", work.coinbase ? json::value(of_coinbase(*work.coinbase, work)) : json::value(nullptr)},
          {"pieces", work.pieces},
          {"node", json::text_or_null(work.node)},
          {"nodes", std::move(nodes)},
          {"blocks_accepted", work.blocks_accepted},
          {"blocks_rejected", work.blocks_rejected},
          {"blocks_unanswered", work.blocks_unanswered},
          {"blocks", std::move(blocks)}};
}

/// How many connections there are of each kind.
json::object of_connections(const std::vector<ConnectionSample>& connections) {
  std::uint64_t tcp = 0;
  std::uint64_t iroh = 0;
  std::uint64_t relayed = 0;
  std::uint64_t degraded = 0;
  for (const ConnectionSample& connection : connections) {
    ++(connection.transport == "iroh" ? iroh : tcp);
    if (connection.path == "relayed") ++relayed;
    if (connection.health != "healthy") ++degraded;
  }
  return {{"tcp", tcp}, {"iroh", iroh}, {"relayed", relayed}, {"degraded", degraded}};
}

/// The connection with the server above that is up, if there is one.
const ConnectionSample* upstream_of(const Snapshot& snapshot) {
  const auto found = std::ranges::find(snapshot.connections, 0U, &ConnectionSample::client_id);
  return snapshot.server && found != snapshot.connections.end() ? &*found : nullptr;
}

/// To a client that has not given the token. Browsers ask their user for it, but not under a name that somebody else may have
/// made point here: they would send the token there, too.
Response refuse_access(const Request& request, bool known_host) {
  Response response = refuse(
      401, std::string(request.authorization.empty() ? "this asks for a token" : "this is not the token") +
               ": send the header Authorization: Bearer TOKEN, or the token as the password of HTTP Basic; it stands in the "
               "role's `monitoring_token_file`, or in the file that its log names (monitor.token_asked_for)");
  response.headers.emplace_back("WWW-Authenticate",
                                known_host ? "Basic realm=\"adit\", charset=\"UTF-8\"" : "Bearer realm=\"adit\"");
  return response;
}

constexpr std::size_t kMaxUpstreamsShown = 8;
constexpr std::size_t kMaxMarksShown = 16;

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
      told_(health_),
      health_at_(started.instant),
      since_(started.unix_time),
      checks_{{"at", nullptr}, {"status", nullptr}, {"checks", json::array()}} {}

Api::~Api() = default;

std::vector<Route> Api::table() {
  std::vector<Route> routes = {
      {.method = "GET",
       .pattern = "/",
       .description = "The dashboard, where HTML is preferred; else this list",
       .answer = [this](const Call& call) { return index(call); }},
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
             const Health verdict = health(call.now);
             Response response = json_response(health_json(verdict, call.now));
             if (verdict.readiness == Readiness::kSilent) response.status = 503;
             return response;
           }},
      {.method = "GET",
       .pattern = "/api/v1/ready",
       .description = "The same, with 503 while the role cannot do its work",
       .answer =
           [this](const Call& call) {
             const Health verdict = health(call.now);
             Response response = json_response(health_json(verdict, call.now));
             if (!verdict.ready()) response.status = 503;
             return response;
           }},
      {.method = "GET",
       .pattern = "/api/v1/global",
       .description = "Sums: the server above, SV2 clients, SV1 clients, uptime",
       .needs_snapshot = true,
       .answer =
           [this](const Call& call) {
             const auto uptime = std::chrono::duration_cast<std::chrono::seconds>(call.now.instant - started_.instant);
             return global(*call.snapshot, static_cast<std::uint64_t>(uptime.count()));
           }},
      {.method = "GET",
       .pattern = "/api/v1/server",
       .description = "The server above: channels and hash rate",
       .needs_snapshot = true,
       .answer = server},
      {.method = "GET",
       .pattern = "/api/v1/server/channels",
       .description = "Channels with the server above (offset, limit)",
       .needs_snapshot = true,
       .answer = server_channels},
      {.method = "GET",
       .pattern = "/api/v1/clients",
       .description = "SV2 clients (offset, limit)",
       .needs_snapshot = true,
       .answer = clients},
      {.method = "GET",
       .pattern = "/api/v1/clients/{client_id}",
       .description = "One SV2 client",
       .needs_snapshot = true,
       .answer = client},
      {.method = "GET",
       .pattern = "/api/v1/clients/{client_id}/channels",
       .description = "Channels of one SV2 client (offset, limit)",
       .needs_snapshot = true,
       .answer = client_channels},
      {.method = "GET",
       .pattern = "/api/v1/sv1/clients",
       .description = "SV1 miners (offset, limit)",
       .needs_snapshot = true,
       .answer = sv1_clients},
      {.method = "GET",
       .pattern = "/api/v1/sv1/clients/{client_id}",
       .description = "One SV1 miner",
       .needs_snapshot = true,
       .answer = sv1_client},
      {.method = "GET",
       .pattern = "/api/v1/status",
       .description = "The role in one object: what it is, its health, sums, upstreams, work",
       .needs_snapshot = true,
       .answer = [this](const Call& call) { return json_response(status_json(call.now)); }},
      {.method = "GET",
       .pattern = "/api/v1/events",
       .description = "Server-sent events: `health` and `mark` as they come; `status` and `points` with each snapshot",
       .answer = [this](const Call& call) { return events(call); }},
      {.method = "GET",
       .pattern = "/api/v1/history",
       .description = "Figures of the past for plots (span: 10m, 6h, 7d)",
       .answer =
           [this](const Call& call) {
             const auto columns = history_.columns(query_value(call.request.query, "span").value_or("10m"));
             return columns ? json_response(*columns) : refuse(400, "span is one of 10m, 6h and 7d");
           }},
      {.method = "GET",
       .pattern = "/api/v1/entrances",
       .description = "URLs under which others reach this role",
       .answer = [this](const Call&) { return json_response(entrances_json()); }},
      {.method = "GET",
       .pattern = "/api/v1/alerts",
       .description = "What is wrong now, and whether [alerts] tells somebody",
       .answer = [this](const Call&) { return json_response(alerts_json()); }},
      {.method = "GET",
       .pattern = "/api/v1/doctor",
       .description = "Checks that the role makes of itself, as adit doctor's, and what to do",
       .answer = [this](const Call&) { return json_response(checks_); }},
      {.method = "GET",
       .pattern = "/api/v1/warnings",
       .description = "The newest warnings and errors of the log",
       .answer = [this](const Call&) { return json_response(warnings_json()); }},
      {.method = "GET",
       .pattern = "/api/v1/connections",
       .description = "Connections with clients and upstreams: transport, path, round trip, health (offset, limit)",
       .needs_snapshot = true,
       .answer = connections},
      {.method = "GET",
       .pattern = "/api/v1/workers",
       .description = "Workers that clients name (extension 0x0002), and their shares",
       .needs_snapshot = true,
       .answer = workers},
      {.method = "GET",
       .pattern = "/api/v1/miners",
       .description = "What mines, one row each (offset, limit, search, sort)",
       .needs_snapshot = true,
       .answer = miners},
      {.method = "GET",
       .pattern = "/api-docs/openapi.json",
       .description = "This API as OpenAPI 3.1",
       .answer = [](const Call& call) { return serve_asset(*find_asset("/openapi.json"), call.request); }},
      {.method = "GET",
       .pattern = "/swagger-ui",
       .description = "This API for people",
       .answer =
           [](const Call&) {
             Response response{.status = 302, .content_type = ""};
             response.headers.emplace_back("Location", "/#/api");
             return response;
           }},
  };
  add_pages(routes);
  return routes;
}

void Api::add_pages(std::vector<Route>& routes) {
  for (const Asset& asset : assets()) {
    if (asset.path == "/" || asset.path == "/openapi.json") continue;
    routes.push_back({.method = "GET", .pattern = asset.path, .listed = false, .answer = [&asset](const Call& call) {
                        return serve_asset(asset, call.request);
                      }});
  }
}

Response Api::index(const Call& call) const {
  const Asset* const page = find_asset("/");
  if (page != nullptr && prefers_html(call.request.accept)) return serve_asset(*page, call.request);
  std::map<std::string_view, std::string_view> sorted;
  for (const Route& route : router_.routes()) {
    if (route.listed) sorted.emplace(route.pattern, route.description);
  }
  json::object endpoints;
  for (const auto& [pattern, description] : sorted) endpoints[pattern] = description;
  // The name is SRI's, which its tools look for.
  Response response =
      json_response({{"service", "SRI Monitoring API"}, {"version", "0.1.0"}, {"endpoints", std::move(endpoints)}});
  response.headers.emplace_back("Vary", "Accept");
  return response;
}

std::string Api::event(std::string_view type, const json::object& data) const {
  std::string out = "id: " + std::to_string(to_u32(started_.unix_time)) + "-" + std::to_string(last_event_) + "\nevent: ";
  return out.append(type).append("\ndata: ").append(boost::json::serialize(data)).append("\n\n");
}

void Api::drop_who_left() {
  std::erase_if(listeners_, [](const auto& listener) { return listener.expired(); });
}

void Api::send(std::string_view type, const json::object& data) {
  ++last_event_;
  const std::string text = event(type, data);
  drop_who_left();
  for (const auto& listener : listeners_) {
    if (const auto events = listener.lock()) events->push(text);
  }
}

Response Api::events(const Call& call) {
  auto stream = std::make_shared<Events>(call.now.instant);
  stream->push("retry: 3000\n" + event("health", health_json(health(call.now), call.now)));
  if (snapshot_ != nullptr) stream->push(event("status", status_json(call.now)));
  // Who comes back gets what it missed; ids of an earlier process mean nothing here, nor do those of a peer's own making.
  const std::string ours = std::to_string(to_u32(started_.unix_time)) + "-";
  if (call.request.last_event_id.starts_with(ours)) {
    const auto id = number_from<std::uint64_t>(std::string_view(call.request.last_event_id).substr(ours.size()));
    if (id) stream->push(event("points", history_.since(*id)));
  }
  drop_who_left();
  listeners_.push_back(stream);
  Response response{.content_type = "text/event-stream", .stream = std::move(stream)};
  response.headers.emplace_back("X-Accel-Buffering", "no");
  return response;
}

void Api::on_snapshot(std::shared_ptr<const Snapshot> snapshot, Duration refresh, const Now& now) {
  snapshot_ = std::move(snapshot);
  snapshot_due_ = now.instant + refresh;
  refresh_ = refresh;
  miners_ = count_miners(*snapshot_);
  exposition_.update(*snapshot_, now.instant);
  observe(*snapshot_, now);
  send("status", status_json(now));
}

void Api::observe(const Snapshot& snapshot, const Now& now) {
  const SideSample* const side = snapshot.clients ? &*snapshot.clients : snapshot.server ? &*snapshot.server : nullptr;
  Seen seen;
  Point point{.at = now.unix_time, .miners = miners_};
  if (side != nullptr) {
    seen.accepted = side->shares_accepted;
    seen.rejected = sum(side->shares_rejected);
    seen.blocks = side->blocks_found;
    point.measured_hps = side->measured_hps;
    point.declared_hps = side->hashrate_hps;
    // A pool counts whole difficulties, of which a small miner's shares have none: then what they prove here counts, unless the
    // pool takes none of them.
    const bool refused = seen.accepted == 0 && seen.rejected != 0;
    if (point.measured_hps == 0 && snapshot.sv1 && !refused) point.measured_hps = snapshot.sv1->hashrate_hps;
  }
  if (snapshot.work) seen.height = snapshot.work->height;
  for (const UpstreamSample& upstream : snapshot.upstreams) {
    if (upstream.ready && seen.upstream.empty()) seen.upstream = upstream.url;
  }
  if (const ConnectionSample* const upstream = upstream_of(snapshot)) {
    seen.path = upstream->path;
    if (upstream->rtt_seconds) point.rtt_ms = *upstream->rtt_seconds * 1000;
  }
  const auto consider = [&](double difficulty, const std::string& name) {
    if (difficulty > best_.difficulty) best_ = {.difficulty = difficulty, .name = name, .at = now.unix_time};
  };
  if (snapshot.sv1) {
    for (const Sv1ClientSample& miner : snapshot.sv1->list) consider(miner.best_difficulty, miner.user);
  }
  if (snapshot.clients) {
    for (const ChannelSample& channel : snapshot.clients->channels) consider(channel.best_difficulty, channel.user_identity);
  }
  if (seen_) {
    point.accepted = seen.accepted - std::min(seen.accepted, seen_->accepted);
    point.rejected = seen.rejected - std::min(seen.rejected, seen_->rejected);
    if (seen.height > seen_->height && seen_->height != 0) mark("tip", "work for block " + std::to_string(seen.height), now);
    if (seen.blocks > seen_->blocks) {
      const auto found = seen.blocks - seen_->blocks;
      mark("block", found == 1 ? "block found" : std::to_string(found) + " blocks found", now);
    }
    if (!seen.upstream.empty() && !seen_->upstream.empty() && seen.upstream != seen_->upstream)
      mark("upstream", "now with " + seen.upstream, now);
    if (!seen.path.empty() && !seen_->path.empty() && seen.path != seen_->path)
      mark("path", "the path to the upstream is " + seen.path + " now", now);
    // An upstream that is away for a while is the same as before when it is back.
    if (seen.upstream.empty()) seen.upstream = seen_->upstream;
    if (seen.path.empty()) seen.path = seen_->path;
  }
  const std::uint64_t before = last_event_;
  point.id = before + 1;
  history_.add(point);
  send("points", history_.since(before));
  seen_ = std::move(seen);
}

void Api::mark(std::string_view kind, std::string text, const Now& now) {
  const Mark mark{.at = now.unix_time, .kind = kind, .text = std::move(text)};
  send("mark", History::of(mark));
  history_.add(mark);
}

void Api::on_health(Health health, const Now& now) {
  health_ = std::move(health);
  health_at_ = now.instant;
  tick(now);
}

void Api::on_checks(json::object checks, const Now& now) {
  checks_ = std::move(checks);
  checks_["at"] = to_u32(now.unix_time);
}

void Api::tick(const Now& now) {
  Health verdict = health(now);
  const bool turned = verdict.readiness != told_.readiness;
  // How long it has been silent is no news.
  const bool changed = turned || (verdict.message != told_.message && verdict.readiness != Readiness::kSilent);
  if (!changed) return;
  told_ = std::move(verdict);
  if (turned) {
    since_ = now.unix_time;
    std::string text(to_string(told_.readiness));
    if (!told_.message.empty()) text += ": " + told_.message;
    mark("state", std::move(text), now);
  }
  send("health", health_json(told_, now));
}

json::object Api::status_json(const Now& now) const {
  const auto uptime = std::chrono::duration_cast<std::chrono::seconds>(now.instant - started_.instant);
  json::object out{{"role", options_.identity.role},
                   {"version", options_.identity.version},
                   {"host_name", json::text(options_.identity.host_name)},
                   {"at", to_u32(now.unix_time)},
                   {"uptime_secs", uptime.count()},
                   {"refresh_secs", json::number(seconds(refresh_))},
                   {"health", health_json(health(now), now)},
                   {"server", nullptr},
                   {"clients", nullptr},
                   {"sv1", nullptr},
                   {"work", nullptr},
                   {"best_share", nullptr}};
  if (snapshot_ == nullptr) return out;
  const Snapshot& snapshot = *snapshot_;
  out["miners"] = miners_;
  if (snapshot.server) out["server"] = of_side(*snapshot.server);
  if (snapshot.clients) out["clients"] = of_side(*snapshot.clients);
  if (snapshot.sv1)
    out["sv1"] = json::object{{"clients", snapshot.sv1->clients}, {"hashrate_hps", json::number(snapshot.sv1->hashrate_hps)}};
  if (snapshot.work) out["work"] = of_work(*snapshot.work);
  out["connections"] = of_connections(snapshot.connections);
  json::array upstreams;
  for (const UpstreamSample& upstream : snapshot.upstreams) {
    if (upstreams.size() == kMaxUpstreamsShown) break;
    upstreams.push_back({{"url", json::text(upstream.url)},
                         {"ready", upstream.ready},
                         {"error", json::text_or_null(upstream.error)},
                         {"connects", upstream.connects},
                         {"fallbacks", upstream.fallbacks}});
  }
  out["upstreams"] = std::move(upstreams);
  const ConnectionSample* const upstream = upstream_of(snapshot);
  out["upstream_connection"] = upstream == nullptr ? json::value(nullptr) : json::value(of_connection(*upstream));
  if (best_.difficulty > 0) {
    out["best_share"] = json::object{
        {"difficulty", json::number(best_.difficulty)}, {"name", json::text(best_.name)}, {"at", to_u32(best_.at)}};
  }
  json::array marks;
  const auto& all = history_.marks();
  for (std::size_t i = all.size() - std::min(all.size(), kMaxMarksShown); i < all.size(); ++i)
    marks.push_back(History::of(all[i]));
  out["marks"] = std::move(marks);
  return out;
}

json::object Api::alerts_json() const {
  json::array list;
  for (const Alert& alert : alerts_) {
    list.push_back({{"kind", to_string(alert.kind)},
                    {"about", json::text(alert.about)},
                    {"text", json::text(alert.text)},
                    {"since", to_u32(alert.since)},
                    {"muted", options_.muted_alerts.contains(alert.kind)}});
  }
  json::array muted;
  for (const AlertKind kind : options_.muted_alerts) muted.emplace_back(to_string(kind));
  return {{"alerts", std::move(list)}, {"told", options_.tells_alerts}, {"muted", std::move(muted)}};
}

json::object Api::warnings_json() const {
  json::array list;
  for (const log::Warning& warning : options_.warnings ? options_.warnings() : std::vector<log::Warning>()) {
    list.push_back({{"at", std::chrono::floor<std::chrono::seconds>(warning.at.time_since_epoch()).count()},
                    {"level", log::to_string(warning.level)},
                    {"event", json::text(warning.event)},
                    {"count", warning.count},
                    {"message", json::text_or_null(warning.message)},
                    {"fields", json::text(warning.fields)}});
  }
  return {{"warnings", std::move(list)}};
}

json::object Api::entrances_json() const {
  json::array list;
  for (const Entrance& entrance : entrances_) {
    list.push_back({{"transport", entrance.transport},
                    {"url", json::text(entrance.url)},
                    {"host", json::text(entrance.host)},
                    {"port", entrance.port == 0 ? json::value(nullptr) : json::value(entrance.port)},
                    {"authority", json::text_or_null(entrance.authority)}});
  }
  return {{"entrances", std::move(list)}, {"host_name", json::text(options_.identity.host_name)}};
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

json::object Api::health_json(const Health& verdict, const Now& now) const {
  // `status` and `timestamp` are SRI's, whose status says of a process that answers that it is "ok".
  json::object out{{"status", verdict.readiness == Readiness::kSilent ? "silent" : "ok"},
                   {"timestamp", to_u32(now.unix_time)},
                   {"ready", verdict.ready()},
                   {"state", to_string(verdict.readiness)},
                   {"message", json::text_or_null(verdict.message)},
                   {"since", to_u32(since_)},
                   {"work_age_seconds", verdict.work_age ? json::number(seconds(*verdict.work_age)) : json::value(nullptr)}};
  return out;
}

bool Api::knows_host(std::string_view header) const {
  const std::string host = host_of(header);
  return host == "localhost" || host.ends_with(".localhost") || is_address(host) ||
         std::ranges::find(options_.hosts, host) != options_.hosts.end();
}

bool Api::must_wait(const Request& request) const {
  if (snapshot_ != nullptr || !options_.access.admits(request.authorization)) return false;
  const auto found = router_.find(request);
  const auto* const match = std::get_if<Router::Match>(&found);
  return match != nullptr && match->route->needs_snapshot;
}

Response Api::answer(const Request& request, const Now& now) {
  auto found = router_.find(request);
  auto* const refusal = std::get_if<Response>(&found);
  const bool any_host = refusal != nullptr || std::get<Router::Match>(found).route->any_host;
  const bool known_host = !request.host || knows_host(*request.host);
  if (!any_host && !known_host) {
    return refuse(421, "this page is not served under the name \"" + *request.host +
                           "\": use an IP address of this machine or localhost, or add the name to `monitoring_hosts`");
  }
  if (!options_.access.admits(request.authorization)) return refuse_access(request, known_host);
  if (refusal != nullptr) return std::move(*refusal);
  const auto& match = std::get<Router::Match>(found);
  if (match.route->needs_snapshot) {
    if (snapshot_ == nullptr) return refuse(503, "the role has not answered its monitor yet");
    if (now.instant > snapshot_due_ + options_.silent_after) return refuse(503, "the role does not answer its monitor");
  }
  return match.route->answer({.request = request, .arguments = match.arguments, .snapshot = snapshot_.get(), .now = now});
}

}  // namespace adit::monitor
