// Runs what this layer does with secrets under valgrind's memcheck, with every secret marked as undefined: a branch or an index
// that depends on one is then an error (the method of ctgrind). docs/noise.md says what is covered and what is not.
//
// `secrets_check` must run clean; `secrets_check leak` must not, which shows that the method works here.
#include <valgrind/memcheck.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "noise/handshake.h"
#include "noise/hash.h"
#include "wire/frame.h"

namespace {

using namespace adit;
using namespace adit::noise;

template <class T>
void hide(T& secret) {
  (void)VALGRIND_MAKE_MEM_UNDEFINED(&secret, sizeof secret);
}
/// What the peer gets to see is no secret any more.
void show(Bytes bytes) { (void)VALGRIND_MAKE_MEM_DEFINED(bytes.data(), bytes.size()); }

Secret hidden_secret(std::uint8_t first) {
  std::array<std::uint8_t, Secret::kSize> bytes;
  std::ranges::generate(bytes, [&] { return first++; });
  hide(bytes);
  return Secret(bytes);
}

/// Randomness for keys and signatures, as secret as they are. Its first 32 bytes are a valid key.
RandomSource hidden_random(std::uint8_t first) {
  return [next = first](MutableBytes out) mutable {
    for (auto& byte : out) byte = next++;
    (void)VALGRIND_MAKE_MEM_UNDEFINED(out.data(), out.size());
  };
}

EllSwiftKeyPair hidden_key(std::uint8_t first) {
  EllSwiftKeyPair key = EllSwiftKeyPair::generate(hidden_random(first));
  show(key.encoded);
  return key;
}

constexpr UnixTime kNow{std::chrono::seconds{1'700'000'000}};

void derive() {
  const Secret salt = hidden_secret(1), input = hidden_secret(2);
  Secret moved = hmac_sha256(salt.bytes(), input.bytes());
  moved = hidden_secret(3);
  const Secret copy = moved.copy();
  const auto [first, second] = hkdf2(copy.bytes(), input.bytes());
}

/// Both sides' keys and what follows from them.
void handshake() {
  const auto authority_pair = AuthorityKeyPair::from_secret(hidden_secret(0x21));
  if (!authority_pair) std::abort();
  const PublicKey authority = authority_pair->public_key();
  show(authority.x);

  CertifiedKey key{.key = hidden_key(0x31), .certificate = {}};
  key.certificate = Certificate::sign(*authority_pair, public_key_of(key.key.encoded), kNow, kNow + std::chrono::hours{1},
                                      hidden_random(0x41));
  show(key.certificate.signature);

  Initiator initiator(authority, hidden_key(0x51));
  auto answer = Responder::answer(initiator.act1(), key, hidden_key(0x61), wire::kMaxPayload);
  if (!answer) std::abort();
  show(answer->act2);

  // Records go out: only their lengths are public.
  wire::FrameBuffer frames;
  const std::vector<std::uint8_t> payload(1000, 0x77);
  frames.push_raw({.message_type = 1}, payload);
  wire::ByteBuffer sealed;
  if (!answer->session.seal(frames, sealed)) std::abort();
  show(sealed.bytes());

  auto client = initiator.read_act2(answer->act2, kNow, wire::kMaxPayload);
  if (!client) std::abort();
}

/// One record through the cipher both ways; Session::open reads a header, which is its peer's word and no secret of ours.
void records() {
  CipherState sending(hidden_secret(4)), receiving(hidden_secret(4));
  std::array<std::uint8_t, 100 + kMacSize> record{};
  hide(record);
  sending.seal(Bytes(record).first(100), {}, record.data());
  show(record);
  bool opened = receiving.open(record, {}, record.data());
  show({reinterpret_cast<const std::uint8_t*>(&opened), sizeof opened});
  if (!opened) std::abort();
}

void leak() {
  const Secret secret = hidden_secret(5);
  if (secret.data()[0] == 5) std::puts("a branch on a secret");
}

}  // namespace

int main(int argc, char** argv) {
  if (!RUNNING_ON_VALGRIND) {
    std::fputs("secrets_check says nothing unless it runs under valgrind\n", stderr);
    return 2;
  }
  if (argc > 1 && std::string_view(argv[1]) == "leak") {
    leak();
    return 0;
  }
  derive();
  handshake();
  records();
  std::puts("no branch and no index depended on a secret");
}
