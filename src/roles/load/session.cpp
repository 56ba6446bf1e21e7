#include "roles/load/session.h"

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>

#include "net/setup.h"
#include "wire/messages.h"

namespace adit::load {
namespace {

constexpr std::uint32_t kOpenRequest = 1;
/// Bytes of extranonce asked for on an extended channel; its nonces are enough, so any size will do.
constexpr std::uint16_t kExtranonceSize = 4;

std::string quoted(std::string_view code) { return "'" + std::string(code) + "'"; }

}  // namespace

Session::Session(const SessionOptions& options, Meter& meter, std::uint32_t number)
    : options_(options), meter_(meter), number_(number) {}

void Session::start(const net::TransportConfig& pool, wire::FrameBuffer& out) {
  net::push_setup_connection(pool, {.program = "load", .flags = options_.extended ? 0 : wire::kRequiresStandardJobs}, out);
}

template <>
Result<void> Session::on(const wire::SetupConnectionSuccess&, Instant, wire::FrameBuffer& out) {
  wire::U256 easiest;
  easiest.fill(0xff);
  const std::string_view user(options_.user);
  const bool pushed = options_.extended
                          ? out.push(wire::OpenExtendedMiningChannel{.request_id = kOpenRequest,
                                                                     .user_identity = user,
                                                                     .nominal_hash_rate = options_.nominal_hash_rate_hps,
                                                                     .max_target = easiest,
                                                                     .min_extranonce_size = kExtranonceSize})
                          : out.push(wire::OpenStandardMiningChannel{.request_id = kOpenRequest,
                                                                     .user_identity = user,
                                                                     .nominal_hash_rate = options_.nominal_hash_rate_hps,
                                                                     .max_target = easiest});
  if (!pushed) return fail(Errc::kRefused, "the user name is longer than 255 bytes");
  return {};
}

template <>
Result<void> Session::on(const wire::SetupConnectionError& message, Instant, wire::FrameBuffer&) {
  return fail(Errc::kRefused, "the pool refuses the connection: " + quoted(message.error_code));
}

template <class Opened>
Result<void> Session::open(const Opened& message) {
  if (message.request_id == kOpenRequest && !channel_) channel_.emplace(message);
  return {};
}

template <>
Result<void> Session::on(const wire::OpenStandardMiningChannelSuccess& message, Instant, wire::FrameBuffer&) {
  return open(message);
}

template <>
Result<void> Session::on(const wire::OpenExtendedMiningChannelSuccess& message, Instant, wire::FrameBuffer&) {
  return open(message);
}

template <>
Result<void> Session::on(const wire::OpenMiningChannelError& message, Instant, wire::FrameBuffer&) {
  return fail(Errc::kRefused, "the pool refuses user " + quoted(options_.user) + ": " + quoted(message.error_code));
}

template <>
Result<void> Session::on(const wire::NewMiningJob& message, Instant, wire::FrameBuffer&) {
  return is_ours(message.channel_id) ? work_on(channel_->on_new_mining_job(message)) : Result<void>{};
}

template <>
Result<void> Session::on(const wire::NewExtendedMiningJob& message, Instant, wire::FrameBuffer&) {
  if (!is_ours(message.channel_id)) return {};
  return work_on(channel_->on_new_extended_mining_job(message, channels::copy_work(message)));
}

template <>
Result<void> Session::on(const wire::SetNewPrevHash& message, Instant now, wire::FrameBuffer&) {
  if (!is_ours(message.channel_id)) return {};
  if (search_)
    meter_.on_tip(message.prev_hash, {.connection = number_, .at = now});  // the one behind a channel's first job is no news
  return work_on(channel_->on_set_new_prev_hash(message));
}

template <>
Result<void> Session::on(const wire::SetTarget& message, Instant, wire::FrameBuffer&) {
  if (is_ours(message.channel_id)) channel_->on_set_target(bitcoin::U256::from_le(message.maximum_target));
  return {};
}

template <>
Result<void> Session::on(const wire::SetExtranoncePrefix& message, Instant, wire::FrameBuffer&) {
  return is_ours(message.channel_id) ? channel_->on_set_extranonce_prefix(message.extranonce_prefix.bytes()) : Result<void>{};
}

template <>
Result<void> Session::on(const wire::SetGroupChannel& message, Instant, wire::FrameBuffer&) {
  for (const std::uint32_t member : message.channel_ids) {
    if (channel_ && member == channel_->id()) channel_->on_set_group(message.group_channel_id);
  }
  return {};
}

template <>
Result<void> Session::on(const wire::SubmitSharesSuccess& message, Instant now, wire::FrameBuffer&) {
  if (!is_ours(message.channel_id)) return {};
  meter_.accepted += message.new_submits_accepted_count;
  // The last one's answer waited for nothing else.
  shares_.on_answer(message, now, [&](const auto& answer) {
    if (answer.sequence_number == message.last_sequence_number) meter_.acknowledged.add(answer.round_trip);
  });
  return {};
}

template <>
Result<void> Session::on(const wire::SubmitSharesError& message, Instant now, wire::FrameBuffer&) {
  if (!is_ours(message.channel_id)) return {};
  meter_.on_rejected(message.error_code);
  shares_.on_answer(message, now, [](const auto&) {});
  return {};
}

template <>
Result<void> Session::on(const wire::CloseChannel& message, Instant, wire::FrameBuffer&) {
  if (!is_ours(message.channel_id)) return {};
  return fail(Errc::kClosed, "the pool closed the channel: " + quoted(message.reason_code));
}

template <class... Messages>
Result<void> Session::dispatch(const wire::FrameView& frame, Instant now, wire::FrameBuffer& out) {
  Result<void> result;
  const auto try_one = [&]<class M>(const M*) {
    if (!frame.is<M>()) return false;
    auto message = frame.as<M>();
    result = message ? on(*message, now, out) : Result<void>(fail(std::move(message.error())));
    return true;
  };
  (try_one(static_cast<const Messages*>(nullptr)) || ...);
  return result;
}

Result<void> Session::on_frame(const wire::FrameView& frame, const Now& now, wire::FrameBuffer& out) {
  // Over lanes a pool asks whoever says nothing whether it is there.
  if (frame.is<wire::Ping>()) {
    ADIT_TRY(const auto ping, frame.as<wire::Ping>());
    out.push(wire::Pong{.nonce = ping.nonce, .time_ms = std::uint64_t{to_u32(now.unix_time)} * 1000});
    return {};
  }
  // The most frequent first.
  return dispatch<wire::SubmitSharesSuccess, wire::SubmitSharesError, wire::NewMiningJob, wire::NewExtendedMiningJob,
                  wire::SetNewPrevHash, wire::SetTarget, wire::SetExtranoncePrefix, wire::SetGroupChannel, wire::CloseChannel,
                  wire::OpenStandardMiningChannelSuccess, wire::OpenExtendedMiningChannelSuccess, wire::OpenMiningChannelError,
                  wire::SetupConnectionSuccess, wire::SetupConnectionError>(frame, now.instant, out);
}

Result<void> Session::work_on(Result<const channels::ClientJob*> result) {
  ADIT_TRY(const channels::ClientJob* job, std::move(result));
  if (job == nullptr) return {};
  const std::vector<std::uint8_t> extranonce(channel_->extranonce_size());
  const channels::Share share{.job_id = job->id, .ntime = job->ntime, .version = job->rules.version};
  const auto header = channels::share_header(job->rules, share, job->merkle_root(extranonce));
  const std::span<const std::uint8_t, bitcoin::kHeaderSize> bytes(header);
  search_.emplace(Search{.midstate = bitcoin::HeaderMidstate(bytes.first<64>()),
                         .target = job->target,
                         .network_target = job->rules.network_target,
                         .job_id = job->id,
                         .ntime = job->ntime,
                         .version = job->rules.version});
  std::ranges::copy(bytes.last<16>(), search_->tail.begin());
  return {};
}

std::optional<std::uint32_t> Session::find_nonce() {
  Search& search = *search_;
  const bool blocks_only = search.target <= search.network_target;
  for (std::uint32_t tries = 0; tries < kMaxTries; ++tries) {
    const std::uint32_t nonce = search.next_nonce++;
    store_le(search.tail.data() + 12, nonce);
    const auto hash = bitcoin::U256::from_le(search.midstate.hash(search.tail));
    if (hash <= search.target && (hash > search.network_target || blocks_only)) return nonce;
  }
  ++meter_.not_found;
  return std::nullopt;
}

std::size_t Session::submit(std::size_t limit, Instant now, wire::FrameBuffer& out) {
  if (!search_) return 0;
  std::array<std::uint8_t, 32> extranonce{};
  std::size_t sent = 0;
  for (; sent < limit && shares_.unanswered() < options_.in_flight; ++sent) {
    const auto nonce = find_nonce();
    if (!nonce) break;
    const std::uint32_t sequence_number = shares_.submit(channel_->id(), now);
    if (options_.extended) {
      out.push(wire::SubmitSharesExtended{.channel_id = channel_->id(),
                                          .sequence_number = sequence_number,
                                          .job_id = search_->job_id,
                                          .nonce = *nonce,
                                          .ntime = search_->ntime,
                                          .version = search_->version,
                                          .extranonce = Bytes(extranonce).first(channel_->extranonce_size())});
    } else {
      out.push(wire::SubmitSharesStandard{.channel_id = channel_->id(),
                                          .sequence_number = sequence_number,
                                          .job_id = search_->job_id,
                                          .nonce = *nonce,
                                          .ntime = search_->ntime,
                                          .version = search_->version});
    }
  }
  meter_.submitted += sent;
  return sent;
}

}  // namespace adit::load
