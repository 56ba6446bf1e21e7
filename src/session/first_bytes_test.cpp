#include "session/first_bytes.h"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>

namespace adit::session {
namespace {

Spoken whole(std::string_view bytes) { return recognize(as_bytes(bytes), false); }
Spoken silent(std::string_view bytes) { return recognize(as_bytes(bytes), true); }

TEST(FirstBytes, EveryOpeningOfAMinerIsStratumV1) {
  for (const std::string_view line :
       {R"({"id":1,"method":"mining.subscribe","params":[]})", R"({"params": ["1"], "id": "txlist1"})", R"({ "id" : 1 })",
        R"({"id": null, "method": "mining.suggest_target"})", "\r\n{\"id\":0}", "  \t {\"i\":1}", "{\n  \"id\": 1"}) {
    EXPECT_EQ(whole(line), Spoken::kSv1) << line;
  }
}

TEST(FirstBytes, WhatIsSpokenAtTheWrongPortIsTold) {
  EXPECT_EQ(whole(std::string_view("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11)), Spoken::kTls);
  EXPECT_EQ(whole(std::string_view("\x16\x03\x03\x00\xa5\x01\x00\x00", 8)), Spoken::kTls);
  for (const std::string_view line : {"GET / HTTP/1.1\r\n", "POST /x HTTP/1.0", "CONNECT x11.example.com:3336 HTTP/1.1",
                                      "OPTIONS * HTTP/1.1", "HEAD /index", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}) {
    EXPECT_EQ(whole(line), Spoken::kHttp) << line;
  }
  EXPECT_EQ(whole("PROXY TCP4 192.0.2.1 192.0.2.2 4000 3333\r\n"), Spoken::kProxyV1);
  EXPECT_EQ(whole("PROXY UNKNOWN\r\n"), Spoken::kProxyV1);
  EXPECT_EQ(whole(std::string_view("\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c", 16)), Spoken::kProxyV2);
  // A SetupConnection frame of 40 bytes: mining, versions 2 to 2.
  EXPECT_EQ(whole(std::string_view("\x00\x00\x00\x28\x00\x00\x00\x02\x00\x02\x00", 11)), Spoken::kPlainSv2);
  EXPECT_EQ(whole("SSH-2.0-OpenSSH_9.2\r\n"), Spoken::kText);
  EXPECT_EQ(whole("[1,2,3,4]\n"), Spoken::kText);
  EXPECT_EQ(whole(std::string(64, 'x')), Spoken::kText);
  EXPECT_EQ(whole(std::string(64, '\0')), Spoken::kBytes);
}

// One byte of a handshake in 256 is the `{` of Stratum V1, and as many are the first byte of TLS.
TEST(FirstBytes, OneByteDecidesNothingUnlessThePeerIsSilent) {
  for (const std::string_view bytes : {"{", "\x16", "\x16\x03\x01", "G", "PROXY", "\r\n\r\n", "x", "{\"id\":1"}) {
    EXPECT_EQ(whole(bytes), Spoken::kUndecided) << bytes;
  }
  EXPECT_EQ(recognize({}, true), Spoken::kUndecided) << "who says nothing at all says nothing wrong";
  EXPECT_EQ(silent("{"), Spoken::kSv1);
  EXPECT_EQ(silent(" "), Spoken::kSv1);
  EXPECT_EQ(silent("\r\n\r\n"), Spoken::kSv1) << "blanks, so far";
  EXPECT_EQ(silent(std::string_view("\r\n\r\n\0", 5)), Spoken::kProxyV2);
  EXPECT_EQ(silent("\x16\x03\x01"), Spoken::kTls);
  EXPECT_EQ(silent("\x16"), Spoken::kBytes);
  EXPECT_EQ(silent("GET "), Spoken::kHttp);
  EXPECT_EQ(silent("PROXY"), Spoken::kProxyV1);
  EXPECT_EQ(silent("hello"), Spoken::kText);
}

TEST(FirstBytes, AJsonTextWithForeignBytesAtItsStartIsNoStratumV1) {
  EXPECT_EQ(whole(std::string_view("{\x01\"id\":1,", 9)), Spoken::kBytes);
  EXPECT_EQ(whole("{x\"id\":1"), Spoken::kText) << "a brace, and no member";
  EXPECT_EQ(whole("{\"\xff\xfe\xfd\xfc\xfb\xfa\xf9"), Spoken::kBytes);
}

// A port of Stratum V2 asks this of what may be a handshake: nothing of it may be taken for another protocol.
TEST(FirstBytes, RandomHandshakesAreNeverTakenForAnotherProtocol) {
  std::mt19937_64 random(0x5eed);  // NOLINT(bugprone-random-generator-seed): the same in every run
  for (int i = 0; i < 1'000'000; ++i) {
    std::array<std::uint8_t, 8> first{};
    store_le(first.data(), static_cast<std::uint64_t>(random()));
    const auto spoken = recognize(first, false);
    // Text by chance: (95/256)^8, one in 2,800. A port of Stratum V2 takes it for a handshake, too.
    ASSERT_TRUE(spoken == Spoken::kBytes || spoken == Spoken::kText) << i << " " << to_words(spoken);
  }
  std::array<std::uint8_t, 8> first{};
  for (int begin = 0; begin < 256; ++begin) {
    for (int i = 0; i < 100; ++i) {
      store_le(first.data(), static_cast<std::uint64_t>(random()));
      first[0] = static_cast<std::uint8_t>(begin);
      first[7] |= 0x80;
      ASSERT_EQ(recognize(first, false), Spoken::kBytes) << "whatever its first byte is";
    }
  }
}

}  // namespace
}  // namespace adit::session
