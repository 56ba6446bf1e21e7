// `adit ping URL`: can it be reached, by which path, how fast, is it who it should be, and do the clocks agree?
#include <CLI/Option.hpp>
#include <CLI/Validators.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <memory>
#include <vector>

#include "cli/command.h"
#include "cli/ping_node.h"
#include "cli/ping_peer.h"
#include "cli/serve.h"
#include "net/health.h"
#include "upstream/url.h"

namespace adit::cli {
namespace {

constexpr std::string_view kName = "ping";
constexpr std::string_view kTemplates = "templates";

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

void print_clock(std::string_view whose, double ahead, double tolerance) {
  if (std::abs(ahead) < tolerance)
    std::printf("  clock         %s agrees with ours\n", std::string(whose).c_str());
  else
    std::printf("  clock         %s is %.0f s %s\n", std::string(whose).c_str(), std::abs(ahead),
                ahead > 0 ? "ahead of ours" : "behind ours");
}

void print(const std::vector<Duration>& round_trips) {
  const auto [least, most] = std::ranges::minmax(round_trips);
  Duration sum{};
  for (const Duration one : round_trips) sum += one;
  std::printf("  round trips   %zu, %.2f / %.2f / %.2f ms (least / mean / most)\n", round_trips.size(), ms(least),
              ms(sum) / static_cast<double>(round_trips.size()), ms(most));
}

void print_work(const PeerReport& work) {
  if (work.work == nullptr) return;
  std::printf("  template      for block %u, %llu sat, in %.1f ms\n", work.work->height,
              static_cast<unsigned long long>(work.work->coinbase_value_sat), ms(work.work_after));
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

void print(const Options& options, const PeerReport& report) {
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
    print(report.round_trips);
  } else if (report.setup != Duration::zero()) {
    std::printf("  round trips   the peer knows no Ping (extension 0x4ad1); SetupConnection's is above\n");
  }
  print_work(report);
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
  // Both clocks are told in whole seconds.
  if (report.clock) print_clock("the peer's", std::chrono::duration<double>(*report.clock).count(), 1.5);
  std::fflush(stdout);
}

void print(const IpcReport& report) {
  if (report.reached == Duration::zero()) return;
  std::printf("  reached       the mining interface of Bitcoin Core %s, in %.1f ms\n", report.has_rpc ? "31.99 or later" : "31",
              ms(report.reached));
  if (report.chain) {
    std::printf("  chain         %s, block %lld of %lld\n", report.chain->chain.c_str(),
                static_cast<long long>(report.chain->blocks.value_or(0)),
                static_cast<long long>(report.chain->headers.value_or(0)));
  } else if (!report.has_rpc) {
    std::printf("  chain         %s\n", report.is_test_chain ? "a test network" : "mainnet");
  }
  if (report.is_downloading)
    std::printf("  download      the node has not caught up with the chain: a pool on mainnet or testnet waits for that\n");
  if (!report.template_after) return;
  std::printf("  template      for block %u, %llu sat, in %.1f ms\n", report.height,
              static_cast<unsigned long long>(report.value_sat), ms(*report.template_after));
  if (report.block_after)
    std::printf("  transactions  %zu, %zu bytes, in %.1f ms\n", report.transactions, report.block_bytes,
                ms(*report.block_after));
  print_clock("the node's", static_cast<double>(report.clock_ahead.count()), 2.5);
  if (!report.round_trips.empty()) print(report.round_trips);
}

/// A Bitcoin node's IPC socket, as Bitcoin Core's own options write it.
constexpr std::string_view kSocketScheme = "unix:";

int run(const Options& options) {
  if (options.url.starts_with(kSocketScheme)) {
    IpcReport report;
    const auto pinged = ping_node(options.url.substr(kSocketScheme.size()),
                                  {.count = options.count, .deadline = std::chrono::seconds(options.deadline_s)}, report);
    std::printf("%s\n", options.url.c_str());
    print(report);
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
  PeerReport report;
  const auto result =
      ping_peer(shards, *peer, iroh.get(),
                {.protocol = options.protocol == kTemplates ? wire::Protocol::kTemplateDistribution : wire::Protocol::kMining,
                 .count = options.count,
                 .deadline = std::chrono::seconds(options.deadline_s),
                 .transactions = true},
                report);
  if (report.reached != Duration::zero()) print(options, report);
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
