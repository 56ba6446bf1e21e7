#include "roles/jd_client/pool_role.h"

#include "log/log.h"
#include "upstream/url.h"

namespace adit::jd_client {

Result<void> PoolRole::begin_mining(std::size_t candidate, const net::Peer&, const session::Agreement&, const Now& now) {
  const auto& target = targets_[candidate];
  engine_.on_pool_ready(candidate, target.user_identity, target.regtest_only, now);
  owner_.on_pool_begun(candidate);
  return {};
}

session::StratumV2StreamHandler PoolRole::end_mining(const Now& now, wire::FrameBuffer&) {
  const auto fault = engine_.fault();
  auto shares = engine_.on_pool_lost(fault ? fault->message() : "the session with the pool is over", now);
  owner_.on_pool_ended();
  return shares;
}

void PoolRole::on_lost(const net::Peer& peer, const Error& why) {
  log::warn("jd_client.upstream_lost", {{"url", upstream::to_url(peer)}, {"error", why.name()}, {"message", why.message()}});
}

void PoolRole::on_attempt_failed(const net::Peer& peer, const Error& why) {
  log::warn("jd_client.upstream_failed", {{"url", upstream::to_url(peer)}, {"error", why.name()}, {"message", why.message()}});
}

void PoolRole::on_unusable(const Error& why) {
  log::error("jd_client.upstreams_unusable",
             {{"message", why.message() + "; until the configuration is changed, this client mines solo"}});
}

}  // namespace adit::jd_client
