// What the Noise handshake and its records cost beside the primitives they cannot do without, timed in turn with them in the
// same run.
#include <sodium.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "noise/handshake.h"
#include "timing.h"
#include "wire/frame.h"

namespace {

using namespace adit;
using namespace adit::bench;

constexpr int kRounds = 41;
constexpr UnixTime kNow{std::chrono::seconds{1'700'000'000}};

struct Compared {
  double ours_ns, floor_ns, ratio;
};

/// Both in turn, so that a machine that slows down slows both; the median of each and of their ratios.
template <class Ours, class Floor>
Compared compare(int count, Ours&& ours, Floor&& floor) {
  std::vector<double> ours_ns, floor_ns, ratios;
  timed(count, ours);
  timed(count, floor);
  for (int round = 0; round < kRounds; ++round) {
    ours_ns.push_back(timed(count, ours));
    floor_ns.push_back(timed(count, floor));
    ratios.push_back(ours_ns.back() / floor_ns.back());
  }
  return {median(ours_ns), median(floor_ns), median(ratios)};
}

class Report {
 public:
  explicit Report(bool json) : json_(json) {}

  void row(const char* key, double value, const char* unit) const {
    std::printf(json_ ? "{\"key\":\"%s\",\"value\":%.2f,\"unit\":\"%s\",\"ratio\":null}\n" : "%s: %.2f %s\n", key, value, unit);
  }
  void row(const char* key, double value, const char* unit, double ratio) const {
    std::printf(json_ ? "{\"key\":\"%s\",\"value\":%.2f,\"unit\":\"%s\",\"ratio\":%.3f}\n" : "%s: %.2f %s, ratio %.3f\n", key,
                value, unit, ratio);
  }

 private:
  bool json_;
};

void handshake(const Report& report) {
  const auto random = noise::system_random();
  const auto authority = noise::AuthorityKeyPair::generate(random);
  const auto key = noise::CertifiedKey::make(authority, kNow, std::chrono::hours{1}, random);
  const auto peer = noise::EllSwiftKeyPair::generate(random);

  const auto floor = [&] {  // What either side needs: an ephemeral key and two shared secrets.
    const auto ephemeral = noise::EllSwiftKeyPair::generate(random);
    keep(noise::bip324_ecdh(peer.encoded, ephemeral.encoded, ephemeral.secret, noise::Party::kResponder));
    keep(noise::bip324_ecdh(peer.encoded, key.key.encoded, key.key.secret, noise::Party::kResponder));
  };
  const auto responder = compare(
      20,
      [&] {
        const auto answer = noise::Responder::answer(peer.encoded, key, random, wire::kMaxPayload);
        if (!answer) broken("the responder refused a key");
        keep(answer->act2);
      },
      floor);
  report.row("noise.handshake.responder", responder.ours_ns / 1000, "us", responder.ratio);

  // The initiator's own work: the responder's answer is made outside the timed part.
  std::vector<double> initiator_ns, ratios;
  for (int round = 0; round < kRounds * 10; ++round) {
    auto start = Clock::now();
    noise::Initiator initiator(authority.public_key(), random);
    auto spent = Clock::now() - start;
    const auto answer = noise::Responder::answer(initiator.act1(), key, random, wire::kMaxPayload);
    start = Clock::now();
    const auto session = initiator.read_act2(answer->act2, kNow, wire::kMaxPayload);
    spent += Clock::now() - start;
    if (!session) broken("the initiator refused the answer");
    initiator_ns.push_back(std::chrono::duration<double, std::nano>(spent).count());
    ratios.push_back(initiator_ns.back() / timed(1, floor));
  }
  report.row("noise.handshake.initiator", median(initiator_ns) / 1000, "us", median(ratios));
  report.row("noise.handshake.floor", responder.floor_ns / 1000, "us");
}

void record(const Report& report, const char* key, std::size_t size) {
  const auto random = noise::system_random();
  const auto authority = noise::AuthorityKeyPair::generate(random);
  const auto certified = noise::CertifiedKey::make(authority, kNow, std::chrono::hours{1}, random);
  noise::Initiator initiator(authority.public_key(), random);
  auto answer = noise::Responder::answer(initiator.act1(), certified, random, wire::kMaxPayload);
  auto client = initiator.read_act2(answer->act2, kNow, wire::kMaxPayload);
  if (!client) broken("no handshake");
  noise::Session& server = answer->session;

  wire::FrameBuffer frames;
  const std::vector<std::uint8_t> payload(size, 0x5a);
  frames.push_raw({.channel_message = true, .message_type = 0x1a}, payload);
  wire::ByteBuffer sealed;
  std::vector<wire::FrameView> received;

  // The same two records, sealed and opened in place, with nothing around them.
  std::array<std::uint8_t, 32> raw_key{1};
  std::uint64_t counter = 0;
  std::vector<std::uint8_t> raw(wire::kHeaderSize + size + 2 * noise::kMacSize);
  const auto raw_pass = [&](std::uint8_t* at, std::size_t plain) {
    std::array<std::uint8_t, 12> nonce{};
    store_le(nonce.data() + 4, counter++);
    crypto_aead_chacha20poly1305_ietf_encrypt(at, nullptr, at, plain, nullptr, 0, nullptr, nonce.data(), raw_key.data());
    if (crypto_aead_chacha20poly1305_ietf_decrypt(at, nullptr, nullptr, at, plain + noise::kMacSize, nullptr, 0, nonce.data(),
                                                  raw_key.data()) != 0) {
      broken("libsodium does not open what it sealed");
    }
  };
  const auto measured = compare(
      1000,
      [&] {
        sealed.clear();
        received.clear();
        if (!client->seal(frames, sealed) || !server.open(sealed.bytes(), received) || received.size() != 1)
          broken("a record was lost");
      },
      [&] {
        raw_pass(raw.data(), wire::kHeaderSize);
        raw_pass(raw.data() + wire::kHeaderSize + noise::kMacSize, size);
        keep(raw);
      });
  report.row(key, measured.ours_ns, "ns", measured.ratio);
}

}  // namespace

int main(int argc, char** argv) {
  const Report report(argc > 1 && std::string_view(argv[1]) == "--json");
  handshake(report);
  record(report, "noise.record.24", 24);
  record(report, "noise.record.64", 64);
  record(report, "noise.record.256", 256);
}
