#include "declaration/sealed_token.h"

#include <sodium.h>

#include <algorithm>
#include <span>

#include "base/bytes.h"
#include "channels/extranonce.h"

namespace adit::declaration {
namespace {

constexpr std::uint8_t kDeclared = 1;
constexpr std::uint8_t kUserAlone = 2;
constexpr std::size_t kHeadSize = TokenSeal::kSize - crypto_auth_hmacsha256_BYTES;
static_assert(crypto_auth_hmacsha256_BYTES == 32);

/// What SetCustomMiningJob says of a declared job, as it stands in the message or in what was declared.
struct Fields {
  std::uint32_t version;
  bitcoin::Hash256 prev_hash;
  std::uint32_t nbits;
  std::uint32_t coinbase_version;
  Bytes coinbase_prefix;
  std::size_t extranonce_size;
  std::uint32_t sequence;
  Bytes outputs;
  std::uint32_t locktime;
  std::vector<bitcoin::Hash256> merkle_path;
};

/// Each field has its length or is of a fixed one, so no two of them run into each other.
class Code {
 public:
  explicit Code(const TokenSeal::Key& key) { crypto_auth_hmacsha256_init(&state_, key.data(), key.size()); }

  void add(Bytes bytes) {
    number(bytes.size());
    fixed(bytes);
  }
  void number(std::uint64_t value) {
    std::array<std::uint8_t, 8> bytes{};
    store_le(bytes.data(), value);
    fixed(bytes);
  }
  void fixed(Bytes bytes) { crypto_auth_hmacsha256_update(&state_, bytes.data(), bytes.size()); }
  void add(const Fields& fields) {
    number(fields.version);
    fixed(fields.prev_hash);
    number(fields.nbits);
    number(fields.coinbase_version);
    add(fields.coinbase_prefix);
    number(fields.extranonce_size);
    number(fields.sequence);
    add(fields.outputs);
    number(fields.locktime);
    number(fields.merkle_path.size());
    for (const bitcoin::Hash256& hash : fields.merkle_path) fixed(hash);
  }

  std::array<std::uint8_t, crypto_auth_hmacsha256_BYTES> finish() {
    std::array<std::uint8_t, crypto_auth_hmacsha256_BYTES> out{};
    crypto_auth_hmacsha256_final(&state_, out.data());
    return out;
  }

 private:
  crypto_auth_hmacsha256_state state_{};
};

}  // namespace

TokenSeal::~TokenSeal() { sodium_memzero(key_.data(), key_.size()); }

std::vector<std::uint8_t> TokenSeal::seal(const DeclaredJob& job, UnixTime expires) const {
  std::vector<std::uint8_t> token(kHeadSize);
  token[0] = job.work != nullptr ? kDeclared : kUserAlone;
  store_le(token.data() + 1, static_cast<std::uint64_t>(expires.time_since_epoch().count()));
  std::ranges::copy(job.token, token.begin() + 1 + 8);
  Code code(key_);
  code.fixed(token);
  code.add(as_bytes(job.user));
  if (job.work != nullptr) {
    const DeclaredTemplate& work = *job.work;
    const auto outputs = counted_outputs(work.coinbase_outputs);
    code.add(Fields{.version = work.version,
                    .prev_hash = work.prev_hash,
                    .nbits = work.nbits,
                    .coinbase_version = work.coinbase_version,
                    .coinbase_prefix = Bytes(work.coinbase_script_prefix),
                    .extranonce_size = work.extranonce_size,
                    .sequence = work.coinbase_sequence,
                    .outputs = Bytes(outputs),
                    .locktime = work.coinbase_locktime,
                    .merkle_path = work.merkle_path});
  }
  const auto mac = code.finish();
  token.insert(token.end(), mac.begin(), mac.end());
  return token;
}

std::optional<TokenSeal::Opened> TokenSeal::open(std::string_view user, const wire::SetCustomMiningJob& message) const {
  const Bytes token = message.mining_job_token.bytes();
  if (token.size() != kSize) return std::nullopt;
  const std::uint8_t kind = token[0];
  if (kind != kDeclared && kind != kUserAlone) return std::nullopt;
  Code code(key_);
  code.fixed(token.first(kHeadSize));
  code.add(as_bytes(user));
  if (kind == kDeclared) {
    code.add(Fields{.version = message.version,
                    .prev_hash = message.prev_hash,
                    .nbits = message.nbits,
                    .coinbase_version = message.coinbase_tx_version,
                    .coinbase_prefix = message.coinbase_prefix.bytes(),
                    .extranonce_size = channels::kFullExtranonceSize,
                    .sequence = message.coinbase_tx_input_n_sequence,
                    .outputs = message.coinbase_tx_outputs.bytes(),
                    .locktime = message.coinbase_tx_locktime,
                    .merkle_path = {message.merkle_path.begin(), message.merkle_path.end()}});
  }
  const auto mac = code.finish();
  if (sodium_memcmp(mac.data(), token.data() + kHeadSize, mac.size()) != 0) return std::nullopt;
  Opened opened;
  opened.expires = UnixTime{std::chrono::seconds{static_cast<std::int64_t>(load_le<std::uint64_t>(token.data() + 1))}};
  std::ranges::copy(token.subspan(1 + 8, opened.id.size()), opened.id.begin());
  return opened;
}

}  // namespace adit::declaration
