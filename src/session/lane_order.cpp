#include "session/lane_order.h"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>

#include "base/invariant.h"
#include "wire/adit_messages.h"
#include "wire/messages.h"

namespace adit::session {
namespace {

std::unexpected<Error> broken(Lane lane, const std::string& what) {
  return fail(Errc::kProtocol, "the peer broke the order of lanes on " + std::string(to_string(lane)) + ": " + what);
}

std::string name_of(const wire::FrameView& frame) { return std::string(wire::message_name(frame.header)); }

}  // namespace

Result<void> LaneSender::route(const wire::FrameBuffer& frames, wire::FrameBuffer& control, wire::FrameBuffer& second) {
  for (const wire::FrameView frame : frames) {
    const LaneRule& rule = lane_rule(frame.header);
    if (rule.lane == Lane::kControl) {
      // A mark for nothing is left out.
      if (rule.after_data && second_frames_ != 0) control.push(wire::DataMark{.data_frames = second_frames_});
      control.push_raw(frame.header, frame.payload);
      ++control_frames_;
    } else if (rule.lane == second_) {
      if (marked_ != control_frames_) {
        second.push(wire::ControlMark{.control_frames = control_frames_});
        marked_ = control_frames_;
      }
      second.push_raw(frame.header, frame.payload);
      ++second_frames_;
    } else {
      return fail(Errc::kConfiguration,
                  name_of(frame) + " has no lane in a session with control and " + std::string(to_string(second_)) + " only");
    }
  }
  return {};
}

Result<void> LaneReceiver::on_control(std::span<const wire::FrameView> frames, Instant now, std::vector<wire::FrameView>& out) {
  released_.clear();
  for (const wire::FrameView& frame : frames) {
    if (frame.is<wire::DataMark>()) {
      const auto mark = frame.as<wire::DataMark>();
      if (!mark) return broken(Lane::kControl, mark.error().message());
      if (pending_data_mark_) return broken(Lane::kControl, "two marks in a row");
      if (mark->data_frames < last_data_mark_) {
        return broken(Lane::kControl, "a mark that goes back from " + std::to_string(last_data_mark_) + " to " +
                                          std::to_string(mark->data_frames));
      }
      pending_data_mark_ = last_data_mark_ = mark->data_frames;
      continue;
    }
    if (frame.is<wire::ControlMark>()) return broken(Lane::kControl, "a ControlMark, which is for the other lane");
    if (lane_rule(frame.header).lane != Lane::kControl) return broken(Lane::kControl, name_of(frame) + " is not for this lane");

    const std::uint64_t index = control_seen_++;
    const std::uint64_t after = std::exchange(pending_data_mark_, std::nullopt).value_or(0);
    if (after <= second_done_) {
      out.push_back(frame);
      continue;
    }
    Waiting waiting{.index = index, .after_data = after, .since = now, .frame = {}};
    waiting.frame.resize(wire::kHeaderSize + frame.payload.size());
    wire::encode_header(frame.header, waiting.frame.data());
    std::ranges::copy(frame.payload, waiting.frame.begin() + wire::kHeaderSize);
    waiting_bytes_ += waiting.frame.size();
    waiting_.push_back(std::move(waiting));
    if (waiting_.size() > kMaxWaiting || waiting_bytes_ > kMaxWaitingBytes) {
      return broken(Lane::kControl, "more than " + std::to_string(kMaxWaiting) + " frames or " +
                                        std::to_string(kMaxWaitingBytes) + " bytes wait for the other lane");
    }
  }
  return {};
}

Result<std::size_t> LaneReceiver::on_second(std::span<const wire::FrameView> frames, Instant now,
                                            std::vector<wire::FrameView>& out) {
  released_.clear();
  std::size_t taken = 0;
  for (; taken < frames.size(); ++taken) {
    const wire::FrameView& frame = frames[taken];
    if (!second_open()) break;
    barrier_.reset();
    if (frame.is<wire::ControlMark>()) {
      const auto mark = frame.as<wire::ControlMark>();
      if (!mark) return broken(second_, mark.error().message());
      if (mark->control_frames <= last_control_mark_) {
        return broken(second_, "a mark that does not go on from " + std::to_string(last_control_mark_) + " but says " +
                                   std::to_string(mark->control_frames));
      }
      barrier_ = last_control_mark_ = mark->control_frames;
      barrier_since_ = now;
      continue;
    }
    if (frame.is<wire::DataMark>()) return broken(second_, "a DataMark, which is for the other lane");
    if (lane_rule(frame.header).lane != second_) return broken(second_, name_of(frame) + " is not for this lane");
    out.push_back(frame);
    ++second_done_;
    release_waiting(out);
  }
  ADIT_INVARIANT(consistent());
  return taken;
}

void LaneReceiver::release_waiting(std::vector<wire::FrameView>& out) {
  while (!waiting_.empty() && waiting_.front().after_data <= second_done_) {
    waiting_bytes_ -= waiting_.front().frame.size();
    // The bytes stay where they are when the vector that owns them moves.
    released_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
    const auto& bytes = released_.back().frame;
    out.push_back({wire::decode_header(bytes.data()), Bytes(bytes).subspan(wire::kHeaderSize)});
  }
}

bool LaneReceiver::consistent() const {
  std::size_t bytes = 0;
  for (const Waiting& one : waiting_) bytes += one.frame.size();
  return bytes == waiting_bytes_ && std::ranges::is_sorted(waiting_, std::less<>(), &Waiting::index) &&
         (waiting_.empty() || waiting_.front().after_data > second_done_);
}

std::optional<Instant> LaneReceiver::waiting_since() const {
  std::optional<Instant> since;
  if (!waiting_.empty()) since = waiting_.front().since;
  if (!second_open()) since = since ? std::min(*since, barrier_since_) : barrier_since_;
  return since;
}

Result<void> LaneReceiver::on_tick(Instant now) const {
  const auto since = waiting_since();
  if (!since || now - *since < kMaxWait) return {};
  if (!second_open() && *since == barrier_since_) {
    return broken(second_, "its mark asks for control frame " + std::to_string(*barrier_) + ", " +
                               std::to_string(control_done()) + " have come within the time allowed");
  }
  return broken(Lane::kControl, name_of({wire::decode_header(waiting_.front().frame.data()), {}}) + " waits for frame " +
                                    std::to_string(waiting_.front().after_data) + " of the other lane, " +
                                    std::to_string(second_done_) + " have come within the time allowed");
}

}  // namespace adit::session
