// What `adit jd-client` is told: SRI's keys for its job declarator client, and ours.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bitcoin/address.h"
#include "channels/channel.h"
#include "config/common.h"
#include "config/keys.h"
#include "config/listening.h"
#include "config/source.h"
#include "noise/keys.h"

namespace adit::jd_client {

/// `mode`, as SRI words it.
enum class ConfigMode : std::uint8_t {
  kFullTemplate,  ///< "FULLTEMPLATE"
  kCoinbaseOnly,  ///< "COINBASEONLY"
  kSolo,          ///< "SOLOMINING"
};

struct JdClientConfig : config::ListenSettings {
  config::MonitoringSettings monitoring;
  config::SourceSettings work;

  ConfigMode mode = ConfigMode::kFullTemplate;
  std::vector<config::DeclaringUpstream> upstreams;  ///< In order of preference; none in solo mode.
  upstream::SelectionPolicy selection;               ///< Of [transport].
  std::vector<std::uint8_t> payout_script;           ///< Of coinbase_reward_script: whom blocks pay that are no pool's.
  std::string signature;                             ///< In every coinbase.
  unsigned rollable_extranonce_size = 8;             ///< Bytes of extranonce that an extended channel's miner rolls.
  bool follow_pool_tip = false;  ///< Ask pools for their own jobs, and mine them while their tip is newer than our node's.
  double expected_hash_rate_hps = 1e12;  ///< What a pool is told before the miners are there.

  double min_difficulty = channels::kDefaultMinDifficulty;  ///< As pool::PoolConfig.
  float shares_per_minute = 6;                              ///< Likewise.
  std::uint32_t share_batch_size = 10;                      ///< Likewise.
  std::uint32_t max_past_jobs = 16;                         ///< Likewise.
  std::vector<std::uint16_t> supported_extensions;          ///< That a miner may ask for: 0x0001 (always there) and 0x0002.
  std::vector<std::uint16_t> required_extensions;           ///< That a miner must ask for before it opens a channel.

  std::optional<net::TcpConfig>
      sv1_address;   ///< Where Stratum V1 miners connect. Port 0: the system's choice. Absent: nowhere.
  bool sv1 = false;  ///< They may connect at listening_address, too.

  std::string data_dir;  ///< Where found blocks are kept until the node has answered.
  std::string log_file;  ///< Empty: standard error only.
};

/// Environment variables JDC__* lie over the file, as in SRI. Reads no file but `path`.
config::Loaded<JdClientConfig> load_config(const std::string& path, const config::Environment& environment);

/// The same from text; `name` stands for the file.
config::Loaded<JdClientConfig> parse_config(std::string_view toml, const std::string& name,
                                            const config::Environment& environment);

/// As config::load_authority.
Result<noise::AuthorityKeyPair> load_authority(const JdClientConfig& config);

/// The iroh node key: the file [iroh] names, which must be there; else data_dir/node.key, made on the first start.
/// Errors: those of config::take_or_make_node_key.
Result<config::NodeKey> load_or_make_node_key(const JdClientConfig& config);

}  // namespace adit::jd_client
