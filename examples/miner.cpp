// A Stratum V2 miner: it mines on one thread of the CPU, at the pool that a URL names, until that has accepted some shares.
//
//   miner URL [SHARES]      URL: stratum2+tcp://HOST:PORT/AUTHORITY or stratum2+iroh://ENDPOINT_ID/AUTHORITY?addr=IP:PORT
//
// A pool prints its URLs when it starts, as `adit pool` and `adit solo --demo ADDRESS` do.
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <variant>

#include "config/iroh.h"
#include "net/shards.h"
#include "roles/miner/miner.h"
#include "upstream/url.h"

using namespace adit;
using namespace std::chrono_literals;

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: miner URL [SHARES]\n";
    return 2;
  }
  const std::uint64_t wanted = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 10;

  // What can fail gives a Result: a value, or an Error with a sentence for people and a code for programs.
  const Result<net::Peer> pool = upstream::parse_url(argv[1]);
  if (!pool) {
    std::cerr << "miner: " << pool.error().message() << '\n';
    return 2;
  }

  // A shard is a thread with its event loop, on which connections live. One is enough for one connection.
  net::Shards shards(1);

  // Over iroh this process needs an endpoint, with a key of its own: here a new one each time.
  std::unique_ptr<net::IrohCarrier> iroh;
  if (const auto* peer = std::get_if<net::IrohConfig>(&pool->transport)) {
    auto started = config::start_iroh(shards, net::IrohNodeConfig::for_dialling(*peer), {config::generate_node_key(), {}});
    if (!started) {
      std::cerr << "miner: " << started.error().message() << '\n';
      return 1;
    }
    iroh = std::move(*started);
  }

  // It dials the pool, opens a channel, hashes and submits; when the connection is lost it dials again. What happens is logged
  // on standard error. With several pools it uses the first that is there.
  miner::Miner miner({.pools = {*pool}, .user = "example", .threads = 1, .iroh = iroh.get()}, shards[0]);
  shards.start();
  miner.start();
  while (!miner.unusable() && miner.stats().shares_accepted < wanted) {
    std::this_thread::sleep_for(500ms);
    const auto stats = miner.stats();
    std::cout << stats.hashes << " hashes, " << stats.shares_accepted << " shares accepted, " << stats.shares_rejected
              << " rejected\n"
              << std::flush;
  }

  // First the session ends, with every share answered, then the thread on which it lives.
  miner.stop({.deadline = 3s});
  shards.stop(5s);
  if (miner.unusable()) std::cerr << "miner: " << miner.last_error() << '\n';
  return miner.stats().shares_accepted >= wanted ? 0 : 1;
}
