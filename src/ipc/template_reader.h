// What a node says of a template, checked. Private to src/ipc: includes Cap'n Proto.
#pragma once

#include <capnp/blob.h>

#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "ipc/mining.capnp.h"
#include "ipc/node.h"

namespace adit::ipc {

inline Bytes bytes_of(capnp::Data::Reader data) { return {data.begin(), data.size()}; }

// Errors of all: kNonsense, naming what is wrong.

Result<Hash256> read_hash(capnp::Data::Reader data);
Result<bitcoin::BlockHeader> read_header(capnp::Data::Reader data);
Result<CoinbaseFields> read_coinbase(schema::CoinbaseTx::Reader coinbase);
Result<std::vector<Hash256>> read_merkle_path(capnp::List<capnp::Data>::Reader path);
Result<Tip> read_tip(schema::BlockRef::Reader tip);

}  // namespace adit::ipc
