// `adit load`: what a pool or a translator, ours or another's, does with many connections and many shares.
#include <CLI/Option.hpp>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "cli/command.h"
#include "cli/duration.h"
#include "cli/serve.h"
#include "config/keys.h"
#include "roles/load/load.h"
#include "roles/load/search.h"
#include "upstream/url.h"

namespace adit::cli {
namespace {

namespace json = boost::json;

constexpr std::string_view kName = "load";
constexpr Duration kSettle = std::chrono::seconds(1);  // Between the opening and the measuring: what the opening left to do.
constexpr Duration kLook = std::chrono::milliseconds(20);
constexpr Duration kGoodbye = std::chrono::seconds(3);

struct Options {
  std::string url;
  std::size_t connections = 1000;
  bool extended = false;
  std::string user = "adit-load";
  bool own_addresses = false;
  double nominal_hash_rate_hps = 1e-3;
  bool flood = false;
  double rate = 0;
  std::optional<std::size_t> shares;
  std::size_t in_flight = 32;
  std::string run_for = "10s";
  unsigned threads = 1;
  pid_t pid = 0;
  bool json = false;
  IrohDialling dialling;

  [[nodiscard]] std::string_view channels() const {
    if (upstream::scheme_of(url) == "stratum+tcp") return "sv1";
    return extended ? "extended" : "standard";
  }
};

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

/// How a new tip went round: from the first connection that heard of it.
struct FanOut {
  std::size_t connections = 0;
  double first_unix_ms = 0;
  double half_ms = 0;
  double last_ms = 0;
};

std::vector<FanOut> fan_outs(const std::vector<load::Tip>& tips) {
  const auto unix_now = std::chrono::duration<double, std::milli>(std::chrono::system_clock::now().time_since_epoch());
  const Instant now = now_from_system().instant;
  std::vector<FanOut> result;
  for (const load::Tip& tip : tips) {
    auto heard = tip.heard;
    std::ranges::sort(heard, {}, &load::Tip::Hearing::at);
    const auto since_first = [&](Instant at) { return seconds(at - heard.front().at) * 1e3; };
    result.push_back({.connections = heard.size(),
                      .first_unix_ms = unix_now.count() - seconds(now - heard.front().at) * 1e3,
                      .half_ms = since_first(heard[(heard.size() - 1) / 2].at),
                      .last_ms = since_first(heard.back().at)});
  }
  return result;
}

json::value optional_number(bool known, double value) { return known ? json::value(value) : json::value(nullptr); }

struct Report {
  const Options& options;
  const load::Opened& opened;
  const load::Measured& measured;
  std::vector<FanOut> tips = fan_outs(measured.meter.tips);

  [[nodiscard]] double per_connection(double value) const { return value / static_cast<double>(options.connections); }
  [[nodiscard]] bool shares() const { return options.flood || options.rate > 0; }
  [[nodiscard]] double accepted() const { return static_cast<double>(measured.meter.accepted); }
  [[nodiscard]] double open_cpu_us() const { return per_connection(seconds(opened.pool_cpu.value_or(Duration{})) * 1e6); }
  [[nodiscard]] double memory_kib() const {
    return per_connection(static_cast<double>(opened.pool_memory_bytes.value_or(0)) / 1024);
  }
  [[nodiscard]] double pool_cpu_s() const { return seconds(measured.pool_cpu.value_or(Duration{})); }
  [[nodiscard]] bool share_cpu_known() const { return measured.pool_cpu && measured.meter.accepted > 0; }
  [[nodiscard]] double share_cpu_us() const { return pool_cpu_s() * 1e6 / std::max(1.0, accepted()); }
  [[nodiscard]] double shares_per_core() const { return pool_cpu_s() > 0 ? accepted() / pool_cpu_s() : 0; }
  [[nodiscard]] double ack_us(double fraction) const { return seconds(measured.meter.acknowledged.quantile(fraction)) * 1e6; }

  [[nodiscard]] std::string as_json() const;
  void print() const;
};

std::string Report::as_json() const {
  json::object rejected;
  for (const auto& [code, count] : measured.meter.rejected) rejected[code] = count;
  json::array heard;
  for (const FanOut& tip : tips) {
    heard.push_back(json::object{{"connections", tip.connections},
                                 {"first_unix_ms", tip.first_unix_ms},
                                 {"half_ms", tip.half_ms},
                                 {"last_ms", tip.last_ms}});
  }
  const bool has_pid = measured.pool_cpu.has_value();
  return json::serialize(json::object{
      {"url", options.url},
      {"connections", options.connections},
      {"channels", std::string(options.channels())},
      {"open", json::object{{"seconds", seconds(opened.taken)},
                            {"pool_cpu_us_per_connection", optional_number(has_pid, open_cpu_us())},
                            {"pool_memory_kib_per_connection", optional_number(has_pid, memory_kib())}}},
      {"seconds", seconds(measured.taken)},
      {"pool_cpu_seconds", optional_number(has_pid, pool_cpu_s())},
      {"own_cpu_seconds", seconds(measured.own_cpu)},
      {"lost", measured.lost},
      {"shares", json::object{{"submitted", measured.meter.submitted},
                              {"accepted", measured.meter.accepted},
                              {"rejected", std::move(rejected)},
                              {"held_back", measured.meter.held_back},
                              {"not_found", measured.meter.not_found},
                              {"per_second", accepted() / seconds(measured.taken)},
                              {"pool_cpu_us", optional_number(share_cpu_known(), share_cpu_us())},
                              {"per_second_and_core", optional_number(share_cpu_known(), shares_per_core())},
                              {"ack_p50_us", optional_number(measured.meter.acknowledged.count() > 0, ack_us(0.5))},
                              {"ack_p99_us", optional_number(measured.meter.acknowledged.count() > 0, ack_us(0.99))}}},
      {"tips", std::move(heard)},
  });
}

void Report::print() const {
  const bool has_pid = measured.pool_cpu.has_value();
  std::printf("connections        %zu (channels: %s), all with work after %.2f s\n", options.connections,
              std::string(options.channels()).c_str(), seconds(opened.taken));
  if (has_pid) {
    std::printf("                   %.0f us of the pool's CPU and %.1f KiB of its memory each\n", open_cpu_us(), memory_kib());
  }
  if (measured.lost > 0) std::printf("lost               %zu, the last: %s\n", measured.lost, measured.last_loss.c_str());
  if (shares()) {
    std::printf("shares             %.0f/s accepted for %.1f s; the load itself used %.0f %% of a core\n",
                accepted() / seconds(measured.taken), seconds(measured.taken),
                100 * seconds(measured.own_cpu) / seconds(measured.taken));
    if (share_cpu_known()) {
      std::printf("                   %.2f us of the pool's CPU each: %.0f/s on one core\n", share_cpu_us(), shares_per_core());
    }
    std::printf("answered after     p50 %.0f us, p99 %.0f us (last share of a batch)\n", ack_us(0.5), ack_us(0.99));
    for (const auto& [code, count] : measured.meter.rejected)
      std::printf("refused            %llu as %s\n", static_cast<unsigned long long>(count), code.c_str());
    if (measured.meter.held_back > 0) {
      std::printf("held back          %llu: their connections had %zu shares without an answer, or the load was late\n",
                  static_cast<unsigned long long>(measured.meter.held_back), options.in_flight);
    }
    if (measured.meter.not_found > 0) {
      std::printf("not found          %llu: %u hashes held no share, the pool's target is too hard for a load\n",
                  static_cast<unsigned long long>(measured.meter.not_found), load::ShareSearch::kMaxTries);
    }
  } else if (has_pid && !tips.empty()) {
    std::printf("tips               %.1f us of the pool's CPU for each connection and tip, all else that it did included\n",
                per_connection(pool_cpu_s() * 1e6 / static_cast<double>(tips.size())));
  }
  for (const FanOut& tip : tips) {
    std::printf("tip                heard by %zu: half of them after %.1f ms, the last after %.1f ms\n", tip.connections,
                tip.half_ms, tip.last_ms);
  }
}

int run(const Global& global, const Options& options) {
  auto pool = upstream::parse_url(options.url);
  if (!pool) return give_up(kName, pool.error(), kUsage);
  if (pool->dialect == net::Dialect::kStratumV1 && options.extended)
    return give_up("load: --extended", Error(net::Errc::kConfiguration, "a miner of Stratum V1 has no channel"), kUsage);
  const auto run_for = parse_duration(options.run_for);
  if (!run_for) return give_up("load: --for", run_for.error(), kUsage);
  prepare_process();
  if (auto started = start_log(global, ""); !started) return give_up(kName, started.error(), kUsage);

  net::Shards shards(options.threads);
  std::unique_ptr<net::IrohCarrier> iroh;
  if (const auto* peer = std::get_if<net::IrohConfig>(&pool->transport)) {
    auto started = dialling_iroh(shards, *peer, options.dialling);
    if (!started) return give_up(kName, started.error(), exit_code_of(started.error()));
    iroh = std::move(*started);
  }
  shards.start();
  int code = kOk;
  {
    load::LoadOptions wanted{.pool = *pool, .iroh = iroh.get(), .connections = options.connections};
    wanted.session = {.user = options.user,
                      .own_address = options.own_addresses,
                      .extended = options.extended,
                      .nominal_hash_rate_hps = static_cast<float>(options.nominal_hash_rate_hps),
                      .in_flight = options.in_flight};
    wanted.flood = options.flood;
    wanted.rate = options.rate;
    if (options.shares) wanted.shares = *options.shares;
    if (options.pid != 0) wanted.pid = options.pid;
    load::Load load(shards, std::move(wanted));
    const auto opened = load.open();
    if (!opened) return give_up(kName, opened.error(), exit_code_of(opened.error()));
    std::this_thread::sleep_for(kSettle);
    if (const auto begun = load.begin(); !begun) return give_up(kName, begun.error(), kFailure);
    if (options.shares) {
      wait_for_signal(kLook, [&] { return !load.is_through(); }, *run_for);
    } else {
      wait_for_signal(*run_for, [] { return true; }, *run_for);
    }
    const auto measured = load.finish();
    if (!measured) return give_up(kName, measured.error(), kFailure);
    const Report report{.options = options, .opened = *opened, .measured = *measured};
    if (options.json) {
      std::printf("%s\n", report.as_json().c_str());
    } else {
      report.print();
    }
    if (measured->lost > 0 || (report.shares() && measured->meter.accepted == 0)) code = kFailure;
  }
  shards.stop(kGoodbye);
  return code;
}

}  // namespace

Command add_load(CLI::App& app) {
  auto* load = app.add_subcommand(
      "load", "Put a pool or a translator under load: many connections of Stratum V2 or V1, real shares, and what they cost");
  auto options = std::make_shared<Options>();
  load->add_option(
          "URL", options->url,
          "stratum2+tcp://HOST:PORT/AUTHORITY, stratum2+iroh://ENDPOINT_ID/AUTHORITY?addr=IP:PORT or stratum+tcp://HOST:PORT")
      ->required();
  load->add_option("--connections", options->connections, "How many, each with one channel")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  load->add_flag("--extended", options->extended, "Extended channels instead of standard ones");
  auto* user = load->add_option("--user", options->user, "User identity of all channels")->capture_default_str();
  load->add_flag("--own-addresses", options->own_addresses,
                 "Each channel's user identity is an address of its own, of the test networks: as many payouts as channels")
      ->excludes(user);
  load->add_option("--nominal-hash-rate", options->nominal_hash_rate_hps,
                   "Hashes per second that each channel announces; near 0 pools give their easiest target")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  auto* flood = load->add_flag("--flood", options->flood, "Submit as many shares as the pool answers");
  load->add_option("--rate", options->rate, "Submit so many shares per second over all connections")
      ->check(CLI::PositiveNumber)
      ->excludes(flood);
  load->add_option("--shares", options->shares, "Submit so many in all, and end once they are answered")
      ->check(CLI::PositiveNumber);
  load->add_option("--in-flight", options->in_flight,
                   "Shares of one connection without an answer; more than the pool's acknowledgement batch")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  load->add_option("--for", options->run_for, "How long to measure once all are connected (10s, 5m)")->capture_default_str();
  load->add_option("--threads", options->threads, "Threads of the load itself")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  load->add_option("--pid", options->pid, "The pool's process on this machine: measure its CPU time and memory")
      ->check(CLI::PositiveNumber);
  add_iroh_options(*load, options->dialling);
  load->add_flag("--json", options->json, "Print one JSON object instead of the table");
  return {load, [options](const Global& global) { return run(global, *options); }};
}

}  // namespace adit::cli
