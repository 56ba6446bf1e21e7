#include "sv1/parse.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <expected>
#include <utility>

#include <boost/json.hpp>

#include "base/hex.h"
#include "base/number.h"

namespace adit::sv1 {

namespace json = boost::json;

namespace {

constexpr std::size_t kMaxIdText = 128;
constexpr std::size_t kMaxName = 512;
constexpr std::size_t kMaxExtensions = 16;
constexpr std::size_t kMaxMerklePath = 32;

std::string_view view(const json::string& text) { return {text.data(), text.size()}; }

// ---- Forms. A parameter is taken in every form that has one meaning: hex with or without 0x, a number as a number or as text
// in the base that its writers use, a name as text or as a whole number.

/// What `value` is, for an error: `"xyz"`, `a list`, `missing` if there is none.
std::string form_of(const json::value* value) {
  constexpr std::size_t kShown = 24;
  if (value == nullptr) return "missing";
  switch (value->kind()) {
    case json::kind::null:
      return "null";
    case json::kind::bool_:
      return value->get_bool() ? "true" : "false";
    case json::kind::int64:
      return "the number " + std::to_string(value->get_int64());
    case json::kind::uint64:
      return "the number " + std::to_string(value->get_uint64());
    case json::kind::double_: {
      std::array<char, 32> text{};
      return "the number " +
             std::string(text.data(), std::to_chars(text.data(), text.data() + text.size(), value->get_double()).ptr);
    }
    case json::kind::array:
      return "a list";
    case json::kind::object:
      return "an object";
    case json::kind::string:
      break;
  }
  const std::string_view text = view(value->get_string());
  if (text.empty()) return "an empty text";
  const auto is_plain = [](char c) { return c >= 0x20 && c < 0x7f; };
  if (!std::ranges::all_of(text, is_plain))
    return "a text of " + std::to_string(text.size()) + " bytes, not all of them printable";
  std::string form = "\"" + std::string(text.substr(0, kShown)) + "\"";
  if (text.size() > kShown) form += " and " + std::to_string(text.size() - kShown) + " characters more";
  return form;
}

bool is_nothing(const json::value* value) {
  return value == nullptr || value->is_null() || (value->is_string() && value->get_string().empty());
}

/// A finite number, written as such in whatever way or as decimal text.
std::optional<double> number_of(const json::value* value) {
  double number = 0;
  if (value == nullptr) return std::nullopt;
  if (const auto* d = value->if_double()) {
    number = *d;
  } else if (const auto* i = value->if_int64()) {
    number = static_cast<double>(*i);
  } else if (const auto* u = value->if_uint64()) {
    number = static_cast<double>(*u);
  } else if (const auto* text = value->if_string()) {
    const auto parsed = number_from<double>(*text);
    if (!parsed) return std::nullopt;
    number = *parsed;
  } else {
    return std::nullopt;
  }
  if (!std::isfinite(number)) return std::nullopt;
  return number;
}

std::optional<double> positive_number_of(const json::value* value) {
  const auto number = number_of(value);
  return number && *number > 0 ? number : std::nullopt;
}

std::optional<std::uint32_t> small_unsigned_of(const json::value* value, std::uint32_t max) {
  const auto number = number_of(value);
  if (!number || *number < 0 || *number > max || *number != std::floor(*number)) return std::nullopt;
  return static_cast<std::uint32_t>(*number);
}

/// The digits of a text of hex, without the 0x that some write before it.
std::optional<std::string_view> hex_digits_of(const json::value* value) {
  const auto* text = value == nullptr ? nullptr : value->if_string();
  if (text == nullptr) return std::nullopt;
  std::string_view digits = view(*text);
  if (digits.starts_with("0x") || digits.starts_with("0X")) digits.remove_prefix(2);
  return digits;
}

/// 32 bits: hex of `least` to 8 digits, most significant first, or a whole number. Leading zeros may be absent where `least` is
/// 1 (BIP310 of masks; NerdMiner's nonces).
std::optional<std::uint32_t> u32_of(const json::value* value, std::size_t least = 1) {
  const auto digits = hex_digits_of(value);
  if (!digits) return value != nullptr && value->is_number() ? small_unsigned_of(value, UINT32_MAX) : std::nullopt;
  if (digits->size() < least || digits->size() > 8) return std::nullopt;
  return number_from<std::uint32_t>(*digits, 16);
}

std::optional<Extranonce> extranonce_of(const json::value* value) {
  const auto digits = hex_digits_of(value);
  if (!digits || digits->size() % 2 != 0 || digits->size() > 64) return std::nullopt;
  std::array<std::uint8_t, 32> bytes{};
  const MutableBytes used(bytes.data(), digits->size() / 2);
  if (!from_hex(*digits, used)) return std::nullopt;
  return Extranonce(used);
}

/// SV1 sends the previous hash as eight 32-bit words, each with its bytes reversed.
std::optional<bitcoin::Hash256> prev_hash_of(const json::value* value) {
  const auto digits = hex_digits_of(value);
  bitcoin::Hash256 hash{};
  if (!digits || !from_hex(*digits, hash)) return std::nullopt;
  for (std::size_t word = 0; word < hash.size(); word += 4) {
    store_le(hash.data() + word, load_be<std::uint32_t>(hash.data() + word));
  }
  return hash;
}

/// A name: text, or the digits of a whole number (kept in `digits`); null is the empty name.
std::optional<std::string_view> name_of(const json::value* value, std::string& digits) {
  if (value == nullptr) return std::nullopt;
  if (value->is_null()) return std::string_view();
  if (const auto* text = value->if_string()) return view(*text);
  if (const auto* i = value->if_int64()) return digits = std::to_string(*i);
  if (const auto* u = value->if_uint64()) return digits = std::to_string(*u);
  return std::nullopt;
}

std::optional<Id> id_of(const json::value& value) {
  switch (value.kind()) {
    case json::kind::int64:
      return Id::from_json(std::to_string(value.get_int64()));
    case json::kind::uint64:
      return Id(value.get_uint64());
    case json::kind::string:
      if (value.get_string().size() > kMaxIdText) return std::nullopt;
      return Id::from_json(json::serialize(value.get_string()));
    default:
      return std::nullopt;
  }
}

/// What messages view beside the line's own values.
struct Texts {
  std::string user, job_id, reason;
};

/// The parameters of one call: a list, or nothing.
class Params {
 public:
  Params(std::string_view method, const json::value* params, Texts& texts) : method_(method), given_(params), texts_(texts) {
    if (params != nullptr) list_ = params->if_array();
  }

  /// Null if there are fewer.
  [[nodiscard]] const json::value* at(std::size_t index) const {
    return list_ != nullptr && index < list_->size() ? &(*list_)[index] : nullptr;
  }
  /// `name` is the parameter's; `wanted` says what it should be.
  [[nodiscard]] BadParameters bad(std::size_t index, std::string_view name, std::string_view wanted) const {
    if (list_ == nullptr && given_ != nullptr && !given_->is_null()) {
      texts_.reason = "params: " + form_of(given_) + " is not a list";
    } else {
      texts_.reason = std::string(name) + ": " + form_of(at(index)) + (at(index) == nullptr ? "; wanted: " : " is not ");
      texts_.reason += wanted;
    }
    return {method_, texts_.reason};
  }
  [[nodiscard]] Texts& texts() const { return texts_; }

 private:
  std::string_view method_;
  const json::value* given_;
  const json::array* list_ = nullptr;
  Texts& texts_;
};

/// The options of mining.configure, each extension's by itself.
class ConfigureOptions {
 public:
  /// Nothing, and the empty list of some languages, are no options.
  explicit ConfigureOptions(const json::value* given) {
    if (is_nothing(given) || (given->is_array() && given->get_array().empty())) return;
    options_ = given->if_object();
    if (options_ == nullptr) unusable_ = "the options: " + form_of(given) + " is not an object";
  }

  /// Empty: they can be read.
  [[nodiscard]] const std::string& unusable() const { return unusable_; }
  /// Null if it is not given.
  [[nodiscard]] const json::value* find(std::string_view name) const {
    return options_ == nullptr ? nullptr : options_->if_contains(json::string_view(name.data(), name.size()));
  }

 private:
  const json::object* options_ = nullptr;
  std::string unusable_;
};

std::string unusable(std::string_view option, const json::value* value, std::string_view wanted) {
  return std::string(option) + ": " + form_of(value) + (value == nullptr ? "; wanted: " : " is not ") + std::string(wanted);
}

std::expected<Configure::VersionRolling, std::string> version_rolling_of(const ConfigureOptions& options) {
  constexpr std::string_view kMask = "version-rolling.mask", kCount = "version-rolling.min-bit-count";
  if (!options.unusable().empty()) return std::unexpected(options.unusable());
  Configure::VersionRolling rolling;
  if (const auto* value = options.find(kMask); !is_nothing(value)) {
    const auto mask = u32_of(value);
    if (!mask) return std::unexpected(unusable(kMask, value, "1 to 8 hex digits"));
    rolling.mask = *mask;
  }
  if (const auto* value = options.find(kCount); !is_nothing(value)) {
    const auto count = small_unsigned_of(value, 32);
    if (!count) return std::unexpected(unusable(kCount, value, "a number of bits, 0 to 32"));
    rolling.min_bit_count = *count;
  }
  return rolling;
}

std::expected<double, std::string> minimum_difficulty_of(const ConfigureOptions& options) {
  constexpr std::string_view kValue = "minimum-difficulty.value";
  if (!options.unusable().empty()) return std::unexpected(options.unusable());
  const auto* value = options.find(kValue);
  const auto difficulty = number_of(value);
  if (!difficulty || *difficulty < 0) return std::unexpected(unusable(kValue, value, "a difficulty of 0 or more"));
  return *difficulty;
}

/// The extensions named in the first parameter, their options in the second (BIP310). An extension that cannot be had takes no
/// other with it.
Call parse_configure(const Params& params) {
  const auto* names = params.at(0);
  if (names == nullptr || !(names->is_array() || names->is_string())) return params.bad(0, "extensions", "a list of names");
  const ConfigureOptions options(params.at(1));
  Configure configure;
  const auto refuse = [&](std::string_view name, std::string reason) {
    if (std::ranges::find(configure.unusable, name, [](const auto& one) { return one.first; }) == configure.unusable.end())
      configure.unusable.emplace_back(name, std::move(reason));
  };
  const auto ask = [&](std::string_view name) {
    if (name == "version-rolling") {
      if (auto rolling = version_rolling_of(options)) {
        configure.version_rolling = *rolling;
      } else {
        refuse(name, std::move(rolling.error()));
      }
    } else if (name == "minimum-difficulty") {
      if (auto difficulty = minimum_difficulty_of(options)) {
        configure.minimum_difficulty = *difficulty;
      } else {
        refuse(name, std::move(difficulty.error()));
      }
    } else if (name == "subscribe-extranonce") {
      configure.subscribe_extranonce = true;
    } else if (name == "info") {
      configure.info = true;
    } else if (configure.unknown.size() < kMaxExtensions) {
      configure.unknown.push_back(name);
    }
  };
  if (const auto* one = names->if_string()) {
    ask(view(*one).substr(0, kMaxName));
    return configure;
  }
  for (const auto& entry : names->get_array()) {
    // What is no name can be given no answer.
    if (const auto* name = entry.if_string()) ask(view(*name).substr(0, kMaxName));
  }
  return configure;
}

Call parse_submit(const Params& params) {
  Submit submit;
  const auto user = name_of(params.at(0), params.texts().user);
  if (!user || user->size() > kMaxName) return params.bad(0, "worker", "a name of at most 512 bytes");
  submit.user = *user;
  const auto job_id = name_of(params.at(1), params.texts().job_id);
  if (!job_id || job_id->size() > kMaxName) return params.bad(1, "job id", "the text of a notify");
  submit.job_id = *job_id;
  const auto extranonce2 = extranonce_of(params.at(2));
  if (!extranonce2) return params.bad(2, "extranonce2", "hex of whole bytes, at most 32");
  submit.extranonce2 = *extranonce2;
  const auto ntime = u32_of(params.at(3), 8);
  if (!ntime) return params.bad(3, "ntime", "8 hex digits");
  submit.ntime = *ntime;
  const auto nonce = u32_of(params.at(4));
  if (!nonce) return params.bad(4, "nonce", "1 to 8 hex digits");
  submit.nonce = *nonce;
  // Rolled or not, some proxies always write the field: empty means that there are none (para#410, p2poolv2#105).
  if (const auto* bits = params.at(5); !is_nothing(bits)) {
    submit.version_bits = u32_of(bits);
    if (!submit.version_bits) return params.bad(5, "version bits", "1 to 8 hex digits");
  }
  return submit;
}

Call parse_authorize(const Params& params) {
  const auto user = name_of(params.at(0), params.texts().user);
  if (!user || user->size() > kMaxName) return params.bad(0, "worker", "a name of at most 512 bytes");
  // Whatever stands for a password: nothing here asks for one.
  const auto* password = params.at(1);
  return Authorize{*user, password != nullptr && password->is_string() ? view(password->get_string()) : std::string_view()};
}

Call parse_suggest_target(const Params& params) {
  const auto digits = hex_digits_of(params.at(0));
  bitcoin::Hash256 bytes{};
  const bool fits = digits && !digits->empty() && digits->size() <= 2 * bytes.size();
  if (!fits || !from_hex(std::string(2 * bytes.size() - digits->size(), '0').append(*digits), bytes)) {
    return params.bad(0, "target", "1 to 64 hex digits");
  }
  std::ranges::reverse(bytes);
  return SuggestTarget{bitcoin::U256::from_le(bytes)};
}

Call parse_call(std::string_view method, const json::value* given, Texts& texts) {
  const Params params(method, given, texts);
  if (method == "mining.submit") return parse_submit(params);
  if (method == "mining.configure") return parse_configure(params);
  if (method == "mining.subscribe") {
    const auto* agent = params.at(0);
    return Subscribe{agent != nullptr && agent->is_string() ? view(agent->get_string()).substr(0, kMaxName)
                                                            : std::string_view()};
  }
  if (method == "mining.authorize") return parse_authorize(params);
  if (method == "mining.extranonce.subscribe") return ExtranonceSubscribe{};
  if (method == "mining.suggest_difficulty") {
    const auto difficulty = positive_number_of(params.at(0));
    if (!difficulty) return params.bad(0, "difficulty", "a number above 0");
    return SuggestDifficulty{*difficulty};
  }
  if (method == "mining.suggest_target") return parse_suggest_target(params);
  if (method == "mining.ping") return Ping{};
  if (method == "mining.get_version" || method == "client.get_version") return GetVersion{};
  if (method == "mining.multi_version") return MultiVersion{};
  if (method == "mining.get_transactions") return GetTransactions{};
  return UnknownMethod{method.substr(0, 64)};
}

Result<FromServer> bad_parameters(std::string_view method) {
  return fail(Errc::kNotSv1, std::string("parameters of ").append(method) + " cannot be read");
}

/// Written as such, or as 0 or 1.
std::optional<bool> truth_of(const json::value* value) {
  if (value == nullptr) return std::nullopt;
  if (const auto* truth = value->if_bool()) return *truth;
  const auto number = small_unsigned_of(value, 1);
  return number ? std::optional(*number == 1) : std::nullopt;
}

Result<FromServer> parse_notify(const Params& params) {
  const auto bad = [] { return bad_parameters("mining.notify"); };
  Notify job;
  const auto job_id = name_of(params.at(0), params.texts().job_id);
  const auto prev_hash = prev_hash_of(params.at(1));
  const auto coinbase1 = hex_digits_of(params.at(2)), coinbase2 = hex_digits_of(params.at(3));
  const auto* path = params.at(4) != nullptr ? params.at(4)->if_array() : nullptr;
  const auto version = u32_of(params.at(5), 8), nbits = u32_of(params.at(6), 8), ntime = u32_of(params.at(7), 8);
  const auto clean = truth_of(params.at(8));
  if (!job_id || job_id->size() > kMaxName || !prev_hash || !coinbase1 || !coinbase2 || !path ||
      path->size() > kMaxMerklePath || !version || !nbits || !ntime || !clean) {
    return bad();
  }
  auto prefix = from_hex(*coinbase1), suffix = from_hex(*coinbase2);
  if (!prefix || !suffix) return bad();
  for (const auto& step : *path) {
    const auto digits = hex_digits_of(&step);
    bitcoin::Hash256 hash{};
    if (!digits || !from_hex(*digits, hash)) return bad();
    job.merkle_path.push_back(hash);
  }
  job.job_id = *job_id;
  job.prev_hash = *prev_hash;
  job.coinbase1 = std::move(*prefix);
  job.coinbase2 = std::move(*suffix);
  job.version = *version;
  job.nbits = *nbits;
  job.ntime = *ntime;
  job.clean_jobs = *clean;
  return job;
}

Result<FromServer> parse_server_call(std::string_view method, const Params& params, std::optional<Id> id) {
  if (method == "mining.notify") return parse_notify(params);
  if (method == "mining.set_difficulty") {
    const auto difficulty = positive_number_of(params.at(0));
    if (!difficulty) return bad_parameters(method);
    return SetDifficulty{*difficulty};
  }
  if (method == "mining.set_version_mask") {
    const auto mask = u32_of(params.at(0));
    if (!mask) return bad_parameters(method);
    return SetVersionMask{*mask};
  }
  if (method == "mining.set_extranonce") {
    const auto extranonce1 = extranonce_of(params.at(0));
    const auto size = small_unsigned_of(params.at(1), 32);
    if (!extranonce1 || !size || extranonce1->size() + *size > 32) return bad_parameters(method);
    return SetExtranonce{*extranonce1, *size};
  }
  if (method == "client.reconnect") {
    const auto* host = params.at(0) != nullptr ? params.at(0)->if_string() : nullptr;
    // Nobody here follows it, so nothing about it is an error: pools write the port as a number or as text, or leave it out.
    Reconnect reconnect{host ? view(*host).substr(0, kMaxName) : std::string_view(), 0};
    reconnect.port = static_cast<std::uint16_t>(small_unsigned_of(params.at(1), 65535).value_or(0));
    return reconnect;
  }
  return Request{std::move(id), UnknownMethod{method.substr(0, 64)}};
}

std::optional<RpcError> error_of(const json::value& value) {
  if (value.is_null()) return std::nullopt;
  RpcError error;
  const json::value* code = nullptr;
  const json::value* message = nullptr;
  if (const auto* list = value.if_array()) {
    if (!list->empty()) code = &(*list)[0];
    if (list->size() > 1) message = &(*list)[1];
  } else if (const auto* object = value.if_object()) {
    code = object->if_contains("code");
    message = object->if_contains("message");
  } else {
    message = &value;
  }
  if (code != nullptr && code->is_int64() && std::abs(code->get_int64()) <= 100000)
    error.code = static_cast<int>(code->get_int64());
  if (message != nullptr && message->is_string()) error.message = view(message->get_string()).substr(0, kMaxName);
  return error;
}

Response parse_response(Id id, const json::object& object) {
  Response response;
  response.id = std::move(id);
  if (const auto* error = object.if_contains("error")) response.error = error_of(*error);
  const auto* result = object.if_contains("result");
  if (result == nullptr) return response;
  if (const auto* truth = result->if_bool()) {
    response.result = *truth;
  } else if (const auto* list = result->if_array(); list && list->size() >= 3) {
    const auto extranonce1 = extranonce_of(&(*list)[1]);
    const auto size = small_unsigned_of(&(*list)[2], 32);
    if (extranonce1 && size && extranonce1->size() + *size <= 32) response.result = SubscribeResult{*extranonce1, *size};
  } else if (const auto* map = result->if_object()) {
    ConfigureResult configured;
    const auto* granted = map->if_contains("version-rolling");
    const auto* mask = map->if_contains("version-rolling.mask");
    if (granted && granted->is_bool() && granted->get_bool()) configured.version_mask = u32_of(mask);
    response.result = configured;
  }
  return response;
}

}  // namespace

/// The parsed values live in `arena`, which starts anew with each line.
struct Parser::Memory {
  std::array<unsigned char, 8 * 1024> first;
  std::optional<json::monotonic_resource> arena;
  json::parser parser{{}, options()};
  std::optional<json::value> value;
  Texts texts;

  static json::parse_options options() {
    json::parse_options chosen;
    chosen.max_depth = kMaxDepth;
    // A worker's name in Latin-1 is no reason to refuse its shares.
    chosen.allow_invalid_utf8 = true;
    return chosen;
  }

  /// The object in `line`.
  Result<const json::object*> parse(std::string_view line) {
    value.reset();
    arena.emplace(first.data(), first.size());
    parser.reset(&*arena);
    boost::system::error_code error;
    parser.write(line.data(), line.size(), error);
    if (error) {
      parser.reset();
      return fail(Errc::kNotJson, error == json::error::too_deep ? "nested too deeply" : "not JSON: " + error.message());
    }
    value.emplace(parser.release());
    const auto* object = value->if_object();
    if (object == nullptr) return fail(Errc::kNotSv1, "a message is a JSON object");
    return object;
  }
};

Parser::Parser() : memory_(std::make_unique<Memory>()) {}
Parser::~Parser() = default;
Parser::Parser(Parser&&) noexcept = default;
Parser& Parser::operator=(Parser&&) noexcept = default;

namespace {

struct Envelope {
  std::optional<Id> id;
  std::optional<std::string_view> method;
  const json::value* params;  ///< Null if there are none.
};

Result<Envelope> open(const json::object& object) {
  Envelope envelope{std::nullopt, std::nullopt, object.if_contains("params")};
  if (const auto* id = object.if_contains("id"); id && !id->is_null()) {
    envelope.id = id_of(*id);
    if (!envelope.id) return fail(Errc::kNotSv1, "an id is a whole number, a short string or null");
  }
  if (const auto* method = object.if_contains("method"); method && !method->is_null()) {
    if (!method->is_string()) return fail(Errc::kNotSv1, "a method is a string");
    envelope.method = view(method->get_string());
  }
  return envelope;
}

}  // namespace

Result<std::optional<Request>> Parser::from_client(std::string_view line) {
  ADIT_TRY(const json::object* object, memory_->parse(line));
  ADIT_TRY(auto envelope, open(*object));
  if (!envelope.method) {
    if (object->contains("result") || object->contains("error")) return std::nullopt;
    return fail(Errc::kNotSv1, "a request has a method");
  }
  return Request{std::move(envelope.id), parse_call(*envelope.method, envelope.params, memory_->texts)};
}

Result<FromServer> Parser::from_server(std::string_view line) {
  ADIT_TRY(const json::object* object, memory_->parse(line));
  ADIT_TRY(auto envelope, open(*object));
  if (envelope.method) {
    const Params params(*envelope.method, envelope.params, memory_->texts);
    return parse_server_call(*envelope.method, params, std::move(envelope.id));
  }
  if (!object->contains("result") && !object->contains("error")) return fail(Errc::kNotSv1, "neither a method nor a result");
  return parse_response(envelope.id.value_or(Id()), *object);
}

}  // namespace adit::sv1
