#include "template/embedded.h"

#include <gtest/gtest.h>

#include "template/test_sink.h"

namespace adit::templates {
namespace {

using test::Sink;

TEST(EmbeddedSource, PublishesATemplateAtOnceAndANewTipForEachBlock) {
  Sink sink;
  EmbeddedSource source({});
  EXPECT_EQ(source.status().state, SourceStatus::State::kStarting);
  ASSERT_TRUE(source.start(sink.events()));
  for (std::size_t found = 0; found < 5; ++found) {
    ASSERT_TRUE(sink.wait_for([&](const Sink::Seen& s) { return s.templates.size() == found + 1; }));
    const auto [work, new_tip] = sink.seen().templates.back();
    EXPECT_TRUE(new_tip);
    EXPECT_EQ(work->height, found + 1);
    EXPECT_EQ(work->id, found + 1);
    ASSERT_TRUE(source.submit(work->id, test::solution(*work)));
    ASSERT_TRUE(sink.wait_for([&](const Sink::Seen& s) { return s.results.size() == found + 1; }));
    EXPECT_EQ(sink.seen().results.back().verdict, BlockVerdict::kAccepted);
  }
  source.stop();
  const SourceStatus status = source.status();
  EXPECT_EQ(status.state, SourceStatus::State::kReady);
  EXPECT_EQ(status.height, 6u);
  EXPECT_EQ(status.blocks_accepted, 5u);
  EXPECT_EQ(status.blocks_unanswered, 0u);
  EXPECT_EQ(source.blocks().size(), 6u);
  EXPECT_EQ(source.blocks().back().coinbase_outputs[0].script, (std::vector<std::uint8_t>{0x51}));
}

TEST(EmbeddedSource, ABadBlockIsRejectedWithItsReasonAndChangesNothing) {
  Sink sink;
  EmbeddedSource source({});
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(sink.wait_for([](const Sink::Seen& s) { return s.templates.size() == 1; }));
  FoundBlock block = test::solve(*sink.seen().templates[0].first);
  block.bytes[40] ^= 1;  // In the merkle root; whether the work still holds is chance, either way it is refused.
  source.submit_block(block);
  ASSERT_TRUE(sink.wait_for([](const Sink::Seen& s) { return s.results.size() == 1; }));
  EXPECT_EQ(sink.seen().results[0].verdict, BlockVerdict::kRejected);
  EXPECT_FALSE(sink.seen().results[0].reason.empty());
  EXPECT_EQ(sink.seen().templates.size(), 1u);
  EXPECT_EQ(source.status().blocks_rejected, 1u);
}

TEST(EmbeddedSource, RefreshesItsTemplateWithoutANewTip) {
  Sink sink;
  EmbeddedSource source({.refresh_every = std::chrono::milliseconds(1)});
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(sink.wait_for([](const Sink::Seen& s) { return s.templates.size() >= 3; }));
  source.stop();
  const auto templates = sink.seen().templates;
  EXPECT_TRUE(templates[0].second);
  for (std::size_t i = 1; i < templates.size(); ++i) {
    EXPECT_FALSE(templates[i].second);
    EXPECT_EQ(templates[i].first->prev_hash, templates[0].first->prev_hash);
    EXPECT_GT(templates[i].first->id, templates[i - 1].first->id);
  }
}

TEST(EmbeddedSource, FindsNewTipsByItselfWhenToldTo) {
  Sink sink;
  EmbeddedSource source({.new_tip_every = std::chrono::milliseconds(1)});
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(sink.wait_for([](const Sink::Seen& s) { return s.templates.size() >= 4; }));
  source.stop();
  const auto templates = sink.seen().templates;
  for (std::size_t i = 0; i < templates.size(); ++i) {
    EXPECT_TRUE(templates[i].second);
    EXPECT_EQ(templates[i].first->height, i + 1);
  }
}

TEST(EmbeddedSource, RefusesAnNbitsThatCannotWork) {
  for (std::uint32_t nbits : {0u, 0x04923456u, 0xff123456u}) {
    EmbeddedSource source({.chain = {.nbits = nbits}});
    const auto started = source.start(Sink().events());
    ASSERT_FALSE(started);
    EXPECT_TRUE(started.error().is(Errc::kConfiguration));
  }
  EmbeddedSource hard({.chain = {.nbits = 0x1d00ffff}, .new_tip_every = std::chrono::seconds(5)});
  EXPECT_FALSE(hard.start(Sink().events()));
}

TEST(EmbeddedSource, CallsNobodyAfterStop) {
  Sink sink;
  EmbeddedSource source({.refresh_every = std::chrono::milliseconds(1), .new_tip_every = std::chrono::milliseconds(1)});
  ASSERT_TRUE(source.start(sink.events()));
  ASSERT_TRUE(sink.wait_for([](const Sink::Seen& s) { return s.templates.size() >= 2; }));
  source.stop();
  const std::size_t before = sink.seen().templates.size();
  source.submit_block({});
  source.stop();
  EXPECT_EQ(sink.seen().templates.size(), before);
}

}  // namespace
}  // namespace adit::templates
