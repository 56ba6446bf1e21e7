// Configuration files and environment variables of anybody: composed of the keys that the roles know with values that may or
// may not suit them (random bytes die in the first line), or given as they are. Whatever comes: the same twice, findings that a
// log can hold, no secret among them, and no configuration that may start and breaks what its role relies on.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/require_testing.h"
#include "input.h"
#include "roles/pool/config.h"
#include "roles/template/config.h"
#include "roles/translator/config.h"

namespace {

using namespace adit;
using fuzz::Input;

constexpr std::string_view kSecret = "dontTELLthis";

// Each may stand behind any key of kKeys.
constexpr std::string_view kValues[] = {"0",
                                        "1",
                                        "2",
                                        "16",
                                        "255",
                                        "256",
                                        "65535",
                                        "65536",
                                        "-1",
                                        "4294967296",
                                        "9223372036854775807",
                                        "9223372036854775808",
                                        "0.5",
                                        "1e9",
                                        "-0.0",
                                        "nan",
                                        "inf",
                                        "1e400",
                                        "true",
                                        "false",
                                        "\"\"",
                                        "\"x\"",
                                        "'a.b'",
                                        "\"0.0.0.0:3333\"",
                                        "\"[::1]:0\"",
                                        "\"127.0.0.1:70000\"",
                                        "\"addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080)\"",
                                        "\"raw(51)\"",
                                        "\"addr()\"",
                                        "\"regtest\"",
                                        "\"mainnet\"",
                                        "\"207fffff\"",
                                        "\"http://127.0.0.1:18443\"",
                                        "\"http://u@h/\"",
                                        "\"9auqWEzQDVyd2oe1JVGFLMLHZtCo2FFqZwtKA5gd9xbuEu7PH72\"",
                                        "\"mkDLTBBRxdBv998612qipDYoTK3YUrqLe8uWw7gu3iXbSrn2n\"",
                                        "\"dontTELLthis\"",
                                        "\"\\u001b[31m\"",
                                        "\"\\n\"",
                                        "[]",
                                        "[1, 2]",
                                        "[0x0002]",
                                        "[1, \"a\"]",
                                        "[[1]]",
                                        "{}",
                                        "{ a = 1 }",
                                        "1979-05-27T07:32:00Z",
                                        "\"/nowhere/at/all\"",
                                        "\"stratum2+tcp://h:1/9auqWEzQDVyd2oe1JVGFLMLHZtCo2FFqZwtKA5gd9xbuEu7PH72\"",
                                        "\"stratum2+iroh://aaaa\"",
                                        "\"iroh\"",
                                        "\"tcp\"",
                                        "0b11",
                                        "+1_000",
                                        "\"\"\"long\"\"\"",
                                        "\"unclosed",
                                        "=",
                                        ""};

constexpr std::string_view kKeys[] = {"listen_address",
                                      "coinbase_reward_script",
                                      "authority_public_key",
                                      "authority_secret_key",
                                      "authority_secret_key_file",
                                      "cert_validity_sec",
                                      "pool_signature",
                                      "shares_per_minute",
                                      "share_batch_size",
                                      "server_id",
                                      "max_past_jobs",
                                      "threads",
                                      "data_dir",
                                      "log_file",
                                      "supported_extensions",
                                      "required_extensions",
                                      "monitoring_address",
                                      "monitoring_cache_refresh_secs",
                                      "monitoring_hosts",
                                      "monitoring_token_file",
                                      "trusted_proxies",
                                      "network",
                                      "url",
                                      "user",
                                      "password",
                                      "password_file",
                                      "cookie_file",
                                      "interval",
                                      "nbits",
                                      "version",
                                      "address",
                                      "port",
                                      "authority_pubkey",
                                      "user_identity",
                                      "downstream_address",
                                      "downstream_port",
                                      "max_supported_version",
                                      "min_supported_version",
                                      "downstream_extranonce2_size",
                                      "verify_payout",
                                      "aggregate_channels",
                                      "min_individual_miner_hashrate",
                                      "enable_vardiff",
                                      "job_keepalive_interval_secs",
                                      "enabled",
                                      "relay_url",
                                      "relay_mode",
                                      "external_addrs",
                                      "stun_servers",
                                      "secret_key_file",
                                      "transport",
                                      "unknown_key",
                                      "\"quoted key\"",
                                      "a.b.c",
                                      ""};

constexpr std::string_view kTables[] = {"[template_provider_type.Embedded]",
                                        "[template_provider_type.BitcoinRpc]",
                                        "[template_provider_type.Sv2Tp]",
                                        "[template_provider_type.BitcoinCoreIpc]",
                                        "[template_provider_type]",
                                        "[jds]",
                                        "[iroh]",
                                        "[[upstreams]]",
                                        "[upstreams]",
                                        "[downstream_difficulty_config]",
                                        "[miner_telemetry]",
                                        "[[iroh.relay_servers]]",
                                        "[nothing]",
                                        "[",
                                        "[[a]",
                                        "[a.b",
                                        "# comment"};

// A pool and a translator that may start: what is composed comes before or behind one of them, or alone.
constexpr std::string_view kPool =
    "listen_address = \"127.0.0.1:0\"\ncoinbase_reward_script = \"raw(51)\"\nauthority_secret_key_file = \"/k\"\n";
constexpr std::string_view kPoolSource = "[template_provider_type.Embedded]\n";
constexpr std::string_view kTranslator =
    "downstream_address = \"127.0.0.1\"\ndownstream_port = 0\ndownstream_extranonce2_size = 4\nverify_payout = "
    "false\naggregate_channels = "
    "false\n[downstream_difficulty_config]\nmin_individual_miner_hashrate = 1e9\nshares_per_minute = 6.0\nenable_vardiff = "
    "true\njob_keepalive_interval_secs = 60\n[[upstreams]]\naddress = \"127.0.0.1\"\nport = 3333\nauthority_pubkey = "
    "\"9auqWEzQDVyd2oe1JVGFLMLHZtCo2FFqZwtKA5gd9xbuEu7PH72\"\nuser_identity = \"u\"\n";

std::string compose(Input& in, bool pool, config::Environment& environment) {
  const std::uint8_t base = in.next();
  std::string text;
  if (base % 4 == 1) text += pool ? kPool : kTranslator;
  while (!in.empty()) {
    switch (const std::uint8_t what = in.next(); what % 8) {
      case 0:
        text += in.one_of(kTables);
        text += '\n';
        break;
      case 1: {
        // SERVER_ID, with __ for a dot.
        std::string name = pool ? "POOL__" : "TPROXY__";
        for (const char c : in.one_of(kKeys)) {
          if (c == '.')
            name += "__";
          else
            name += static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
        }
        environment.emplace_back(std::move(name), std::string(in.one_of(kValues)));
        break;
      }
      case 2:
        text += static_cast<char>(in.next());
        break;
      default:
        text += in.one_of(kKeys);
        text += " = ";
        text += in.one_of(kValues);
        text += '\n';
    }
  }
  if (base % 4 == 2) text = (pool ? std::string(kPool) + text + std::string(kPoolSource) : text + std::string(kTranslator));
  if (base % 4 == 3) text = (pool ? text + std::string(kPool) + std::string(kPoolSource) : text);
  return text;
}

void check_findings(const std::vector<config::Finding>& findings, std::string_view text) {
  const auto lines = std::ranges::count(text, '\n') + 1;
  for (const auto& finding : findings) {
    const std::string told = finding.text();
    const bool of_file = finding.where.starts_with("f:");  // Variables are sorted behind all lines.
    require(!finding.message.empty() && finding.line >= 0 && (!of_file || finding.line <= lines));
    require(std::ranges::none_of(told, [](char c) { return static_cast<unsigned char>(c) < 0x20; }));
  }
}

bool same(const std::vector<config::Finding>& left, const std::vector<config::Finding>& right) {
  return std::ranges::equal(left, right,
                            [](const auto& a, const auto& b) { return a.text() == b.text() && a.severity == b.severity; });
}

void check_listening(const config::ListenSettings& settings, const config::TemplateSource& source) {
  require(settings.cert_validity >= std::chrono::seconds(60));
  require(settings.authority.secret_key.has_value() || !settings.authority.secret_key_file.empty());
  require(settings.listen_address.has_value() || settings.iroh.enabled);
  require(settings.listen_address.has_value() || settings.trusted_proxies.empty());
  for (const auto& node : config::nodes_of(source)) {
    const auto* provider = std::get_if<config::Sv2TpNode>(&node);
    const bool over_iroh = provider != nullptr && std::holds_alternative<net::IrohConfig>(provider->provider.transport);
    require(!over_iroh || settings.iroh.enabled);
  }
}

void check_provider(const std::string& text, const config::Environment& environment) {
  const auto loaded = provider::parse_config(text, "f", environment);
  check_findings(loaded.findings, text);
  require(same(loaded.findings, provider::parse_config(text, "f", environment).findings));
  if (!loaded.may_start()) return;
  check_listening(loaded.config, loaded.config.work.source);
  require(loaded.config.max_constraint_classes >= 1 && loaded.config.threads <= 256 && !loaded.config.data_dir.empty());
}

void check_pool(const std::string& text, const config::Environment& environment) {
  const auto loaded = pool::parse_config(text, "f", environment);
  check_findings(loaded.findings, text);
  require(same(loaded.findings, pool::parse_config(text, "f", environment).findings));
  if (!loaded.may_start()) return;
  const auto& config = loaded.config;
  require(config.shares_per_minute > 0 && config.share_batch_size >= 1 && config.max_past_jobs >= 1 && config.threads <= 256);
  require(!config.payout_script.empty() && config.pool_signature.size() <= 40);
  require(config.solo_fee_percent <= channels::kMostFeePercent && (config.solo || config.solo_fee_percent == 0));
  check_listening(config, config.source);
  for (const auto extension : config.required_extensions) {
    require(std::ranges::find(config.supported_extensions, extension) != config.supported_extensions.end());
  }
}

void check_translator(const std::string& text, const config::Environment& environment) {
  const auto loaded = translator::parse_config(text, "f", environment);
  check_findings(loaded.findings, text);
  require(same(loaded.findings, translator::parse_config(text, "f", environment).findings));
  if (!loaded.may_start()) return;
  const auto& config = loaded.config;
  require(!config.upstreams.empty() && config.downstream_extranonce2_size >= 2 && config.downstream_extranonce2_size <= 16);
  require(config.shares_per_minute > 0 && config.min_individual_miner_hashrate_hps > 0 && config.threads <= 256);
  require(config.job_keepalive_interval.count() >= 0);
}

/// A secret key that cannot be read is told without being shown.
void check_secret(Input in) {
  std::string text =
      std::string(kPool.substr(0, kPool.find("authority_secret"))) + "authority_secret_key = \"" + std::string(kSecret);
  while (!in.empty()) {
    const std::uint8_t byte = in.next();
    if (byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\') text += static_cast<char>(byte);
  }
  text += "\"\n" + std::string(kPoolSource);
  for (const auto& finding : pool::parse_config(text, "f", {}).findings) {
    require(finding.text().find(kSecret) == std::string::npos);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in{Bytes(data, size)};
  const std::uint8_t mode = in.next();
  const bool pool = (mode & 1) != 0;
  if (mode % 16 >= 14) {
    check_secret(in);
    return 0;
  }
  config::Environment environment;
  const std::string text = mode % 16 >= 10 ? std::string(as_text(in.take(size))) : compose(in, pool, environment);
  if (pool) {
    check_pool(text, environment);
    check_provider(text, environment);  // Its keys are a pool's, but for few.
  } else {
    check_translator(text, environment);
  }
  return 0;
}
