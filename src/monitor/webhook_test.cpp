#include "monitor/webhook.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include <boost/asio/ssl.hpp>
#include <boost/json/parse.hpp>

#include "base/eventually_testing.h"
#include "base/temporary_folder_testing.h"
#include "log/log_testing.h"
#include "monitor/webhook_testing.h"

namespace adit::monitor {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using test::Receiver;
using testing::AllOf;
using testing::AnyOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

const Alert kAlert{
    .kind = AlertKind::kMinerGone, .about = "a\xff", .text = "the miner \"a\" is gone", .since = from_u32(1'800'000'000)};

WebhookConfig to(const std::string& url) {
  return {.url = url, .name = "pool on farm", .deadline = 20s, .retry_first = 1ms, .attempts = 3};
}

TEST(WebhookRequests, AreWhatEachReceiverTakes) {
  WebhookConfig config{.name = "pool on farm"};
  const auto json = boost::json::parse(webhook_request(config, kAlert).body);
  EXPECT_EQ(json.at("kind"), "miner_gone");
  EXPECT_EQ(json.at("role"), "pool on farm");
  EXPECT_EQ(json.at("since"), 1'800'000'000);
  EXPECT_EQ(json.at("over"), false);
  EXPECT_EQ(json.at("about"), "a\xef\xbf\xbd") << "what is no UTF-8 is mended";

  config.shape = WebhookShape::kNtfy;
  const WebhookRequest ntfy = webhook_request(config, kAlert);
  EXPECT_EQ(ntfy.body, kAlert.text);
  EXPECT_THAT(ntfy.headers,
              ElementsAre(std::pair("Title", "pool on farm: alert"), std::pair("Priority", "4"), std::pair("Tags", "warning")));

  config.shape = WebhookShape::kDiscord;
  Alert over = kAlert;
  over.over = true;
  EXPECT_EQ(boost::json::parse(webhook_request(config, over).body).at("content"),
            "pool on farm: over: the miner \"a\" is gone");

  EXPECT_EQ(boost::json::parse(webhook_request(config, over).body).at("allowed_mentions").at("parse").as_array().size(), 0u);

  config.shape = WebhookShape::kTelegram;
  config.chat_id = "-100123";
  const auto telegram = boost::json::parse(webhook_request(config, kAlert).body);
  EXPECT_EQ(telegram.at("chat_id"), "-100123");
  EXPECT_EQ(telegram.at("text"), "pool on farm: alert: the miner \"a\" is gone");

  Alert longest = kAlert;
  longest.text = std::string(1499, 'x') + "\xc3\xa4" + std::string(100'000, 'y');
  config.shape = WebhookShape::kDiscord;
  const auto content = boost::json::parse(webhook_request(config, longest).body).at("content").as_string();
  EXPECT_LT(content.size(), 2000u);
  EXPECT_TRUE(std::string(content).ends_with("x...")) << "no half character";
}

TEST(WebhookUrls, AreHttpOrHttpsWithAHost) {
  EXPECT_EQ(*webhook_host("https://example.com/secret"), "https://example.com:443");
  EXPECT_EQ(*webhook_host("http://[::1]:8080"), "http://::1:8080");
  EXPECT_EQ(*webhook_host("http://example.com?x=1"), "http://example.com:80");
  for (const char* const wrong :
       {"", "example.com", "ftp://example.com", "https://", "https://:443", "https://a:0/", "https://a:x/",
        "https://user:secret@example.com/", "https://exa mple.com/", "https://a/\r\nHost: b"})
    EXPECT_FALSE(webhook_host(wrong)) << wrong;
}

TEST(WebhookTest, PostsInOrderToThePath) {
  Receiver receiver({200});
  const auto webhook = *Webhook::start(to(receiver.url()));
  Alert other = kAlert;
  other.about = "b";
  webhook->send(kAlert);
  webhook->send(other);
  ASSERT_TRUE(receiver.wait_for(2));
  EXPECT_THAT(receiver.requests()[0], AllOf(testing::StartsWith("POST /a/b?c=d HTTP/1.1\r\nHost: " + receiver.host() + "\r\n"),
                                            HasSubstr("application/json")));
  EXPECT_THAT(receiver.requests()[1], HasSubstr("\"about\":\"b\""));
}

TEST(WebhookTest, TriesAgainWhatMayHelpAndGivesUpWhatCannot) {
  log::test::Captured log;
  Receiver receiver({500, 429, 200, 404, 200, 503});
  const auto webhook = *Webhook::start(to(receiver.url()));
  webhook->send(kAlert);
  ASSERT_TRUE(receiver.wait_for(3));
  webhook->send(kAlert);
  webhook->send(kAlert);
  ASSERT_TRUE(receiver.wait_for(5));
  webhook->send(kAlert);
  ASSERT_TRUE(receiver.wait_for(8));
  ASSERT_TRUE(eventually([&] { return webhook->counters().lost == 2; }));
  EXPECT_EQ(webhook->counters().taken, 2u);
  EXPECT_THAT(log.lines("monitor.alert_not_sent"),
              ElementsAre(AllOf(HasSubstr("it answered 404"), Not(HasSubstr("/a/b"))), HasSubstr("it answered 503")))
      << "the URL may hold a secret";
}

TEST(WebhookTest, AReceiverThatNeverAnswersHoldsUpNoEnd) {
  log::test::Captured log;
  Receiver receiver({0});
  auto webhook = *Webhook::start(to(receiver.url()));
  for (int i = 0; i < 300; ++i) webhook->send(kAlert);
  ASSERT_TRUE(receiver.wait_for(1));
  webhook.reset();
  const auto lines = log.lines("monitor.alert_not_sent");
  // The one under way may have been taken from the queue before or after it was full.
  EXPECT_THAT(lines.size(), AllOf(testing::Ge(200u), testing::Le(201u)));
  EXPECT_THAT(lines.back(), AnyOf(HasSubstr("101 that waited are given up"), HasSubstr("100 that waited are given up")))
      << "nothing is lost in silence";
}

TEST(WebhookTest, ADeadlineEndsARequest) {
  Receiver receiver({0});
  WebhookConfig config = to(receiver.url());
  config.deadline = 20ms;
  config.attempts = 1;
  log::test::Captured log;
  const auto webhook = *Webhook::start(config);
  webhook->send(kAlert);
  EXPECT_TRUE(eventually([&] { return webhook->counters().lost == 1; }));
  EXPECT_THAT(log.lines("monitor.alert_not_sent"), ElementsAre(HasSubstr("no answer in time")));
}

TEST(WebhookTest, ACertificateIsForItsHostAndOfSomebodyTrusted) {
  const TemporaryFolder folder;
  const std::string at = folder.path().string();
  const std::string made =
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost -addext "
      "subjectAltName=DNS:localhost -keyout " +
      at + "/key.pem -out " + at + "/cert.pem 2>/dev/null";
  ASSERT_EQ(std::system(made.c_str()), 0) << "openssl makes the certificate of this test";
  asio::ssl::context tls(asio::ssl::context::tls_server);
  tls.use_certificate_chain_file(at + "/cert.pem");
  tls.use_private_key_file(at + "/key.pem", asio::ssl::context::pem);
  Receiver receiver({200}, &tls);
  log::test::Captured log;
  WebhookConfig config = to(receiver.url("https", "localhost"));
  config.attempts = 1;
  {
    const auto webhook = *Webhook::start(config);
    webhook->send(kAlert);
    ASSERT_TRUE(eventually([&] { return webhook->counters().lost == 1; }));
  }
  EXPECT_TRUE(receiver.requests().empty());
  ::setenv("SSL_CERT_FILE", (at + "/cert.pem").c_str(), 1);
  {
    const auto trusting = *Webhook::start(config);
    trusting->send(kAlert);
    EXPECT_TRUE(receiver.wait_for(1));
    config.url = receiver.url("https", "127.0.0.1");
    const auto elsewhere = *Webhook::start(config);
    elsewhere->send(kAlert);
    EXPECT_TRUE(eventually([&] { return elsewhere->counters().lost == 1; }));
  }
  ::unsetenv("SSL_CERT_FILE");
  EXPECT_EQ(receiver.requests().size(), 1u);
  EXPECT_THAT(log.lines("monitor.alert_not_sent"), testing::Each(HasSubstr("its certificate was not accepted")));
}

}  // namespace
}  // namespace adit::monitor
