#include "session/lane_table.h"

#include <array>
#include <type_traits>

#include "wire/messages.h"

namespace adit::session {
namespace {

struct Row {
  std::uint16_t extension;
  std::uint8_t type;
  LaneRule rule;
};

template <class M>
constexpr Row row(Lane lane, bool after_data, std::string_view reason) {
  return {M::kExtension, M::kType, {lane, after_data, reason}};
}
template <class M>
constexpr Row control(std::string_view reason) {
  return row<M>(Lane::kControl, false, reason);
}
template <class M>
constexpr Row control_after_data(std::string_view reason) {
  return row<M>(Lane::kControl, true, reason);
}

using namespace wire;

constexpr std::string_view kFirst = "comes before anything on the second lane";
constexpr std::string_view kOpen = "a share needs its answer, so none of that channel can be before it";
constexpr std::string_view kOwnIds = "jobs and requests have ids of their own: what refers to one was sent after its answer";
constexpr std::string_view kPerJob = "shares name their job, and a job keeps what it was given with";

constexpr auto kRows = std::to_array<Row>({
    control<SetupConnection>(kFirst),
    control<SetupConnectionSuccess>(kFirst),
    control<SetupConnectionError>(kFirst),
    control<ChannelEndpointChanged>("tells of the past; changes no channel here"),
    control_after_data<Reconnect>("ends the session: answers under way come first"),

    control<OpenStandardMiningChannel>(kOpen),
    control<OpenStandardMiningChannelSuccess>(kOpen),
    control<OpenExtendedMiningChannel>(kOpen),
    control<OpenExtendedMiningChannelSuccess>(kOpen),
    control<OpenMiningChannelError>(kOpen),
    control<NewMiningJob>(kPerJob),
    control<NewExtendedMiningJob>(kPerJob),
    control<SetNewPrevHash>("the reason for lanes; a share that it overtakes was late at the server anyway"),
    control<SetTarget>(kPerJob),
    control<SetExtranoncePrefix>(kPerJob),
    control<SetGroupChannel>("moves the addressing of later jobs only"),
    control<UpdateChannel>("moves vardiff and later jobs' targets only"),
    control<UpdateChannelError>("names the channel, changes nothing"),
    control_after_data<CloseChannel>("a share sent before it must find its channel; an answer sent before it is still of one"),
    control<SetCustomMiningJob>(kOwnIds),
    control<SetCustomMiningJobSuccess>(kOwnIds),
    control<SetCustomMiningJobError>(kOwnIds),
    row<SubmitSharesStandard>(Lane::kData, false, "the many"),
    row<SubmitSharesExtended>(Lane::kData, false, "the many"),
    row<SubmitSharesSuccess>(Lane::kData, false, "answers to the many, in their order"),
    row<SubmitSharesError>(Lane::kData, false, "answers to the many, in their order"),

    control<AllocateMiningJobToken>(kOwnIds),
    control<AllocateMiningJobTokenSuccess>(kOwnIds),
    control<DeclareMiningJob>(kOwnIds),
    control<DeclareMiningJobSuccess>(kOwnIds),
    control<DeclareMiningJobError>(kOwnIds),
    control<ProvideMissingTransactions>(kOwnIds),
    row<ProvideMissingTransactionsSuccess>(Lane::kBulk, false, "megabytes"),
    control<PushSolution>("a block: urgent; refers to a job whose answer was received"),

    control<CoinbaseOutputConstraints>("for templates to come"),
    control<NewTemplate>("urgent at a new tip"),
    control<SetNewPrevHashTdp>("urgent"),
    control<RequestTransactionData>(kOwnIds),
    row<RequestTransactionDataSuccess>(Lane::kBulk, false, "megabytes"),
    control<RequestTransactionDataError>(kOwnIds),
    control<SubmitSolution>("a block: urgent"),

    control_after_data<RequestExtensions>("a second one changes what TLV fields of later shares mean"),
    control<RequestExtensionsSuccess>("the client sends such fields only after it"),
    control<RequestExtensionsError>("changes nothing"),

    control<EndpointCertificate>(kFirst),
    control<FollowPoolTip>("asks for jobs to come; changes no share"),
    control_after_data<Goodbye>("ends the session: nothing sent before it may be left"),
    control_after_data<GoodbyeAck>("says that all was handled and answered"),
    control<Ping>("measures the way; must not wait"),
    control<Pong>("measures the way; must not wait"),
});

constexpr LaneRule kUnknown{Lane::kControl, true, "not known here: its meaning may depend on the order"};

/// Types of core and of our own extension are looked up in one step.
struct Index {
  std::array<std::uint8_t, 256> core{};
  std::array<std::uint8_t, 256> own{};
};
constexpr std::uint8_t kNone = 0xff;
static_assert(kRows.size() < kNone);

constexpr Index make_index() {
  Index index;
  index.core.fill(kNone);
  index.own.fill(kNone);
  for (std::size_t i = 0; i < kRows.size(); ++i) {
    if (kRows[i].extension == kCore) index.core[kRows[i].type] = static_cast<std::uint8_t>(i);
    if (kRows[i].extension == kAditExtension) index.own[kRows[i].type] = static_cast<std::uint8_t>(i);
  }
  return index;
}
constexpr Index kIndex = make_index();

}  // namespace

std::string_view to_string(Lane lane) {
  switch (lane) {
    case Lane::kControl:
      return "control";
    case Lane::kData:
      return "data";
    case Lane::kBulk:
      return "bulk";
  }
  return "unknown";
}

const LaneRule& lane_rule(const wire::FrameHeader& header) {
  std::uint8_t at = kNone;
  if (header.extension_type == kCore) {
    at = kIndex.core[header.message_type];
  } else if (header.extension_type == kAditExtension) {
    at = kIndex.own[header.message_type];
  } else {
    for (std::size_t i = 0; i < kRows.size(); ++i) {
      if (kRows[i].extension == header.extension_type && kRows[i].type == header.message_type)
        at = static_cast<std::uint8_t>(i);
    }
  }
  return at == kNone ? kUnknown : kRows[at].rule;
}

}  // namespace adit::session
