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
#include "mining/channel_client.h"
#include "roles/miner/hasher.h"
#include "roles/miner/workers.h"
#include "sv1/client.h"
#include "wire/frame.h"

namespace adit::miner {

/// What a session tells the miner. Calls come from inside the session's functions; none may destroy it.
class SessionHandler {
 public:
  virtual ~SessionHandler() = default;
  /// From now on hash this instead of what came before.
  virtual void on_work(const HashWork& work) = 0;
  virtual void on_accepted(std::uint64_t shares) = 0;
  virtual void on_rejected(std::string_view code) = 0;
};

/// One channel of Stratum V2. The driver sends what `out` holds after each call.
class Sv2Session final : private mining::ChannelClientHandler {
 public:
  /// `handler` outlives the session.
  Sv2Session(mining::ChannelClientOptions options, SessionHandler& handler)
      : handler_(handler), client_(std::move(options), *this) {}
  Sv2Session(const Sv2Session&) = delete;
  Sv2Session& operator=(const Sv2Session&) = delete;

  /// As ChannelClient::open.
  Result<void> open(const session::Agreement& agreement, wire::FrameBuffer& out) { return client_.open(agreement, out); }
  /// As ChannelClient::on_frame.
  Result<void> on_frame(const wire::FrameView& frame, const Now& now) { return client_.on_frame(frame, now); }

  /// A thread found something. It is checked as the pool would check it; what the pool would refuse (stale, duplicate) is
  /// dropped.
  void on_solution(const Solution& solution, const Now& now, wire::FrameBuffer& out);

  /// As ChannelClient::stop. The last call.
  session::StratumV2StreamHandler stop(wire::FrameBuffer& out) { return client_.stop("shutdown", out); }

 private:
  void on_job(const channels::ClientJob& job) override;
  void on_accepted(std::uint64_t shares, std::optional<Duration>) override { handler_.on_accepted(shares); }
  void on_rejected(std::string_view code) override { handler_.on_rejected(code); }

  SessionHandler& handler_;
  mining::ChannelClient client_;
  std::array<std::uint8_t, 32> extranonce_{};  ///< Of the present work, on an extended channel.
  std::uint64_t work_id_ = 0;
  std::uint32_t work_job_id_ = 0;   ///< The job behind work_id_.
  std::uint32_t work_version_ = 0;  ///< The header's version in it.
};

/// A Stratum V1 connection. The driver writes what output() holds after each call, then clears it.
class Sv1Session final : sv1::ClientHandler {
 public:
  Sv1Session(std::string user, SessionHandler& handler);

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
