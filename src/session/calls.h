// Calls: requests of Stratum V2 matched to their answers, each with a deadline. An engine: no I/O, time is an argument.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "base/result.h"
#include "base/time.h"
#include "session/error.h"
#include "wire/frame.h"

namespace adit::session {

/// The client's side of a session's control messages. Calls are SetupConnection (one at a time), Open*MiningChannel,
/// SetCustomMiningJob, AllocateMiningJobToken, DeclareMiningJob, RequestTransactionData and RequestExtensions, told apart by
/// the ids that they carry; all other messages go one way and are none of this.
///
/// A channel that is opened after its call's deadline is closed again: nobody would use it.
class StratumV2RpcHandler {
 public:
  /// Called once: with the answer, a Success or an Error of the protocol (its views last as long as the batch), or with
  /// kTimedOut, or with what end() said. May call.
  using Done = std::function<void(Result<wire::FrameView>)>;

  /// Appends `request` (one frame: frames of a FrameBuffer) to `out`. Error: kConfiguration, nothing appended, if it is no call
  /// or one like it is under way.
  Result<void> call(const wire::FrameView& request, Instant deadline, wire::FrameBuffer& out, Done done);

  /// True if the frame answered a call, in time or late: it needs no other handling.
  bool on_frame(const wire::FrameView& frame, wire::FrameBuffer& out);

  /// Ends calls whose deadline has passed.
  void on_tick(Instant now);
  /// The session is over: every call ends with `why`.
  void end(const Error& why);

  [[nodiscard]] std::size_t under_way() const { return calls_.size(); }

 private:
  enum class Kind : std::uint8_t { kSetup, kOpenChannel, kCustomJob, kToken, kDeclareJob, kTransactions, kExtensions };
  struct Key {
    Kind kind = Kind::kSetup;
    std::uint64_t id = 0;
    auto operator<=>(const Key&) const = default;
  };
  struct Call {
    Instant deadline{};
    Done done;
  };
  static std::optional<Key> key_of_request(const wire::FrameView& frame);
  static std::optional<Key> key_of_answer(const wire::FrameView& frame);

  std::map<Key, Call> calls_;
  std::set<Key> late_;  ///< Channels whose opening may still be answered; at most kMaxLate.
  static constexpr std::size_t kMaxLate = 256;
};

}  // namespace adit::session
