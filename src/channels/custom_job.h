// Custom jobs: work whose transactions the client chose (SV2 05 §5.1.4), as SetCustomMiningJob describes it.
#pragma once

#include <cstdint>
#include <expected>
#include <string_view>

#include "base/time.h"
#include "channels/job.h"
#include "wire/mining_messages.h"

namespace adit::channels {

/// What any pool checks of SetCustomMiningJob before it asks who pays: that a block on it could be one of this tip. Then the
/// job, with `id`, for every extended channel alike. Its coinbase's script is coinbase_prefix and the full extranonce, nothing
/// between (as SRI: whatever push opcode the client wants ends its prefix).
///
/// `tip` is the pool's own current job. `known` is the declared template with its transactions, or null where only the client
/// has them. Errors are SRI's codes for SetCustomMiningJob.Error: "stale-chain-tip", "invalid-nbits", "invalid-min-ntime",
/// "invalid-coinbase-prefix" (not this height's push first, or a script over 100 bytes), "invalid-coinbase-tx-outputs",
/// "invalid-merkle-path" (deeper than any block's, or not the known template's).
std::expected<JobPtr, std::string_view> make_custom_job(const wire::SetCustomMiningJob& message, std::uint32_t id,
                                                        const Job& tip, const bitcoin::TemplatePtr& known, UnixTime now);

}  // namespace adit::channels
