#include "noise/keys.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

#include <secp256k1_ellswift.h>
#include <secp256k1_extrakeys.h>
#include <sodium.h>

#include "base/base58.h"
#include "noise/secp256k1_context.h"

namespace adit::noise {
namespace {

constexpr std::array<std::uint8_t, 2> kPublicKeyPrefix{1, 0};

/// libsodium wants one call before any other; it may be repeated on any thread.
void ensure_sodium() {
  static const int ready = sodium_init();
  if (ready < 0) std::abort();  // No source of randomness: nothing safe can be done.
}

}  // namespace

const secp256k1_context* secp256k1() {
  static const secp256k1_context* const context = [] {
    ensure_sodium();
    secp256k1_context* made = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
    std::array<std::uint8_t, 32> seed;
    randombytes_buf(seed.data(), seed.size());
    if (secp256k1_context_randomize(made, seed.data()) != 1) std::abort();
    sodium_memzero(seed.data(), seed.size());
    return made;
  }();
  return context;
}

RandomSource system_random() {
  ensure_sodium();
  return [](MutableBytes out) { randombytes_buf(out.data(), out.size()); };
}

Secret::Secret(std::span<const std::uint8_t, kSize> bytes) { std::ranges::copy(bytes, bytes_.begin()); }

Secret::Secret(Secret&& other) noexcept : bytes_(other.bytes_) { sodium_memzero(other.bytes_.data(), kSize); }

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this != &other) {
    bytes_ = other.bytes_;
    sodium_memzero(other.bytes_.data(), kSize);
  }
  return *this;
}

Secret::~Secret() { sodium_memzero(bytes_.data(), kSize); }

AuthorityKeyPair AuthorityKeyPair::generate(const RandomSource& random) {
  for (;;) {
    Secret secret;
    random({secret.data(), Secret::kSize});
    if (auto pair = from_secret(std::move(secret))) return std::move(*pair);
  }
}

Result<AuthorityKeyPair> AuthorityKeyPair::from_secret(Secret secret) {
  secp256k1_keypair keypair;
  if (secp256k1_keypair_create(secp256k1(), &keypair, secret.data()) != 1) {
    return fail(Errc::kBadKey, "this is no secret key of secp256k1: it is zero or too large");
  }
  secp256k1_xonly_pubkey point;
  PublicKey public_key;
  // Neither can fail for a key pair that was made.
  if (secp256k1_keypair_xonly_pub(secp256k1(), &point, nullptr, &keypair) != 1 ||
      secp256k1_xonly_pubkey_serialize(secp256k1(), public_key.x.data(), &point) != 1) {
    std::abort();
  }
  sodium_memzero(&keypair, sizeof keypair);
  return AuthorityKeyPair(std::move(secret), public_key);
}

EllSwiftKeyPair EllSwiftKeyPair::generate(const RandomSource& random) {
  EllSwiftKeyPair pair;
  do {
    random({pair.secret.data(), Secret::kSize});
  } while (secp256k1_ec_seckey_verify(secp256k1(), pair.secret.data()) != 1);
  std::array<std::uint8_t, 32> auxiliary;
  random(auxiliary);
  // Cannot fail with a valid key.
  if (secp256k1_ellswift_create(secp256k1(), pair.encoded.data(), pair.secret.data(), auxiliary.data()) != 1) std::abort();
  sodium_memzero(auxiliary.data(), auxiliary.size());
  return pair;
}

std::string to_text(const PublicKey& key) {
  std::array<std::uint8_t, 34> bytes;
  std::ranges::copy(kPublicKeyPrefix, bytes.begin());
  std::ranges::copy(key.x, bytes.begin() + 2);
  return base58check_encode(bytes);
}

Result<PublicKey> parse_public_key(std::string_view text) {
  const auto bytes = base58check_decode(text, 34);
  if (!bytes) {
    return fail(Errc::kBadKey, "this authority public key is not base58check: a character is wrong, missing or too many");
  }
  if (bytes->size() != 34 || !std::ranges::equal(Bytes(*bytes).first(2), kPublicKeyPrefix)) {
    return fail(Errc::kBadKey, "this is no authority public key: after base58check it must be 1, 0 and 32 bytes" +
                                   std::string(bytes->size() == 32 ? " (is it the secret key?)" : ""));
  }
  PublicKey key;
  std::ranges::copy(Bytes(*bytes).subspan(2), key.x.begin());
  secp256k1_xonly_pubkey point;
  if (secp256k1_xonly_pubkey_parse(secp256k1(), &point, key.x.data()) != 1) {
    return fail(Errc::kBadKey, "this authority public key is no point of secp256k1");
  }
  return key;
}

std::string to_text(const Secret& key) { return base58check_encode(key.bytes()); }

Result<Secret> parse_secret_key(std::string_view text) {
  auto bytes = base58check_decode(text, 34);
  if (!bytes) {
    return fail(Errc::kBadKey, "this authority secret key is not base58check: a character is wrong, missing or too many");
  }
  if (bytes->size() != Secret::kSize) {
    sodium_memzero(bytes->data(), bytes->size());
    return fail(Errc::kBadKey, "this is no authority secret key: after base58check it must be 32 bytes" +
                                   std::string(bytes->size() == 34 ? " (is it the public key?)" : ""));
  }
  Secret secret{std::span<const std::uint8_t, Secret::kSize>(*bytes)};
  sodium_memzero(bytes->data(), bytes->size());
  if (secp256k1_ec_seckey_verify(secp256k1(), secret.data()) != 1) {
    return fail(Errc::kBadKey, "this is no secret key of secp256k1: it is zero or too large");
  }
  return secret;
}

}  // namespace adit::noise
