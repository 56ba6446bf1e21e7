// A peer of the pool for attack tests: a blocking socket, Noise by hand, so that what goes on the wire can be anything.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"
#include "channels/client.h"
#include "noise/handshake.h"
#include "wire/messages.h"
#include "wire/tlv.h"

namespace adit::attack {

/// How long anything may take; generous, for busy machines.
inline constexpr std::chrono::seconds kPatience{60};

/// A received frame, with its bytes.
struct Frame {
  wire::FrameHeader header;
  std::vector<std::uint8_t> payload;
  [[nodiscard]] wire::FrameView view() const { return {header, Bytes(payload)}; }
};

/// How much the systems of both ends buffer for a connection. Little: segments of 536 bytes keep the sender's buffer small too.
enum class Buffers : std::uint8_t { kUsual, kSmall };

/// One TCP connection to loopback. Nothing throws; what failed is told by the return value.
class Peer {
 public:
  /// `from`: its own address, of 127.0.0.0/8; 0: 127.0.0.1.
  explicit Peer(std::uint16_t port, std::uint32_t from = 0, Buffers buffers = Buffers::kUsual)
      : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (buffers == Buffers::kSmall) {
      const int segment = 536;
      const int room = 4096;
      ::setsockopt(fd_, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
      ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    }
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int one = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    sockaddr_in own{};
    own.sin_family = AF_INET;
    own.sin_addr.s_addr = htonl(from);
    if (from != 0 && ::bind(fd_, reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0) close();
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) close();
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  ~Peer() { close(); }

  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

  /// Bytes as they are. False once the other end is gone.
  bool send_raw(Bytes bytes) {
    while (!bytes.empty()) {
      const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes = bytes.subspan(static_cast<std::size_t>(sent));
    }
    return true;
  }

  /// The Noise handshake as the client, by a clock that is `skew` ahead; the error of it.
  Result<void> handshake(std::optional<noise::PublicKey> authority, std::chrono::seconds skew = {}) {
    noise::Initiator initiator(authority, noise::system_random());
    if (!send_raw(initiator.act1())) return fail(wire::Errc::kTruncated, "the connection ended");
    std::array<std::uint8_t, noise::kAct2Size> act2;
    std::size_t read = 0;
    while (read < act2.size()) {
      const auto got = receive_some(act2.data() + read, act2.size() - read);
      if (got == 0) return fail(wire::Errc::kTruncated, "the connection ended");
      read += got;
    }
    auto session = initiator.read_act2(act2, now_from_system().unix_time + skew, wire::kMaxPayload);
    if (!session) return fail(std::move(session.error()));
    codec_ = std::make_unique<noise::Session>(std::move(*session));
    return {};
  }

  /// `frames` as they go on the wire, sealed once: whoever sends it twice replays it.
  std::vector<std::uint8_t> seal(const wire::FrameBuffer& frames) {
    wire::ByteBuffer sealed;
    if (!codec_->seal(frames, sealed)) return {};
    return {sealed.bytes().begin(), sealed.bytes().end()};
  }

  template <class M>
  bool send(const M& message, Bytes tlvs = {}) {
    wire::FrameBuffer out;
    return out.push(message, tlvs) && send_raw(seal(out));
  }

  /// The next frame; nullopt at the end of the stream, or after kPatience.
  std::optional<Frame> receive() {
    for (;;) {
      if (next_ < frames_.size()) return std::move(frames_[next_++]);
      std::array<std::uint8_t, 16384> bytes;
      const auto got = receive_some(bytes.data(), bytes.size());
      if (got == 0) return std::nullopt;
      received_.insert(received_.end(), bytes.begin(), bytes.begin() + got);
      std::vector<wire::FrameView> views;
      const auto used = codec_->open(received_, views);
      frames_.clear();
      next_ = 0;
      for (const auto& view : views) frames_.push_back({view.header, {view.payload.begin(), view.payload.end()}});
      if (!used) return std::nullopt;
      received_.erase(received_.begin(), received_.begin() + static_cast<std::ptrdiff_t>(*used));
    }
  }

  /// All bytes until the other end closes, as they come.
  std::string rest() {
    std::string text;
    std::array<std::uint8_t, 16384> bytes;
    while (const auto got = receive_some(bytes.data(), bytes.size())) {
      text.append(reinterpret_cast<const char*>(bytes.data()), got);
    }
    return text;
  }

  /// Reads until the other end closes; false if it did not within kPatience.
  bool ends() {
    std::array<std::uint8_t, 16384> bytes;
    while (receive_some(bytes.data(), bytes.size()) != 0) {
    }
    return !timed_out_;
  }

 private:
  /// 0 at the end of the stream, or after kPatience.
  std::size_t receive_some(std::uint8_t* to, std::size_t size) {
    pollfd wanted{.fd = fd_, .events = POLLIN, .revents = 0};
    if (::poll(&wanted, 1, static_cast<int>(std::chrono::milliseconds(kPatience).count())) <= 0) {
      timed_out_ = true;
      return 0;
    }
    const auto got = ::recv(fd_, to, size, 0);
    return got > 0 ? static_cast<std::size_t>(got) : 0;
  }

  int fd_;
  bool timed_out_ = false;
  std::unique_ptr<noise::Session> codec_;
  std::vector<std::uint8_t> received_;
  std::vector<Frame> frames_;
  std::size_t next_ = 0;
};

/// A peer that mines: one connection, one extended or standard channel that follows what it is sent.
class Miner {
 public:
  Miner(std::uint16_t port, noise::PublicKey authority, std::uint32_t from = 0, Buffers buffers = Buffers::kUsual)
      : peer(port, from, buffers), authority_(authority) {}

  /// Connects and opens a channel on which one of `hashes_per_share` hashes is a share. "" or what went wrong.
  std::string start(std::string user, bool extended, float hashes_per_share, std::uint32_t flags = 0) {
    if (auto shaken = peer.handshake(authority_); !shaken) return shaken.error().message();
    if (!peer.send(wire::SetupConnection{
            .protocol = std::to_underlying(wire::Protocol::kMining), .min_version = 2, .max_version = 2, .flags = flags})) {
      return "the connection ended";
    }
    if (!until([](const Frame& frame) { return frame.header.is<wire::SetupConnectionSuccess>(); })) return "not set up";
    if (!worker.empty()) {
      const std::array<std::uint16_t, 1> wanted = {wire::kWorkerTracking};
      peer.send(wire::RequestExtensions{.request_id = 1, .requested_extensions = wanted});
      if (!until([](const Frame& frame) { return frame.header.is<wire::RequestExtensionsSuccess>(); })) return "no workers";
    }
    return open(std::move(user), extended, hashes_per_share);
  }

  /// Another channel, which takes the place of the one before in what follows.
  std::string open(std::string user, bool extended, float hashes_per_share) {
    channel_.reset();
    wire::U256 easiest;
    easiest.fill(0xff);
    const float rate = hashes_per_share / 10;  // At six shares a minute.
    const bool sent = extended ? peer.send(wire::OpenExtendedMiningChannel{
                                     .user_identity = user, .nominal_hash_rate = rate, .max_target = easiest})
                               : peer.send(wire::OpenStandardMiningChannel{
                                     .user_identity = user, .nominal_hash_rate = rate, .max_target = easiest});
    refusal_.clear();
    if (!sent || !until([&](const Frame&) { return !refusal_.empty() || (channel_ && channel_->current() != nullptr); })) {
      return "no channel";
    }
    return refusal_;
  }

  /// A share of `job` (default: the current one) that meets its target and was not tried before.
  channels::Share mine(const channels::ClientJob* job = nullptr) {
    if (job == nullptr) job = channel_->current();
    channels::Share share{.job_id = job->id,
                          .sequence_number = ++sequence_,
                          .nonce = nonce_,
                          .ntime = job->ntime,
                          .version = job->rules.version,
                          .extranonce = Bytes(kExtranonce).first(channel_->extranonce_size())};
    const auto root = job->merkle_root(share.extranonce);
    while (bitcoin::U256::from_le(bitcoin::sha256d_header(channels::share_header(job->rules, share, root))) > job->target) {
      ++share.nonce;
    }
    nonce_ = share.nonce + 1;
    return share;
  }

  bool send(const channels::Share& share) {
    if (channel_->extranonce_size() == 0) {
      return peer.send(wire::SubmitSharesStandard{.channel_id = channel_->id(),
                                                  .sequence_number = share.sequence_number,
                                                  .job_id = share.job_id,
                                                  .nonce = share.nonce,
                                                  .ntime = share.ntime,
                                                  .version = share.version});
    }
    wire::ByteBuffer fields;
    if (!worker.empty()) append_tlv(fields, wire::kWorkerTracking, wire::kUserIdentityField, as_bytes(worker));
    return peer.send(wire::SubmitSharesExtended{.channel_id = channel_->id(),
                                                .sequence_number = share.sequence_number,
                                                .job_id = share.job_id,
                                                .nonce = share.nonce,
                                                .ntime = share.ntime,
                                                .version = share.version,
                                                .extranonce = share.extranonce},
                     fields.bytes());
  }

  /// Sends it and waits for its answer: "accepted", the error code, or "ended".
  std::string submit(channels::Share share) {
    share.sequence_number = ++sequence_;
    std::string answer = "ended";
    if (!send(share)) return answer;
    until([&](const Frame& frame) {
      if (const auto success = frame.view().as<wire::SubmitSharesSuccess>()) {
        if (success->last_sequence_number != share.sequence_number) return false;
        answer = "accepted";
        return true;
      }
      const auto error = frame.view().as<wire::SubmitSharesError>();
      if (!error || error->sequence_number != share.sequence_number) return false;
      answer = std::string(error->error_code.view());
      return true;
    });
    return answer;
  }

  /// Follows what comes until a frame for which `done`, which is handled too; false at the end.
  bool until(const std::function<bool(const Frame&)>& done) {
    while (auto frame = peer.receive()) {
      follow(*frame);
      if (done(*frame)) return true;
    }
    return false;
  }

  [[nodiscard]] channels::ClientChannel& channel() { return *channel_; }
  /// The coinbase up to what the miner varies: no two channels may have the same.
  [[nodiscard]] std::vector<std::uint8_t> search_space() const {
    const auto& job = *channel_->current();
    std::vector<std::uint8_t> space = job.work->coinbase_prefix;
    space.insert(space.end(), job.prefix().begin(), job.prefix().end());
    return space;
  }

  Peer peer;
  std::string worker;  ///< If set before start(): extended shares name it (extension 0x0002).

 private:
  void follow(const Frame& frame) {
    const auto view = frame.view();
    if (const auto opened = view.as<wire::OpenStandardMiningChannelSuccess>()) channel_.emplace(*opened);
    if (const auto opened_extended = view.as<wire::OpenExtendedMiningChannelSuccess>()) channel_.emplace(*opened_extended);
    if (const auto refused = view.as<wire::OpenMiningChannelError>()) refusal_ = std::string(refused->error_code.view());
    if (!channel_) return;
    if (const auto job = view.as<wire::NewMiningJob>(); job && channel_->addressed_by(job->channel_id)) {
      (void)channel_->on_new_mining_job(*job);
    }
    if (const auto job = view.as<wire::NewExtendedMiningJob>(); job && channel_->addressed_by(job->channel_id)) {
      (void)channel_->on_new_extended_mining_job(*job, channels::copy_work(*job));
    }
    if (const auto tip = view.as<wire::SetNewPrevHash>(); tip && channel_->addressed_by(tip->channel_id)) {
      (void)channel_->on_set_new_prev_hash(*tip);
    }
    if (const auto target = view.as<wire::SetTarget>(); target && target->channel_id == channel_->id()) {
      channel_->on_set_target(bitcoin::U256::from_le(target->maximum_target));
    }
  }

  noise::PublicKey authority_;
  std::optional<channels::ClientChannel> channel_;
  std::string refusal_;
  std::uint32_t sequence_ = 0;
  std::uint32_t nonce_ = 0;
  /// What every miner rolls, as only nonces vary here; outlives each of them, as shares do.
  static constexpr std::array<std::uint8_t, 32> kExtranonce{};
};

}  // namespace adit::attack
