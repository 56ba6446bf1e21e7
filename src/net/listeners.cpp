#include "net/listeners.h"

#include "base/hex.h"
#include "net/descriptors.h"
#include "net/error.h"
#include "session/protocols.h"

namespace adit::net {

Listeners::Listeners(std::string name, std::vector<wire::Protocol> protocols, const ListenOptions& options)
    : name_(std::move(name)),
      protocols_(std::move(protocols)),
      options_(options),
      admission_(options.listen ? fit_to_process(options.admission, name_) : options.admission) {}

FrameHostOptions Listeners::host_options() {
  FrameHostOptions host;
  host.name = name_;
  host.handshake_deadline = options_.handshake_deadline;
  host.health = options_.health;
  host.authority_secret = options_.authority_secret.copy();
  host.certificate_validity = options_.certificate_validity;
  host.protocols = protocols_;
  host.last_id = &connections_;
  return host;
}

std::optional<std::array<std::uint8_t, 32>> Listeners::endpoint_id() const {
  std::array<std::uint8_t, 32> id{};
  if (options_.iroh == nullptr || !from_hex(options_.iroh->endpoint_id(), id)) return std::nullopt;
  return id;
}

Result<void> Listeners::bind(Shards& shards) {
  if (!options_.listen && options_.iroh == nullptr) {
    return fail(Errc::kConfiguration, "the " + name_ + " has nothing to listen on: configure listen_address, [iroh], or both");
  }
  if (auto key = noise::AuthorityKeyPair::from_secret(options_.authority_secret.copy()); !key) {
    return fail(Errc::kConfiguration, "the authority's secret key: " + key.error().message());
  }
  if (options_.listen) {
    ADIT_TRY(tcp_, TcpListener::bind(shards[0], *options_.listen, options_.health.dead_after, options_.trusted_proxies));
  }
  return {};
}

Result<void> Listeners::accept(Shards& shards, IrohCarrier::OnLink take) {
  if (options_.iroh != nullptr) {
    std::vector<std::string> alpns{session::kAlpnLanes};
    for (const auto protocol : protocols_) alpns.emplace_back(session::row_of(protocol).alpn);
    ADIT_CHECK(options_.iroh->listen(std::move(alpns), admission_, take));
  }
  if (tcp_) {
    tcp_->start(shards, [take = std::move(take)](Shard& shard, std::unique_ptr<ByteStream> stream) {
      take(shard, {.stream = std::move(stream)}, nullptr);
    });
  }
  return {};
}

void Listeners::stop() {
  if (options_.iroh != nullptr) options_.iroh->stop_listening();
  if (tcp_) tcp_->stop();
}

std::uint16_t Listeners::tcp_port() const { return tcp_ ? tcp_->port() : std::uint16_t{0}; }
std::string Listeners::tcp_address() const { return tcp_ ? tcp_->address() : std::string(); }
std::uint64_t Listeners::failed_accepts() const { return tcp_ ? tcp_->failed_accepts() : 0; }

}  // namespace adit::net
