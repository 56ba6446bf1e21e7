#include "cli/doctor/live.h"

#include <algorithm>
#include <chrono>
#include <string>

#include "cli/doctor/machine.h"
#include "upstream/url.h"

namespace adit::cli::doctor {
namespace {

void add_clocks(const monitor::Snapshot& snapshot, ClockFacts& clock) {
  for (const auto& upstream : snapshot.upstreams) {
    if (upstream.ready && upstream.clock_ahead_seconds)
      clock.others.push_back({"the pool " + upstream.url, std::chrono::seconds(*upstream.clock_ahead_seconds)});
  }
  if (!snapshot.work) return;
  for (const auto& node : snapshot.work->nodes) {
    if (node.clock_ahead_seconds)
      clock.others.push_back({"the node " + node.name, std::chrono::seconds(*node.clock_ahead_seconds)});
  }
}

std::vector<NodeFacts> nodes_of(const monitor::WorkSample& work) {
  std::vector<NodeFacts> out;
  for (const auto& node : work.nodes) {
    if (node.name.empty()) continue;  // The embedded chain.
    NodeFacts facts{.name = node.name};
    if (node.state == "ready") {
      facts.takes_transactions = node.message.empty();  // The one caution that there is.
    } else {
      facts.fault = NodeFault::kNoWork;
      facts.message = "the node " + node.name + " gives no work: " + (node.message.empty() ? node.state : node.message);
    }
    out.push_back(std::move(facts));
  }
  return out;
}

/// Each once, though every shard has a connection of its own: as the best of them.
std::vector<UpstreamFacts> upstreams_of(const Setup& setup, const monitor::Snapshot& snapshot) {
  std::vector<UpstreamFacts> out;
  for (const auto& upstream : snapshot.upstreams) {
    if (upstream.url.empty()) continue;
    auto known = std::ranges::find(out, upstream.url, &UpstreamFacts::url);
    if (known != out.end() && (known->stage == UpstreamStage::kAccepted || !upstream.ready)) continue;
    if (known == out.end()) known = out.insert(out.end(), {.entry = out.size(), .url = upstream.url});
    if (!upstream.ready) {
      known->message = upstream.error.empty() ? "it is being dialled" : upstream.error;
      continue;
    }
    known->stage = UpstreamStage::kAccepted;
    const auto connection = std::ranges::find(snapshot.connections, upstream.url, &monitor::ConnectionSample::url);
    if (connection == snapshot.connections.end()) continue;
    known->path = connection->transport + (connection->transport == "iroh" ? " " + connection->path : "");
    if (connection->rtt_seconds)
      known->round_trip = std::chrono::round<Duration>(std::chrono::duration<double>(*connection->rtt_seconds));
    known->is_proved = !connection->authority.empty();
    const auto configured =
        std::ranges::find(setup.upstreams, upstream.url, [](const auto& one) { return upstream::to_url(one.peer); });
    if (connection->channels != 0 && configured != setup.upstreams.end()) known->user = configured->user;
  }
  return out;
}

std::vector<RelayFacts> relays_of(const config::IrohSettings& settings, const net::IrohCarrier& iroh) {
  if (settings.node.relay_mode == net::IrohRelays::kNone) return {};
  const std::string home = iroh.home_relay();
  if (!home.empty()) return {{.url = home, .took_us = true}};
  if (settings.node.relay_mode != net::IrohRelays::kList) return {{.url = "each of the public relays", .took_us = false}};
  std::vector<RelayFacts> out;
  out.reserve(settings.node.relays.size());
  for (const auto& relay : settings.node.relays)
    out.push_back({.url = relay.url, .has_token = !relay.auth_token.empty(), .took_us = false});
  return out;
}

}  // namespace

Facts facts_of_role(const Setup& setup, const net::IrohCarrier* iroh, const monitor::Snapshot& snapshot) {
  Facts facts;
  look_at_machine(facts);
  look_at_setup(setup, facts);
  add_clocks(snapshot, facts.clock);
  facts.folder = look_at_folder(setup.data_dir, false);
  if (snapshot.work) facts.nodes = nodes_of(*snapshot.work);
  for (PortFacts& port : facts.ports) port.is_ours = true;
  facts.upstreams = upstreams_of(setup, snapshot);
  facts.build.is_replaced = is_program_replaced();
  if (iroh != nullptr) {
    facts.nat.seen = addresses_seen(*iroh);
    facts.relays = relays_of(*setup.iroh, *iroh);
  }
  return facts;
}

}  // namespace adit::cli::doctor
