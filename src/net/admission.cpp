#include "net/admission.h"

#include <arpa/inet.h>

#include <array>
#include <cstdint>

#include "base/hex.h"

namespace adit::net {

std::string source_key(std::string_view source) {
  if (source.find("://") != std::string_view::npos) return std::string(source);
  std::string host(source.substr(0, source.rfind(':')));
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  std::array<std::uint8_t, 16> address{};
  if (::inet_pton(AF_INET6, host.c_str(), address.data()) == 1) return to_hex(Bytes(address).first(8)) + "/64";
  return host;
}

Result<Admission::Token> Admission::admit(std::string_view source) {
  auto key = source_key(source);
  const std::lock_guard lock(mutex_);
  const auto refuse = [this](const std::string& what, std::size_t bound) {
    ++counts_.refused;
    return fail(Errc::kOverloaded, what + " (" + std::to_string(bound) + ") reached");
  };
  if (counts_.connections >= limits_.max_connections) return refuse("the bound of connections", limits_.max_connections);
  if (counts_.handshakes >= limits_.max_handshakes) return refuse("the bound of handshakes under way", limits_.max_handshakes);
  const auto known = sources_.find(key);
  if (known != sources_.end()) {
    if (known->second.connections >= limits_.max_connections_per_source) {
      return refuse("the bound of connections from " + key, limits_.max_connections_per_source);
    }
    if (known->second.handshakes >= limits_.max_handshakes_per_source) {
      return refuse("the bound of handshakes under way from " + key, limits_.max_handshakes_per_source);
    }
  }
  const auto entry = known != sources_.end() ? known : sources_.try_emplace(std::move(key)).first;
  ++entry->second.connections;
  ++entry->second.handshakes;
  ++counts_.connections;
  ++counts_.handshakes;
  return Token(*this, entry);
}

void Admission::Token::established() {
  if (!admission_ || !std::exchange(handshaking_, false)) return;
  const std::lock_guard lock(admission_->mutex_);
  --admission_->counts_.handshakes;
  --source_->second.handshakes;
}

Admission::Token::~Token() {
  if (!admission_) return;
  established();
  const std::lock_guard lock(admission_->mutex_);
  --admission_->counts_.connections;
  if (--source_->second.connections == 0) admission_->sources_.erase(source_);
}

Admission::Counts Admission::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

}  // namespace adit::net
