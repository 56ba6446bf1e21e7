// What the tests with several nodes in one process share: their shards, a node that must start, one that echoes.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "net/admission.h"
#include "net/iroh/node.h"
#include "net/iroh/test_support.h"

namespace adit::net::test {

class IrohNodes : public testing::Test {
 protected:
  void SetUp() override { shards_.start(); }
  void TearDown() override { shards_.stop(std::chrono::seconds(5)); }

  /// Null, and the test failed, if it does not start.
  std::unique_ptr<IrohNodeManager> node(IrohNodeConfig config) {
    auto started = IrohNodeManager::start(shards_, std::move(config));
    EXPECT_TRUE(started) << started.error().message();
    return started ? std::move(*started) : nullptr;
  }

  static void serve_echo(IrohNodeManager& node, Admission admission = Admission({}),
                         const std::string& alpn = session::kAlpnMining) {
    const auto listening = node.listen({alpn}, std::move(admission), [](Shard& shard, Link link, IrohCarrier::Place) {
      shard.spawn(echo(std::move(link.stream)));
    });
    ASSERT_TRUE(listening) << listening.error().message();
  }

  Shards shards_{2};
};

}  // namespace adit::net::test
