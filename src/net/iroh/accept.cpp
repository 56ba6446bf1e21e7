#include "net/iroh/accept.h"

namespace adit::net {

AcceptPolicy::AcceptPolicy(AcceptLimits limits)
    : allowed_(limits.allowed.begin(), limits.allowed.end()),
      max_unproved_(limits.max_unproved),
      // Whoever is pending is a connection in handshake.
      pending_({.max_connections = limits.max_pending,
                .max_connections_per_source = limits.max_pending_per_source,
                .max_handshakes = limits.max_pending,
                .max_handshakes_per_source = limits.max_pending_per_source}) {}

AcceptPolicy::Decision AcceptPolicy::decide(const Attempt& attempt) {
  const bool relayed = !attempt.vouched_id.empty();
  if (relayed && !allows(attempt.vouched_id)) {
    ++refused_;
    return {Verdict::kRefuse, std::nullopt};
  }
  // A relay knows whom it carries: only a direct address can be made up.
  const bool unproved = !relayed && !attempt.validated;
  if (unproved && unproved_ >= max_unproved_) {
    ++validated_;
    return {Verdict::kValidate, std::nullopt};
  }
  auto token = pending_.admit(relayed && !allowed_.empty() ? attempt.vouched_id : attempt.source);
  if (!token) {
    ++refused_;
    return {Verdict::kRefuse, std::nullopt};
  }
  if (unproved) ++unproved_;
  return {Verdict::kAccept, Place(std::move(*token), unproved ? &unproved_ : nullptr)};
}

bool AcceptPolicy::allows(std::string_view endpoint_id) const { return allowed_.empty() || allowed_.contains(endpoint_id); }

AcceptPolicy::Counts AcceptPolicy::counts() const {
  return {.refused = refused_, .validated = validated_, .pending = pending_.counts().connections};
}

}  // namespace adit::net
