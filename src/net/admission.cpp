#include "net/admission.h"

#include <arpa/inet.h>

#include <array>
#include <cstdint>

#include "base/hex.h"
#include "base/invariant.h"

namespace adit::net {

std::string source_key(std::string_view source) {
  if (source.find("://") != std::string_view::npos) return std::string(source);
  std::string host(source.substr(0, source.rfind(':')));
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  std::array<std::uint8_t, 16> address{};
  if (::inet_pton(AF_INET6, host.c_str(), address.data()) == 1) return to_hex(Bytes(address).first(8)) + "/64";
  return host;
}

struct Admission::State {
  explicit State(AdmissionLimits given) : limits(given) {}

  const AdmissionLimits limits;
  std::mutex mutex;  ///< Guards what follows.
  Counts counts;
  Sources sources;
};

Admission::Admission(AdmissionLimits limits) : state_(std::make_shared<State>(limits)) {}

Result<Admission::Token> Admission::admit(std::string_view source) { return take(source_key(source)); }

// A key stays where it is as long as a token is of it.
Result<Admission::Token> Admission::admit_beside(const Token& other) { return take(other.source_->first); }

Result<Admission::Token> Admission::take(std::string key) {
  auto& state = *state_;
  const auto& limits = state.limits;
  const std::lock_guard lock(state.mutex);
  auto& counts = state.counts;
  const auto refuse = [&counts](const std::string& what, std::size_t bound) {
    ++counts.refused;
    return fail(Errc::kOverloaded, what + " (" + std::to_string(bound) + ") reached");
  };
  if (counts.connections >= limits.max_connections) return refuse("the bound of connections", limits.max_connections);
  if (counts.handshakes >= limits.max_handshakes) return refuse("the bound of handshakes under way", limits.max_handshakes);
  const auto known = state.sources.find(key);
  if (known != state.sources.end()) {
    if (known->second.connections >= limits.max_connections_per_source) {
      return refuse("the bound of connections from " + key, limits.max_connections_per_source);
    }
    if (known->second.handshakes >= limits.max_handshakes_per_source) {
      return refuse("the bound of handshakes under way from " + key, limits.max_handshakes_per_source);
    }
  }
  const auto entry = known != state.sources.end() ? known : state.sources.try_emplace(std::move(key)).first;
  ++entry->second.connections;
  ++entry->second.handshakes;
  ++counts.connections;
  ++counts.handshakes;
  return Token(state_, entry);
}

void Admission::count_refused() {
  const std::lock_guard lock(state_->mutex);
  ++state_->counts.refused;
}

void Admission::Token::established() {
  if (!state_ || !std::exchange(handshaking_, false)) return;
  const std::lock_guard lock(state_->mutex);
  ADIT_INVARIANT(source_->second.handshakes != 0 && state_->counts.handshakes >= source_->second.handshakes);
  --state_->counts.handshakes;
  --source_->second.handshakes;
}

Admission::Token::~Token() {
  if (!state_) return;
  established();
  const std::lock_guard lock(state_->mutex);
  ADIT_INVARIANT(source_->second.connections != 0 && state_->counts.connections >= source_->second.connections);
  --state_->counts.connections;
  if (--source_->second.connections == 0) state_->sources.erase(source_);
}

Admission::Counts Admission::counts() const {
  const std::lock_guard lock(state_->mutex);
  return state_->counts;
}

}  // namespace adit::net
