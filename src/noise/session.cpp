#include "noise/session.h"

#include <algorithm>
#include <cstring>

#include <sodium.h>

namespace adit::noise {
namespace {

static_assert(crypto_aead_chacha20poly1305_ietf_KEYBYTES == Secret::kSize);
static_assert(crypto_aead_chacha20poly1305_ietf_ABYTES == kMacSize);

struct Nonce {
  explicit Nonce(std::uint64_t counter) {
    std::memset(bytes, 0, 4);
    store_le(bytes + 4, counter);
  }
  std::uint8_t bytes[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
};

/// How many messages a frame takes: its header and the chunks of its payload.
constexpr std::uint64_t messages_of(std::size_t payload) { return 1 + (payload + kMaxChunk - 1) / kMaxChunk; }

}  // namespace

void CipherState::seal(Bytes plain, Bytes associated, std::uint8_t* to) {
  const Nonce nonce(nonce_++);
  crypto_aead_chacha20poly1305_ietf_encrypt(to, nullptr, plain.data(), plain.size(), associated.data(), associated.size(),
                                            nullptr, nonce.bytes, key_.data());
}

bool CipherState::open(Bytes sealed, Bytes associated, std::uint8_t* to) {
  const Nonce nonce(nonce_);
  if (crypto_aead_chacha20poly1305_ietf_decrypt(to, nullptr, nullptr, sealed.data(), sealed.size(), associated.data(),
                                                associated.size(), nonce.bytes, key_.data()) != 0) {
    return false;
  }
  ++nonce_;
  return true;
}

Session::Session(Session&& other) noexcept { *this = std::move(other); }

Session& Session::operator=(Session&& other) noexcept {
  if (this == &other) return *this;
  send_ = std::move(other.send_);
  receive_ = std::move(other.receive_);
  header_ = other.header_;
  wanted_ = other.wanted_;
  max_payload_ = other.max_payload_;
  payload_awaited_ = other.payload_awaited_;
  dead_ = std::exchange(other.dead_, true);  // Its keys are gone: sealing with what is left would be no encryption.
  return *this;
}

std::unexpected<Error> Session::die(Error error) {
  dead_ = true;
  send_ = CipherState();
  receive_ = CipherState();
  return fail(std::move(error));
}

Result<> Session::seal(const wire::FrameBuffer& frames, wire::ByteBuffer& out) {
  if (dead_) return fail(Errc::kDead, "this encrypted session has ended");
  std::size_t total = 0;
  std::uint64_t messages = 0;
  for (const wire::FrameView frame : frames) {
    total += kSealedHeaderSize + sealed_payload_size(frame.payload.size());
    messages += messages_of(frame.payload.size());
  }
  if (!send_.can(messages))
    return die({Errc::kNonceExhausted, "this session has sent all it can under one key: connect again"});
  if (total == 0) return {};
  std::uint8_t* to = out.extend(total).data();
  const Bytes plain = frames.bytes();
  for (const std::uint8_t* at = plain.data(); at != plain.data() + plain.size();) {
    std::size_t left = wire::load_u24(at + 3);
    send_.seal({at, wire::kHeaderSize}, {}, to);
    at += wire::kHeaderSize;
    to += kSealedHeaderSize;
    while (left != 0) {
      const std::size_t chunk = std::min(left, kMaxChunk);
      send_.seal({at, chunk}, {}, to);
      at += chunk;
      to += chunk + kMacSize;
      left -= chunk;
    }
  }
  return {};
}

Result<std::size_t> Session::open(MutableBytes received, std::vector<wire::FrameView>& frames) {
  if (dead_) return fail(Errc::kDead, "this encrypted session has ended");
  std::uint8_t* at = received.data();
  std::size_t left = received.size();
  for (;;) {
    if (left < wanted_) return received.size() - left;
    if (!payload_awaited_) {
      if (!receive_.can(1)) return die({Errc::kNonceExhausted, "this session has received all it can under one key"});
      if (!receive_.open({at, kSealedHeaderSize}, {}, at)) {
        return die(
            {Errc::kAuthentication, "a frame's header does not authenticate: it was tampered with, repeated or damaged"});
      }
      header_ = wire::decode_header(at);
      if (header_.length > max_payload_) return die(wire::frame_too_large(header_, max_payload_).error());
      at += kSealedHeaderSize;
      left -= kSealedHeaderSize;
      wanted_ = sealed_payload_size(header_.length);
      payload_awaited_ = true;
      continue;
    }
    if (!receive_.can(messages_of(header_.length) - 1)) {
      return die({Errc::kNonceExhausted, "this session has received all it can under one key"});
    }
    // Chunk by chunk in place, each moved down to the end of the one before it, over their MACs.
    std::uint8_t* const payload = at;
    std::uint8_t* to = at;
    for (std::size_t plain_left = header_.length; plain_left != 0;) {
      const std::size_t chunk = std::min<std::size_t>(plain_left, kMaxChunk);
      if (!receive_.open({at, chunk + kMacSize}, {}, at)) {
        return die({Errc::kAuthentication, "a frame's payload does not authenticate: it was tampered with or damaged"});
      }
      if (to != at) std::memmove(to, at, chunk);
      to += chunk;
      at += chunk + kMacSize;
      plain_left -= chunk;
    }
    frames.push_back({header_, Bytes(payload, header_.length)});
    left -= wanted_;
    wanted_ = kSealedHeaderSize;
    payload_awaited_ = false;
  }
}

}  // namespace adit::noise
