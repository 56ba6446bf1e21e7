#include "noise/certificate.h"

#include <algorithm>
#include <cstdlib>
#include <string>

#include <secp256k1_ellswift.h>
#include <secp256k1_extrakeys.h>
#include <secp256k1_schnorrsig.h>
#include <sodium.h>

#include "base/sha256.h"
#include "noise/secp256k1_context.h"

namespace adit::noise {
namespace {

constexpr std::chrono::seconds kBackdated{60};

/// Version, times and server key: what is signed.
Sha256Digest signed_hash(const Certificate& certificate, const PublicKey& server_key) {
  std::array<std::uint8_t, Certificate::kSize> encoded;
  certificate.encode(encoded);
  return Sha256().update(Bytes(encoded).first(10)).update(server_key.x).finish();
}

std::string seconds_text(std::int64_t seconds) { return std::to_string(seconds) + (seconds == 1 ? " second" : " seconds"); }

std::uint32_t clamp_u32(UnixTime time) {
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(time.time_since_epoch().count(), 0, 0xffff'ffff));
}

std::array<std::uint8_t, 64> sign_hash(const AuthorityKeyPair& authority, const Sha256Digest& hash,
                                       const RandomSource& random) {
  std::array<std::uint8_t, 64> signature{};
  std::array<std::uint8_t, 32> auxiliary;
  random(auxiliary);
  secp256k1_keypair keypair;
  // Neither can fail: an AuthorityKeyPair holds a valid key.
  if (secp256k1_keypair_create(secp256k1(), &keypair, authority.secret().data()) != 1 ||
      secp256k1_schnorrsig_sign32(secp256k1(), signature.data(), hash.data(), &keypair, auxiliary.data()) != 1) {
    std::abort();
  }
  sodium_memzero(&keypair, sizeof keypair);
  sodium_memzero(auxiliary.data(), auxiliary.size());
  return signature;
}

bool is_signed_by(const PublicKey& authority, const std::array<std::uint8_t, 64>& signature, const Sha256Digest& hash) {
  secp256k1_xonly_pubkey point;
  return secp256k1_xonly_pubkey_parse(secp256k1(), &point, authority.x.data()) == 1 &&
         secp256k1_schnorrsig_verify(secp256k1(), signature.data(), hash.data(), hash.size(), &point) == 1;
}

std::unexpected<Error> unknown_version(std::uint16_t version) {
  return fail(Errc::kCertificateVersion, "the server's certificate has format version " + std::to_string(version) +
                                             "; only version 0 is known here: update this program");
}

Result<> check_times(std::uint32_t valid_from, std::uint32_t not_valid_after, UnixTime now, std::chrono::seconds leeway) {
  const std::int64_t here = now.time_since_epoch().count();
  if (here < std::int64_t{valid_from} - leeway.count()) {
    const std::string apart = seconds_text(valid_from - here);
    return fail(Errc::kCertificateNotYetValid, "the server's certificate becomes valid in " + apart +
                                                   ": your clock is at least " + apart + " behind the server's; set it by NTP");
  }
  if (here > std::int64_t{not_valid_after} + leeway.count()) {
    const std::string apart = seconds_text(here - not_valid_after);
    return fail(Errc::kCertificateExpired, "the server's certificate expired " + apart + " ago: your clock is at least " +
                                               apart +
                                               " ahead of the server's (set it by NTP), or the server does not renew it");
  }
  return {};
}

/// BIP340's tagged hash of what an EndpointCertificate vouches for; integers little-endian as everywhere in SV2.
Sha256Digest endpoint_hash(const EndpointCertificate& certificate, std::span<const std::uint8_t, 32> endpoint_id,
                           std::uint8_t protocol) {
  static const Sha256Digest tag = sha256(as_bytes("adit/sv2/1 endpoint certificate"));
  std::array<std::uint8_t, 11> head;
  store_le(head.data(), certificate.version);
  head[2] = protocol;
  store_le(head.data() + 3, certificate.valid_from);
  store_le(head.data() + 7, certificate.not_valid_after);
  return Sha256().update(tag).update(tag).update(head).update(endpoint_id).finish();
}

}  // namespace

Certificate Certificate::decode(std::span<const std::uint8_t, kSize> from) {
  Certificate certificate;
  certificate.version = load_le<std::uint16_t>(from.data());
  certificate.valid_from = load_le<std::uint32_t>(from.data() + 2);
  certificate.not_valid_after = load_le<std::uint32_t>(from.data() + 6);
  std::ranges::copy(from.subspan<10>(), certificate.signature.begin());
  return certificate;
}

void Certificate::encode(std::span<std::uint8_t, kSize> to) const {
  store_le(to.data(), version);
  store_le(to.data() + 2, valid_from);
  store_le(to.data() + 6, not_valid_after);
  std::ranges::copy(signature, to.begin() + 10);
}

Certificate Certificate::sign(const AuthorityKeyPair& authority, const PublicKey& server_key, UnixTime valid_from,
                              UnixTime not_valid_after, const RandomSource& random) {
  Certificate certificate;
  certificate.valid_from = clamp_u32(valid_from);
  certificate.not_valid_after = clamp_u32(not_valid_after);
  certificate.signature = sign_hash(authority, signed_hash(certificate, server_key), random);
  return certificate;
}

Result<> Certificate::verify(const PublicKey& authority, const PublicKey& server_key, UnixTime now,
                             std::chrono::seconds leeway) const {
  if (version != 0) return unknown_version(version);
  // The signature first: the times of a certificate that anybody may have made say nothing about clocks.
  if (!is_signed_by(authority, signature, signed_hash(*this, server_key))) {
    return fail(Errc::kWrongAuthority, "the server's certificate was not signed by the authority " + to_text(authority) +
                                           ": check the authority public key, or somebody is in between");
  }
  return check_times(valid_from, not_valid_after, now, leeway);
}

CertifiedKey CertifiedKey::make(const AuthorityKeyPair& authority, UnixTime now, std::chrono::seconds validity,
                                const RandomSource& random) {
  CertifiedKey made{.key = EllSwiftKeyPair::generate(random), .certificate = {}};
  const PublicKey server_key = public_key_of(made.key.encoded);
  made.certificate = Certificate::sign(authority, server_key, now - kBackdated, now + validity, random);
  return made;
}

PublicKey public_key_of(std::span<const std::uint8_t, 64> encoded) {
  secp256k1_pubkey point;
  secp256k1_xonly_pubkey x_only;
  PublicKey key;
  // None of these can fail: every 64 bytes decode to a point.
  if (secp256k1_ellswift_decode(secp256k1(), &point, encoded.data()) != 1 ||
      secp256k1_xonly_pubkey_from_pubkey(secp256k1(), &x_only, nullptr, &point) != 1 ||
      secp256k1_xonly_pubkey_serialize(secp256k1(), key.x.data(), &x_only) != 1) {
    std::abort();
  }
  return key;
}

CertificateSource::CertificateSource(AuthorityKeyPair authority, std::chrono::seconds validity, RandomSource random)
    : authority_(std::move(authority)), validity_(std::max(validity, std::chrono::seconds{2})), random_(std::move(random)) {}

std::shared_ptr<const CertifiedKey> CertificateSource::current(UnixTime now) {
  if (!current_ || now < made_at_ || now - made_at_ >= validity_ / 2) {
    current_ = std::make_shared<const CertifiedKey>(CertifiedKey::make(authority_, now, validity_, random_));
    made_at_ = now;
  }
  return current_;
}

EndpointCertificate EndpointCertificate::sign(const AuthorityKeyPair& authority, std::span<const std::uint8_t, 32> endpoint_id,
                                              std::uint8_t protocol, UnixTime valid_from, UnixTime not_valid_after,
                                              const RandomSource& random) {
  EndpointCertificate certificate;
  certificate.valid_from = clamp_u32(valid_from);
  certificate.not_valid_after = clamp_u32(not_valid_after);
  certificate.signature = sign_hash(authority, endpoint_hash(certificate, endpoint_id, protocol), random);
  return certificate;
}

Result<> EndpointCertificate::verify(const PublicKey& authority, std::span<const std::uint8_t, 32> endpoint_id,
                                     std::uint8_t protocol, UnixTime now, std::chrono::seconds leeway) const {
  if (version != 0) return unknown_version(version);
  if (!is_signed_by(authority, signature, endpoint_hash(*this, endpoint_id, protocol))) {
    return fail(Errc::kWrongAuthority, "the endpoint's certificate was not signed by the authority " + to_text(authority) +
                                           " for this endpoint and protocol: check the authority public key in the URL, or "
                                           "that endpoint is not the pool's");
  }
  if (std::int64_t{not_valid_after} - std::int64_t{valid_from} > kMaxValidity.count()) {
    return fail(Errc::kCertificateVersion, "the endpoint's certificate is valid for longer than " +
                                               seconds_text(kMaxValidity.count()) + ", which is not accepted");
  }
  return check_times(valid_from, not_valid_after, now, leeway);
}

EndpointCertificateSource::EndpointCertificateSource(AuthorityKeyPair authority, std::span<const std::uint8_t, 32> endpoint_id,
                                                     std::uint8_t protocol, std::chrono::seconds validity, RandomSource random)
    : authority_(std::move(authority)),
      protocol_(protocol),
      validity_(std::clamp(validity, std::chrono::seconds{2}, EndpointCertificate::kMaxValidity - kBackdated)),
      random_(std::move(random)) {
  std::ranges::copy(endpoint_id, endpoint_id_.begin());
}

const EndpointCertificate& EndpointCertificateSource::current(UnixTime now) {
  if (!current_ || now < made_at_ || now - made_at_ >= validity_ / 2) {
    current_ = EndpointCertificate::sign(authority_, endpoint_id_, protocol_, now - kBackdated, now + validity_, random_);
    made_at_ = now;
  }
  return *current_;
}

}  // namespace adit::noise
