#include "net/service.h"

#include <future>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace adit::net {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::UnorderedElementsAre;

/// Notes what its service does with it, and keeps a task running until it is cut off if it is told to.
class NotingPart final : public ServicePart {
 public:
  NotingPart(Shard& home, bool lingers) : ServicePart(home), lingers_(lingers) {}

  std::vector<std::string> calls;

 private:
  void begin() override {
    calls.emplace_back("begin");
    if (lingers_) task_.emplace(gate());
  }
  void drain(const session::ShutdownBehavior&) override { calls.emplace_back("drain"); }
  void cut_off() override {
    calls.emplace_back("cut off");
    task_.reset();
  }
  void finished() override { calls.emplace_back("finished"); }

  bool lingers_;
  std::optional<TaskGate::Token> task_;
};

class ServiceTest : public testing::Test {
 protected:
  void SetUp() override { shards_.start(); }
  void start(bool lingers = false) {
    service_.emplace(shards_);
    service_->start([lingers](Shard& shard) { return std::make_shared<NotingPart>(shard, lingers); });
  }
  [[nodiscard]] std::vector<std::string> calls_on(unsigned index) {
    const auto part = service_->on(shards_[index]);
    std::promise<std::vector<std::string>> calls;
    part->shard().post([&] { calls.set_value(part->calls); });
    return calls.get_future().get();
  }

  Shards shards_{2};
  std::optional<Service<NotingPart>> service_;
};

TEST_F(ServiceTest, EveryPartBeginsDrainsAndEnds) {
  start();
  EXPECT_THAT(service_->ask([](NotingPart& part) { return part.shard().index(); }), UnorderedElementsAre(0U, 1U));
  service_->stop({.deadline = 20s});
  service_->stop({.deadline = 20s});
  EXPECT_THAT(calls_on(0), ElementsAre("begin", "drain", "finished", "cut off"));
  EXPECT_THAT(calls_on(1), ElementsAre("begin", "drain", "finished", "cut off"));
}

TEST_F(ServiceTest, WhatStillRunsAtTheDeadlineIsCutOff) {
  start(/*lingers=*/true);
  service_->stop({.deadline = 0s});
  EXPECT_THAT(calls_on(0), ElementsAre("begin", "drain", "cut off", "finished"));
}

TEST_F(ServiceTest, AShardThatHangsIsLeftOutOfTheAnswersAndKeepsNoStopWaiting) {
  start();
  std::promise<void> release;
  std::promise<void> hangs;
  // The shard may wake only when this test's variables are gone.
  shards_[1].post([&hangs, released = release.get_future().share()] {
    hangs.set_value();
    released.wait();
  });
  hangs.get_future().wait();
  EXPECT_THAT(service_->ask([](NotingPart& part) { return part.shard().index(); }), ElementsAre(0U));
  service_->stop({.deadline = 0s});
  EXPECT_THAT(calls_on(0), ElementsAre("begin", "drain", "finished", "cut off"));
  service_.reset();
  release.set_value();
}

TEST_F(ServiceTest, ABroadcastIsDoneWhenEveryShardHasIt) {
  start();
  std::promise<void> release;
  auto released = release.get_future();
  shards_[1].post([&] { released.wait(); });
  std::atomic<int> given = 0;
  std::promise<int> done;
  service_->broadcast([&](NotingPart&) { ++given; }, shards_[0], [&] { done.set_value(given); });
  auto when = done.get_future();
  std::promise<void> passed;
  shards_[0].post([&] { passed.set_value(); });
  passed.get_future().wait();
  EXPECT_EQ(when.wait_for(0s), std::future_status::timeout) << "one shard has not had it yet";
  release.set_value();
  EXPECT_EQ(when.get(), 2);
  service_->stop({.deadline = 0s});
}

}  // namespace
}  // namespace adit::net
