// The record layer: frames sealed with ChaCha20-Poly1305 (SV2 04 §4.6).
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "noise/error.h"
#include "noise/keys.h"
#include "wire/frame.h"

namespace adit::noise {

inline constexpr std::size_t kMacSize = 16;
inline constexpr std::size_t kSealedHeaderSize = wire::kHeaderSize + kMacSize;
/// A payload is sealed in chunks of at most this many plain bytes, each followed by its MAC.
inline constexpr std::size_t kMaxChunk = 65535 - kMacSize;

/// How many bytes a payload of `plain` bytes takes sealed; an empty payload has no MAC.
constexpr std::size_t sealed_payload_size(std::size_t plain) { return plain + (plain + kMaxChunk - 1) / kMaxChunk * kMacSize; }

/// One direction's key and nonce (Noise's CipherState). Erased on destruction. The nonce counts up and cannot wrap.
class CipherState {
 public:
  CipherState() = default;
  explicit CipherState(Secret key, std::uint64_t nonce = 0) : key_(std::move(key)), nonce_(nonce) {}

  /// True if `count` more messages can be sealed or opened; 2^64 - 1 is never used as a nonce (Noise §5.1).
  [[nodiscard]] bool can(std::uint64_t count) const { return count <= kNonceEnd - nonce_; }

  /// Writes `plain.size() + kMacSize` bytes to `to`, which may be where `plain` is. Only if can(1).
  void seal(Bytes plain, Bytes associated, std::uint8_t* to);

  /// Decrypts `sealed` (at least kMacSize bytes) to `to`, which may be where `sealed` is. False if it does not
  /// authenticate: then the nonce stays and `to` holds nothing of use. Only if can(1).
  [[nodiscard]] bool open(Bytes sealed, Bytes associated, std::uint8_t* to);

  [[nodiscard]] const Secret& key() const { return key_; }

 private:
  static constexpr std::uint64_t kNonceEnd = ~std::uint64_t{0};
  Secret key_;
  std::uint64_t nonce_ = 0;
};

/// One side of an encrypted connection after its handshake. About 130 bytes; buffers are the caller's.
/// After any error it is dead for good: every later call returns kDead, so that no forged header can pair with a real payload.
class Session final : public wire::FrameCodec {
 public:
  /// `max_payload`: a frame that declares more is an error as soon as its header is open.
  Session(CipherState send, CipherState receive, std::uint32_t max_payload)
      : send_(std::move(send)), receive_(std::move(receive)), max_payload_(max_payload) {}
  Session(Session&& other) noexcept;  ///< Leaves `other` dead.
  Session& operator=(Session&& other) noexcept;

  /// Errors: kNonceExhausted, kDead.
  Result<> seal(const wire::FrameBuffer& frames, wire::ByteBuffer& out) override;
  /// Errors: kAuthentication, kNonceExhausted, kDead, wire::Errc::kFrameTooLarge.
  Result<std::size_t> open(MutableBytes received, std::vector<wire::FrameView>& frames) override;
  [[nodiscard]] std::size_t bytes_wanted() const override { return wanted_; }

  [[nodiscard]] bool dead() const { return dead_; }

 private:
  std::unexpected<Error> die(Error error);

  CipherState send_;
  CipherState receive_;
  wire::FrameHeader header_;  ///< Of the frame whose payload is awaited, if payload_awaited_.
  std::size_t wanted_ = kSealedHeaderSize;
  std::uint32_t max_payload_ = 0;
  bool payload_awaited_ = false;
  bool dead_ = false;
};

}  // namespace adit::noise
