#include "roles/miner/workers.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <set>

namespace adit::miner {
namespace {

using namespace std::chrono_literals;

HashWork easy_work(std::uint64_t id) {
  HashWork work;
  work.id = id;
  work.target_le.fill(0xff);
  work.target_le[31] = 0x00;  // one hash in 256
  return work;
}

struct Found {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Solution> solutions;

  void add(Solution solution) {
    const std::scoped_lock lock(mutex);
    solutions.push_back(solution);
    changed.notify_all();
  }
  bool wait_for(auto condition) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, 30s, [&] { return condition(solutions); });
  }
};

TEST(HashWorkers, ThreadsFindDifferentNoncesOfTheSameWork) {
  Found found;
  HashWorkers workers(2, [&](Solution solution) { found.add(solution); });
  workers.set_work(easy_work(7));
  ASSERT_TRUE(found.wait_for([](const auto& solutions) {
    bool low = false, high = false;
    for (const Solution& s : solutions) (s.nonce < 0x80000000U ? low : high) = true;
    return low && high;
  }));
  workers.pause();
  const std::scoped_lock lock(found.mutex);
  std::set<std::uint32_t> nonces;
  for (const Solution& s : found.solutions) {
    EXPECT_EQ(s.work_id, 7U);
    EXPECT_TRUE(nonces.insert(s.nonce).second) << "nonce " << s.nonce << " reported twice";
  }
}

TEST(HashWorkers, NewWorkReplacesTheOldAndHashesAreCounted) {
  Found found;
  HashWorkers workers(1, [&](Solution solution) { found.add(solution); });
  HashWork hopeless;
  hopeless.id = 1;
  workers.set_work(hopeless);
  workers.set_work(easy_work(2));
  ASSERT_TRUE(found.wait_for([](const auto& solutions) { return !solutions.empty(); }));
  EXPECT_GT(workers.hashes(), 0U);
  const std::scoped_lock lock(found.mutex);
  EXPECT_EQ(found.solutions.front().work_id, 2U);
}

}  // namespace
}  // namespace adit::miner
