#include "net/address_range.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/error.h"

namespace adit::net {
namespace {

using ::testing::HasSubstr;

bool holds(std::string_view range, const char* address) {
  return AddressRange::parse(range)->contains(boost::asio::ip::make_address(address));
}

TEST(AddressRange, OneAddressIsARangeOfItself) {
  EXPECT_TRUE(holds("10.0.0.5", "10.0.0.5"));
  EXPECT_TRUE(holds("10.0.0.5", "::ffff:10.0.0.5")) << "a listener on [::] sees IPv4 peers like that";
  EXPECT_TRUE(holds("::ffff:10.0.0.5", "10.0.0.5"));
  EXPECT_FALSE(holds("10.0.0.5", "10.0.0.6"));
  EXPECT_FALSE(holds("10.0.0.5", "::10.0.0.5"));
  EXPECT_TRUE(holds("fd00::1", "fd00::1"));
  EXPECT_FALSE(holds("fd00::1", "fd00::2"));
}

TEST(AddressRange, APrefixHoldsWhatBeginsWithIt) {
  EXPECT_TRUE(holds("10.0.0.0/8", "10.255.255.255"));
  EXPECT_FALSE(holds("10.0.0.0/8", "11.0.0.0"));
  EXPECT_TRUE(holds("172.16.0.0/12", "172.31.255.255"));
  EXPECT_FALSE(holds("172.16.0.0/12", "172.32.0.0"));
  EXPECT_TRUE(holds("fd00::/8", "fdff::1"));
  EXPECT_FALSE(holds("fd00::/8", "fe00::1"));
  EXPECT_TRUE(holds("0.0.0.0/0", "255.1.2.3"));
  EXPECT_FALSE(holds("0.0.0.0/0", "fd00::1"));
  EXPECT_TRUE(holds("::/0", "1.2.3.4"));
  EXPECT_TRUE(AddressRange::parse("::/0")->is_everybody());
  EXPECT_TRUE(AddressRange::parse("0.0.0.0/0")->is_everybody());
  EXPECT_FALSE(AddressRange::parse("fd00::/96")->is_everybody());
  EXPECT_FALSE(AddressRange::parse("128.0.0.0/1")->is_everybody());
}

TEST(IsLocal, IsWhatTheInternetDoesNotReach) {
  for (const char* text :
       {"127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.1",
        "169.254.0.1", "100.64.0.1", "100.127.255.255", "fc00::1", "fdff::1", "fe80::1", "fe80::1%1", "::ffff:10.0.0.1"}) {
    EXPECT_TRUE(is_local(boost::asio::ip::make_address(text))) << text;
  }
  for (const char* text : {"0.0.0.0",
                           "::",
                           "::ffff:0.0.0.0",
                           "126.255.255.255",
                           "128.0.0.1",
                           "11.0.0.1",
                           "172.15.255.255",
                           "172.32.0.0",
                           "192.167.255.255",
                           "192.169.0.0",
                           "169.253.0.1",
                           "100.63.255.255",
                           "100.128.0.0",
                           "203.0.113.5",
                           "fbff::1",
                           "fe00::1",
                           "fec0::1",
                           "2001:db8::1",
                           "::2",
                           "::ffff:8.8.8.8"}) {
    EXPECT_FALSE(is_local(boost::asio::ip::make_address(text))) << text;
  }
}

TEST(AddressRange, WhatIsNoneIsRefusedInASentence) {
  for (const char* text : {"", "proxy.example", "10.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8 ",
                           "fd00::/129", "10.0.0.5:3333", "[fd00::1]", "fe80::1%1", "/8"}) {
    const auto range = AddressRange::parse(text);
    ASSERT_FALSE(range) << text;
    EXPECT_TRUE(range.error().is(Errc::kConfiguration));
    EXPECT_THAT(std::string(range.error().message()), HasSubstr("is no IP address")) << text;
  }
  EXPECT_THAT(std::string(AddressRange::parse("10.0.0.5/8").error().message()), HasSubstr("bits behind its first 8"));
}

}  // namespace
}  // namespace adit::net
