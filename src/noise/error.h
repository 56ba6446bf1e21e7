// Errors of the noise layer.
#pragma once

#include <string_view>

namespace adit::noise {

enum class Errc {
  kBadKey,                  ///< A key's text or bytes are no key.
  kBadLength,               ///< A handshake message of the wrong size.
  kAuthentication,          ///< Decryption failed: tampered, replayed, out of order, or the peer does not speak this protocol.
  kCertificateVersion,      ///< A certificate of a format that is not known here.
  kWrongAuthority,          ///< The certificate was not signed by the configured authority.
  kCertificateNotYetValid,  ///< The message says by how many seconds the clocks differ.
  kCertificateExpired,      ///< As above.
  kNonceExhausted,          ///< 2^64 - 1 messages were sealed or opened under one key.
  kDead,                    ///< An earlier error ended this session or handshake.
};

constexpr std::string_view error_layer(Errc) { return "noise"; }
constexpr bool error_is_usage(Errc code) { return code == Errc::kBadKey; }
constexpr std::string_view error_name(Errc code) {
  switch (code) {
    case Errc::kBadKey:
      return "bad-key";
    case Errc::kBadLength:
      return "bad-length";
    case Errc::kAuthentication:
      return "authentication";
    case Errc::kCertificateVersion:
      return "certificate-version";
    case Errc::kWrongAuthority:
      return "wrong-authority";
    case Errc::kCertificateNotYetValid:
      return "certificate-not-yet-valid";
    case Errc::kCertificateExpired:
      return "certificate-expired";
    case Errc::kNonceExhausted:
      return "nonce-exhausted";
    case Errc::kDead:
      return "dead";
  }
  return "unknown";
}

}  // namespace adit::noise
