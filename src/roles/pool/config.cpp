#include "roles/pool/config.h"

#include <algorithm>
#include <utility>

namespace adit::pool {
namespace {

using config::Severity;
using config::Table;

constexpr std::size_t kMaxSignature = 40;  // A coinbase's script holds 100 bytes: height, tags and extranonce share them.

// The network of a source that does not name one is anybody's guess: any network's address will do. The embedded chain is none
// of those that addresses are made for: that of any test network will do.
Result<std::vector<std::uint8_t>> payout_script(std::string_view descriptor, const PoolConfig& config) {
  using enum bitcoin::Network;
  auto first = bitcoin::script_from_descriptor(descriptor, config.network.value_or(kMainnet));
  if (config.network && !std::holds_alternative<EmbeddedSource>(config.source)) return first;
  for (const bitcoin::Network other : {kTestnet4, kSignet, kRegtest}) {
    if (first || !first.error().is(bitcoin::Errc::kWrongNetwork)) break;
    if (auto script = bitcoin::script_from_descriptor(descriptor, other)) return script;
  }
  return first;
}

void read_payout(Table& root, PoolConfig& out) {
  if (!root.require("coinbase_reward_script", "whom blocks pay, as a descriptor: \"addr(YOUR_ADDRESS)\"")) return;
  const auto descriptor = root.text("coinbase_reward_script");
  if (!descriptor) return;
  auto script = payout_script(*descriptor, out);
  if (!script) {
    root.report(Severity::kError, "coinbase_reward_script", "`coinbase_reward_script`: " + script.error().message());
    return;
  }
  out.payout_script = std::move(*script);
}

void read_solo(Table& root, PoolConfig& out) {
  out.solo = root.boolean("solo").value_or(true);
  out.pay_by_identity = root.boolean("pay_by_identity").value_or(true);
  out.solo_fee_percent = root.integer<unsigned>("solo_fee_percent", 0, channels::kMostFeePercent).value_or(0);
  const std::string_view no_solo = !out.pay_by_identity ? "pay_by_identity = false" : out.solo ? "" : "solo = false";
  if (!no_solo.empty() && out.solo_fee_percent != 0) {
    root.report(Severity::kError, "solo_fee_percent",
                "`solo_fee_percent` is a fee on what `" + std::string(no_solo) + "` does not grant: remove one");
  }
  if (!out.pay_by_identity && root.has("solo") && out.solo) {
    root.report(
        Severity::kError, "pay_by_identity",
        "`pay_by_identity = false` pays every block to `coinbase_reward_script`, `solo = true` pays miners: remove one");
  }
  out.solo = out.solo && out.pay_by_identity;
}

// What is required of a peer is offered to it.
void offer_required(std::vector<std::uint16_t>& supported, const std::vector<std::uint16_t>& required) {
  for (const std::uint16_t extension : required) {
    if (std::ranges::find(supported, extension) == supported.end()) supported.push_back(extension);
  }
}

/// Whether a node of the source can say whether a block would be valid. A template provider cannot.
bool judges_blocks(const TemplateSource& source) {
  const auto nodes = config::nodes_of(source);
  return std::ranges::any_of(nodes, [](const FurtherNode& node) { return !std::holds_alternative<Sv2TpNode>(node); });
}

constexpr std::string_view kNoJudge =
    "`[jds]` needs a Bitcoin node that says whether a declared block would be valid: add one by JSON-RPC or IPC to [[nodes]], "
    "`templates = false` if it is for that alone";

std::string jds_data_dir(const std::string& data_dir) { return data_dir.empty() ? "" : data_dir + "/jds"; }

std::optional<JdsConfig> read_jds(Table& root, const PoolConfig& pool) {
  auto jds = root.table("jds");
  if (!jds) return std::nullopt;
  JdsConfig out;
  // Where there is an iroh endpoint, declarators may come over that alone.
  if (!pool.iroh.enabled || !pool.iroh.node.listens)
    jds->require("listen_address", "where job declarators connect, such as \"0.0.0.0:3334\"");
  out.listen_address = config::read_listen_address(*jds, "listen_address");
  out.supported_extensions = config::read_extensions(*jds, "supported_extensions", Severity::kNotYet);
  out.required_extensions = config::read_extensions(*jds, "required_extensions", Severity::kBlocker);
  offer_required(out.supported_extensions, out.required_extensions);
  out.allow_coinbase_only = jds->boolean("allow_coinbase_only").value_or(false);
  out.min_pool_percent = jds->integer<unsigned>("min_pool_percent", 0, 100).value_or(100);
  out.token_key_file = config::read_path(*jds, "token_key_file").value_or("");
  out.monitoring = config::read_monitoring(*jds, jds_data_dir(pool.data_dir));
  if (out.token_key_file.empty()) {
    if (!judges_blocks(pool.source)) root.report(Severity::kError, "jds", std::string(kNoJudge));
    if (jds->has("monitoring_address")) {
      root.report(Severity::kError, "jds.monitoring_address",
                  "`monitoring_address` of [jds] is that of `adit jd-server`, which needs a `token_key_file`: the pool's own "
                  "monitor shows the declarator in it");
    }
  }
  return out;
}

std::chrono::seconds read_stale_work(Table& root) {
  // A node that restarts is away for longer than a few seconds.
  constexpr std::uint32_t kLeast = 10;
  const auto seconds = root.integer<std::uint32_t>("stale_work_secs", 0, 86'400).value_or(300);
  if (seconds != 0 && seconds < kLeast) {
    root.report(Severity::kError, "stale_work_secs",
                "`stale_work_secs` must be 10 to 86400, as nodes restart, or 0: miners are never sent away for want of work");
  }
  return std::chrono::seconds(seconds);
}

bool is_plain_text(std::string_view text) {
  return std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

config::Loaded<PoolConfig> read(config::Document document) {
  config::Loaded<PoolConfig> loaded;
  PoolConfig& out = loaded.config;
  if (!document.readable()) {
    loaded.findings = document.finish();
    return loaded;
  }
  Table root = document.root();
  const config::SourceSettings work = config::read_source(root);
  out.network = work.network;
  out.source = work.source;
  read_payout(root, out);
  read_solo(root, out);
  static_cast<config::ListenSettings&>(out) = config::read_listening(
      root, work, "this pool to its miners", "the IP address and port on which miners connect, such as \"0.0.0.0:3333\"");
  out.sv1_address = config::read_listen_address(root, "sv1_address");
  out.sv1 = root.boolean("sv1").value_or(false);
  if (out.sv1 && !out.listen_address) {
    root.report(Severity::kError, "sv1", "`sv1` is about `listen_address`, which is not there: give an `sv1_address` instead");
  }
  out.data_dir = config::read_data_dir(root, "pool");
  out.monitoring = config::read_monitoring(root, out.data_dir);

  out.pool_signature = root.text("pool_signature").value_or("Adit");
  if (out.pool_signature.size() > kMaxSignature || !is_plain_text(out.pool_signature)) {
    root.report(Severity::kError, "pool_signature", "`pool_signature` must be at most 40 bytes without control characters");
  }
  out.shares_per_minute = static_cast<float>(root.number("shares_per_minute", 0.01, 6000).value_or(6));
  out.min_difficulty = root.number("min_difficulty", 1e-12, 0x1p64).value_or(channels::kDefaultMinDifficulty);
  out.share_batch_size = root.integer<std::uint32_t>("share_batch_size", 1, 10000).value_or(10);
  out.server_id = root.integer<std::uint8_t>("server_id").value_or(0);
  // 0 is the default, as in SRI.
  if (const auto jobs = root.integer<std::uint32_t>("max_past_jobs", 0, 1000); jobs && *jobs != 0) out.max_past_jobs = *jobs;
  out.stale_work = read_stale_work(root);
  out.threads = root.integer<unsigned>("threads", 0, 256).value_or(0);
  out.log_file = config::read_path(root, "log_file").value_or("");
  out.supported_extensions = config::read_extensions(root, "supported_extensions", Severity::kNotYet);
  out.required_extensions = config::read_extensions(root, "required_extensions", Severity::kBlocker);
  offer_required(out.supported_extensions, out.required_extensions);
  out.jds = read_jds(root, out);
  loaded.findings = document.finish();
  return loaded;
}

}  // namespace

config::Loaded<PoolConfig> load_config(const std::string& path, const config::Environment& environment) {
  return read(config::Document::open(path, "POOL", environment));
}

config::Loaded<PoolConfig> parse_config(std::string_view toml, const std::string& name,
                                        const config::Environment& environment) {
  return read(config::Document::parse(toml, name, "POOL", environment));
}

PoolConfig for_jd_server(PoolConfig config, std::vector<config::Finding>& findings) {
  if (!config.jds || config.jds->token_key_file.empty()) {
    findings.push_back(
        {Severity::kError, "jds",
         "a declarator that runs by itself needs [jds] with a `token_key_file`, which the pool's file names too; "
         "`adit keys token --out FILE` makes one"});
    return config;
  }
  if (!judges_blocks(config.source)) findings.push_back({Severity::kError, "jds", std::string(kNoJudge)});
  config.listen_address = config.jds->listen_address;
  config.sv1_address.reset();
  config.sv1 = false;
  config.monitoring = config.jds->monitoring;
  config.data_dir = jds_data_dir(config.data_dir);
  config.iroh.secret_key_file.clear();
  config.iroh.default_port = config.listen_address ? config.listen_address->port : std::uint16_t{0};
  // The same addresses, and not the pool's port.
  for (std::string& address : config.iroh.node.bind)
    address = address.substr(0, address.rfind(':') + 1) + std::to_string(config.iroh.default_port);
  return config;
}

Result<noise::AuthorityKeyPair> load_authority(const PoolConfig& config) {
  return config::load_authority(config.authority, config.network);
}

Result<config::NodeKey> load_or_make_node_key(const PoolConfig& config) {
  return config::take_or_make_node_key(config.iroh.secret_key_file, config.data_dir + "/node.key");
}

}  // namespace adit::pool
