#include "session/lane_preface.h"

#include <algorithm>
#include <string>

#include "base/bytes.h"

namespace adit::session {
namespace {

std::unexpected<Error> bad_session(std::uint64_t id, const std::string& what) {
  return fail(Errc::kProtocol, "session " + std::to_string(id) + ": " + what);
}

}  // namespace

std::array<std::uint8_t, LanePreface::kSize> LanePreface::encode() const {
  std::array<std::uint8_t, kSize> bytes{kVersion, static_cast<std::uint8_t>(lane), static_cast<std::uint8_t>(protocol), 0};
  store_le(bytes.data() + 4, session_id);
  return bytes;
}

Result<LanePreface> LanePreface::decode(std::span<const std::uint8_t, kSize> from) {
  if (from[0] != kVersion) {
    return fail(Errc::kProtocol, "a stream begins with version " + std::to_string(from[0]) + " of lanes; only 1 is known here");
  }
  if (from[2] > static_cast<std::uint8_t>(wire::Protocol::kTemplateDistribution)) {
    return fail(Errc::kProtocol, "a stream is for protocol " + std::to_string(from[2]) + ", which is none");
  }
  const auto protocol = static_cast<wire::Protocol>(from[2]);
  const auto lane = static_cast<Lane>(from[1]);
  if (lane != Lane::kControl && lane != second_lane(protocol)) {
    return fail(Errc::kProtocol,
                "lane " + std::to_string(from[1]) + " does not exist in a session of protocol " + std::to_string(from[2]));
  }
  if (from[3] != 0) return fail(Errc::kProtocol, "the preface's fourth byte must be 0");
  return LanePreface{.lane = lane, .protocol = protocol, .session_id = load_le<std::uint64_t>(from.data() + 4)};
}

Result<bool> LaneSessions::on_preface(const LanePreface& preface, Instant now) {
  const std::uint64_t id = preface.session_id;
  if (const auto known = sessions_.find(id); known != sessions_.end()) {
    Session& session = known->second;
    if (session.complete || session.first.lane == preface.lane) {
      return bad_session(id, "its " + std::string(to_string(preface.lane)) + " lane came twice");
    }
    if (session.first.protocol != preface.protocol) return bad_session(id, "its lanes are of two protocols");
    session.complete = true;
    return true;
  }
  if (id > highest_) {
    if (id - highest_ > kMaxSkip) {
      return bad_session(id, "its number is over " + std::to_string(kMaxSkip) + " beyond " + std::to_string(highest_));
    }
    for (std::uint64_t between = highest_ + 1; between < id; ++between) skipped_.insert(between);
    while (skipped_.size() > kMaxSkip) skipped_.erase(skipped_.begin());
    highest_ = id;
  } else if (skipped_.erase(id) == 0) {
    return bad_session(id, "its number was used before");
  }
  if (sessions_.size() >= kMaxSessions) {
    return fail(Errc::kOverloaded, "more than " + std::to_string(kMaxSessions) + " sessions on one connection");
  }
  sessions_.emplace(id, Session{.first = preface, .complete = false, .since = now});
  return false;
}

std::optional<std::uint64_t> LaneSessions::overdue(Instant now) const {
  const auto found = std::ranges::find_if(
      sessions_, [now](const auto& each) { return !each.second.complete && now - each.second.since >= kPairingTime; });
  return found == sessions_.end() ? std::nullopt : std::optional(found->first);
}

}  // namespace adit::session
