#include "roles/pool/stats.h"

#include <deque>
#include <ranges>

#include "base/fair_share.h"

namespace adit::pool {
namespace {

/// Those that had shares; nobody's account is there before any.
auto workers_of(const PoolSession& session) {
  static const std::deque<channels::WorkerAccounts::Account> kNone(1);
  const auto& all = session.workers() == nullptr ? kNone : session.workers()->all();
  const bool nobody = all[0].accepted + all[0].rejected != 0;
  return std::ranges::subrange(all.begin() + (nobody ? 0 : 1), all.end());
}

void add(PoolCounters& sum, const PoolCounters& part) {
  sum.shares_accepted += part.shares_accepted;
  for (std::size_t i = 0; i < sum.shares_rejected.size(); ++i) sum.shares_rejected[i] += part.shares_rejected[i];
  sum.blocks_found += part.blocks_found;
  sum.work_sum += part.work_sum;
  sum.sessions += part.sessions;
  sum.standard_channels += part.standard_channels;
  sum.extended_channels += part.extended_channels;
  sum.setups_refused += part.setups_refused;
}

}  // namespace

void TransportCounters::add(const TransportCounters& others) {
  open += others.open;
  opened += others.opened;
  handshakes_failed += others.handshakes_failed;
  protocol_errors += others.protocol_errors;
  slow_readers += others.slow_readers;
  idle += others.idle;
  dead += others.dead;
  goodbyes += others.goodbyes;
  degraded += others.degraded;
  bytes_sent += others.bytes_sent;
  bytes_received += others.bytes_received;
  round_trips.add(others.round_trips);
}

void Totals::add(const Totals& others) {
  pool::add(pool, others.pool);
  for (std::size_t i = 0; i < transports.size(); ++i) transports[i].add(others.transports[i]);
}

Connections list_sessions(const std::vector<const PoolSession*>& sessions, const ListLimits& limits) {
  Connections out;
  std::vector<std::size_t> channels;
  std::vector<std::size_t> workers;
  for (const PoolSession* session : sessions) {
    for (const auto& channel : session->channels()) out.hash_rate_hps += channel.hash_rate_hps();
    const auto counted = workers_of(*session);
    out.workers += counted.size();
    if (channels.size() >= limits.connections) continue;
    channels.push_back(session->channels().size());
    workers.push_back(counted.size());
  }
  const std::size_t channels_each = fair_share(channels, limits.channels);
  const std::size_t workers_each = fair_share(workers, limits.workers);
  for (const PoolSession* session : sessions | std::views::take(limits.connections)) {
    ConnectionInfo& info = out.listed.emplace_back();
    info.channels_total = session->channels().size();
    for (const auto& channel : session->channels() | std::views::take(channels_each)) {
      info.channels.push_back({.id = channel.id(),
                               .kind = channel.kind(),
                               .user_identity = channel.user_identity(),
                               .hash_rate_hps = channel.hash_rate_hps(),
                               .stats = channel.stats()});
    }
    for (const auto& worker : workers_of(*session) | std::views::take(workers_each)) {
      info.workers.push_back({.name = std::string(worker.name()),
                              .shares_accepted = worker.accepted,
                              .shares_rejected = worker.rejected,
                              .work_sum = worker.work,
                              .hash_rate_hps = worker.hash_rate.hps(now_from_system().instant)});
    }
  }
  return out;
}

}  // namespace adit::pool
