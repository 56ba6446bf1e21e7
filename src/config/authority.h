// The key pair that proves a role to those who connect to it: SRI's keys of the configuration, and the file that may hold it.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "bitcoin/address.h"
#include "config/document.h"
#include "noise/keys.h"

namespace adit::config {

/// authority_public_key, authority_secret_key and authority_secret_key_file.
struct AuthoritySettings {
  std::optional<noise::PublicKey> public_key;  ///< Absent: whatever belongs to the secret key.
  std::string secret_key_file;                 ///< Empty if the key stands in the configuration.
  std::optional<noise::Secret> secret_key;     ///< Inline, as SRI has it.
};

/// Whether SRI's published example key, whose secret everybody has, may prove a role on that network: on regtest; and, with a
/// warning, on a signet and where the source of work does not name its network, because the work says then whether the chain is
/// worth anything (mining/example_key.h).
bool may_use_example_key(std::optional<bitcoin::Network> network);
/// Whether it is that one.
bool is_example_key(const noise::PublicKey& key);

/// Reads them of `root`. `whom` ends "the key that proves ...".
AuthoritySettings read_authority(Table& root, std::optional<bitcoin::Network> network, std::string_view whom);

/// The key pair that signs certificates, from the configuration or the file it names.
/// Errors: those of read_authority_key; noise's kBadKey; KeyErrc::kNoKey if the public key is not the secret's, or if it is
/// SRI's example key and may not be used.
Result<noise::AuthorityKeyPair> load_authority(const AuthoritySettings& settings, std::optional<bitcoin::Network> network);

}  // namespace adit::config
