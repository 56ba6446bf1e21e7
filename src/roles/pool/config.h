// What `adit pool` is told: SRI's keys for its pool, and ours.
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

namespace adit::pool {

using config::BitcoinIpcNode;
using config::BitcoinIpcSource;
using config::BitcoinRpcNode;
using config::BitcoinRpcSource;
using config::EmbeddedSource;
using config::FurtherNode;
using config::Sv2TpNode;
using config::Sv2TpSource;
using config::TemplateSource;

/// [jds]: miners choose the transactions of their blocks themselves.
struct JdsConfig {
  std::optional<net::TcpConfig> listen_address;     ///< Absent: over the pool's iroh endpoint alone.
  std::vector<std::uint16_t> supported_extensions;  ///< That a client may ask for.
  std::vector<std::uint16_t> required_extensions;   ///< That a client must ask for; supported ones.
  bool allow_coinbase_only = false;                 ///< Clients that show no transactions are served too.
  unsigned min_pool_percent = 100;                  ///< Of a declared block's revenue, that goes to the pool's output at least.
  /// Holds the key by which the tokens of another process, `adit jd-server`, speak for themselves; empty: the pool itself is
  /// the declarator.
  std::string token_key_file;
  /// Where the pool itself listens for declarators.
  [[nodiscard]] std::optional<net::TcpConfig> own_listener() const {
    return token_key_file.empty() ? listen_address : std::nullopt;
  }
  config::MonitoringSettings monitoring;  ///< Of that process.
};

struct PoolConfig : config::ListenSettings {
  std::optional<net::TcpConfig>
      sv1_address;   ///< Where Stratum V1 miners connect. Port 0: the system's choice. Absent: nowhere.
  bool sv1 = false;  ///< They may connect at listen_address, too.
  config::MonitoringSettings monitoring;

  TemplateSource source;
  std::optional<bitcoin::Network> network;  ///< Absent: the source does not say.
  std::vector<std::uint8_t> payout_script;  ///< Of coinbase_reward_script.
  std::string pool_signature;               ///< The pool's tag in the coinbase.
  bool solo = true;  ///< A miner whose identity asks for it is paid by its own script (channels/payout.h).
  /// False: a miner's identity is a name and nothing else, and every block pays `payout_script`.
  bool pay_by_identity = true;
  unsigned solo_fee_percent = 0;  ///< The pool's part of that, at most channels::kMostFeePercent.

  double min_difficulty = channels::kDefaultMinDifficulty;  ///< The least that a share may have, whatever a client declares.
  float shares_per_minute = 6;                              ///< Of one channel: what vardiff aims at.
  std::uint32_t share_batch_size = 10;                      ///< Shares that one SubmitShares.Success answers.
  std::uint32_t max_past_jobs = 16;                         ///< Jobs per channel for which a late share is still taken.
  std::uint8_t server_id = 0;  ///< Part of every extranonce prefix: pools on the same template must differ in it.

  std::vector<std::uint16_t> supported_extensions;  ///< That a peer may ask for: 0x0001 (always there) and 0x0002.
  std::vector<std::uint16_t> required_extensions;   ///< That a peer must ask for before it opens a channel; supported ones.

  std::optional<JdsConfig> jds;

  std::chrono::seconds stale_work{300};  ///< Without templates for so long the pool lets go of its miners; 0: never.

  unsigned threads = 0;  ///< Shards; 0: one for each CPU.
  std::string data_dir;  ///< Where found blocks are kept until the node has answered.
  std::string log_file;  ///< Empty: standard error only.
};

/// Environment variables POOL__* lie over the file, as in SRI. Reads no file but `path`.
config::Loaded<PoolConfig> load_config(const std::string& path, const config::Environment& environment);

/// The same from text; `name` stands for the file.
config::Loaded<PoolConfig> parse_config(std::string_view toml, const std::string& name, const config::Environment& environment);

/// As config::load_authority.
Result<noise::AuthorityKeyPair> load_authority(const PoolConfig& config);

/// The same file as `adit jd-server` reads it: with its own monitor, a folder of its own in `data_dir`, and an iroh node key of
/// its own there. Adds an error to `findings` if the file has no declarator that runs by itself, or no node judges its blocks.
PoolConfig for_jd_server(PoolConfig config, std::vector<config::Finding>& findings);

/// The iroh node key: the file [iroh] names, which must be there; else data_dir/node.key, made on the first start.
/// Errors: those of config::take_or_make_node_key.
Result<config::NodeKey> load_or_make_node_key(const PoolConfig& config);

}  // namespace adit::pool
