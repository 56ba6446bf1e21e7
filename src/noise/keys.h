// Secret and public keys of secp256k1 as SV2 uses them, and their text.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "noise/error.h"

namespace adit::noise {

/// Fills the bytes it is given with randomness fit for keys. An argument everywhere, so that a test's transcript repeats.
using RandomSource = std::function<void(MutableBytes)>;

/// The operating system's (libsodium's) generator; safe on any thread.
RandomSource system_random();

/// 32 secret bytes. Moves only; the bytes are erased on destruction and where they were moved from.
class Secret {
 public:
  static constexpr std::size_t kSize = 32;

  Secret() = default;  ///< All zero: no key.
  explicit Secret(std::span<const std::uint8_t, kSize> bytes);
  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret();

  /// A second holder of the same bytes; said out loud, because each must be erased.
  [[nodiscard]] Secret copy() const { return Secret(bytes_); }
  [[nodiscard]] const std::uint8_t* data() const { return bytes_.data(); }
  [[nodiscard]] std::uint8_t* data() { return bytes_.data(); }
  [[nodiscard]] Bytes bytes() const { return bytes_; }

 private:
  std::array<std::uint8_t, kSize> bytes_{};
};

/// An x-only public key (BIP340).
struct PublicKey {
  std::array<std::uint8_t, 32> x{};
  friend bool operator==(const PublicKey&, const PublicKey&) = default;
};

/// The authority that signs the certificates of a pool's servers (SV2 04 §4.7).
class AuthorityKeyPair {
 public:
  static AuthorityKeyPair generate(const RandomSource& random);
  /// kBadKey if `secret` is zero or not below the group's order.
  static Result<AuthorityKeyPair> from_secret(Secret secret);

  [[nodiscard]] const Secret& secret() const { return secret_; }
  [[nodiscard]] const PublicKey& public_key() const { return public_key_; }

 private:
  AuthorityKeyPair(Secret secret, const PublicKey& public_key) : secret_(std::move(secret)), public_key_(public_key) {}
  Secret secret_;
  PublicKey public_key_;
};

/// A key pair with the EllSwift encoding of its public key: a Noise static or ephemeral key.
struct EllSwiftKeyPair {
  Secret secret;
  std::array<std::uint8_t, 64> encoded{};

  /// Draws 32 bytes for the secret (again while they are no valid key), then 32 for the encoding.
  static EllSwiftKeyPair generate(const RandomSource& random);
};

/// base58check of [1, 0] and the key: `9auqWEzQ...`, as in `authority_public_key` and in URLs.
std::string to_text(const PublicKey& key);
/// kBadKey with what is wrong: no base58check, wrong prefix or length, no point of the curve.
Result<PublicKey> parse_public_key(std::string_view text);

/// SRI's `authority_secret_key`: base58check of the 32 bytes, without a prefix. The text is a secret.
std::string to_text(const Secret& key);
/// kBadKey; the message does not repeat the text.
Result<Secret> parse_secret_key(std::string_view text);

}  // namespace adit::noise
