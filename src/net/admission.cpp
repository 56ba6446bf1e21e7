#include "net/admission.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <mutex>
#include <set>
#include <tuple>
#include <unordered_map>

#include "base/hex.h"
#include "base/invariant.h"

namespace adit::net {
namespace {

/// Sources that are looked at for a connection that has been unproven for long enough.
constexpr std::size_t kMaxLooks = 64;

/// A source that has so many times as many unproven connections as another one gives one up to it sooner.
constexpr std::size_t kCrowd = 16;

std::size_t share_of(std::size_t all, std::size_t divisor, std::size_t least) {
  return std::max<std::size_t>({all / divisor, std::min(least, all / 2), 1});
}

}  // namespace

AdmissionLimits AdmissionLimits::resolved() const {
  AdmissionLimits limits = *this;
  if (limits.max_unproven_per_source == 0) limits.max_unproven_per_source = share_of(max_connections, 25, 64);
  if (limits.max_handshakes_per_source == 0) limits.max_handshakes_per_source = share_of(max_handshakes, 32, 16);
  return limits;
}

AdmissionLimits within_descriptors(AdmissionLimits limits, std::size_t descriptors) {
  const std::size_t room =
      std::max<std::size_t>({descriptors - std::min(descriptors, kReservedDescriptors), descriptors / 2, 1});
  for (std::size_t* bound :
       {&limits.max_connections, &limits.max_handshakes, &limits.max_unproven_per_source, &limits.max_handshakes_per_source}) {
    *bound = std::min(*bound, room);
  }
  return limits;
}

std::string source_key(std::string_view source) {
  if (source.find("://") != std::string_view::npos) return std::string(source);
  std::string host(source.substr(0, source.rfind(':')));
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  std::array<std::uint8_t, 16> address{};
  if (::inet_pton(AF_INET6, host.c_str(), address.data()) == 1) return to_hex(Bytes(address).first(8)) + "/64";
  return host;
}

std::string source_key(const ConnectionMetadata& metadata) {
  return source_key(metadata.source.empty() ? metadata.peer : metadata.source);
}

struct Admission::Place {
  enum Stage : std::uint8_t { kHandshake, kUnproven, kProven };

  Source* source = nullptr;  ///< Null: another connection has the place.
  Stage stage = kHandshake;
  Instant since;                ///< Of the stage.
  std::string vouched_id;       ///< Whom a relay vouches for; empty: nobody.
  std::function<void()> close;  ///< For on_displaced.
};

struct Admission::Source {
  using Places = std::list<Place>;
  /// Orders sources by how little it matters that they lose a place.
  using Rank = std::tuple<bool, std::size_t, Instant, Source*>;

  Source(const CostAllowance& costs_allowed, Instant now) : costs(costs_allowed, now) {}

  [[nodiscard]] std::size_t not_proven() const { return places[Place::kHandshake].size() + places[Place::kUnproven].size(); }
  /// Its connections that are not proven are no more than those that were: no stranger takes their places.
  [[nodiscard]] bool is_protected() const { return proved_at && not_proven() <= earned; }
  [[nodiscard]] bool is_idle() const { return not_proven() == 0 && places[Place::kProven].empty(); }

  std::string key;
  std::array<Places, 3> places;  ///< By stage, the oldest first.
  CostBudget costs;
  std::size_t earned = 0;            ///< The most connections that were proven at a time, while it has standing.
  std::optional<Instant> proved_at;  ///< When a share was accepted for the last time, as far as known; absent: no standing.
  std::array<std::optional<Rank>, 2> ranks;
  std::list<Source*>* idle = nullptr;  ///< The list in which it is while it has no connection.
  std::list<Source*>::iterator idle_at;
};

struct Admission::State {
  explicit State(const AdmissionLimits& given) : limits(given.resolved()) {}

  // Everything below is called under the lock.
  Source& source_of(std::string_view key, Instant now);
  [[nodiscard]] bool has_standing(Source& source, Instant now) const;
  Result<void> make_room(Source& newcomer, Instant now);
  bool displace_own(Source& source, bool handshakes_only, Instant now);
  bool displace_any(Source& newcomer, bool privileged, bool handshakes_only, Instant now);
  void displace(Source& source, Place::Stage stage);
  void move(Source::Places::iterator place, Place::Stage stage, Instant now);
  void remove(Source& source, Place::Stage stage);
  void rank(Source& source, Place::Stage stage);
  void rank(Source& source) {
    rank(source, Place::kHandshake);
    rank(source, Place::kUnproven);
  }
  void prove(Source& source, Instant at);
  void rest(Source& source);
  void wake(Source& source);
  void forget_some(Instant now);

  const AdmissionLimits limits;
  mutable std::mutex mutex;  ///< Guards what follows.
  Counts counts;
  std::unordered_map<std::string, std::unique_ptr<Source>> sources;
  std::array<std::set<Source::Rank>, 2> ranking;  ///< By stage: the one that loses a place first is the first.
  std::list<Source*> idle;                        ///< Without standing, the one that has been so for longest first.
  std::list<Source*> idle_with_standing;          ///< Likewise.
  Source::Places displaced;                       ///< Those whose tokens live.
};

Admission::Admission(const AdmissionLimits& limits) : state_(std::make_shared<State>(limits)) {}

const AdmissionLimits& Admission::limits() const { return state_->limits; }

Admission::Source& Admission::State::source_of(std::string_view key, Instant now) {
  auto& source = sources[std::string(key)];
  if (source == nullptr) {
    source = std::make_unique<Source>(limits.source_costs, now);
    source->key = key;
  }
  return *source;
}

bool Admission::State::has_standing(Source& source, Instant now) const {
  if (!source.places[Place::kProven].empty()) return true;
  return source.proved_at && now - *source.proved_at < limits.standing_time;
}

void Admission::State::rank(Source& source, Place::Stage stage) {
  auto& old = source.ranks[stage];
  if (old) ranking[stage].erase(*old);
  const auto& places = source.places[stage];
  if (places.empty()) {
    old.reset();
  } else {
    old = Source::Rank(source.is_protected(), SIZE_MAX - places.size(), places.front().since, &source);
    ranking[stage].insert(*old);
  }
}

/// One place of that stage fewer.
void Admission::State::remove(Source& source, Place::Stage stage) {
  ADIT_INVARIANT(counts.connections != 0);
  --counts.connections;
  if (stage == Place::kHandshake) --counts.handshakes;
  if (stage == Place::kProven) --counts.proven;
  rank(source);
}

void Admission::State::displace(Source& source, Place::Stage stage) {
  auto& places = source.places[stage];
  Place& place = places.front();
  place.source = nullptr;
  displaced.splice(displaced.end(), places, places.begin());
  remove(source, stage);
  ++counts.displaced;
  if (place.close) place.close();
  rest(source);
}

void Admission::State::move(Source::Places::iterator place, Place::Stage stage, Instant now) {
  Source& source = *place->source;
  if (place->stage == Place::kHandshake) --counts.handshakes;
  if (place->stage == Place::kProven) --counts.proven;
  if (stage == Place::kProven) ++counts.proven;
  auto& to = source.places[stage];
  to.splice(to.end(), source.places[place->stage], place);
  place->stage = stage;
  place->since = now;
  rank(source);
}

bool Admission::State::displace_own(Source& source, bool handshakes_only, Instant now) {
  const auto& handshakes = source.places[Place::kHandshake];
  if (!handshakes.empty() && now - handshakes.front().since >= limits.handshake_time) {
    displace(source, Place::kHandshake);
    return true;
  }
  const auto& unproven = source.places[Place::kUnproven];
  if (handshakes_only || unproven.empty() || now - unproven.front().since < limits.unproven_time) return false;
  displace(source, Place::kUnproven);
  return true;
}

/// `privileged`: the newcomer comes before what is not protected.
bool Admission::State::displace_any(Source& newcomer, bool privileged, bool handshakes_only, Instant now) {
  const auto gives_way = [&](const Source& source, Place::Stage stage) {
    if (source.is_protected() != privileged) return privileged;
    return source.places[stage].size() > newcomer.places[stage].size();
  };
  auto& handshakes = ranking[Place::kHandshake];
  if (!handshakes.empty()) {
    Source& source = *std::get<Source*>(*handshakes.begin());
    if (&source != &newcomer && gives_way(source, Place::kHandshake)) {
      displace(source, Place::kHandshake);
      return true;
    }
  }
  if (displace_own(newcomer, /*handshakes_only=*/true, now)) return true;
  if (handshakes_only) return false;
  std::size_t looks = 0;
  for (const auto& rank : ranking[Place::kUnproven]) {
    if (++looks > kMaxLooks) break;
    Source& source = *std::get<Source*>(rank);
    const auto& unproven = source.places[Place::kUnproven];
    const bool crowd = unproven.size() >= kCrowd * (newcomer.places[Place::kUnproven].size() + 1);
    if (now - unproven.front().since < (crowd ? limits.unproven_time / 4 : limits.unproven_time)) continue;
    if (&source != &newcomer && !gives_way(source, Place::kUnproven)) continue;
    displace(source, Place::kUnproven);
    return true;
  }
  return false;
}

/// Makes room for one more of `newcomer`'s, displacing what may be; an error says why there is none.
Result<void> Admission::State::make_room(Source& newcomer, Instant now) {
  const auto refuse = [this](const std::string& what) {
    ++counts.refused;
    return fail(Errc::kOverloaded, what);
  };
  const auto reached = [](const std::string& what, std::size_t bound) {
    return what + " (" + std::to_string(bound) + ") reached";
  };
  if (!newcomer.costs.has_left(now)) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(limits.source_costs.period).count();
    return refuse(
        reached("the rate of connections from " + newcomer.key, static_cast<std::size_t>(limits.source_costs.amount)) +
        " within " + std::to_string(seconds) + " s");
  }
  const bool standing = has_standing(newcomer, now);
  if (!standing) {
    newcomer.earned = 0;
    newcomer.proved_at.reset();
  }
  // What had shares accepted counts against no bound of its source, also when it comes back.
  const std::size_t handshakes_bound = limits.max_handshakes_per_source + newcomer.earned;
  if (newcomer.places[Place::kHandshake].size() >= handshakes_bound && !displace_own(newcomer, true, now)) {
    return refuse(reached("the bound of handshakes under way from " + newcomer.key, handshakes_bound));
  }
  const std::size_t unproven_bound = limits.max_unproven_per_source + newcomer.earned;
  if (newcomer.not_proven() >= unproven_bound && !displace_own(newcomer, false, now)) {
    return refuse(
        reached("the bound of connections from " + newcomer.key + " that have had no share accepted", unproven_bound));
  }
  const bool privileged = standing && newcomer.not_proven() < newcomer.earned;
  const std::size_t reserves = privileged ? 0 : newcomer.is_idle() ? 1 : 2;
  const auto room = [&](std::size_t all) { return all - reserves * (all * limits.reserve_percent / 100); };
  if (counts.handshakes >= room(limits.max_handshakes) && !displace_any(newcomer, privileged, true, now)) {
    return refuse(reached("the bound of handshakes under way", room(limits.max_handshakes)));
  }
  if (counts.connections >= room(limits.max_connections) && !displace_any(newcomer, privileged, false, now)) {
    return refuse(reached("the bound of connections", room(limits.max_connections)));
  }
  return {};
}

/// A share of the source was accepted.
void Admission::State::prove(Source& source, Instant at) {
  source.proved_at = std::max(source.proved_at.value_or(at), at);
  source.earned = std::max<std::size_t>({source.earned, source.places[Place::kProven].size(), 1});
  rank(source);
}

/// The source may be without a connection now.
void Admission::State::rest(Source& source) {
  if (!source.is_idle()) return;
  wake(source);
  auto& list = source.proved_at ? idle_with_standing : idle;
  source.idle = &list;
  source.idle_at = list.insert(list.end(), &source);
  const auto bound = source.proved_at ? kMaxStanding : kMaxIdle;
  if (list.size() <= bound) return;
  Source& oldest = *list.front();
  wake(oldest);
  sources.erase(std::string(oldest.key));
}

void Admission::State::wake(Source& source) {
  if (source.idle != nullptr) std::exchange(source.idle, nullptr)->erase(source.idle_at);
}

/// Those that have been without a connection for longest, if they are as ones that were never seen.
void Admission::State::forget_some(Instant now) {
  for (auto* list : {&idle, &idle_with_standing}) {
    for (int i = 0; i < 2 && !list->empty(); ++i) {
      Source& source = *list->front();
      if (has_standing(source, now) || !source.costs.owes_nothing(now)) break;
      wake(source);
      sources.erase(std::string(source.key));
    }
  }
}

Result<Admission::Token> Admission::take(Source& source, std::string_view vouched_id, Instant now) {
  auto& state = *state_;
  state.wake(source);  // So that it is not forgotten while others that lose their places come to rest.
  if (auto made = state.make_room(source, now); !made) {
    if (source.is_idle() && !source.proved_at && source.costs.owes_nothing(now)) {
      state.sources.erase(std::string(source.key));
    } else {
      state.rest(source);
    }
    return fail(std::move(made.error()));
  }
  state.wake(source);  // It may have lost its only place to itself.
  source.costs.charge(AdmissionLimits::kConnect, now);
  auto& handshakes = source.places[Place::kHandshake];
  const auto place = handshakes.insert(
      handshakes.end(), Place{.source = &source, .since = now, .vouched_id = std::string(vouched_id), .close = nullptr});
  ++state.counts.connections;
  ++state.counts.handshakes;
  state.rank(source);
  return Token(state_, place);
}

Result<Admission::Token> Admission::admit(std::string_view source, Instant now, std::string_view vouched_id) {
  auto& state = *state_;
  const std::lock_guard lock(state.mutex);
  state.forget_some(now);
  auto key = source_key(source);
  if (!vouched_id.empty()) {
    const auto known = state.sources.find(std::string(vouched_id));
    if (known != state.sources.end() && state.has_standing(*known->second, now)) key = vouched_id;
  }
  return take(state.source_of(key, now), vouched_id, now);
}

Result<Admission::Token> Admission::admit_beside(const Token& other, Instant now) {
  auto& state = *state_;
  const std::lock_guard lock(state.mutex);
  const Place& place = *other.place_;
  if (place.source == nullptr) {
    ++state.counts.refused;
    return fail(Errc::kOverloaded, "another connection has the place of this one");
  }
  return take(*place.source, place.vouched_id, now);
}

void Admission::count_refused() {
  const std::lock_guard lock(state_->mutex);
  ++state_->counts.refused;
}

Admission::Counts Admission::counts() const {
  const std::lock_guard lock(state_->mutex);
  auto counts = state_->counts;
  counts.sources = state_->sources.size();
  return counts;
}

void Admission::Token::established(Instant now) {
  if (!state_ || !std::exchange(handshaking_, false)) return;
  const std::lock_guard lock(state_->mutex);
  if (place_->source != nullptr) state_->move(place_, Place::kUnproven, now);
}

void Admission::Token::look(bool worked, Instant now) {
  if (!state_) return;
  if (worked || trusted_) {
    established(now);
    worked_at_ = now;
  }
  const bool proven = worked_at_ && now - *worked_at_ < state_->limits.proof_time;
  if (proven == proven_) return;
  const std::lock_guard lock(state_->mutex);
  if (place_->source == nullptr) return;
  proven_ = proven;
  Source& source = *place_->source;
  state_->move(place_, proven ? Place::kProven : Place::kUnproven, now);
  state_->prove(source, *worked_at_);
  if (!proven) return;
  source.costs.earn(AdmissionLimits::kProven);
  if (place_->vouched_id.empty() || place_->vouched_id == source.key) return;
  Source& vouched = state_->source_of(place_->vouched_id, now);
  state_->prove(vouched, now);
  state_->rest(vouched);
}

void Admission::Token::trust(Instant now) {
  trusted_ = true;
  look(true, now);
}

bool Admission::Token::charge(std::int64_t cost, Instant now) {
  if (!state_) return false;
  const std::lock_guard lock(state_->mutex);
  return place_->source != nullptr && place_->source->costs.charge(cost, now);
}

void Admission::Token::on_displaced(std::function<void()> close) {
  const std::lock_guard lock(state_->mutex);
  place_->close = std::move(close);
  if (place_->source == nullptr && place_->close) place_->close();
}

std::string Admission::Token::source() const {
  const std::lock_guard lock(state_->mutex);
  return place_->source != nullptr ? place_->source->key : std::string();
}

bool Admission::Token::is_displaced() const {
  const std::lock_guard lock(state_->mutex);
  return place_->source == nullptr;
}

Admission::Token::~Token() {
  if (!state_) return;
  const std::lock_guard lock(state_->mutex);
  if (place_->source == nullptr) {
    state_->displaced.erase(place_);
    return;
  }
  Source& source = *place_->source;
  const auto stage = place_->stage;
  source.places[stage].erase(place_);
  state_->remove(source, stage);
  if (proven_) state_->prove(source, *worked_at_);
  state_->rest(source);
}

}  // namespace adit::net
