// What every role that mines on its upstreams shares: late answers to shares of a session that was left, and whether the
// rejections of its shares speak against an upstream.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "base/result.h"
#include "base/time.h"
#include "session/shares.h"
#include "upstream/share_judge.h"
#include "upstream/uplink.h"
#include "wire/mining_messages.h"

namespace adit::upstream {

/// The base of a role whose sessions are of the mining protocol.
class MiningRole : public UplinkRole {
 public:
  Result<void> begin(std::size_t candidate, const net::Peer& peer, const session::Agreement& agreement, const Now& now) final;
  Result<void> on_frames(std::span<const wire::FrameView> frames, const Now& now) final;
  void on_round_trip(Duration round_trip) final { round_trip_ = round_trip; }
  /// The role's own finding; or more of our shares were rejected than accepted within a minute, and no change of work excuses
  /// it.
  std::optional<Error> fault(const Now& now) final;
  std::unique_ptr<Unfinished> end(const Now& now, wire::FrameBuffer& last_message) final;

 protected:
  /// As UplinkRole's begin().
  virtual Result<void> begin_mining(std::size_t candidate, const net::Peer& peer, const session::Agreement& agreement,
                                    const Now& now) = 0;
  /// As UplinkRole's on_frames().
  virtual Result<void> on_mining_frames(std::span<const wire::FrameView> frames, const Now& now) = 0;
  /// As UplinkRole's end(): hands over the shares whose answers may still come.
  virtual session::StratumV2StreamHandler end_mining(const Now& now, wire::FrameBuffer& last_message) = 0;
  /// An answer to shares of a session that is over.
  virtual void on_late_answer(const wire::SubmitSharesSuccess& message) = 0;
  virtual void on_late_answer(const wire::SubmitSharesError&) {}
  /// As UplinkRole's fault(), for what the shares do not tell.
  [[nodiscard]] virtual std::optional<Error> own_fault() const { return std::nullopt; }
  /// The work has changed by our own doing: shares on their way may be rejected by nobody's fault.
  void on_own_change(const Now& now) { judge_.on_change(now.instant); }

 private:
  class Late;

  Duration round_trip_{};
  ShareJudge judge_;
};

}  // namespace adit::upstream
