#include "roles/miner/uplink.h"

#include <algorithm>
#include <utility>

#include "log/log.h"
#include "net/deadline.h"
#include "net/recovery.h"

namespace adit::miner {
namespace {

namespace asio = net::asio;

constexpr auto kLastWords = std::chrono::seconds(2);
/// A pool without Goodbye has this long for the last answers: many hold them back until a batch is full.
constexpr Duration kLastAnswers = std::chrono::seconds(1);

net::Severity severity_of(const Error& error) {
  if (error.is(Errc::kProtocol)) return net::Severity::kMisbehaved;
  if (error.is(Errc::kRefused) || error.is(Errc::kReconnect)) return net::Severity::kRefused;
  if (error.is(Errc::kConfiguration)) return net::Severity::kUnusable;
  return net::severity_of(error);
}

}  // namespace

/// One connection past its setup. Its session's work reaches the threads only while it is in use.
struct Uplink::Link final : SessionHandler {
  Link(UplinkHandler& to, SessionOptions options) : handler(to), session(std::move(options), *this) {}

  void on_work(const HashWork& work) override {
    if (!in_use) return;
    if (!std::exchange(has_work, true)) deadline.reset();
    handler.on_work(work);
  }
  void on_accepted(std::uint64_t shares) override { handler.on_accepted(shares); }
  void on_rejected(std::string_view code) override { handler.on_rejected(code); }

  /// Left, and nothing more is to come.
  [[nodiscard]] bool finished() const {
    if (in_use) return false;
    return extension.leaving() ? extension.over() : extension.unanswered() == 0;
  }

  UplinkHandler& handler;
  std::size_t candidate = 0;
  net::Upstream peer;
  std::string url;
  std::unique_ptr<net::NetworkConnection> connection;
  Sv2Session session;
  net::AditExtension extension{net::AditExtension::Side::kClient};
  bool has_work = false;
  bool in_use = true;
  bool draining = false;
  Instant since{};
  std::optional<net::Deadline> deadline;  ///< For the first work, then of leaving. Behind the connection that it closes.
  wire::FrameBuffer out;
};

Uplink::Uplink(net::Shard& shard, Options options, UplinkHandler& handler)
    : shard_(shard), options_(std::move(options)), handler_(handler), silent_(options_.pools.size(), false) {
  upstreams_ = std::make_unique<net::Upstreams>(shard, options_.pools, options_.selection, options_.dial,
                                                options_.setup_deadline, static_cast<net::UpstreamsHandler&>(*this));
}

Uplink::~Uplink() = default;

void Uplink::start() { upstreams_->start(); }

SessionOptions Uplink::session_options(std::size_t candidate, const net::Upstream& peer) const {
  auto options = options_.session;
  options.regtest_only = options_.regtest_only[candidate];
  if (const auto* tcp = std::get_if<net::TcpConfig>(&peer.transport)) {
    options.endpoint_host = tcp->host;
    options.endpoint_port = tcp->port;
  } else {
    options.endpoint_host = std::get<net::IrohConfig>(peer.transport).endpoint_id;
    options.endpoint_port = 0;
  }
  return options;
}

void Uplink::write_setup(std::size_t candidate, const net::Upstream& peer, wire::FrameBuffer& out) {
  Link(handler_, session_options(candidate, peer)).session.start(out);
}

void Uplink::attempt_failed(std::size_t, const net::Upstream&, const Error& error) {
  if (severity_of(error) == net::Severity::kUnusable) last_unusable_ = error;
  if (!link_) handler_.on_disconnected(error, false);
}

void Uplink::hopeless() {
  if (!last_unusable_ || std::exchange(stopping_, true)) return;
  upstreams_->stop(nullptr);
  handler_.on_unusable(*last_unusable_);
}

void Uplink::use(net::ReadyUpstream ready) {
  if (link_) {
    log::info("miner.upstream_switched", {{"from", link_->url}, {"to", net::to_url(ready.peer)}});
    leave(link_, "a better pool is there", {.deadline = options_.leave_deadline});
  }
  auto link = std::make_shared<Link>(handler_, session_options(ready.candidate, ready.peer));
  link->candidate = ready.candidate;
  link->peer = std::move(ready.peer);
  link->url = net::to_url(link->peer);
  link->connection = std::move(ready.connection);
  link->since = now_from_system().instant;
  link->deadline.emplace(shard_.context(), *link->connection, options_.work_deadline);
  link_ = link;
  handler_.on_connected(link->peer, link->connection->metadata());
  const bool over_iroh = std::holds_alternative<net::IrohConfig>(link->peer.transport);
  if (link->connection->metadata().lanes > 1) {
    link->extension = net::AditExtension(net::AditExtension::Side::kClient, true);
  } else if ((over_iroh || options_.goodbye) && !silent_[link->candidate]) {
    link->extension.request(link->out);
  }
  shard_.spawn([](std::shared_ptr<Uplink> self, LinkPtr begun, wire::FrameBuffer answer) -> asio::awaitable<void> {
    const std::vector<wire::FrameView> frames(answer.begin(), answer.end());
    if (auto handled = self->handle(*begun, frames); !handled) {
      begun->deadline.reset();
      begun->connection->close(net::CloseCode::kProtocolError);
      self->ended(*begun, handled.error());
      co_return;
    }
    co_await run(self, begun);
  }(shared_from_this(), std::move(link), std::move(ready.answer)));
}

void Uplink::send(Link& link) {
  if (link.out.empty()) return;
  link.extension.on_sent(link.out);
  link.connection->send(link.out);
  link.out.clear();
}

void Uplink::submit(const Solution& solution) {
  if (!link_) return;
  link_->session.on_solution(solution, now_from_system().unix_time, link_->out);
  send(*link_);
}

Result<void> Uplink::handle(Link& link, std::span<const wire::FrameView> frames) {
  const auto now = now_from_system();
  for (const auto& frame : frames) ADIT_CHECK(link.session.on_frame(frame, link.out));
  ADIT_CHECK(link.extension.on_received(frames, now, link.out));
  send(link);
  if (link.in_use && link.extension.peer_patience()) {
    log::info("miner.goodbye_heard", {{"url", link.url}, {"reason", link.extension.peer_reason()}});
    leave(link_, "the pool leaves", {.deadline = *link.extension.peer_patience()});
    if (!stopping_) upstreams_->failed(link.candidate, net::Severity::kLost);
  }
  link.extension.settle(link.out);
  send(link);
  return {};
}

void Uplink::leave(LinkPtr link, std::string_view reason, net::ShutdownBehavior behavior) {
  link->in_use = false;
  link_.reset();
  using Kind = net::ShutdownBehavior::Kind;
  if (behavior.kind == Kind::kImmediate) return link->connection->close(net::CloseCode::kShutdown);
  const bool goodbye = behavior.kind == Kind::kGoodbye && link->extension.agreed();
  link->deadline.reset();
  link->deadline.emplace(shard_.context(), *link->connection,
                         goodbye ? behavior.deadline : std::min(kLastAnswers, behavior.deadline));
  if (goodbye && !link->extension.leaving()) {
    link->extension.say_goodbye(reason, behavior.deadline, link->out);
    log::info("miner.goodbye", {{"url", link->url}, {"reason", reason}, {"unanswered", link->extension.unanswered()}});
    send(*link);
  }
  if (!link->finished() || std::exchange(link->draining, true)) return;
  // Nobody will wake it.
  link->session.stop(link->out);
  send(*link);
  shard_.spawn([](LinkPtr ending) -> asio::awaitable<void> { co_await ending->connection->drain(kLastWords); }(link));
}

asio::awaitable<void> Uplink::run(std::shared_ptr<Uplink> self, LinkPtr link) {
  Error reason(net::Errc::kClosed, "closed here");
  while (!link->finished()) {
    const auto batch = co_await link->connection->receive();
    if (!batch) {
      const bool no_work = link->in_use && link->deadline && link->deadline->passed();
      reason = no_work ? Error(net::Errc::kTimedOut, "the pool gave no work in time") : batch.error();
      break;
    }
    if (auto handled = self->handle(*link, *batch); !handled) {
      reason = std::move(handled.error());
      break;
    }
  }
  if (link->finished() && !std::exchange(link->draining, true)) {
    if (!link->extension.leaving()) link->session.stop(link->out);
    self->send(*link);
    co_await link->connection->drain(kLastWords);
  }
  link->deadline.reset();
  link->connection->close(net::CloseCode::kShutdown);
  self->ended(*link, reason);
}

void Uplink::ended(Link& link, const Error& reason) {
  const auto metadata = link.connection->metadata();
  const std::chrono::duration<double> age = now_from_system().instant - link.since;
  log::info("miner.upstream_closed", {{"url", link.url},
                                      {"transport", net::to_string(metadata.transport)},
                                      {"path", net::to_string(metadata.path)},
                                      {"seconds", age.count()},
                                      {"bytes_sent", metadata.bytes_sent},
                                      {"bytes_received", metadata.bytes_received},
                                      {"rtt_us", net::rtt_us(metadata)},
                                      {"path_changes", metadata.path_changes},
                                      {"shares_accepted", link.extension.accepted()},
                                      {"shares_rejected", link.extension.rejected()},
                                      {"shares_unanswered", link.extension.unanswered()},
                                      {"goodbye", link.extension.over()}});
  if (link.extension.asking()) silent_[link.candidate] = true;
  if (!std::exchange(link.in_use, false)) return;
  link_.reset();
  if (stopping_) return;
  if (severity_of(reason) == net::Severity::kUnusable) last_unusable_ = reason;
  handler_.on_disconnected(reason, true);
  if (reason.is(Errc::kReconnect)) return move(link);
  upstreams_->failed(link.candidate, severity_of(reason));
}

/// Follows a Reconnect, if that may be followed.
void Uplink::move(Link& link) {
  const auto& request = link.session.reconnect();
  auto peer = net::reconnect_target(link.peer, request.host, request.port);
  if (peer && !reconnects_.take(now_from_system().instant))
    peer = fail(net::Errc::kProtocol, "the pool asked for new connections too often: not followed");
  if (!peer) {
    log::warn("miner.reconnect_refused", {{"url", link.url}, {"message", peer.error().message()}});
    return upstreams_->failed(link.candidate, net::Severity::kRefused);
  }
  log::info("miner.reconnect", {{"url", net::to_url(*peer)}});
  upstreams_->moved(link.candidate, std::move(*peer));
}

void Uplink::stop(net::ShutdownBehavior behavior) {
  stopping_ = true;
  upstreams_->stop(nullptr);
  if (link_) leave(link_, "the miner stops", behavior);
}

}  // namespace adit::miner
