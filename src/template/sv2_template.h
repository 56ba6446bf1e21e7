// Templates and their constraints as messages of the template distribution protocol (SV2 07), both directions. No I/O.
#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "template/source.h"
#include "wire/frame.h"
#include "wire/template_distribution_messages.h"

namespace adit::templates {

/// The signature operations that are reserved for a client whose CoinbaseOutputConstraints does not say how many: Bitcoin
/// Core's default of 400, at the cost of 4 for each.
inline constexpr std::uint32_t kUnsaidSigops = 100;

/// Reads CoinbaseOutputConstraints. A message of four bytes is the older form of the specification, without
/// sigops; it stands for kUnsaidSigops. The message counts sigops as blocks limit them, at a cost of 4 for each legacy one (SV2
/// 07 §7.1 names the limit 80,000; SRI does the same), a constraint counts legacy ones: the quotient is rounded up. Error:
/// session's kProtocol if the payload cannot be read. The frame must carry CoinbaseOutputConstraints.
Result<CoinbaseConstraints> read_constraints(const wire::FrameView& frame);

/// The message of these constraints. More sigops than it can say become as many as it can.
wire::CoinbaseOutputConstraints to_message(CoinbaseConstraints constraints);

/// The weight units that a provider reserves: 1168 and four times the size (SV2 07 §7.1).
std::uint64_t reserved_weight(CoinbaseConstraints constraints);

/// False if no block has room for such a coinbase, whatever is left out of it (4,000,000 weight units, 80,000 sigops).
bool fits_a_block(CoinbaseConstraints constraints);

/// A template as clients of a provider hear of it. Encoded once for all of them; immutable; shared by all shards.
struct Sv2Template {
  std::uint64_t id = 0;  ///< Of the messages; that of the template is known to its source alone.
  TemplatePtr made;
  std::shared_ptr<TemplateSource> source;  ///< That takes its solutions and has its transactions: the driver's, not used here.
  wire::FrameBuffer as_tip;                ///< NewTemplate as a future one, then its SetNewPrevHash.
  wire::FrameBuffer as_update;             ///< NewTemplate as work on the tip that the client knows.
};

using Sv2TemplatePtr = std::shared_ptr<const Sv2Template>;

/// Error: kNonsense for a template that the messages cannot carry.
Result<Sv2TemplatePtr> encode_template(TemplatePtr made, std::uint64_t id, std::shared_ptr<TemplateSource> source = nullptr);

/// What NewTemplate says, as a template without id, previous hash, nbits and times. Errors: kNonsense, naming what is wrong;
/// also if a coinbase with the provider's outputs and those of `constraints` does not fit into SubmitSolution.
Result<Template> read_new_template(const wire::NewTemplate& message, CoinbaseConstraints constraints);

/// Puts into `made` what its SetNewPrevHash says: previous hash, nbits, and header_timestamp as the time to begin with and as
/// the least one. A provider's clock may be wrong: a time that the network would refuse by ours, two hours ahead of it, becomes
/// ours. Errors: kNonsense for an nbits that is no target.
Result<> set_prev_hash(Template& made, const wire::SetNewPrevHashTdp& message, UnixTime now);

}  // namespace adit::templates
