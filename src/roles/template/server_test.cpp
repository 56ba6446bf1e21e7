#include "roles/template/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <future>
#include <memory>
#include <optional>

#include "template/embedded.h"
#include "template/sv2_source.h"
#include "template/test_sink.h"

namespace adit::provider {
namespace {

using templates::BlockVerdict;
using templates::test::Sink;
using testing::SizeIs;

noise::Secret authority_secret() {
  std::array<std::uint8_t, 32> bytes{};
  bytes.back() = 7;
  return noise::Secret(bytes);
}

/// A provider on an embedded chain, and sources that take their work from it over TCP.
class TemplateServerTest : public testing::Test {
 protected:
  TemplateServerTest() {
    shards.start();
    ServerOptions options;
    options.listen = net::TcpConfig{"127.0.0.1", 0};
    options.authority_secret = authority_secret();
    options.classes.least = {999'708, 20'000};  // An embedded chain has one kind of templates.
    server.emplace(shards, chain, nullptr, std::move(options));
    EXPECT_TRUE(server->start());
  }
  ~TemplateServerTest() override {
    server->stop(std::chrono::seconds(5));
    shards.stop(std::chrono::seconds(5));
  }

  std::unique_ptr<templates::Sv2Source> source() {
    templates::Sv2Source::Options options;
    options.provider = {.transport = net::TcpConfig{"127.0.0.1", server->tcp_port()},
                        .authority = noise::AuthorityKeyPair::from_secret(authority_secret())->public_key()};
    return std::make_unique<templates::Sv2Source>(shards[1], std::move(options));
  }

  net::Shards shards{2};
  templates::EmbeddedSource chain{{}};
  std::optional<TemplateServer> server;
};

TEST_F(TemplateServerTest, WorkGoesOutAndABlockOfItComesBack) {
  Sink sink;
  const auto pool = source();
  pool->constrain({34, 1});
  ASSERT_TRUE(pool->start(sink.events()));
  ASSERT_TRUE(sink.wait_for([](const auto& seen) { return !seen.templates.empty(); }));
  const auto first = sink.seen().templates[0].first;
  ASSERT_TRUE(pool->submit(first->id, templates::test::solution(*first)));
  ASSERT_TRUE(sink.wait_for([](const auto& seen) { return !seen.results.empty(); }));
  const auto seen = sink.seen();
  EXPECT_EQ(seen.results[0].verdict, BlockVerdict::kAccepted);
  EXPECT_THAT(seen.kept, SizeIs(1));
  EXPECT_EQ(seen.templates.back().first->prev_hash, seen.results[0].hash);
  EXPECT_TRUE(seen.templates.back().second);
  EXPECT_EQ(chain.blocks().back().hash, seen.results[0].hash);
  EXPECT_EQ(server->stats().sessions.solutions, 1u);
  EXPECT_EQ(server->stats().clients, 1u);
  pool->stop();
}

TEST_F(TemplateServerTest, TransactionsComeOnRequest) {
  Sink sink;
  const auto pool = source();
  ASSERT_TRUE(pool->start(sink.events()));
  ASSERT_TRUE(sink.wait_for([](const auto& seen) { return !seen.templates.empty(); }));
  std::promise<Result<templates::TemplateSource::Transactions>> answered;
  pool->transactions(sink.seen().templates[0].first->id, [&](auto found) { answered.set_value(std::move(found)); });
  auto answer = answered.get_future();
  ASSERT_EQ(answer.wait_for(std::chrono::minutes(1)), std::future_status::ready);
  const auto found = answer.get();
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_THAT(**found, SizeIs(0));
  pool->stop();
}

}  // namespace
}  // namespace adit::provider
