// The messages of Stratum V1 as values. Hex is checked and turned into numbers while parsing, so that two spellings of one
// share are one share (the duplicate theft of NOMP#430 used the case of digits).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "bitcoin/hash.h"
#include "bitcoin/u256.h"
#include "sv1/error.h"

namespace adit::sv1 {

/// Version bits that a miner may roll: BIP320's 16 bits, which every ASIC firmware knows. SV2's own mask is wider (0x1fffffe0).
inline constexpr std::uint32_t kVersionRollingMask = 0x1fffe000;

/// The id of a request, kept as the JSON text that came (`7`, `"txlist7"`, `null`), because miners match it literally.
class Id {
 public:
  Id() : text_("null") {}
  explicit Id(std::uint64_t number) : text_(std::to_string(number)) {}
  /// `json` is a JSON number, string or null.
  static Id from_json(std::string json) {
    Id id;
    id.text_ = std::move(json);
    return id;
  }
  [[nodiscard]] const std::string& json() const { return text_; }
  bool operator==(const Id&) const = default;

 private:
  std::string text_;
};

/// Up to 32 bytes of extranonce, by value.
class Extranonce {
 public:
  Extranonce() = default;
  /// `bytes` of at most 32 bytes; what is longer is cut.
  explicit Extranonce(Bytes bytes) : size_(static_cast<std::uint8_t>(std::min<std::size_t>(bytes.size(), 32))) {
    std::copy_n(bytes.begin(), size_, bytes_.begin());
  }
  [[nodiscard]] Bytes bytes() const { return {bytes_.data(), size_}; }
  [[nodiscard]] std::size_t size() const { return size_; }
  bool operator==(const Extranonce& other) const { return std::ranges::equal(bytes(), other.bytes()); }

 private:
  std::array<std::uint8_t, 32> bytes_{};
  std::uint8_t size_ = 0;
};

// ---- What miners send. Texts are views into the parser, valid until it parses the next line.

/// mining.configure (BIP310). Extensions that we do not know are listed, to be answered with false; those whose options cannot
/// be read, to be answered with the reason. Neither takes another extension with it.
struct Configure {
  struct VersionRolling {
    std::uint32_t mask = 0xffffffff;  ///< BIP310: absent means all bits.
    std::uint32_t min_bit_count = 0;
  };
  std::optional<VersionRolling> version_rolling;
  std::optional<double> minimum_difficulty;
  bool subscribe_extranonce = false;
  bool info = false;
  std::vector<std::string_view> unknown;                           ///< At most 16.
  std::vector<std::pair<std::string_view, std::string>> unusable;  ///< Name and reason.
};
struct Subscribe {
  std::string_view user_agent;  ///< Empty if not given.
};
struct Authorize {
  std::string_view user;
  std::string_view password;
};
struct Submit {
  std::string_view user;
  std::string_view job_id;
  Extranonce extranonce2;
  std::uint32_t ntime = 0;
  std::uint32_t nonce = 0;  ///< Fewer than eight digits are taken: NerdMiner leaves leading zeros out (NerdMiner_v2#822).
  std::optional<std::uint32_t> version_bits;  ///< The sixth field (BIP310); unset if it is absent, null or an empty text.
};
struct ExtranonceSubscribe {};
struct SuggestDifficulty {
  double difficulty = 0;  ///< > 0 and finite.
};
struct SuggestTarget {
  bitcoin::U256 target;
};
struct Ping {};
struct GetVersion {};
struct MultiVersion {};
struct GetTransactions {};
struct UnknownMethod {
  std::string_view name;
};
/// A known method whose parameters cannot be read.
struct BadParameters {
  std::string_view method;
  std::string_view reason;  ///< Names the parameter and the form that it came in.
};

using Call = std::variant<Configure, Subscribe, Authorize, Submit, ExtranonceSubscribe, SuggestDifficulty, SuggestTarget, Ping,
                          GetVersion, MultiVersion, GetTransactions, UnknownMethod, BadParameters>;

struct Request {
  std::optional<Id> id;  ///< Absent or null: a notification, which is not answered.
  Call call;
};

// ---- What pools send.

/// One job. Hashes in internal byte order, whatever order SV1 has on the wire.
struct Notify {
  std::string job_id;
  bitcoin::Hash256 prev_hash{};
  std::vector<std::uint8_t> coinbase1;  ///< Up to extranonce1.
  std::vector<std::uint8_t> coinbase2;  ///< After extranonce2.
  std::vector<bitcoin::Hash256> merkle_path;
  std::uint32_t version = 0;
  std::uint32_t nbits = 0;
  std::uint32_t ntime = 0;
  bool clean_jobs = false;
  bool operator==(const Notify&) const = default;
};
struct SetDifficulty {
  double difficulty = 1;  ///< > 0 and finite.
};
struct SetVersionMask {
  std::uint32_t mask = 0;
};
struct SetExtranonce {
  Extranonce extranonce1;
  std::size_t extranonce2_size = 0;
};
struct Reconnect {
  std::string_view host;   ///< Empty: the same.
  std::uint16_t port = 0;  ///< 0: the same.
};

/// The `error` of an answer, `[code, text, traceback]`; also read from an object with `code` and `message`.
struct RpcError {
  int code = 20;
  std::string message;
};
struct SubscribeResult {
  Extranonce extranonce1;
  std::size_t extranonce2_size = 0;
};
struct ConfigureResult {
  std::optional<std::uint32_t> version_mask;  ///< Set if version rolling was granted.
};
/// The answer to a request. Which result it has is told by the request, matched by id.
struct Response {
  Id id;
  std::optional<RpcError> error;
  std::variant<std::monostate, bool, SubscribeResult, ConfigureResult> result;
};

/// What a client gets from a pool: an answer, one of the notifications, or something it does not know.
using FromServer = std::variant<Response, Notify, SetDifficulty, SetVersionMask, SetExtranonce, Reconnect, Request>;

}  // namespace adit::sv1
