// What a pool shows of its clients' workers (extension 0x0002), over sockets on both sides: miners in Stratum V2, whoever looks
// in HTTP.
#include <array>
#include <sstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "attack/newcomer.h"
#include "attack/peer.h"
#include "attack/pool.h"
#include "base/eventually_testing.h"
#include "monitor/exposition.h"
#include "monitor/server.h"
#include "roles/pool/metrics.h"

namespace adit::attack {
namespace {

using testing::HasSubstr;
using testing::Not;

class ShownWorkers : public ::testing::Test {
 protected:
  /// One shard, so that all clients have to share what there is room for.
  ShownWorkers() : pool_([](auto& options) { options.supported_extensions = {wire::kWorkerTracking}; }, 1) {
    auto started = monitor::Server::start({.address = {"127.0.0.1", 0}, .refresh = std::chrono::milliseconds(10)}, metrics_);
    EXPECT_TRUE(started);
    monitor_ = std::move(*started);
  }

  std::unique_ptr<Miner> miner(std::string user, std::string worker, bool extended = true) {
    auto miner = std::make_unique<Miner>(pool_.server->tcp_port(), authority());
    miner->worker = std::move(worker);
    EXPECT_EQ(miner->start(std::move(user), extended, 8), "");
    return miner;
  }

  /// The answer to a GET, header and all.
  std::string get(std::string_view path) {
    Peer browser(monitor_->port());
    const std::string request = "GET " + std::string(path) + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    EXPECT_TRUE(browser.send_raw(as_bytes(request)));
    return browser.rest();
  }

  /// The same, once `what` is in it: what is shown is a copy of a moment ago.
  std::string get_with(std::string_view path, std::string_view what) {
    std::string answer;
    EXPECT_TRUE(eventually([&] {
      answer = get(path);
      return answer.find(what) != std::string::npos;
    })) << path
        << " never has " << what << "; it has " << answer;
    return answer;
  }

  static std::size_t count(std::string_view text, std::string_view what) {
    std::size_t found = 0;
    for (auto at = text.find(what); at != std::string_view::npos; at = text.find(what, at + 1)) ++found;
    return found;
  }

  static double number_behind(const std::string& text, std::string_view what) {
    const auto at = text.find(what);
    if (at == std::string::npos) return -1;
    return std::stod(text.substr(at + what.size(), 40));
  }

  Pool pool_;
  pool::Metrics metrics_{*pool_.server};
  std::unique_ptr<monitor::Server> monitor_;
};

TEST_F(ShownWorkers, HaveTheirSharesWorkAndHashRateEach) {
  EXPECT_THAT(get("/api/v1/workers"), HasSubstr("{\"total\":0,\"workers\":[]}"));
  EXPECT_THAT(get("/metrics"), Not(HasSubstr("adit_worker")));
  const auto farm = miner("farm", "rig-1");
  for (int i = 0; i < 3; ++i) ASSERT_EQ(farm->submit(farm->mine()), "accepted");
  farm->worker = "rig-2";
  const auto share = farm->mine();
  ASSERT_EQ(farm->submit(share), "accepted");
  ASSERT_EQ(farm->submit(share), "duplicate-share");

  const std::string workers = get_with("/api/v1/workers", "\"shares_rejected\":1,");
  EXPECT_THAT(workers, HasSubstr("{\"total\":2,\"workers\":[{\"client_id\":1,\"worker\":\"rig-1\",\"hashrate_hps\":"));
  EXPECT_THAT(workers, HasSubstr("\"shares_accepted\":3,\"shares_rejected\":0,"));
  EXPECT_THAT(workers, HasSubstr("\"shares_accepted\":1,\"shares_rejected\":1,"));
  const std::string metrics = get_with("/metrics", "\nadit_worker_shares_rejected_total{worker=\"rig-2\"} 1\n");
  EXPECT_THAT(metrics, HasSubstr("\nadit_workers 2\n"));
  EXPECT_THAT(metrics, HasSubstr("\nadit_worker_shares_accepted_total{worker=\"rig-1\"} 3\n"));
  // Eight hashes a share.
  EXPECT_NEAR(number_behind(metrics, "\nadit_worker_share_work_total{worker=\"rig-1\"} "), 3 * 8 / 0x1p32, 1e-9);
  EXPECT_GT(number_behind(metrics, "\nadit_worker_hashrate{worker=\"rig-1\"} "), 0.0);
}

TEST_F(ShownWorkers, AClientThatNamesThousandsTakesNobodysPlaceAndForgesNothing) {
  const auto farm = miner("farm", "rig-1");
  ASSERT_EQ(farm->submit(farm->mine()), "accepted");
  const auto hostile = miner("hostile", "x\"} 1e9 \\");
  channels::Share unknown;
  unknown.job_id = 0x7fffffff;
  const std::array<std::uint8_t, channels::kRollableExtranonceSize> extranonce{};
  unknown.extranonce = Bytes(extranonce);
  EXPECT_EQ(hostile->submit(hostile->mine()), "accepted");
  for (int i = 0; i < 2000; ++i) {
    hostile->worker = "name-" + std::to_string(i);
    ASSERT_TRUE(hostile->send(hostile->mine())) << "only work makes a name known";
    if (i == 1000) {
      ASSERT_EQ(hostile->submit(hostile->mine()), "accepted") << "all before it were judged";
      EXPECT_EQ(newcomer_mines(pool_, 2), "");
      ASSERT_TRUE(hears_tip(*hostile, 2));
    }
  }
  for (const std::string_view bad : {std::string_view("a\nadit_workers 7"), std::string_view("\xff\xfe"),
                                     std::string_view("a name of more bytes than thirty-two")}) {
    hostile->worker = bad;
    EXPECT_EQ(hostile->submit(unknown), "invalid-job-id") << "all before it were judged";
  }

  // rig-1, the forger, two thousand, and nobody.
  const std::string workers = get_with("/api/v1/workers", "{\"total\":2003,");
  EXPECT_THAT(workers, HasSubstr("\"worker\":\"rig-1\""));
  EXPECT_THAT(workers, HasSubstr("\"worker\":\"x\\\"} 1e9 \\\\\""));
  EXPECT_EQ(count(workers, "\"worker\":"), mining::ListLimits().workers);
  const std::string metrics = get_with("/metrics", "\nadit_workers 2003\n");
  EXPECT_EQ(count(metrics, "\nadit_workers "), 1u);
  EXPECT_THAT(metrics, HasSubstr("\nadit_worker_shares_accepted_total{worker=\"rig-1\"} 1\n"));
  EXPECT_THAT(metrics, HasSubstr("\nadit_worker_hashrate{worker=\"")) << "work comes first, and names that have none behind it";
  EXPECT_LE(count(metrics, "\nadit_worker_hashrate{"), monitor::Exposition::Limits().workers.at_once);
  EXPECT_EQ(count(metrics, "1e9 \\\\\"}"), count(metrics, "worker=\"x\\\"} 1e9 \\\\\"} "));
}

TEST_F(ShownWorkers, AClientThatOpensThousandsOfChannelsTakesNobodysPlaceInWhatIsListed) {
  const auto hostile = miner("hostile", "");
  for (int i = 0; i < 4095; ++i) {
    wire::U256 easiest;
    easiest.fill(0xff);
    ASSERT_TRUE(hostile->peer.send(wire::OpenStandardMiningChannel{
        .user_identity = std::string_view("hostile"), .nominal_hash_rate = 1, .max_target = easiest}));
    if (i % 64 == 0 || i == 4094) {
      const auto last = static_cast<std::uint32_t>(i + 3);
      ASSERT_TRUE(hostile->until([&](const Frame& frame) {
        const auto opened = frame.view().as<wire::OpenStandardMiningChannelSuccess>();
        return opened && opened->channel_id == last;
      }));
      if (i == 2048) EXPECT_EQ(newcomer_mines(pool_, 2), "");
    }
  }
  const auto healthy = miner("healthy", "");
  EXPECT_EQ(healthy->submit(healthy->mine()), "accepted");
  const auto connections = pool_.server->connections();
  std::size_t listed = 0;
  for (const auto& connection : connections.listed) listed += connection.channels.size();
  EXPECT_EQ(listed, mining::ListLimits().channels);
  const std::string metrics = get_with("/metrics", "user_identity=\"healthy\"} 1\n");
  EXPECT_THAT(metrics, HasSubstr("\nsv2_client_channels{channel_type=\"standard\"} 4095\n")) << "counted all the same";
}

}  // namespace
}  // namespace adit::attack
