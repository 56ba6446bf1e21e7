#include "config/keys.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "base/fd.h"
#include "base/file.h"
#include "base/hex.h"
#include "base/wiping.h"
#include "monitor/access.h"

namespace adit::config {
namespace {

constexpr std::size_t kMaxSecretBytes = 4096;
constexpr std::size_t kMinTokenSize = 16;  ///< Characters. What is shorter can be guessed.
constexpr std::size_t kTokenBytes = 16;    ///< Of a token that is made here.

// Text that is erased when it is no longer needed.
struct SecretText {
  std::string text;
  ~SecretText() { sodium_memzero(text.data(), text.size()); }
};

// Writes `secret` and a line feed.
Result<> write_secret_file(const std::string& path, std::string_view secret, bool overwrite) {
  WipedBytes text;
  text.reserve(secret.size() + 1);
  text.assign(secret.begin(), secret.end());
  text.push_back('\n');
  const auto exists = [&path] {
    return fail(KeyErrc::kExists,
                path + " exists already; --force replaces it (whoever knows the old key then no longer knows this one)");
  };
  if (struct stat info{}; !overwrite && ::lstat(path.c_str(), &info) == 0) return exists();
  const auto written = write_atomically(FileSystem::real(), path, as_text(text),
                                        overwrite ? AtomicFile::Replace::kYes : AtomicFile::Replace::kNo);
  if (written) return {};
  // Two of us at once cannot lose a key.
  if (written.error() == EEXIST) return exists();
  return fail(KeyErrc::kUnwritable, "the key file " + describe_file_error(path, "written", written.error()));
}

/// Adds how to make the file, if what is wrong is that there is none.
Error with_remedy(Error error, const std::string& path, const char* command) {
  struct stat info{};
  const bool missing = error.is(KeyErrc::kUnreadable) && ::stat(path.c_str(), &info) != 0 && errno == ENOENT;
  if (!missing) return error;
  return {KeyErrc::kUnreadable, error.message() + "; `" + command + " --out " + path + "` makes one"};
}

}  // namespace

std::string_view error_name(KeyErrc code) {
  switch (code) {
    case KeyErrc::kUnreadable:
      return "unreadable";
    case KeyErrc::kTooOpen:
      return "too-open";
    case KeyErrc::kNoKey:
      return "no-key";
    case KeyErrc::kExists:
      return "exists";
    case KeyErrc::kUnwritable:
      return "unwritable";
    case KeyErrc::kInUse:
      return "in-use";
  }
  return "unknown";
}

std::string credential_or(const std::string& path) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing in this program sets variables
  const char* const folder = std::getenv("CREDENTIALS_DIRECTORY");
  if (folder == nullptr || *folder == '\0') return path;
  std::string copy = std::string(folder) + "/adit_" + path.substr(path.rfind('/') + 1);
  return ::access(copy.c_str(), F_OK) == 0 ? copy : path;
}

Result<std::string> read_secret_file(const std::string& named) {
  const std::string path = credential_or(named);
  const auto unreadable = [&path](int error) { return fail(KeyErrc::kUnreadable, describe_file_error(path, "read", error)); };
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.ok()) return unreadable(errno);
  struct stat info{};
  if (::fstat(file.get(), &info) != 0) return unreadable(errno);
  if (!S_ISREG(info.st_mode)) return fail(KeyErrc::kUnreadable, path + " cannot be read: it is not a regular file");
  // Who may read a credential is systemd's to say, by an access list, which its mode shows as the group's right.
  const bool is_credential = path != named;
  if (!is_credential && (info.st_mode & 077) != 0) {
    char mode[8];
    std::snprintf(mode, sizeof mode, "%04o", static_cast<unsigned>(info.st_mode & 07777));
    return fail(KeyErrc::kTooOpen, path + " is open to others (mode " + mode + "): chmod 600 " + path);
  }
  WipedBytes text(kMaxSecretBytes + 1);
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = ::read(file.get(), text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return unreadable(errno);
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  if (size > kMaxSecretBytes) return fail(KeyErrc::kNoKey, path + " is larger than 4 KiB: it holds no key");
  std::string_view trimmed = as_text(Bytes(text).first(size));
  const auto first = trimmed.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return fail(KeyErrc::kNoKey, path + " is empty");
  trimmed = trimmed.substr(first, trimmed.find_last_not_of(" \t\r\n") + 1 - first);
  return std::string(trimmed);
}

Result<noise::AuthorityKeyPair> read_authority_key(const std::string& path) {
  auto read = read_secret_file(path);
  if (!read) return fail(with_remedy(std::move(read.error()), path, "adit keys authority"));
  const SecretText text{std::move(*read)};
  auto secret = noise::parse_secret_key(text.text);
  if (!secret) return fail(KeyErrc::kNoKey, path + " holds no authority key: " + secret.error().message());
  auto pair = noise::AuthorityKeyPair::from_secret(std::move(*secret));
  if (!pair) return fail(KeyErrc::kNoKey, path + " holds no authority key: " + pair.error().message());
  return pair;
}

Result<noise::Secret> read_node_key(const std::string& path) {
  auto read = read_secret_file(path);
  if (!read) return fail(with_remedy(std::move(read.error()), path, "adit keys node"));
  const SecretText text{std::move(*read)};
  noise::Secret secret;
  if (!from_hex(text.text, {secret.data(), noise::Secret::kSize})) {
    return fail(KeyErrc::kNoKey, path + " holds no node key: that is 64 hexadecimal digits");
  }
  return secret;
}

Result<NodeKey> take_node_key(const std::string& path) {
  auto lock = FileLock::take(path);
  if (!lock && lock.error() == EWOULDBLOCK) {
    return fail(KeyErrc::kInUse, "another process runs with the key in " + path +
                                     ": stop it, or give this one a key of its own (`adit keys node --out FILE`)");
  }
  // Reading says better than locking what else is wrong with the file.
  ADIT_TRY(auto secret, read_node_key(path));
  if (!lock) return fail(KeyErrc::kUnreadable, describe_file_error(path, "locked", lock.error()));
  return NodeKey{std::move(secret), std::move(*lock)};
}

Result<NodeKey> take_or_make_node_key(const std::string& named, const std::string& otherwise) {
  if (!named.empty()) return take_node_key(named);
  if (struct stat info{}; ::lstat(otherwise.c_str(), &info) != 0) {
    ADIT_CHECK(write_node_key(otherwise, generate_node_key(), false));
  }
  return take_node_key(otherwise);
}

Result<> write_authority_key(const std::string& path, const noise::Secret& key, bool overwrite) {
  const SecretText text{noise::to_text(key)};
  return write_secret_file(path, text.text, overwrite);
}

Result<> write_node_key(const std::string& path, const noise::Secret& key, bool overwrite) {
  const SecretText text{to_hex(key.bytes())};
  return write_secret_file(path, text.text, overwrite);
}

Result<Sha256Digest> read_token(const std::string& path) {
  auto read = read_secret_file(path);
  if (!read) return fail(with_remedy(std::move(read.error()), path, "adit keys token"));
  const SecretText text{std::move(*read)};
  const bool visible = std::ranges::all_of(text.text, [](char c) { return c > ' ' && c <= '~'; });
  if (!visible || text.text.size() < kMinTokenSize || text.text.size() > monitor::kMaxTokenSize) {
    return fail(KeyErrc::kNoKey,
                path +
                    " holds no token: that is 16 to 256 characters of ASCII without spaces; `adit keys token --force --out " +
                    path + "` makes one");
  }
  return sha256(as_bytes(text.text));
}

Result<> write_token(const std::string& path, bool overwrite) {
  WipedBytes bits(kTokenBytes);
  noise::system_random()(bits);
  const SecretText text{to_hex(bits)};
  return write_secret_file(path, text.text, overwrite);
}

Result<Sha256Digest> take_token(const std::string& path, bool make) {
  if (struct stat info{}; make && ::lstat(path.c_str(), &info) != 0) {
    const std::string folder = folder_of(path);
    if (const auto made = make_folders(FileSystem::real(), folder); !made)
      return fail(KeyErrc::kUnwritable,
                  "the folder of the monitor's token: " + describe_file_error(folder, "made", made.error()));
    // Another process may have been faster.
    if (auto written = write_token(path, false); !written && !written.error().is(KeyErrc::kExists))
      return fail(std::move(written.error()));
  }
  return read_token(path);
}

std::string endpoint_id(const noise::Secret& node_key) {
  std::array<std::uint8_t, crypto_sign_PUBLICKEYBYTES> public_key{};
  std::array<std::uint8_t, crypto_sign_SECRETKEYBYTES> expanded{};
  crypto_sign_seed_keypair(public_key.data(), expanded.data(), node_key.data());
  sodium_memzero(expanded.data(), expanded.size());
  return to_hex(public_key);
}

noise::Secret generate_node_key() {
  noise::Secret secret;
  noise::system_random()({secret.data(), noise::Secret::kSize});
  return secret;
}

}  // namespace adit::config
