// What `adit translator` is told: SRI's keys for its translator, and ours.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/common.h"
#include "config/keys.h"

namespace adit::translator {

struct TranslatorConfig {
  net::TcpConfig downstream;                        ///< Where Stratum V1 miners connect. Port 0: the system's choice.
  std::vector<net::AddressRange> trusted_proxies;   ///< What connects from there must speak the PROXY protocol.
  std::vector<config::UpstreamSettings> upstreams;  ///< In order of preference, at least one.
  upstream::SelectionPolicy selection;              ///< Of [transport].
  net::HealthPolicy health;
  config::AdmissionSettings admission;  ///< Of SV1 miners: subscribing and authorizing is their handshake.
  config::IrohSettings iroh;            ///< Enabled whenever an upstream is reached over iroh.

  bool verify_payout = false;                       ///< Jobs must pay what each upstream's user_identity asks for.
  bool aggregate_channels = false;                  ///< One channel upstream for all miners of a shard, instead of one each.
  std::vector<std::uint16_t> supported_extensions;  ///< Asked of an upstream, and
  std::vector<std::uint16_t> required_extensions;   ///< those without which it is not used; asked for too.
  std::uint8_t downstream_extranonce2_size = 4;     ///< Bytes that a miner rolls.
  double min_individual_miner_hashrate_hps = 0;     ///< Of the weakest miner, hashes/s: the first difficulty.
  float shares_per_minute = 6;                      ///< Of one miner.
  bool enable_vardiff = true;                       ///< False: difficulty is the upstream's.
  std::chrono::seconds job_keepalive_interval{60};  ///< A miner without news for so long gets a job with a new time; 0: never.
  std::chrono::seconds miner_work_timeout{180};     ///< A miner without work for so long is sent away.

  config::MonitoringSettings monitoring;
  std::string data_dir;  ///< Where the monitor keeps its history; empty: in memory.
  unsigned threads = 0;  ///< Shards; 0: one for each CPU.
  std::string log_file;  ///< Empty: standard error only.
};

/// Environment variables TPROXY__* lie over the file, as in SRI. Reads no file but `path`.
config::Loaded<TranslatorConfig> load_config(const std::string& path, const config::Environment& environment);

/// The same from text; `name` stands for the file.
config::Loaded<TranslatorConfig> parse_config(std::string_view toml, const std::string& name,
                                              const config::Environment& environment);

/// The iroh node key: the file that [iroh] names; else a new one for this run (a translator dials, so nobody needs to know it).
/// Errors: those of config::take_node_key.
Result<config::NodeKey> load_or_make_node_key(const TranslatorConfig& config);

}  // namespace adit::translator
