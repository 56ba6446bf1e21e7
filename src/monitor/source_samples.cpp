#include "monitor/source_samples.h"

#include <optional>
#include <string>

#include "bitcoin/consensus.h"
#include "bitcoin/u256.h"

namespace adit::monitor {
namespace {

void add_nodes(Families& out, const templates::SourceStatus& source) {
  auto& ready = out.gauge("adit_node_ready", "1 while a node gives templates, else 0");
  auto& in_use = out.gauge("adit_node_in_use", "1 for the node whose templates are mined on");
  auto& height = out.gauge("adit_node_height", "Height of the block that a node's newest template is for");
  auto& ahead = out.gauge("adit_node_clock_ahead_seconds", "Seconds by which a node's clock is ahead of this machine's");
  for (const templates::NodeStatus& node : source.nodes) {
    const Labels labels{{"node", node.name}};
    ready.add(node.state == templates::SourceState::kReady ? 1 : 0, labels);
    in_use.add(node.in_use ? 1 : 0, labels);
    height.add(node.height, labels);
    if (node.clock_ahead) ahead.add(node.clock_ahead->count(), labels);
  }
}

}  // namespace

void add_source(Families& out, const templates::SourceStatus& source) {
  add_nodes(out, source);
  out.gauge("adit_template_height", "Height of the block being worked on").add(source.height);
  out.counter("adit_templates_total", "Templates received").add(source.templates);
  auto& blocks = out.counter("adit_blocks_total", "Found blocks by the chain's answer");
  blocks.add(source.blocks_accepted, {{"answer", "accepted"}});
  blocks.add(source.blocks_rejected, {{"answer", "rejected"}});
  out.gauge("adit_blocks_unanswered", "Found blocks to which the chain has not answered yet").add(source.blocks_unanswered);
}

double difficulty_of(std::uint32_t nbits) {
  const auto target = bitcoin::target_from_compact(nbits);
  return target && *target != bitcoin::U256() ? bitcoin::difficulty_from_target(*target) : 0;
}

WorkSample work_sample(const templates::SourceStatus& source, std::optional<bitcoin::Network> network) {
  WorkSample out{.height = source.height,
                 .difficulty = difficulty_of(source.nbits),
                 .network = network,
                 .pieces = source.templates,
                 .node = source.node,
                 .blocks_accepted = source.blocks_accepted,
                 .blocks_rejected = source.blocks_rejected,
                 .blocks_unanswered = source.blocks_unanswered,
                 .blocks = source.answered};
  if (source.template_at) {
    out.reward_sat = source.coinbase_value_sat;
    // A reward below the subsidy is that of another network than the configuration says.
    const std::uint64_t subsidy = network ? bitcoin::subsidy_sat(source.height, bitcoin::halving_interval(*network)) : 0;
    if (network && source.coinbase_value_sat >= subsidy) out.fees_sat = source.coinbase_value_sat - subsidy;
  }
  for (const templates::NodeStatus& node : source.nodes) {
    out.nodes.push_back(
        {.name = node.name,
         .state = std::string(templates::state_name(node.state)),
         .message = node.message,
         .in_use = node.in_use,
         .height = node.height,
         .clock_ahead_seconds = node.clock_ahead ? std::optional<std::int64_t>(node.clock_ahead->count()) : std::nullopt});
  }
  return out;
}

Health health_of_source(const templates::SourceStatus& source, Instant now) {
  using State = templates::SourceStatus::State;
  Health health{.message = source.message};
  if (source.template_at) health.work_age = now - *source.template_at;
  if (source.state == State::kReady && source.template_at) {
    health.readiness = Readiness::kReady;
    return health;
  }
  const bool begun = source.state != State::kStarting && source.state != State::kReady;
  health.readiness = source.state == State::kMisconfigured ? Readiness::kMisconfigured
                     : begun                               ? Readiness::kNodeAway
                                                           : Readiness::kStarting;
  if (health.message.empty()) health.message = "no template has come yet";
  return health;
}

}  // namespace adit::monitor
