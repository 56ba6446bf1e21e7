#include "session/calls.h"

#include <string>
#include <utility>

#include "wire/messages.h"

namespace adit::session {
namespace {

/// What `id` makes of the frame's message if that is an M; nullopt otherwise, and for one that cannot be read.
template <class M, class Id>
bool read(const wire::FrameView& frame, std::optional<std::uint64_t>& into, Id id) {
  if (!frame.is<M>()) return false;
  if (const auto message = frame.as<M>()) into = id(*message);
  return true;
}

constexpr auto kRequestId = [](const auto& message) -> std::uint64_t { return message.request_id; };
constexpr auto kTemplateId = [](const auto& message) -> std::uint64_t { return message.template_id; };
constexpr auto kChannelAndRequestId = [](const auto& message) -> std::uint64_t {
  return std::uint64_t{message.channel_id} << 32 | message.request_id;
};
constexpr auto kOnly = [](const auto&) -> std::uint64_t { return 0; };

}  // namespace

std::optional<StratumV2RpcHandler::Key> StratumV2RpcHandler::key_of_request(const wire::FrameView& frame) {
  std::optional<std::uint64_t> id;
  const auto key = [&id](Kind kind) { return id ? std::optional(Key{kind, *id}) : std::nullopt; };
  if (read<wire::SetupConnection>(frame, id, kOnly)) return key(Kind::kSetup);
  if (read<wire::OpenStandardMiningChannel>(frame, id, kRequestId) ||
      read<wire::OpenExtendedMiningChannel>(frame, id, kRequestId)) {
    return key(Kind::kOpenChannel);
  }
  if (read<wire::SetCustomMiningJob>(frame, id, kChannelAndRequestId)) return key(Kind::kCustomJob);
  if (read<wire::AllocateMiningJobToken>(frame, id, kRequestId)) return key(Kind::kToken);
  if (read<wire::DeclareMiningJob>(frame, id, kRequestId)) return key(Kind::kDeclareJob);
  if (read<wire::RequestTransactionData>(frame, id, kTemplateId)) return key(Kind::kTransactions);
  if (read<wire::RequestExtensions>(frame, id, kRequestId)) return key(Kind::kExtensions);
  return std::nullopt;
}

std::optional<StratumV2RpcHandler::Key> StratumV2RpcHandler::key_of_answer(const wire::FrameView& frame) {
  std::optional<std::uint64_t> id;
  const auto key = [&id](Kind kind) { return id ? std::optional(Key{kind, *id}) : std::nullopt; };
  if (read<wire::SetupConnectionSuccess>(frame, id, kOnly) || read<wire::SetupConnectionError>(frame, id, kOnly)) {
    return key(Kind::kSetup);
  }
  if (read<wire::OpenStandardMiningChannelSuccess>(frame, id, kRequestId) ||
      read<wire::OpenExtendedMiningChannelSuccess>(frame, id, kRequestId) ||
      read<wire::OpenMiningChannelError>(frame, id, kRequestId)) {
    return key(Kind::kOpenChannel);
  }
  if (read<wire::SetCustomMiningJobSuccess>(frame, id, kChannelAndRequestId) ||
      read<wire::SetCustomMiningJobError>(frame, id, kChannelAndRequestId)) {
    return key(Kind::kCustomJob);
  }
  if (read<wire::AllocateMiningJobTokenSuccess>(frame, id, kRequestId)) return key(Kind::kToken);
  if (read<wire::DeclareMiningJobSuccess>(frame, id, kRequestId) || read<wire::DeclareMiningJobError>(frame, id, kRequestId)) {
    return key(Kind::kDeclareJob);
  }
  if (read<wire::RequestTransactionDataSuccess>(frame, id, kTemplateId) ||
      read<wire::RequestTransactionDataError>(frame, id, kTemplateId)) {
    return key(Kind::kTransactions);
  }
  if (read<wire::RequestExtensionsSuccess>(frame, id, kRequestId) ||
      read<wire::RequestExtensionsError>(frame, id, kRequestId)) {
    return key(Kind::kExtensions);
  }
  return std::nullopt;
}

Result<void> StratumV2RpcHandler::call(const wire::FrameView& request, Instant deadline, wire::FrameBuffer& out, Done done) {
  const auto key = key_of_request(request);
  const std::string name(wire::message_name(request.header));
  if (!key) return fail(Errc::kConfiguration, name + " is no call: it has no answer of its own");
  // An answer that may still come for the last one could not be told from this one's.
  if (late_.contains(*key) || !calls_.try_emplace(*key, Call{deadline, std::move(done)}).second) {
    return fail(Errc::kConfiguration, name + " with that id is under way already");
  }
  (void)out.push_raw(request.header, request.payload);
  return {};
}

bool StratumV2RpcHandler::on_frame(const wire::FrameView& frame, wire::FrameBuffer& out) {
  const auto key = key_of_answer(frame);
  if (!key) return false;
  if (const auto call = calls_.find(*key); call != calls_.end()) {
    const auto done = std::move(call->second.done);
    calls_.erase(call);
    done(frame);
    return true;
  }
  if (late_.erase(*key) == 0) return false;
  std::optional<std::uint32_t> opened;
  if (const auto standard = frame.as<wire::OpenStandardMiningChannelSuccess>()) opened = standard->channel_id;
  if (const auto extended = frame.as<wire::OpenExtendedMiningChannelSuccess>()) opened = extended->channel_id;
  if (opened) out.push(wire::CloseChannel{.channel_id = *opened, .reason_code = std::string_view("opened-too-late")});
  return true;
}

void StratumV2RpcHandler::on_tick(Instant now) {
  for (auto call = calls_.begin(); call != calls_.end();) {
    if (now < call->second.deadline) {
      ++call;
      continue;
    }
    const auto key = call->first;
    const auto done = std::move(call->second.done);
    calls_.erase(call);
    if (late_.size() < kMaxLate) late_.insert(key);
    done(fail(Errc::kTimedOut, "the call was not answered in time"));
    call = calls_.upper_bound(key);  // the caller may have called again
  }
}

void StratumV2RpcHandler::end(const Error& why) {
  for (auto& [key, call] : std::exchange(calls_, {})) call.done(fail(why));
}

}  // namespace adit::session
