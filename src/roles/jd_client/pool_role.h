// What the job declarator client is to the uplink of its pools: its engine's side towards them.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "net/transport_config.h"
#include "roles/jd_client/engine.h"
#include "upstream/mining_role.h"

namespace adit::jd_client {

/// One upstream: a pool, and the declarator that works for it.
struct UpstreamTarget {
  net::Peer pool;
  net::Peer declarator;
  std::string user_identity;  ///< At most 255 bytes.
  bool regtest_only = false;  ///< The pool's authority key is one whose secret everybody has.
  bool goodbye = false;       ///< Ask for extension 0x4AD1 over TCP too; over iroh it is always asked for.
};

class PoolRole final : public upstream::MiningRole {
 public:
  /// What the role tells its owner.
  class Owner {
   public:
    virtual ~Owner() = default;
    /// A session with the pool of that upstream is used from now on.
    virtual void on_pool_begun(std::size_t candidate) = 0;
    virtual void on_pool_ended() = 0;
    /// The engine has something to send.
    virtual void on_output() = 0;
    /// Of all miners, hashes per second.
    [[nodiscard]] virtual double hash_rate_hps() const = 0;
  };

  /// `targets`, `engine` and `owner` outlive it.
  PoolRole(const std::vector<UpstreamTarget>& targets, Engine& engine, Owner& owner)
      : targets_(targets), engine_(engine), owner_(owner) {}

  /// Our node knows another tip: shares that are on their way are late by nobody's fault.
  void on_new_tip(const Now& now) { on_own_change(now); }

  Result<void> on_tick(const Now& now) override { return engine_.on_tick(owner_.hash_rate_hps(), now); }
  void on_adit_extension() override { engine_.on_adit_extension(); }
  wire::FrameBuffer& output() override { return engine_.pool_output(); }
  void flush() override { owner_.on_output(); }
  void on_lost(const net::Peer& peer, const Error& why) override;
  void on_attempt_failed(const net::Peer& peer, const Error& why) override;
  void on_unusable(const Error& why) override;

 private:
  Result<void> begin_mining(std::size_t candidate, const net::Peer& peer, const session::Agreement& agreement,
                            const Now& now) override;
  Result<void> on_mining_frames(std::span<const wire::FrameView> frames, const Now& now) override {
    return engine_.on_pool_frames(frames, now);
  }
  session::StratumV2StreamHandler end_mining(const Now& now, wire::FrameBuffer& last_message) override;
  void on_late_answer(const wire::SubmitSharesSuccess& message) override { engine_.on_late_answer(message); }
  void on_late_answer(const wire::SubmitSharesError& message) override { engine_.on_late_answer(message); }
  [[nodiscard]] std::optional<Error> own_fault() const override { return engine_.fault(); }

  const std::vector<UpstreamTarget>& targets_;
  Engine& engine_;
  Owner& owner_;
};

}  // namespace adit::jd_client
