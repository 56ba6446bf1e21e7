// What `adit doctor` looks at of a configuration, whatever its role.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bitcoin/address.h"
#include "cli/doctor/facts.h"
#include "cli/start_checks.h"
#include "config/common.h"
#include "config/source.h"
#include "net/transport_config.h"
#include "wire/common_messages.h"

namespace adit::cli::doctor {

/// What the checks need to know of a configuration, which must outlive this.
struct Setup {
  std::optional<config::TemplateSource> source;
  std::optional<bitcoin::Network> network;
  std::vector<std::uint8_t> payout_script;
  std::vector<std::string> secret_files;
  std::string data_dir;
  std::string node_key_file;
  Listeners listeners;
  const config::MonitoringSettings* monitoring = nullptr;
  const config::IrohSettings* iroh = nullptr;
  struct Upstream {
    std::size_t entry = 0;  ///< As UpstreamFacts.
    net::Peer peer;
    wire::Protocol protocol = wire::Protocol::kMining;
    std::uint32_t flags = 0;  ///< What the role asks for by SetupConnection.
    std::string user;         ///< Of a pool.
  };
  std::vector<Upstream> upstreams;
};

Setup setup_of(const pool::PoolConfig& config);
Setup setup_of(const provider::ProviderConfig& config);
Setup setup_of(const jd_client::JdClientConfig& config);
Setup setup_of(const translator::TranslatorConfig& config);

/// Fills in what configuration and machine tell at once of secret files, payout, ports, iroh and reach.
void look_at_setup(const Setup& setup, Facts& facts);

}  // namespace adit::cli::doctor
