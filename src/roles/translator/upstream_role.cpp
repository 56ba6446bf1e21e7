#include "roles/translator/upstream_role.h"

#include "log/log.h"
#include "upstream/url.h"

namespace adit::translator {

upstream::Uplink::Options UpstreamRole::uplink_options(const std::vector<UpstreamTarget>& targets) {
  upstream::Uplink::Options options;
  options.name = "translator";
  options.client.program = "translator";
  for (const auto& target : targets) options.targets.push_back({.peer = target.peer, .goodbye = target.goodbye});
  return options;
}

Result<void> UpstreamRole::begin_mining(std::size_t candidate, const net::Peer&, const session::Agreement& agreement,
                                        const Now& now) {
  const auto& target = targets_[candidate];
  engine_.on_upstream_ready(target.user_identity, agreement, now, target.regtest_only);
  return {};
}

void UpstreamRole::on_late_answer(const wire::SubmitSharesSuccess& message) {
  late_accepted_ += message.new_submits_accepted_count;
  late_work_ += message.new_shares_sum;
}

void UpstreamRole::on_lost(const net::Peer& peer, const Error& why) {
  const std::string url = upstream::to_url(peer);
  if (upstream::severity_of(why) == upstream::Severity::kUnusable) {
    log::error("translator.upstream_unusable", {{"url", url}, {"message", why.message()}});
  } else {
    log::warn("translator.upstream_lost", {{"url", url}, {"error", why.name()}, {"message", why.message()}});
  }
}

void UpstreamRole::on_attempt_failed(const net::Peer& peer, const Error& why) {
  log::warn("translator.upstream_failed", {{"url", upstream::to_url(peer)}, {"error", why.name()}, {"message", why.message()}});
}

}  // namespace adit::translator
