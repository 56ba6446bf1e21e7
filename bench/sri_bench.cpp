// Ours beside SRI's crates on the same work, timed in turn in one run; the ratio is ours over theirs. SRI's side is `oracle
// bench` (tests/oracle/src/bench.rs), which takes the leanest way that each crate offers.
//
// What is compared, and where the work differs by design:
// - encode: header and payload of one message into a buffer that is there. SRI's is used up by encoding, so a copy is in it.
// - decode: a payload to views of it on both sides; SRI's lists are vectors of views.
// - seal, open: whole frames of one connection. SRI copies each frame between its buffers, as its interface has it.
// - handshake: from nothing to a session that can seal, authority checked. SRI makes and certifies a new static key for every
//   connection; ours serves many with one, renewed at half its validity (noise/certificate.h).
// - channels: one accepted share on a channel, from its decoded message to its account kept; no network, no encryption. Each
//   rolls its version, as miners in the field do, but for `not_rolled`: there ours hashes two blocks of three, the first being
//   the job's. `two`: of two that arrive together, which the pool's session hashes at once. `floor`: our hashing of one share
//   by itself, beside SRI's whole share: where that is above a third, no bookkeeping makes a single share three times as fast.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "bitcoin/hash.h"
#include "bitcoin/merkle.h"
#include "channels/channel.h"
#include "noise/handshake.h"
#include "oracle/oracle.h"
#include "timing.h"
#include "wire/messages.h"
#include "work.h"

namespace {

using namespace adit;
using namespace adit::bench;

constexpr int kRounds = 201;
// As many as on SRI's side, where a batch stays under a millisecond or two: most are not interrupted on a busy machine.
constexpr int kCodecCount = 1'000;
constexpr int kRecordCount = 100;
constexpr int kHandshakeCount = 1;
constexpr std::uint32_t kShareCount = 400;
constexpr Now kNow{Instant{}, UnixTime{std::chrono::seconds{kNtime}}};

class Comparison {
 public:
  explicit Comparison(bool json) : json_(json) {}

  /// `ours` times one batch and says what one operation took; SRI's is `sri_key` there, the same unless said.
  template <class Ours>
  void beside_sri(const std::string& key, const std::string& sri_key, Ours&& ours) {
    beside(key, ours, [&] { return sri_.time(sri_key); });
  }
  template <class Ours>
  void beside_sri(const std::string& key, Ours&& ours) {
    beside_sri(key, key, ours);
  }

  template <class Ours, class Other>
  void beside(const std::string& key, Ours&& ours, Other&& other) {
    std::vector<double> nanoseconds, ratios;
    ours();
    other();
    for (int round = rounds(kRounds); round > 0; --round) {
      nanoseconds.push_back(ours());
      ratios.push_back(nanoseconds.back() / other());
    }
    std::printf(json_ ? "{\"key\":\"%s\",\"value\":%.1f,\"unit\":\"ns\",\"ratio\":%.3f}\n" : "%s: %.1f ns, ratio %.3f\n",
                key.c_str(), median(nanoseconds), median(ratios));
    std::fflush(stdout);
  }

 private:
  bool json_;
  oracle::Oracle sri_{"bench"};
};

template <wire::Message M>
void codec(Comparison& comparison, const char* encode_key, const char* decode_key, const M& message) {
  wire::FrameBuffer frames;
  comparison.beside_sri(encode_key, [&] {
    return timed(kCodecCount, [&] {
      frames.clear();
      keep(message);
      frames.push(message);
      keep(frames);
    });
  });
  const Bytes payload = (*frames.begin()).payload;
  comparison.beside_sri(decode_key, [&] {
    return timed(kCodecCount, [&] {
      keep(payload);
      const auto decoded = wire::decode<M>(payload);
      if (!decoded) broken("a message does not decode");
      keep(*decoded);
    });
  });
}

struct Handshakes {
  noise::RandomSource random = noise::system_random();
  noise::AuthorityKeyPair authority = noise::AuthorityKeyPair::generate(random);
  noise::CertifiedKey key = noise::CertifiedKey::make(authority, kNow.unix_time, std::chrono::hours{1}, random);

  noise::Initiator initiator() { return {authority.public_key(), random}; }
  noise::Responder::Answer answer(const noise::Initiator& to) {
    auto answer = noise::Responder::answer(to.act1(), key, random, wire::kMaxPayload);
    if (!answer) broken("the responder refused a key");
    return std::move(*answer);
  }
  static noise::Session finish(noise::Initiator& initiator, const noise::Responder::Answer& answer) {
    auto session = initiator.read_act2(answer.act2, kNow.unix_time, wire::kMaxPayload);
    if (!session) broken("the initiator refused the answer");
    return std::move(*session);
  }
};

void handshake(Comparison& comparison) {
  Handshakes handshakes;
  comparison.beside_sri("noise.handshake.both", [&] {
    return timed(kHandshakeCount, [&] {
      auto initiator = handshakes.initiator();
      const auto answer = handshakes.answer(initiator);
      keep(Handshakes::finish(initiator, answer));
    });
  });
}

void records(Comparison& comparison, const char* seal_key, const char* open_key, const wire::FrameBuffer& frame) {
  Handshakes handshakes;
  auto initiator = handshakes.initiator();
  auto answer = handshakes.answer(initiator);
  auto client = Handshakes::finish(initiator, answer);
  wire::ByteBuffer sealed;
  comparison.beside_sri(seal_key, [&] {
    // A connection of its own for sealing alone: what is sealed here is opened by nobody.
    static_assert(std::is_nothrow_move_constructible_v<noise::Session>);
    auto other = handshakes.initiator();
    auto sealing = Handshakes::finish(other, handshakes.answer(other));
    return timed(kRecordCount, [&] {
      sealed.clear();
      if (!sealing.seal(frame, sealed)) broken("a frame was not sealed");
      keep(sealed);
    });
  });
  std::vector<wire::ByteBuffer> batch(kRecordCount);
  std::vector<wire::FrameView> frames;
  comparison.beside_sri(open_key, [&] {
    for (auto& record : batch) {
      record.clear();
      if (!client.seal(frame, record)) broken("a frame was not sealed");
    }
    auto next = batch.begin();
    return timed(kRecordCount, [&] {
      frames.clear();
      if (!answer.session.open((next++)->bytes(), frames) || frames.size() != 1) broken("a frame was lost");
      keep(frames);
    });
  });
}

/// Channels on one tip after another, as many shares on each: what SRI's side does too.
class Shares {
 public:
  /// `rolls`: every share has another version, as of miners that roll it (SRI's side always: it hashes every header whole).
  Shares(channels::ChannelKind kind, std::size_t merkle_path, bool rolls = true)
      : kind_(kind), merkle_path_(merkle_path), rolls_(rolls) {}

  /// Of one accepted share, each by itself, as the pool's session takes it.
  double engine() {
    return measure([this](channels::Channel& channel, const channels::Share& first, const channels::Share& second) {
      for (const auto* share : {&first, &second}) {
        channels::PreparedShare prepared;
        channel.prepare(jobs_, *share, kNow.unix_time, prepared);
        channels::hash(prepared);
        channel.judge(prepared, share->sequence_number);
        if (prepared.judged.verdict != channels::ShareVerdict::kAccepted) broken("a share was refused");
      }
    });
  }

  /// Of one of two accepted shares that arrive together, as the pool's session takes them.
  double engine_of_two() {
    return measure([this](channels::Channel& channel, const channels::Share& first, const channels::Share& second) {
      channels::PreparedShare one, two;
      channel.prepare(jobs_, first, kNow.unix_time, one);
      channel.prepare(jobs_, second, kNow.unix_time, two);
      channels::hash(one, two);
      channel.judge(one, first.sequence_number);
      channel.judge(two, second.sequence_number);
      if (one.judged.verdict != channels::ShareVerdict::kAccepted || two.judged.verdict != channels::ShareVerdict::kAccepted)
        broken("a share was refused");
    });
  }

 private:
  template <class Take>
  double measure(Take&& take) {
    next_tip();
    auto channel =
        channels::Channel::open({.kind = kind_, .id = 2, .nominal_hash_rate_hps = 1, .max_target = bitcoin::U256::max()},
                                "bench", std::move(*extranonces_.allocate()), policy_, kNow.instant);
    wire::FrameBuffer out;
    channel->start(*jobs_.current(), out);
    const auto share_of = [&](std::uint32_t n, channels::FullExtranonce& extranonce) {
      store_le(extranonce.data(), n);
      return channels::Share{.job_id = jobs_.current()->id,
                             .sequence_number = n,
                             .nonce = n,
                             .ntime = kNtime,
                             .version = kVersion | (rolls_ ? n << 5 & channels::kVersionRollingMask : 0),
                             .extranonce = Bytes(extranonce).first(channel->extranonce_size())};
    };
    channels::FullExtranonce first{}, second{};
    const auto start = Clock::now();
    for (std::uint32_t n = 0; n < kShareCount; n += 2) {
      take(*channel, share_of(n, first), share_of(n + 1, second));
      if (const auto batch = channel->take_acknowledgement()) keep(*batch);
    }
    return nanoseconds_since(start) / kShareCount;
  }

 public:
  /// The hashing of one share and nothing else: an extended channel's coinbase from the extranonce on, and its path; the
  /// header.
  double hashing() {
    next_tip();
    const channels::Job& job = *jobs_.current();
    std::array<std::uint8_t, bitcoin::kHeaderSize> header{};
    channels::FullExtranonce extranonce{};
    return timed(kShareCount, [&] {
      header[0] = static_cast<std::uint8_t>(header[0] + 1);
      if (kind_ == channels::ChannelKind::kExtended) {
        extranonce[8] = header[0];
        const auto root = bitcoin::fold_merkle_path(job.coinbase_id(extranonce), job.block_template->merkle_path);
        std::ranges::copy(root, header.begin() + 36);
      }
      keep(bitcoin::sha256d_header(header));
    });
  }

 private:
  void next_tip() {
    jobs_.add(*factory_.make(make_template(++templates_, merkle_path_)));
    extranonces_.on_new_tip();
  }

  channels::ChannelKind kind_;
  std::size_t merkle_path_;
  bool rolls_;
  // Shares per minute beyond all bounds make every hash a share; the network's target none a block.
  channels::ChannelPolicy policy_{.shares_per_minute = 1e18, .share_batch_size = 10};
  channels::ExtranonceAllocator extranonces_{{.server_id = 1}};
  channels::JobFactory factory_{{.payout_script = std::vector<std::uint8_t>(22, 0x14), .pool_signature = "bench"}};
  channels::JobSet jobs_;
  std::uint64_t templates_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  Comparison comparison(argc > 1 && std::string_view(argv[1]) == "--json");

  const std::vector<std::uint8_t> extranonce(8, 7), prefix(60, 1), suffix(120, 2);
  const std::vector<wire::U256> path(12);
  const wire::SubmitSharesExtended share{.channel_id = 1, .sequence_number = 2, .job_id = 3, .extranonce = extranonce};
  const wire::NewExtendedMiningJob job{.channel_id = 1,
                                       .job_id = 2,
                                       .min_ntime = 3,
                                       .merkle_path = path,
                                       .coinbase_tx_prefix = prefix,
                                       .coinbase_tx_suffix = suffix};
  codec(comparison, "wire.encode.submit_shares_extended", "wire.decode.submit_shares_extended", share);
  codec(comparison, "wire.encode.new_extended_mining_job", "wire.decode.new_extended_mining_job", job);

  wire::FrameBuffer share_frame, job_frame;
  share_frame.push(share);
  job_frame.push(job);
  records(comparison, "noise.seal.share", "noise.open.share", share_frame);
  records(comparison, "noise.seal.job", "noise.open.job", job_frame);
  handshake(comparison);

  Shares standard(channels::ChannelKind::kStandard, 0), not_rolled(channels::ChannelKind::kStandard, 0, /*rolls=*/false),
      empty_path(channels::ChannelKind::kExtended, 0), path_of_12(channels::ChannelKind::kExtended, 12);
  const auto channel = [&](const std::string& key, Shares& shares) {
    comparison.beside_sri(key, key, [&] { return shares.engine(); });
    comparison.beside_sri(key + ".two", key, [&] { return shares.engine_of_two(); });
    comparison.beside(key + ".hashing", [&] { return shares.engine(); }, [&] { return shares.hashing(); });
    // What no validator of ours can be faster than.
    comparison.beside_sri(key + ".floor", key, [&] { return shares.hashing(); });
  };
  channel("channels.standard", standard);
  comparison.beside_sri("channels.standard.not_rolled", "channels.standard", [&] { return not_rolled.engine(); });
  comparison.beside_sri("channels.standard.not_rolled.two", "channels.standard", [&] { return not_rolled.engine_of_two(); });
  channel("channels.extended.path_0", empty_path);
  channel("channels.extended.path_12", path_of_12);
}
