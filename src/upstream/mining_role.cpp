#include "upstream/mining_role.h"

#include <algorithm>
#include <string>
#include <utility>

#include "session/dispatch.h"

namespace adit::upstream {
namespace {

/// No rejection is judged by a shorter round trip than this.
constexpr Duration kLeastRoundTrip = std::chrono::milliseconds(10);

}  // namespace

/// The shares of a session that was left.
class MiningRole::Late final : public Unfinished {
 public:
  Late(MiningRole& role, session::StratumV2StreamHandler shares) : role_(role), shares_(std::move(shares)) {}

  void on_frames(std::span<const wire::FrameView> frames, const Now& now) override {
    for (const auto& frame : frames) {
      // What cannot be read answers nothing; the session is over anyhow.
      (void)session::dispatch<wire::SubmitSharesSuccess, wire::SubmitSharesError>(frame,
                                                                                  [&](const auto& message) -> Result<void> {
                                                                                    take(message, now);
                                                                                    return {};
                                                                                  });
    }
  }
  [[nodiscard]] std::uint64_t unanswered() const override { return shares_.unanswered(); }
  [[nodiscard]] std::uint64_t accepted() const override { return shares_.accepted(); }
  [[nodiscard]] std::uint64_t rejected() const override { return shares_.rejected(); }

 private:
  void take(const auto& message, const Now& now) {
    shares_.on_answer(message, now.instant, [](const auto&) {});
    role_.on_late_answer(message);
  }

  MiningRole& role_;
  session::StratumV2StreamHandler shares_;
};

Result<void> MiningRole::begin(std::size_t candidate, const net::Peer& peer, const session::Agreement& agreement,
                               const Now& now) {
  judge_ = ShareJudge();
  return begin_mining(candidate, peer, agreement, now);
}

Result<void> MiningRole::on_frames(std::span<const wire::FrameView> frames, const Now& now) {
  for (const auto& frame : frames) {
    if (frame.is<wire::SubmitSharesSuccess>()) {
      if (const auto message = frame.as<wire::SubmitSharesSuccess>())
        judge_.on_accepted(message->new_submits_accepted_count, now.instant);
    } else if (frame.is<wire::SubmitSharesError>()) {
      judge_.on_rejected(now.instant, std::max(round_trip_, kLeastRoundTrip));
    } else if (frame.is<wire::SetNewPrevHash>() || frame.is<wire::SetTarget>() || frame.is<wire::SetExtranoncePrefix>()) {
      judge_.on_change(now.instant);
    }
  }
  return on_mining_frames(frames, now);
}

std::optional<Error> MiningRole::fault(const Now& now) {
  if (auto own = own_fault()) return own;
  if (!judge_.at_fault(now.instant)) return std::nullopt;
  return Error(net::Errc::kDenied, "the upstream rejects our shares: " + std::to_string(judge_.held()) +
                                       " within a minute, and fewer were accepted");
}

std::unique_ptr<Unfinished> MiningRole::end(const Now& now, wire::FrameBuffer& last_message) {
  return std::make_unique<Late>(*this, end_mining(now, last_message));
}

}  // namespace adit::upstream
