// Clients of a job declarator over TCP, for bench/jd_bench.py: they declare blocks that are made of what that script gives
// them.
//
//   declaring --url stratum2+tcp://HOST:PORT/KEY --clients N
//     connects them, prints {"ready": N} once each has a token to spare; for each line on its input, the path of a file, all of
//     them declare the block in it at once: prints what came of it; ends with its input
//
// A file has a line "HEIGHT VALUE_SAT", then a transaction in hexadecimal on each line. What is printed: {"ms": [from the
// declaration to Success, by client], "refused": [error codes], "sent": transactions that were asked for}.
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <future>
#include <iostream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "base/hex.h"
#include "bitcoin/coinbase.h"
#include "bitcoin/tx.h"
#include "declaration/client_session.h"
#include "declaration/coinbase_parts.h"
#include "log/log.h"
#include "net/dial.h"
#include "session/client_side.h"
#include "upstream/url.h"

namespace {

namespace json = boost::json;
namespace asio = boost::asio;
using namespace adit;
using namespace std::chrono_literals;

constexpr std::size_t kExtranonceSize = 24;
constexpr std::size_t kSaltSize = 8;  ///< What makes each declared coinbase another one.

[[noreturn]] void broken(const std::string& what) {
  std::fprintf(stderr, "declaring: %s\n", what.c_str());
  std::exit(1);
}

template <class T>
T must(Result<T> result) {
  if (!result) broken(result.error().message());
  return std::move(*result);
}

/// What all clients declare at once.
struct Block {
  std::uint32_t height = 0;
  std::uint64_t value_sat = 0;
  std::shared_ptr<const std::vector<std::vector<std::uint8_t>>> transactions;
  std::shared_ptr<const std::vector<bitcoin::Hash256>> wtxids;
  std::vector<std::uint8_t> commitment;  ///< Script of the output that commits to them.
};

Block read_block(const std::string& path) {
  std::ifstream file(path);
  Block block;
  if (!(file >> block.height >> block.value_sat)) broken("no block in " + path);
  std::vector<std::vector<std::uint8_t>> transactions;
  std::vector<bitcoin::Hash256> wtxids;
  for (std::string text; file >> text;) {
    auto bytes = from_hex(text);
    if (!bytes) broken("a transaction that is not hexadecimal in " + path);
    wtxids.push_back(must(bitcoin::transaction_ids(*bytes)).wtxid);
    transactions.push_back(std::move(*bytes));
  }
  block.commitment = bitcoin::witness_commitment_script(wtxids);
  block.transactions = std::make_shared<const std::vector<std::vector<std::uint8_t>>>(std::move(transactions));
  block.wtxids = std::make_shared<const std::vector<bitcoin::Hash256>>(std::move(wtxids));
  return block;
}

class Client;

/// One round: what all clients made of a block. On the shard's thread.
struct Round {
  std::size_t undecided = 0;
  json::array ms;
  json::array refused;
  std::size_t sent = 0;
  std::promise<void> done;

  void decided() {
    if (--undecided == 0) done.set_value();
  }
};

class Client final : public declaration::ClientHandler {
 public:
  Client(std::size_t number, std::promise<void>& ready) : number_(number), ready_(&ready) {}

  static asio::awaitable<void> run(net::Shard& shard, net::Peer peer, Client& client) {
    client.connection_ =
        must(co_await net::dial(shard, peer, wire::Protocol::kJobDeclaration,
                                {.connect_deadline = 30s, .handshake_deadline = 60s, .max_queued_bytes = 64 << 20}));
    session::ClientSide side(
        {.protocol = wire::Protocol::kJobDeclaration, .program = "bench", .flags = wire::kDeclareTxData, .setup_timeout = 60s},
        /*lanes=*/false, /*ask_for_adit=*/false);
    const auto [host, port] = net::host_and_port(peer.transport);
    side.start(host, port, now_from_system(), client.out_);
    bool begun = false;
    for (;;) {
      client.send();
      const auto batch = co_await client.connection_->receive();
      if (!batch) {
        if (client.ended_) co_return;
        broken("the declarator closed the connection: " + batch.error().message());
      }
      const Now now = now_from_system();
      const auto handled = side.on_frames(
          *batch, now, client.out_,
          [&](std::span<const wire::FrameView> frames) { return client.session_.on_frames(frames, now, client.out_); },
          [&] {
            if (side.ready() && !std::exchange(begun, true)) client.session_.begin(now, client.out_);
          });
      if (!handled) broken(handled.error().message());
    }
  }

  /// On the shard's thread, like all else.
  void declare(const Block& block, Round& round) {
    round_ = &round;
    const Now now = now_from_system();
    const auto token = session_.take_token(now, out_);
    if (!token) broken("a client has no token");
    declaration::DeclaredCoinbase coinbase{.extranonce_size = kExtranonceSize, .outputs = *token->outputs, .has_witness = true};
    coinbase.script = bitcoin::height_push(block.height);
    coinbase.script.push_back(kSaltSize + kExtranonceSize);
    const std::uint64_t salt = std::uint64_t{number_} << 32 | ++declared_;
    for (std::size_t i = 0; i < kSaltSize; ++i) coinbase.script.push_back(static_cast<std::uint8_t>(salt >> (8 * i)));
    coinbase.outputs.front().value_sat = block.value_sat;
    coinbase.outputs.push_back({.value_sat = 0, .script = block.commitment});
    auto fields = declaration::coinbase_parts(coinbase);
    since_ = now.instant;
    if (!session_.declare(declared_, *token,
                          {.version = 0x20000000,
                           .coinbase_prefix = std::move(fields.prefix),
                           .coinbase_suffix = std::move(fields.suffix),
                           .wtxids = block.wtxids,
                           .transactions = block.transactions},
                          now, out_)) {
      broken("the block is too large to be declared");
    }
    send();
  }
  void end() {
    ended_ = true;
    if (connection_) connection_->close(net::CloseCode::kShutdown);
  }

 private:
  void on_token() override {
    if (ready_ != nullptr) std::exchange(ready_, nullptr)->set_value();
  }
  void on_declared(std::uint64_t, Bytes) override {
    round_->ms.push_back(std::chrono::duration<double, std::milli>(now_from_system().instant - since_).count());
    round_->decided();
  }
  void on_declare_refused(std::uint64_t, std::string_view error_code) override {
    round_->refused.push_back(json::string(error_code));
    round_->decided();
  }
  void on_transactions_sent(std::uint64_t, std::size_t count, std::size_t) override { round_->sent += count; }
  void send() {
    if (!out_.empty()) connection_->send(out_);
    out_.clear();
  }

  const std::size_t number_;
  std::promise<void>* ready_;  ///< Until the first token is here.
  std::unique_ptr<net::NetworkConnection> connection_;
  declaration::ClientSession session_{{}, "bench", *this};
  wire::FrameBuffer out_;
  Round* round_ = nullptr;
  std::uint32_t declared_ = 0;
  Instant since_{};
  bool ended_ = false;
};

void say(const json::object& what) {
  std::printf("%s\n", json::serialize(what).c_str());
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  std::string url;
  std::size_t count = 1;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::string_view(argv[i]) == "--url") url = argv[i + 1];
    if (std::string_view(argv[i]) == "--clients") count = static_cast<std::size_t>(std::atoi(argv[i + 1]));
  }
  if (url.empty() || count == 0) broken("--url URL and --clients N are needed");
  const net::Peer peer = must(upstream::parse_url(url));
  net::Shards shards(1);
  shards.start();
  std::vector<std::unique_ptr<Client>> clients;
  std::deque<std::promise<void>> readies;  // Kept, as who keeps a promise may still be in it when it is known.
  std::deque<Round> rounds;
  for (std::size_t i = 0; i < count; ++i) {
    auto& ready = readies.emplace_back();
    clients.push_back(std::make_unique<Client>(i, ready));
    shards[0].post([&shards, &peer, &client = *clients.back()] { shards[0].spawn(Client::run(shards[0], peer, client)); });
    ready.get_future().wait();
  }
  say({{"ready", count}});
  for (std::string path; std::getline(std::cin, path);) {
    const Block block = read_block(path);
    Round& round = rounds.emplace_back();
    round.undecided = count;
    shards[0].post([&] {
      for (const auto& client : clients) client->declare(block, round);
    });
    round.done.get_future().wait();
    say({{"ms", std::move(round.ms)}, {"refused", std::move(round.refused)}, {"sent", round.sent}});
  }
  shards[0].post([&] {
    for (const auto& client : clients) client->end();
  });
  shards.stop(5s);
  return 0;
}
