#include "template/sv2_source.h"

#include <future>
#include <mutex>
#include <string>
#include <utility>

#include "log/log.h"
#include "net/ticker.h"
#include "upstream/uplink.h"
#include "upstream/url.h"

namespace adit::templates {
namespace {

constexpr Duration kTick = std::chrono::seconds(1);
// A solution that was handed over goes out first; a provider has no more to say.
constexpr Duration kGoodbye = std::chrono::seconds(2);

}  // namespace

// Everything is the shard's thread's but what the mutex guards, and the client's store.
class Sv2Source::Driver final : public std::enable_shared_from_this<Driver>,
                                private upstream::UplinkRole,
                                private Sv2ClientEvents {
 public:
  Driver(net::Shard& shard, Options options)
      : shard_(shard),
        options_(std::move(options)),
        name_(upstream::to_url(options_.provider)),
        client_(options_.client, *this) {}

  void start(SourceEvents events) {
    events_ = std::move(events);
    {
      const std::lock_guard lock(mutex_);
      status_.node = name_;
      status_.message = "the template provider " + name_ + " has not been heard of yet";
      status_.not_ready_since = now_from_system().instant;
    }
    shard_.post([self = shared_from_this()] { self->begin_uplink(); });
  }

  Result<> submit(TemplateId id, BlockSolution solution) {
    ADIT_TRY(const TemplatePtr made, client_.store().find(id));
    ADIT_CHECK(bitcoin::solved_header(*made, solution));
    // The template is held until then, so that it is found.
    shard_.post([self = shared_from_this(), made, solution = std::move(solution)] {
      auto submitted = self->client_.submit(made->id, solution, now_from_system(), self->out_);
      if (!submitted) return log::error("template.solution_lost", {{"message", submitted.error().message()}});
      self->count_blocks();
      self->send();
    });
    return {};
  }

  void constrain(CoinbaseConstraints constraints) {
    shard_.post([self = shared_from_this(), constraints] {
      self->client_.constrain(constraints, now_from_system(), self->out_);
      self->send();
    });
  }

  void transactions(TemplateId id, std::function<void(Result<Transactions>)> done) {
    auto made = client_.store().find(id);
    if (!made) return done(fail(std::move(made.error())));
    shard_.post([self = shared_from_this(), held = *made, done = std::move(done)]() mutable {
      if (self->stopped_) return;
      self->client_.transactions(held->id, now_from_system(), self->out_, std::move(done));
      self->send();
    });
  }

  SourceStatus status() const {
    const std::lock_guard lock(mutex_);
    return status_;
  }

  void stop() {
    auto ended = std::make_shared<std::promise<void>>();
    auto over = ended->get_future();
    shard_.post([self = shared_from_this(), ended] {
      self->ticker_.reset();
      const bool first = !std::exchange(self->stopped_, true);
      if (!first || !self->uplink_) return ended->set_value();
      self->uplink_->shut_down({.deadline = kGoodbye}, "shutdown",
                               [self, ended] { ended->set_value(); });  // What runs until then uses the driver.
    });
    if (over.wait_for(2 * kGoodbye) == std::future_status::ready) return;
    shard_.post([self = shared_from_this()] {
      if (self->uplink_) self->uplink_->cut_off();
    });
  }

 private:
  void begin_uplink() {
    if (stopped_) return;
    upstream::Uplink::Options uplink;
    uplink.name = "template";
    uplink.targets.push_back({.peer = options_.provider});
    uplink.client.protocol = wire::Protocol::kTemplateDistribution;
    uplink.client.program = "template client";
    uplink.selection = options_.selection;
    uplink.dial = options_.dial;
    uplink.health = options_.health;
    uplink_ = std::make_shared<upstream::Uplink>(shard_, std::move(uplink), static_cast<upstream::UplinkRole&>(*this));
    ticker_.emplace(shard_, kTick, [this] { uplink_->on_tick(now_from_system()); });
    uplink_->start();
  }

  void send() {
    if (uplink_) uplink_->send();
  }

  void count_blocks() {
    const std::lock_guard lock(mutex_);
    status_.blocks_unanswered = client_.unsettled();
  }

  void change_status(SourceState state, std::string message) {
    {
      const std::lock_guard lock(mutex_);
      if (state == SourceState::kReady) {
        status_.not_ready_since.reset();
      } else if (!status_.not_ready_since) {
        status_.not_ready_since = now_from_system().instant;
      }
      if (status_.state == state && status_.message == message) return;
      status_.state = state;
      status_.message = std::move(message);
    }
    if (events_.on_status && !stopped_) events_.on_status(status());
  }

  // ---- upstream::UplinkRole

  Result<void> begin(std::size_t, const net::Peer&, const session::Agreement&, const Now& now) override {
    client_.begin(name_, now, out_);
    return {};
  }
  Result<void> on_frames(std::span<const wire::FrameView> frames, const Now& now) override {
    return client_.on_frames(frames, now, out_);
  }
  Result<void> on_tick(const Now& now) override { return client_.on_tick(now); }
  wire::FrameBuffer& output() override { return out_; }
  std::unique_ptr<upstream::Unfinished> end(const Now&, wire::FrameBuffer&) override {
    client_.end(Error(session::Errc::kClosed, "the session with the template provider is over"));
    out_.clear();
    return nullptr;
  }
  void on_lost(const net::Peer&, const Error& why) override {
    log::warn("template.upstream_lost", {{"url", name_}, {"error", why.name()}, {"message", why.message()}});
    change_status(SourceState::kWaiting, why.message());
  }
  void on_attempt_failed(const net::Peer&, const Error& why) override {
    log::warn("template.upstream_failed", {{"url", name_}, {"error", why.name()}, {"message", why.message()}});
    change_status(SourceState::kWaiting, why.message());
  }
  void on_unusable(const Error& why) override { change_status(SourceState::kMisconfigured, why.message()); }

  // ---- Sv2ClientEvents

  TemplateId next_template_id() override { return events_.next_template_id ? events_.next_template_id() : ++last_id_; }
  void on_template(TemplatePtr made, bool new_tip) override {
    {
      const std::lock_guard lock(mutex_);
      status_.height = made->height;
      status_.template_at = now_from_system().instant;
      ++status_.templates;
    }
    if (stopped_) return;
    change_status(SourceState::kReady, "");
    events_.on_template(std::move(made), new_tip);
  }
  void on_block_result(const BlockResult& result) override {
    {
      const std::lock_guard lock(mutex_);
      ++(result.verdict == BlockVerdict::kAccepted ? status_.blocks_accepted : status_.blocks_rejected);
      status_.blocks_unanswered = client_.unsettled();
    }
    if (stopped_) return;
    if (events_.on_block_kept) events_.on_block_kept(result.hash);
    if (events_.on_block_result) events_.on_block_result(result);
  }

  net::Shard& shard_;
  const Options options_;
  const std::string name_;
  SourceEvents events_;
  Sv2Client client_;
  std::shared_ptr<upstream::Uplink> uplink_;
  std::optional<net::Ticker> ticker_;
  wire::FrameBuffer out_;
  TemplateId last_id_ = 0;
  bool stopped_ = false;

  mutable std::mutex mutex_;
  SourceStatus status_;
};

Sv2Source::Sv2Source(net::Shard& shard, Options options) : driver_(std::make_shared<Driver>(shard, std::move(options))) {}
Sv2Source::~Sv2Source() { Sv2Source::stop(); }
Result<> Sv2Source::start(SourceEvents events) {
  driver_->start(std::move(events));
  return {};
}
Result<> Sv2Source::submit(TemplateId id, BlockSolution solution) { return driver_->submit(id, std::move(solution)); }
void Sv2Source::constrain(CoinbaseConstraints constraints) { driver_->constrain(constraints); }
void Sv2Source::transactions(TemplateId id, std::function<void(Result<Transactions>)> done) {
  driver_->transactions(id, std::move(done));
}
SourceStatus Sv2Source::status() const { return driver_->status(); }
void Sv2Source::stop() { driver_->stop(); }

}  // namespace adit::templates
