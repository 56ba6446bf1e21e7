#include "sv1/server.h"

#include <algorithm>
#include <bit>
#include <functional>

#include "base/invariant.h"

namespace adit::sv1 {

void AuthorizedWorkers::add(std::string_view user) {
  const std::size_t name = std::hash<std::string_view>()(user);
  const auto place = std::ranges::lower_bound(names_, name);
  if (place != names_.end() && *place == name) return;
  if (names_.size() < kRemembered) {
    names_.insert(place, name);
  } else {
    more_ = true;
  }
}

bool AuthorizedWorkers::contains(std::string_view user) const {
  return more_ || std::ranges::binary_search(names_, std::hash<std::string_view>()(user));
}

Server::Server(Parser& parser, ServerHandler& handler, std::string session_id)
    : parser_(parser), handler_(handler), session_id_(std::move(session_id)) {}

Result<void> Server::receive(Bytes bytes) {
  while (!bytes.empty()) {
    const std::size_t taken = reader_.feed(bytes);
    ADIT_INVARIANT(taken != 0);
    bytes = bytes.subspan(taken);
    ADIT_CHECK(drain());
  }
  return {};
}

Result<void> Server::drain() {
  while (true) {
    auto line = reader_.next();
    if (!line) {
      no(Id(), Reject::kOther, line.error().message());
      return fail(std::move(line.error()));
    }
    if (!*line) return {};
    auto request = parser_.from_client(**line);
    if (!request) {
      ADIT_CHECK(malformed(request.error()));
    } else if (*request) {
      handle(**request);
    }
  }
}

Result<void> Server::malformed(const Error& error) {
  no(Id(), Reject::kOther, error.message());
  if (++malformed_ < kMaxMalformed) return {};
  return fail(Errc::kAbuse, "too many lines that are not Stratum V1");
}

void Server::handle(const Request& request) {
  std::visit([&](const auto& call) { on(request.id, call); }, request.call);
}

void Server::set_difficulty(double difficulty) {
  if (difficulty_ == difficulty) return;
  difficulty_ = difficulty;
  append_set_difficulty(output_, difficulty);
}

void Server::allow_version_rolling(std::uint32_t mask) {
  allowed_mask_ = mask;
  tell_version_mask();
}

void Server::tell_version_mask() {
  if (!ready_ || !negotiated_mask_ || told_mask_ == version_mask()) return;
  told_mask_ = version_mask();
  append_set_version_mask(output_, told_mask_);
}

void Server::become_ready() {
  if (ready_ || !subscription_ || workers_.empty()) return;
  ready_ = true;
  tell_version_mask();
  handler_.on_ready();
}

void Server::on(const std::optional<Id>& id, const Configure& call) {
  if (call.version_rolling) {
    const std::uint32_t mask = call.version_rolling->mask & kVersionRollingMask & allowed_mask_;
    const bool enough = std::popcount(mask) >= static_cast<int>(call.version_rolling->min_bit_count);
    told_mask_ = enough ? mask : 0;
    negotiated_mask_ = told_mask_;
  }
  if (id) append_configure_result(output_, *id, call, told_mask_);
  if (call.minimum_difficulty) handler_.on_minimum_difficulty(*call.minimum_difficulty);
}

void Server::on(const std::optional<Id>& id, const Subscribe& call) {
  user_agent_.assign(call.user_agent.substr(0, kMaxUserAgent));
  if (!subscription_) {
    const auto subscription = handler_.on_subscribe(user_agent_);
    if (!subscription) return no(id, Reject::kOther, subscription.error().message());
    subscription_ = *subscription;
  }
  if (id) append_subscribe_result(output_, *id, session_id_, subscription_->extranonce1, subscription_->extranonce2_size);
  become_ready();
}

void Server::on(const std::optional<Id>& id, const Authorize& call) {
  if (!handler_.on_authorize(call.user, call.password)) {
    handler_.on_worker_refused(call.user);
    return no(id, Reject::kUnauthorized, to_string(Reject::kUnauthorized));
  }
  workers_.add(call.user);
  if (user_.empty()) user_.assign(call.user);
  yes(id);
  become_ready();
}

void Server::on(const std::optional<Id>& id, const Submit& call) {
  const auto refuse = [&](Reject code, std::string_view text) { no(id, code, text); };
  if (workers_.empty()) return refuse(Reject::kUnauthorized, "authorize first");
  if (!subscription_) return refuse(Reject::kNotSubscribed, to_string(Reject::kNotSubscribed));
  if (!workers_.contains(call.user)) {
    handler_.on_worker_refused(call.user);
    return refuse(Reject::kUnauthorized, to_string(Reject::kUnauthorized));
  }
  if (call.extranonce2.size() != subscription_->extranonce2_size) {
    return refuse(Reject::kOther, "extranonce2 has " + std::to_string(call.extranonce2.size()) + " bytes, not " +
                                      std::to_string(subscription_->extranonce2_size));
  }
  // BIP310: a bit outside the mask is an invalid share. A mask may have shrunk since the job: what was negotiated counts here.
  if (call.version_bits && (*call.version_bits & ~negotiated_mask_.value_or(kVersionRollingMask)) != 0) {
    return refuse(Reject::kOther, "version bits outside of the negotiated mask");
  }
  if (const auto reject = handler_.on_submit(call)) return refuse(*reject, to_string(*reject));
  yes(id);
}

// Granted to whoever asks: no extranonce of ours ever changes on a connection.
void Server::on(const std::optional<Id>& id, const ExtranonceSubscribe&) { yes(id); }

void Server::on(const std::optional<Id>& id, const SuggestDifficulty& call) {
  yes(id);
  handler_.on_suggest_difficulty(call.difficulty);
}

void Server::on(const std::optional<Id>& id, const SuggestTarget& call) {
  yes(id);
  handler_.on_suggest_difficulty(bitcoin::difficulty_from_target(call.target));
}

void Server::on(const std::optional<Id>& id, const Ping&) { yes(id, R"("pong")"); }
void Server::on(const std::optional<Id>& id, const GetVersion&) { yes(id, R"("adit")"); }

// Pre-BIP310 AsicBoost (bmminer): answered so that the miner goes on; it does not change the mask.
void Server::on(const std::optional<Id>& id, const MultiVersion&) { yes(id); }

void Server::on(const std::optional<Id>& id, const GetTransactions&) { no(id, Reject::kOther, "Not supported."); }

void Server::on(const std::optional<Id>& id, const UnknownMethod& call) {
  no(id, Reject::kOther, std::string("unknown method ").append(call.name));
}

void Server::on(const std::optional<Id>& id, const BadParameters& call) {
  no(id, Reject::kOther, std::string(call.method).append(": ").append(call.reason));
}

void Server::yes(const std::optional<Id>& id, std::string_view result) {
  if (id) append_result(output_, *id, result);
}

void Server::no(const std::optional<Id>& id, Reject code, std::string_view text) {
  if (id) append_error(output_, *id, code, text);
}

}  // namespace adit::sv1
