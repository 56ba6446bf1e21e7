// The program itself, as a shell runs it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include "base/file_lock.h"
#include "cli/cli_testing.h"
#include "cli/serve.h"
#include "config/keys.h"
#ifdef ADIT_HAS_IPC
#include "ipc/mock_node_testing.h"
#endif
#include "net/shards.h"
#include "net/tcp.h"
#include "roles/pool/config.h"
#include "roles/pool/server.h"
#include "roles/translator/config.h"
#include "template/embedded.h"
#include "upstream/url.h"

namespace adit::cli {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

TEST_F(Cli, VersionAndHelpSucceed) {
  EXPECT_EQ(adit("--version").code, 0);
  EXPECT_THAT(adit("--version").output, testing::StartsWith("adit "));
  const Ran help = adit("--help");
  EXPECT_EQ(help.code, 0);
  for (const char* command : {"pool", "translator", "miner", "load", "ping", "keys", "check", "demo"})
    EXPECT_THAT(help.output, HasSubstr(command));
}

TEST_F(Cli, WrongUseIsExitCode2) {
  EXPECT_EQ(adit("").code, 2);
  EXPECT_EQ(adit("pol").code, 2);
  EXPECT_EQ(adit("check").code, 2);
  EXPECT_EQ(adit("--log-level loud check -c x").code, 2);
  EXPECT_EQ(adit("keys").code, 2);
}

TEST_F(Cli, UnderTheNamesOfSrisProgramsItIsThatRole) {
  for (const auto& [name, role] : std::vector<std::pair<std::string, std::string>>{
           {"pool_sv2", "pool"}, {"translator_sv2", "translator"}, {"jd_client_sv2", "jd-client"}}) {
    fs::create_symlink(ADIT_PROGRAM, folder_ + "/" + name);
    const Ran missing = shell("timeout 60 " + folder_ + "/" + name + " -c " + folder_ + "/none.toml");
    EXPECT_EQ(missing.code, 2);
    EXPECT_THAT(missing.output, HasSubstr("none.toml"));
    EXPECT_THAT(shell(folder_ + "/" + name + " --help").output, HasSubstr("adit " + role + " [OPTIONS]"));
  }
}

constexpr const char* kAddress = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

TEST_F(Cli, SoloFindsTheNodeAndMakesAConfigurationOfIt) {
  net::Shards shards(1);
  shards.start();
  const auto node = net::TcpListener::bind(shards[0], {"127.0.0.1", 0});
  ASSERT_TRUE(node);
  const std::string port = std::to_string((*node)->port());
  fs::create_directories(folder_ + "/node/regtest");
  (void)write("node/regtest/.cookie", "__cookie__:0");
  const std::string options = std::string(kAddress) + " --data-dir " + folder_ + "/data --node-folder " + folder_ + "/node";
  const Ran printed = adit("solo " + options + " --rpc-port " + port + " --print-config");
  ASSERT_EQ(printed.code, 0) << printed.output;
  EXPECT_THAT(printed.output, AllOf(HasSubstr("[template_provider_type.BitcoinRpc]\nnetwork = \"regtest\""),
                                    HasSubstr("http://127.0.0.1:" + port), HasSubstr("pay_by_identity = false")));
  const auto loaded = pool::parse_config(printed.output, "printed", {});
  EXPECT_TRUE(loaded.may_start());
  for (const auto& finding : loaded.findings) ADD_FAILURE() << finding.message;
  EXPECT_THAT(adit("solo " + options + " --print-config --demo --by-user").output,
              AllOf(HasSubstr("[template_provider_type.Embedded]"), HasSubstr("pay_by_identity = true")));
}

TEST_F(Cli, SoloSaysWhatIsInItsWay) {
  const auto solo = [this](const std::string& address) {
    return adit("solo " + address + " --data-dir " + folder_ + "/data --node-folder " + folder_ + "/node --rpc-port 1");
  };
  const Ran nothing = solo(kAddress);
  EXPECT_EQ(nothing.code, 1);
  EXPECT_THAT(nothing.output, AllOf(HasSubstr("no Bitcoin node of regtest"), HasSubstr("none in " + folder_ + "/node"),
                                    HasSubstr("adit solo --demo ADDRESS")));
  fs::create_directories(folder_ + "/node/regtest");
  (void)write("node/regtest/.cookie", "__cookie__:0");
  EXPECT_THAT(solo(kAddress).output, HasSubstr("regtest/.cookie is there, but nothing answers on 127.0.0.1:1"));
  EXPECT_THAT(solo("tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx").output, HasSubstr("no Bitcoin node of testnet4 or signet"));
  const Ran mistyped = solo("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt081");
  EXPECT_EQ(mistyped.code, 2);
  EXPECT_THAT(mistyped.output, HasSubstr("checksum"));
  EXPECT_FALSE(fs::exists(folder_ + "/data")) << "nothing is left behind";
}

TEST_F(Cli, ATranslatorNeedsAnUrlAndANameInPlaceOfAFile) {
  const std::string url =
      "'stratum2+iroh://d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a/"
      "9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh?relay=https://relay.example.com'";
  const Ran printed = adit("translator " + url + " --user 'a \"b\"' --print-config");
  ASSERT_EQ(printed.code, 0) << printed.output;
  const auto loaded = translator::parse_config(printed.output, "printed", {});
  EXPECT_TRUE(loaded.may_start());
  EXPECT_THAT(printed.output, AllOf(HasSubstr("[iroh]\nrelay = \"https://relay.example.com"), HasSubstr("a \\\"b\\\"")));
  EXPECT_EQ(adit("translator " + url).code, 2) << "a name is missing";
  EXPECT_EQ(adit("translator " + url + " --user a -c file").code, 2) << "a file, too";
  EXPECT_EQ(adit("translator --print-config").code, 2);
}

TEST_F(Cli, ALoadNamesWhatItWasGivenWrongly) {
  EXPECT_THAT(adit("load http://127.0.0.1:1").output, HasSubstr("stratum2+tcp://"));
  EXPECT_EQ(adit("load http://127.0.0.1:1").code, 2);
  EXPECT_EQ(adit("load stratum2+tcp://127.0.0.1:1 --flood --rate 5").code, 2);
  const Ran nobody = adit("load stratum2+tcp://127.0.0.1:1 --connections 1");
  EXPECT_EQ(nobody.code, 1);
  EXPECT_THAT(nobody.output, HasSubstr("connection 1"));
}

TEST_F(Cli, APingShowsPathCertificateRoundTripsAndClocks) {
  net::Shards shards(1);
  shards.start();
  templates::EmbeddedSource chain{{}};
  const auto key = noise::AuthorityKeyPair::generate(noise::system_random());
  pool::ServerOptions options;
  options.listen = net::TcpConfig{"127.0.0.1", 0};
  options.authority_secret = key.secret().copy();
  options.jobs.payout_script = {0x51};
  std::optional<pool::PoolServer> server;
  server.emplace(shards, chain, std::move(options));
  ASSERT_TRUE(server->start());
  const net::TcpConfig at{"127.0.0.1", server->tcp_port()};
  const Ran good = adit("ping --count 2 " + upstream::to_url({.transport = at, .authority = key.public_key()}));
  EXPECT_EQ(good.code, 0) << good.output;
  EXPECT_THAT(good.output, AllOf(HasSubstr("tcp 127.0.0.1"), HasSubstr("direct"), HasSubstr(noise::to_text(key.public_key())),
                                 HasSubstr("proved, valid until "), HasSubstr("round trips   2, "),
                                 HasSubstr("the peer's agrees with ours")));
  const auto other = noise::AuthorityKeyPair::generate(noise::system_random()).public_key();
  const Ran impostor = adit("ping " + upstream::to_url({.transport = at, .authority = other}));
  EXPECT_EQ(impostor.code, 1);
  EXPECT_THAT(impostor.output, HasSubstr("authority"));
  server->stop(std::chrono::seconds(1));
  server.reset();
  shards.stop(std::chrono::seconds(1));
  const Ran nobody = adit("ping " + upstream::to_url({.transport = at, .authority = key.public_key()}));
  EXPECT_EQ(nobody.code, 1);
  EXPECT_THAT(nobody.output, HasSubstr("refused"));
}

TEST(QrCode, HasItsThreeFindersAndABorder) {
  const std::string code = cli::qr_code("stratum2+tcp://pool.example.org:3333");
  std::vector<std::string> rows;  // One character a module: '.' light, '#' dark.
  std::istringstream lines(code);
  for (std::string line; std::getline(lines, line);) {
    std::string above;
    std::string below;
    for (std::size_t i = 0; i < line.size(); i += line[i] == ' ' ? 1 : 3) {
      const auto block = line.substr(i, line[i] == ' ' ? 1 : 3);
      above += block == "\u2588" || block == "\u2580" ? '.' : '#';
      below += block == "\u2588" || block == "\u2584" ? '.' : '#';
    }
    rows.push_back(above);
    rows.push_back(below);
  }
  const std::size_t width = rows[0].size();
  const char* const finder[] = {"#######", "#.....#", "#.###.#", "#.###.#", "#.###.#", "#.....#", "#######"};
  for (std::size_t y = 0; y < 7; ++y) {
    EXPECT_EQ(rows[y + 2].substr(2, 7), finder[y]);
    EXPECT_EQ(rows[y + 2].substr(width - 9, 7), finder[y]);
    EXPECT_EQ(rows[width - 9 + y].substr(2, 7), finder[y]);
  }
  EXPECT_EQ(rows[0], std::string(width, '.'));
  EXPECT_TRUE(cli::qr_code(std::string(5000, 'x')).empty());
}

TEST_F(Cli, KeysAreWrittenForTheirOwnerOnlyAndShownByTheirPublicHalf) {
  const std::string file = folder_ + "/authority.key";
  const Ran made = adit("keys authority --out " + file);
  EXPECT_EQ(made.code, 0);
  struct stat info{};
  ASSERT_EQ(::stat(file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  const auto secret = config::read_secret_file(file);
  ASSERT_TRUE(secret.has_value());
  EXPECT_THAT(made.output, Not(HasSubstr(*secret)));
  const Ran shown = adit("keys show " + file);
  EXPECT_EQ(shown.code, 0);
  EXPECT_THAT(made.output, testing::StartsWith(shown.output));

  const std::string node = folder_ + "/node.key";
  EXPECT_EQ(adit("keys node --out " + node).code, 0);
  const auto key = config::read_node_key(node);
  ASSERT_TRUE(key.has_value());
  EXPECT_EQ(adit("keys show " + node).output, config::endpoint_id(*key) + "\n");
}

TEST_F(Cli, ATokenIsMadeAndNotShown) {
  const std::string file = folder_ + "/token";
  const Ran made = adit("keys token --out " + file);
  EXPECT_EQ(made.code, 0);
  ASSERT_TRUE(config::read_token(file).has_value());
  EXPECT_THAT(made.output, AllOf(HasSubstr("`monitoring_token_file`"), Not(HasSubstr(*config::read_secret_file(file)))));
  EXPECT_EQ(adit("keys token --out " + file).code, 1);
}

class QuietRole final : public monitor::Role {
 public:
  monitor::Snapshot snapshot() override { return {}; }
  monitor::Health health() override { return {.readiness = monitor::Readiness::kReady}; }
};

/// What a monitor of this machine answers to a request with `header`, a line of its own or nothing.
std::string ask_monitor(std::uint16_t port, const std::string& header) {
  boost::asio::io_context context;
  boost::asio::ip::tcp::socket socket(context);
  socket.connect({boost::asio::ip::make_address("127.0.0.1"), port});
  boost::asio::write(
      socket, boost::asio::buffer("GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + header + "\r\n"));
  std::string answer;
  boost::system::error_code end;
  boost::asio::read(socket, boost::asio::dynamic_buffer(answer), end);
  return answer;
}

TEST_F(Cli, AMonitorMakesItsTokenAndAsksForIt) {
  QuietRole role;
  const std::string file = folder_ + "/state/monitoring.token";
  config::MonitoringSettings settings{.address = net::TcpConfig{"0.0.0.0", 0}, .hosts = {}, .token_file = file};
  const auto without = start_monitor(settings, "pool", role, "");
  ASSERT_FALSE(without) << "a file that is named must be there";
  EXPECT_THAT(without.error().message(), HasSubstr("adit keys token --out " + file));
  settings.makes_token = true;
  const auto monitor = start_monitor(settings, "pool", role, "");
  ASSERT_TRUE(monitor) << monitor.error().message();
  const std::string token = *config::read_secret_file(file);
  const std::uint16_t port = (*monitor)->port();
  EXPECT_THAT(ask_monitor(port, ""), testing::StartsWith("HTTP/1.1 401 "));
  EXPECT_THAT(ask_monitor(port, "Authorization: Bearer " + token + "\r\n"), testing::StartsWith("HTTP/1.1 200 "));
}

// As SRI's tools write it for containers.
TEST_F(Cli, CheckTellsThatEverybodyReachesAMonitorAndWhereItsTokenWillBe) {
  const std::string file =
      write("translator.toml",
            "downstream_address = \"127.0.0.1\"\ndownstream_port = 0\nmonitoring_address = \"0.0.0.0:0\"\n"
            "data_dir = \"" +
                folder_ +
                "/state\"\n"
                "downstream_difficulty_config = {min_individual_miner_hashrate = 1e12}\n[[upstreams]]\nurl = "
                "\"stratum2+tcp://127.0.0.1:1\"\nuser_identity = \"a\"\n");
  const std::string token = folder_ + "/state/monitoring.token";
  const Ran checked = adit("check " + file);
  EXPECT_EQ(checked.code, 0);
  EXPECT_THAT(checked.output, AllOf(HasSubstr("`monitoring_address` 0.0.0.0 is neither loopback nor"), HasSubstr(token),
                                    HasSubstr("valid for `adit translator`; 1 warning")));
  EXPECT_FALSE(fs::exists(folder_ + "/state")) << "check makes nothing";
  (void)write("state", "");
  EXPECT_THAT(adit("check " + file).output,
              AllOf(HasSubstr("`data_dir`: " + folder_ + "/state cannot be"), HasSubstr("1 thing stops the start")));
  fs::remove(folder_ + "/state");
  fs::create_directory(folder_ + "/state");
  (void)write("state/monitoring.token", "short");
  fs::permissions(token, fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_THAT(adit("check " + file).output, HasSubstr("stops the start: " + token + " holds no token"));
}

TEST_F(Cli, AKeyFileIsReplacedOnlyByForce) {
  const std::string file = folder_ + "/node.key";
  ASSERT_EQ(adit("keys node --out " + file).code, 0);
  const std::string before = adit("keys show " + file).output;
  const Ran refused = adit("keys node --out " + file);
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.output, HasSubstr("exists already"));
  EXPECT_EQ(adit("keys show " + file).output, before);
  EXPECT_EQ(adit("keys node --force --out " + file).code, 0);
  EXPECT_NE(adit("keys show " + file).output, before);
}

TEST_F(Cli, CheckNamesFileAndLineOfEachFault) {
  const std::string file =
      write("pool.toml", "listn_address = \"127.0.0.1:1\"\nserver_id = 300\ncoinbase_reward_script = \"addr(x)\"\n");
  const Ran ran = adit("check -c " + file);
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.output, HasSubstr(file + ":1: unknown key `listn_address`; did you mean `listen_address`?\n"));
  EXPECT_THAT(ran.output, HasSubstr(file + ":2: `server_id` must be a whole number from 0 to 255, not 300\n"));
  EXPECT_THAT(ran.output, HasSubstr(file + ": not valid for `adit pool`\n"));
}

TEST_F(Cli, CheckSaysWhatStopsTheStart) {
  const std::string file =
      write("pool.toml", "listen_address = \"127.0.0.1:0\"\nauthority_secret_key_file = \"" + folder_ +
                             "/none\"\ncoinbase_reward_script = \"addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080)\"\n"
                             "[template_provider_type.Embedded]\n");
  const Ran checked = adit("check " + file);
  EXPECT_EQ(checked.code, 0);
  EXPECT_THAT(checked.output, HasSubstr("stops the start: " + folder_ + "/none does not exist"));
  EXPECT_THAT(checked.output, HasSubstr("valid for `adit pool`; 1 thing stops the start"));
  const Ran started = adit("pool -c " + file);
  EXPECT_EQ(started.code, 2);
  EXPECT_THAT(started.output, HasSubstr("adit keys authority --out " + folder_ + "/none"));
}

// Each line of `pool.toml` and `translator.toml` that stops the start, by check and by the start itself.
TEST_F(Cli, CheckFindsWhateverWouldStopTheStartOnThisMachine) {
  ASSERT_EQ(adit("keys authority --out " + folder_ + "/authority.key").code, 0);
  net::Shards shards(1);
  shards.start();
  const auto taken = net::TcpListener::bind(shards[0], {"127.0.0.1", 0}, std::chrono::seconds(10));
  ASSERT_TRUE(taken);
  const std::string in_use = "127.0.0.1:" + std::to_string((*taken)->port());
  (void)write("plain", "");
  const std::string plain = folder_ + "/plain";
  const std::string good =
      "authority_secret_key_file = \"" + folder_ +
      "/authority.key\"\ncoinbase_reward_script = \"addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080)\"\n";
  const std::string listen = "listen_address = \"127.0.0.1:0\"\n";
  const std::string data = "data_dir = \"" + folder_ + "/data\"\n";
  const std::string chain = "[template_provider_type.Embedded]\n";
  struct Row {
    std::string text;
    std::string wanted;
  };
  for (const Row& row : std::vector<Row>{
           {listen + data + chain, ""},
           {"listen_address = \"" + in_use + "\"\n" + data + chain, "`listen_address`: cannot listen on " + in_use},
           {"listen_address = \"pool.example:1\"\n" + data + chain, "the host must be an IP address of this machine"},
           {"listen_address = \"192.0.2.1:1\"\n" + data + chain, "this machine has no such address"},
           {listen + data + "monitoring_address = \"" + in_use + "\"\n" + chain, "`monitoring_address`"},
           {listen + data + "monitoring_address = \"127.0.0.1:0\"\nmonitoring_token_file = \"" + folder_ + "/none.token\"\n" +
                chain,
            folder_ + "/none.token does not exist; `adit keys token --out " + folder_ + "/none.token` makes one"},
           {listen + data + "monitoring_address = \"127.0.0.1:0\"\nmonitoring_token_file = \"" + plain + "\"\n" + chain,
            plain + " is open to others (mode 0644): chmod 600 " + plain},
           {listen + data + "monitoring_address = \"127.0.0.1:0\"\n" + chain + "[alerts]\nwebhook_file = \"" + folder_ +
                "/none.url\"\n",
            folder_ + "/none.url does not exist"},
           {listen + data + "monitoring_address = \"127.0.0.1:0\"\n" + chain + "[alerts]\nwebhook = \"https://\"\n",
            "a webhook's URL is http://HOST... or https://HOST..."},
           {listen + "data_dir = \"" + plain + "/data\"\n" + chain,
            "`data_dir`: " + plain + "/data cannot be made: Not a directory"},
           {listen + data + "log_file = \"" + folder_ + "/none/log\"\n" + chain,
            "`log_file`: " + folder_ + "/none/log does not exist"},
           {listen + data + "log_file = \"" + folder_ + "\"\n" + chain, "opened for appending: Is a directory"},
           {listen + data + chain + "nbits = \"ff123456\"\n", "stands for no target"},
           {listen + data + chain + "nbits = \"1d00ffff\"\ninterval = 5\n", "only on an easy nbits"},
#ifdef ADIT_HAS_IROH
           {listen + data + chain + "[iroh]\nsecret_key_file = \"" + folder_ + "/none.key\"\n",
            folder_ + "/none.key does not exist"},
           {listen + data + chain + "[iroh]\nbind_addresses = [\"192.0.2.1:1\"]\n", "cannot use UDP 192.0.2.1:1"},
           {listen + data + chain + "[iroh]\nrelay = \"https://r.example\"\nrelay_ca_file = \"" + folder_ + "/none.pem\"\n",
            "`relay_ca_file`: " + folder_ + "/none.pem does not exist"},
#endif
       }) {
    const std::string file = write("pool.toml", good + row.text);
    const Ran checked = adit("check " + file);
    EXPECT_EQ(checked.code, 0) << checked.output;
    EXPECT_FALSE(fs::exists(folder_ + "/data")) << "check makes nothing";
    if (row.wanted.empty()) {
      EXPECT_THAT(checked.output, EndsWith("valid for `adit pool`\n"));
      continue;
    }
    EXPECT_THAT(checked.output,
                AllOf(HasSubstr("stops the start: "), HasSubstr(row.wanted), HasSubstr("; 1 thing stops the start")));
    const Ran started = adit("pool -c " + file);
    EXPECT_THAT(started.code, testing::AnyOf(1, 2)) << row.text << started.output;
    fs::remove_all(folder_ + "/data");
  }
  const std::string two = write(
      "pool.toml", good + "listen_address = \"127.0.0.1:29471\"\nmonitoring_address = \"127.0.0.1:29471\"\n" + data + chain);
  EXPECT_THAT(adit("check " + two).output, HasSubstr("`monitoring_address`: cannot listen on 127.0.0.1:29471"));

  const std::string upstream =
      "downstream_difficulty_config = {min_individual_miner_hashrate = 1e12}\n[[upstreams]]\nurl = "
      "\"stratum2+tcp://127.0.0.1:1\"\nuser_identity = \"a\"\n";
  const auto translator = [&](const std::string& host, std::uint16_t port, const std::string& more) {
    return write("translator.toml",
                 "downstream_address = \"" + host + "\"\ndownstream_port = " + std::to_string(port) + "\n" + more + upstream);
  };
  EXPECT_THAT(adit("check " + translator("127.0.0.1", (*taken)->port(), "")).output,
              AllOf(HasSubstr("`downstream_address`: cannot listen on " + in_use), HasSubstr("1 thing stops the start")));
  EXPECT_THAT(adit("check " + translator("farm.example", 1, "")).output, HasSubstr("the host must be an IP address"));
  EXPECT_THAT(adit("check " + translator("127.0.0.1", 0, "log_file = \"" + plain + "/log\"\n")).output,
              HasSubstr("opened for appending: Not a directory"));
  EXPECT_THAT(adit("check " + translator("127.0.0.1", 0, "")).output, HasSubstr("valid for `adit translator`\n"));
  shards.stop(std::chrono::seconds(1));
}

TEST_F(Cli, CheckTellsThatAnotherPoolHasTheFolderAndThatTheCookieIsNotThereYet) {
  ASSERT_EQ(adit("keys authority --out " + folder_ + "/authority.key").code, 0);
  const std::string journal = folder_ + "/data/found-blocks";
  fs::create_directories(journal);
  const std::string file =
      write("pool.toml", "listen_address = \"127.0.0.1:0\"\nauthority_secret_key_file = \"" + folder_ +
                             "/authority.key\"\ncoinbase_reward_script = \"bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080\"\n"
                             "data_dir = \"" +
                             folder_ +
                             "/data\"\n[template_provider_type.BitcoinRpc]\nurl = \"http://127.0.0.1:1\"\n"
                             "network = \"regtest\"\ncookie_file = \"" +
                             folder_ + "/.cookie\"\n");
  const Ran alone = adit("check " + file);
  EXPECT_THAT(alone.output,
              AllOf(HasSubstr("the pool would wait for its node's cookie: " + folder_ + "/.cookie does not exist"),
                    HasSubstr("valid for `adit pool`; 1 warning")));
  const auto held = FileLock::take(journal);
  ASSERT_TRUE(held);
  EXPECT_THAT(adit("check " + file).output, HasSubstr("another process keeps its found blocks in " + journal));
}

// The log is rotated: SIGHUP ended the pool, without a Goodbye.
TEST_F(Cli, AHangUpOpensTheLogAnewAndWithoutALogItEndsThePoolInAnOrderlyManner) {
  ASSERT_EQ(adit("keys authority --out " + folder_ + "/authority.key").code, 0);
  const std::string file =
      write("pool.toml", "listen_address = \"127.0.0.1:0\"\nauthority_secret_key_file = \"" + folder_ +
                             "/authority.key\"\ncoinbase_reward_script = \"bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080\"\n"
                             "data_dir = \"" +
                             folder_ + "/data\"\n[template_provider_type.Embedded]\n");
  const auto shell = [&](const std::string& text) {
    const std::string script =
        write("run.sh", "cd " + folder_ + "\nADIT=" ADIT_PROGRAM "\nCONFIG=" + file +
                            "\nwait_for() { until grep -q \"$1\" $2 2>/dev/null; do sleep 0.05; done; }\n" + text);
    return WEXITSTATUS(std::system(("timeout 60 sh " + script + " </dev/null").c_str()));  // NOLINT(concurrency-mt-unsafe)
  };
  EXPECT_EQ(shell("$ADIT pool -c $CONFIG -f log >out 2>&1 &\np=$!\nwait_for pool.listening log\nmv log log.1\nkill -HUP $p\n"
                  "wait_for log.reopened log\nkill -TERM $p\nwait $p\ncode=$?\nwait_for pool.stopping log\nexit $code\n"),
            0);
  EXPECT_EQ(shell("$ADIT pool -c $CONFIG >plain 2>&1 &\np=$!\nwait_for pool.listening plain\nkill -HUP $p\nwait $p\ncode=$?\n"
                  "wait_for pool.stopping plain\nexit $code\n"),
            0);
  EXPECT_EQ(
      shell("nohup $ADIT pool -c $CONFIG >ignored 2>&1 &\np=$!\nwait_for pool.listening ignored\nkill -HUP $p\nsleep 0.3\n"
            "kill -TERM $p || exit 9\nwait $p\n"),
      0)
      << "whoever started it with hang-ups ignored meant that";
}

#ifdef ADIT_HAS_IPC
TEST_F(Cli, CheckLooksWhetherTheNodesSocketCanBeUsed) {
  ASSERT_EQ(adit("keys authority --out " + folder_ + "/authority.key").code, 0);
  const std::string socket = folder_ + "/node.sock";
  const std::string file =
      write("pool.toml", "listen_address = \"127.0.0.1:0\"\nauthority_secret_key_file = \"" + folder_ +
                             "/authority.key\"\ncoinbase_reward_script = "
                             "\"addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080)\"\n"
                             "[template_provider_type.BitcoinCoreIpc]\nnetwork = \"regtest\"\nsocket = \"" +
                             socket + "\"\n");
  const Ran away = adit("check " + file);
  EXPECT_EQ(away.code, 0);
  EXPECT_THAT(away.output, HasSubstr("there is no IPC socket " + socket));
  EXPECT_THAT(away.output, HasSubstr("the pool would wait for its node: "));
  EXPECT_THAT(away.output, HasSubstr("valid for `adit pool`; 1 warning"));
  {
    const ipc::MockNode node({.path = socket});
    const Ran there = adit("check " + file);
    EXPECT_EQ(there.code, 0);
    EXPECT_THAT(there.output, HasSubstr("valid for `adit pool`\n"));
  }
  (void)write("node.sock", "not a socket");
  const Ran no_socket = adit("check " + file);
  EXPECT_EQ(no_socket.code, 0);
  EXPECT_THAT(no_socket.output, HasSubstr("is not a socket"));
  EXPECT_THAT(no_socket.output, HasSubstr("1 thing stops the start"));
}

TEST_F(Cli, PingTellsWhatANodeSaysByIpc) {
  const std::string socket = folder_ + "/node.sock";
  const Ran away = adit("ping unix:" + socket);
  EXPECT_EQ(away.code, 1);
  EXPECT_THAT(away.output, HasSubstr("there is no IPC socket " + socket));
  {
    ipc::MockNode node({.path = socket});
    node.set_tip({9}, 500);
    const Ran there = adit("ping unix:" + socket + " --count 2");
    EXPECT_EQ(there.code, 0) << there.output;
    EXPECT_THAT(there.output, HasSubstr("Bitcoin Core 31.99 or later"));
    EXPECT_THAT(there.output, HasSubstr("regtest, block 500 of 500"));
    EXPECT_THAT(there.output, HasSubstr("for block 501, 5000000000 sat"));
    EXPECT_THAT(there.output, HasSubstr("transactions  0, "));
    EXPECT_THAT(there.output, HasSubstr("agrees with ours"));
    EXPECT_THAT(there.output, HasSubstr("round trips   2, "));
  }
  const ipc::MockNode old({.path = socket, .release = ipc::MockNode::Release::k30});
  const Ran refused = adit("ping unix:" + socket);
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.output, HasSubstr("Bitcoin Core 31 or later"));
}
#endif

TEST_F(Cli, CheckOfWhatIsNoConfigurationSaysSo) {
  EXPECT_THAT(adit("check -c " + folder_ + "/none.toml").output, HasSubstr("there is no such file"));
  EXPECT_EQ(adit("check -c " + folder_ + "/none.toml").code, 2);
  const std::string broken = write("broken.toml", "a = \n");
  EXPECT_THAT(adit("check -c " + broken).output, HasSubstr(broken + ":1: this is not TOML"));
  const std::string unclear = write("unclear.toml", "threads = 1\n");
  EXPECT_THAT(adit("check -c " + unclear).output, HasSubstr("--role"));
  EXPECT_EQ(adit("check -c " + unclear).code, 2);
}

TEST_F(Cli, CheckSeesTheEnvironmentAsTheRoleWould) {
  const std::string file = write("pool.toml",
                                 "listen_address = \"127.0.0.1:0\"\nauthority_secret_key_file = \"x\"\n"
                                 "coinbase_reward_script = \"addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080)\"\n"
                                 "[template_provider_type.Embedded]\n");
  const Ran ran = adit("check -c " + file, "POOL__SERVER_ID=many");
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.output, HasSubstr("environment variable POOL__SERVER_ID: `server_id` must be"));
}

// Each role's file has keys that no other one's has, or less of them.
TEST_F(Cli, CheckTellsATemplateProvidersFileFromAPools) {
  ASSERT_EQ(adit("keys authority --out " + folder_ + "/authority.key").code, 0);
  const std::string common = "listen_address = \"127.0.0.1:0\"\ndata_dir = \"" + folder_ +
                             "/data\"\nauthority_secret_key_file = \"" + folder_ + "/authority.key\"\n";
  const std::string source = "[template_provider_type.Sv2Tp]\naddress = \"127.0.0.1:8442\"\n";
  EXPECT_THAT(adit("check " + write("template.toml", common + source)).output, HasSubstr("valid for `adit template`\n"));
  const std::string pool = common + "coinbase_reward_script = \"addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080)\"\n";
  EXPECT_THAT(adit("check " + write("pool.toml", pool + source)).output, HasSubstr("valid for `adit pool`\n"));
  const Ran other = adit("check --role template " + folder_ + "/pool.toml");
  EXPECT_EQ(other.code, 2);
  EXPECT_THAT(other.output, HasSubstr("not valid for `adit template`"));
}

TEST_F(Cli, OurExamplesAreValid) {
  int files = 0;
  for (const auto& entry : fs::directory_iterator(ADIT_SOURCE_DIR "/config")) {
    if (entry.path().extension() != ".toml") continue;
#ifndef ADIT_HAS_IROH
    if (entry.path().filename() == "relay.toml") continue;
#endif
    const Ran ran = adit("check -c " + entry.path().string());
    EXPECT_EQ(ran.code, 0) << ran.output;
    EXPECT_THAT(ran.output, Not(HasSubstr("not here yet"))) << entry.path();
    ++files;
  }
  EXPECT_GE(files, 3);
}

}  // namespace
}  // namespace adit::cli
