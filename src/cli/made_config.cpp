#include "cli/made_config.h"

#include <variant>

#include "config/document.h"
#include "config/source.h"
#include "upstream/url.h"

namespace adit::cli {

using config::toml_text;

std::string_view error_name(MakeErrc code) { return code == MakeErrc::kMissing ? "missing" : "wrong"; }

Result<std::vector<bitcoin::Network>> networks_of(const std::string& address) {
  using enum bitcoin::Network;
  std::vector<bitcoin::Network> networks;
  std::optional<Error> wrong;
  for (const bitcoin::Network network : {kMainnet, kTestnet4, kSignet, kRegtest}) {
    const auto script = bitcoin::script_from_address(address, network);
    if (script) {
      networks.push_back(network);
    } else if (!wrong || wrong->is(bitcoin::Errc::kWrongNetwork)) {
      wrong = script.error();
    }
  }
  if (networks.empty()) return std::unexpected(*wrong);
  return networks;
}

std::string source_toml(const FoundNode& node) {
  const std::string network = "network = " + toml_text(bitcoin::network_name(node.network)) + "\n";
  if (!node.socket.empty())
    return "[template_provider_type.BitcoinCoreIpc]\n" + network + "socket = " + toml_text(node.socket) + "\n";
  return "[template_provider_type.BitcoinRpc]\n" + network + "url = " + toml_text(node_text(node)) +
         "\ncookie_file = " + toml_text(node.cookie_file) + "\n";
}

std::string node_text(const FoundNode& node) {
  return node.socket.empty() ? "http://127.0.0.1:" + std::to_string(node.rpc_port) : "unix:" + node.socket;
}

Result<std::string> source_toml(const std::string& node, bitcoin::Network network) {
  constexpr std::string_view kSocket = "unix:";
  const std::string line = "network = " + toml_text(bitcoin::network_name(network)) + "\n";
  if (node == "embedded") return "[template_provider_type.Embedded]\n";
  if (node.starts_with(kSocket))
    return "[template_provider_type.BitcoinCoreIpc]\n" + line + "socket = " + toml_text(node.substr(kSocket.size())) + "\n";
  const std::string scheme = upstream::scheme_of(node);
  if (scheme == "http") return "[template_provider_type.BitcoinRpc]\n" + line + "url = " + toml_text(node) + "\n";
  if (scheme.starts_with("stratum2")) return "[template_provider_type.Sv2Tp]\n" + line + "address = " + toml_text(node) + "\n";
  return fail(MakeErrc::kWrong,
              "a node is embedded, unix:PATH of its IPC socket, http://HOST:PORT of its JSON-RPC, or the "
              "stratum2+ URL of a template provider, not \"" +
                  node + "\"");
}

Result<> check_hash_rate(const std::string& text) {
  // These characters cannot end a line, nor begin a text, a list or a comment.
  if (text.find_first_not_of("0123456789_.+-eE") == std::string::npos) {
    auto document = config::Document::parse("rate = " + text, "", "ADIT_INIT", {});
    if (document.readable() && document.root().number("rate", 1e-3, 1e24)) return {};
  }
  return fail(MakeErrc::kWrong, "--hash-rate is a number of hashes per second, as 1e12 or 10_000.0, not \"" + text + "\"");
}

Result<std::string> translator_toml(const TranslatorAnswers& answers) {
  std::string relay;
  if (const auto peer = upstream::parse_url(answers.url); peer) {
    if (const auto* const iroh = std::get_if<net::IrohConfig>(&peer->transport)) relay = iroh->relay_url.value_or("");
  }
  const auto listen = upstream::parse_host_port(answers.listen);
  if (!listen) return fail(MakeErrc::kWrong, listen.error().message());
  return "downstream_address = " + toml_text(listen->host) + "\ndownstream_port = " + std::to_string(listen->port) +
         "\nmonitoring_address = " + toml_text(answers.monitoring) +
         "\n[downstream_difficulty_config]\nmin_individual_miner_hashrate = " + answers.hash_rate +
         "  # the first shares tell how much more it is\n[[upstreams]]\nurl = " + toml_text(answers.url) +
         "\nuser_identity = " + toml_text(answers.user) + "\n" +
         (relay.empty() ? "" : "[iroh]\nrelay = " + toml_text(relay) + "\n");
}

Result<std::string> iroh_toml(const std::string& relay) {
  if (relay == "off") return "";
  const std::string scheme = upstream::scheme_of(relay);
  if (relay != "none" && relay != "n0" && scheme != "https" && scheme != "http")
    return fail(MakeErrc::kWrong, "a relay is off, none, n0 or an https:// URL, not \"" + relay + "\"");
  return "[iroh]\nrelay = " + toml_text(relay) + "\n";
}

}  // namespace adit::cli
