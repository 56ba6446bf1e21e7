// Found blocks and the end of the pool's process: a real `adit pool` on a node whose templates have 4 MB is ended at random
// moments around a block, by SIGKILL and by SIGTERM, and started again. Every block whose share it answered reaches the node,
// after the restart at the latest. ADIT_SOAK_BLOCKS says how many endings a case does (20).
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <regex>
#include <set>
#include <sstream>
#include <thread>

#include <gtest/gtest.h>

#include "attack/peer.h"
#include "base/eventually_testing.h"
#include "base/temporary_folder_testing.h"
#include "config/keys.h"
#include "template/test_node.h"

namespace adit::soak {
namespace {

using namespace std::chrono_literals;
using bitcoin::Hash256;
using templates::Chain;
using templates::test::TestNode;

int endings() {
  const char* const asked = std::getenv("ADIT_SOAK_BLOCKS");  // NOLINT(concurrency-mt-unsafe): nothing sets variables
  return asked != nullptr ? std::max(1, std::atoi(asked)) : 20;
}

/// Transactions whose weight is nearly a block's, most of it witness: 3.9 MB.
void offer_transactions(Chain& chain, std::uint32_t round) {
  for (std::uint32_t n = 0; n < 395; ++n) {
    bitcoin::Transaction transaction;
    transaction.inputs.emplace_back();
    transaction.inputs[0].prev_txid[0] = 1;
    std::memcpy(&transaction.inputs[0].prev_txid[4], &round, sizeof round);
    transaction.inputs[0].prev_index = n;
    transaction.inputs[0].witness = {std::vector<std::uint8_t>(9'800, static_cast<std::uint8_t>(n))};
    transaction.outputs.push_back({1, {0x51}});
    ASSERT_TRUE(chain.add_transaction(bitcoin::serialize(transaction), 1));
  }
}

/// The embedded chain as a node with full templates, which tells what became of each block.
class Node {
 public:
  Node() {
    node_.with_chain([](Chain& chain) {
      offer_transactions(chain, 0);
      return 0;
    });
    node_.misbehave([this](const TestNode::Request& request) -> std::optional<std::string> {
      if (request.method != "submitblock") return std::nullopt;
      if (is_away) return "";
      std::this_thread::sleep_for(std::chrono::milliseconds(delay_ms.load()));
      const auto bytes = from_hex(std::string_view(request.params.at(0).as_string()));
      const auto block = bytes ? bitcoin::parse_block(*bytes) : bitcoin::parse_block({});
      if (!block) return templates::test::rpc_error(request.id, -22, "Block decode failed");
      const std::string reason = node_.with_chain([&](Chain& chain) {
        const auto judged = chain.submit(*bytes, now_from_system().unix_time);
        if (judged.verdict == ledger::BlockVerdict::kAccepted) offer_transactions(chain, ++rounds_);
        return judged.reason;
      });
      const std::lock_guard lock(mutex_);
      judged_[block->header.hash()] = reason;
      largest_ = std::max(largest_, bytes->size());
      return templates::test::rpc_result(request.id, reason.empty() ? boost::json::value(nullptr) : boost::json::value(reason));
    });
  }

  [[nodiscard]] std::uint16_t port() const { return node_.port(); }
  /// What it answered to that block; nullopt: it has not.
  [[nodiscard]] std::optional<std::string> judged(const Hash256& hash) {
    const std::lock_guard lock(mutex_);
    const auto found = judged_.find(hash);
    return found == judged_.end() ? std::nullopt : std::optional(found->second);
  }
  [[nodiscard]] std::size_t largest() {
    const std::lock_guard lock(mutex_);
    return largest_;
  }

  std::atomic<bool> is_away{false};  ///< Blocks get no answer, and are not looked at.
  std::atomic<int> delay_ms{0};      ///< Before a block is looked at.

 private:
  std::mutex mutex_;
  std::map<Hash256, std::string> judged_;
  std::size_t largest_ = 0;
  std::uint32_t rounds_ = 0;  ///< The chain's lock guards it.
  TestNode node_;
};

/// One `adit pool`.
class PoolProcess {
 public:
  PoolProcess(const std::string& config, std::string log) : log_(std::move(log)) {
    std::ofstream(log_, std::ios::trunc) << "";
    child_ = ::fork();
    if (child_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      const int out = ::open(log_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
      ::dup2(out, 1);
      ::dup2(out, 2);
      ::execl(ADIT_PROGRAM, ADIT_PROGRAM, "pool", "-c", config.c_str(), nullptr);
      ::_exit(127);
    }
  }
  ~PoolProcess() { end(SIGKILL); }
  PoolProcess(const PoolProcess&) = delete;
  PoolProcess& operator=(const PoolProcess&) = delete;

  void signal(int number) const {
    if (child_ > 0) ::kill(child_, number);
  }

  /// Waits for its end; the exit code, or nullopt if a signal ended it.
  std::optional<int> wait() {
    int status = 0;
    if (child_ > 0) ::waitpid(std::exchange(child_, -1), &status, 0);
    return WIFEXITED(status) ? std::optional(WEXITSTATUS(status)) : std::nullopt;
  }
  void end(int number) {
    if (child_ <= 0) return;
    signal(number);
    (void)wait();
  }

  [[nodiscard]] std::string log() const {
    std::ifstream file(log_);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }

  /// The port that it listens on, once it has work; 0 if it ended instead.
  std::uint16_t port() {
    std::uint16_t port = 0;
    const bool told = eventually([&] {
      const std::string text = log();
      static const std::regex kListening("pool\\.listening.* port=([0-9]+)");
      std::smatch found;
      if (std::regex_search(text, found, kListening)) port = static_cast<std::uint16_t>(std::stoi(found[1]));
      return port != 0 || ::waitpid(child_, nullptr, WNOHANG) != 0;
    });
    return told ? port : std::uint16_t{0};
  }

 private:
  std::string log_;
  pid_t child_ = -1;
};

class Soak : public ::testing::TestWithParam<int> {
 protected:
  Soak() {
    std::array<std::uint8_t, 32> bytes{};
    bytes.fill(7);
    const noise::Secret secret(bytes);
    authority_ = noise::AuthorityKeyPair::from_secret(secret.copy())->public_key();
    const std::string key = folder_.path() / "authority.key";
    EXPECT_TRUE(config::write_authority_key(key, secret, true));
    config_ = folder_.path() / "pool.toml";
    std::ofstream(config_) << "listen_address = \"127.0.0.1:0\"\n"
                           << "authority_secret_key_file = \"" << key << "\"\n"
                           << "coinbase_reward_script = "
                              "\"addr(bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry)\"\n"
                           << "data_dir = \"" << (folder_.path() / "data").string() << "\"\n"
                           << "share_batch_size = 1\nthreads = 1\n"
                           << "[template_provider_type.BitcoinRpc]\nnetwork = \"regtest\"\n"
                           << "url = \"http://127.0.0.1:" << node_.port() << "\"\nuser = \"soak\"\npassword = \"soak\"\n";
  }

  [[nodiscard]] std::string folder_of_blocks() const { return folder_.path() / "data" / "found-blocks"; }
  [[nodiscard]] std::size_t blocks_on_disk() const {
    std::error_code ignored;
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder_of_blocks(), ignored)) {
      count += entry.path().extension() == ".block" ? 1 : 0;
    }
    return count;
  }

  TemporaryFolder folder_;
  Node node_;
  noise::PublicKey authority_{};
  std::string config_;
};

TEST_P(Soak, EveryBlockWhoseShareWasAnsweredReachesTheNode) {
  std::mt19937 random(std::random_device{}());
  const auto any = [&random](int most) { return std::uniform_int_distribution<int>(0, most)(random); };
  const int signal_number = GetParam();
  const std::string log = folder_.path() / "pool.log";
  auto pool = std::make_unique<PoolProcess>(config_, log);
  std::size_t found = 0;
  std::size_t answered = 0;
  std::size_t after_restart = 0;
  for (int ending = 0; ending < endings(); ++ending) {
    const std::uint16_t port = pool->port();
    ASSERT_NE(port, 0) << pool->log();
    attack::Miner miner(port, authority_);
    ASSERT_EQ(miner.start("soak", any(1) == 0, 1), "") << pool->log();
    node_.is_away = any(2) == 0;
    node_.delay_ms = any(1) * any(100);
    std::map<std::uint32_t, Hash256> blocks;
    for (int count = 1 + any(2); count > 0; --count) {
      const channels::Share share = miner.mine();
      const channels::ClientJob& job = *miner.channel().current();
      blocks[share.sequence_number] =
          bitcoin::sha256d_header(channels::share_header(job.rules, share, job.merkle_root(share.extranonce)));
      ASSERT_TRUE(miner.send(share));
    }
    found += blocks.size();
    // At any moment, or around that of an answer.
    std::atomic<bool> heard{false};
    std::thread ends([&, at_answer = any(1) == 0, delay = std::chrono::microseconds(any(any(1) == 0 ? 20'000 : 300'000))] {
      if (at_answer) {
        for (int turn = 0; turn < 2000 && !heard; ++turn) std::this_thread::sleep_for(1ms);
        std::this_thread::sleep_for(delay / 10);
      } else {
        std::this_thread::sleep_for(delay);
      }
      pool->signal(signal_number);
    });
    std::set<Hash256> promised;
    miner.until([&](const attack::Frame& frame) {
      const auto success = frame.view().as<wire::SubmitSharesSuccess>();
      if (!success) return false;
      heard = true;
      for (const auto& [sequence, hash] : blocks) {
        if (sequence <= success->last_sequence_number) promised.insert(hash);
      }
      return false;
    });
    miner.peer.close();
    ends.join();
    const auto code = pool->wait();
    if (signal_number == SIGTERM) EXPECT_EQ(code, 0) << pool->log();
    answered += promised.size();
    const auto still_due = [&] {
      return static_cast<std::size_t>(
          std::ranges::count_if(promised, [&](const Hash256& hash) { return !node_.judged(hash); }));
    };
    after_restart += still_due();
    const std::string before = pool->log();

    node_.is_away = false;
    node_.delay_ms = 0;
    pool = std::make_unique<PoolProcess>(config_, log);
    ASSERT_TRUE(eventually([&] { return still_due() == 0; }))
        << "ending " << ending << ": " << still_due() << " of " << promised.size() << " blocks were lost; before:\n"
        << before << "after:\n"
        << pool->log();
    EXPECT_TRUE(eventually([&] { return blocks_on_disk() == 0; })) << pool->log();
  }
  std::printf(
      "%d endings by %s: %zu blocks found, %zu shares of them answered, %zu of these not at the node before the restart\n",
      endings(), signal_number == SIGKILL ? "SIGKILL" : "SIGTERM", found, answered, after_restart);
  EXPECT_GT(answered, 0u);
  EXPECT_GT(node_.largest(), 3'800'000u);
}

INSTANTIATE_TEST_SUITE_P(Signals, Soak, ::testing::Values(SIGKILL, SIGTERM),
                         [](const auto& info) { return info.param == SIGKILL ? "Kill" : "Term"; });

}  // namespace
}  // namespace adit::soak
