#include "session/lane_order.h"

#include <gtest/gtest.h>

#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "base/hex.h"
#include "session/lane_preface.h"
#include "wire/adit_messages.h"
#include "wire/messages.h"

namespace adit::session {
namespace {

using wire::FrameBuffer;
using wire::FrameView;

constexpr Instant kStart{};

wire::SubmitSharesStandard share(std::uint32_t sequence_number) {
  return {.channel_id = 2, .sequence_number = sequence_number, .job_id = 1, .nonce = 0, .ntime = 0, .version = 0};
}

wire::SetNewPrevHash tip(std::uint32_t job_id) {
  return {.channel_id = 1, .job_id = job_id, .prev_hash = {}, .min_ntime = 0, .nbits = 0};
}

wire::CloseChannel close_channel(std::uint32_t id) { return {.channel_id = id, .reason_code = std::string_view("done")}; }

std::vector<FrameView> views(const FrameBuffer& frames) { return {frames.begin(), frames.end()}; }

std::vector<std::string> names(const std::vector<FrameView>& frames) {
  std::vector<std::string> all;
  for (const auto& each : frames) all.push_back(wire::to_string(each));
  return all;
}

std::vector<std::string> names(const FrameBuffer& frames) {
  std::vector<std::string> all;
  for (const auto& each : frames) all.push_back(wire::to_string(each));
  return all;
}

struct Sent {
  FrameBuffer control;
  FrameBuffer second;
};

Sent route(const FrameBuffer& frames, wire::Protocol protocol = wire::Protocol::kMining) {
  LaneSender sender(protocol);
  Sent sent;
  EXPECT_TRUE(sender.route(frames, sent.control, sent.second));
  return sent;
}

TEST(LaneTable, EveryMessageOfTheWireLayerHasARowOfItsOwn) {
  std::size_t known = 0;
  wire::AllMessages::any([&]<class M>(std::type_identity<M>) {
    const wire::FrameHeader header{
        .extension_type = M::kExtension, .channel_message = M::kChannelMessage, .message_type = M::kType};
    const bool is_mark = std::is_same_v<M, wire::ControlMark> || std::is_same_v<M, wire::DataMark>;
    const bool has_row = !lane_rule(header).reason.starts_with("not known");
    EXPECT_EQ(has_row, !is_mark) << M::kName;
    ++known;
    return false;
  });
  EXPECT_GT(known, 40u);
}

TEST(LaneTable, SharesAndTheirAnswersAreData) {
  for (const int type : {0x1a, 0x1b, 0x1c, 0x1d}) {
    EXPECT_EQ(lane_rule({.message_type = static_cast<std::uint8_t>(type)}).lane, Lane::kData) << type;
  }
}

TEST(LaneTable, WhatIsUnknownIsControlAndWaits) {
  for (const wire::FrameHeader header : {wire::FrameHeader{.extension_type = 0x2222, .message_type = 0x1a},
                                         wire::FrameHeader{.extension_type = 0, .message_type = 0xee}}) {
    EXPECT_EQ(lane_rule(header).lane, Lane::kControl);
    EXPECT_TRUE(lane_rule(header).after_data);
  }
}

TEST(LaneSender, DataAfterNewControlCarriesOneMark) {
  FrameBuffer frames;
  frames.push(tip(1));
  frames.push(tip(2));
  frames.push(share(1));
  frames.push(share(2));
  frames.push(tip(3));
  frames.push(share(3));
  const Sent sent = route(frames);
  FrameBuffer expected;
  expected.push(wire::ControlMark{.control_frames = 2});
  expected.push(share(1));
  expected.push(share(2));
  expected.push(wire::ControlMark{.control_frames = 3});
  expected.push(share(3));
  EXPECT_EQ(names(sent.second), names(expected));
  EXPECT_EQ(views(sent.control).size(), 3u);
}

TEST(LaneSender, ControlThatMayNotOvertakeCarriesTheCountOfData) {
  FrameBuffer frames;
  frames.push(close_channel(1));  // nothing to wait for: no mark
  frames.push(share(1));
  frames.push(share(2));
  frames.push(close_channel(2));
  const Sent sent = route(frames);
  FrameBuffer expected;
  expected.push(close_channel(1));
  expected.push(wire::DataMark{.data_frames = 2});
  expected.push(close_channel(2));
  EXPECT_EQ(names(sent.control), names(expected));
}

TEST(LaneSender, AMessageWithoutALaneInTheSessionIsOurDefect) {
  FrameBuffer frames;
  frames.push(share(1));
  LaneSender sender(wire::Protocol::kTemplateDistribution);
  Sent sent;
  EXPECT_TRUE(sender.route(frames, sent.control, sent.second).error().is(Errc::kConfiguration));
}

TEST(LaneReceiver, DataWaitsForTheControlSentBeforeIt) {
  FrameBuffer frames;
  frames.push(tip(1));
  frames.push(tip(2));
  frames.push(share(1));
  const Sent sent = route(frames);
  const auto second = views(sent.second);
  const auto control = views(sent.control);

  LaneReceiver receiver(wire::Protocol::kMining);
  std::vector<FrameView> out;
  EXPECT_EQ(*receiver.on_second(second, kStart, out), 1u) << "the mark alone";
  EXPECT_TRUE(out.empty());
  EXPECT_FALSE(receiver.second_open());
  ASSERT_TRUE(receiver.on_control(std::span(control).first(1), kStart, out));
  EXPECT_FALSE(receiver.second_open());
  ASSERT_TRUE(receiver.on_control(std::span(control).last(1), kStart, out));
  EXPECT_TRUE(receiver.second_open());
  EXPECT_EQ(*receiver.on_second(std::span(second).subspan(1), kStart, out), 1u);
  EXPECT_EQ(names(out), names(frames));
}

TEST(LaneReceiver, ATipOvertakesDataAndAWaitingClose) {
  FrameBuffer frames;
  frames.push(share(1));
  frames.push(close_channel(2));
  frames.push(tip(1));
  const Sent sent = route(frames);
  LaneReceiver receiver(wire::Protocol::kMining);
  std::vector<FrameView> out;
  ASSERT_TRUE(receiver.on_control(views(sent.control), kStart, out));
  ASSERT_EQ(out.size(), 1u);
  EXPECT_TRUE(out[0].is<wire::SetNewPrevHash>());
  EXPECT_EQ(receiver.waiting(), 1u);
  out.clear();
  EXPECT_EQ(*receiver.on_second(views(sent.second), kStart, out), 1u);
  ASSERT_EQ(out.size(), 2u);
  EXPECT_TRUE(out[0].is<wire::SubmitSharesStandard>());
  EXPECT_EQ(wire::to_string(out[1]), wire::to_string(*++frames.begin())) << "from the copy";
}

// The count of control frames handled is not the count that a mark means: one waits, a later one was handled.
TEST(LaneReceiver, AMarkIsHeldAgainstControlWithoutGaps) {
  FrameBuffer frames;
  frames.push(share(1));
  frames.push(close_channel(2));  // waits for share 1
  frames.push(tip(1));            // overtakes
  const Sent sent = route(frames);
  LaneReceiver receiver(wire::Protocol::kMining);
  std::vector<FrameView> out;
  ASSERT_TRUE(receiver.on_control(views(sent.control), kStart, out));
  FrameBuffer forged;  // one control frame was handled (the tip), but the first was not
  forged.push(wire::ControlMark{.control_frames = 1});
  forged.push(share(2));
  EXPECT_EQ(*receiver.on_second(views(forged), kStart, out), 1u);
  EXPECT_FALSE(receiver.second_open());
}

TEST(LaneReceiver, AFrameOnTheWrongLaneEndsTheSession) {
  std::vector<FrameView> out;
  FrameBuffer frames;
  frames.push(share(1));
  EXPECT_TRUE(LaneReceiver(wire::Protocol::kMining).on_control(views(frames), kStart, out).error().is(Errc::kProtocol));
  EXPECT_TRUE(
      LaneReceiver(wire::Protocol::kTemplateDistribution).on_second(views(frames), kStart, out).error().is(Errc::kProtocol));
  FrameBuffer control;
  control.push(tip(1));
  EXPECT_TRUE(LaneReceiver(wire::Protocol::kMining).on_second(views(control), kStart, out).error().is(Errc::kProtocol));
  EXPECT_TRUE(out.empty());
}

TEST(LaneReceiver, MarksOnTheWrongLaneOrGoingBackEndTheSession) {
  std::vector<FrameView> out;
  const auto refused_control = [&](auto... messages) {
    FrameBuffer frames;
    (frames.push(messages), ...);
    LaneReceiver receiver(wire::Protocol::kMining);
    return !receiver.on_control(views(frames), kStart, out);
  };
  const auto refused_second = [&](auto... messages) {
    FrameBuffer frames;
    (frames.push(messages), ...);
    LaneReceiver receiver(wire::Protocol::kMining);
    FrameBuffer control;
    for (std::uint32_t i = 0; i < 9; ++i) control.push(tip(i));
    EXPECT_TRUE(receiver.on_control(views(control), kStart, out));
    return !receiver.on_second(views(frames), kStart, out);
  };
  EXPECT_TRUE(refused_control(wire::ControlMark{.control_frames = 1}));
  EXPECT_TRUE(refused_control(wire::DataMark{.data_frames = 1}, wire::DataMark{.data_frames = 2}));
  EXPECT_TRUE(refused_control(wire::DataMark{.data_frames = 2}, close_channel(2), wire::DataMark{.data_frames = 1}));
  EXPECT_FALSE(refused_control(wire::DataMark{.data_frames = 2}, close_channel(2), wire::DataMark{.data_frames = 2}));
  EXPECT_TRUE(refused_second(wire::DataMark{.data_frames = 1}));
  EXPECT_TRUE(refused_second(wire::ControlMark{.control_frames = 0}));
  EXPECT_TRUE(refused_second(wire::ControlMark{.control_frames = 2}, share(1), wire::ControlMark{.control_frames = 2}));
  EXPECT_FALSE(refused_second(wire::ControlMark{.control_frames = 2}, share(1), wire::ControlMark{.control_frames = 3}));
}

TEST(LaneReceiver, AForgedMarkEndsTheSessionAfterTheTimeAllowed) {
  for (const bool on_control : {true, false}) {
    LaneReceiver receiver(wire::Protocol::kMining);
    std::vector<FrameView> out;
    FrameBuffer frames;
    if (on_control) {
      frames.push(wire::DataMark{.data_frames = ~std::uint64_t{0}});
      frames.push(close_channel(2));
      ASSERT_TRUE(receiver.on_control(views(frames), kStart, out));
    } else {
      frames.push(wire::ControlMark{.control_frames = ~std::uint64_t{0}});
      ASSERT_TRUE(receiver.on_second(views(frames), kStart, out));
    }
    EXPECT_TRUE(receiver.on_tick(kStart + LaneReceiver::kMaxWait - std::chrono::milliseconds(1)));
    EXPECT_TRUE(receiver.on_tick(kStart + LaneReceiver::kMaxWait).error().is(Errc::kProtocol));
  }
}

TEST(LaneReceiver, WhatWaitsIsBoundedInNumberAndBytes) {
  std::vector<FrameView> out;
  FrameBuffer frames;
  frames.push(wire::DataMark{.data_frames = 1});
  frames.push(close_channel(2));
  LaneReceiver many(wire::Protocol::kMining);
  for (std::size_t i = 0; i < LaneReceiver::kMaxWaiting; ++i) ASSERT_TRUE(many.on_control(views(frames), kStart, out));
  EXPECT_TRUE(many.on_control(views(frames), kStart, out).error().is(Errc::kProtocol));

  FrameBuffer large;
  large.push(wire::DataMark{.data_frames = 1});
  const std::vector<std::uint8_t> payload(LaneReceiver::kMaxWaitingBytes, 7);
  large.push_raw({.extension_type = 0x2222, .message_type = 1}, payload);
  LaneReceiver bytes(wire::Protocol::kMining);
  EXPECT_TRUE(bytes.on_control(views(large), kStart, out).error().is(Errc::kProtocol));
  EXPECT_TRUE(out.empty());
}

/// What one stream would guarantee of two frames and lanes must too: everything but that control may overtake data.
void expect_lawful(const FrameBuffer& sent, const std::vector<std::size_t>& handled) {
  const auto frames = views(sent);
  std::vector<std::size_t> place(frames.size());
  for (std::size_t i = 0; i < handled.size(); ++i) place[handled[i]] = i;
  for (std::size_t a = 0; a < frames.size(); ++a) {
    for (std::size_t b = a + 1; b < frames.size(); ++b) {
      const LaneRule& first = lane_rule(frames[a].header);
      const LaneRule& later = lane_rule(frames[b].header);
      const bool control_over_data = later.lane == Lane::kControl && first.lane != Lane::kControl && !later.after_data;
      const bool control_over_waiting = later.lane == Lane::kControl && first.lane == Lane::kControl && first.after_data;
      if (control_over_data || control_over_waiting) continue;
      ASSERT_LT(place[a], place[b]) << wire::to_string(frames[a]) << " before " << wire::to_string(frames[b]);
    }
  }
}

/// Gives `control` and `second` to a receiver in turns as `control_next` says; the order in which frames were handled, by
/// their place in what was sent (each frame's text is unique).
template <class ControlNext>
std::vector<std::size_t> deliver(const FrameBuffer& frames, ControlNext control_next) {
  const Sent sent = route(frames);
  const auto control = views(sent.control);
  const auto second = views(sent.second);
  const auto texts = names(frames);
  std::vector<std::size_t> handled;
  LaneReceiver receiver(wire::Protocol::kMining);
  std::size_t c = 0;
  std::size_t s = 0;
  while (c < control.size() || s < second.size()) {
    const bool can_second = s < second.size() && receiver.second_open();
    const bool use_control = c < control.size() && (!can_second || control_next());
    if (!use_control && !can_second) {
      ADD_FAILURE() << "stuck at a mark";
      break;
    }
    std::vector<FrameView> out;
    if (use_control) {
      EXPECT_TRUE(receiver.on_control(std::span(control).subspan(c, 1), kStart, out));
      ++c;
    } else {
      const auto taken = receiver.on_second(std::span(second).subspan(s, 1), kStart, out);
      EXPECT_TRUE(taken);
      s += *taken;
    }
    for (const auto& text : names(out)) {
      handled.push_back(static_cast<std::size_t>(std::ranges::find(texts, text) - texts.begin()));
    }
  }
  EXPECT_EQ(handled.size(), texts.size());
  EXPECT_EQ(receiver.waiting(), 0u);
  return handled;
}

TEST(LaneOrder, RandomConversationsKeepEverythingThatMatters) {
  std::mt19937 random(4);
  for (int round = 0; round < 2000; ++round) {
    FrameBuffer frames;
    const auto count = 1 + random() % 40;
    for (std::uint32_t i = 0; i < count; ++i) {
      switch (random() % 6) {
        case 0:
          frames.push(tip(i));
          break;
        case 1:
          frames.push(close_channel(i));
          break;
        case 2: {
          const auto payload = std::array{static_cast<std::uint8_t>(i)};
          frames.push_raw({.extension_type = 0x2222, .message_type = static_cast<std::uint8_t>(i)}, payload);
          frames.push(wire::Ping{.nonce = i});
          break;
        }
        default:
          frames.push(share(i));
      }
    }
    std::bernoulli_distribution control_next(std::uniform_real_distribution(0.05, 0.95)(random));
    expect_lawful(frames, deliver(frames, [&] { return control_next(random); }));
    if (testing::Test::HasFailure()) return;
  }
}

TEST(LaneOrder, EveryInterleavingOfAShortConversationKeepsEverythingThatMatters) {
  FrameBuffer frames;
  frames.push(share(1));
  frames.push(tip(1));
  frames.push(close_channel(2));
  frames.push(share(2));
  frames.push(tip(2));
  frames.push(wire::Goodbye{});
  std::size_t interleavings = 0;
  for (std::uint32_t choices = 0; choices < 1u << 12; ++choices) {
    std::uint32_t left = choices;
    expect_lawful(frames, deliver(frames, [&] { return (std::exchange(left, left >> 1) & 1) != 0; }));
    ++interleavings;
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_EQ(interleavings, 4096u);
}

/// The example of docs/lanes.md §7, read from the page itself: lane and bytes of each line, "ff..ff (32)" written out.
std::vector<std::pair<std::string, std::string>> example_of_the_document() {
  std::ifstream page(ADIT_LANES_PAGE);
  std::vector<std::pair<std::string, std::string>> lines;
  bool inside = false;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("## 7")) inside = true;
    if (!inside || !(line.starts_with("control ") || line.starts_with("data "))) continue;
    std::istringstream words(line);
    std::string lane;
    words >> lane;
    std::string hex;
    for (std::string word; words >> word;) {
      if (word == "ff..ff") {
        for (int i = 0; i < 32; ++i) hex += "ff";
      } else if (word.size() == 2 && word.find_first_not_of("0123456789abcdef") == std::string::npos) {
        hex += word;
      } else if (word != "(32)") {
        break;
      }
    }
    lines.emplace_back(lane, hex);
  }
  return lines;
}

TEST(LaneExample, TheBytesOfTheDocument) {
  wire::UpdateChannel update{.channel_id = 2, .nominal_hash_rate = 1, .maximum_target = {}};
  update.maximum_target.fill(0xff);
  FrameBuffer frames;
  frames.push(update);
  frames.push(wire::SubmitSharesStandard{
      .channel_id = 2, .sequence_number = 1, .job_id = 7, .nonce = 0x12345678, .ntime = 0x60000000, .version = 0x20000000});
  frames.push(close_channel(2));
  const Sent sent = route(frames);
  std::string control = to_hex(LanePreface{.lane = Lane::kControl, .session_id = 1}.encode()) + to_hex(sent.control.bytes());
  std::string data = to_hex(LanePreface{.lane = Lane::kData, .session_id = 1}.encode()) + to_hex(sent.second.bytes());

  std::string control_on_page;
  std::string data_on_page;
  for (const auto& [lane, hex] : example_of_the_document()) (lane == "control" ? control_on_page : data_on_page) += hex;
  EXPECT_EQ(control, control_on_page);
  EXPECT_EQ(data, data_on_page);
}

}  // namespace
}  // namespace adit::session
