// What the translator is to its uplink: its engine's upstream side.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "roles/translator/translator.h"
#include "upstream/mining_role.h"

namespace adit::translator {

struct UpstreamTarget {
  net::Peer peer;
  std::string user_identity;  ///< As Translator::on_upstream_ready.
  bool regtest_only = false;  ///< Its authority key is one whose secret everybody has: Translator::on_upstream_ready.
  bool goodbye = false;       ///< Ask for extension 0x4AD1 over TCP too; over iroh it is always asked for.
};

class UpstreamRole final : public upstream::MiningRole {
 public:
  /// `targets` and `engine` outlive it. `flush` sends what the engine has for the miners.
  UpstreamRole(const std::vector<UpstreamTarget>& targets, Translator& engine, std::function<void()> flush)
      : targets_(targets), engine_(engine), flush_(std::move(flush)) {}

  /// What SetupConnection says, and whom to dial.
  static upstream::Uplink::Options uplink_options(const std::vector<UpstreamTarget>& targets);

  /// Answers to shares that came after their connection had been left for another: not in the engine's counters.
  [[nodiscard]] std::uint64_t late_accepted() const { return late_accepted_; }
  [[nodiscard]] std::uint64_t late_work() const { return late_work_; }

  Result<void> on_tick(const Now& now) override { return engine_.on_tick(now); }
  wire::FrameBuffer& output() override { return engine_.upstream_output(); }
  void flush() override { flush_(); }
  void on_lost(const net::Peer& peer, const Error& why) override;
  void on_attempt_failed(const net::Peer& peer, const Error& why) override;

 private:
  Result<void> begin_mining(std::size_t candidate, const net::Peer& peer, const session::Agreement& agreement,
                            const Now& now) override;
  Result<void> on_mining_frames(std::span<const wire::FrameView> frames, const Now& now) override {
    return engine_.on_upstream_frames(frames, now);
  }
  session::StratumV2StreamHandler end_mining(const Now& now, wire::FrameBuffer&) override {
    return engine_.on_upstream_lost(now);
  }
  void on_late_answer(const wire::SubmitSharesSuccess& message) override;
  void on_late_answer(const wire::SubmitSharesError&) override {}

  const std::vector<UpstreamTarget>& targets_;
  Translator& engine_;
  std::function<void()> flush_;
  std::uint64_t late_accepted_ = 0;
  std::uint64_t late_work_ = 0;
};

}  // namespace adit::translator
