// What a node says of a template by IPC, as a Template. No I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "ipc/node.h"
#include "template/source.h"

namespace adit::templates {

/// A block that templates build on.
struct TipTimes {
  Hash256 hash{};
  std::uint32_t time = 0;         ///< Of its header.
  std::uint32_t median_time = 0;  ///< Of it and the ten before it: the next block must be later.
};

/// What the node is to reserve in its blocks: SV2 07 §7.1's 1168 weight units and the coinbase's outputs, at least the 2000
/// that Bitcoin Core asks for; and their signature operations at the weight of legacy ones.
ipc::CreateOptions create_options(CoinbaseConstraints constraints);

/// Whether the times of the tip are worth a question before a template on it is told: where the bits depend on them (testnets),
/// or where the header's time says that one of the clocks is wrong.
bool needs_tip_times(const ipc::TemplateData& data, std::string_view chain, const Now& now);

/// The template without id and transactions. `chain` as Bitcoin Core calls it; `tip` absent if unknown or another block.
/// Its least time is that of the header but where the tip's times allow an earlier one and the node's clock is ahead of ours.
/// Errors: kNonsense, naming what is wrong.
Result<Template> make_template(const ipc::TemplateData& data, std::string_view chain, const std::optional<TipTimes>& tip,
                               const Now& now);

/// The block's height from the start of its coinbase's script (BIP34); nullopt if that is not a minimal push.
std::optional<std::uint32_t> height_in(Bytes script_prefix);

}  // namespace adit::templates
