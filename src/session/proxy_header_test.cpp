#include "session/proxy_header.h"

#include <string>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/hex.h"

namespace adit::session {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// The worked lines of proxy-protocol.txt §2.1, the longest of each kind.
constexpr std::string_view kLongestV4 = "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n";
constexpr std::string_view kLongestV6 =
    "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
constexpr std::string_view kLongest =
    "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";

const std::string kV2("\r\n\r\n\0\r\nQUIT\n", 12);

std::string v2(std::string_view rest_in_hex) {
  const auto rest = from_hex(rest_in_hex);
  return kV2 + std::string(as_text(*rest));
}

/// What comes of `bytes` for a reader that never takes more than is missing; `taken`: how many it took.
Result<ProxyHeader> read(std::string_view bytes, std::size_t& taken) {
  taken = 0;
  for (;;) {
    auto header = read_proxy_header(as_bytes(bytes).first(taken));
    if (!header || header->missing == 0 || taken + header->missing > bytes.size()) return header;
    taken += header->missing;
  }
}

Result<ProxyHeader> read(std::string_view bytes) {
  std::size_t taken = 0;
  return read(bytes, taken);
}

ProxiedClient v4(std::string_view address, std::uint16_t port) {
  ProxiedClient client{.port = port};
  const auto bytes = from_hex(address);
  std::copy(bytes->begin(), bytes->end(), client.address.begin());
  client.is_v6 = bytes->size() == 16;
  return client;
}

std::string refusal(std::string_view bytes) {
  const auto header = read(bytes);
  return header ? "taken" : std::string(header.error().message());
}

TEST(ProxyHeader, EachVersionNamesTheClient) {
  EXPECT_EQ(read("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n")->client, v4("c0a80001", 56324));
  EXPECT_EQ(read(kLongestV4)->client, v4("ffffffff", 65535));
  EXPECT_EQ(read(kLongestV6)->client, v4("ffffffffffffffffffffffffffffffff", 65535));
  EXPECT_EQ(read("PROXY TCP6 :: ::1 0 0\r\n")->client, v4("00000000000000000000000000000000", 0));
  EXPECT_EQ(read(v2("2111000cc0a80001c0a8000bdc0401bb"))->client, v4("c0a80001", 56324));
  EXPECT_EQ(read(v2("21210024"
                    "20010db8000000000000000000000001"
                    "20010db8000000000000000000000002"
                    "dc0401bb"))
                ->client,
            v4("20010db8000000000000000000000001", 56324));
}

TEST(ProxyHeader, FieldsBehindTheAddressesArePassedOver) {
  // PP2_TYPE_NOOP of 3 bytes, and PP2_TYPE_AUTHORITY "a.example".
  EXPECT_EQ(read(v2("2111001ec0a80001c0a8000bdc0401bb0400030000000200"
                    "09612e6578616d706c65"))
                ->client,
            v4("c0a80001", 56324));
}

TEST(ProxyHeader, ALocalOrUnknownConnectionIsTheProxys) {
  for (const auto& bytes :
       {std::string("PROXY UNKNOWN\r\n"), std::string("PROXY UNKNOWN 1.2.3.4 nonsense\r\n"), std::string(kLongest),
        v2("20000000"),                          // LOCAL without an address, as haproxy's health checks
        v2("2011000cc0a80001c0a8000bdc0401bb"),  // LOCAL: its addresses are passed over
        v2("21000000"),
        v2("21000003"
           "040000"),                               // AF_UNSPEC
        v2("2112000cc0a80001c0a8000bdc0401bb")}) {  // A datagram's
    const auto header = read(bytes);
    ASSERT_TRUE(header) << bytes;
    EXPECT_EQ(header->missing, 0U);
    EXPECT_FALSE(header->client);
  }
  EXPECT_FALSE(read(v2("213100d8" + std::string(432, '0')))->client);  // AF_UNIX
}

// What follows the header is the client's, and is never read with it.
TEST(ProxyHeader, NothingBehindTheHeaderIsAskedFor) {
  for (const auto& header : {std::string("PROXY UNKNOWN\r\n"), std::string("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n"),
                             std::string("PROXY TCP6 :: :: 0 0\r\n"), std::string(kLongestV4), std::string(kLongestV6),
                             std::string(kLongest), v2("20000000"), v2("2111000cc0a80001c0a8000bdc0401bb")}) {
    std::size_t taken = 0;
    ASSERT_TRUE(read(header + "{\"id\":1}\n", taken)) << header;
    EXPECT_EQ(taken, header.size());
    for (std::size_t size = 0; size < header.size(); ++size) {
      const auto part = read(std::string_view(header).substr(0, size));
      ASSERT_TRUE(part) << size;
      EXPECT_NE(part->missing, 0U) << size;
    }
  }
}

TEST(ProxyHeader, AConnectionWithoutAHeaderIsRefusedByWhatCame) {
  EXPECT_EQ(refusal(R"({"id":1,"method":"mining.subscribe"})"), "no PROXY protocol header came, but Stratum V1");
  EXPECT_EQ(refusal(std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00", 12)),
            "no PROXY protocol header came, but TLS");
  EXPECT_EQ(refusal(std::string(64, '\x81')), "no PROXY protocol header came, but bytes of another protocol");
  EXPECT_EQ(refusal("PROXYTCP4 1.1.1.1"), "no PROXY protocol header came, but text of another protocol");
}

TEST(ProxyHeader, MalformedLinesAreRefused) {
  EXPECT_THAT(refusal(std::string(kLongest.substr(0, 104)) + "00\r\n"), HasSubstr("longer than 107 bytes"));
  EXPECT_THAT(refusal("PROXY " + std::string(2000, 'A')), HasSubstr("longer than 107 bytes"));
  EXPECT_THAT(refusal("PROXY TCP4 1.1.1.10\n"), HasSubstr("does not end with CR LF"));
  EXPECT_THAT(refusal("PROXY TCP4 1.1.1.1\rabcd\r\n"), HasSubstr("CR"));
  for (const char* family : {"tcp4", "UDP4", "TCP", "TCP44", "UNKNOWNS"}) {
    EXPECT_THAT(refusal("PROXY " + std::string(family) + " 1.1.1.1 2.2.2.2 1 2\r\n"), HasSubstr("names neither")) << family;
  }
  for (const char* addresses : {"1.1.1 2.2.2.2", "1.1.1.1 2.2.2", "01.1.1.1 2.2.2.2", "1.1.1.256 2.2.2.2", ":: 2.2.2.2",
                                " 1.1.1.1 2.2.2.2", "1.1.1.1  2.2.2.2", "localhost 2.2.2.2"}) {
    EXPECT_THAT(refusal("PROXY TCP4 " + std::string(addresses) + " 1 2\r\n"), HasSubstr("no two addresses")) << addresses;
  }
  for (const char* ports : {"1", "1 ", "", "01 2", "1 02", "65536 2", "1 65536", "-1 2", "1 2 ", "1 2 3", "0x1 2"}) {
    EXPECT_THAT(refusal("PROXY TCP4 1.1.1.1 2.2.2.2 " + std::string(ports) + "\r\n"), HasSubstr("no two ports")) << ports;
  }
  EXPECT_THAT(refusal("PROXY TCP6 ::1%lo ::1 1 2\r\n"), HasSubstr("no two addresses"));
}

TEST(ProxyHeader, MalformedBinaryHeadersAreRefused) {
  EXPECT_THAT(refusal(v2("1111000c")), HasSubstr("version 1"));
  EXPECT_THAT(refusal(v2("2211000c")), HasSubstr("unknown command"));
  EXPECT_THAT(refusal(v2("2141000c")), HasSubstr("unknown family or transport"));
  EXPECT_THAT(refusal(v2("2113000c")), HasSubstr("unknown family or transport"));
  EXPECT_THAT(refusal(v2("2111000b")), HasSubstr("too short for two addresses"));
  EXPECT_THAT(refusal(v2("21210023")), HasSubstr("too short for two addresses"));
  EXPECT_THAT(refusal(v2("2111ffff")), HasSubstr("65551 bytes long"));
  EXPECT_THAT(refusal(v2("211107f1")), HasSubstr("2049 bytes long"));
  EXPECT_EQ(read(v2("211107f0"))->missing, kMaxProxyHeader - 16);
}

TEST(ProxyHeader, EveryRefusalIsOneBoundedSentence) {
  for (const auto& bytes :
       {std::string(3000, '\n'), "PROXY " + std::string(3000, '\x1b'), v2("2111ffff" + std::string(6000, 'f'))}) {
    EXPECT_LT(refusal(bytes).size(), 120U);
    EXPECT_EQ(refusal(bytes).find('\n'), std::string::npos);
  }
}

}  // namespace
}  // namespace adit::session
