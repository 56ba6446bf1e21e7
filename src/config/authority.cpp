#include "config/authority.h"

#include <string_view>
#include <utility>

#include "config/common.h"
#include "config/keys.h"

namespace adit::config {

bool may_use_example_key(std::optional<bitcoin::Network> network) {
  return !network || *network == bitcoin::Network::kRegtest || *network == bitcoin::Network::kSignet;
}

bool is_example_key(const noise::PublicKey& key) { return noise::to_text(key) == kExampleAuthority; }

AuthoritySettings read_authority(Table& root, std::optional<bitcoin::Network> network, std::string_view whom) {
  AuthoritySettings out;
  if (const auto text = root.text("authority_public_key")) {
    if (auto key = noise::parse_public_key(*text)) {
      out.public_key = *key;
    } else {
      root.report(Severity::kError, "authority_public_key", "`authority_public_key`: " + key.error().message());
    }
    if (*text == kExampleAuthority && network != bitcoin::Network::kRegtest) {
      root.report(
          may_use_example_key(network) ? Severity::kWarning : Severity::kBlocker, "authority_public_key",
          "these are SRI's published example keys: everybody has the secret one and can pose as you; make your own with "
          "`adit keys authority --out FILE` (they are taken on regtest only, and on a signet of your own)");
    }
  }
  const auto file = read_path(root, "authority_secret_key_file");
  const auto text = root.secret("authority_secret_key");
  if (file && root.has("authority_secret_key")) {
    root.report(Severity::kError, "authority_secret_key_file",
                "`authority_secret_key_file` and `authority_secret_key` are both given: remove the latter");
    return out;
  }
  if (file) {
    out.secret_key_file = *file;
    return out;
  }
  if (!root.has("authority_secret_key")) {
    root.require("authority_secret_key_file",
                 "the key that proves " + std::string(whom) + "; `adit keys authority --out FILE` makes one");
    return out;
  }
  if (!text) return out;
  auto secret = noise::parse_secret_key(*text);
  if (!secret) {
    root.report(Severity::kError, "authority_secret_key", "`authority_secret_key`: " + secret.error().message());
    return out;
  }
  root.report(Severity::kWarning, "authority_secret_key",
              "`authority_secret_key` is a secret in a configuration file: put it into a file of mode 0600 and name that by "
              "`authority_secret_key_file`");
  auto pair = noise::AuthorityKeyPair::from_secret(secret->copy());
  if (!pair) {
    root.report(Severity::kError, "authority_secret_key", "`authority_secret_key`: " + pair.error().message());
  } else if (out.public_key && *out.public_key != pair->public_key()) {
    root.report(Severity::kError, "authority_public_key", "`authority_public_key` does not belong to `authority_secret_key`");
  } else if (!out.public_key && is_example_key(pair->public_key()) && network != bitcoin::Network::kRegtest) {
    root.report(
        may_use_example_key(network) ? Severity::kWarning : Severity::kBlocker, "authority_secret_key",
        "this is SRI's published example key, which everybody has; make your own with `adit keys authority --out FILE`");
  }
  out.secret_key = std::move(*secret);
  return out;
}

Result<noise::AuthorityKeyPair> load_authority(const AuthoritySettings& settings, std::optional<bitcoin::Network> network) {
  auto pair = settings.secret_key ? noise::AuthorityKeyPair::from_secret(settings.secret_key->copy())
                                  : read_authority_key(settings.secret_key_file);
  if (!pair) return pair;
  const std::string holder = settings.secret_key ? "`authority_secret_key`" : settings.secret_key_file;
  if (settings.public_key && *settings.public_key != pair->public_key()) {
    return fail(KeyErrc::kNoKey, "`authority_public_key` (" + noise::to_text(*settings.public_key) +
                                     ") does not belong to the secret key in " + holder + ", whose public key is " +
                                     noise::to_text(pair->public_key()));
  }
  if (is_example_key(pair->public_key()) && !may_use_example_key(network)) {
    return fail(KeyErrc::kNoKey, holder +
                                     " holds SRI's published example key, which everybody has; make your own with "
                                     "`adit keys authority --out FILE`");
  }
  return pair;
}

}  // namespace adit::config
