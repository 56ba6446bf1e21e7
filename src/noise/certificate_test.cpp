#include "noise/certificate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "noise/test_support.h"

namespace adit::noise {
namespace {

using namespace std::chrono_literals;
using test::counting;
using test::kNow;

class CertificateTest : public testing::Test {
 protected:
  Result<> verify_at(UnixTime now) const { return certificate_.verify(authority_.public_key(), server_key_, now); }

  AuthorityKeyPair authority_ = AuthorityKeyPair::generate(counting(1));
  PublicKey server_key_ = public_key_of(EllSwiftKeyPair::generate(counting(9)).encoded);
  Certificate certificate_ = Certificate::sign(authority_, server_key_, kNow, kNow + 100s, counting(5));
};

TEST_F(CertificateTest, HoldsWithinItsTimeAndTenSecondsAround) {
  EXPECT_TRUE(verify_at(kNow));
  EXPECT_TRUE(verify_at(kNow + 100s));
  EXPECT_TRUE(verify_at(kNow - 10s));
  EXPECT_TRUE(verify_at(kNow + 110s));
  EXPECT_FALSE(verify_at(kNow - 11s));
  EXPECT_FALSE(verify_at(kNow + 111s));
}

TEST_F(CertificateTest, OutsideItsTimeTheErrorSaysByHowManySecondsTheClocksDiffer) {
  const auto early = verify_at(kNow - 75s);
  ASSERT_FALSE(early);
  EXPECT_TRUE(early.error().is(Errc::kCertificateNotYetValid));
  EXPECT_THAT(early.error().message(), testing::HasSubstr("your clock is at least 75 seconds behind"));
  const auto late = verify_at(kNow + 130s);
  ASSERT_FALSE(late);
  EXPECT_TRUE(late.error().is(Errc::kCertificateExpired));
  EXPECT_THAT(late.error().message(), testing::HasSubstr("your clock is at least 30 seconds ahead"));
}

TEST_F(CertificateTest, TimesAtTheEdgesOfThirtyTwoBitsDoNotWrap) {
  const auto whole = Certificate::sign(authority_, server_key_, from_u32(0), from_u32(0xffff'ffff), counting(5));
  for (const std::uint32_t now : {0U, 5U, 0xffff'ffffU}) {
    EXPECT_TRUE(whole.verify(authority_.public_key(), server_key_, from_u32(now))) << now;
  }
  const auto clamped = Certificate::sign(authority_, server_key_, from_u32(3) - 60s, from_u32(0xffff'ffff) + 60s, counting(5));
  EXPECT_EQ(clamped.valid_from, 0U);
  EXPECT_EQ(clamped.not_valid_after, 0xffff'ffffU);
}

TEST_F(CertificateTest, AnotherAuthorityIsItsOwnError) {
  const auto other = AuthorityKeyPair::generate(counting(77));
  const auto result = certificate_.verify(other.public_key(), server_key_, kNow);
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(Errc::kWrongAuthority));
  EXPECT_THAT(result.error().message(), testing::HasSubstr(to_text(other.public_key())));
}

TEST_F(CertificateTest, AnExpiredCertificateOfAnotherAuthorityIsNoClockError) {
  const auto other = AuthorityKeyPair::generate(counting(77));
  EXPECT_TRUE(certificate_.verify(other.public_key(), server_key_, kNow + 1000s).error().is(Errc::kWrongAuthority));
}

TEST_F(CertificateTest, EveryByteIsCoveredByTheSignature) {
  std::array<std::uint8_t, Certificate::kSize> encoded;
  certificate_.encode(encoded);
  for (std::size_t i = 0; i < encoded.size(); ++i) {
    auto damaged = encoded;
    damaged[i] ^= 1;
    EXPECT_FALSE(Certificate::decode(damaged).verify(authority_.public_key(), server_key_, kNow)) << i;
  }
  EXPECT_TRUE(Certificate::decode(encoded).verify(authority_.public_key(), server_key_, kNow));
}

TEST_F(CertificateTest, AnotherServersKeyIsRefused) {
  const PublicKey other = public_key_of(EllSwiftKeyPair::generate(counting(10)).encoded);
  EXPECT_TRUE(certificate_.verify(authority_.public_key(), other, kNow).error().is(Errc::kWrongAuthority));
}

TEST_F(CertificateTest, AnUnknownVersionIsRefused) {
  certificate_.version = 1;
  EXPECT_TRUE(verify_at(kNow).error().is(Errc::kCertificateVersion));
}

TEST(CertificateSource, RenewsAtHalfTheValidityAndNotBefore) {
  CertificateSource source(AuthorityKeyPair::generate(counting(1)), 100s, counting(2));
  const auto first = source.current(kNow);
  EXPECT_EQ(source.current(kNow + 49s), first);
  const auto second = source.current(kNow + 50s);
  EXPECT_NE(second, first);
  EXPECT_NE(second->key.encoded, first->key.encoded);
  for (const auto& [key, at] : {std::pair{first, kNow + 49s}, std::pair{second, kNow + 99s}}) {
    EXPECT_TRUE(key->certificate.verify(source.authority(), public_key_of(key->key.encoded), at, 0s));
  }
}

TEST(CertificateSource, AClockSetBackGetsACertificateThatHoldsThen) {
  CertificateSource source(AuthorityKeyPair::generate(counting(1)), 100s, counting(2));
  source.current(kNow);
  const auto key = source.current(kNow - 1h);
  EXPECT_TRUE(key->certificate.verify(source.authority(), public_key_of(key->key.encoded), kNow - 1h, 0s));
}

TEST(CertificateSource, ThePeerWhoseClockIsAMinuteBehindAndKnowsNoLeewayGetsIn) {
  CertificateSource source(AuthorityKeyPair::generate(counting(1)), 100s, counting(2));
  const auto key = source.current(kNow);
  EXPECT_TRUE(key->certificate.verify(source.authority(), public_key_of(key->key.encoded), kNow - 60s, 0s));
}

class EndpointCertificateTest : public testing::Test {
 protected:
  Result<> verify(const EndpointCertificate& certificate, UnixTime now) const {
    return certificate.verify(authority_.public_key(), endpoint_id_, /*protocol=*/0, now);
  }

  AuthorityKeyPair authority_ = AuthorityKeyPair::generate(counting(1));
  std::array<std::uint8_t, 32> endpoint_id_{1, 2, 3};
  EndpointCertificate certificate_ =
      EndpointCertificate::sign(authority_, endpoint_id_, /*protocol=*/0, kNow, kNow + 100s, counting(5));
};

TEST_F(EndpointCertificateTest, HoldsWithinItsTimeAndTenSecondsAround) {
  EXPECT_TRUE(verify(certificate_, kNow - 10s));
  EXPECT_TRUE(verify(certificate_, kNow + 110s));
  EXPECT_TRUE(verify(certificate_, kNow - 11s).error().is(Errc::kCertificateNotYetValid));
  EXPECT_TRUE(verify(certificate_, kNow + 111s).error().is(Errc::kCertificateExpired));
}

TEST_F(EndpointCertificateTest, AnotherEndpointAnotherProtocolAndAnotherAuthorityAreRefused) {
  auto other_id = endpoint_id_;
  other_id[31] = 1;
  const auto& key = authority_.public_key();
  EXPECT_TRUE(certificate_.verify(key, other_id, 0, kNow).error().is(Errc::kWrongAuthority));
  EXPECT_TRUE(certificate_.verify(key, endpoint_id_, 1, kNow).error().is(Errc::kWrongAuthority));
  const auto other = AuthorityKeyPair::generate(counting(77));
  EXPECT_TRUE(certificate_.verify(other.public_key(), endpoint_id_, 0, kNow).error().is(Errc::kWrongAuthority));
}

TEST_F(EndpointCertificateTest, EveryFieldIsCoveredByTheSignature) {
  auto damaged = certificate_;
  damaged.valid_from ^= 1;
  EXPECT_TRUE(verify(damaged, kNow).error().is(Errc::kWrongAuthority));
  damaged = certificate_;
  damaged.not_valid_after ^= 1;
  EXPECT_TRUE(verify(damaged, kNow).error().is(Errc::kWrongAuthority));
  damaged = certificate_;
  damaged.version = 1;
  EXPECT_TRUE(verify(damaged, kNow).error().is(Errc::kCertificateVersion));
  for (auto& byte : certificate_.signature) {
    byte ^= 1;
    EXPECT_FALSE(verify(certificate_, kNow));
    byte ^= 1;
  }
}

TEST_F(EndpointCertificateTest, MoreThanAnHourIsNotAccepted) {
  const auto sign = [&](std::chrono::seconds validity) {
    return EndpointCertificate::sign(authority_, endpoint_id_, 0, kNow, kNow + validity, counting(5));
  };
  EXPECT_TRUE(verify(sign(3600s), kNow));
  EXPECT_FALSE(verify(sign(3601s), kNow));
  EXPECT_FALSE(verify(EndpointCertificate::sign(authority_, endpoint_id_, 0, kNow, from_u32(0xffff'ffff), counting(5)), kNow));
}

TEST_F(EndpointCertificateTest, ANoiseCertificateIsNone) {
  const auto noise = Certificate::sign(authority_, PublicKey{endpoint_id_}, kNow, kNow + 100s, counting(5));
  certificate_.signature = noise.signature;
  EXPECT_TRUE(verify(certificate_, kNow).error().is(Errc::kWrongAuthority));
}

TEST_F(EndpointCertificateTest, IsRenewedAtHalfTheValidityWhichIsBounded) {
  EndpointCertificateSource source(AuthorityKeyPair::generate(counting(1)), endpoint_id_, 0, 24h, counting(2));
  const auto first = source.current(kNow);
  EXPECT_TRUE(verify(first, kNow));
  EXPECT_EQ(source.current(kNow + 29min).valid_from, first.valid_from);
  const auto second = source.current(kNow + 30min);
  EXPECT_NE(second.valid_from, first.valid_from);
  EXPECT_TRUE(verify(second, kNow + 30min));
}

}  // namespace
}  // namespace adit::noise
