#include "monitor/source_samples.h"

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
    height.add(static_cast<double>(node.height), labels);
    if (node.clock_ahead) ahead.add(static_cast<double>(node.clock_ahead->count()), labels);
  }
}

}  // namespace

void add_source(Families& out, const templates::SourceStatus& source) {
  add_nodes(out, source);
  out.gauge("adit_template_height", "Height of the block being worked on").add(static_cast<double>(source.height));
  out.counter("adit_templates_total", "Templates received").add(static_cast<double>(source.templates));
  auto& blocks = out.counter("adit_blocks_total", "Found blocks by the chain's answer");
  blocks.add(static_cast<double>(source.blocks_accepted), {{"answer", "accepted"}});
  blocks.add(static_cast<double>(source.blocks_rejected), {{"answer", "rejected"}});
  out.gauge("adit_blocks_unanswered", "Found blocks to which the chain has not answered yet")
      .add(static_cast<double>(source.blocks_unanswered));
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
