// What a node's answers by IPC mean for a found block. No I/O.
#pragma once

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "ipc/node.h"
#include "ledger/block_node.h"

namespace adit::templates {

/// A node's answer to a solution. nullopt: it does not decide, and the whole block has to be submitted to hear more. Bitcoin
/// Core up to 31.99 says "accepted" of every block that it could store, and gives no reason when it does not.
std::optional<ledger::NodeAnswer> judge_solution(const ipc::Submitted& answer, const ledger::Hash256& hash);

/// The same where the node takes no whole blocks (Bitcoin Core 31.0): by the tip that follows. `height` is the block's.
ledger::NodeAnswer judge_solution_by_tip(const ipc::Submitted& answer, const ledger::Hash256& hash, std::uint32_t height);

/// A node's answer to a whole block. Of a duplicate it does not say where that lies: judge_known() does. Errors: kRefused if it
/// does not know the block's parent, and may later.
Result<ledger::NodeAnswer> judge_block(const ipc::Submitted& answer, const ledger::Hash256& hash);

/// Of a block that the node calls a duplicate, by how many blocks of its best chain end with it; -1: it is not on that chain.
ledger::NodeAnswer judge_known(std::int64_t confirmations);

}  // namespace adit::templates
