// `adit miner`: a CPU miner for trying out pools and translators.
#include <CLI/Option.hpp>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <vector>

#include "cli/command.h"
#include "cli/duration.h"
#include "cli/serve.h"
#include "config/common.h"
#include "roles/miner/miner.h"
#include "upstream/url.h"

namespace adit::cli {
namespace {

constexpr std::string_view kName = "miner";
constexpr Duration kStatsEvery = std::chrono::seconds(10);
constexpr Duration kGoodbye = std::chrono::seconds(3);
constexpr Duration kLastWords = std::chrono::seconds(2);

struct Options {
  std::vector<std::string> urls;
  bool benchmark = false;
  std::string user = "adit";
  unsigned threads = 1;
  double nominal_hash_rate_hps = 0;
  bool extended = false;
  bool goodbye = false;
  std::string run_for;
  std::string longest_retry = "30s";
  IrohDialling dialling;
  std::string log_file;
};

void log_stats(const miner::MinerStats& now, const miner::MinerStats& before, Duration between) {
  const double seconds = std::chrono::duration<double>(between).count();
  log::info("miner.stats", {{"hash_rate_hps", static_cast<double>(now.hashes - before.hashes) / seconds},
                            {"shares_accepted", now.shares_accepted},
                            {"shares_rejected", now.shares_rejected}});
}

int run(const Global& global, const Options& options) {
  if (options.benchmark) {
    std::printf("%.0f\n", miner::measure_hash_rate(options.threads));
    return kOk;
  }
  if (options.urls.empty()) {
    return give_up(kName, Error(net::Errc::kConfiguration, "name the pool to mine on: adit miner URL (see --help)"), kUsage);
  }
  std::vector<net::Peer> pools;
  for (const auto& url : options.urls) {
    auto pool = upstream::parse_url(url);
    if (!pool) return give_up(kName, pool.error(), kUsage);
    pools.push_back(std::move(*pool));
  }
  const auto is_sv1 = [](const net::Peer& pool) { return pool.dialect == net::Dialect::kStratumV1; };
  if (pools.size() > 1 && std::ranges::any_of(pools, is_sv1)) {
    return give_up(kName, Error(net::Errc::kConfiguration, "several pools are mined on over Stratum V2 only"), kUsage);
  }
  Duration limit = Duration::max();
  if (!options.run_for.empty()) {
    const auto run_for = parse_duration(options.run_for);
    if (!run_for) return give_up("miner: --for", run_for.error(), kUsage);
    limit = *run_for;
  }
  const auto longest_retry = parse_duration(options.longest_retry);
  if (!longest_retry) return give_up("miner: --longest-retry", longest_retry.error(), kUsage);
  prepare_process();
  if (auto started = start_log(global, options.log_file); !started) return give_up(kName, started.error(), kUsage);

  // Destroyed in reverse: the miner's connection before the endpoint, that before its loop.
  net::Shards shards(1);
  std::unique_ptr<net::IrohCarrier> iroh;
  std::vector<bool> regtest_only;
  regtest_only.reserve(pools.size());
  for (const auto& pool : pools) regtest_only.push_back(config::has_example_authority(pool));
  const auto over_iroh =
      std::ranges::find_if(pools, [](const auto& pool) { return std::holds_alternative<net::IrohConfig>(pool.transport); });
  if (over_iroh != pools.end()) {
    const auto* peer = std::get_if<net::IrohConfig>(&over_iroh->transport);
    auto started = dialling_iroh(shards, *peer, options.dialling);
    if (!started) return give_up(kName, started.error(), exit_code_of(started.error()));
    iroh = std::move(*started);
  }
  miner::Miner miner({.pools = pools,
                      .user = options.user,
                      .threads = options.threads,
                      .nominal_hash_rate_hps = options.nominal_hash_rate_hps,
                      .extended = options.extended,
                      .regtest_only = regtest_only,
                      .goodbye = options.goodbye,
                      .longest_retry = *longest_retry,
                      .iroh = iroh.get()},
                     shards[0]);
  shards.start();
  miner.start();
  const Instant begun = now_from_system().instant;
  miner::MinerStats before;
  wait_for_signal(
      kStatsEvery,
      [&] {
        const miner::MinerStats now = miner.stats();
        log_stats(now, before, kStatsEvery);
        before = now;
        return !miner.unusable();
      },
      limit);
  miner.stop({.deadline = kGoodbye});
  shards.stop(kGoodbye + kLastWords);
  const miner::MinerStats total = miner.stats();
  log_stats(total, {}, now_from_system().instant - begun);
  if (!miner.last_error().empty()) {
    std::fprintf(stderr, "adit miner: %s\n", miner.last_error().c_str());
    return miner.unusable() ? kUsage : kFailure;
  }
  return kOk;
}

}  // namespace

Command add_miner(CLI::App& app) {
  auto* miner = app.add_subcommand("miner", "Mine on the CPU, over Stratum V1 or V2");
  auto options = std::make_shared<Options>();
  auto* urls =
      miner->add_option("URL", options->urls,
                        "One pool, or several in order of preference (Stratum V2): stratum2+tcp://HOST:PORT/AUTHORITY, "
                        "stratum2+iroh://ENDPOINT_ID/AUTHORITY?addr=IP:PORT or stratum+tcp://HOST:PORT");
  miner->add_flag("--benchmark", options->benchmark, "Print how many hashes a second these threads make, and end")
      ->excludes(urls);
  miner->add_option("--user", options->user, "User identity, or worker name")->capture_default_str();
  miner->add_option("--threads", options->threads, "Hashing threads")->check(CLI::Range(1, 256))->capture_default_str();
  miner
      ->add_option("--nominal-hash-rate", options->nominal_hash_rate_hps,
                   "Hashes per second to announce; by default what is measured")
      ->check(CLI::PositiveNumber);
  miner->add_flag("--extended", options->extended,
                  "Stratum V2: an extended channel, whose extranonce the miner rolls, instead of a standard one");
  miner->add_flag("--goodbye", options->goodbye,
                  "Stratum V2 over TCP: end by a Goodbye where the pool knows it, as is done over iroh anyhow");
  miner->add_option("--for", options->run_for, "End by itself after this long (20s, 5m)");
  miner->add_option("--longest-retry", options->longest_retry, "Wait at most this long between two dials of one pool (1s, 2m)")
      ->capture_default_str();
  add_iroh_options(*miner, options->dialling);
  miner->add_option("-f,--log-file", options->log_file, "Write the log to this file too");
  return {miner, [options](const Global& global) { return run(global, *options); }};
}

}  // namespace adit::cli
