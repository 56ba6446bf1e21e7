#include "roles/translator/upstream_role.h"

#include "log/log.h"

namespace adit::translator {

net::Uplink::Options UpstreamRole::uplink_options(const std::vector<UpstreamTarget>& targets) {
  net::Uplink::Options options;
  for (const auto& target : targets) options.targets.push_back({.peer = target.peer, .goodbye = target.goodbye});
  options.events = {.dial = "translator.dial",
                    .upstream_switched = "translator.upstream_switched",
                    .upstream_closed = "translator.upstream_closed",
                    .path_changed = "translator.path_changed",
                    .health = "translator.health",
                    .goodbye = "translator.goodbye",
                    .goodbye_heard = "translator.goodbye_heard",
                    .reconnect = "translator.reconnect",
                    .reconnect_refused = "translator.reconnect_refused"};
  options.setup = {.program = "translator"};
  return options;
}

void UpstreamRole::begin(std::size_t candidate, const net::Upstream&, const Now& now) {
  const auto& target = targets_[candidate];
  engine_.on_upstream_connected(target.user_identity, now, target.regtest_only);
}

void UpstreamRole::on_late_answer(const wire::SubmitSharesSuccess& message) {
  late_accepted_ += message.new_submits_accepted_count;
  late_work_ += message.new_shares_sum;
}

void UpstreamRole::on_lost(const net::Upstream& peer, const Error& why) {
  const std::string url = net::to_url(peer);
  if (severity_of(why) == net::Severity::kUnusable) {
    log::error("translator.upstream_unusable", {{"url", url}, {"message", why.message()}});
  } else {
    log::warn("translator.upstream_lost", {{"url", url}, {"error", why.name()}, {"message", why.message()}});
  }
}

void UpstreamRole::on_attempt_failed(const net::Upstream& peer, const Error& why) {
  log::warn("translator.upstream_failed", {{"url", net::to_url(peer)}, {"error", why.name()}, {"message", why.message()}});
}

net::Severity UpstreamRole::severity_of(const Error& error) const {
  if (error.is(Errc::kProtocol)) return net::Severity::kMisbehaved;
  if (error.is(Errc::kRefused) || error.is(Errc::kTimedOut)) return net::Severity::kRefused;
  if (error.is(Errc::kConfiguration)) return net::Severity::kUnusable;
  return net::severity_of(error);
}

}  // namespace adit::translator
