#include "mining/channel_client.h"

#include <array>
#include <type_traits>
#include <utility>

#include "base/text.h"
#include "mining/example_key.h"
#include "session/dispatch.h"
#include "wire/messages.h"

namespace adit::mining {
namespace {

constexpr std::uint32_t kOpenRequest = 1;
constexpr std::size_t kMaxExtranonce = 32;  // SV2 05 §5.2.3

}  // namespace

Result<void> ChannelClient::open(const session::Agreement& agreement, wire::FrameBuffer& out) {
  if (!options_.extended && (agreement.flags & wire::kRequiresExtendedChannels) != 0) {
    return fail(session::Errc::kRefused, "the pool takes extended channels only: mine with --extended");
  }
  asked_ = true;
  const auto push = [&](auto request) {
    request.request_id = kOpenRequest;
    request.user_identity = std::string_view(options_.user);
    request.nominal_hash_rate = static_cast<float>(options_.nominal_hash_rate_hps);
    request.max_target.fill(0xff);
    return out.push(request);
  };
  const bool fits = options_.extended ? push(wire::OpenExtendedMiningChannel{.min_extranonce_size = options_.extranonce_size})
                                      : push(wire::OpenStandardMiningChannel{});
  if (!fits) return fail(session::Errc::kRefused, "the user name is longer than 255 bytes");
  return {};
}

Result<void> ChannelClient::on_frame(const wire::FrameView& frame, const Now& now) {
  // The most frequent first.
  ADIT_CHECK(
      (session::dispatch<wire::SubmitSharesSuccess, wire::SubmitSharesError, wire::NewMiningJob, wire::NewExtendedMiningJob,
                         wire::SetNewPrevHash, wire::SetTarget, wire::SetExtranoncePrefix, wire::SetGroupChannel,
                         wire::CloseChannel, wire::OpenStandardMiningChannelSuccess, wire::OpenExtendedMiningChannelSuccess,
                         wire::OpenMiningChannelError>(frame, [&](const auto& message) { return on(message, now); })));
  return {};
}

template <class M>
Result<void> ChannelClient::opened(const M& message) {
  constexpr bool kExtended = std::is_same_v<M, wire::OpenExtendedMiningChannelSuccess>;
  if (!asked_ || channel_ || message.request_id != kOpenRequest || options_.extended != kExtended)
    return fail(session::Errc::kProtocol, "the pool opened a channel that was not asked for");
  if constexpr (kExtended) {
    if (message.extranonce_size < options_.extranonce_size ||
        message.extranonce_prefix.size() + message.extranonce_size > kMaxExtranonce) {
      return fail(session::Errc::kProtocol, "the pool gave an extranonce of " + std::to_string(message.extranonce_size) +
                                                " bytes behind a prefix of " +
                                                std::to_string(message.extranonce_prefix.size()));
    }
  }
  channel_.emplace(message);
  return {};
}

Result<void> ChannelClient::on(const wire::OpenStandardMiningChannelSuccess& message, const Now&) { return opened(message); }

Result<void> ChannelClient::on(const wire::OpenExtendedMiningChannelSuccess& message, const Now&) { return opened(message); }

Result<void> ChannelClient::on(const wire::OpenMiningChannelError& message, const Now&) {
  return fail(session::Errc::kRefused,
              "the pool refuses user " + in_quotes(options_.user) + ": " + in_quotes(message.error_code.view()));
}

Result<void> ChannelClient::on(const wire::NewMiningJob& message, const Now&) {
  return is_ours(message.channel_id) ? mine(channel_->on_new_mining_job(message)) : Result<void>{};
}

Result<void> ChannelClient::on(const wire::NewExtendedMiningJob& message, const Now&) {
  // A group's job is of no use to a standard channel, whose own comes as NewMiningJob (SV2 05 §5.1).
  if (!options_.extended || !is_ours(message.channel_id)) return {};
  auto work = channels::copy_work(message);
  if (const auto usable = channels::check_work(*work); !usable) return fail(session::Errc::kProtocol, usable.error().message());
  return mine(channel_->on_new_extended_mining_job(message, std::move(work)));
}

Result<void> ChannelClient::on(const wire::SetNewPrevHash& message, const Now&) {
  if (options_.regtest_only) ADIT_CHECK(check_example_key(message.nbits, std::nullopt));
  if (!is_ours(message.channel_id)) return {};
  handler_.on_tip(message);
  return mine(channel_->on_set_new_prev_hash(message));
}

Result<void> ChannelClient::on(const wire::SetTarget& message, const Now&) {
  if (is_ours(message.channel_id)) channel_->on_set_target(bitcoin::U256::from_le(message.maximum_target));
  return {};
}

Result<void> ChannelClient::on(const wire::SetExtranoncePrefix& message, const Now&) {
  // Never for a group (SV2 05 §5.3.10).
  if (!channel_ || message.channel_id != channel_->id()) return {};
  if (const auto set = channel_->on_set_extranonce_prefix(message.extranonce_prefix.bytes()); !set)
    return fail(session::Errc::kProtocol, set.error().message());
  return {};
}

Result<void> ChannelClient::on(const wire::SetGroupChannel& message, const Now&) {
  for (const std::uint32_t member : message.channel_ids) {
    if (channel_ && member == channel_->id()) channel_->on_set_group(message.group_channel_id);
  }
  return {};
}

Result<void> ChannelClient::on(const wire::SubmitSharesSuccess& message, const Now& now) {
  if (!is_ours(message.channel_id)) return {};
  std::optional<Duration> newest;
  shares_.on_answer(message, now.instant, [&](const auto& answer) {
    if (answer.sequence_number == message.last_sequence_number) newest = answer.round_trip;
  });
  handler_.on_accepted(message.new_submits_accepted_count, newest);
  return {};
}

Result<void> ChannelClient::on(const wire::SubmitSharesError& message, const Now& now) {
  if (!is_ours(message.channel_id)) return {};
  shares_.on_answer(message, now.instant, [](const auto&) {});
  handler_.on_rejected(message.error_code.view());
  return {};
}

Result<void> ChannelClient::on(const wire::CloseChannel& message, const Now&) {
  if (!is_ours(message.channel_id)) return {};
  return fail(session::Errc::kClosed, "the pool closed the channel: " + in_quotes(message.reason_code.view()));
}

Result<void> ChannelClient::mine(Result<const channels::ClientJob*> job) {
  if (!job) return fail(session::Errc::kProtocol, job.error().message());
  if (*job != nullptr) handler_.on_job(**job);
  return {};
}

void ChannelClient::submit(const channels::Share& share, Instant now, wire::FrameBuffer& out) {
  const std::uint32_t sequence_number = shares_.submit(channel_->id(), now);
  if (options_.extended) {
    out.push(wire::SubmitSharesExtended{.channel_id = channel_->id(),
                                        .sequence_number = sequence_number,
                                        .job_id = share.job_id,
                                        .nonce = share.nonce,
                                        .ntime = share.ntime,
                                        .version = share.version,
                                        .extranonce = share.extranonce});
  } else {
    out.push(wire::SubmitSharesStandard{.channel_id = channel_->id(),
                                        .sequence_number = sequence_number,
                                        .job_id = share.job_id,
                                        .nonce = share.nonce,
                                        .ntime = share.ntime,
                                        .version = share.version});
  }
}

session::StratumV2StreamHandler ChannelClient::stop(std::string_view reason, wire::FrameBuffer& out) {
  if (channel_) {
    out.push(wire::CloseChannel{.channel_id = channel_->id(), .reason_code = reason});
  }
  return std::exchange(shares_, {});
}

}  // namespace adit::mining
