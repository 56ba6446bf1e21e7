// The handshake Noise_NX_Secp256k1+EllSwift_ChaChaPoly_SHA256 (SV2 04 §4.5) as two engines: bytes in, bytes and a Session out.
// The responder proves a static key that the initiator's configured authority has certified.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/result.h"
#include "base/time.h"
#include "noise/certificate.h"
#include "noise/keys.h"
#include "noise/session.h"

namespace adit::noise {

inline constexpr std::size_t kAct1Size = 64;   ///< The initiator's ephemeral key.
inline constexpr std::size_t kAct2Size = 234;  ///< 64 ephemeral, 80 sealed static key, 90 sealed certificate.

enum class Party { kInitiator, kResponder };

/// BIP324's v2_ecdh: what both sides know from the two encoded keys and either secret. `party` says whose secret it is.
Secret bip324_ecdh(std::span<const std::uint8_t, 64> initiator_key, std::span<const std::uint8_t, 64> responder_key,
                   const Secret& secret, Party party);

/// Noise's symmetric state: chaining key, handshake hash, cipher key. Internal to both engines.
class SymmetricState {
 public:
  SymmetricState();
  void mix_hash(Bytes data);
  void mix_key(Bytes shared_secret);
  /// Writes plain.size() + kMacSize bytes.
  void encrypt_and_hash(Bytes plain, std::uint8_t* to);
  [[nodiscard]] bool decrypt_and_hash(Bytes sealed, std::uint8_t* to);
  /// The transport keys: initiator to responder, responder to initiator.
  [[nodiscard]] std::pair<CipherState, CipherState> split() const;

  [[nodiscard]] Bytes chaining_key() const { return chaining_key_.bytes(); }
  [[nodiscard]] Bytes hash() const { return hash_; }

 private:
  Secret chaining_key_;
  std::array<std::uint8_t, 32> hash_;
  CipherState cipher_;
};

/// The client's side, for one connection.
class Initiator {
 public:
  /// `authority`: whom the server's certificate must come from; nullopt leaves the server unauthenticated.
  Initiator(std::optional<PublicKey> authority, const RandomSource& random);
  /// With a given ephemeral key; it must be used once only. For replayed transcripts.
  Initiator(std::optional<PublicKey> authority, EllSwiftKeyPair ephemeral);

  /// The first bytes to send.
  [[nodiscard]] const std::array<std::uint8_t, kAct1Size>& act1() const { return ephemeral_.encoded; }

  /// Takes the answer. May be called once; after an error this handshake is dead.
  /// Errors: kBadLength, kAuthentication, kWrongAuthority, kCertificateNotYetValid, kCertificateExpired, kDead.
  Result<Session> read_act2(Bytes act2, UnixTime now, std::uint32_t max_payload);

  /// What the server showed, once read_act2 has come to it; verified only if that succeeded and an authority was given.
  [[nodiscard]] const std::optional<Certificate>& certificate() const { return certificate_; }

 private:
  std::optional<PublicKey> authority_;
  std::optional<Certificate> certificate_;
  EllSwiftKeyPair ephemeral_;
  SymmetricState symmetric_;
  bool dead_ = false;
};

/// The server's side; stateless until act 1 has arrived whole, so one may serve any number of connections.
class Responder {
 public:
  struct Answer {
    std::array<std::uint8_t, kAct2Size> act2;
    Session session;
  };

  /// `key` as CertificateSource::current gave it for this connection.
  static Result<Answer> answer(Bytes act1, const CertifiedKey& key, const RandomSource& random, std::uint32_t max_payload);
  /// With a given ephemeral key, as above. Errors: kBadLength.
  static Result<Answer> answer(Bytes act1, const CertifiedKey& key, EllSwiftKeyPair ephemeral, std::uint32_t max_payload);
};

}  // namespace adit::noise
