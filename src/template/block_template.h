// getblocktemplate's answer (BIP22, BIP23, BIP145) to a Template. Everything in it is checked: a template with one wrong field
// costs a block, and the node's bytes are as foreign as any peer's.
#pragma once

#include <boost/json/value.hpp>

#include <string>

#include "base/result.h"
#include "template/source.h"

namespace adit::templates {

struct NodeTemplate {
  Template block_template;   ///< Its id is left 0.
  std::string long_poll_id;  ///< Empty if the node has none.
};

/// `answer` is the call's result. Transaction ids and the witness commitment are computed from the transactions themselves;
/// where the node sends default_witness_commitment it must be the same. Errors: kNonsense, naming the field; kRefused for a
/// rule ('!name' in rules) that this program does not know, which BIP9 forbids to ignore.
Result<NodeTemplate> parse_block_template(const boost::json::value& answer);

}  // namespace adit::templates
