#include "noise/handshake.h"

#include <algorithm>
#include <cstdlib>
#include <string>

#include <secp256k1_ellswift.h>
#include <sodium.h>

#include "base/sha256.h"
#include "noise/hash.h"
#include "noise/secp256k1_context.h"

namespace adit::noise {
namespace {

constexpr std::string_view kProtocolName = "Noise_NX_Secp256k1+EllSwift_ChaChaPoly_SHA256";

}  // namespace

// Not inlined, so that secrets_check.supp can name it.
[[gnu::noinline]] Secret bip324_ecdh(std::span<const std::uint8_t, 64> initiator_key,
                                     std::span<const std::uint8_t, 64> responder_key, const Secret& secret, Party party) {
  Secret shared;
  // Cannot fail: every 64 bytes are a point, and our secret is a valid key.
  if (secp256k1_ellswift_xdh(secp256k1(), shared.data(), initiator_key.data(), responder_key.data(), secret.data(),
                             party == Party::kResponder ? 1 : 0, secp256k1_ellswift_xdh_hash_function_bip324, nullptr) != 1) {
    std::abort();
  }
  return shared;
}

SymmetricState::SymmetricState() {
  const Sha256Digest name = sha256(as_bytes(kProtocolName));  // Longer than a hash, so hashed (Noise §5.2).
  chaining_key_ = Secret(name);
  hash_ = sha256(name);
}

void SymmetricState::mix_hash(Bytes data) { hash_ = Sha256().update(hash_).update(data).finish(); }

void SymmetricState::mix_key(Bytes shared_secret) {
  auto [chaining_key, key] = hkdf2(chaining_key_.bytes(), shared_secret);
  chaining_key_ = std::move(chaining_key);
  cipher_ = CipherState(std::move(key));
}

void SymmetricState::encrypt_and_hash(Bytes plain, std::uint8_t* to) {
  cipher_.seal(plain, hash_, to);
  mix_hash({to, plain.size() + kMacSize});
}

bool SymmetricState::decrypt_and_hash(Bytes sealed, std::uint8_t* to) {
  if (!cipher_.open(sealed, hash_, to)) return false;
  mix_hash(sealed);
  return true;
}

std::pair<CipherState, CipherState> SymmetricState::split() const {
  auto [first, second] = hkdf2(chaining_key_.bytes(), {});
  return {CipherState(std::move(first)), CipherState(std::move(second))};
}

Initiator::Initiator(std::optional<PublicKey> authority, const RandomSource& random)
    : Initiator(authority, EllSwiftKeyPair::generate(random)) {}

Initiator::Initiator(std::optional<PublicKey> authority, EllSwiftKeyPair ephemeral)
    : authority_(authority), ephemeral_(std::move(ephemeral)) {
  symmetric_.mix_hash(ephemeral_.encoded);
  symmetric_.mix_hash({});  // The empty payload of act 1.
}

Result<Session> Initiator::read_act2(Bytes act2, UnixTime now, std::uint32_t max_payload) {
  if (std::exchange(dead_, true)) return fail(Errc::kDead, "this handshake has ended");
  // Whatever happens below, the ephemeral key and the chaining key end with this call.
  const EllSwiftKeyPair ephemeral = std::move(ephemeral_);
  SymmetricState symmetric = std::move(symmetric_);
  if (act2.size() != kAct2Size) {
    return fail(Errc::kBadLength,
                "the handshake's answer must have " + std::to_string(kAct2Size) + " bytes, not " + std::to_string(act2.size()));
  }
  const auto their_ephemeral = act2.first<64>();
  symmetric.mix_hash(their_ephemeral);
  symmetric.mix_key(bip324_ecdh(ephemeral.encoded, their_ephemeral, ephemeral.secret, Party::kInitiator).bytes());

  std::array<std::uint8_t, 64> their_static;
  if (!symmetric.decrypt_and_hash(act2.subspan(64, 80), their_static.data())) {
    return fail(Errc::kAuthentication,
                "the handshake's answer does not authenticate: the peer is no SV2 server, or somebody is in between");
  }
  symmetric.mix_key(bip324_ecdh(ephemeral.encoded, their_static, ephemeral.secret, Party::kInitiator).bytes());

  std::array<std::uint8_t, Certificate::kSize> encoded;
  if (!symmetric.decrypt_and_hash(act2.subspan(144, 90), encoded.data())) {
    return fail(Errc::kAuthentication, "the handshake's answer does not authenticate: the peer does not hold the key it shows");
  }
  certificate_ = Certificate::decode(encoded);
  if (authority_) ADIT_CHECK(certificate_->verify(*authority_, public_key_of(their_static), now));
  auto [to_responder, to_initiator] = symmetric.split();
  return Session(std::move(to_responder), std::move(to_initiator), max_payload);
}

Result<Responder::Answer> Responder::answer(Bytes act1, const CertifiedKey& key, const RandomSource& random,
                                            std::uint32_t max_payload) {
  return answer(act1, key, EllSwiftKeyPair::generate(random), max_payload);
}

Result<Responder::Answer> Responder::answer(Bytes act1, const CertifiedKey& key, EllSwiftKeyPair ephemeral,
                                            std::uint32_t max_payload) {
  if (act1.size() != kAct1Size) {
    return fail(Errc::kBadLength,
                "a handshake starts with " + std::to_string(kAct1Size) + " bytes, not " + std::to_string(act1.size()));
  }
  const auto their_ephemeral = act1.first<64>();
  SymmetricState symmetric;
  symmetric.mix_hash(act1);
  symmetric.mix_hash({});  // The empty payload of act 1.

  std::array<std::uint8_t, kAct2Size> act2;
  std::ranges::copy(ephemeral.encoded, act2.begin());
  symmetric.mix_hash(ephemeral.encoded);
  symmetric.mix_key(bip324_ecdh(their_ephemeral, ephemeral.encoded, ephemeral.secret, Party::kResponder).bytes());
  symmetric.encrypt_and_hash(key.key.encoded, act2.data() + 64);
  symmetric.mix_key(bip324_ecdh(their_ephemeral, key.key.encoded, key.key.secret, Party::kResponder).bytes());
  std::array<std::uint8_t, Certificate::kSize> certificate;
  key.certificate.encode(certificate);
  symmetric.encrypt_and_hash(certificate, act2.data() + 144);

  auto [to_responder, to_initiator] = symmetric.split();
  return Answer{act2, Session(std::move(to_initiator), std::move(to_responder), max_payload)};
}

}  // namespace adit::noise
