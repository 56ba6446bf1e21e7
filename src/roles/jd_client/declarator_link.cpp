#include "roles/jd_client/declarator_link.h"

#include <utility>

#include "log/log.h"
#include "upstream/url.h"

namespace adit::jd_client {

DeclaratorLink::DeclaratorLink(net::Shard& shard, upstream::Uplink::Options options, Engine& engine,
                               std::function<void()> flush)
    : engine_(&engine),
      flush_(std::move(flush)),
      uplink_(std::make_shared<upstream::Uplink>(shard, std::move(options), static_cast<upstream::UplinkRole&>(*this))) {}

void DeclaratorLink::leave(session::ShutdownBehavior behavior, std::function<void()> done) {
  engine_ = nullptr;
  // What runs until then uses the role.
  uplink_->shut_down(behavior, "the pool is not in use any more", [self = shared_from_this(), done = std::move(done)] {
    if (done) done();
  });
}

Result<void> DeclaratorLink::begin(std::size_t, const net::Peer&, const session::Agreement&, const Now& now) {
  if (engine_ == nullptr) return {};
  const auto& status = uplink_->status();
  const auto& metadata = *status.metadata;
  log::info("jd_client.declarator_ready",
            {{"url", status.url},
             {"transport", net::to_string(metadata.transport)},
             {"alpn", metadata.alpn},
             {"lanes", metadata.lanes},
             {"sessions", metadata.sessions},
             {"authority", metadata.authority_key.empty() ? "not checked" : metadata.authority_key}});
  engine_->on_declarator_ready(now);
  return {};
}

Result<void> DeclaratorLink::on_frames(std::span<const wire::FrameView> frames, const Now& now) {
  return engine_ == nullptr ? Result<void>{} : engine_->on_declarator_frames(frames, now);
}

Result<void> DeclaratorLink::on_tick(const Now& now) {
  return engine_ == nullptr ? Result<void>{} : engine_->on_declarator_tick(now);
}

wire::FrameBuffer& DeclaratorLink::output() { return engine_ == nullptr ? nothing_ : engine_->declarator_output(); }

void DeclaratorLink::flush() {
  if (engine_ != nullptr) flush_();
}

std::unique_ptr<upstream::Unfinished> DeclaratorLink::end(const Now& now, wire::FrameBuffer&) {
  if (engine_ != nullptr) engine_->on_declarator_lost(now);
  return nullptr;
}

void DeclaratorLink::on_lost(const net::Peer& peer, const Error& why) {
  log::warn("jd_client.declarator_lost", {{"url", upstream::to_url(peer)}, {"error", why.name()}, {"message", why.message()}});
}

void DeclaratorLink::on_attempt_failed(const net::Peer& peer, const Error& why) {
  log::warn("jd_client.declarator_failed",
            {{"url", upstream::to_url(peer)}, {"error", why.name()}, {"message", why.message()}});
}

}  // namespace adit::jd_client
