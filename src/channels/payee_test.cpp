#include "channels/payee.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "bitcoin/merkle.h"
#include "channels/channel_testing.h"
#include "channels/extranonce.h"

namespace adit::channels {
namespace {

const std::string kAddress = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
const PayoutPolicy kPolicy{.pool_script = std::vector<std::uint8_t>(22, 0x14), .solo = true};

Payout payout(const std::string& identity) { return **kPolicy.decide(identity); }
bitcoin::Hash256 slow_root(const Job& job, Bytes extranonce) {
  return bitcoin::fold_merkle_path(bitcoin::sha256d(job.coinbase_with(extranonce)), job.block_template->merkle_path);
}

class PayeeTest : public ::testing::Test {
 protected:
  JobPtr job(std::uint8_t tip) { return *factory_.make(testing::make_template(++templates_, tip, testing::kHardBits, 3)); }

  JobFactory factory_ = testing::make_factory();
  std::uint64_t templates_ = 0;
  Payee payee_{payout("sri/donate/10/" + kAddress), kPolicy};
};

TEST_F(PayeeTest, ItsJobIsThePoolsButForWhomItPays) {
  const JobPtr ours = job(1);
  const Job& its = payee_.renew(*ours);
  EXPECT_EQ(its.id, ours->id);
  EXPECT_EQ(its.new_tip, ours->new_tip);
  EXPECT_EQ(its.ntime, ours->ntime);
  EXPECT_EQ(its.rules.prev_hash, ours->rules.prev_hash);
  EXPECT_EQ(its.block_template, ours->block_template);
  EXPECT_EQ(its.coinbase.prefix, ours->coinbase.prefix) << "also the salt, which no two jobs have in common";
  EXPECT_NE(its.coinbase.suffix, ours->coinbase.suffix);
  EXPECT_TRUE(check_payout(payee_.payout(), its.coinbase.prefix, kFullExtranonceSize, its.coinbase.suffix));
  EXPECT_FALSE(check_payout(payee_.payout(), ours->coinbase.prefix, kFullExtranonceSize, ours->coinbase.suffix));
  const std::array<std::uint8_t, kFullExtranonceSize> extranonce{1, 2, 3};
  EXPECT_EQ(its.merkle_root(extranonce), slow_root(its, extranonce));
}

TEST_F(PayeeTest, ACoinbaseIsMadeOnceForEachJob) {
  const JobPtr first = job(1);
  const Job& its = payee_.renew(*first);
  EXPECT_EQ(&payee_.renew(*first), &its);
  EXPECT_EQ(&payee_.job_of(*first), &its);
  EXPECT_EQ(its.id, first->id);
}

// Two shares are looked up before the first is judged: whatever jobs they name, both stay.
TEST_F(PayeeTest, TheLastTwoJobsAskedForAreThere) {
  std::vector<JobPtr> jobs;
  for (int i = 0; i < 5; ++i) jobs.push_back(job(1));
  payee_.renew(*jobs.back());
  for (std::size_t first = 0; first < jobs.size(); ++first) {
    for (std::size_t second = 0; second < jobs.size(); ++second) {
      const Job& one = payee_.job_of(*jobs[first]);
      const Job& two = payee_.job_of(*jobs[second]);
      EXPECT_EQ(one.id, jobs[first]->id) << first << ", " << second;
      EXPECT_EQ(two.id, jobs[second]->id) << first << ", " << second;
      EXPECT_EQ(one.coinbase.prefix, jobs[first]->coinbase.prefix);
      EXPECT_TRUE(check_payout(payee_.payout(), one.coinbase.prefix, kFullExtranonceSize, one.coinbase.suffix));
    }
  }
}

TEST_F(PayeeTest, TemplatesThatAreOverAreLetGoOf) {
  JobPtr first = job(1);
  JobPtr second = job(1);
  payee_.renew(*first);
  payee_.renew(*second);
  payee_.job_of(*first);  // A late share.
  const std::weak_ptr<const bitcoin::Template> templates[] = {first->block_template, second->block_template};
  const JobPtr third = job(2);
  payee_.renew(*third);
  first.reset();
  second.reset();
  EXPECT_TRUE(templates[0].expired());
  EXPECT_TRUE(templates[1].expired());
  EXPECT_EQ(payee_.job_of(*third).block_template, third->block_template);
}

}  // namespace
}  // namespace adit::channels
