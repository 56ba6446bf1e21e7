// The commands around a configuration: `adit init` writes one, `adit url` shows what clients are given of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "cli/cli_testing.h"
#include "config/keys.h"
#include "net/udp.h"

namespace adit::cli {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kAddress = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
constexpr const char* kUrl =
    "stratum2+iroh://d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a/"
    "9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh?relay=https://relay.example.com";

class FirstFiles : public Cli {
 protected:
  // Without a home folder of the person who runs the test.
  [[nodiscard]] Ran run(const std::string& arguments, const std::string& environment = "") const {
    return adit(arguments, "cd " + folder_ + " && HOME=" + folder_ + " STATE_DIRECTORY= XDG_STATE_HOME= " + environment);
  }
  [[nodiscard]] std::string read(const std::string& name) const {
    std::ifstream file(folder_ + "/" + name);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
};

TEST_F(FirstFiles, WhatInitWritesPassesCheckForEachRole) {
  const std::string quoted = std::string("'") + kUrl + "'";
  const std::vector<std::pair<std::string, std::string>> roles = {
      {"pool", std::string("--address ") + kAddress + " --listen 127.0.0.1:0 --monitoring 127.0.0.1:0"},
      {"translator", "--url " + quoted + " --user farm --listen 127.0.0.1:29473 --monitoring 127.0.0.1:0 --hash-rate 1e12"},
      {"jd-client", "--pool-url " + quoted + " --user farm --node embedded --address " + kAddress},
      {"template", "--network regtest --listen 127.0.0.1:0 --relay off --monitoring 127.0.0.1:0"},
#ifdef ADIT_HAS_IROH
      {"relay", "--http 127.0.0.1:0 --https none"},
#endif
  };
  for (const auto& [role, options] : roles) {
    const Ran made = run("init " + role + " " + options + " --out " + role + ".toml");
    ASSERT_EQ(made.code, 0) << role << ": " << made.output;
    EXPECT_THAT(made.output, HasSubstr("adit check -c " + role + ".toml"));
    // It is asked for no port, and its usual ones may be in use here.
    const Ran checked =
        run("check " + role + ".toml", "JDC__LISTENING_ADDRESS=127.0.0.1:0 JDC__MONITORING_ADDRESS=127.0.0.1:0");
    EXPECT_EQ(checked.code, 0) << role;
    EXPECT_THAT(checked.output, HasSubstr("valid for `adit " + role + "`"));
#ifdef ADIT_HAS_IROH
    EXPECT_THAT(checked.output, AllOf(Not(HasSubstr("stops the start")), Not(HasSubstr("stop the start"))));
#else
    // But for the one thing that this build has not.
    EXPECT_THAT(checked.output, AnyOf(Not(HasSubstr("stops the start")),
                                      AllOf(HasSubstr("has no iroh"), HasSubstr("1 thing stops the start"))));
#endif
  }
  EXPECT_THAT(read("translator.toml"),
              AllOf(HasSubstr("min_individual_miner_hashrate = 1e12"), HasSubstr("relay = \"https://relay.example.com\"")));
}

TEST_F(FirstFiles, InitOverwritesNothing) {
  (void)write("pool-config.toml", "mine");
  const Ran ran = run(std::string("init pool --address ") + kAddress);
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.output, HasSubstr("pool-config.toml is there already, and is left as it is: name another file by --out"));
  EXPECT_EQ(read("pool-config.toml"), "mine");
}

TEST_F(FirstFiles, InitNamesTheOptionThatIsMissingAndTheAnswerThatIsWrong) {
  EXPECT_THAT(run("init pool").output, HasSubstr("--address is missing"));
  EXPECT_THAT(run("init translator --user x").output, HasSubstr("--url is missing"));
  EXPECT_THAT(run(std::string("init pool --relay ftp://x --address ") + kAddress).output,
              HasSubstr("a relay is off, none, n0"));
  EXPECT_THAT(run(std::string("init pool --node what --address ") + kAddress).output, HasSubstr("a node is embedded"));
  EXPECT_THAT(run("init template --network moon").output, HasSubstr("not \"moon\""));
  const Ran fast = run("init translator --hash-rate fast --user x --url stratum2+tcp://a:1");
  EXPECT_EQ(fast.code, 2);
  EXPECT_THAT(fast.output, HasSubstr("--hash-rate is a number of hashes per second, as 1e12 or 10_000.0, not \"fast\""));
  const Ran wrong = run("init translator --url stratum+tcp://a:1 --user x");
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.output, HasSubstr("nothing was written"));
  EXPECT_FALSE(fs::exists(folder_ + "/tproxy-config.toml"));
}

#ifdef ADIT_HAS_IROH
TEST_F(FirstFiles, ARelayReadsItsFileAndRefusesWhatIsWrongInIt) {
  const std::string file = write("relay.toml", "http = \"127.0.0.1:0\"\nmax-client = 3\n");
  const Ran ran = run("relay -c " + file);
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.output, AllOf(HasSubstr(file + ":2"), HasSubstr("max-clients")));
  EXPECT_EQ(run("check " + file).code, 2);
  EXPECT_THAT(run("check " + write("relay.toml", "https = \"0.0.0.0:443\"\n")).output, HasSubstr("cert-file"));
  EXPECT_THAT(run("relay -c " + folder_ + "/none.toml").output, HasSubstr("there is no such file"));
}

TEST_F(FirstFiles, WhatARelayNeedsForTlsMayComeFromOptionsAndFileTogether) {
  const std::string files = write("files.toml", "http = \"127.0.0.1:0\"\ncert-file = \"none.pem\"\nkey-file = \"none.key\"\n");
  EXPECT_EQ(run("check " + files).code, 0);
  // It goes as far as to the certificate, which is not there.
  const Ran both = run("relay --https 127.0.0.1:0 --quic 127.0.0.1:0 -c " + files);
  EXPECT_THAT(both.output, AllOf(HasSubstr("none.pem"), Not(HasSubstr("needs"))));
  const std::string https = write("https.toml", "http = \"127.0.0.1:0\"\nhttps = \"127.0.0.1:0\"\n");
  const Ran other = run("relay --cert-file none.pem --key-file none.key -c " + https);
  EXPECT_THAT(other.output, AllOf(HasSubstr("none.pem"), Not(HasSubstr("needs"))));
  for (const std::string& lacking :
       {run("relay -c " + https).output, run("relay --https 127.0.0.1:0").output, run("check " + https).output}) {
    EXPECT_THAT(lacking, AllOf(HasSubstr("`https` needs `cert-file`"), HasSubstr("`https` needs `key-file`")));
  }
  const Ran quic = run("relay --http 127.0.0.1:0 --quic 127.0.0.1:0");
  EXPECT_EQ(quic.code, 2);
  EXPECT_THAT(quic.output, HasSubstr("`quic` needs `https`"));
  const std::string lone = write("quic.toml", "\nquic = \"127.0.0.1:0\"\n");
  EXPECT_THAT(run("check " + lone).output, HasSubstr("quic.toml:2: `quic` needs `https`"));
}
#endif

TEST_F(FirstFiles, UrlShowsWhatTheKeysAndTheConfigurationSay) {
  ASSERT_EQ(
      run(std::string("init pool --address ") + kAddress + " --listen 127.0.0.1:3399 --relay https://relay.example.com").code,
      0);
  const Ran before = run("url");
  EXPECT_EQ(before.code, 0) << before.output;
  EXPECT_THAT(before.output, AllOf(HasSubstr("stratum2+tcp://127.0.0.1:3399/"), HasSubstr("stratum+tcp://127.0.0.1:3399"),
                                   HasSubstr("node.key is made at the first start")));
  const std::string key = folder_ + "/.local/state/adit/pool/node.key";
  fs::create_directories(fs::path(key).parent_path());
  const auto secret = config::generate_node_key();
  ASSERT_TRUE(config::write_node_key(key, secret, false));
  const Ran after = run("url -c pool-config.toml");
  EXPECT_THAT(after.output,
              AllOf(HasSubstr("stratum2+iroh://" + config::endpoint_id(secret) + "/"),
                    HasSubstr("relay=https://relay.example.com"), HasSubstr(":3399&"), HasSubstr("authority key")))
      << "the UDP port is the number of the TCP port";
}

TEST_F(FirstFiles, UrlWithoutAConfigurationSaysWhereItLooked) {
  const Ran ran = run("url");
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.output, HasSubstr("there is no configuration in this folder"));
}

}  // namespace
}  // namespace adit::cli
