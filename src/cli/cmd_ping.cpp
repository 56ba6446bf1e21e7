// `adit ping URL`: can it be reached, by which path, how fast, is it who it should be, and do the clocks agree?
#include <CLI/Option.hpp>
#include <CLI/Validators.hpp>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <functional>
#include <future>
#include <memory>
#include <vector>

#include "cli/command.h"
#include "cli/ping_node.h"
#include "cli/serve.h"
#include "net/deadline.h"
#include "net/dial.h"
#include "net/health.h"
#include "net/ticker.h"
#include "session/client_side.h"
#include "template/sv2_client.h"
#include "upstream/url.h"

namespace adit::cli {
namespace {

namespace asio = net::asio;

constexpr std::string_view kName = "ping";
constexpr std::string_view kTemplates = "templates";
constexpr auto kLookEvery = std::chrono::seconds(1);
/// Less would call a busy machine dead.
constexpr Duration kLeastDeadAfter = std::chrono::seconds(5);
constexpr auto kPause = std::chrono::milliseconds(200);
/// A pool without extension negotiation ignores the question.
constexpr Duration kExtensionDeadline = std::chrono::seconds(2);

struct Options {
  std::string url;
  IrohDialling dialling;
  std::string protocol = "mining";
  unsigned count = 4;
  unsigned deadline_s = 10;
};

double ms(Duration duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

std::string utc(UnixTime time) {
  const std::time_t seconds = time.time_since_epoch().count();
  std::tm parts{};
  char text[32];
  gmtime_r(&seconds, &parts);
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts)};
}

/// What a template provider gave.
struct Work final : templates::Sv2ClientEvents {
  templates::TemplatePtr first;
  Duration template_after{};  ///< From the constraints to the template.
  std::optional<Result<templates::TemplateSource::Transactions>> transactions;
  Duration transactions_after{};

  templates::TemplateId next_template_id() override { return 1; }
  void on_template(templates::TemplatePtr made, bool) override {
    if (first == nullptr) first = std::move(made);
  }
  void on_block_result(const templates::BlockResult&) override {}
};

/// What was found out; printed as far as it got.
struct Report {
  net::ConnectionMetadata metadata;
  Duration reached{};
  Duration setup{};
  bool extension = false;
  std::vector<Duration> round_trips;
  std::optional<std::chrono::milliseconds> clock;
  std::optional<net::Health> health;
  Work work;
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

/// Takes a template and its transactions as a pool would.
asio::awaitable<Result<void>> ask_for_work(net::Shard& shard, net::NetworkConnection& connection, session::ClientSide& side,
                                           Duration deadline, Work& work) {
  templates::Sv2Client client({.first_template_deadline = deadline, .transactions_deadline = deadline}, work);
  const auto take = [&client](std::span<const wire::FrameView> frames, wire::FrameBuffer& out) {
    return client.on_frames(frames, now_from_system(), out);
  };
  Instant asked = now_from_system().instant;
  wire::FrameBuffer out;
  client.begin("", now_from_system(), out);
  connection.send(out);
  ADIT_CO_CHECK(co_await until(shard, connection, side, deadline, [&] { return work.first != nullptr; }, take));
  work.template_after = now_from_system().instant - asked;
  asked = now_from_system().instant;
  out.clear();
  client.transactions(work.first->id, now_from_system(), out, [&work](auto found) { work.transactions = std::move(found); });
  connection.send(out);
  ADIT_CO_CHECK(co_await until(shard, connection, side, deadline, [&] { return work.transactions.has_value(); }, take));
  work.transactions_after = now_from_system().instant - asked;
  co_return Result<void>();
}

asio::awaitable<Result<void>> ask(net::Shard& shard, net::Peer peer, net::IrohCarrier* iroh, Options options, Report& report) {
  const Duration deadline = std::chrono::seconds(options.deadline_s);
  const bool for_templates = options.protocol == kTemplates;
  const auto protocol = for_templates ? wire::Protocol::kTemplateDistribution : wire::Protocol::kMining;
  auto begun = now_from_system().instant;
  ADIT_CO_TRY(
      const auto connection,
      co_await net::dial(
          shard, peer, protocol,
          {.name = upstream::to_url(peer), .connect_deadline = deadline, .handshake_deadline = deadline, .iroh = iroh}));
  report.reached = now_from_system().instant - begun;
  report.metadata = connection->metadata();

  session::ClientSide side({.protocol = protocol, .program = "ping"}, report.metadata.lanes > 1, /*ask_for_adit=*/true);
  auto& extension = side.extension();
  const auto [host, port] = net::host_and_port(peer.transport);
  wire::FrameBuffer out;
  side.start(host, port, now_from_system(), out);
  begun = now_from_system().instant;
  connection->send(out);
  ADIT_CO_CHECK(co_await until(shard, *connection, side, deadline, [&] { return side.ready(); }));
  report.setup = now_from_system().instant - begun;
  // A peer that does not know the question may not answer, or end the connection over it: neither is a fault.
  const auto negotiated =
      co_await until(shard, *connection, side, kExtensionDeadline, [&] { return !side.setup().unanswered(); });
  report.extension = negotiated && extension.agreed();
  // Dead is a peer that leaves the deadline unused, whatever the steps before took.
  net::HealthMonitor monitor({.dead_after = std::max(deadline, kLeastDeadAfter)}, now_from_system().instant);
  const auto look = [&] { report.health = monitor.look(now_from_system().instant, connection->figures()); };
  const net::Ticker ticker(shard, kLookEvery, look);
  for (unsigned i = 0; report.extension && i < options.count; ++i) {
    if (i != 0) co_await net::sleep_for(kPause);
    out.clear();
    (void)extension.ping(now_from_system(), out);
    connection->send(out);
    monitor.on_ping(now_from_system().instant);
    std::optional<Duration> round_trip;
    ADIT_CO_CHECK(co_await until(shard, *connection, side, deadline,
                                 [&] { return (round_trip = extension.take_round_trip()).has_value(); }));
    monitor.on_frames(now_from_system().instant);
    monitor.on_round_trip(*round_trip);
    report.round_trips.push_back(*round_trip);
    report.clock = extension.clock_difference();
  }
  if (for_templates) ADIT_CO_CHECK(co_await ask_for_work(shard, *connection, side, deadline, report.work));
  look();
  report.metadata = connection->metadata();  // the path may have become direct meanwhile
  co_await connection->drain(std::chrono::seconds(1));
  co_return Result<void>();
}

asio::awaitable<void> ask_and_tell(net::Shard& shard, net::Peer peer, net::IrohCarrier* iroh, Options options, Report& report,
                                   std::promise<Result<void>>& told) {
  told.set_value(co_await ask(shard, std::move(peer), iroh, std::move(options), report));
}

void print(const Work& work) {
  if (work.first == nullptr) return;
  std::printf("  template      for block %u, %llu sat, in %.1f ms\n", work.first->height,
              static_cast<unsigned long long>(work.first->coinbase_value_sat), ms(work.template_after));
  if (!work.transactions) return;
  if (!*work.transactions) {
    std::printf("  transactions  not given: %s\n", work.transactions->error().message().c_str());
    return;
  }
  std::size_t bytes = 0;
  for (const auto& transaction : ***work.transactions) bytes += transaction.size();
  std::printf("  transactions  %zu, %zu bytes, in %.1f ms\n", (**work.transactions)->size(), bytes,
              ms(work.transactions_after));
}

void print(const Options& options, const net::Peer& peer, const Report& report) {
  const auto& metadata = report.metadata;
  std::printf("%s\n", options.url.c_str());
  std::printf("  reached       %s %s, %s, in %.1f ms with its handshakes\n",
              std::string(net::to_string(metadata.transport)).c_str(), metadata.peer.c_str(),
              std::string(net::to_string(metadata.path)).c_str(), ms(report.reached));
  if (metadata.lanes > 1) std::printf("  lanes         %u (%s)\n", metadata.lanes, metadata.alpn.c_str());
  if (metadata.authority_key.empty()) {
    std::printf("  certificate   not checked: the URL names no authority key\n");
  } else {
    std::printf("  certificate   authority %s proved", metadata.authority_key.c_str());
    if (metadata.certificate_until) {
      const auto left = *metadata.certificate_until - now_from_system().unix_time;
      std::printf(", valid until %s (%lld s left)", utc(*metadata.certificate_until).c_str(),
                  static_cast<long long>(left.count()));
    }
    std::printf("\n");
  }
  if (report.setup != Duration::zero()) std::printf("  setup         answered in %.1f ms\n", ms(report.setup));
  if (!report.round_trips.empty()) {
    const auto [least, most] = std::ranges::minmax(report.round_trips);
    Duration sum{};
    for (const Duration one : report.round_trips) sum += one;
    std::printf("  round trips   %zu, %.2f / %.2f / %.2f ms (least / mean / most)\n", report.round_trips.size(), ms(least),
                ms(sum) / static_cast<double>(report.round_trips.size()), ms(most));
  } else if (report.setup != Duration::zero()) {
    std::printf("  round trips   the peer knows no Ping (extension 0x4ad1); SetupConnection's is above\n");
  }
  print(report.work);
  if (metadata.path_rtt) std::printf("  path          %.2f ms, as the carrier estimates it\n", ms(*metadata.path_rtt));
  if (metadata.figures) {
    std::printf("  packets       %llu sent, %llu lost on the way\n",
                static_cast<unsigned long long>(metadata.figures->packets_sent),
                static_cast<unsigned long long>(metadata.figures->packets_lost));
  }
  if (report.health) {
    std::printf("  health        %s: the peer %s%s\n", std::string(net::to_string(report.health->state)).c_str(),
                std::string(net::to_words(report.health->reason)).c_str(),
                report.extension ? "" : ", as far as its host's answers tell");
  }
  if (report.clock) {
    // Both clocks are told in whole seconds.
    const double seconds = std::chrono::duration<double>(*report.clock).count();
    if (std::abs(seconds) < 1.5)
      std::printf("  clock         the peer's agrees with ours\n");
    else
      std::printf("  clock         the peer's is %.0f s %s\n", std::abs(seconds),
                  seconds > 0 ? "ahead of ours" : "behind ours");
  }
  (void)peer;
  std::fflush(stdout);
}

/// A Bitcoin node's IPC socket, as Bitcoin Core's own options write it.
constexpr std::string_view kSocketScheme = "unix:";

int run(const Options& options) {
  if (options.url.starts_with(kSocketScheme)) {
    const auto pinged =
        ping_node(options.url.substr(kSocketScheme.size()), options.count, std::chrono::seconds(options.deadline_s));
    std::fflush(stdout);
    return pinged ? kOk : give_up(kName, pinged.error(), exit_code_of(pinged.error()));
  }
  const auto peer = upstream::parse_url(options.url);
  if (!peer) return give_up(kName, peer.error(), kUsage);
  prepare_process();
  net::Shards shards(1);
  std::unique_ptr<net::IrohCarrier> iroh;
  if (const auto* over = std::get_if<net::IrohConfig>(&peer->transport)) {
    auto started = dialling_iroh(shards, *over, options.dialling);
    if (!started) return give_up(kName, started.error(), exit_code_of(started.error()));
    iroh = std::move(*started);
  }
  shards.start();
  Report report;
  std::promise<Result<void>> promise;
  auto ended = promise.get_future();
  shards[0].post([&] { shards[0].spawn(ask_and_tell(shards[0], *peer, iroh.get(), options, report, promise)); });
  const auto result = ended.get();
  if (report.reached != Duration::zero()) print(options, *peer, report);
  iroh.reset();
  shards.stop(std::chrono::seconds(2));
  if (result) return kOk;
  if (options.protocol != kTemplates && result.error().message().find("unsupported-protocol") != std::string::npos) {
    std::fprintf(stderr, "adit ping: if the peer is a template provider, ask with --protocol templates\n");
  }
  return give_up(kName, result.error(), exit_code_of(result.error()));
}

}  // namespace

Command add_ping(CLI::App& app) {
  auto* ping = app.add_subcommand(
      "ping", "Reach a Stratum V2 peer (path, round trips, health, certificate, clocks, templates), or a Bitcoin node by IPC");
  auto options = std::make_shared<Options>();
  ping->add_option(
          "URL", options->url,
          "stratum2+tcp://HOST:PORT/AUTHORITY or stratum2+iroh://ENDPOINT_ID/AUTHORITY?addr=IP:PORT; or unix:PATH of a "
          "Bitcoin node's IPC socket")
      ->required();
  ping->add_option("--protocol", options->protocol, "What to ask for: mining, or templates of a template provider")
      ->check(CLI::IsMember(std::vector<std::string>{"mining", std::string(kTemplates)}))
      ->capture_default_str();
  ping->add_option("--count", options->count, "Round trips to measure")->check(CLI::Range(1, 1000))->capture_default_str();
  ping->add_option("--deadline", options->deadline_s, "Seconds for each step")
      ->check(CLI::Range(1, 300))
      ->capture_default_str();
  add_iroh_options(*ping, options->dialling);
  return {ping, [options](const Global&) { return run(*options); }};
}

}  // namespace adit::cli
