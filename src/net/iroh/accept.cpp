#include "net/iroh/accept.h"

namespace adit::net {

AcceptPolicy::AcceptPolicy(const AcceptLimits& limits, Admission admission)
    : allowed_(limits.allowed.begin(), limits.allowed.end()),
      reserved_(limits.reserved.begin(), limits.reserved.end()),
      max_unproved_(limits.max_unproved),
      admission_(std::move(admission)) {}

AcceptPolicy::Decision AcceptPolicy::decide(const Attempt& attempt, Instant now) {
  const bool relayed = !attempt.vouched_id.empty();
  if (relayed && !allows(attempt.vouched_id)) {
    count_refused();
    return {Verdict::kRefuse, std::nullopt};
  }
  // A relay knows whom it carries: only a direct address can be made up.
  const bool unproved = !relayed && !attempt.validated;
  if (unproved && unproved_ >= max_unproved_) {
    ++validated_;
    return {Verdict::kValidate, std::nullopt};
  }
  auto token = relayed && is_named(attempt.vouched_id) ? admission_.admit(attempt.vouched_id, now)
                                                       : admission_.admit(attempt.source, now, attempt.vouched_id);
  if (!token) {
    ++refused_;
    return {Verdict::kRefuse, std::nullopt};
  }
  if (unproved) ++unproved_;
  return {Verdict::kAccept, Place(std::move(*token), unproved ? &unproved_ : nullptr)};
}

bool AcceptPolicy::allows(std::string_view endpoint_id) const { return allowed_.empty() || allowed_.contains(endpoint_id); }

bool AcceptPolicy::is_named(std::string_view endpoint_id) const {
  return allowed_.contains(endpoint_id) || reserved_.contains(endpoint_id);
}

AcceptPolicy::Counts AcceptPolicy::counts() const { return {.refused = refused_, .validated = validated_}; }

void AcceptPolicy::count_refused() {
  ++refused_;
  admission_.count_refused();
}

}  // namespace adit::net
