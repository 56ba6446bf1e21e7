// Lanes, both ways round: what our sender puts on two lanes comes out of our receiver in an order that keeps the rules, however
// the lanes' bytes interleave; and a receiver takes any frames and marks from anybody without growing beyond its bounds.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/require_testing.h"
#include "input.h"
#include "session/lane_order.h"
#include "session/lane_preface.h"
#include "wire/messages.h"

namespace {

using namespace adit;
using fuzz::Input;

/// One of some messages: those of the second lane, those that wait, and those that do not. `number` is its place in the order
/// sent.
void push(wire::FrameBuffer& frames, std::uint8_t kind, std::uint32_t number, bool any) {
  switch (kind % (any ? 9 : 5)) {
    case 0:
      frames.push(wire::SubmitSharesStandard{.channel_id = number});
      break;
    case 1:
      frames.push(wire::UpdateChannel{.channel_id = number, .nominal_hash_rate = 1, .maximum_target = {}});
      break;
    case 2:
      frames.push(wire::CloseChannel{.channel_id = number, .reason_code = std::string_view("x")});
      break;
    case 3:
      frames.push(wire::SubmitSharesExtended{.channel_id = number});
      break;
    case 4:
      frames.push(wire::SetNewPrevHash{.channel_id = number, .job_id = 1, .prev_hash = {}, .min_ntime = 0, .nbits = 0});
      break;
    case 5:
      frames.push(wire::ControlMark{.control_frames = number % 8 == 7 ? UINT64_MAX : number});
      break;
    case 6:
      frames.push(wire::DataMark{.data_frames = number % 8 == 7 ? UINT64_MAX : number});
      break;
    case 7:
      (void)frames.push_raw({.extension_type = 0x4ad1, .message_type = 4}, std::vector<std::uint8_t>(number % 12));
      break;
    default:
      (void)frames.push_raw({.extension_type = static_cast<std::uint16_t>(number), .message_type = 0x77}, {});
      break;
  }
}

std::uint32_t number_of(const wire::FrameView& frame) { return load_le<std::uint32_t>(frame.payload.data()); }

/// Offers frames as a connection does: the second lane only while it is open, what was not taken again first.
class Receiving {
 public:
  Result<void> control(std::span<const wire::FrameView> frames, Instant now) { return receiver.on_control(frames, now, out); }
  Result<std::size_t> second(std::span<const wire::FrameView> frames, Instant now) {
    if (!receiver.second_open()) return 0;
    return receiver.on_second(frames, now, out);
  }

  session::LaneReceiver receiver{wire::Protocol::kMining};
  std::vector<wire::FrameView> out;
};

void ours_to_ours(Input input) {
  session::LaneSender sender(wire::Protocol::kMining);
  wire::FrameBuffer frames, control, second;
  const std::uint32_t count = input.next() % 60;
  for (std::uint32_t number = 0; number < count; ++number) push(frames, input.next(), number, false);
  require(sender.route(frames, control, second).has_value());
  const std::vector<wire::FrameView> on_control(control.begin(), control.end()), on_second(second.begin(), second.end());

  Receiving receiving;
  std::vector<std::uint32_t> order;
  std::vector<bool> is_second(count), waits(count), handled(count);
  for (const auto& frame : frames) {
    const auto& rule = session::lane_rule(frame.header);
    is_second[number_of(frame)] = rule.lane == session::Lane::kData;
    waits[number_of(frame)] = rule.after_data;
  }
  const auto take = [&] {
    for (const auto& frame : receiving.out) {
      const auto number = number_of(frame);
      require(number < count && !handled[number]);
      for (std::uint32_t earlier = 0; earlier < number; ++earlier) {
        if (handled[earlier]) continue;
        // What may be handled before something that was sent earlier: control that does not wait, alone.
        require(!is_second[number] && (is_second[earlier] ? !waits[number] : waits[earlier] && !waits[number]));
      }
      handled[number] = true;
      order.push_back(number);
    }
    receiving.out.clear();
  };
  std::size_t controls = 0, seconds = 0;
  while (controls < on_control.size() || seconds < on_second.size()) {
    const auto say = input.next();
    if (((say & 1) == 0 && controls < on_control.size()) || seconds == on_second.size()) {
      const auto some = std::min<std::size_t>(say / 2 % 8 + 1, on_control.size() - controls);
      require(receiving.control(std::span(on_control).subspan(controls, some), {}).has_value());
      controls += some;
    } else {
      const auto some = std::min<std::size_t>(say / 2 % 8 + 1, on_second.size() - seconds);
      const auto taken = receiving.second(std::span(on_second).subspan(seconds, some), {});
      require(taken.has_value());
      seconds += *taken;
      // Nothing more can come on control, so nothing may still be waited for.
      require(*taken != 0 || controls < on_control.size());
    }
    take();
  }
  require(order.size() == count && receiving.receiver.waiting() == 0);
}

void theirs_to_ours(Input input) {
  Receiving receiving;
  std::size_t given = 0, got = 0;
  while (!input.empty()) {
    const auto say = input.next();
    wire::FrameBuffer frames;
    for (int i = 0; i <= say / 2 % 8; ++i) {
      const auto kind = input.next();
      push(frames, kind, input.next(), true);
    }
    const std::vector<wire::FrameView> views(frames.begin(), frames.end());
    const auto now = Instant(std::chrono::seconds(given));
    if ((say & 1) == 0) {
      given += views.size();
      if (!receiving.control(views, now)) return;
    } else {
      const auto taken = receiving.second(views, now);
      if (!taken) return;
      require(*taken <= views.size());
      given += *taken;
    }
    got += receiving.out.size();
    require(got <= given && receiving.receiver.waiting() <= session::LaneReceiver::kMaxWaiting);
    receiving.out.clear();
    if (!receiving.receiver.on_tick(now)) return;
    require(receiving.receiver.waiting_since().has_value() ||
            (receiving.receiver.second_open() && receiving.receiver.waiting() == 0));
  }
}

void prefaces(Input input) {
  session::LaneSessions sessions;
  while (!input.empty()) {
    std::array<std::uint8_t, session::LanePreface::kSize> bytes{};
    bytes[0] = input.next() % 8 == 0 ? 2 : 1;
    bytes[1] = input.next() % 5;
    bytes[2] = input.next() % 4;
    bytes[4] = input.next();
    bytes[11] = input.next() % 16 == 0 ? 1 : 0;
    const auto preface = session::LanePreface::decode(bytes);
    if (!preface) continue;
    require(preface->encode() == bytes);
    const auto complete = sessions.on_preface(*preface, {});
    if (!complete) return;
    require(sessions.size() <= session::LaneSessions::kMaxSessions);
    if (input.next() % 2 == 0) sessions.on_end(preface->session_id);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const Input input(Bytes(data + 1, size - 1));
  switch (data[0] % 3) {
    case 0:
      ours_to_ours(input);
      break;
    case 1:
      theirs_to_ours(input);
      break;
    default:
      prefaces(input);
      break;
  }
  return 0;
}
