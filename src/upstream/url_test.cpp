#include "upstream/url.h"

#include <gmock/gmock.h>
#include <random>

#include <gtest/gtest.h>

namespace adit::upstream {
namespace {

using testing::HasSubstr;

// SV2 04 §4.7.1.
constexpr const char* kAuthority = "9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh";
const std::string kEndpoint(64, 'a');

std::string problem(std::string_view url) {
  const auto parsed = parse_url(url);
  if (parsed) return "parsed: " + to_url(*parsed);
  EXPECT_TRUE(parsed.error().is(net::Errc::kConfiguration)) << url;
  return parsed.error().message();
}

TEST(Url, EveryFormRoundTrips) {
  const std::vector<std::string> urls = {
      std::string("stratum2+tcp://pool.example.org:3333/") + kAuthority,
      "stratum2+tcp://127.0.0.1:3333",
      std::string("stratum2+tcp://[2001:db8::1]:3333/") + kAuthority,
      "stratum+tcp://10.0.0.2:3334",
      "stratum2+iroh://" + kEndpoint + "/" + kAuthority,
      "stratum2+iroh://" + kEndpoint + "/" + kAuthority +
          "?relay=https://relay.example.org:443/&addr=192.0.2.1:4433&addr=[2001:db8::1]:4433",
      "stratum2+iroh://" + kEndpoint + "?relay=http://localhost:3340/a%26b%3f&alpn=adit/sv2/1",
  };
  for (const auto& url : urls) {
    const auto parsed = parse_url(url);
    ASSERT_TRUE(parsed) << url << ": " << parsed.error().message();
    EXPECT_EQ(to_url(*parsed), url);
    EXPECT_EQ(parse_url(to_url(*parsed)), *parsed);
  }
}

TEST(Url, WhateverUpstreamIsPrintedParsesToItself) {
  std::mt19937_64 random(3);
  const auto pick = [&](std::string_view from, std::size_t least, std::size_t most) {
    std::string text;
    for (std::size_t i = least + random() % (most - least + 1); i > 0; --i) text += from[random() % from.size()];
    return text;
  };
  const auto port = [&] { return static_cast<std::uint16_t>(1 + random() % 65535); };
  for (int i = 0; i < 5000; ++i) {
    net::Peer upstream;
    if (random() % 2 == 0) {
      upstream.authority = noise::AuthorityKeyPair::generate(noise::system_random()).public_key();
    }
    switch (random() % 3) {
      case 0:
        upstream.transport = net::TcpConfig{"a" + pick("abcxyz0189-.", 0, 60), port()};
        break;
      case 1:
        upstream.transport = net::TcpConfig{"2001:db8::" + pick("0123456789abcdef", 1, 4), port()};
        break;
      default: {
        net::IrohConfig iroh;
        iroh.endpoint_id = pick("0123456789abcdef", 64, 64);
        // Any character that a URL cannot hold as it is must come back too.
        if (random() % 2 == 0) iroh.relay_url = "https://" + pick("abc.:/~%&=?#+ \"\xc3\xa4", 1, 40);
        for (auto count = random() % 4; count > 0; --count) {
          iroh.addrs.push_back(random() % 2 == 0
                                   ? std::to_string(random() % 256) + ".0.2." + std::to_string(random() % 256) + ":" +
                                         std::to_string(port())
                                   : "[2001:db8::" + pick("0123456789abcdef", 1, 4) + "]:" + std::to_string(port()));
        }
        if (random() % 3 == 0) iroh.alpn = pick("abc/1 %&", 1, 20);
        upstream.transport = std::move(iroh);
      }
    }
    const auto url = to_url(upstream);
    const auto parsed = parse_url(url);
    ASSERT_TRUE(parsed) << url << ": " << parsed.error().message();
    ASSERT_EQ(*parsed, upstream) << url;
    ASSERT_EQ(to_url(*parsed), url);
  }
}

TEST(Url, TheEndpointIdIsPrintedInLowerCase) {
  const auto parsed = parse_url("stratum2+iroh://" + std::string(64, 'A'));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(std::get<net::IrohConfig>(parsed->transport).endpoint_id, kEndpoint);
}

TEST(Url, CapitalsInTheSchemeAndASlashAtTheEndChangeNothing) {
  const std::string good = std::string("stratum2+tcp://pool.example.org:3333/") + kAuthority;
  for (const std::string& url : {std::string("STRATUM2+TCP://pool.example.org:3333/") + kAuthority, good + "/",
                                 std::string("Stratum2+Tcp://pool.example.org:3333/") + kAuthority + "/"}) {
    const auto parsed = parse_url(url);
    ASSERT_TRUE(parsed) << url << ": " << parsed.error().message();
    EXPECT_EQ(to_url(*parsed), good);
  }
  EXPECT_TRUE(parse_url("stratum+tcp://pool:1/"));
  EXPECT_TRUE(parse_url("stratum2+tcp://pool:1/"));
  EXPECT_THAT(problem(good + "//"), HasSubstr("authority key"));
}

TEST(Url, OneWithoutItsSchemeIsToldWhatIsMissing) {
  EXPECT_THAT(problem("pool.example.org:3333"),
              HasSubstr("'pool.example.org:3333' has no scheme; is it stratum2+tcp://pool.example.org:3333?"));
  EXPECT_THAT(problem(std::string("pool:1/") + kAuthority), HasSubstr("has no scheme"));
  EXPECT_THAT(problem("http://pool:1"), HasSubstr("unknown scheme"));
}

TEST(Url, ABadUrlNamesTheWrongPart) {
  EXPECT_THAT(problem(""), HasSubstr("unknown scheme"));
  EXPECT_THAT(problem("http://pool:3333"), HasSubstr("stratum2+tcp://HOST:PORT/AUTHORITY"));
  EXPECT_THAT(problem("stratum2+tcp://pool.example.org"), HasSubstr("no port"));
  EXPECT_THAT(problem("stratum2+tcp://pool.example.org:0"), HasSubstr("between 1 and 65535"));
  EXPECT_THAT(problem("stratum2+tcp://pool.example.org:65536"), HasSubstr("between 1 and 65535"));
  EXPECT_THAT(problem("stratum2+tcp://pool.example.org:33x"), HasSubstr("between 1 and 65535"));
  EXPECT_THAT(problem("stratum2+tcp://:3333"), HasSubstr("no host name"));
  EXPECT_THAT(problem("stratum2+tcp://2001:db8::1:3333"), HasSubstr("brackets"));
  EXPECT_THAT(problem("stratum2+tcp://[pool]:3333"), HasSubstr("no host name or IP address"));
  EXPECT_THAT(problem("stratum2+tcp://a b:3333"), HasSubstr("blank"));
  EXPECT_THAT(problem(std::string("stratum2+tcp://pool:1/") + kAuthority + "x"), HasSubstr("authority key"));
  EXPECT_THAT(problem("stratum2+tcp://pool:1/1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"), HasSubstr("authority key"));
  EXPECT_THAT(problem("stratum2+tcp://pool:1?relay=https://x"), HasSubstr("only stratum2+iroh://"));
  EXPECT_THAT(problem(std::string("stratum+tcp://pool:1/") + kAuthority), HasSubstr("Stratum V1 has no authority"));
  EXPECT_THAT(problem("stratum2+iroh://abcd"), HasSubstr("64 hex digits"));
  EXPECT_THAT(problem("stratum2+iroh://" + kEndpoint + "?relay=relay.example.org"), HasSubstr("https://"));
  EXPECT_THAT(problem("stratum2+iroh://" + kEndpoint + "?relay=https://a&relay=https://b"), HasSubstr("two relays"));
  EXPECT_THAT(problem("stratum2+iroh://" + kEndpoint + "?addr=pool.example.org:1"), HasSubstr("not a name"));
  EXPECT_THAT(problem("stratum2+iroh://" + kEndpoint + "?stun=1.2.3.4:1"), HasSubstr("unknown parameter 'stun'"));
  EXPECT_THAT(problem("stratum2+iroh://" + kEndpoint + "?relay="), HasSubstr("no value"));
  EXPECT_THAT(problem("stratum2+iroh://" + kEndpoint + "?relay=https://a%2"), HasSubstr("two hex digits"));
  EXPECT_THAT(problem("stratum2+iroh://" + kEndpoint + "#x"), HasSubstr("'#'"));
  // Found by the fuzzer: within the bound as it came, beyond it as it would be written back.
  EXPECT_THAT(problem("stratum2+iroh://" + kEndpoint + "?relay=https://" + std::string(2000, '!')),
              HasSubstr("once its parameters are percent-encoded"));
  EXPECT_THAT(problem(std::string(5000, 'a')), HasSubstr("longer than 4096"));
}

}  // namespace
}  // namespace adit::upstream
