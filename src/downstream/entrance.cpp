#include "downstream/entrance.h"

namespace adit::downstream {
namespace {

session::ServerOptions serving_of(const MinersOptions& options) {
  auto mining = mining::ServerSession::offer();
  mining.supported_extensions = options.supported_extensions;
  mining.required_extensions = options.required_extensions;
  return {.offers = {std::move(mining)}, .setup_timeout = options.setup_timeout};
}

}  // namespace

Entrance::Entrance(std::string name, std::vector<wire::Protocol> protocols, const MinersOptions& options)
    : name_(std::move(name)),
      options_(options),
      serving_(serving_of(options)),
      listeners_(name_, std::move(protocols), options) {}

std::shared_ptr<const net::FrameHostOptions> Entrance::host_options() {
  auto host = std::make_shared<net::FrameHostOptions>(listeners_.host_options());
  host->max_queued_bytes = options_.max_queued_bytes;
  host->max_payload = options_.max_payload;
  host->sv1 = options_.sv1_at_listen;
  return host;
}

Result<void> Entrance::bind(net::Shards& shards) {
  ADIT_CHECK(listeners_.bind(shards));
  if (options_.sv1_listen) {
    ADIT_TRY(sv1_, net::TcpListener::bind(shards[0], *options_.sv1_listen, net::kSilentHost, options_.trusted_proxies));
  }
  return {};
}

void Entrance::stop() {
  listeners_.stop();
  if (sv1_) sv1_->stop();
}

std::uint16_t Entrance::sv1_port() const { return sv1_ ? sv1_->port() : std::uint16_t{0}; }
std::string Entrance::sv1_address() const { return sv1_ ? sv1_->address() : std::string(); }
std::uint64_t Entrance::failed_accepts() const {
  return listeners_.failed_accepts() + (sv1_ ? sv1_->failed_accepts() : std::uint64_t{0});
}

}  // namespace adit::downstream
