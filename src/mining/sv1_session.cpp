#include "mining/sv1_session.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/invariant.h"
#include "base/text.h"
#include "session/dispatch.h"
#include "session/error.h"
#include "wire/messages.h"

namespace adit::mining {
namespace {

/// Bytes of extranonce that the channel must have.
std::uint16_t extranonce_wanted(const Sv1Policy& policy) {
  return static_cast<std::uint16_t>(kExtranonce1Size + policy.extranonce2_size);
}

/// What SV1 says for SubmitShares.Error's code.
sv1::Reject reject_of(std::string_view code) {
  using channels::ShareVerdict;
  const auto is = [&](ShareVerdict verdict) { return code == channels::share_error_code(verdict); };
  if (is(ShareVerdict::kStale) || is(ShareVerdict::kInvalidJob)) return sv1::Reject::kJobNotFound;
  if (is(ShareVerdict::kDuplicate)) return sv1::Reject::kDuplicateShare;
  if (is(ShareVerdict::kTooEasy)) return sv1::Reject::kLowDifficulty;
  return sv1::Reject::kOther;
}

}  // namespace

Sv1Policy Sv1Clients::policy() {
  Sv1Policy policy;
  policy.vardiff = false;
  return policy;
}

std::shared_ptr<const channels::ExtendedWork> Sv1Clients::work_of(const wire::NewExtendedMiningJob& message) {
  const auto same = [&](const channels::ExtendedWork& work) {
    return std::ranges::equal(work.coinbase_prefix, message.coinbase_tx_prefix.bytes()) &&
           std::ranges::equal(work.coinbase_suffix, message.coinbase_tx_suffix.bytes()) &&
           std::ranges::equal(work.merkle_path, message.merkle_path);
  };
  if (last_work_ == nullptr || !same(*last_work_)) last_work_ = channels::copy_work(message);
  return last_work_;
}

Sv1Session::Sv1Session(ServerSession& server, Sv1Clients& clients, const channels::PayoutPolicy& payouts, std::string peer,
                       std::string source)
    : server_(server),
      clients_(clients),
      payouts_(payouts),
      miner_(*this, clients.miners, ++clients.last_number, std::move(peer), std::move(source)) {
  server_.serve_sv1();
}

// ---- The miner's connection.

void Sv1Session::on_bytes(Bytes bytes, const Now& now) { miner_.on_bytes(bytes, now); }

std::string& Sv1Session::output() {
  if (server_.settled()) {
    output_ += miner_.output();
    miner_.output().clear();
  }
  return output_;
}

// Its channel is its own, so any number will do.
Result<std::uint16_t> Sv1Session::on_subscribe(Sv1Miner&) { return std::uint16_t{0}; }

bool Sv1Session::on_authorize(Sv1Miner&, std::string_view user) {
  if (!link_.channel) return open(user);
  // The channel pays whom its first user named: another worker is welcome as long as that is who it wants to be paid, too.
  const auto paid = payouts_.decide(link_.user_identity);
  const auto wanted = payouts_.decide(user);
  return paid && wanted && *paid == *wanted;
}

bool Sv1Session::open(std::string_view user) {
  link_.user_identity = user;
  const double least = miner_.minimum_difficulty();
  const auto max_target = least > 0 ? bitcoin::target_from_difficulty(least) : bitcoin::U256::max();
  const bool fits =
      to_server_.push(wire::OpenExtendedMiningChannel{.request_id = ++link_.request_id,
                                                      .user_identity = user,
                                                      .nominal_hash_rate = static_cast<float>(suggested_hps_),
                                                      .max_target = max_target.to_le(),
                                                      .min_extranonce_size = extranonce_wanted(clients_.miners.policy)});
  if (!fits) return false;
  refusal_.clear();
  exchange();
  if (link_.channel) return true;
  // Another name may do; for want of room or work another pool is better.
  if (refusal_ != open_error_code(OpenRefusal::kUserIdentity)) miner_.end("the pool opens no channel: " + in_quotes(refusal_));
  return false;
}

void Sv1Session::on_ready(Sv1Miner& miner) {
  link_.members = {&miner};
  miner.attach(link_);
}

std::optional<sv1::Reject> Sv1Session::on_share(Sv1Miner& miner, const channels::Share& share, std::string_view, bool) {
  to_server_.push(wire::SubmitSharesExtended{.channel_id = link_.channel->id(),
                                             .sequence_number = ++last_sequence_,
                                             .job_id = share.job_id,
                                             .nonce = share.nonce,
                                             .ntime = share.ntime,
                                             .version = share.version,
                                             .extranonce = share.extranonce});
  rejection_.clear();
  exchange();
  if (rejection_.empty()) {
    miner.count_accepted();
    return std::nullopt;
  }
  return reject_of(rejection_);
}

void Sv1Session::on_suggest_hash_rate(Sv1Miner&, double hash_rate_hps) {
  suggested_hps_ = hash_rate_hps;
  if (!link_.channel) return;
  to_server_.push(wire::UpdateChannel{.channel_id = link_.channel->id(),
                                      .nominal_hash_rate = static_cast<float>(hash_rate_hps),
                                      .maximum_target = bitcoin::U256::max().to_le()});
  exchange();
}

// ---- The server's side.

void Sv1Session::exchange() {
  answers_.clear();
  for (const wire::FrameView frame : to_server_) {
    if (const auto handled = server_.on_frames(std::span(&frame, 1), clients_.miners.now, answers_); !handled)
      miner_.end(handled.error().message());
  }
  to_server_.clear();
  receive(answers_);
}

void Sv1Session::receive(const wire::FrameBuffer& frames) {
  for (const wire::FrameView frame : frames) {
    const auto handled =
        session::dispatch<wire::SubmitSharesError, wire::NewExtendedMiningJob, wire::SetNewPrevHash, wire::SetTarget,
                          wire::OpenExtendedMiningChannelSuccess, wire::OpenMiningChannelError, wire::SetExtranoncePrefix,
                          wire::SetGroupChannel, wire::CloseChannel>(frame,
                                                                     [this](const auto& message) { return on(message); });
    if (!handled) miner_.end(handled.error().message());
  }
}

void Sv1Session::on_server_frames(const wire::FrameBuffer& frames, const Now& now) {
  clients_.miners.now = now;
  receive(frames);
}

void Sv1Session::on_tick(const Now& now) {
  clients_.miners.now = now;
  answers_.clear();
  // A miner that is about to authorize is watched by its own deadline.
  if (link_.channel) {
    if (const auto ticked = server_.on_tick(now, answers_); !ticked) miner_.end(ticked.error().message());
  }
  receive(answers_);
  miner_.on_tick();
}

Result<void> Sv1Session::on(const wire::OpenExtendedMiningChannelSuccess& message) {
  link_.channel.emplace(message);
  return {};
}

Result<void> Sv1Session::on(const wire::OpenMiningChannelError& message) {
  refusal_ = message.error_code.view();
  return {};
}

Result<void> Sv1Session::on(const wire::NewExtendedMiningJob& message) {
  if (!is_ours(message.channel_id)) return {};
  ADIT_TRY(const auto* job, link_.channel->on_new_extended_mining_job(message, clients_.work_of(message)));
  if (job == nullptr) return {};
  link_.job_since = clients_.miners.now.instant;
  if (miner_.link() != nullptr) miner_.notify(*job, false);
  return {};
}

Result<void> Sv1Session::on(const wire::SetNewPrevHash& message) {
  if (!is_ours(message.channel_id)) return {};
  ADIT_TRY(const auto* job, link_.channel->on_set_new_prev_hash(message));
  link_.job_since = clients_.miners.now.instant;
  if (miner_.link() != nullptr) miner_.notify(*job, true);
  return {};
}

Result<void> Sv1Session::on(const wire::SetTarget& message) {
  if (is_ours(message.channel_id)) link_.channel->on_set_target(bitcoin::U256::from_le(message.maximum_target));
  return {};
}

Result<void> Sv1Session::on(const wire::SetExtranoncePrefix& message) {
  if (!is_ours(message.channel_id)) return {};
  return link_.channel->on_set_extranonce_prefix(message.extranonce_prefix.bytes());
}

Result<void> Sv1Session::on(const wire::SetGroupChannel& message) {
  for (const std::uint32_t member : message.channel_ids) {
    if (link_.channel && member == link_.channel->id()) link_.channel->on_set_group(message.group_channel_id);
  }
  return {};
}

Result<void> Sv1Session::on(const wire::SubmitSharesError& message) {
  rejection_ = message.error_code.view();
  return {};
}

Result<void> Sv1Session::on(const wire::CloseChannel& message) {
  if (is_ours(message.channel_id)) miner_.end("the pool closed the channel: " + in_quotes(message.reason_code.view()));
  return {};
}

}  // namespace adit::mining
