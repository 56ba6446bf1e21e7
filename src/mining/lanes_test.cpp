// Lanes keep what matters of the one order: a session whose frames came over two lanes, with any delays, ends as one whose
// frames came over one stream in which each share and each job stood at the same moment of the server's time (docs/lanes.md
// §4).
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <random>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "channels/channel_testing.h"
#include "mining/server_session.h"
#include "session/lane_order.h"
#include "wire/messages.h"

namespace adit::mining {
namespace {

using channels::testing::kNow;
using channels::testing::kNtime;
using session::Lane;
using wire::FrameBuffer;
using wire::FrameView;

struct NoEvents final : ServerEvents {
  bool on_block_found(const ServerSession&, const BlockFound&) override { return false; }
};

/// Every hash is a share and none a block; the target never moves, so that vardiff has no say.
const ServerPolicy kPolicy{.channel = {.shares_per_minute = 6, .share_batch_size = 3, .min_hash_rate_hps = 1e-12}};

/// One server with one session, past its setup, with channels 2 and 3 (standard).
class World {
 public:
  explicit World(const std::vector<channels::JobPtr>& jobs) : jobs_(jobs) {
    shard_.set_job(jobs_[next_job_++]);
    FrameBuffer start;
    start.push(
        wire::SetupConnection{.protocol = std::to_underlying(wire::Protocol::kMining), .min_version = 2, .max_version = 2});
    for (std::uint32_t i = 0; i < 2; ++i) start.push(open(i));
    handle({start.begin(), start.end()});
    control_.clear();
    data_.clear();
  }

  static wire::OpenStandardMiningChannel open(std::uint32_t request_id) {
    return {.request_id = request_id,
            .user_identity = std::string_view("miner"),
            .nominal_hash_rate = 0,
            .max_target = bitcoin::U256::max().to_le()};
  }

  void handle(const std::vector<FrameView>& frames) {
    FrameBuffer out;
    const auto handled = side_.on_frames(frames, kNow, out);
    EXPECT_TRUE(handled) << handled.error().message();
    for (const FrameView& frame : out) {
      // Jobs and tips are the server's own doing, not an answer.
      if (frame.is<wire::NewMiningJob>() || frame.is<wire::SetNewPrevHash>()) continue;
      // A second RequestExtensions waits, and others of control may overtake it: its answers are an order of their own.
      const bool waited = frame.is<wire::RequestExtensionsSuccess>();
      auto& answers = waited ? waited_ : session::lane_rule(frame.header).lane == Lane::kControl ? control_ : data_;
      if (auto opened = frame.as<wire::OpenStandardMiningChannelSuccess>()) {
        opened->extranonce_prefix = {};  // any that nobody else has will do
        answers.push_back(wire::to_string(*opened));
      } else {
        answers.push_back(wire::to_string(frame));
      }
    }
  }

  void next_job() {
    if (next_job_ == jobs_.size()) return;
    shard_.set_job(jobs_[next_job_++]);
    FrameBuffer out;
    session_->on_job(out);
  }

  /// All that there is to compare: answers in the order given, each lane's by itself, the channels, the books.
  [[nodiscard]] std::vector<std::string> outcome() const {
    std::vector<std::string> all{"control"};
    all.insert(all.end(), control_.begin(), control_.end());
    all.emplace_back("waited");
    all.insert(all.end(), waited_.begin(), waited_.end());
    all.emplace_back("data");
    all.insert(all.end(), data_.begin(), data_.end());
    for (const auto& channel : session_->channels()) {
      std::string line = "channel " + std::to_string(channel.id()) + " accepted " + std::to_string(channel.stats().accepted);
      for (const auto count : channel.stats().rejected) line += " " + std::to_string(count);
      line += " unacknowledged " + std::to_string(channel.unacknowledged());
      all.push_back(line);
    }
    std::string books = "books " + std::to_string(shard_.counters().shares_accepted);
    for (const auto count : shard_.counters().shares_rejected) books += " " + std::to_string(count);
    all.push_back(books);
    return all;
  }

 private:
  const std::vector<channels::JobPtr>& jobs_;
  std::size_t next_job_ = 0;
  NoEvents events_;
  ServerShard shard_{kPolicy, {.server_id = 1}, events_};
  ServerSession* session_ = nullptr;  ///< Once it is set up.
  session::ServerOptions options_{.offers = {ServerSession::offer()}};
  session::ServerSide side_{options_,
                            {},
                            [this](const session::AcceptedSetup& setup) {
                              auto made = std::make_unique<ServerSession>(shard_, setup.flags, kNow.instant);
                              session_ = made.get();
                              return made;
                            },
                            kNow.instant};
  std::vector<std::string> control_;
  std::vector<std::string> waited_;
  std::vector<std::string> data_;
};

/// Jobs 1, 2, ... of which `new_tip(n)` begin a tip.
std::vector<channels::JobPtr> make_jobs(std::size_t count, const std::function<bool(std::size_t)>& new_tip) {
  auto factory = channels::testing::make_factory();
  std::vector<channels::JobPtr> jobs;
  std::uint8_t tip = 1;
  for (std::size_t i = 0; i < count; ++i) {
    if (i != 0 && new_tip(i)) ++tip;
    jobs.push_back(*factory.make(channels::testing::make_template(i + 1, tip)));
  }
  return jobs;
}

wire::SubmitSharesStandard share(std::uint32_t channel, std::uint32_t job, std::uint32_t sequence_number, std::uint32_t nonce) {
  return {.channel_id = channel,
          .sequence_number = sequence_number,
          .job_id = job,
          .nonce = nonce,
          .ntime = kNtime,
          .version = 0x20000000};
}

constexpr std::size_t kJob = static_cast<std::size_t>(-1);
/// What the server did, in its order: kJob, or the place of the client's frame in what was sent.
using History = std::vector<std::size_t>;

enum class Step { kControl, kData, kJob };

/// Sends `sent` over lanes to a world; `choose` says, of what can happen next, what does.
History over_lanes(World& world, const FrameBuffer& sent, std::size_t jobs,
                   const std::function<Step(const std::vector<Step>&)>& choose) {
  session::LaneSender sender(wire::Protocol::kMining);
  FrameBuffer control_bytes;
  FrameBuffer data_bytes;
  EXPECT_TRUE(sender.route(sent, control_bytes, data_bytes));
  const std::vector<FrameView> control(control_bytes.begin(), control_bytes.end());
  const std::vector<FrameView> data(data_bytes.begin(), data_bytes.end());
  std::vector<std::string> left;
  for (const FrameView& frame : sent) left.push_back(wire::to_string(frame));

  session::LaneReceiver receiver(wire::Protocol::kMining);
  History history;
  std::size_t c = 0;
  std::size_t d = 0;
  std::size_t jobs_left = jobs;
  for (;;) {
    std::vector<Step> possible;
    if (c < control.size()) possible.push_back(Step::kControl);
    if (d < data.size() && receiver.second_open()) possible.push_back(Step::kData);
    if (possible.empty() && (d < data.size() || receiver.waiting() != 0)) {
      ADD_FAILURE() << "the lanes wait for each other";
      return history;
    }
    if (jobs_left != 0) possible.push_back(Step::kJob);
    if (possible.empty()) return history;
    const Step step = choose(possible);
    if (step == Step::kJob) {
      --jobs_left;
      history.push_back(kJob);
      world.next_job();
      continue;
    }
    std::vector<FrameView> out;
    if (step == Step::kControl) {
      EXPECT_TRUE(receiver.on_control(std::span(control).subspan(c++, 1), kNow.instant, out));
    } else {
      const auto taken = receiver.on_second(std::span(data).subspan(d, 1), kNow.instant, out);
      EXPECT_TRUE(taken);
      d += *taken;
    }
    for (const FrameView& frame : out) {
      const auto at = std::ranges::find(left, wire::to_string(frame));
      history.push_back(static_cast<std::size_t>(at - left.begin()));
      *at = "handled";  // equal frames keep their order
    }
    world.handle(out);
  }
}

/// The same conversation over one stream: shares and jobs where they were, control frames that overtook put back behind the
/// shares sent before them.
void over_one_stream(World& world, const FrameBuffer& sent, const History& history) {
  const std::vector<FrameView> frames(sent.begin(), sent.end());
  std::size_t next = 0;
  std::vector<bool> handled(frames.size());
  const auto catch_up = [&] {
    while (next < frames.size() && handled[next]) world.handle({frames[next++]});
  };
  for (const std::size_t step : history) {
    if (step == kJob) {
      world.next_job();
    } else {
      handled[step] = true;
      catch_up();
    }
  }
  EXPECT_EQ(next, frames.size());
}

void expect_same(const FrameBuffer& sent, const std::vector<channels::JobPtr>& jobs,
                 const std::function<Step(const std::vector<Step>&)>& choose) {
  World lanes(jobs);
  const History history = over_lanes(lanes, sent, jobs.size() - 1, choose);
  World stream(jobs);
  over_one_stream(stream, sent, history);
  EXPECT_EQ(lanes.outcome(), stream.outcome());
}

TEST(PoolOverLanes, RandomConversationsEndAsOverOneStream) {
  std::mt19937 random(6);
  const auto below = [&](std::uint32_t bound) { return static_cast<std::uint32_t>(random() % bound); };
  for (int round = 0; round < 1500 && !testing::Test::HasFailure(); ++round) {
    const auto jobs = make_jobs(1 + below(6), [&](std::size_t) { return below(2) == 0; });
    FrameBuffer sent;
    const auto count = 1 + below(40);
    std::set<std::uint32_t> closed;
    for (std::uint32_t i = 0; i < count; ++i) {
      // A client says nothing on control of a channel that it has closed; shares it may have under way.
      std::uint32_t channel = 2 + below(2);
      if (closed.contains(channel)) channel = 99;
      switch (below(12)) {
        case 0:
          sent.push(World::open(100 + i));
          break;
        case 1:
          sent.push(wire::UpdateChannel{
              .channel_id = channel, .nominal_hash_rate = 0, .maximum_target = bitcoin::U256::max().to_le()});
          break;
        case 2:
          if (below(3) == 0 && closed.insert(channel).second) {
            sent.push(wire::CloseChannel{.channel_id = channel, .reason_code = std::string_view("done")});
          }
          break;
        case 3:
          sent.push(wire::SetCustomMiningJob{.channel_id = channel, .request_id = i});
          break;
        case 4: {
          const std::array<std::uint16_t, 1> asked{0x0001};
          sent.push(wire::RequestExtensions{.request_id = static_cast<std::uint16_t>(i), .requested_extensions = asked});
          break;
        }
        default:
          // Few nonces, so that there are duplicates.
          sent.push(share(2 + below(2), 1 + below(7), i, below(8)));
      }
    }
    std::uniform_real_distribution<double> unit(0, 1);
    const std::array<double, 3> weights{unit(random), unit(random), unit(random) / 4};
    expect_same(sent, jobs, [&](const std::vector<Step>& possible) {
      double total = 0;
      for (const Step step : possible) total += weights[static_cast<std::size_t>(step)];
      double at = unit(random) * total;
      for (const Step step : possible) {
        at -= weights[static_cast<std::size_t>(step)];
        if (at <= 0) return step;
      }
      return possible.back();
    });
  }
}

/// Every interleaving of `sent` and the jobs, by counting through the choices.
std::size_t every_interleaving(const FrameBuffer& sent, const std::vector<channels::JobPtr>& jobs) {
  std::vector<std::size_t> choices;  // which of the possible steps, one a turn
  std::vector<std::size_t> widths;
  std::size_t count = 0;
  for (;;) {
    std::size_t turn = 0;
    widths.clear();
    expect_same(sent, jobs, [&](const std::vector<Step>& possible) {
      if (turn == choices.size()) choices.push_back(0);
      widths.push_back(possible.size());
      return possible[choices[turn++]];
    });
    ++count;
    if (testing::Test::HasFailure()) return count;
    choices.resize(widths.size());
    while (!choices.empty() && choices.back() + 1 == widths[choices.size() - 1]) choices.pop_back();
    if (choices.empty()) return count;
    ++choices.back();
  }
}

TEST(PoolOverLanes, EveryInterleavingOfSharesATipAndAClosingChannelEndsAsOverOneStream) {
  const auto jobs = make_jobs(3, [](std::size_t i) { return i == 2; });
  FrameBuffer sent;
  sent.push(share(2, 1, 1, 1));
  sent.push(wire::CloseChannel{.channel_id = 2, .reason_code = std::string_view("done")});
  sent.push(share(3, 2, 2, 1));
  sent.push(share(2, 1, 3, 2));
  EXPECT_GT(every_interleaving(sent, jobs), 50u);
}

TEST(PoolOverLanes, EveryInterleavingOfOpensUpdatesAndDuplicatesEndsAsOverOneStream) {
  const auto jobs = make_jobs(2, [](std::size_t) { return true; });
  FrameBuffer sent;
  sent.push(share(2, 1, 1, 1));
  sent.push(World::open(9));
  sent.push(wire::UpdateChannel{.channel_id = 2, .nominal_hash_rate = 0, .maximum_target = bitcoin::U256::max().to_le()});
  sent.push(share(2, 1, 2, 1));  // the same share again
  sent.push(wire::SetCustomMiningJob{.channel_id = 2, .request_id = 1});
  sent.push(share(2, 2, 3, 1));
  EXPECT_GT(every_interleaving(sent, jobs), 100u);
}

}  // namespace
}  // namespace adit::mining
