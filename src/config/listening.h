// What a role is told that serves Stratum V2 connections: where it listens, how it proves itself, whom it takes.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>
#include <vector>

#include "config/authority.h"
#include "config/common.h"
#include "config/source.h"
#include "net/address_range.h"
#include "net/health.h"
#include "net/listeners.h"
#include "net/transport_config.h"
#include "noise/keys.h"

namespace adit::config {

/// What the configuration of such a role begins with.
struct ListenSettings {
  std::optional<net::TcpConfig> listen_address;    ///< Port 0: the system's choice. Absent: iroh only.
  std::vector<net::AddressRange> trusted_proxies;  ///< What connects from there must speak the PROXY protocol.
  IrohSettings iroh;
  net::HealthPolicy health;
  AdmissionSettings admission;
  AuthoritySettings authority;
  std::chrono::seconds cert_validity{3600};
};

/// Reads these of `root`. `work`: what was read of its source, which may need iroh. `proves`: what the authority's key proves
/// to whom ("this pool to its miners"). `where`: what to write at `key`, the address's.
ListenSettings read_listening(Table& root, const SourceSettings& work, std::string_view proves, std::string_view where,
                              std::string_view key = "listen_address");

/// All but `iroh`, which is there later.
net::ListenOptions listen_options(const ListenSettings& settings, const noise::AuthorityKeyPair& authority);

}  // namespace adit::config
