#include "net/udp.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "net/error.h"

namespace adit::net {
namespace {

TEST(Udp, AnAddressThatIsTakenIsTold) {
  const auto first = bind_udp("127.0.0.1:0");
  ASSERT_TRUE(first);
  sockaddr_in at{};
  socklen_t size = sizeof at;
  ASSERT_EQ(::getsockname(first->get(), reinterpret_cast<sockaddr*>(&at), &size), 0);
  const auto second = bind_udp("127.0.0.1:" + std::to_string(ntohs(at.sin_port)));
  ASSERT_FALSE(second);
  EXPECT_TRUE(second.error().is(Errc::kAddressInUse));
}

TEST(Udp, WhatIsNoAddressOfThisMachineIsTold) {
  for (const char* const text : {"127.0.0.1", "farm.example:1", "127.0.0.1:port"}) {
    const auto bound = bind_udp(text);
    ASSERT_FALSE(bound) << text;
    EXPECT_TRUE(bound.error().is(Errc::kConfiguration)) << text;
  }
  EXPECT_FALSE(bind_udp("203.0.113.77:0")) << "an address of another machine";
}

}  // namespace
}  // namespace adit::net
