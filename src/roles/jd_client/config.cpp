#include "roles/jd_client/config.h"

#include <algorithm>
#include <array>
#include <utility>
#include <variant>

namespace adit::jd_client {
namespace {

using config::Severity;
using config::Table;

// Features of SRI's client that are not here yet. A key leaves this list with the commit that brings its feature.
constexpr config::NotYet kNotYet[] = {
    {"miner_telemetry", "the miners' own web interfaces are not queried yet"},
};

constexpr std::uint16_t kProtocolVersion = 2;
constexpr std::size_t kMaxSignature = 28;  // A coinbase's script holds 100 bytes: height, tags and extranonce share them.

// What SRI's published examples pay: their authors, on a network where that is money.
constexpr std::array<std::string_view, 1> kStrangers = {"bc1q9f9vj7spn8h7qda6pn8d4g4j99f0mn9lhwz55j"};

// As the pool's.
Result<std::vector<std::uint8_t>> payout_script(std::string_view descriptor, const config::SourceSettings& work) {
  using enum bitcoin::Network;
  auto first = bitcoin::script_from_descriptor(descriptor, work.network.value_or(kMainnet));
  if (work.network && !std::holds_alternative<config::EmbeddedSource>(work.source)) return first;
  for (const bitcoin::Network other : {kTestnet4, kSignet, kRegtest}) {
    if (first || !first.error().is(bitcoin::Errc::kWrongNetwork)) break;
    if (auto script = bitcoin::script_from_descriptor(descriptor, other)) return script;
  }
  return first;
}

void read_payout(Table& root, JdClientConfig& out) {
  if (!root.require("coinbase_reward_script",
                    "whom blocks pay while no pool is there, as a descriptor: \"addr(YOUR_ADDRESS)\""))
    return;
  const auto descriptor = root.text("coinbase_reward_script");
  if (!descriptor) return;
  auto script = payout_script(*descriptor, out.work);
  if (!script) {
    root.report(Severity::kError, "coinbase_reward_script", "`coinbase_reward_script`: " + script.error().message());
    return;
  }
  for (const std::string_view stranger : kStrangers) {
    if (descriptor->find(stranger) == std::string::npos) continue;
    root.report(Severity::kBlocker, "coinbase_reward_script",
                "`coinbase_reward_script` is " + std::string(stranger) +
                    ", which SRI's published examples pay: blocks would be theirs; write an address of your own");
  }
  out.payout_script = std::move(*script);
}

void read_mode(Table& root, JdClientConfig& out) {
  std::string mode = root.text("mode").value_or("FULLTEMPLATE");
  std::ranges::transform(mode, mode.begin(), [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  if (mode == "FULLTEMPLATE") {
    out.mode = ConfigMode::kFullTemplate;
  } else if (mode == "COINBASEONLY") {
    out.mode = ConfigMode::kCoinbaseOnly;
  } else if (mode == "SOLOMINING") {
    out.mode = ConfigMode::kSolo;
  } else {
    root.report(Severity::kError, "mode", "`mode` must be \"FULLTEMPLATE\", \"COINBASEONLY\" or \"SOLOMINING\"");
  }
}

void read_upstreams(Table& root, JdClientConfig& out) {
  out.upstreams = config::read_declaring_upstreams(root);
  if (out.mode == ConfigMode::kSolo) {
    if (root.has_something("upstreams")) {
      root.report(Severity::kError, "upstreams",
                  "`upstreams` beside mode \"SOLOMINING\": there is no pool in that mode; remove one of the two");
    }
    return;
  }
  if (!root.has_something("upstreams")) {
    root.report(Severity::kError, "upstreams",
                "at least one [[upstreams]] is needed, with `pool_url` and `jds_url` (or SRI's pool_address, pool_port, "
                "jds_address, jds_port, authority_pubkey) and user_identity; or mode \"SOLOMINING\"");
  }
}

void read_versions(Table& root) {
  const auto least = root.integer<std::uint16_t>("min_supported_version").value_or(kProtocolVersion);
  const auto most = root.integer<std::uint16_t>("max_supported_version").value_or(kProtocolVersion);
  if (least > kProtocolVersion || most < kProtocolVersion) {
    root.report(Severity::kError, least > kProtocolVersion ? "min_supported_version" : "max_supported_version",
                "`min_supported_version` and `max_supported_version` must include 2, the one version of Stratum V2 there is");
  }
}

bool is_plain_text(std::string_view text) {
  return std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

void enable_iroh_for(const std::vector<config::DeclaringUpstream>& upstreams, Table& root, config::IrohSettings& iroh) {
  const auto over_iroh = [](const net::Peer& peer) { return std::holds_alternative<net::IrohConfig>(peer.transport); };
  const bool needed = std::ranges::any_of(
      upstreams, [&](const config::DeclaringUpstream& one) { return over_iroh(one.pool) || over_iroh(one.declarator); });
  if (!needed) return;
  if (root.has("iroh") && !iroh.enabled) {
    root.report(Severity::kError, "iroh",
                "[iroh] has `enabled = false`, and an upstream is reached over iroh: remove one of the two");
  }
  // Miners come over it only where [iroh] says so.
  if (!iroh.enabled) iroh.node.listens = false;
  iroh.enabled = true;
}

config::Loaded<JdClientConfig> read(config::Document document) {
  config::Loaded<JdClientConfig> loaded;
  JdClientConfig& out = loaded.config;
  if (!document.readable()) {
    loaded.findings = document.finish();
    return loaded;
  }
  Table root = document.root();
  out.work = config::read_source(root);
  read_payout(root, out);
  read_mode(root, out);
  read_versions(root);
  static_cast<config::ListenSettings&>(out) =
      config::read_listening(root, out.work, "this client to its miners",
                             "the IP address and port on which miners connect, such as \"0.0.0.0:34265\"", "listening_address");
  read_upstreams(root, out);
  enable_iroh_for(out.upstreams, root, out.iroh);
  out.selection = config::read_transport(root);
  out.data_dir = config::read_data_dir(root, "jd-client");
  out.monitoring = config::read_monitoring(root, out.data_dir);

  out.signature = root.text("jdc_signature").value_or("Adit");
  if (out.signature.size() > kMaxSignature || !is_plain_text(out.signature)) {
    root.report(Severity::kError, "jdc_signature", "`jdc_signature` must be at most 28 bytes without control characters");
  }
  out.rollable_extranonce_size =
      root.integer<unsigned>("reserved_downstream_rollable_extranonce_size", 4, channels::kRollableExtranonceSize).value_or(8);
  out.follow_pool_tip = root.boolean("follow_pool_tip").value_or(false);
  if (out.follow_pool_tip && out.mode == ConfigMode::kSolo) {
    root.report(Severity::kError, "follow_pool_tip",
                "`follow_pool_tip` beside mode \"SOLOMINING\": there is no pool in that mode; remove one of the two");
  }
  out.expected_hash_rate_hps = root.number("expected_hash_rate", 1, 1e24).value_or(1e12);
  out.shares_per_minute = static_cast<float>(root.number("shares_per_minute", 0.01, 6000).value_or(6));
  out.min_difficulty = root.number("min_difficulty", 1e-12, 0x1p64).value_or(channels::kDefaultMinDifficulty);
  out.share_batch_size = root.integer<std::uint32_t>("share_batch_size", 1, 10000).value_or(10);
  // 0 is the default, as in SRI.
  if (const auto jobs = root.integer<std::uint32_t>("max_past_jobs", 0, 1000); jobs && *jobs != 0) out.max_past_jobs = *jobs;
  out.supported_extensions = config::read_extensions(root, "supported_extensions", Severity::kNotYet);
  out.required_extensions = config::read_extensions(root, "required_extensions", Severity::kBlocker);
  // What is required of a peer is offered to it.
  for (const std::uint16_t extension : out.required_extensions) {
    if (std::ranges::find(out.supported_extensions, extension) == out.supported_extensions.end())
      out.supported_extensions.push_back(extension);
  }
  out.sv1_address = config::read_listen_address(root, "sv1_address");
  out.sv1 = root.boolean("sv1").value_or(false);
  if (out.sv1 && !out.listen_address) {
    root.report(Severity::kError, "sv1",
                "`sv1` is about `listening_address`, which is not there: give an `sv1_address` instead");
  }
  if (auto telemetry = root.table("miner_telemetry")) (void)telemetry->texts("cidrs");
  out.log_file = config::read_path(root, "log_file").value_or("");
  config::report_not_yet(root, kNotYet);
  loaded.findings = document.finish();
  return loaded;
}

}  // namespace

config::Loaded<JdClientConfig> load_config(const std::string& path, const config::Environment& environment) {
  return read(config::Document::open(path, "JDC", environment));
}

config::Loaded<JdClientConfig> parse_config(std::string_view toml, const std::string& name,
                                            const config::Environment& environment) {
  return read(config::Document::parse(toml, name, "JDC", environment));
}

Result<noise::AuthorityKeyPair> load_authority(const JdClientConfig& config) {
  return config::load_authority(config.authority, config.work.network);
}

Result<config::NodeKey> load_or_make_node_key(const JdClientConfig& config) {
  return config::take_or_make_node_key(config.iroh.secret_key_file, config.data_dir + "/node.key");
}

}  // namespace adit::jd_client
