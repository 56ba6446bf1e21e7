// One connection of the miner as an engine: what came in, what to hash, what to send. No I/O.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "channels/client.h"
#include "roles/miner/hasher.h"
#include "roles/miner/workers.h"
#include "sv1/client.h"
#include "wire/frame.h"

namespace adit::miner {

/// Errors that end a connection of the miner.
enum class Errc {
  kRefused,        ///< The pool refused the connection, the channel or the user: the sentence has its words.
  kProtocol,       ///< The pool broke the protocol.
  kClosed,         ///< The pool closed the channel: dial again.
  kReconnect,      ///< It asked to be dialled anew: Sv2Session::reconnect says where.
  kConfiguration,  ///< Not to be mined for until somebody changes the configuration: do not dial again.
};
constexpr std::string_view error_layer(Errc) { return "miner"; }
std::string_view error_name(Errc code);

/// What a session tells the miner. Calls come from inside the session's functions; none may destroy it.
class SessionHandler {
 public:
  virtual ~SessionHandler() = default;
  /// From now on hash this instead of what came before.
  virtual void on_work(const HashWork& work) = 0;
  virtual void on_accepted(std::uint64_t shares) = 0;
  virtual void on_rejected(std::string_view code) = 0;
};

struct SessionOptions {
  std::string user;
  double nominal_hash_rate_hps = 0;  ///< What the channel is opened with.
  std::string endpoint_host;         ///< What was dialled (SetupConnection).
  std::uint16_t endpoint_port = 0;
  bool extended = false;      ///< An extended channel, of which this miner rolls the extranonce, instead of a standard one.
  bool regtest_only = false;  ///< The pool's authority key is one whose secret everybody has: believed on regtest alone.
};

/// One channel of Stratum V2. The driver sends what `out` holds after each call.
class Sv2Session {
 public:
  /// `handler` outlives the session.
  Sv2Session(SessionOptions options, SessionHandler& handler);

  /// Queues SetupConnection. Call once, when the connection stands.
  void start(wire::FrameBuffer& out);

  /// Errors: those of Errc, and of channels::ClientChannel: end the connection. Unknown messages and extensions, and messages
  /// for channels that are not ours, are ignored.
  Result<void> on_frame(const wire::FrameView& frame, wire::FrameBuffer& out);

  /// A thread found something. Checked as the pool would check it; what it would refuse (stale, duplicate) is dropped here.
  void on_solution(const Solution& solution, UnixTime now, wire::FrameBuffer& out);

  /// Where the Reconnect leads that a kReconnect error is about; empty host, port 0: the present ones.
  struct ReconnectRequest {
    std::string host;
    std::uint16_t port = 0;
  };
  [[nodiscard]] const ReconnectRequest& reconnect() const { return reconnect_; }

  /// Queues CloseChannel, if the channel is open.
  void stop(wire::FrameBuffer& out);

 private:
  template <class M>
  Result<void> on(const M& message, wire::FrameBuffer& out);
  template <class... Messages>
  Result<void> dispatch(const wire::FrameView& frame, wire::FrameBuffer& out);
  template <class M>
  Result<void> opened(const M& message);
  Result<void> hash(Result<const channels::ClientJob*> job);
  [[nodiscard]] bool is_ours(std::uint32_t channel_id) const { return channel_ && channel_->addressed_by(channel_id); }

  SessionOptions options_;
  SessionHandler& handler_;
  bool set_up_ = false;
  ReconnectRequest reconnect_;
  std::optional<channels::ClientChannel> channel_;
  std::array<std::uint8_t, 32> extranonce_{};  ///< Of the present work, on an extended channel.
  std::uint64_t work_id_ = 0;
  std::uint32_t work_job_id_ = 0;   ///< The job behind work_id_.
  std::uint32_t work_version_ = 0;  ///< The header's version in it.
  std::uint32_t next_sequence_number_ = 1;
};

/// A Stratum V1 connection. The driver writes what output() holds after each call, then clears it.
class Sv1Session final : sv1::ClientHandler {
 public:
  Sv1Session(SessionOptions options, SessionHandler& handler);

  void start() { client_.start(); }
  Result<void> receive(Bytes bytes) { return client_.receive(bytes); }
  void on_solution(const Solution& solution);
  [[nodiscard]] std::string& output() { return client_.output(); }

 private:
  void on_ready() override {}
  void on_work(std::shared_ptr<const sv1::Work> work) override;
  void on_submit_answer(std::uint64_t id, const sv1::RpcError* error) override;

  SessionHandler& handler_;
  std::uint64_t work_id_ = 0;
  std::shared_ptr<const sv1::Work> work_;
  sv1::Extranonce extranonce2_;
  sv1::Client client_;
};

}  // namespace adit::miner
