#include "monitor/access.h"

#include <sodium.h>

#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "base/bytes.h"

namespace adit::monitor {
namespace {

constexpr std::string_view kToken = "0123456789abcdef:+/";

std::string basic(std::string_view pair) {
  std::string out(sodium_base64_encoded_len(pair.size(), sodium_base64_VARIANT_ORIGINAL), '\0');
  sodium_bin2base64(out.data(), out.size(), reinterpret_cast<const unsigned char*>(pair.data()), pair.size(),
                    sodium_base64_VARIANT_ORIGINAL);
  out.pop_back();  // The terminator.
  return "Basic " + out;
}

bool admits(std::string_view authorization) { return Access(sha256(as_bytes(kToken))).admits(authorization); }

TEST(Access, WithoutATokenEverybodyIsAdmitted) {
  EXPECT_TRUE(Access().admits(""));
  EXPECT_TRUE(Access().admits("Bearer x"));
}

TEST(Access, TheTokenIsGivenAsBearerOrAsThePasswordOfAnyUser) {
  const std::string token(kToken);
  EXPECT_TRUE(admits("Bearer " + token));
  EXPECT_TRUE(admits("bEARER   " + token)) << "RFC 9110 §11.1: schemes have no case, and spaces may be several";
  EXPECT_TRUE(admits(basic("adit:" + token)));
  EXPECT_TRUE(admits(basic(":" + token)));
  EXPECT_TRUE(admits("basic" + basic("\xc3\xbc:" + token).substr(5)));
}

TEST(Access, NothingElseIsTheToken) {
  const std::string token(kToken);
  for (const std::string& given :
       {std::string(), std::string(" "), std::string("Bearer"), std::string("Bearer "), token, "Bearer " + token + " ",
        "Bearer " + token + "x", "Bearer " + token.substr(1), "Bearer adit:" + token, "Bearer\t" + token, "Digest " + token,
        "Bearer" + token, "Basic " + token, basic(token.substr(0, 16)), basic("adit " + token.substr(0, 16)), basic("adit:"),
        basic("adit:" + token + "\n"), basic("adit:x:" + token)}) {
    EXPECT_FALSE(admits(given)) << given;
  }
}

TEST(Access, Base64ThatIsNoneIsNoToken) {
  const std::string good = basic("user1:" + std::string(kToken));
  ASSERT_TRUE(admits(good));
  ASSERT_EQ(good.back(), '=') << "so that the first of these takes padding away";
  for (const std::string& given :
       {good.substr(0, good.size() - 1), good + "=", good + "!", good + " ", "Basic !" + good.substr(6),
        std::string("Basic ===="), std::string("Basic a"), std::string("Basic \0\0", 8)}) {
    EXPECT_FALSE(admits(given)) << given;
  }
}

TEST(Access, WhatIsTooLongIsNoToken) {
  const std::string longest(kMaxTokenSize, 'x');
  const Access access(sha256(as_bytes(longest)));
  EXPECT_TRUE(access.admits("Bearer " + longest));
  EXPECT_TRUE(access.admits(basic("user:" + longest)));
  const std::string longer = longest + "x";
  EXPECT_FALSE(Access(sha256(as_bytes(longer))).admits("Bearer " + longer));
  EXPECT_FALSE(Access(sha256(as_bytes(longer))).admits(basic("user:" + longer)));
  EXPECT_FALSE(access.admits("Bearer " + std::string(8192, 'x')));
  EXPECT_FALSE(access.admits(basic(std::string(6000, 'u') + ":" + longest)));
}

}  // namespace
}  // namespace adit::monitor
