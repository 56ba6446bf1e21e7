#include "roles/miner/session.h"

#include <algorithm>

#include "base/sha256.h"
#include "bitcoin/merkle.h"
#include "wire/messages.h"

namespace adit::miner {
namespace {

constexpr std::uint32_t kOpenRequest = 1;

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
  }
  return "unknown";
}

// ---- Stratum V2

StandardSession::StandardSession(SessionOptions options, SessionHandler& handler)
    : options_(std::move(options)), handler_(handler) {}

void StandardSession::start(wire::FrameBuffer& out) {
  out.push(wire::SetupConnection{.protocol = wire::kMiningProtocol,
                                 .min_version = wire::kProtocolVersion,
                                 .max_version = wire::kProtocolVersion,
                                 .flags = wire::kRequiresStandardJobs,
                                 .endpoint_host = std::string_view(options_.endpoint_host).substr(0, 255),
                                 .endpoint_port = options_.endpoint_port,
                                 .vendor = "adit",
                                 .hardware_version = "cpu",
                                 .firmware = "",
                                 .device_id = ""});
}

template <>
Result<void> StandardSession::on(const wire::SetupConnectionSuccess&, wire::FrameBuffer& out) {
  wire::OpenStandardMiningChannel open{.request_id = kOpenRequest,
                                       .user_identity = std::string_view(options_.user),
                                       .nominal_hash_rate = static_cast<float>(options_.nominal_hash_rate_hps)};
  open.max_target.fill(0xff);
  if (!out.push(open)) return fail(Errc::kRefused, "the user name is longer than 255 bytes");
  return {};
}

template <>
Result<void> StandardSession::on(const wire::SetupConnectionError& message, wire::FrameBuffer&) {
  return fail(Errc::kRefused, "the pool refuses the connection: " + quoted(message.error_code));
}

template <>
Result<void> StandardSession::on(const wire::OpenStandardMiningChannelSuccess& message, wire::FrameBuffer&) {
  if (channel_ || message.request_id != kOpenRequest)
    return fail(Errc::kProtocol, "the pool opened a channel that was not asked for");
  channel_.emplace(message);
  return {};
}

template <>
Result<void> StandardSession::on(const wire::OpenMiningChannelError& message, wire::FrameBuffer&) {
  return fail(Errc::kRefused, "the pool refuses user " + quoted(options_.user) + ": " + quoted(message.error_code));
}

template <>
Result<void> StandardSession::on(const wire::NewMiningJob& message, wire::FrameBuffer&) {
  return is_ours(message.channel_id) ? hash(channel_->on_new_mining_job(message)) : Result<void>{};
}

template <>
Result<void> StandardSession::on(const wire::SetNewPrevHash& message, wire::FrameBuffer&) {
  return is_ours(message.channel_id) ? hash(channel_->on_set_new_prev_hash(message)) : Result<void>{};
}

template <>
Result<void> StandardSession::on(const wire::SetTarget& message, wire::FrameBuffer&) {
  if (is_ours(message.channel_id)) channel_->on_set_target(bitcoin::U256::from_le(message.maximum_target));
  return {};
}

template <>
Result<void> StandardSession::on(const wire::SetExtranoncePrefix& message, wire::FrameBuffer&) {
  return is_ours(message.channel_id) ? channel_->on_set_extranonce_prefix(message.extranonce_prefix.bytes()) : Result<void>{};
}

template <>
Result<void> StandardSession::on(const wire::SetGroupChannel& message, wire::FrameBuffer&) {
  for (std::uint32_t member : message.channel_ids) {
    if (channel_ && member == channel_->id()) channel_->on_set_group(message.group_channel_id);
  }
  return {};
}

template <>
Result<void> StandardSession::on(const wire::SubmitSharesSuccess& message, wire::FrameBuffer&) {
  if (is_ours(message.channel_id)) handler_.on_accepted(message.new_submits_accepted_count);
  return {};
}

template <>
Result<void> StandardSession::on(const wire::SubmitSharesError& message, wire::FrameBuffer&) {
  if (is_ours(message.channel_id)) handler_.on_rejected(message.error_code);
  return {};
}

template <>
Result<void> StandardSession::on(const wire::CloseChannel& message, wire::FrameBuffer&) {
  if (!is_ours(message.channel_id)) return {};
  return fail(Errc::kClosed, "the pool closed the channel: " + quoted(message.reason_code));
}

template <class... Messages>
Result<void> StandardSession::dispatch(const wire::FrameView& frame, wire::FrameBuffer& out) {
  Result<void> result;
  const auto try_one = [&]<class M>(const M*) {
    if (!frame.is<M>()) return false;
    auto message = frame.as<M>();
    result = message ? on(*message, out) : Result<void>(fail(std::move(message.error())));
    return true;
  };
  (try_one(static_cast<const Messages*>(nullptr)) || ...);
  return result;
}

Result<void> StandardSession::on_frame(const wire::FrameView& frame, wire::FrameBuffer& out) {
  return dispatch<wire::SetupConnectionSuccess, wire::SetupConnectionError, wire::OpenStandardMiningChannelSuccess,
                  wire::OpenMiningChannelError, wire::NewMiningJob, wire::SetNewPrevHash, wire::SetTarget,
                  wire::SetExtranoncePrefix, wire::SetGroupChannel, wire::SubmitSharesSuccess, wire::SubmitSharesError,
                  wire::CloseChannel>(frame, out);
}

Result<void> StandardSession::hash(Result<const channels::ClientJob*> result) {
  ADIT_TRY(const channels::ClientJob* job, std::move(result));
  if (job == nullptr) return {};
  const channels::Share start{.job_id = job->id, .ntime = job->ntime, .version = job->rules.version};
  work_job_id_ = job->id;
  work_version_ = job->rules.version;
  handler_.on_work({.id = ++work_id_,
                    .header = channels::share_header(job->rules, start, job->merkle_root({})),
                    .target_le = job->target.to_le()});
  return {};
}

void StandardSession::on_solution(const Solution& solution, UnixTime now, wire::FrameBuffer& out) {
  if (!channel_ || solution.work_id != work_id_) return;
  const channels::Share share{.job_id = work_job_id_,
                              .sequence_number = next_sequence_number_,
                              .nonce = solution.nonce,
                              .ntime = solution.ntime,
                              .version = work_version_};
  if (!channels::is_accepted(channel_->check(share, now).verdict)) return;
  ++next_sequence_number_;
  out.push(wire::SubmitSharesStandard{.channel_id = channel_->id(),
                                      .sequence_number = share.sequence_number,
                                      .job_id = share.job_id,
                                      .nonce = share.nonce,
                                      .ntime = share.ntime,
                                      .version = share.version});
}

void StandardSession::stop(wire::FrameBuffer& out) {
  if (channel_) out.push(wire::CloseChannel{.channel_id = channel_->id(), .reason_code = "shutdown"});
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
