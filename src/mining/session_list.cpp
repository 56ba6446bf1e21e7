#include "mining/session_list.h"

#include <deque>
#include <ranges>

#include "base/fair_share.h"

namespace adit::mining {
namespace {

/// Those that had shares; nobody's account is there before any.
auto workers_of(const ServerSession& session) {
  static const std::deque<channels::WorkerAccounts::Account> kNone(1);
  const auto& all = session.workers() == nullptr ? kNone : session.workers()->all();
  const bool nobody = all[0].accepted + all[0].rejected != 0;
  return std::ranges::subrange(all.begin() + (nobody ? 0 : 1), all.end());
}

SessionInfo::ChannelInfo info_of(const channels::Channel& channel, Instant now) {
  const Bytes prefix = channel.extranonce_prefix();
  return {.id = channel.id(),
          .kind = channel.kind(),
          .user_identity = channel.user_identity(),
          .hash_rate_hps = channel.hash_rate_hps(),
          .stats = channel.stats(),
          .proven_hps = channel.proven_hash_rate_hps(now),
          .steady = channel.steady(),
          .target = channel.target(),
          .max_target = channel.max_target(),
          .extranonce_prefix = {prefix.begin(), prefix.end()},
          .extranonce_size = channel.extranonce_size(),
          .shares_per_minute = channel.policy().shares_per_minute,
          .share_batch_size = channel.policy().share_batch_size,
          .last_sequence_number = channel.last_sequence_number(),
          .last_batch_accepted = channel.last_batch_accepted(),
          .last_batch_work = channel.last_batch_work(),
          .best_difficulty = channel.best_difficulty()};
}

}  // namespace

void add(ServerCounters& sum, const ServerCounters& part) {
  sum.shares_accepted += part.shares_accepted;
  for (std::size_t i = 0; i < sum.shares_rejected.size(); ++i) sum.shares_rejected[i] += part.shares_rejected[i];
  for (std::size_t i = 0; i < sum.opens_refused.size(); ++i) sum.opens_refused[i] += part.opens_refused[i];
  sum.sessions_cut_off += part.sessions_cut_off;
  sum.channels_closed += part.channels_closed;
  sum.blocks_found += part.blocks_found;
  sum.work_sum += part.work_sum;
  sum.sessions += part.sessions;
  sum.standard_channels += part.standard_channels;
  sum.extended_channels += part.extended_channels;
  sum.payouts += part.payouts;
}

SessionList list_sessions(const std::vector<const ServerSession*>& sessions, const ListLimits& limits, Instant now) {
  SessionList out;
  std::vector<std::size_t> channels;
  std::vector<std::size_t> workers;
  for (const ServerSession* session : sessions) {
    for (const auto& channel : session->channels()) out.hash_rate_hps += channel.hash_rate_hps();
    const auto counted = workers_of(*session);
    out.workers += counted.size();
    if (channels.size() >= limits.connections) continue;
    channels.push_back(session->channels().size());
    workers.push_back(counted.size());
  }
  const std::size_t channels_each = fair_share(channels, limits.channels);
  const std::size_t workers_each = fair_share(workers, limits.workers);
  for (const ServerSession* session : sessions | std::views::take(limits.connections)) {
    SessionInfo& info = out.listed.emplace_back();
    info.channels_total = session->channels().size();
    for (const auto& channel : session->channels()) {
      if (channel.kind() == channels::ChannelKind::kExtended) ++info.extended_channels;
      info.hash_rate_hps += channel.hash_rate_hps();
    }
    for (const auto& channel : session->channels() | std::views::take(channels_each))
      info.channels.push_back(info_of(channel, now));
    for (const auto& worker : workers_of(*session) | std::views::take(workers_each)) {
      info.workers.push_back({.name = std::string(worker.name()),
                              .shares_accepted = worker.accepted,
                              .shares_rejected = worker.rejected,
                              .work_sum = worker.work,
                              .hash_rate_hps = worker.hash_rate.hps(now)});
    }
  }
  return out;
}

}  // namespace adit::mining
