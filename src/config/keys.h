// Secret keys as files: mode 0600, one line of text, written whole or not at all.
#pragma once

#include <string>
#include <string_view>

#include "base/file_lock.h"
#include "base/result.h"
#include "base/sha256.h"
#include "noise/keys.h"

namespace adit::config {

enum class KeyErrc {
  kUnreadable,  ///< The file cannot be read; the message has the system's words and how to make one.
  kTooOpen,     ///< Others than its owner may read or write it; the message has the chmod.
  kNoKey,       ///< What it holds is no key of that kind.
  kExists,      ///< A file is there already and overwriting was not asked for.
  kUnwritable,  ///< The file cannot be written.
  kInUse,       ///< Another process runs with it.
};
constexpr std::string_view error_layer(KeyErrc) { return "keys"; }
constexpr bool error_is_usage(KeyErrc) { return true; }
std::string_view error_name(KeyErrc code);

/// A pool authority's key: base58check of 32 bytes, as SRI writes it.
Result<noise::AuthorityKeyPair> read_authority_key(const std::string& path);

/// An iroh node's Ed25519 secret: 64 hexadecimal digits.
Result<noise::Secret> read_node_key(const std::string& path);

/// What an iroh endpoint runs with. Two that run with one key take each other's connections away, so the key's file is locked
/// for as long as this lives; a key that is in no file has none.
struct NodeKey {
  noise::Secret secret;
  FileLock lock;
};

/// Errors: those of read_node_key; kInUse.
Result<NodeKey> take_node_key(const std::string& path);

/// The node key of the file `named`, which must be there; if that is empty, of the file `otherwise`, which is made at the first
/// start. Errors: those of take_node_key and write_node_key.
Result<NodeKey> take_or_make_node_key(const std::string& named, const std::string& otherwise);

/// Writes beside `path`, syncs, renames, syncs the folder: after a crash the old file or the new one is there, whole.
/// Errors: kExists unless `overwrite`; kUnwritable.
Result<> write_authority_key(const std::string& path, const noise::Secret& key, bool overwrite);
Result<> write_node_key(const std::string& path, const noise::Secret& key, bool overwrite);

/// SHA-256 of a monitor's token, which is 16 to 256 visible ASCII characters: what monitor::Access compares. Errors: those of
/// read_secret_file; kNoKey.
Result<Sha256Digest> read_token(const std::string& path);

/// Makes a new token of 128 random bits. Errors: those of write_node_key.
Result<> write_token(const std::string& path, bool overwrite);

/// The token of `path`. If `make`, the file is made where it is missing, with its folders. Errors: those of read_token;
/// kUnwritable.
Result<Sha256Digest> take_token(const std::string& path, bool make);

/// The endpoint id (64 hexadecimal digits) that belongs to a node's secret: its Ed25519 public key.
std::string endpoint_id(const noise::Secret& node_key);

/// A new node secret.
noise::Secret generate_node_key();

/// Where the secret file `path` is to be read. A systemd unit that has `LoadCredential=adit:FOLDER` gives the role a copy of
/// each file of that folder, which only root may read, under $CREDENTIALS_DIRECTORY: the copy of the same name, if there is
/// one. Otherwise `path` itself.
std::string credential_or(const std::string& path);

/// Text of a secret file without the white space around it: of its credential, if there is one. Errors: kUnreadable, kTooOpen.
/// For passwords and tokens as well.
Result<std::string> read_secret_file(const std::string& path);

}  // namespace adit::config
