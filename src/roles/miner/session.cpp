#include "roles/miner/session.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "base/sha256.h"
#include "bitcoin/merkle.h"
#include "wire/messages.h"

namespace adit::miner {
namespace {

constexpr std::uint32_t kOpenRequest = 1;
constexpr std::uint16_t kExtranonceSize = 4;  ///< That we ask for; a new one for each work.
constexpr std::uint32_t kRegtestNbits = 0x207fffff;

std::string quoted(std::string_view code) { return "'" + std::string(code) + "'"; }

}  // namespace

std::string_view error_name(Errc code) {
  switch (code) {
    case Errc::kRefused:
      return "refused";
    case Errc::kProtocol:
      return "protocol";
    case Errc::kClosed:
      return "closed";
    case Errc::kConfiguration:
      return "configuration";
  }
  return "unknown";
}

// ---- Stratum V2

Sv2Session::Sv2Session(SessionOptions options, SessionHandler& handler) : options_(std::move(options)), handler_(handler) {}

template <>
Result<void> Sv2Session::on(const wire::SetupConnectionSuccess& message, const Now&, wire::FrameBuffer& out) {
  if (set_up_) return fail(Errc::kProtocol, "the pool answered SetupConnection twice");
  if (message.used_version != wire::kProtocolVersion) {
    return fail(Errc::kProtocol,
                "the pool chose protocol version " + std::to_string(message.used_version) + ", which was not offered");
  }
  if (!options_.extended && (message.flags & wire::kRequiresExtendedChannels) != 0) {
    return fail(Errc::kRefused, "the pool takes extended channels only: mine with --extended");
  }
  set_up_ = true;
  const auto open = [&](auto request) {
    request.request_id = kOpenRequest;
    request.user_identity = std::string_view(options_.user);
    request.nominal_hash_rate = static_cast<float>(options_.nominal_hash_rate_hps);
    request.max_target.fill(0xff);
    return out.push(request);
  };
  const bool fits = options_.extended ? open(wire::OpenExtendedMiningChannel{.min_extranonce_size = kExtranonceSize})
                                      : open(wire::OpenStandardMiningChannel{});
  if (!fits) return fail(Errc::kRefused, "the user name is longer than 255 bytes");
  return {};
}

template <>
Result<void> Sv2Session::on(const wire::SetupConnectionError& message, const Now&, wire::FrameBuffer&) {
  return fail(Errc::kRefused, "the pool refuses the connection: " + quoted(message.error_code));
}

template <class M>
Result<void> Sv2Session::opened(const M& message) {
  constexpr bool kExtended = std::is_same_v<M, wire::OpenExtendedMiningChannelSuccess>;
  if (!set_up_ || channel_ || message.request_id != kOpenRequest || options_.extended != kExtended)
    return fail(Errc::kProtocol, "the pool opened a channel that was not asked for");
  if constexpr (kExtended) {
    if (message.extranonce_size < kExtranonceSize ||
        message.extranonce_prefix.size() + message.extranonce_size > extranonce_.size()) {
      return fail(Errc::kProtocol, "the pool gave an extranonce of " + std::to_string(message.extranonce_size) +
                                       " bytes behind a prefix of " + std::to_string(message.extranonce_prefix.size()));
    }
  }
  channel_.emplace(message);
  return {};
}

template <>
Result<void> Sv2Session::on(const wire::OpenStandardMiningChannelSuccess& message, const Now&, wire::FrameBuffer&) {
  return opened(message);
}

template <>
Result<void> Sv2Session::on(const wire::OpenExtendedMiningChannelSuccess& message, const Now&, wire::FrameBuffer&) {
  return opened(message);
}

template <>
Result<void> Sv2Session::on(const wire::OpenMiningChannelError& message, const Now&, wire::FrameBuffer&) {
  return fail(Errc::kRefused, "the pool refuses user " + quoted(options_.user) + ": " + quoted(message.error_code));
}

template <>
Result<void> Sv2Session::on(const wire::NewMiningJob& message, const Now&, wire::FrameBuffer&) {
  return is_ours(message.channel_id) ? hash(channel_->on_new_mining_job(message)) : Result<void>{};
}

template <>
Result<void> Sv2Session::on(const wire::NewExtendedMiningJob& message, const Now&, wire::FrameBuffer&) {
  // A group's job: of no use to a standard channel, whose own comes as NewMiningJob (SV2 05 §5.1).
  if (!options_.extended || !is_ours(message.channel_id)) return {};
  return hash(channel_->on_new_extended_mining_job(message, channels::copy_work(message)));
}

template <>
Result<void> Sv2Session::on(const wire::SetNewPrevHash& message, const Now&, wire::FrameBuffer&) {
  if (options_.regtest_only && message.nbits != kRegtestNbits) {
    return fail(
        Errc::kConfiguration,
        "this pool mines on a network that is not regtest under SRI's published example authority key, whose secret "
        "everybody has, so anybody can pose as it: nothing is mined for it; ask the pool for its own key and put that into "
        "the URL");
  }
  return is_ours(message.channel_id) ? hash(channel_->on_set_new_prev_hash(message)) : Result<void>{};
}

template <>
Result<void> Sv2Session::on(const wire::SetTarget& message, const Now&, wire::FrameBuffer&) {
  if (is_ours(message.channel_id)) channel_->on_set_target(bitcoin::U256::from_le(message.maximum_target));
  return {};
}

template <>
Result<void> Sv2Session::on(const wire::SetExtranoncePrefix& message, const Now&, wire::FrameBuffer&) {
  // Never for a group (SV2 05 §5.3.10).
  if (!channel_ || message.channel_id != channel_->id()) return {};
  return channel_->on_set_extranonce_prefix(message.extranonce_prefix.bytes());
}

template <>
Result<void> Sv2Session::on(const wire::SetGroupChannel& message, const Now&, wire::FrameBuffer&) {
  for (std::uint32_t member : message.channel_ids) {
    if (channel_ && member == channel_->id()) channel_->on_set_group(message.group_channel_id);
  }
  return {};
}

template <>
Result<void> Sv2Session::on(const wire::SubmitSharesSuccess& message, const Now& now, wire::FrameBuffer&) {
  if (!is_ours(message.channel_id)) return {};
  shares_.on_answer(message, now.instant, [](const auto&) {});
  handler_.on_accepted(message.new_submits_accepted_count);
  return {};
}

template <>
Result<void> Sv2Session::on(const wire::SubmitSharesError& message, const Now& now, wire::FrameBuffer&) {
  if (!is_ours(message.channel_id)) return {};
  shares_.on_answer(message, now.instant, [](const auto&) {});
  handler_.on_rejected(message.error_code);
  return {};
}

template <>
Result<void> Sv2Session::on(const wire::CloseChannel& message, const Now&, wire::FrameBuffer&) {
  if (!is_ours(message.channel_id)) return {};
  return fail(Errc::kClosed, "the pool closed the channel: " + quoted(message.reason_code));
}

template <class... Messages>
Result<void> Sv2Session::dispatch(const wire::FrameView& frame, const Now& now, wire::FrameBuffer& out) {
  Result<void> result;
  const auto try_one = [&]<class M>(const M*) {
    if (!frame.is<M>()) return false;
    auto message = frame.as<M>();
    result = message
                 ? on(*message, now, out)
                 : Result<void>(fail(Errc::kProtocol, std::string(M::kName) + " cannot be read: " + message.error().message()));
    return true;
  };
  (try_one(static_cast<const Messages*>(nullptr)) || ...);
  return result;
}

Result<void> Sv2Session::on_frame(const wire::FrameView& frame, const Now& now, wire::FrameBuffer& out) {
  return dispatch<wire::SetupConnectionSuccess, wire::SetupConnectionError, wire::OpenStandardMiningChannelSuccess,
                  wire::OpenExtendedMiningChannelSuccess, wire::OpenMiningChannelError, wire::NewMiningJob,
                  wire::NewExtendedMiningJob, wire::SetNewPrevHash, wire::SetTarget, wire::SetExtranoncePrefix,
                  wire::SetGroupChannel, wire::SubmitSharesSuccess, wire::SubmitSharesError, wire::CloseChannel>(frame, now,
                                                                                                                 out);
}

Result<void> Sv2Session::hash(Result<const channels::ClientJob*> result) {
  ADIT_TRY(const channels::ClientJob* job, std::move(result));
  if (job == nullptr) return {};
  const channels::Share start{.job_id = job->id, .ntime = job->ntime, .version = job->rules.version};
  work_job_id_ = job->id;
  work_version_ = job->rules.version;
  ++work_id_;
  // A new extranonce each time: a job that comes twice is not searched twice. Its last bytes count, the rest is zero.
  const std::size_t size = channel_->extranonce_size();
  for (std::size_t i = 0; i < std::min<std::size_t>(size, 8); ++i)
    extranonce_[size - 1 - i] = static_cast<std::uint8_t>(work_id_ >> (8 * i));
  handler_.on_work({.id = work_id_,
                    .header = channels::share_header(job->rules, start, job->merkle_root(Bytes(extranonce_).first(size))),
                    .target_le = job->target.to_le()});
  return {};
}

void Sv2Session::on_solution(const Solution& solution, const Now& now, wire::FrameBuffer& out) {
  if (!channel_ || solution.work_id != work_id_) return;
  const channels::Share share{.job_id = work_job_id_,
                              .nonce = solution.nonce,
                              .ntime = solution.ntime,
                              .version = work_version_,
                              .extranonce = Bytes(extranonce_).first(channel_->extranonce_size())};
  if (!channels::is_accepted(channel_->check(share, now.unix_time).verdict)) return;
  const std::uint32_t sequence_number = shares_.submit(channel_->id(), now.instant);
  const auto submit = [&](auto message) {
    message.channel_id = channel_->id();
    message.sequence_number = sequence_number;
    message.job_id = share.job_id;
    message.nonce = share.nonce;
    message.ntime = share.ntime;
    message.version = share.version;
    out.push(message);
  };
  if (options_.extended) {
    submit(wire::SubmitSharesExtended{.extranonce = share.extranonce});
  } else {
    submit(wire::SubmitSharesStandard{});
  }
}

net::StratumV2StreamHandler Sv2Session::stop(wire::FrameBuffer& out) {
  if (channel_) out.push(wire::CloseChannel{.channel_id = channel_->id(), .reason_code = "shutdown"});
  return std::move(shares_);
}

// ---- Stratum V1

Sv1Session::Sv1Session(SessionOptions options, SessionHandler& handler)
    : handler_(handler), client_({.user = std::move(options.user)}, *this) {}

void Sv1Session::on_work(std::shared_ptr<const sv1::Work> work) {
  work_ = std::move(work);
  ++work_id_;
  // A new extranonce2 each time: a job that comes twice is not searched twice.
  std::array<std::uint8_t, 32> extranonce2{};
  const std::size_t size = std::min(work_->extranonce2_size, extranonce2.size());
  for (std::size_t i = 0; i < std::min<std::size_t>(size, 8); ++i)
    extranonce2[i] = static_cast<std::uint8_t>(work_id_ >> (8 * i));
  extranonce2_ = sv1::Extranonce(Bytes(extranonce2).first(size));

  const sv1::Notify& job = work_->job;
  const Sha256Digest inner = Sha256()
                                 .update(job.coinbase1)
                                 .update(work_->extranonce1.bytes())
                                 .update(extranonce2_.bytes())
                                 .update(job.coinbase2)
                                 .finish();
  const channels::HeaderRules rules{.version = job.version, .prev_hash = job.prev_hash, .nbits = job.nbits};
  const channels::Share start{.ntime = job.ntime, .version = job.version};
  handler_.on_work({.id = work_id_,
                    .header = channels::share_header(rules, start, bitcoin::fold_merkle_path(sha256(inner), job.merkle_path)),
                    .target_le = work_->target.to_le()});
}

void Sv1Session::on_solution(const Solution& solution) {
  if (work_ && solution.work_id == work_id_) client_.submit(*work_, extranonce2_, solution.ntime, solution.nonce, 0);
}

void Sv1Session::on_submit_answer(std::uint64_t, const sv1::RpcError* error) {
  if (error == nullptr) {
    handler_.on_accepted(1);
  } else {
    handler_.on_rejected(error->message);
  }
}

}  // namespace adit::miner
