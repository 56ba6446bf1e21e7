// What this machine says of itself: files, ports, limits, addresses. Nothing is changed but one file that is made and removed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/doctor/facts.h"
#include "net/carrier.h"
#include "net/transport_config.h"

namespace adit::cli::doctor {

/// Whether something disciplines the kernel's clock.
bool is_clock_set();

/// Permission bits; absent: there is no such file.
std::optional<unsigned> mode_of(const std::string& path);

/// Whether a file can be written and synced there, which is tried unless `tries` is false: then its rights are looked at.
FolderFacts look_at_folder(const std::string& path, bool tries = true);

/// Whether the file that this process was started from has been replaced or removed since.
bool is_program_replaced();

/// Who has the TCP or UDP port `at`, which could not be listened on: at this address, or at all of them. Absent: no socket of
/// the kernel's tables does.
std::optional<PortFacts::Holder> who_has(const net::TcpConfig& at, bool is_udp);

/// Addresses, the multicast name, and whether this is a container.
ReachFacts look_at_reach();

/// Whether an address without its port is one of this machine's interfaces.
bool is_own_address(const std::string& ip);
/// Whether an interface has an IPv4 address of the internet.
bool has_public_ipv4();
bool has_global_ipv6();

LimitFacts look_at_limits();

/// IP addresses at which others see that endpoint, and no interface of this machine has.
std::vector<std::string> addresses_seen(const net::IrohCarrier& endpoint);

/// Fills in what this machine and this build tell at once: clock, reach, limits, version.
void look_at_machine(Facts& facts);

}  // namespace adit::cli::doctor
