#include "monitor/lists.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <ranges>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json/serialize.hpp>

#include "base/hex.h"
#include "base/number.h"
#include "base/text.h"
#include "monitor/query.h"
#include "monitor/rejections.h"

namespace adit::monitor {
namespace {

/// SRI's readers have 32 bits.
std::uint64_t saturated(std::uint64_t count) {
  return std::min<std::uint64_t>(count, std::numeric_limits<std::uint32_t>::max());
}

json::object by_reason(const RejectedShares& counts) {
  json::object out;
  for (const std::string_view code : kRejectionCodes) out[code] = 0;
  for (const auto& [code, count] : counts) out[json::text(code)] = saturated(count);
  return out;
}

Response missing(std::string_view sentence) { return refuse(404, sentence); }

/// The part of `all` that `page` names.
template <class Range, class Make>
json::array part(const Range& all, const Page& page, Make make) {
  json::array out;
  const std::size_t size = all.size();
  for (std::size_t i = page.first(size); i < page.last(size); ++i) out.emplace_back(make(all[i]));
  return out;
}

json::object channel_common(const ChannelSample& channel) {
  return {{"channel_id", channel.channel_id},
          {"user_identity", json::text(channel.user_identity)},
          {"nominal_hashrate", channel.hashrate_known ? json::number(channel.hashrate_hps) : json::value(nullptr)},
          {"target_hex", channel.target_hex},
          {"extranonce_prefix_hex", channel.extranonce_prefix_hex},
          {"shares_rejected", saturated(sum(channel.shares_rejected))},
          {"shares_rejected_by_reason", by_reason(channel.shares_rejected)},
          {"best_diff", json::number(channel.best_difficulty)},
          {"blocks_found", saturated(channel.blocks_found)}};
}

void add_sizes(json::object& out, const ChannelSample& channel) {
  out["full_extranonce_size"] = channel.extranonce_prefix_size + channel.extranonce_size;
  out["rollable_extranonce_size"] = channel.extranonce_size;
}

json::object of_client_channel(const ChannelSample& channel) {
  json::object out = channel_common(channel);
  out["stable_hashrate"] = channel.steady;
  out["requested_max_target_hex"] = channel.max_target_hex;
  out["expected_shares_per_minute"] = json::number(channel.shares_per_minute);
  out["shares_accepted"] = saturated(channel.shares_accepted);
  out["share_work_sum"] = json::number(channel.share_work);
  out["last_share_sequence_number"] = channel.last_sequence_number;
  out["last_batch_accepted"] = channel.last_batch_accepted;
  out["last_batch_work_sum"] = channel.last_batch_work;
  out["share_batch_size"] = channel.share_batch_size;
  if (channel.extended) add_sizes(out, channel);
  return out;
}

json::object of_server_channel(const ChannelSample& channel) {
  json::object out = channel_common(channel);
  out["shares_acknowledged"] = saturated(channel.shares_accepted);
  out["shares_submitted"] = saturated(channel.shares_submitted);
  out["acknowledged_work_sum"] = channel.acknowledged_work;
  out["validated_work_sum"] = json::number(channel.share_work);
  if (channel.extended) {
    add_sizes(out, channel);
    out["version_rolling"] = channel.version_rolling;
  }
  return out;
}

/// A page of the channels that `wanted` wants, the extended ones and the standard ones apart.
template <class Wanted, class Make>
json::object channel_page(const std::vector<ChannelSample>& all, const Page& page, Wanted wanted, Make make) {
  std::vector<const ChannelSample*> extended;
  std::vector<const ChannelSample*> standard;
  for (const ChannelSample& channel : all) {
    if (wanted(channel)) (channel.extended ? extended : standard).push_back(&channel);
  }
  const auto of = [&](const ChannelSample* channel) { return make(*channel); };
  return {{"offset", page.offset},
          {"limit", page.limit},
          {"total_extended", extended.size()},
          {"total_standard", standard.size()},
          {"extended_channels", part(extended, page, of)},
          {"standard_channels", part(standard, page, of)}};
}

json::object summary(const SideSample& side) {
  return {{"total_channels", side.extended_channels + side.standard_channels},
          {"extended_channels", side.extended_channels},
          {"standard_channels", side.standard_channels},
          {"total_hashrate", json::number(side.hashrate_hps)}};
}

/// Ours, beside SRI's fields.
void add_names(json::object& out, const ClientNames& names) {
  out["vendor"] = json::text_or_null(names.vendor);
  out["hardware_version"] = json::text_or_null(names.hardware_version);
  out["firmware"] = json::text_or_null(names.firmware);
  out["user_agent"] = json::text_or_null(names.user_agent);
}

json::object of_client(const ConnectionSample& sample) {
  json::object out{{"client_id", sample.client_id},
                   {"client_kind", sample.client_kind},
                   {"extended_channels_count", sample.extended_channels},
                   {"standard_channels_count", sample.channels - std::min(sample.channels, sample.extended_channels)},
                   {"total_hashrate", json::number(sample.hashrate_hps)}};
  add_names(out, sample.names);
  return out;
}

/// Null: there is none of that number.
const ConnectionSample* find_client(const Snapshot& snapshot, std::uint64_t id) {
  // 0 is the number of what is no client.
  const auto found =
      id == 0 ? snapshot.connections.end() : std::ranges::find(snapshot.connections, id, &ConnectionSample::client_id);
  return found == snapshot.connections.end() ? nullptr : &*found;
}

/// Listed clients in the order of their numbers.
std::vector<const ConnectionSample*> clients_of(const Snapshot& snapshot) {
  std::vector<const ConnectionSample*> out;
  for (const ConnectionSample& sample : snapshot.connections) {
    if (sample.client_id != 0) out.push_back(&sample);
  }
  std::ranges::sort(out, {}, &ConnectionSample::client_id);
  return out;
}

std::string host_of(std::string_view peer) {
  const auto colon = peer.rfind(':');
  std::string_view host = peer.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return std::string(host);
}

/// What stands behind the first dot; the whole name where nothing does.
std::string_view worker_name(std::string_view user) {
  const auto dot = user.find('.');
  return dot == std::string_view::npos || dot + 1 == user.size() ? user : user.substr(dot + 1);
}

json::value bits(std::uint32_t mask) {
  if (mask == 0) return nullptr;
  const std::array<std::uint8_t, 4> bytes = {static_cast<std::uint8_t>(mask >> 24U), static_cast<std::uint8_t>(mask >> 16U),
                                             static_cast<std::uint8_t>(mask >> 8U), static_cast<std::uint8_t>(mask)};
  return json::value(to_hex(bytes));
}

json::object of_sv1_client(const Sv1ClientSample& sample) {
  // BIP310's min-bit-count has no place in what we negotiate: the mask's lowest bit is what SRI shows.
  const std::uint32_t lowest = sample.version_mask & (~sample.version_mask + 1);
  return {{"client_id", sample.client_id},
          {"channel_id", sample.channel_id ? json::value(*sample.channel_id) : json::value(nullptr)},
          {"connection_ip", json::text(host_of(sample.peer))},
          {"sv1_username", json::text(sample.user)},
          {"sv1_worker_name", json::text(worker_name(sample.user))},
          // As readers of SRI before 0.8.0 have them.
          {"authorized_worker_name", json::text(sample.user)},
          {"user_identity", json::text(sample.user)},
          {"user_agent", json::text_or_null(sample.names.user_agent)},
          {"target_hex", sample.target_hex},
          {"hashrate", sample.hashrate_hps > 0 ? json::number(sample.hashrate_hps) : json::value(nullptr)},
          {"stable_hashrate", sample.steady},
          {"extranonce1_hex", sample.extranonce1_hex},
          {"extranonce2_len", sample.extranonce2_size},
          {"version_rolling_mask", bits(sample.version_mask)},
          {"version_rolling_min_bit", bits(lowest)},
          {"management_ip", nullptr},
          {"miner_telemetry", nullptr},
          {"miner_telemetry_status", nullptr}};
}

/// The number that the path names. A client's number has 32 bits.
Result<std::uint64_t> id_of(const Call& call) {
  const auto id = number_from<std::uint64_t>(call.arguments.front());
  if (!id) return fail(QueryErrc::kBad, "a client's id is a whole number of at least 0");
  return *id;
}

constexpr std::string_view kNoServer = "Server monitoring not available";
constexpr std::string_view kNoClients = "Sv2 clients monitoring not available";
constexpr std::string_view kNoSv1 = "Sv1 client monitoring not available";

Response no_client(std::uint64_t id) { return missing("Sv2 client " + std::to_string(id) + " not found"); }

json::object of_worker(const WorkerSample& sample) {
  return {{"client_id", sample.client_id},
          {"worker", json::text(sample.worker)},
          {"hashrate_hps", json::number(sample.hashrate_hps)},
          {"shares_accepted", sample.shares_accepted},
          {"shares_rejected", sample.shares_rejected},
          {"share_work", json::number(sample.share_work)}};
}

/// One row of the list of what mines.
struct Row {
  std::string_view kind;
  std::uint32_t client_id = 0;
  std::optional<std::uint32_t> channel_id;
  std::string_view name;
  std::string_view address;
  std::string_view kind_of_client;  ///< ConnectionSample::client_kind.
  const ClientNames* names = nullptr;
  std::optional<double> proven_hps;
  std::optional<double> declared_hps;
  std::uint64_t accepted = 0;
  std::uint64_t rejected = 0;
  const RejectedShares* reasons = nullptr;  ///< Null: not known.
  std::optional<double> best;
  std::optional<double> last_share;
};

json::value number_or_null(const std::optional<double>& number) {
  return number ? json::number(*number) : json::value(nullptr);
}

json::object of_row(const Row& row) {
  json::object out{{"kind", row.kind},
                   {"client_id", row.client_id},
                   {"channel_id", row.channel_id ? json::value(*row.channel_id) : json::value(nullptr)},
                   {"name", json::text(row.name)},
                   {"address", json::text_or_null(row.address)},
                   {"client_kind", row.kind_of_client},
                   {"hashrate_hps", number_or_null(row.proven_hps)},
                   {"declared_hps", number_or_null(row.declared_hps)},
                   {"shares_accepted", row.accepted},
                   {"shares_rejected", row.rejected},
                   {"shares_rejected_by_reason", nullptr},
                   {"best_difficulty", number_or_null(row.best)},
                   {"last_share_seconds", number_or_null(row.last_share)}};
  add_names(out, *row.names);
  if (row.reasons != nullptr) {
    json::object reasons;
    for (const auto& [code, count] : *row.reasons) reasons[json::text(code)] = count;
    out["shares_rejected_by_reason"] = std::move(reasons);
  }
  return out;
}

/// Those whose workers are listed: their channels are not.
std::set<std::uint32_t> clients_with_workers(const SideSample& clients) {
  std::set<std::uint32_t> out;
  for (const WorkerSample& worker : clients.worker_list) out.insert(worker.client_id);
  return out;
}

std::vector<Row> rows_of(const Snapshot& snapshot) {
  std::vector<Row> rows;
  if (snapshot.sv1) {
    for (const Sv1ClientSample& miner : snapshot.sv1->list) {
      rows.push_back({.kind = "sv1",
                      .client_id = miner.client_id,
                      .channel_id = miner.channel_id,
                      .name = miner.user,
                      .address = miner.peer,
                      .kind_of_client = "miner",
                      .names = &miner.names,
                      .proven_hps = miner.hashrate_hps > 0 ? std::optional(miner.hashrate_hps) : std::nullopt,
                      .declared_hps = {},
                      .accepted = miner.shares_accepted,
                      .rejected = sum(miner.shares_rejected),
                      .reasons = &miner.shares_rejected,
                      .best = miner.best_difficulty > 0 ? std::optional(miner.best_difficulty) : std::nullopt,
                      .last_share = miner.last_share_seconds});
    }
  }
  if (!snapshot.clients) return rows;
  // One that is listed no more, as there are more than are listed, is not known.
  static const ConnectionSample kNotListed;
  std::map<std::uint32_t, const ConnectionSample*> clients;
  for (const ConnectionSample& connection : snapshot.connections) clients.emplace(connection.client_id, &connection);
  const auto client_of = [&](std::uint32_t id) -> const ConnectionSample& {
    const auto found = clients.find(id);
    return found == clients.end() ? kNotListed : *found->second;
  };
  const std::set<std::uint32_t> named = clients_with_workers(*snapshot.clients);
  for (const WorkerSample& worker : snapshot.clients->worker_list) {
    const ConnectionSample& client = client_of(worker.client_id);
    rows.push_back({.kind = "worker",
                    .client_id = worker.client_id,
                    .channel_id = {},
                    .name = worker.worker,
                    .address = client.peer,
                    .kind_of_client = client.client_kind,
                    .names = &client.names,
                    .proven_hps = worker.hashrate_hps > 0 ? std::optional(worker.hashrate_hps) : std::nullopt,
                    .declared_hps = {},
                    .accepted = worker.shares_accepted,
                    .rejected = worker.shares_rejected,
                    .reasons = nullptr,
                    .best = {},
                    .last_share = {}});
  }
  for (const ChannelSample& channel : snapshot.clients->channels) {
    if (named.contains(channel.client_id)) continue;
    const ConnectionSample& client = client_of(channel.client_id);
    rows.push_back({.kind = "channel",
                    .client_id = channel.client_id,
                    .channel_id = channel.channel_id,
                    .name = channel.user_identity,
                    .address = client.peer,
                    .kind_of_client = client.client_kind,
                    .names = &client.names,
                    .proven_hps = channel.proven_hps,
                    .declared_hps = channel.hashrate_hps,
                    .accepted = channel.shares_accepted,
                    .rejected = sum(channel.shares_rejected),
                    .reasons = &channel.shares_rejected,
                    .best = channel.best_difficulty > 0 ? std::optional(channel.best_difficulty) : std::nullopt,
                    .last_share = {}});
  }
  return rows;
}

/// Those of which nothing is known come last when the greatest is first.
constexpr double kNothing = -1;

/// False: there is no such order.
bool sort_rows(std::vector<Row>& rows, std::string_view by) {
  const bool descending = by.starts_with('-');
  if (descending) by.remove_prefix(1);
  const auto arrange = [&](auto key) {
    std::ranges::sort(rows, [&](const Row& a, const Row& b) {
      const auto left = key(descending ? b : a);
      const auto right = key(descending ? a : b);
      return left == right ? std::pair(a.client_id, a.channel_id) < std::pair(b.client_id, b.channel_id) : left < right;
    });
    return true;
  };
  if (by == "name") return arrange([](const Row& row) { return row.name; });
  if (by == "hashrate")
    return arrange([](const Row& row) { return row.proven_hps.value_or(row.declared_hps.value_or(kNothing)); });
  if (by == "accepted") return arrange([](const Row& row) { return row.accepted; });
  if (by == "rejected") return arrange([](const Row& row) { return row.rejected; });
  if (by == "best") return arrange([](const Row& row) { return row.best.value_or(kNothing); });
  if (by == "last_share")
    return arrange([](const Row& row) { return row.last_share.value_or(std::numeric_limits<double>::max()); });
  return false;
}

/// `searched` is in lower case.
bool contains(std::string_view text, std::string_view searched) {
  return !std::ranges::search(text, searched, {}, [](char c) { return lower_case(c); }).empty() || searched.empty();
}

}  // namespace

Response json_response(const json::object& body) { return {.body = boost::json::serialize(body)}; }

Response global(const Snapshot& snapshot, std::uint64_t uptime_seconds) {
  json::object out{{"server", nullptr}, {"sv2_clients", nullptr}, {"sv1_clients", nullptr}, {"uptime_secs", uptime_seconds}};
  if (snapshot.server) out["server"] = summary(*snapshot.server);
  if (snapshot.clients) {
    json::object& of = (out["sv2_clients"] = summary(*snapshot.clients)).as_object();
    of["total_clients"] = snapshot.clients->connections;
  }
  if (snapshot.sv1) {
    out["sv1_clients"] =
        json::object{{"total_clients", snapshot.sv1->clients}, {"total_hashrate", json::number(snapshot.sv1->hashrate_hps)}};
  }
  return json_response(out);
}

Response server(const Call& call) {
  if (!call.snapshot->server) return missing(kNoServer);
  const SideSample& side = *call.snapshot->server;
  return json_response({{"extended_channels_count", side.extended_channels},
                        {"standard_channels_count", side.standard_channels},
                        {"total_hashrate", json::number(side.hashrate_hps)}});
}

Response server_channels(const Call& call) {
  const auto page = page_of(call.request.query);
  if (!page) return refuse(400, page.error().message());
  if (!call.snapshot->server) return missing(kNoServer);
  return json_response(
      channel_page(call.snapshot->server->channels, *page, [](const ChannelSample&) { return true; }, of_server_channel));
}

Response clients(const Call& call) {
  const auto page = page_of(call.request.query);
  if (!page) return refuse(400, page.error().message());
  if (!call.snapshot->clients) return missing(kNoClients);
  const auto all = clients_of(*call.snapshot);
  return json_response({{"offset", page->offset},
                        {"limit", page->limit},
                        {"total", all.size()},
                        {"items", part(all, *page, [](const ConnectionSample* sample) { return of_client(*sample); })}});
}

Response client(const Call& call) {
  const auto id = id_of(call);
  if (!id) return refuse(400, id.error().message());
  if (!call.snapshot->clients) return missing(kNoClients);
  const ConnectionSample* const found = find_client(*call.snapshot, *id);
  return found == nullptr ? no_client(*id) : json_response(of_client(*found));
}

Response client_channels(const Call& call) {
  const auto id = id_of(call);
  if (!id) return refuse(400, id.error().message());
  const auto page = page_of(call.request.query);
  if (!page) return refuse(400, page.error().message());
  if (!call.snapshot->clients) return missing(kNoClients);
  if (find_client(*call.snapshot, *id) == nullptr) return no_client(*id);
  json::object out = channel_page(
      call.snapshot->clients->channels, *page, [&](const ChannelSample& channel) { return channel.client_id == *id; },
      of_client_channel);
  out["client_id"] = *id;
  return json_response(out);
}

Response sv1_clients(const Call& call) {
  const auto page = page_of(call.request.query);
  if (!page) return refuse(400, page.error().message());
  if (!call.snapshot->sv1) return missing(kNoSv1);
  const auto& all = call.snapshot->sv1->list;
  return json_response(
      {{"offset", page->offset}, {"limit", page->limit}, {"total", all.size()}, {"items", part(all, *page, of_sv1_client)}});
}

Response sv1_client(const Call& call) {
  const auto id = id_of(call);
  if (!id) return refuse(400, id.error().message());
  if (!call.snapshot->sv1) return missing(kNoSv1);
  const auto& all = call.snapshot->sv1->list;
  const auto found = std::ranges::find(all, *id, &Sv1ClientSample::client_id);
  return found == all.end() ? missing("Sv1 client " + std::to_string(*id) + " not found")
                            : json_response(of_sv1_client(*found));
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
  json::array history;
  for (const PathChangeSample& change : sample.path_history) {
    history.push_back({{"at", to_u32(change.at)},
                       {"from", json::text(change.from)},
                       {"to", json::text(change.to)},
                       {"address", json::text(change.address)}});
  }
  out["path_history"] = std::move(history);
  out["age_seconds"] = json::number(sample.age_seconds);
  out["channels"] = sample.channels;
  return out;
}

Response connections(const Call& call) {
  // In one order, so that pages of it fit together.
  std::vector<const ConnectionSample*> all;
  all.reserve(call.snapshot->connections.size());
  for (const ConnectionSample& sample : call.snapshot->connections) all.push_back(&sample);
  std::ranges::sort(all, {}, &ConnectionSample::client_id);
  Page page{.offset = 0, .limit = all.size()};
  if (query_value(call.request.query, "offset") || query_value(call.request.query, "limit")) {
    auto asked = page_of(call.request.query);
    if (!asked) return refuse(400, asked.error().message());
    page = *asked;
  }
  return json_response({{"connections", part(all, page, [](const ConnectionSample* sample) { return of_connection(*sample); })},
                        {"total", all.size()}});
}

Response workers(const Call& call) {
  const SideSample none;
  const SideSample& side = call.snapshot->clients ? *call.snapshot->clients : none;
  json::array list;
  for (const WorkerSample& sample : side.worker_list) list.emplace_back(of_worker(sample));
  return json_response({{"total", side.workers}, {"workers", std::move(list)}});
}

std::size_t count_miners(const Snapshot& snapshot) {
  std::size_t count = snapshot.sv1 ? snapshot.sv1->list.size() : 0;
  if (!snapshot.clients) return count;
  const std::set<std::uint32_t> named = clients_with_workers(*snapshot.clients);
  count += snapshot.clients->worker_list.size();
  count += static_cast<std::size_t>(std::ranges::count_if(
      snapshot.clients->channels, [&](const ChannelSample& channel) { return !named.contains(channel.client_id); }));
  return count;
}

Response miners(const Call& call) {
  const auto page = page_of(call.request.query);
  if (!page) return refuse(400, page.error().message());
  std::vector<Row> rows = rows_of(*call.snapshot);
  const std::size_t listed = rows.size();
  const std::string search = lower_case(query_value(call.request.query, "search").value_or(""));
  std::erase_if(rows, [&](const Row& row) {
    const ClientNames& names = *row.names;
    return std::ranges::none_of(std::array<std::string_view, 6>{row.name, row.address, names.vendor, names.hardware_version,
                                                                names.firmware, names.user_agent},
                                [&](std::string_view text) { return contains(text, search); });
  });
  if (!sort_rows(rows, query_value(call.request.query, "sort").value_or("name"))) {
    return refuse(
        400, "sort is one of name, hashrate, accepted, rejected, best, last_share, with - in front for the other direction");
  }
  return json_response({{"offset", page->offset},
                        {"limit", page->limit},
                        {"listed", listed},
                        {"total", rows.size()},
                        {"items", part(rows, *page, of_row)}});
}

}  // namespace adit::monitor
