// Every message, and what can be said of a frame whose type is known only at run time.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>

#include "wire/adit_messages.h"
#include "wire/common_messages.h"
#include "wire/frame.h"
#include "wire/job_declaration_messages.h"
#include "wire/mining_messages.h"
#include "wire/template_distribution_messages.h"

namespace adit::wire {

template <Message... M>
struct MessageList {
  /// Calls `f(std::type_identity<M>)` for each until one returns true; true if one did.
  template <class F>
  static constexpr bool any(F&& f) {
    return (f(std::type_identity<M>{}) || ...);
  }
};

using AllMessages =
    MessageList<SetupConnection, SetupConnectionSuccess, SetupConnectionError, ChannelEndpointChanged, Reconnect,
                OpenStandardMiningChannel, OpenStandardMiningChannelSuccess, OpenMiningChannelError, OpenExtendedMiningChannel,
                OpenExtendedMiningChannelSuccess, NewMiningJob, UpdateChannel, UpdateChannelError, CloseChannel,
                SetExtranoncePrefix, SubmitSharesStandard, SubmitSharesExtended, SubmitSharesSuccess, SubmitSharesError,
                NewExtendedMiningJob, SetNewPrevHash, SetTarget, SetCustomMiningJob, SetCustomMiningJobSuccess,
                SetCustomMiningJobError, SetGroupChannel, AllocateMiningJobToken, AllocateMiningJobTokenSuccess,
                ProvideMissingTransactions, ProvideMissingTransactionsSuccess, DeclareMiningJob, DeclareMiningJobSuccess,
                DeclareMiningJobError, PushSolution, CoinbaseOutputConstraints, NewTemplate, SetNewPrevHashTdp,
                RequestTransactionData, RequestTransactionDataSuccess, RequestTransactionDataError, SubmitSolution,
                RequestExtensions, RequestExtensionsSuccess, RequestExtensionsError, Goodbye, GoodbyeAck, Ping, Pong,
                ControlMark, DataMark, EndpointCertificate, FollowPoolTip>;

/// Calls `f(std::type_identity<M>)` for the message that `header` announces; false if none is known.
template <class F>
bool with_message_type(const FrameHeader& header, F&& f) {
  return AllMessages::any([&]<class M>(std::type_identity<M> type) {
    if (!header.is<M>()) return false;
    f(type);
    return true;
  });
}

/// The specification's name of the message, or "unknown".
std::string_view message_name(const FrameHeader& header);

/// The frame as text for logs; says so if it is unknown or does not decode.
std::string to_string(const FrameView& frame);

}  // namespace adit::wire
