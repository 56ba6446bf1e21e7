// What `adit template` is told: keys that mean what they mean in a pool's file.
#pragma once

#include <cstdint>
#include <string>

#include "config/common.h"
#include "config/keys.h"
#include "config/listening.h"
#include "config/source.h"

namespace adit::provider {

struct ProviderConfig : config::ListenSettings {
  config::MonitoringSettings monitoring;
  config::SourceSettings work;
  unsigned max_constraint_classes = 8;  ///< Kinds of coinbase constraints for which templates are built at the same time.
  unsigned threads = 0;                 ///< Shards; 0: one for each CPU.
  std::string data_dir;                 ///< Where found blocks are kept until the node has answered.
  std::string log_file;                 ///< Empty: standard error only.
};

/// Environment variables TEMPLATE__* lie over the file. Reads no file but `path`.
config::Loaded<ProviderConfig> load_config(const std::string& path, const config::Environment& environment);

/// The same from text; `name` stands for the file.
config::Loaded<ProviderConfig> parse_config(std::string_view toml, const std::string& name,
                                            const config::Environment& environment);

/// As config::load_authority.
Result<noise::AuthorityKeyPair> load_authority(const ProviderConfig& config);

/// The iroh node key: the file [iroh] names, which must be there; else data_dir/node.key, made on the first start.
/// Errors: those of config::take_or_make_node_key.
Result<config::NodeKey> load_or_make_node_key(const ProviderConfig& config);

}  // namespace adit::provider
