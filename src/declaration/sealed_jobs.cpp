#include "declaration/sealed_jobs.h"

#include <string_view>

#include "bitcoin/tx.h"

namespace adit::declaration {

mining::CustomJobValidator::Verdict SealedJobs::check(const mining::ServerSession& session,
                                                      const wire::SetCustomMiningJob& message, const Now& now) {
  const auto refuse = [&](std::string_view code) -> Verdict {
    ++counts_.refused;
    return {.error_code = code, .block_template = nullptr};
  };
  const auto user = user_of(session, message.channel_id);
  const auto opened = user ? seal_->open(*user, message) : std::nullopt;
  if (!opened || now.unix_time >= opened->expires || used_.contains({opened->expires, opened->id}))
    return refuse("invalid-mining-job-token");
  const auto outputs = bitcoin::parse_counted_outputs(message.coinbase_tx_outputs);
  const auto script = script_to_pay(payouts_, *user);
  if (!outputs || !script || !revenue_.is_met(*outputs, *script, height_)) return refuse("invalid-coinbase-tx-outputs");
  used_.emplace(opened->expires, opened->id);
  if (used_.size() > max_used_) used_.erase(used_.begin());
  ++counts_.taken;
  return {.error_code = {}, .block_template = nullptr};
}

void SealedJobs::on_tick(UnixTime now) {
  while (!used_.empty() && used_.begin()->first <= now) used_.erase(used_.begin());
}

}  // namespace adit::declaration
