#include "monitor/exposition.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

#include "monitor/rejections.h"

namespace adit::monitor {
namespace {

/// More than the name, the value and the fixed labels of one sample take.
constexpr std::size_t kSampleBytes = 160;

/// More than what text() adds takes, and what says that samples were left out.
constexpr std::size_t kReservedBytes = 4096;

/// More than `text` takes as a label's value.
std::size_t label_bytes(std::string_view text) {
  std::size_t bytes = 0;
  for (const char c : label_value(text)) bytes += c == '"' || c == '\\' ? 2 : 1;
  return bytes;
}

void add_paths(Families& out, const Snapshot& snapshot) {
  Family& paths = out.gauge("adit_connection_paths", "Open connections that are listed, by transport and path");
  for (const std::string_view transport : {"tcp", "iroh"}) {
    for (const std::string_view path : {"direct", "relayed", "unknown"}) {
      const auto count = std::ranges::count_if(snapshot.connections, [&](const ConnectionSample& connection) {
        return connection.transport == transport && connection.path == path;
      });
      paths.add(count, {{"transport", std::string(transport)}, {"path", std::string(path)}});
    }
  }
}

void add_lanes(Families& out, const Snapshot& snapshot) {
  Family& lanes = out.gauge("adit_connection_lanes", "Streams that carry the open connections that are listed, by transport");
  for (const std::string_view transport : {"tcp", "iroh"}) {
    std::uint64_t count = 0;
    for (const ConnectionSample& connection : snapshot.connections) {
      if (connection.transport == transport) count += connection.lanes;
    }
    lanes.add(count, {{"transport", std::string(transport)}});
  }
}

}  // namespace

void Exposition::add_side(Families& out, const SideSample& side, bool clients, Instant now) {
  const std::string name = clients ? "sv2_client" : "sv2_server";
  const std::string of = clients ? " of channels with clients" : " of channels with the server";
  if (clients) out.gauge("sv2_clients_total", "Connected clients").add(side.connections);
  Family& types = out.gauge(name + "_channels", "Number" + of + " by type");
  types.add(side.standard_channels, {{"channel_type", "standard"}});
  types.add(side.extended_channels, {{"channel_type", "extended"}});
  out.gauge(name + "_hashrate_total", "Declared hashes per second" + of + ", in sum").add(side.hashrate_hps);
  out.gauge(name + "_blocks_found_total", "Blocks found since the start").add(side.blocks_found);

  std::vector<SeriesBudget::Candidate> candidates;
  candidates.reserve(side.channels.size());
  for (const ChannelSample& channel : side.channels) {
    const std::size_t samples = 3 + kRejectionCodes.size() + channel.shares_rejected.size();
    candidates.push_back({.key = std::to_string(channel.client_id) + "/" + std::to_string(channel.channel_id) + "/" +
                                 label_value(channel.user_identity),
                          .group = channel.client_id,
                          .weight = channel.share_work > 0 ? channel.share_work : static_cast<double>(channel.shares_accepted),
                          .bytes = samples * (kSampleBytes + label_bytes(channel.user_identity))});
  }
  const auto chosen = (clients ? clients_ : server_).choose(candidates, now);
  Family& hashrate = out.gauge(name + "_channel_hashrate", "Declared hashes per second" + of);
  Family& accepted = out.gauge(name + "_shares_accepted_total", "Accepted shares" + of);
  Family& rejected = out.gauge(name + "_shares_rejected_total", "Rejected shares" + of + " by error code");
  for (std::size_t i = 0; i < side.channels.size(); ++i) {
    if (!chosen[i]) continue;
    const ChannelSample& channel = side.channels[i];
    Labels labels;
    if (clients) labels.emplace_back("client_id", std::to_string(channel.client_id));
    labels.emplace_back("channel_id", std::to_string(channel.channel_id));
    labels.emplace_back("user_identity", channel.user_identity);
    if (channel.hashrate_known) hashrate.add(channel.hashrate_hps, labels);
    accepted.add(channel.shares_accepted, labels);
    if (clients) {
      out.gauge("sv2_client_channel_share_work_total", "Sum of the difficulties of accepted shares" + of)
          .add(channel.share_work, labels);
    }
    Labels with_code = labels;
    with_code.emplace_back("error_code", "");
    const auto add_code = [&](std::string_view code, std::uint64_t count) {
      with_code.back().second = code;
      rejected.add(count, with_code);
    };
    for (const std::string_view code : kRejectionCodes) add_code(code, 0);
    for (const auto& [code, count] : channel.shares_rejected) add_code(code, count);
  }
  const std::uint64_t all = side.standard_channels + side.extended_channels;
  const auto shown = static_cast<std::uint64_t>(std::ranges::count(chosen, true));
  out.gauge("adit_monitor_left_out", "Open channels, or workers, that have no series of their own")
      .add(all > shown ? all - shown : 0, {{"of", clients ? "client-channels" : "server-channels"}});
}

void Exposition::add_workers(Families& out, const SideSample& side, Instant now) {
  if (side.workers == 0) return;
  struct Listed {
    std::map<std::uint32_t, Counted> by_client;
    double hashrate_hps = 0;
  };
  std::map<std::string, Listed> listed;
  std::uint32_t newest = newest_client_;
  for (const WorkerSample& worker : side.worker_list) {
    Listed& of_name = listed[label_value(worker.worker)];
    Counted& of_client = of_name.by_client[worker.client_id];
    of_client.accepted += worker.shares_accepted;
    of_client.rejected += worker.shares_rejected;
    of_client.work += std::isfinite(worker.share_work) ? worker.share_work : 0;
    of_name.hashrate_hps += worker.hashrate_hps;
    newest = std::max(newest, worker.client_id);
  }
  std::vector<SeriesBudget::Candidate> candidates;
  candidates.reserve(listed.size());
  for (const auto& [name, of_name] : listed) {
    double work = 0;
    for (const auto& [client, counted] : of_name.by_client) work += counted.work;
    candidates.push_back({.key = name,
                          .group = of_name.by_client.begin()->first,
                          .weight = work,
                          .bytes = 4 * (kSampleBytes + label_bytes(name))});
  }
  workers_.forget(now);
  std::erase_if(worker_totals_, [&](const auto& entry) { return !workers_.remembers(entry.first); });
  const auto chosen = workers_.choose(candidates, now);

  Family& hashrate = out.gauge("adit_worker_hashrate", "Hashes per second that a worker's shares prove");
  Family& accepted = out.counter("adit_worker_shares_accepted_total", "Accepted shares of a worker");
  Family& rejected = out.counter("adit_worker_shares_rejected_total", "Rejected shares of a worker");
  Family& work = out.counter("adit_worker_share_work_total", "Sum of the difficulties of a worker's accepted shares");
  std::size_t place = 0;
  std::uint64_t shown = 0;  // Workers of one client each.
  for (auto& [name, of_name] : listed) {
    if (!chosen[place++]) continue;
    const auto [at, is_new] = worker_totals_.try_emplace(name);
    Worker& worker = at->second;
    for (const auto& [client, now_counted] : of_name.by_client) {
      const auto before = worker.seen.find(client);
      Counted base;
      if (before != worker.seen.end()) {
        base = before->second;
      } else if (!is_new && client <= newest_client_ && !all_workers_listed_) {
        base = now_counted;  // It may have been counted before it was left out of a list.
      }
      worker.total.accepted += now_counted.accepted - std::min(base.accepted, now_counted.accepted);
      worker.total.rejected += now_counted.rejected - std::min(base.rejected, now_counted.rejected);
      worker.total.work += now_counted.work - std::min(base.work, now_counted.work);
    }
    shown += of_name.by_client.size();
    worker.seen = std::move(of_name.by_client);
    const Labels labels = {{"worker", name}};
    hashrate.add(of_name.hashrate_hps, labels);
    accepted.add(worker.total.accepted, labels);
    rejected.add(worker.total.rejected, labels);
    work.add(worker.total.work, labels);
  }
  newest_client_ = newest;
  all_workers_listed_ = side.worker_list.size() == side.workers;
  out.gauge("adit_workers", "Workers that clients name, here or not").add(side.workers);
  out.gauge("adit_monitor_left_out", "Open channels, or workers, that have no series of their own")
      .add(side.workers > shown ? side.workers - shown : 0, {{"of", "workers"}});
}

void Exposition::update(const Snapshot& snapshot, Instant now) {
  Families out;
  // What is always there comes first: if ever something must be left out, it is of the rest.
  out.append(snapshot.families);
  add_lanes(out, snapshot);
  add_paths(out, snapshot);
  if (snapshot.sv1) {
    out.gauge("sv1_clients_total", "Connected Stratum V1 miners").add(snapshot.sv1->clients);
    out.gauge("sv1_hashrate_total", "Hashes per second of Stratum V1 miners, in sum").add(snapshot.sv1->hashrate_hps);
  }
  if (snapshot.server) add_side(out, *snapshot.server, false, now);
  if (snapshot.clients) add_side(out, *snapshot.clients, true, now);
  if (snapshot.clients) add_workers(out, *snapshot.clients, now);
  std::size_t left_out = 0;
  body_ = out.text(kMaxBytes - 2 * kReservedBytes, left_out);
  Families last;
  last.gauge("adit_monitor_samples_left_out", "Samples that this scrape had no room for").add(left_out);
  std::size_t none = 0;
  body_ += last.text(kReservedBytes, none);
}

std::string Exposition::text(double uptime_seconds, const Health& health) const {
  Families out;
  out.gauge("sv2_uptime_seconds", "Seconds since the start").add(uptime_seconds);
  out.gauge("adit_ready", "Whether the role can do its work: 1, or 0").add(health.ready() ? 1 : 0);
  Family& readiness = out.gauge("adit_readiness", "1 for the state that the role is in, 0 for the others");
  for (const Readiness one : kAllReadiness) {
    readiness.add(one == health.readiness ? 1 : 0, {{"state", std::string(to_string(one))}});
  }
  if (health.work_age) {
    out.gauge("adit_work_age_seconds", "Age of the newest work").add(std::chrono::duration<double>(*health.work_age).count());
  }
  std::size_t none = 0;
  return out.text(kReservedBytes, none) + body_;
}

}  // namespace adit::monitor
