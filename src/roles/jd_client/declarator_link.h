// The job declarator client's session with the declarator of the pool that is in use.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "net/shards.h"
#include "roles/jd_client/engine.h"
#include "upstream/uplink.h"

namespace adit::jd_client {

/// One for each session with a pool, and no longer: its declarator is of no use to another. Lives on one shard; everything is
/// called on its thread.
class DeclaratorLink final : public std::enable_shared_from_this<DeclaratorLink>, private upstream::UplinkRole {
 public:
  /// `engine` outlives it until leave() is called. `flush` sends what the engine has written elsewhere.
  DeclaratorLink(net::Shard& shard, upstream::Uplink::Options options, Engine& engine, std::function<void()> flush);

  /// After the first shared_ptr to it exists.
  void start() { uplink_->start(); }
  void send() { uplink_->send(); }
  /// To be called about once a second.
  void tick(const Now& now) { uplink_->on_tick(now); }
  /// The engine has no more to do with it: ends the session in that manner. `done` (may be empty) is called when it has ended.
  void leave(session::ShutdownBehavior behavior, std::function<void()> done);
  void cut_off() { uplink_->cut_off(); }
  [[nodiscard]] const upstream::UplinkStatus& status() const { return uplink_->status(); }

 private:
  Result<void> begin(std::size_t candidate, const net::Peer& peer, const session::Agreement& agreement,
                     const Now& now) override;
  Result<void> on_frames(std::span<const wire::FrameView> frames, const Now& now) override;
  Result<void> on_tick(const Now& now) override;
  wire::FrameBuffer& output() override;
  void flush() override;
  std::unique_ptr<upstream::Unfinished> end(const Now& now, wire::FrameBuffer& last_message) override;
  void on_lost(const net::Peer& peer, const Error& why) override;
  void on_attempt_failed(const net::Peer& peer, const Error& why) override;

  Engine* engine_;  ///< Null once it is left.
  std::function<void()> flush_;
  wire::FrameBuffer nothing_;
  std::shared_ptr<upstream::Uplink> uplink_;
};

}  // namespace adit::jd_client
