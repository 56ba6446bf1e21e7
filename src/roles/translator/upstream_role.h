// What the translator is to its uplink: its engine's upstream side.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "net/uplink.h"
#include "roles/translator/translator.h"

namespace adit::translator {

struct UpstreamTarget {
  net::Upstream peer;
  std::string user_identity;  ///< ".minerN" is put behind it, where each miner has a channel of its own.
  bool regtest_only = false;  ///< Its authority key is one whose secret everybody has: Translator::on_upstream_connected.
  bool goodbye = false;       ///< Ask for extension 0x4AD1 over TCP too; over iroh it is always asked for.
};

class UpstreamRole final : public net::UplinkRole {
 public:
  /// `engine` outlives it. `flush` sends what the engine has for the miners.
  UpstreamRole(const std::vector<UpstreamTarget>& targets, Translator& engine, std::function<void()> flush)
      : targets_(targets), engine_(engine), flush_(std::move(flush)) {}

  /// The events' names, and what SetupConnection says.
  static net::Uplink::Options uplink_options(const std::vector<UpstreamTarget>& targets);

  /// Answers to shares that came after their connection had been left for another: not in the engine's counters.
  [[nodiscard]] std::uint64_t late_accepted() const { return late_accepted_; }
  [[nodiscard]] std::uint64_t late_work() const { return late_work_; }

  void begin(std::size_t candidate, const net::Upstream& peer, const Now& now) override;
  Result<void> on_frames(std::span<const wire::FrameView> frames, const Now& now) override {
    return engine_.on_upstream_frames(frames, now);
  }
  wire::FrameBuffer& output() override { return engine_.upstream_output(); }
  void flush() override { flush_(); }
  net::StratumV2StreamHandler end(const Now& now, wire::FrameBuffer&) override { return engine_.on_upstream_lost(now); }
  void on_late_answer(const wire::SubmitSharesSuccess& message) override;
  void on_late_answer(const wire::SubmitSharesError&) override {}
  void on_lost(const net::Upstream& peer, const Error& why) override;
  void on_attempt_failed(const net::Upstream& peer, const Error& why) override;
  [[nodiscard]] net::Severity severity_of(const Error& error) const override;

 private:
  const std::vector<UpstreamTarget>& targets_;
  Translator& engine_;
  std::function<void()> flush_;
  std::uint64_t late_accepted_ = 0;
  std::uint64_t late_work_ = 0;
};

}  // namespace adit::translator
