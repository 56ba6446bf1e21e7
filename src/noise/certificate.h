// Certificates: an authority's signature over a server's static key and its time of validity (SV2 04 §4.5.3), or over an iroh
// endpoint (docs/lanes.md §3).
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/result.h"
#include "base/time.h"
#include "noise/keys.h"

namespace adit::noise {

/// How far the clocks of both sides may differ, as in SRI.
inline constexpr std::chrono::seconds kClockLeeway{10};

/// SIGNATURE_NOISE_MESSAGE.
struct Certificate {
  static constexpr std::size_t kSize = 74;

  std::uint16_t version = 0;          ///< 0, as SRI sends.
  std::uint32_t valid_from = 0;       ///< Unix seconds.
  std::uint32_t not_valid_after = 0;  ///< Unix seconds.
  std::array<std::uint8_t, 64> signature{};

  static Certificate decode(std::span<const std::uint8_t, kSize> from);
  void encode(std::span<std::uint8_t, kSize> to) const;

  /// Signs `server_key` for [valid_from, not_valid_after].
  static Certificate sign(const AuthorityKeyPair& authority, const PublicKey& server_key, UnixTime valid_from,
                          UnixTime not_valid_after, const RandomSource& random);

  /// Errors: kCertificateVersion; kWrongAuthority; kCertificateNotYetValid, kCertificateExpired with the difference of the
  /// clocks in seconds, if `now` is outside the validity by more than `leeway`.
  [[nodiscard]] Result<> verify(const PublicKey& authority, const PublicKey& server_key, UnixTime now,
                                std::chrono::seconds leeway = kClockLeeway) const;
};

/// The x-only key that 64 bytes of EllSwift encode; any 64 bytes encode one.
PublicKey public_key_of(std::span<const std::uint8_t, 64> encoded);

/// A server's static key with its certificate. Immutable; shared by handshakes.
struct CertifiedKey {
  EllSwiftKeyPair key;
  Certificate certificate;

  /// A fresh static key, certified from a minute before `now` (for peers whose clock is behind and that know no leeway) until
  /// `validity` after it.
  static CertifiedKey make(const AuthorityKeyPair& authority, UnixTime now, std::chrono::seconds validity,
                           const RandomSource& random);
};

/// What a listener asks for the certified key of each new connection; renewed at half its validity. One per shard: not
/// thread-safe.
class CertificateSource {
 public:
  /// `validity`: `cert_validity_sec`, at least 2 s.
  CertificateSource(AuthorityKeyPair authority, std::chrono::seconds validity, RandomSource random);

  /// The key to use now; makes a new one (about 0.1 ms) when the last one has passed half its validity, or the clock went back
  /// before its start.
  std::shared_ptr<const CertifiedKey> current(UnixTime now);

  [[nodiscard]] const PublicKey& authority() const { return authority_.public_key(); }

 private:
  AuthorityKeyPair authority_;
  std::chrono::seconds validity_;
  RandomSource random_;
  std::shared_ptr<const CertifiedKey> current_;
  UnixTime made_at_{};
};

/// The authority's word that an iroh endpoint speaks for it, in place of Noise's certificate where QUIC encrypts already. The
/// id is signed and not carried: the verifier puts in the one that TLS has proved.
struct EndpointCertificate {
  /// The longest validity that a verifier accepts: a certificate cannot be taken back.
  static constexpr std::chrono::seconds kMaxValidity{3600};

  std::uint16_t version = 0;
  std::uint32_t valid_from = 0;       ///< Unix seconds.
  std::uint32_t not_valid_after = 0;  ///< Unix seconds.
  std::array<std::uint8_t, 64> signature{};

  /// Signs for `endpoint_id`, for sessions of `protocol` (SetupConnection's number).
  static EndpointCertificate sign(const AuthorityKeyPair& authority, std::span<const std::uint8_t, 32> endpoint_id,
                                  std::uint8_t protocol, UnixTime valid_from, UnixTime not_valid_after,
                                  const RandomSource& random);

  /// Errors: as Certificate::verify; kWrongAuthority also if it was signed for another endpoint or protocol;
  /// kCertificateVersion also if it is valid for longer than kMaxValidity.
  [[nodiscard]] Result<> verify(const PublicKey& authority, std::span<const std::uint8_t, 32> endpoint_id,
                                std::uint8_t protocol, UnixTime now, std::chrono::seconds leeway = kClockLeeway) const;
};

/// The certificate of one endpoint and protocol, renewed at half its validity. One per shard: not thread-safe.
class EndpointCertificateSource {
 public:
  /// `validity` is taken down to what verifiers accept.
  EndpointCertificateSource(AuthorityKeyPair authority, std::span<const std::uint8_t, 32> endpoint_id, std::uint8_t protocol,
                            std::chrono::seconds validity, RandomSource random);

  /// The one to show now; signs a new one when the last one has passed half its validity, or the clock went back before it.
  const EndpointCertificate& current(UnixTime now);

 private:
  AuthorityKeyPair authority_;
  std::array<std::uint8_t, 32> endpoint_id_{};
  std::uint8_t protocol_;
  std::chrono::seconds validity_;
  RandomSource random_;
  std::optional<EndpointCertificate> current_;
  UnixTime made_at_{};
};

}  // namespace adit::noise
