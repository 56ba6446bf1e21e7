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
#include "net/shares.h"
#include "roles/miner/hasher.h"
#include "roles/miner/workers.h"
#include "sv1/client.h"
#include "wire/common_messages.h"
#include "wire/frame.h"
#include "wire/mining_messages.h"

namespace adit::miner {

/// Errors that end a connection of the miner.
enum class Errc {
  kRefused,        ///< The pool refused the connection, the channel or the user: the sentence has its words.
  kProtocol,       ///< The pool broke the protocol.
  kClosed,         ///< The pool closed the channel: dial again.
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
  bool extended = false;      ///< An extended channel, of which this miner rolls the extranonce, instead of a standard one.
  bool regtest_only = false;  ///< The pool's authority key is one whose secret everybody has: believed on regtest alone.
};

/// One channel of Stratum V2, from the answer to SetupConnection on. The driver sends what `out` holds after each call.
class Sv2Session {
 public:
  /// `handler` outlives the session.
  Sv2Session(SessionOptions options, SessionHandler& handler);

  /// What SetupConnection has to ask for.
  static std::uint32_t setup_flags(bool extended) { return extended ? 0 : wire::kRequiresStandardJobs; }

  /// Errors: those of Errc, and of channels::ClientChannel: end the connection. Unknown messages and extensions, and messages
  /// for channels that are not ours, are ignored.
  Result<void> on_frame(const wire::FrameView& frame, const Now& now, wire::FrameBuffer& out);

  /// A thread found something. Checked as the pool would check it; what it would refuse (stale, duplicate) is dropped here.
  void on_solution(const Solution& solution, const Now& now, wire::FrameBuffer& out);

  /// Queues CloseChannel, if the channel is open, and hands over the shares whose answers may still come. The last call.
  net::StratumV2StreamHandler stop(wire::FrameBuffer& out);

 private:
  template <class M>
  Result<void> on(const M& message, const Now& now, wire::FrameBuffer& out);
  template <class... Messages>
  Result<void> dispatch(const wire::FrameView& frame, const Now& now, wire::FrameBuffer& out);
  template <class M>
  Result<void> opened(const M& message);
  Result<void> hash(Result<const channels::ClientJob*> job);
  [[nodiscard]] bool is_ours(std::uint32_t channel_id) const { return channel_ && channel_->addressed_by(channel_id); }

  SessionOptions options_;
  SessionHandler& handler_;
  bool set_up_ = false;
  std::optional<channels::ClientChannel> channel_;
  std::array<std::uint8_t, 32> extranonce_{};  ///< Of the present work, on an extended channel.
  std::uint64_t work_id_ = 0;
  std::uint32_t work_job_id_ = 0;   ///< The job behind work_id_.
  std::uint32_t work_version_ = 0;  ///< The header's version in it.
  net::StratumV2StreamHandler shares_;
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
