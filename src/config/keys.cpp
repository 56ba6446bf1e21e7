#include "config/keys.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "base/hex.h"

namespace adit::config {
namespace {

constexpr std::size_t kMaxSecretBytes = 4096;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool ok() const { return fd_ >= 0; }

 private:
  int fd_;
};

// Text that is erased when it is no longer needed.
struct SecretText {
  std::string text;
  ~SecretText() { sodium_memzero(text.data(), text.size()); }
};

std::string system_words() { return std::generic_category().message(errno); }

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

Result<> write_secret_file(const std::string& path, std::string_view text, bool overwrite) {
  const std::filesystem::path target(path);
  const std::string folder = target.has_parent_path() ? target.parent_path().string() : ".";
  const auto unwritable = [&path] {
    return fail(KeyErrc::kUnwritable, "cannot write the key file " + path + ": " + system_words());
  };
  const auto exists = [&path] {
    return fail(KeyErrc::kExists,
                path + " exists already; --force replaces it (whoever knows the old key then no longer knows this one)");
  };
  if (struct stat info{}; !overwrite && ::lstat(path.c_str(), &info) == 0) return exists();

  std::string temporary = path + ".XXXXXX";
  const Descriptor file(::mkstemp(temporary.data()));  // Mode 0600.
  if (!file.ok()) return unwritable();
  const auto give_up = [&](auto failure) {
    ::unlink(temporary.c_str());
    return failure;
  };
  if (!write_all(file.get(), text) || ::fsync(file.get()) != 0) return give_up(unwritable());
  if (overwrite) {
    if (::rename(temporary.c_str(), path.c_str()) != 0) return give_up(unwritable());
  } else {
    // Unlike rename, link never replaces: two of us at once cannot lose a key.
    if (::link(temporary.c_str(), path.c_str()) != 0) return give_up(errno == EEXIST ? exists() : unwritable());
    ::unlink(temporary.c_str());
  }
  const Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.ok() || ::fsync(directory.get()) != 0) return unwritable();
  return {};
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

Result<std::string> read_secret_file(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.ok()) return fail(KeyErrc::kUnreadable, "cannot read " + path + ": " + system_words());
  struct stat info{};
  if (::fstat(file.get(), &info) != 0) return fail(KeyErrc::kUnreadable, "cannot read " + path + ": " + system_words());
  if (!S_ISREG(info.st_mode)) return fail(KeyErrc::kUnreadable, "cannot read " + path + ": it is not a regular file");
  if ((info.st_mode & 077) != 0) {
    char mode[8];
    std::snprintf(mode, sizeof mode, "%04o", static_cast<unsigned>(info.st_mode & 07777));
    return fail(KeyErrc::kTooOpen, path + " is open to others (mode " + mode + "): chmod 600 " + path);
  }
  std::string text(kMaxSecretBytes + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = ::read(file.get(), text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(KeyErrc::kUnreadable, "cannot read " + path + ": " + system_words());
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  if (size > kMaxSecretBytes) return fail(KeyErrc::kNoKey, path + " is larger than 4 KiB: it holds no key");
  text.resize(size);
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return fail(KeyErrc::kNoKey, path + " is empty");
  text.erase(text.find_last_not_of(" \t\r\n") + 1);
  text.erase(0, first);
  return text;
}

Result<noise::AuthorityKeyPair> read_authority_key(const std::string& path) {
  auto read = read_secret_file(path);
  if (!read) {
    return fail(
        read.error().is(KeyErrc::kUnreadable)
            ? Error(KeyErrc::kUnreadable, read.error().message() + "; `adit keys authority --out " + path + "` makes one")
            : read.error());
  }
  const SecretText text{std::move(*read)};
  auto secret = noise::parse_secret_key(text.text);
  if (!secret) return fail(KeyErrc::kNoKey, path + " holds no authority key: " + secret.error().message());
  auto pair = noise::AuthorityKeyPair::from_secret(std::move(*secret));
  if (!pair) return fail(KeyErrc::kNoKey, path + " holds no authority key: " + pair.error().message());
  return pair;
}

Result<noise::Secret> read_node_key(const std::string& path) {
  auto read = read_secret_file(path);
  if (!read) {
    return fail(read.error().is(KeyErrc::kUnreadable)
                    ? Error(KeyErrc::kUnreadable, read.error().message() + "; `adit keys node --out " + path + "` makes one")
                    : read.error());
  }
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
  if (!lock) return fail(KeyErrc::kUnreadable, "cannot lock " + path + ": " + std::generic_category().message(lock.error()));
  return NodeKey{std::move(secret), std::move(*lock)};
}

Result<> write_authority_key(const std::string& path, const noise::Secret& key, bool overwrite) {
  const SecretText text{noise::to_text(key) + "\n"};
  return write_secret_file(path, text.text, overwrite);
}

Result<> write_node_key(const std::string& path, const noise::Secret& key, bool overwrite) {
  const SecretText text{to_hex(key.bytes()) + "\n"};
  return write_secret_file(path, text.text, overwrite);
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
