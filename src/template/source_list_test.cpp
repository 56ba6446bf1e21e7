#include "template/source_list.h"

#include <gtest/gtest.h>

#include "template/template_store.h"
#include "template/test_sink.h"

namespace adit::templates {
namespace {

using namespace std::chrono_literals;
using test::Sink;
using State = SourceState;

/// Says what the test says, on the test's thread.
class Told final : public TemplateSource {
 public:
  explicit Told(std::string name) { status_.node = std::move(name); }

  Result<> start(SourceEvents events) override {
    if (refuses_to_start) return fail(Errc::kConfiguration, "no");
    events_ = std::move(events);
    return {};
  }
  Result<> submit(TemplateId id, BlockSolution) override {
    if (auto found = store_.find(id); !found) return fail(std::move(found.error()));
    submitted.push_back(id);
    return {};
  }
  void constrain(CoinbaseConstraints constraints) override { constrained = constraints; }
  void transactions(TemplateId id, std::function<void(Result<Transactions>)> done) override { store_.transactions(id, done); }
  [[nodiscard]] SourceStatus status() const override { return status_; }
  void stop() override { stopped = true; }

  // --- For the test.

  void becomes(State state, std::string message = "") {
    status_.state = state;
    status_.message = std::move(message);
    events_.on_status(status_);
  }
  /// As RpcSource does: ready first, then the template.
  TemplatePtr gives(std::uint32_t height, std::uint8_t tip, std::uint32_t nbits = 0x207fffff) {
    status_.height = height;
    if (status_.state != State::kReady) becomes(State::kReady);
    auto made = std::make_shared<Template>();
    made->id = events_.next_template_id();
    made->height = height;
    made->prev_hash[0] = tip;
    made->nbits = nbits;
    made->coinbase_value_sat = 1000 + tip;
    made->transactions = {{tip}};
    store_.add(made, true, Instant{});
    events_.on_template(made, true);
    return made;
  }

  bool refuses_to_start = false;
  bool stopped = false;
  std::vector<TemplateId> submitted;
  CoinbaseConstraints constrained;

 private:
  SourceEvents events_;
  SourceStatus status_;
  TemplateStore store_;
};

class SourceListTest : public ::testing::Test {
 protected:
  void make(std::size_t count) {
    std::vector<std::unique_ptr<TemplateSource>> sources;
    for (std::size_t i = 0; i < count; ++i) {
      auto one = std::make_unique<Told>(std::string(1, static_cast<char>('a' + i)));
      told.push_back(one.get());
      sources.push_back(std::move(one));
    }
    list = std::make_unique<SourceList>(std::move(sources));
  }
  void start(std::size_t count) {
    make(count);
    ASSERT_TRUE(list->start(sink.events()));
  }
  std::size_t published() { return sink.seen().templates.size(); }
  TemplatePtr last() { return sink.seen().templates.back().first; }
  bool last_is_new_tip() { return sink.seen().templates.back().second; }

  Sink sink;
  std::vector<Told*> told;
  std::unique_ptr<SourceList> list;
};

TEST_F(SourceListTest, TheFirstThatIsReadyGivesTheWorkAndABetterOneWhenItIsReadyAgain) {
  start(3);
  EXPECT_EQ(list->status().state, State::kStarting);
  const auto from_b = told[1]->gives(10, 1);
  EXPECT_EQ(last(), from_b) << "the first is not there yet";
  told[2]->gives(10, 1);
  EXPECT_EQ(published(), 1u);
  EXPECT_EQ(list->status().node, "b");
  const auto from_a = told[0]->gives(10, 1);
  EXPECT_EQ(last(), from_a);
  EXPECT_FALSE(last_is_new_tip()) << "the same tip";
  told[1]->gives(11, 2);
  EXPECT_EQ(last(), from_a);

  told[0]->becomes(State::kWaiting, "it is away");
  EXPECT_EQ(last()->height, 11u) << "the other's newest, at once";
  EXPECT_TRUE(last_is_new_tip());
  EXPECT_EQ(list->status().state, State::kReady);
  EXPECT_EQ(list->status().message, "templates come from b; a: it is away");
  const std::size_t before = published();
  told[0]->becomes(State::kReady);
  EXPECT_EQ(published(), before) << "it has no news yet";
  const auto again = told[0]->gives(11, 2);
  EXPECT_EQ(last(), again);
  EXPECT_FALSE(last_is_new_tip());
  EXPECT_EQ(list->status().message, "");
  EXPECT_EQ(list->status().templates, 4u);
}

TEST_F(SourceListTest, IdsAreOfTheWholeListAndASolutionGoesToWhoMadeTheTemplate) {
  start(2);
  const auto from_b = told[1]->gives(10, 1);
  const auto from_a = told[0]->gives(10, 1);
  EXPECT_NE(from_a->id, from_b->id);
  ASSERT_TRUE(list->submit(from_b->id, {}));
  ASSERT_TRUE(list->submit(from_a->id, {}));
  EXPECT_EQ(told[0]->submitted, std::vector<TemplateId>{from_a->id});
  EXPECT_EQ(told[1]->submitted, std::vector<TemplateId>{from_b->id});
  const auto unknown = list->submit(999, {});
  ASSERT_FALSE(unknown);
  EXPECT_TRUE(unknown.error().is(Errc::kUnknownTemplate));
  list->transactions(from_b->id, [](Result<TemplateSource::Transactions> answer) {
    ASSERT_TRUE(answer);
    EXPECT_EQ(**answer, (std::vector<std::vector<std::uint8_t>>{{1}}));
  });
  list->transactions(
      999, [](Result<TemplateSource::Transactions> answer) { EXPECT_TRUE(answer.error().is(Errc::kUnknownTemplate)); });
}

TEST_F(SourceListTest, ASourceThatIsTwoBlocksBehindIsNotMinedOn) {
  start(2);
  told[0]->gives(10, 1);
  told[1]->gives(11, 2);
  EXPECT_EQ(last()->height, 10u) << "one block may be a matter of seconds";
  told[1]->gives(12, 3);
  EXPECT_EQ(last()->height, 12u);
  EXPECT_EQ(list->status().message, "templates come from b; a: it is behind the others");
  told[0]->gives(10, 1);
  EXPECT_EQ(last()->height, 12u);
  told[0]->gives(12, 3);
  EXPECT_EQ(list->status().node, "a");
  EXPECT_EQ(list->status().message, "");
}

TEST_F(SourceListTest, WithoutAnySourceTheStatusSaysWhyOfEachAndSinceWhen) {
  start(2);
  told[0]->gives(10, 1);
  EXPECT_FALSE(list->status().not_ready_since);
  EXPECT_TRUE(list->status().template_at);
  told[1]->becomes(State::kMisconfigured, "wrong password");
  told[0]->becomes(State::kWaiting, "it is away");
  const SourceStatus status = list->status();
  EXPECT_EQ(status.state, State::kWaiting);
  EXPECT_EQ(status.message, "no node gives templates; a: it is away; b: wrong password");
  EXPECT_TRUE(status.not_ready_since);
  EXPECT_EQ(status.height, 10u) << "of what is mined on still";
  EXPECT_EQ(status.coinbase_value_sat, 1001u);
  EXPECT_EQ(status.nbits, 0x207fffffu);
  ASSERT_EQ(status.nodes.size(), 2u);
  EXPECT_EQ(status.nodes[1].name, "b");
  EXPECT_EQ(status.nodes[1].state, State::kMisconfigured);
  EXPECT_FALSE(status.nodes[0].in_use);
  told[0]->becomes(State::kMisconfigured, "wrong network");
  EXPECT_EQ(list->status().state, State::kMisconfigured);
  EXPECT_EQ(sink.seen().statuses.back().state, State::kMisconfigured);
}

TEST_F(SourceListTest, OneSourceAloneIsAsIfItWereNotInAList) {
  start(1);
  told[0]->becomes(State::kWaiting, "it is starting");
  EXPECT_EQ(list->status().message, "it is starting");
  told[0]->gives(10, 1);
  EXPECT_TRUE(last_is_new_tip());
  told[0]->gives(10, 1);
  EXPECT_FALSE(last_is_new_tip());
  told[0]->gives(10, 1, 0x1d00ffff);
  EXPECT_TRUE(last_is_new_tip()) << "other bits are told like a tip";
  std::vector<State> states;
  for (const auto& status : sink.seen().statuses) states.push_back(status.state);
  EXPECT_EQ(states, (std::vector<State>{State::kWaiting, State::kReady}));
}

TEST_F(SourceListTest, ConstraintsAndTheEndReachAllAndAFailedStartEndsTheOthers) {
  start(2);
  list->constrain({.max_additional_size = 100, .max_additional_sigops = 1});
  EXPECT_EQ(told[1]->constrained.max_additional_size, 100u);
  list->stop();
  EXPECT_TRUE(told[0]->stopped && told[1]->stopped);

  told.clear();
  make(2);
  told[1]->refuses_to_start = true;
  EXPECT_TRUE(list->start(sink.events()).error().is(Errc::kConfiguration));
  EXPECT_TRUE(told[0]->stopped);
}

TEST(TemplateStore, ATemplateIsFoundAsLongAsSomebodyHoldsItAndTheNewestForAWhile) {
  TemplateStore store;
  const auto make = [](TemplateId id) {
    auto made = std::make_shared<Template>();
    made->id = id;
    return made;
  };
  const TemplatePtr held = make(1);
  store.add(held, true, Instant{0s});
  store.add(make(2), true, Instant{1s});
  EXPECT_TRUE(store.find(2));
  for (TemplateId id = 3; id < 20; ++id) store.add(make(id), false, Instant{2s});
  EXPECT_EQ(*store.find(1), held) << "a job of it may still be valid";
  EXPECT_TRUE(store.find(2).error().is(Errc::kStaleTemplate));
  EXPECT_TRUE(store.find(11).error().is(Errc::kStaleTemplate)) << "bounded in number";
  EXPECT_TRUE(store.find(12));
  EXPECT_TRUE(store.find(20).error().is(Errc::kUnknownTemplate));
  EXPECT_TRUE(store.find(0).error().is(Errc::kUnknownTemplate));
  store.add(make(20), true, Instant{10s});
  store.add(make(21), false, Instant{20s});
  EXPECT_TRUE(store.find(19)) << "ten seconds after its tip";
  store.add(make(22), false, Instant{30s});
  EXPECT_TRUE(store.find(19).error().is(Errc::kStaleTemplate));
  EXPECT_TRUE(store.find(20));
}

}  // namespace
}  // namespace adit::templates
