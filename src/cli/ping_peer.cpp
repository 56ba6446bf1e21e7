#include "cli/ping_peer.h"

#include <algorithm>
#include <future>
#include <span>
#include <utility>

#include "mining/channel_client.h"
#include "net/deadline.h"
#include "net/dial.h"
#include "net/ticker.h"
#include "session/client_side.h"
#include "template/sv2_client.h"
#include "upstream/url.h"

namespace adit::cli {
namespace {

namespace asio = net::asio;

constexpr auto kLookEvery = std::chrono::seconds(1);
/// Less would call a busy machine dead.
constexpr Duration kLeastDeadAfter = std::chrono::seconds(5);
constexpr auto kPause = std::chrono::milliseconds(200);
/// A pool without extension negotiation ignores the question.
constexpr Duration kExtensionDeadline = std::chrono::seconds(2);
/// Of a channel that is opened to see whether its user is known.
constexpr double kHashRateHps = 1e12;

/// What a template provider gives.
struct Work final : templates::Sv2ClientEvents {
  templates::TemplatePtr first;

  templates::TemplateId next_template_id() override { return 1; }
  void on_template(templates::TemplatePtr made, bool) override {
    if (first == nullptr) first = std::move(made);
  }
  void on_block_result(const templates::BlockResult&) override {}
};

/// A channel that is not mined on.
struct Idle final : mining::ChannelClientHandler {
  void on_job(const channels::ClientJob&) override {}
  void on_accepted(std::uint64_t, std::optional<Duration>) override {}
  void on_rejected(std::string_view) override {}
};

Result<void> ignore(std::span<const wire::FrameView>, wire::FrameBuffer&) { return {}; }

/// Reads until `done()`; `take` gets the frames of the protocol. Errors: those of receive, of the session and of `take`;
/// kTimedOut.
template <class Done, class Take = decltype(&ignore)>
asio::awaitable<Result<void>> until(net::Shard& shard, net::NetworkConnection& connection, session::ClientSide& side,
                                    Duration deadline, Done done, Take take = &ignore) {
  const net::Deadline limit(shard.context(), connection, deadline);
  wire::FrameBuffer out;
  while (!done()) {
    const auto batch = co_await connection.receive();
    if (!batch) {
      if (limit.passed()) co_return fail(net::Errc::kTimedOut, "no answer in time");
      co_return fail(batch.error());
    }
    out.clear();
    ADIT_CO_CHECK(side.on_frames(*batch, now_from_system(), out, [&](auto frames) { return take(frames, out); }, [] {}));
    if (!out.empty()) connection.send(out);
  }
  co_return Result<void>();
}

/// Takes a template, and its transactions if they are asked for, as a pool would.
asio::awaitable<Result<void>> ask_for_work(net::Shard& shard, net::NetworkConnection& connection, session::ClientSide& side,
                                           const PeerQuestions& questions, PeerReport& report) {
  const Duration deadline = questions.deadline;
  Work work;
  templates::Sv2Client client({.first_template_deadline = deadline, .transactions_deadline = deadline}, work);
  const auto take = [&client](std::span<const wire::FrameView> frames, wire::FrameBuffer& out) {
    return client.on_frames(frames, now_from_system(), out);
  };
  Instant asked = now_from_system().instant;
  wire::FrameBuffer out;
  client.begin("", now_from_system(), out);
  connection.send(out);
  ADIT_CO_CHECK(co_await until(shard, connection, side, deadline, [&] { return work.first != nullptr; }, take));
  report.work = work.first;
  report.work_after = now_from_system().instant - asked;
  if (!questions.transactions) co_return Result<void>();
  asked = now_from_system().instant;
  out.clear();
  client.transactions(work.first->id, now_from_system(), out,
                      [&report](auto found) { report.transactions = std::move(found); });
  connection.send(out);
  ADIT_CO_CHECK(co_await until(shard, connection, side, deadline, [&] { return report.transactions.has_value(); }, take));
  report.transactions_after = now_from_system().instant - asked;
  co_return Result<void>();
}

/// Opens a channel and closes it.
asio::awaitable<Result<void>> ask_for_channel(net::Shard& shard, net::NetworkConnection& connection, session::ClientSide& side,
                                              const PeerQuestions& questions, PeerReport& report) {
  Idle idle;
  mining::ChannelClient client({.user = *questions.user, .nominal_hash_rate_hps = kHashRateHps, .extended = true}, idle);
  wire::FrameBuffer out;
  ADIT_CO_CHECK(client.open(side.setup().agreement(), out));
  connection.send(out);
  std::optional<Error> refusal;
  const auto take = [&](std::span<const wire::FrameView> frames, wire::FrameBuffer&) -> Result<void> {
    for (const wire::FrameView& frame : frames) {
      const auto taken = client.on_frame(frame, now_from_system());
      if (taken) continue;
      // The session outlives the refusal.
      if (!taken.error().is(session::Errc::kRefused)) return taken;
      refusal = taken.error();
    }
    return {};
  };
  const auto answered = [&] { return client.channel() != nullptr || refusal; };
  ADIT_CO_CHECK(co_await until(shard, connection, side, questions.deadline, answered, take));
  if (refusal) co_return fail(*refusal);
  report.user_accepted = true;
  out.clear();
  (void)client.stop("a look at whether this user is known", out);
  connection.send(out);
  co_return Result<void>();
}

/// Asks for extension 0x4AD1, and measures round trips if the peer has it.
asio::awaitable<Result<void>> ask_for_round_trips(net::Shard& shard, net::NetworkConnection& connection,
                                                  session::ClientSide& side, const PeerQuestions& questions,
                                                  PeerReport& report) {
  const Duration deadline = questions.deadline;
  auto& extension = side.extension();
  wire::FrameBuffer out;
  side.ask_for_adit(out);
  if (!out.empty()) connection.send(out);
  // A peer that does not know the question may not answer, or end the connection over it: neither is a fault.
  const auto negotiated =
      co_await until(shard, connection, side, kExtensionDeadline, [&] { return !side.setup().unanswered(); });
  report.extension = negotiated && extension.agreed();
  // Dead is a peer that leaves the deadline unused, whatever the steps before took.
  net::HealthMonitor monitor({.dead_after = std::max(deadline, kLeastDeadAfter)}, now_from_system().instant);
  const auto look = [&] { report.health = monitor.look(now_from_system().instant, connection.figures()); };
  const net::Ticker ticker(shard, kLookEvery, look);
  for (unsigned i = 0; report.extension && i < questions.count; ++i) {
    if (i != 0) co_await net::sleep_for(kPause);
    out.clear();
    (void)extension.ping(now_from_system(), out);
    connection.send(out);
    monitor.on_ping(now_from_system().instant);
    std::optional<Duration> round_trip;
    ADIT_CO_CHECK(co_await until(shard, connection, side, deadline,
                                 [&] { return (round_trip = extension.take_round_trip()).has_value(); }));
    monitor.on_frames(now_from_system().instant);
    monitor.on_round_trip(*round_trip);
    report.round_trips.push_back(*round_trip);
    report.clock = extension.clock_difference();
  }
  look();
  co_return Result<void>();
}

asio::awaitable<Result<void>> ask(net::Shard& shard, net::Peer peer, net::IrohCarrier* iroh, PeerQuestions questions,
                                  PeerReport& report) {
  const Duration deadline = questions.deadline;
  auto begun = now_from_system().instant;
  ADIT_CO_TRY(
      const auto connection,
      co_await net::dial(
          shard, peer, questions.protocol,
          {.name = upstream::to_url(peer), .connect_deadline = deadline, .handshake_deadline = deadline, .iroh = iroh}));
  report.reached = now_from_system().instant - begun;
  report.metadata = connection->metadata();

  session::ClientSide side({.protocol = questions.protocol, .program = "ping", .flags = questions.flags},
                           report.metadata.lanes > 1, /*ask_for_adit=*/false);
  const auto [host, port] = net::host_and_port(peer.transport);
  wire::FrameBuffer out;
  side.start(host, port, now_from_system(), out);
  begun = now_from_system().instant;
  connection->send(out);
  ADIT_CO_CHECK(co_await until(shard, *connection, side, deadline, [&] { return side.ready(); }));
  report.setup = now_from_system().instant - begun;
  Result<void> channel;
  if (questions.user) {
    channel = co_await ask_for_channel(shard, *connection, side, questions, report);
    if (!channel && !channel.error().is(session::Errc::kRefused)) co_return channel;
  }
  const auto measured = co_await ask_for_round_trips(shard, *connection, side, questions, report);
  ADIT_CO_CHECK(channel);
  ADIT_CO_CHECK(measured);
  if (questions.protocol == wire::Protocol::kTemplateDistribution)
    ADIT_CO_CHECK(co_await ask_for_work(shard, *connection, side, questions, report));
  report.metadata = connection->metadata();  // the path may have become direct meanwhile
  co_await connection->drain(std::chrono::seconds(1));
  co_return Result<void>();
}

asio::awaitable<void> ask_and_tell(net::Shard& shard, net::Peer peer, net::IrohCarrier* iroh, PeerQuestions questions,
                                   PeerReport& report, std::promise<Result<void>>& told) {
  told.set_value(co_await ask(shard, std::move(peer), iroh, std::move(questions), report));
}

}  // namespace

Result<> ping_peer(net::Shards& shards, const net::Peer& peer, net::IrohCarrier* iroh, const PeerQuestions& questions,
                   PeerReport& report) {
  std::promise<Result<void>> promise;
  auto ended = promise.get_future();
  shards[0].post([&] { shards[0].spawn(ask_and_tell(shards[0], peer, iroh, questions, report, promise)); });
  return ended.get();
}

}  // namespace adit::cli
