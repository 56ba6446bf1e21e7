#include "monitor/mining_samples.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "base/hex.h"
#include "monitor/net_samples.h"

namespace adit::monitor {
namespace {

ChannelSample channel_sample(const mining::SessionInfo::ChannelInfo& channel, std::uint32_t client_id) {
  ChannelSample sample;
  sample.client_id = client_id;
  sample.channel_id = channel.id;
  sample.extended = channel.kind == channels::ChannelKind::kExtended;
  sample.user_identity = channel.user_identity;
  sample.hashrate_hps = channel.hash_rate_hps;
  sample.shares_accepted = channel.stats.accepted;
  sample.share_work = channel.stats.work_sum.difficulty();
  sample.shares_rejected = by_error_code(channel.stats.rejected);
  sample.proven_hps = channel.proven_hps;
  sample.steady = channel.steady;
  sample.target_hex = channel.target.to_hex();
  sample.max_target_hex = channel.max_target.to_hex();
  sample.extranonce_prefix_hex = to_hex(channel.extranonce_prefix);
  sample.extranonce_prefix_size = channel.extranonce_prefix.size();
  sample.extranonce_size = channel.extranonce_size;
  sample.best_difficulty = channel.best_difficulty;
  sample.blocks_found = channel.stats.blocks_found;
  sample.shares_per_minute = channel.shares_per_minute;
  sample.share_batch_size = channel.share_batch_size;
  sample.last_sequence_number = channel.last_sequence_number;
  sample.last_batch_accepted = channel.last_batch_accepted;
  sample.last_batch_work = channel.last_batch_work;
  return sample;
}

void add_families(Families& out, const mining::ServerCounters& counters, double work, double measured_hps) {
  auto& refused = out.counter("adit_channels_refused_total", "Channels that were not opened, by error code");
  for (std::size_t i = 0; i < counters.opens_refused.size(); ++i) {
    refused.add(counters.opens_refused[i],
                {{"error_code", std::string(mining::open_error_code(static_cast<mining::OpenRefusal>(i)))}});
  }
  out.counter("adit_sessions_cut_off_total", "Sessions ended because their peer only cost").add(counters.sessions_cut_off);
  out.counter("adit_client_share_work_total", "Sum of the difficulties of all accepted shares").add(work);
  out.gauge("adit_client_hashrate_measured", "Hashes per second that accepted shares prove, of the last ten minutes")
      .add(measured_hps);
}

}  // namespace

std::string_view client_kind(std::string_view vendor, std::string_view hardware_version) {
  const bool sris = vendor == "SRI" && hardware_version == "Translator Proxy";
  if (sris || (vendor == "adit" && hardware_version == "translator")) return kTranslatorClient;
  return vendor.empty() && hardware_version.empty() ? kUnknownClient : kMinerClient;
}

ClientNames names_of(const session::AcceptedSetup& setup) {
  return {.vendor = setup.vendor, .hardware_version = setup.hardware_version, .firmware = setup.firmware};
}

void MiningConnections::add(MiningConnections others) {
  std::ranges::move(others.listed, std::back_inserter(listed));
  hash_rate_hps += others.hash_rate_hps;
  workers += others.workers;
}

void add_clients(Snapshot& out, const mining::ServerCounters& counters, const MiningConnections& connections,
                 std::uint64_t connected, MeasuredRate& measured) {
  const double work = counters.work_sum.difficulty();
  SideSample& clients = out.clients.emplace();
  clients.connections = connected;
  clients.blocks_found = counters.blocks_found;
  clients.shares_accepted = counters.shares_accepted;
  clients.shares_rejected = by_error_code(counters.shares_rejected);
  clients.standard_channels = counters.standard_channels;
  clients.extended_channels = counters.extended_channels;
  clients.hashrate_hps = connections.hash_rate_hps;
  clients.measured_hps = measured.look(work, now_from_system().instant);
  clients.workers = connections.workers;
  for (const MiningConnection& connection : connections.listed) {
    ConnectionSample& listed =
        out.connections.emplace_back(connection_sample(connection.metadata, connection.id, connection.channels_total));
    listed.extended_channels = connection.extended_channels;
    listed.hashrate_hps = connection.hash_rate_hps;
    listed.client_kind = connection.kind;
    listed.names = connection.names;
    for (const auto& channel : connection.channels) clients.channels.push_back(channel_sample(channel, connection.id));
    for (const auto& worker : connection.workers) {
      clients.worker_list.push_back({.client_id = connection.id,
                                     .worker = worker.name,
                                     .hashrate_hps = worker.hash_rate_hps,
                                     .shares_accepted = worker.shares_accepted,
                                     .shares_rejected = worker.shares_rejected,
                                     .share_work = worker.work_sum.difficulty()});
    }
  }
  add_families(out.families, counters, work, clients.measured_hps);
}

void add_account(ChannelSample& sample, const mining::UpstreamAccount& account) {
  sample.shares_submitted = account.submitted;
  sample.shares_accepted = account.acknowledged;
  sample.acknowledged_work = account.acknowledged_work;
  sample.share_work = account.validated_work;
  sample.shares_rejected = account.rejected;
  sample.best_difficulty = account.best_difficulty;
  sample.blocks_found = account.blocks_found;
}

}  // namespace adit::monitor
