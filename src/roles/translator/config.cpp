#include "roles/translator/config.h"

#include <algorithm>
#include <variant>

#include "bitcoin/address.h"
#include "channels/payout.h"
#include "config/keys.h"

namespace adit::translator {
namespace {

using config::Severity;
using config::Table;

// Features of SRI's translator that are not here yet. A key leaves this list with the commit that brings its feature.
constexpr config::NotYet kNotYet[] = {
    {"max_past_jobs", "the number of past jobs kept for late shares cannot be set yet"},
    {"miner_telemetry", "the miners' own web interfaces are not queried yet"},
};

constexpr std::uint16_t kProtocolVersion = 2;

void read_versions(Table& root) {
  const auto least = root.integer<std::uint16_t>("min_supported_version").value_or(kProtocolVersion);
  const auto most = root.integer<std::uint16_t>("max_supported_version").value_or(kProtocolVersion);
  if (least > kProtocolVersion || most < kProtocolVersion) {
    root.report(Severity::kError, least > kProtocolVersion ? "min_supported_version" : "max_supported_version",
                "`min_supported_version` and `max_supported_version` must include 2, the one version of Stratum V2 there is");
  }
}

void read_difficulty(Table& root, TranslatorConfig& out) {
  if (!root.require("downstream_difficulty_config", "the table with min_individual_miner_hashrate and shares_per_minute"))
    return;
  auto table = root.table("downstream_difficulty_config");
  if (!table) return;
  table->require("min_individual_miner_hashrate", "hashes per second of the weakest miner, such as 1e12 for 1 TH/s");
  out.min_individual_miner_hashrate_hps = table->number("min_individual_miner_hashrate", 1e-3, 1e24).value_or(0);
  out.shares_per_minute = static_cast<float>(table->number("shares_per_minute", 0.01, 6000).value_or(6));
  out.enable_vardiff = table->boolean("enable_vardiff").value_or(true);
  out.job_keepalive_interval = std::chrono::seconds(table->integer<std::uint16_t>("job_keepalive_interval_secs").value_or(60));
}

config::Loaded<TranslatorConfig> read(config::Document document) {
  config::Loaded<TranslatorConfig> loaded;
  TranslatorConfig& out = loaded.config;
  if (!document.readable()) {
    loaded.findings = document.finish();
    return loaded;
  }
  Table root = document.root();
  // SRI has two keys where a listener has one address.
  root.require("downstream_address", "the IP address on which Stratum V1 miners connect, such as \"0.0.0.0\"");
  root.require("downstream_port", "the port on which Stratum V1 miners connect, such as 34255");
  out.downstream.host = root.text("downstream_address").value_or("");
  out.downstream.port = root.integer<std::uint16_t>("downstream_port").value_or(0);
  out.trusted_proxies = config::read_trusted_proxies(root);
  read_versions(root);
  out.downstream_extranonce2_size = root.integer<std::uint8_t>("downstream_extranonce2_size", 2, 16).value_or(4);
  out.verify_payout = root.boolean("verify_payout").value_or(false);
  out.aggregate_channels = root.boolean("aggregate_channels").value_or(false);
  out.supported_extensions = config::read_extensions(root, "supported_extensions", Severity::kNotYet);
  out.required_extensions = config::read_extensions(root, "required_extensions", Severity::kBlocker);
  (void)root.integer<std::uint32_t>("max_past_jobs", 0, 1000);
  if (auto telemetry = root.table("miner_telemetry")) (void)telemetry->texts("cidrs");
  read_difficulty(root, out);

  out.data_dir = config::find_data_dir(root, "translator");
  out.monitoring = config::read_monitoring(root, out.data_dir);
  out.miner_work_timeout =
      std::chrono::seconds(root.integer<std::uint32_t>("miner_work_timeout_secs", 10, 86'400).value_or(180));
  out.threads = root.integer<unsigned>("threads", 0, 256).value_or(0);
  out.log_file = config::read_path(root, "log_file").value_or("");

  if (root.require("upstreams",
                   "at least one pool: [[upstreams]] with `url` (or address, port, authority_pubkey) and user_identity")) {
    out.upstreams = config::read_upstreams(root);
    if (!root.has_something("upstreams"))
      root.report(Severity::kError, "upstreams", "`upstreams` is empty: at least one pool is needed");
  }
  for (const config::UpstreamSettings& upstream : out.upstreams) {
    const std::string name = upstream.user_identity.substr(0, upstream.user_identity.find('.'));
    if (bitcoin::looks_like_address(name) && !channels::script_of_any_network(name)) {
      root.report(Severity::kError, "upstreams",
                  "`user_identity` \"" + upstream.user_identity + "\": the address is mistyped, its checksum does not fit");
    }
    if (!out.verify_payout) continue;
    if (const auto payout = channels::payout_of(upstream.user_identity); !payout)
      root.report(Severity::kError, "verify_payout", "`verify_payout`: " + payout.error().message());
  }
  out.health = config::read_health(root);
  out.admission = config::read_admission(root, std::chrono::seconds(90));
  out.selection = config::read_transport(root);
  out.iroh = config::read_iroh(root, false);
  const auto over_iroh = [](const config::UpstreamSettings& upstream) {
    return std::holds_alternative<net::IrohConfig>(upstream.peer.transport);
  };
  if (std::ranges::any_of(out.upstreams, over_iroh)) {
    if (root.has("iroh") && !out.iroh.enabled) {
      root.report(Severity::kError, "iroh",
                  "[iroh] has `enabled = false`, and an upstream is reached over iroh: remove one of the two");
    }
    out.iroh.enabled = true;
  }
  config::report_not_yet(root, kNotYet);
  loaded.findings = document.finish();
  return loaded;
}

}  // namespace

config::Loaded<TranslatorConfig> load_config(const std::string& path, const config::Environment& environment) {
  return read(config::Document::open(path, "TPROXY", environment));
}

config::Loaded<TranslatorConfig> parse_config(std::string_view toml, const std::string& name,
                                              const config::Environment& environment) {
  return read(config::Document::parse(toml, name, "TPROXY", environment));
}

Result<config::NodeKey> load_or_make_node_key(const TranslatorConfig& config) {
  if (!config.iroh.secret_key_file.empty()) return config::take_node_key(config.iroh.secret_key_file);
  return config::NodeKey{config::generate_node_key(), {}};
}

}  // namespace adit::translator
