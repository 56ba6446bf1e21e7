// Two people send each other lines over iroh, QUIC that is dialled by public key. It shows the transport without Stratum's
// messages: an endpoint, a session that proves who is there, its two halves, and a message of one's own.
//
//   chat listen [IP:PORT]      prints the URL under which the other reaches this one
//   chat URL                   dials it
//
// What is typed goes to the other, until the end of the input.
#include <chrono>
#include <future>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/hex.h"
#include "base/text.h"
#include "config/iroh.h"
#include "net/iroh_connection.h"
#include "upstream/url.h"
#include "wire/messages.h"

using namespace adit;
using namespace std::chrono_literals;

namespace {

/// A message is a struct and what it is on the wire: name, extension (one of the experimental range), type, for which it is,
/// and its fields. Encoding, decoding and text follow from that.
struct Line {
  wire::B0_64K text;
  ADIT_MESSAGE(Line, "Line", 0x7ca7, 0x00, wire::kForConnection, text);
};

// A session says for which protocol it is, by which both ends agree on its lanes; a chat may be under any flag.
constexpr auto kProtocol = wire::Protocol::kMining;

/// The session, or why there is none, for the main thread.
using Meeting = std::promise<Result<net::IrohWriteHalf>>;

/// Prints what the other says until the session ends. Runs on the shard, as all that touches the session does.
net::asio::awaitable<void> talk(Result<net::IrohConnection> session, Meeting& meeting) {
  if (!session) {
    meeting.set_value(fail(session.error()));
    co_return;
  }
  // One half for the code that reads, one for the code that writes.
  auto [read, write] = session->split();
  std::cout << "* connected with " << session->metadata().peer << '\n' << std::flush;
  meeting.set_value(write);
  for (;;) {
    const auto frames = co_await read.read();
    if (!frames) {
      std::cout << "* the other has left (" << frames.error().message() << ")\n" << std::flush;
      write.close(net::CloseCode::kShutdown);
      co_return;
    }
    for (const net::LaneFrame& received : *frames) {
      // Its text is a view of the receive buffer, valid until the next read.
      const auto line = received.frame.as<Line>();
      if (!line) continue;
      // Any bytes may have come: in quotes, what would control the terminal is escaped.
      std::string shown;
      append_json_string(shown, as_text(line->text.bytes()));
      std::cout << "> " << shown << '\n' << std::flush;
    }
  }
}

net::asio::awaitable<void> dial(net::IrohCarrier& iroh, net::Shard& shard, net::Peer other, Meeting& meeting) {
  const auto& address = std::get<net::IrohConfig>(other.transport);
  co_await talk(co_await net::IrohConnection::connect(iroh, shard, address, kProtocol, other.authority, 10s, {}), meeting);
}

/// `place`: what the other counts as while it is here.
net::asio::awaitable<void> accept(net::Shard& shard, net::Link link, net::IrohCarrier::Place place,
                                  net::Credentials& credentials, Meeting& meeting) {
  auto session = co_await net::IrohConnection::accept(shard, std::move(link), credentials, {});
  place->established(now_from_system().instant);
  co_await talk(std::move(session), meeting);
}

/// What is under way arrives; the session ends behind it.
net::asio::awaitable<void> leave(net::IrohWriteHalf session) { co_await session.drain(2s); }

int give_up(const Error& error) {
  std::cerr << "chat: " << error.message() << '\n';
  return 1;
}

}  // namespace

// NOLINTNEXTLINE(bugprone-exception-escape): where memory runs out there is nothing to go on with
int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: chat listen [IP:PORT] | chat URL\n";
    return 2;
  }
  const bool listens = std::string_view(argv[1]) == "listen";
  Meeting meeting;  // Before the shards: what runs there uses it.

  // A shard is a thread with its event loop. All sessions live on one.
  net::Shards shards(1);
  net::Shard& shard = shards[0];
  shards.start();

  Result<net::Peer> other = listens ? net::Peer{} : upstream::parse_url(argv[1]);
  if (!other) return give_up(other.error());
  const auto* address = std::get_if<net::IrohConfig>(&other->transport);
  if (!listens && address == nullptr) return give_up({net::Errc::kConfiguration, "the URL must begin with stratum2+iroh://"});

  // The endpoint: who we are and where. Behind a router `relay_mode = net::IrohRelays::kN0` makes it reachable through the
  // public relays of iroh's makers; here it has the addresses of this machine alone, or those that the URL names.
  net::IrohNodeConfig node = listens ? net::IrohNodeConfig{} : net::IrohNodeConfig::for_dialling(*address);
  if (listens && argc > 2) node.bind = {argv[2]};
  const auto iroh = config::start_iroh(shards, node, {config::generate_node_key(), {}});
  if (!iroh) return give_up(iroh.error());

  // Who listens proves itself by a certificate of its authority, whose public key is in the URL. Both keys are new each time.
  const auto authority = noise::AuthorityKeyPair::generate(noise::system_random());
  std::array<std::uint8_t, 32> id{};
  if (!from_hex((*iroh)->endpoint_id(), id)) return 1;
  net::Credentials credentials(authority.secret(), 24h, id, {kProtocol});
  bool taken = false;  // The shard's. One guest at a time.
  if (listens) {
    const auto listening = (*iroh)->listen({session::kAlpnLanes}, net::Admission({}),
                                           [&](net::Shard& home, net::Link link, net::IrohCarrier::Place place) {
                                             if (std::exchange(taken, true)) return link.close(net::CloseCode::kOverloaded);
                                             home.spawn(accept(home, std::move(link), std::move(place), credentials, meeting));
                                           });
    if (!listening) return give_up(listening.error());
    const net::IrohConfig here{.endpoint_id = (*iroh)->endpoint_id(), .addrs = (*iroh)->local_addresses()};
    std::cout << upstream::to_url({.transport = here, .authority = authority.public_key()}) << '\n' << std::flush;
  } else {
    shard.post([&] { shard.spawn(dial(**iroh, shard, *other, meeting)); });
  }

  const auto session = meeting.get_future().get();
  if (!session) return give_up(session.error());
  for (std::string text; std::getline(std::cin, text);) {
    shard.post([text, peer = *session]() mutable {
      wire::FrameBuffer frames;
      if (frames.push(Line{.text = as_bytes(text)})) peer.write(frames);
    });
  }
  shard.post([&] { shard.spawn(leave(*session)); });
  shards.stop(5s);
  return 0;
}
