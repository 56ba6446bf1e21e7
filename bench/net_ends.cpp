// Both ends of what bench/tips.py and bench/sessions.py measure: a pool whose chain finds a block every so often, and a load on
// it. Each prints when (monotonic clock, which all processes of a machine share) a tip was decided, or was heard on which
// connection.
//
//   net_ends pool --address IP --carrier tcp|iroh [--tip-ms N] [--batch N] [--bulk 1]
//     prints {"url": ..., "bulk_port": ...}; for each line on its input a report; ends with its input
//   net_ends load --url URL --connections N --in-flight N [--rate N] --seconds N [--bulk 1 --bulk-port N] [--bulk-apart 1]
//     without a rate as many shares as are answered; prints a report; ends with its input
//   net_ends open --url URL --connections N [--warm N] [--one-endpoint 1] [--pid N]
//     opens `warm` connections, prints "warm", waits for a line; opens the others one after the other, prints what that took;
//     ends with its input
//
// Over iroh each connection has an endpoint of its own, as miners in many places have: one endpoint with many connections to
// one peer spends its time on them. With one endpoint, sessions over lanes share connections.
//
// With bulk each connection has a neighbour, full of what a template provider sends: over lanes a session of the same
// connection, over `sv2-m` a connection of `sv2-tp`, over TCP another connection.
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "base/hex.h"
#include "log/log.h"
#include "net/dial.h"
#include "net/establish.h"
#include "net/iroh/node.h"
#include "net/lane_connection.h"
#include "net/tcp.h"
#include "noise/certificate.h"
#include "roles/load/load.h"
#include "roles/pool/server.h"
#include "template/embedded.h"
#include "upstream/url.h"
#include "wire/messages.h"

namespace {

namespace json = boost::json;
namespace asio = boost::asio;
using namespace adit;
using namespace std::chrono_literals;

constexpr const char* kAlpnTemplates = "sv2-tp";
constexpr std::size_t kBulkFrame = 64 * 1024;
constexpr std::size_t kBulkQueue = 256 * 1024;

[[noreturn]] void broken(const std::string& what) {
  std::fprintf(stderr, "net_ends: %s\n", what.c_str());
  std::exit(1);
}

template <class T>
T must(Result<T> result) {
  if (!result) broken(result.error().message());
  return std::move(*result);
}

std::int64_t us(Instant at) { return std::chrono::duration_cast<std::chrono::microseconds>(at.time_since_epoch()).count(); }
Instant now() { return now_from_system().instant; }

class Options {
 public:
  Options(int argc, char** argv) {
    for (int i = 2; i + 1 < argc; i += 2) given_[argv[i]] = argv[i + 1];
  }
  [[nodiscard]] std::string text(const std::string& name) const {
    const auto at = given_.find(name);
    return at == given_.end() ? "" : at->second;
  }
  [[nodiscard]] double number(const std::string& name, double otherwise) const {
    const auto at = given_.find(name);
    return at == given_.end() ? otherwise : std::atof(at->second.c_str());
  }

 private:
  std::map<std::string, std::string> given_;
};

noise::AuthorityKeyPair authority() {
  std::array<std::uint8_t, 32> bytes{};
  bytes.fill(7);
  return must(noise::AuthorityKeyPair::from_secret(noise::Secret(bytes)));
}

noise::Secret authority_secret() {
  std::array<std::uint8_t, 32> bytes{};
  bytes.fill(7);
  return noise::Secret(bytes);
}

std::unique_ptr<net::IrohNodeManager> start_node(net::Shards& shards, std::size_t number, const std::string& bind) {
  net::IrohNodeConfig config;
  noise::Secret secret;
  std::ranges::fill(std::span(secret.data(), noise::Secret::kSize), static_cast<std::uint8_t>(number));
  config.secret_key = std::make_shared<const noise::Secret>(std::move(secret));
  config.bind = {bind};
  config.threads = 1;
  return must(net::IrohNodeManager::start(shards, std::move(config)));
}

/// All calls go to the carrier inside.
class Wrapped : public net::IrohCarrier {
 public:
  explicit Wrapped(net::IrohNodeManager& inner) : inner_(inner) {}
  asio::awaitable<Result<net::Link>> dial(net::Shard& shard, net::IrohConfig to, wire::Protocol protocol,
                                          Duration deadline) override {
    return inner_.dial(shard, std::move(to), protocol, deadline);
  }
  Result<void> listen(std::vector<std::string> alpns, net::Admission admission, OnLink on_link) override {
    return inner_.listen(std::move(alpns), std::move(admission), std::move(on_link));
  }
  void stop_listening() override { inner_.stop_listening(); }
  [[nodiscard]] Counts counts() const override { return inner_.counts(); }
  [[nodiscard]] std::string endpoint_id() const override { return inner_.endpoint_id(); }
  [[nodiscard]] std::vector<std::string> local_addresses() const override { return inner_.local_addresses(); }
  [[nodiscard]] std::string home_relay() const override { return inner_.home_relay(); }

 protected:
  net::IrohNodeManager& inner_;
};

// ---- The pool's end

/// Once asked, bulk as long as the peer takes it, never more than kBulkQueue of it unsent.
asio::awaitable<void> feed(net::Shard& shard, net::Link given, net::IrohCarrier::Place given_place) {
  auto link = std::move(given);
  const auto place = std::move(given_place);
  net::Credentials credentials(authority_secret(), 3600s, std::nullopt);
  std::unique_ptr<net::NetworkConnection> connection;
  if (link.lanes()) {
    connection = std::make_unique<net::LaneConnection>(shard, std::move(link.stream), std::move(link.second), *link.protocol,
                                                       net::LaneOptions{});
  } else {
    auto accepted = co_await net::accept_session(shard, link, credentials, {});
    if (!accepted) co_return;
    connection = std::move(*accepted);
  }
  if (place) place->established(now_from_system().instant);
  if (const auto asked = co_await connection->receive(); !asked) co_return;
  const std::vector<std::uint8_t> payload(kBulkFrame, 0x5a);
  wire::FrameBuffer frame;
  frame.push_raw({.extension_type = wire::kCore,
                  .channel_message = wire::RequestTransactionDataSuccess::kChannelMessage,
                  .message_type = wire::RequestTransactionDataSuccess::kType},
                 payload);
  // Ends when the program's shards stop; to a peer that has gone it says nothing.
  for (;;) {
    if (connection->queued_bytes() + kBulkFrame <= kBulkQueue) connection->send(frame);
    co_await net::sleep_for(1ms);
  }
}

/// Sessions for templates are fed with bulk, all others are the pool's.
class FeedsBulk final : public Wrapped {
 public:
  using Wrapped::Wrapped;
  Result<void> listen(std::vector<std::string> alpns, net::Admission admission, OnLink on_link) override {
    alpns.emplace_back(kAlpnTemplates);
    return inner_.listen(std::move(alpns), std::move(admission),
                         [on_link = std::move(on_link)](net::Shard& shard, net::Link link, Place place) {
                           const bool templates = link.protocol == wire::Protocol::kTemplateDistribution;
                           if (!templates) return on_link(shard, std::move(link), std::move(place));
                           shard.spawn(feed(shard, std::move(link), std::move(place)));
                         });
  }
};

/// The embedded chain; notes the moment at which it hands each tip to the pool.
class Stamped final : public templates::TemplateSource {
 public:
  explicit Stamped(templates::EmbeddedSource::Options options) : chain_(std::move(options)) {}
  Result<> start(templates::SourceEvents events) override {
    auto publish = std::move(events.on_template);
    events.on_template = [this, publish = std::move(publish)](templates::TemplatePtr made, bool new_tip) {
      if (new_tip) {
        const std::lock_guard lock(mutex_);
        decided_.emplace_back(to_hex(made->prev_hash), now());
      }
      publish(std::move(made), new_tip);
    };
    return chain_.start(std::move(events));
  }
  Result<> submit(templates::TemplateId id, templates::BlockSolution solution) override {
    return chain_.submit(id, std::move(solution));
  }
  void constrain(templates::CoinbaseConstraints constraints) override { chain_.constrain(constraints); }
  void transactions(templates::TemplateId id, std::function<void(Result<Transactions>)> done) override {
    chain_.transactions(id, std::move(done));
  }
  [[nodiscard]] templates::SourceStatus status() const override { return chain_.status(); }
  void stop() override { chain_.stop(); }

  [[nodiscard]] json::array decided() const {
    const std::lock_guard lock(mutex_);
    json::array all;
    for (const auto& [hash, at] : decided_) all.push_back(json::array{hash, us(at)});
    return all;
  }

 private:
  templates::EmbeddedSource chain_;
  mutable std::mutex mutex_;
  std::vector<std::pair<std::string, Instant>> decided_;
};

int run_pool(const Options& options) {
  const bool iroh = options.text("--carrier") != "tcp";
  const bool bulk = options.number("--bulk", 0) != 0;
  const std::string address = options.text("--address");
  net::Shards shards(1);
  shards.start();
  std::unique_ptr<net::IrohNodeManager> node;
  std::optional<FeedsBulk> carrier;
  std::unique_ptr<net::TcpListener> bulk_listener;
  pool::ServerOptions wanted;
  // All connections are of one address.
  wanted.admission.max_unproven_per_source = wanted.admission.max_connections;
  wanted.admission.max_handshakes_per_source = wanted.admission.max_handshakes;
  wanted.admission.source_costs.amount = 1'000'000;
  net::Peer url{.transport = net::TcpConfig{}, .authority = authority().public_key()};
  if (iroh) {
    node = start_node(shards, 1, address + ":0");
    carrier.emplace(*node);
    wanted.iroh = &*carrier;
    url.transport = net::IrohConfig{.endpoint_id = node->endpoint_id(), .addrs = node->local_addresses()};
  } else {
    wanted.listen = net::TcpConfig{address, 0};
    if (bulk) {
      bulk_listener = must(net::TcpListener::bind(shards[0], {address, 0}));
      bulk_listener->start(shards, [](net::Shard& shard, std::unique_ptr<net::ByteStream> stream) {
        shard.spawn(feed(shard, {.stream = std::move(stream)}, nullptr));
      });
    }
  }
  wanted.authority_secret = authority_secret();
  wanted.jobs = {.payout_script = {0x51}, .pool_signature = "tips"};
  wanted.session.channel.shares_per_minute = 120;  // With a hash rate near 0: the easiest target there is.
  wanted.session.channel.share_batch_size = static_cast<std::uint32_t>(options.number("--batch", 10));
  Stamped source({.new_tip_every = std::chrono::milliseconds(static_cast<std::int64_t>(options.number("--tip-ms", 250)))});
  pool::PoolServer server(shards, source, std::move(wanted));
  if (auto started = server.start(); !started) broken(started.error().message());
  if (!iroh) url.transport = net::TcpConfig{address, server.tcp_port()};
  std::printf("%s\n", json::serialize(json::object{{"url", upstream::to_url(url)},
                                                   {"bulk_port", bulk_listener ? bulk_listener->port() : 0}})
                          .c_str());
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
    json::array connections;
    for (const auto& each : server.connections().listed) {
      const auto figures = each.metadata.figures.value_or(net::CarrierFigures{});
      connections.push_back(json::object{{"packets_sent", figures.packets_sent},
                                         {"packets_lost", figures.packets_lost},
                                         {"congestion_window", figures.congestion_window},
                                         {"rtt_us", net::rtt_us(each.metadata)},
                                         {"sessions", each.metadata.sessions}});
    }
    std::printf("%s\n", json::serialize(json::object{{"decided", source.decided()}, {"connections", connections}}).c_str());
    std::fflush(stdout);
  }
  server.stop(Duration::zero());
  if (bulk_listener) bulk_listener->stop();
  shards.stop(Duration::zero());
  return 0;
}

// ---- The miners' end

std::atomic<std::uint64_t> bulk_bytes{0};
std::atomic<bool> bulk_wanted{false};

asio::awaitable<void> swallow(std::unique_ptr<net::NetworkConnection> given) {
  const auto connection = std::move(given);
  while (!bulk_wanted) co_await net::sleep_for(10ms);
  wire::FrameBuffer ask;
  ask.push(wire::RequestTransactionData{});
  connection->send(ask);
  for (;;) {
    const auto batch = co_await connection->receive();
    if (!batch) co_return;
    for (const auto& frame : *batch) bulk_bytes += frame.payload.size();
  }
}

/// Miners in many places: each session that is dialled is another endpoint's, until all have one. With bulk it has a neighbour,
/// which is another connection's where `apart`.
class Sites final : public Wrapped {
 public:
  Sites(net::Shards& shards, std::size_t count, bool bulk, bool apart)
      : Sites(start_node(shards, 2, "0.0.0.0:0"), shards, count, bulk, apart) {}

  asio::awaitable<Result<net::Link>> dial(net::Shard& shard, net::IrohConfig to, wire::Protocol protocol,
                                          Duration deadline) override {
    const std::size_t at = next_++;
    auto link = co_await nodes_[at % sites_]->dial(shard, to, protocol, deadline);
    if (!link || !bulk_) co_return link;
    auto beside = to;
    if (!link->lanes()) beside.alpn = kAlpnTemplates;
    auto& node = *nodes_[at % sites_ + (nodes_.size() - sites_)];
    auto bulk = must(co_await node.dial(shard, beside, wire::Protocol::kTemplateDistribution, deadline));
    std::unique_ptr<net::NetworkConnection> connection;
    if (bulk.lanes()) {
      connection = std::make_unique<net::LaneConnection>(shard, std::move(bulk.stream), std::move(bulk.second), *bulk.protocol,
                                                         net::LaneOptions{});
    } else {
      connection = must(co_await net::begin_session(shard, bulk, authority().public_key(), {}));
    }
    shard.spawn(swallow(std::move(connection)));
    co_return link;
  }

 private:
  Sites(std::unique_ptr<net::IrohNodeManager> first, net::Shards& shards, std::size_t count, bool bulk, bool apart)
      : Wrapped(*first), sites_(count), bulk_(bulk) {
    nodes_.push_back(std::move(first));
    for (std::size_t i = 1; i < (bulk && apart ? 2 * count : count); ++i)
      nodes_.push_back(start_node(shards, 2 + i, "0.0.0.0:0"));
  }

  std::vector<std::unique_ptr<net::IrohNodeManager>> nodes_;
  std::size_t sites_;
  bool bulk_;
  std::size_t next_ = 0;
};

asio::awaitable<void> dial_bulk(net::Shard& shard, net::Peer to) {
  shard.spawn(swallow(must(co_await net::dial(shard, std::move(to), wire::Protocol::kTemplateDistribution,
                                              {.connect_deadline = 30s, .handshake_deadline = 30s}))));
}

json::object report(const load::Measured& measured, Instant begun, std::uint64_t bulk) {
  json::array tips;
  for (const load::Tip& tip : measured.meter.tips) {
    json::array heard;
    for (const auto& each : tip.heard) heard.push_back(json::array{each.connection, us(each.at)});
    tips.push_back(json::array{to_hex(tip.prev_hash), heard});
  }
  std::uint64_t rejected = 0;
  for (const auto& [code, count] : measured.meter.rejected) rejected += count;
  const double seconds = std::chrono::duration<double>(measured.taken).count();
  return {{"begun_us", us(begun)},
          {"seconds", seconds},
          {"lost", measured.lost},
          {"last_loss", measured.last_loss},
          {"accepted", measured.meter.accepted},
          {"rejected", rejected},
          {"held_back", measured.meter.held_back},
          {"goodput", static_cast<double>(measured.meter.accepted + rejected) / seconds},
          {"ack_p50_us", us(Instant(measured.meter.acknowledged.quantile(0.5)))},
          {"own_cpu_seconds", std::chrono::duration<double>(measured.own_cpu).count()},
          {"bulk_mbit", static_cast<double>(bulk) * 8e-6 / seconds},
          {"tips", std::move(tips)}};
}

void wait_for_end_of_input() {
  for (std::string line; std::getline(std::cin, line);) {
  }
}

load::LoadOptions load_of(const Options& options, const net::Peer& pool) {
  load::LoadOptions wanted{.pool = pool};
  wanted.connections = static_cast<std::size_t>(options.number("--connections", 20));
  wanted.session.user = "bench";
  return wanted;
}

int run_load(const Options& options) {
  const auto bulk_port = static_cast<std::uint16_t>(options.number("--bulk-port", 0));
  const bool bulk = options.number("--bulk", 0) != 0;
  const auto pool = must(upstream::parse_url(options.text("--url")));
  net::Shards shards(1);
  auto wanted = load_of(options, pool);
  std::optional<Sites> sites;
  if (std::holds_alternative<net::IrohConfig>(pool.transport)) {
    wanted.iroh = &sites.emplace(shards, wanted.connections, bulk, options.number("--bulk-apart", 0) != 0);
  }
  wanted.rate = options.number("--rate", 0);
  wanted.flood = wanted.rate == 0;
  wanted.session.in_flight = static_cast<std::size_t>(options.number("--in-flight", 32));
  wanted.dialling = 16;
  shards.start();
  {
    const auto connections = wanted.connections;
    load::Load load(shards, std::move(wanted));
    must(load.open());
    if (bulk && !sites) {
      auto to = pool;
      std::get<net::TcpConfig>(to.transport).port = bulk_port;
      for (std::size_t i = 0; i < connections; ++i) {
        shards[0].post([&shards, to] { shards[0].spawn(dial_bulk(shards[0], to)); });
      }
    }
    bulk_wanted = true;
    std::this_thread::sleep_for(1s);
    const Instant begun = now();
    const auto bulk_before = bulk_bytes.load();
    if (auto started = load.begin(); !started) broken(started.error().message());
    std::this_thread::sleep_for(std::chrono::duration<double>(options.number("--seconds", 10)));
    const auto measured = must(load.finish());
    std::printf("%s\n", json::serialize(report(measured, begun, bulk_bytes - bulk_before)).c_str());
    std::fflush(stdout);
    wait_for_end_of_input();
  }
  shards.stop(Duration::zero());
  return 0;
}

int run_open(const Options& options) {
  const auto pool = must(upstream::parse_url(options.text("--url")));
  net::Shards shards(1);
  auto wanted = load_of(options, pool);
  auto warming = wanted;
  warming.connections = static_cast<std::size_t>(options.number("--warm", 0));
  std::optional<Sites> sites;
  if (std::holds_alternative<net::IrohConfig>(pool.transport)) {
    const std::size_t count = options.number("--one-endpoint", 0) != 0 ? 1 : warming.connections + wanted.connections;
    wanted.iroh = warming.iroh = &sites.emplace(shards, count, false, false);
  }
  wanted.dialling = 1;
  shards.start();
  {
    load::Load warm(shards, std::move(warming));
    must(warm.open());
    std::puts("warm");
    std::fflush(stdout);
    std::string line;
    std::getline(std::cin, line);
    if (const auto pid = options.number("--pid", 0); pid != 0) wanted.pid = static_cast<pid_t>(pid);
    load::Load load(shards, std::move(wanted));
    const auto opened = must(load.open());
    std::printf("%s\n", json::serialize(json::object{{"seconds", std::chrono::duration<double>(opened.taken).count()},
                                                     {"memory_bytes", opened.pool_memory_bytes.value_or(0)}})
                            .c_str());
    std::fflush(stdout);
    wait_for_end_of_input();
  }
  shards.stop(Duration::zero());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (!log::configure({.level = log::Level::kWarn})) broken("no log");
  const std::string_view what = argc > 1 ? argv[1] : "";
  const Options options(argc, argv);
  const int code = what == "pool"   ? run_pool(options)
                   : what == "load" ? run_load(options)
                   : what == "open" ? run_open(options)
                                    : 2;
  log::shutdown();
  return code;
}
