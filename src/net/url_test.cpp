#include "net/url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace adit::net {
namespace {

using testing::HasSubstr;

// SV2 04 §4.7.1.
constexpr const char* kAuthority = "9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh";
const std::string kEndpoint(64, 'a');

std::string problem(std::string_view url) {
  const auto parsed = parse_url(url);
  if (parsed) return "parsed: " + to_url(*parsed);
  EXPECT_TRUE(parsed.error().is(Errc::kConfiguration)) << url;
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

TEST(Url, TheEndpointIdIsPrintedInLowerCase) {
  const auto parsed = parse_url("stratum2+iroh://" + std::string(64, 'A'));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(std::get<IrohConfig>(parsed->transport).endpoint_id, kEndpoint);
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
  EXPECT_THAT(problem(std::string(5000, 'a')), HasSubstr("longer than 4096"));
}

}  // namespace
}  // namespace adit::net
