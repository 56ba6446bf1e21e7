#include "sv1/parse.h"

#include <cmath>
#include <limits>

#include <boost/json.hpp>

#include "base/hex.h"

namespace adit::sv1 {

namespace json = boost::json;

namespace {

constexpr std::size_t kMaxIdText = 128;
constexpr std::size_t kMaxName = 512;
constexpr std::size_t kMaxExtensions = 16;
constexpr std::size_t kMaxMerklePath = 32;

std::string_view view(const json::string& text) { return {text.data(), text.size()}; }

/// The string at `index` of `params`, else nullptr.
const json::string* string_at(const json::array& params, std::size_t index) {
  return index < params.size() ? params[index].if_string() : nullptr;
}

/// A finite number, whatever way it is written.
std::optional<double> number_of(const json::value& value) {
  double number = 0;
  if (const auto* d = value.if_double()) {
    number = *d;
  } else if (const auto* i = value.if_int64()) {
    number = static_cast<double>(*i);
  } else if (const auto* u = value.if_uint64()) {
    number = static_cast<double>(*u);
  } else {
    return std::nullopt;
  }
  if (!std::isfinite(number)) return std::nullopt;
  return number;
}

std::optional<double> positive_number_of(const json::value& value) {
  const auto number = number_of(value);
  return number && *number > 0 ? number : std::nullopt;
}

std::optional<std::uint32_t> small_unsigned_of(const json::value& value, std::uint32_t max) {
  const auto number = number_of(value);
  if (!number || *number < 0 || *number > max || *number != std::floor(*number)) return std::nullopt;
  return static_cast<std::uint32_t>(*number);
}

/// Exactly eight hex digits, most significant first.
std::optional<std::uint32_t> u32_of_hex(std::string_view text) {
  std::array<std::uint8_t, 4> bytes{};
  if (!from_hex(text, bytes)) return std::nullopt;
  return load_be<std::uint32_t>(bytes.data());
}

std::optional<std::uint32_t> u32_at(const json::array& params, std::size_t index) {
  const auto* text = string_at(params, index);
  return text ? u32_of_hex(view(*text)) : std::nullopt;
}

/// One to eight hex digits: leading zeros may be absent (BIP310 of masks).
std::optional<std::uint32_t> u32_of_short_hex(const json::value& value) {
  const auto* text = value.if_string();
  if (text == nullptr || text->empty() || text->size() > 8) return std::nullopt;
  return u32_of_hex(std::string(8 - text->size(), '0').append(view(*text)));
}

std::optional<Extranonce> extranonce_of(const json::value& value) {
  const auto* text = value.if_string();
  if (text == nullptr || text->size() % 2 != 0 || text->size() > 64) return std::nullopt;
  std::array<std::uint8_t, 32> bytes{};
  const MutableBytes used(bytes.data(), text->size() / 2);
  if (!from_hex(view(*text), used)) return std::nullopt;
  return Extranonce(used);
}

/// SV1 sends the previous hash as eight 32-bit words, each with its bytes reversed.
std::optional<bitcoin::Hash256> prev_hash_of(const json::value& value) {
  const auto* text = value.if_string();
  bitcoin::Hash256 hash{};
  if (text == nullptr || !from_hex(view(*text), hash)) return std::nullopt;
  for (std::size_t word = 0; word < hash.size(); word += 4) {
    store_le(hash.data() + word, load_be<std::uint32_t>(hash.data() + word));
  }
  return hash;
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

/// The extensions named in the first parameter, their parameters in the second (BIP310).
Call parse_configure(const json::array& params) {
  const auto bad = [](std::string_view reason) { return BadParameters{"mining.configure", reason}; };
  const auto* extensions = params.empty() ? nullptr : params[0].if_array();
  if (extensions == nullptr) return bad("the first parameter lists the extensions");
  if (extensions->size() > kMaxExtensions) return bad("too many extensions");
  static const json::object kNone;
  const auto* options = params.size() > 1 ? params[1].if_object() : nullptr;
  if (options == nullptr) options = &kNone;

  Configure configure;
  for (const auto& extension : *extensions) {
    const auto* text = extension.if_string();
    if (text == nullptr) return bad("an extension is named by a string");
    const std::string_view name = view(*text);
    if (name == "version-rolling") {
      Configure::VersionRolling rolling;
      if (const auto* value = options->if_contains("version-rolling.mask")) {
        const auto mask = u32_of_short_hex(*value);
        if (!mask) return bad("version-rolling.mask is not a mask of 32 bits in hex");
        rolling.mask = *mask;
      }
      if (const auto* value = options->if_contains("version-rolling.min-bit-count")) {
        const auto count = small_unsigned_of(*value, 32);
        if (!count) return bad("version-rolling.min-bit-count is not a number of bits");
        rolling.min_bit_count = *count;
      }
      configure.version_rolling = rolling;
    } else if (name == "minimum-difficulty") {
      const auto* value = options->if_contains("minimum-difficulty.value");
      const auto difficulty = value ? number_of(*value) : std::nullopt;
      if (!difficulty || *difficulty < 0) return bad("minimum-difficulty.value is not a difficulty");
      configure.minimum_difficulty = *difficulty;
    } else if (name == "subscribe-extranonce") {
      configure.subscribe_extranonce = true;
    } else if (name == "info") {
      configure.info = true;
    } else {
      configure.unknown.push_back(name);
    }
  }
  return configure;
}

Call parse_submit(const json::array& params) {
  const auto bad = [](std::string_view reason) { return BadParameters{"mining.submit", reason}; };
  if (params.size() < 5) return bad("worker, job id, extranonce2, ntime and nonce are needed");
  const auto* user = string_at(params, 0);
  const auto* job_id = string_at(params, 1);
  if (user == nullptr || job_id == nullptr) return bad("worker and job id are strings");
  if (user->size() > kMaxName || job_id->size() > kMaxName) return bad("worker or job id is too long");
  Submit submit;
  submit.user = view(*user);
  submit.job_id = view(*job_id);
  const auto extranonce2 = extranonce_of(params[2]);
  if (!extranonce2) return bad("extranonce2 is not hex");
  submit.extranonce2 = *extranonce2;
  const auto ntime = u32_at(params, 3);
  if (!ntime) return bad("ntime is not 8 hex digits");
  submit.ntime = *ntime;
  const auto nonce = u32_of_short_hex(params[4]);
  if (!nonce) return bad("nonce is not up to 8 hex digits");
  submit.nonce = *nonce;
  if (params.size() > 5 && !params[5].is_null()) {
    submit.version_bits = u32_of_short_hex(params[5]);
    if (!submit.version_bits) return bad("the version bits are not up to 8 hex digits");
  }
  return submit;
}

Call parse_authorize(const json::array& params) {
  const auto* user = string_at(params, 0);
  if (user == nullptr) return BadParameters{"mining.authorize", "the first parameter is the worker's name"};
  if (user->size() > kMaxName) return BadParameters{"mining.authorize", "the worker's name is too long"};
  const auto* password = string_at(params, 1);
  return Authorize{view(*user), password ? view(*password) : std::string_view()};
}

Call parse_call(std::string_view method, const json::array& params) {
  if (method == "mining.submit") return parse_submit(params);
  if (method == "mining.configure") return parse_configure(params);
  if (method == "mining.subscribe") {
    const auto* agent = string_at(params, 0);
    return Subscribe{agent ? view(*agent).substr(0, kMaxName) : std::string_view()};
  }
  if (method == "mining.authorize") return parse_authorize(params);
  if (method == "mining.extranonce.subscribe") return ExtranonceSubscribe{};
  if (method == "mining.suggest_difficulty") {
    const auto difficulty = params.empty() ? std::nullopt : positive_number_of(params[0]);
    if (!difficulty) return BadParameters{"mining.suggest_difficulty", "the parameter is not a difficulty"};
    return SuggestDifficulty{*difficulty};
  }
  if (method == "mining.suggest_target") {
    const auto* text = string_at(params, 0);
    bitcoin::Hash256 bytes{};
    if (text == nullptr || !from_hex(view(*text), bytes)) {
      return BadParameters{"mining.suggest_target", "the parameter is not 64 hex digits"};
    }
    std::ranges::reverse(bytes);
    return SuggestTarget{bitcoin::U256::from_le(bytes)};
  }
  if (method == "mining.ping") return Ping{};
  if (method == "mining.get_version" || method == "client.get_version") return GetVersion{};
  if (method == "mining.multi_version") return MultiVersion{};
  if (method == "mining.get_transactions") return GetTransactions{};
  return UnknownMethod{method.substr(0, 64)};
}

Result<FromServer> bad_parameters(std::string_view method) {
  return fail(Errc::kNotSv1, std::string("parameters of ").append(method) + " cannot be read");
}

Result<FromServer> parse_notify(const json::array& params) {
  const auto bad = [] { return bad_parameters("mining.notify"); };
  if (params.size() < 9) return bad();
  Notify job;
  const auto* job_id = string_at(params, 0);
  const auto prev_hash = prev_hash_of(params[1]);
  const auto* coinbase1 = string_at(params, 2);
  const auto* coinbase2 = string_at(params, 3);
  const auto* path = params[4].if_array();
  const auto version = u32_at(params, 5), nbits = u32_at(params, 6), ntime = u32_at(params, 7);
  const auto* clean = params[8].if_bool();
  if (!job_id || job_id->size() > kMaxName || !prev_hash || !coinbase1 || !coinbase2 || !path ||
      path->size() > kMaxMerklePath || !version || !nbits || !ntime || !clean) {
    return bad();
  }
  auto prefix = from_hex(view(*coinbase1)), suffix = from_hex(view(*coinbase2));
  if (!prefix || !suffix) return bad();
  for (const auto& step : *path) {
    const auto* text = step.if_string();
    bitcoin::Hash256 hash{};
    if (text == nullptr || !from_hex(view(*text), hash)) return bad();
    job.merkle_path.push_back(hash);
  }
  job.job_id = view(*job_id);
  job.prev_hash = *prev_hash;
  job.coinbase1 = std::move(*prefix);
  job.coinbase2 = std::move(*suffix);
  job.version = *version;
  job.nbits = *nbits;
  job.ntime = *ntime;
  job.clean_jobs = *clean;
  return job;
}

Result<FromServer> parse_server_call(std::string_view method, const json::array& params, std::optional<Id> id) {
  if (method == "mining.notify") return parse_notify(params);
  if (method == "mining.set_difficulty") {
    const auto difficulty = params.empty() ? std::nullopt : positive_number_of(params[0]);
    if (!difficulty) return bad_parameters(method);
    return SetDifficulty{*difficulty};
  }
  if (method == "mining.set_version_mask") {
    const auto mask = params.empty() ? std::nullopt : u32_of_short_hex(params[0]);
    if (!mask) return bad_parameters(method);
    return SetVersionMask{*mask};
  }
  if (method == "mining.set_extranonce") {
    if (params.size() < 2) return bad_parameters(method);
    const auto extranonce1 = extranonce_of(params[0]);
    const auto size = small_unsigned_of(params[1], 32);
    if (!extranonce1 || !size || extranonce1->size() + *size > 32) return bad_parameters(method);
    return SetExtranonce{*extranonce1, *size};
  }
  if (method == "client.reconnect") {
    const auto* host = string_at(params, 0);
    // Nobody here follows it, so nothing about it is an error: pools write the port as a number or as text, or leave it out.
    Reconnect reconnect{host ? view(*host).substr(0, kMaxName) : std::string_view(), 0};
    if (params.size() > 1) reconnect.port = static_cast<std::uint16_t>(small_unsigned_of(params[1], 65535).value_or(0));
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
    const auto extranonce1 = extranonce_of((*list)[1]);
    const auto size = small_unsigned_of((*list)[2], 32);
    if (extranonce1 && size && extranonce1->size() + *size <= 32) response.result = SubscribeResult{*extranonce1, *size};
  } else if (const auto* map = result->if_object()) {
    ConfigureResult configured;
    const auto* granted = map->if_contains("version-rolling");
    const auto* mask = map->if_contains("version-rolling.mask");
    if (granted && granted->is_bool() && granted->get_bool() && mask) configured.version_mask = u32_of_short_hex(*mask);
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
  const json::array* params;
};

Result<Envelope> open(const json::object& object) {
  static const json::array kNone;
  Envelope envelope{std::nullopt, std::nullopt, &kNone};
  if (const auto* id = object.if_contains("id"); id && !id->is_null()) {
    envelope.id = id_of(*id);
    if (!envelope.id) return fail(Errc::kNotSv1, "an id is a whole number, a short string or null");
  }
  if (const auto* method = object.if_contains("method"); method && !method->is_null()) {
    if (!method->is_string()) return fail(Errc::kNotSv1, "a method is a string");
    envelope.method = view(method->get_string());
  }
  if (const auto* params = object.if_contains("params"); params && params->is_array()) envelope.params = &params->get_array();
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
  return Request{std::move(envelope.id), parse_call(*envelope.method, *envelope.params)};
}

Result<FromServer> Parser::from_server(std::string_view line) {
  ADIT_TRY(const json::object* object, memory_->parse(line));
  ADIT_TRY(auto envelope, open(*object));
  if (envelope.method) return parse_server_call(*envelope.method, *envelope.params, std::move(envelope.id));
  if (!object->contains("result") && !object->contains("error")) return fail(Errc::kNotSv1, "neither a method nor a result");
  return parse_response(envelope.id.value_or(Id()), *object);
}

}  // namespace adit::sv1
