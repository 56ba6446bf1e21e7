#include "sv1/build.h"

#include <array>
#include <charconv>
#include <cmath>

#include "base/hex.h"
#include "base/text.h"

namespace adit::sv1 {

namespace {

void append_quoted_hex(std::string& out, Bytes bytes) {
  out += '"';
  append_hex(out, bytes);
  out += '"';
}

void append_quoted_u32(std::string& out, std::uint32_t value) {
  std::array<std::uint8_t, 4> bytes{};
  store_be(bytes.data(), value);
  append_quoted_hex(out, bytes);
}

void append_number(std::string& out, double value) {
  std::array<char, 32> text{};
  const bool whole = value == std::floor(value) && value < 1e15;
  const auto end = whole ? std::to_chars(text.data(), text.data() + text.size(), static_cast<long long>(value)).ptr
                         : std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  out.append(text.data(), end);
}

void append_call(std::string& out, const Id& id, std::string_view method) {
  out.append(R"({"id":)").append(id.json()).append(R"(,"method":")").append(method).append(R"(","params":[)");
}

void append_notification(std::string& out, std::string_view method) {
  out.append(R"({"id":null,"method":")").append(method).append(R"(","params":[)");
}

constexpr std::string_view kCallEnd = "]}\n";

}  // namespace

void append_notify(std::string& out, const Notify& job) {
  append_notification(out, "mining.notify");
  append_json_string(out, job.job_id);
  out += ',';
  // Eight words, each with its bytes reversed: SV1's order.
  bitcoin::Hash256 words = job.prev_hash;
  for (std::size_t word = 0; word < words.size(); word += 4) {
    store_le(words.data() + word, load_be<std::uint32_t>(words.data() + word));
  }
  append_quoted_hex(out, words);
  out += ',';
  append_quoted_hex(out, job.coinbase1);
  out += ',';
  append_quoted_hex(out, job.coinbase2);
  out += ",[";
  for (std::size_t i = 0; i < job.merkle_path.size(); ++i) {
    if (i > 0) out += ',';
    append_quoted_hex(out, job.merkle_path[i]);
  }
  out += "],";
  append_quoted_u32(out, job.version);
  out += ',';
  append_quoted_u32(out, job.nbits);
  out += ',';
  append_quoted_u32(out, job.ntime);
  out.append(job.clean_jobs ? ",true" : ",false").append(kCallEnd);
}

void append_set_difficulty(std::string& out, double difficulty) {
  append_notification(out, "mining.set_difficulty");
  append_number(out, difficulty);
  out.append(kCallEnd);
}

void append_set_version_mask(std::string& out, std::uint32_t mask) {
  append_notification(out, "mining.set_version_mask");
  append_quoted_u32(out, mask);
  out.append(kCallEnd);
}

void append_result(std::string& out, const Id& id, std::string_view result) {
  out.append(R"({"id":)").append(id.json()).append(R"(,"result":)").append(result).append(",\"error\":null}\n");
}

void append_error(std::string& out, const Id& id, Reject code, std::string_view text) {
  out.append(R"({"id":)").append(id.json()).append(R"(,"result":null,"error":[)");
  out.append(std::to_string(static_cast<int>(code))).append(",");
  append_json_string(out, text);
  out.append(",null]}\n");
}

void append_subscribe_result(std::string& out, const Id& id, std::string_view session, const Extranonce& extranonce1,
                             std::size_t extranonce2_size) {
  std::string result = R"([[["mining.set_difficulty",)";
  append_json_string(result, session);
  result.append(R"(],["mining.notify",)");
  append_json_string(result, session);
  result.append("]],");
  append_quoted_hex(result, extranonce1.bytes());
  result.append(",").append(std::to_string(extranonce2_size)).append("]");
  append_result(out, id, result);
}

void append_configure_result(std::string& out, const Id& id, const Configure& asked, std::uint32_t granted_mask) {
  std::string result = "{";
  const auto key = [&](std::string_view name) {
    if (result.size() > 1) result += ',';
    append_json_string(result, name);
    result += ':';
  };
  if (asked.version_rolling) {
    key("version-rolling");
    result.append(granted_mask != 0 ? "true" : "false");
    if (granted_mask != 0) {
      key("version-rolling.mask");
      append_quoted_u32(result, granted_mask);
    }
  }
  if (asked.minimum_difficulty) {
    key("minimum-difficulty");
    result.append("true");
  }
  if (asked.subscribe_extranonce) {
    key("subscribe-extranonce");
    result.append("true");
  }
  if (asked.info) {
    key("info");
    result.append("true");
  }
  for (const auto& [name, reason] : asked.unusable) {
    key(name);
    append_json_string(result, reason);
  }
  for (const auto name : asked.unknown) {
    key(name);
    result.append("false");
  }
  result += '}';
  append_result(out, id, result);
}

void append_configure(std::string& out, const Id& id, std::uint32_t mask) {
  append_call(out, id, "mining.configure");
  if (mask == 0) {
    out.append(R"(["subscribe-extranonce"],{})");
  } else {
    out.append(R"(["version-rolling","subscribe-extranonce"],{"version-rolling.mask":)");
    append_quoted_u32(out, mask);
    out.append(R"(,"version-rolling.min-bit-count":1})");
  }
  out.append(kCallEnd);
}

void append_subscribe(std::string& out, const Id& id, std::string_view user_agent) {
  append_call(out, id, "mining.subscribe");
  append_json_string(out, user_agent);
  out.append(kCallEnd);
}

void append_authorize(std::string& out, const Id& id, std::string_view user, std::string_view password) {
  append_call(out, id, "mining.authorize");
  append_json_string(out, user);
  out += ',';
  append_json_string(out, password);
  out.append(kCallEnd);
}

void append_suggest_difficulty(std::string& out, const Id& id, double difficulty) {
  append_call(out, id, "mining.suggest_difficulty");
  append_number(out, difficulty);
  out.append(kCallEnd);
}

void append_submit(std::string& out, const Id& id, const Submit& submit) {
  append_call(out, id, "mining.submit");
  append_json_string(out, submit.user);
  out += ',';
  append_json_string(out, submit.job_id);
  out += ',';
  append_quoted_hex(out, submit.extranonce2.bytes());
  out += ',';
  append_quoted_u32(out, submit.ntime);
  out += ',';
  append_quoted_u32(out, submit.nonce);
  if (submit.version_bits) {
    out += ',';
    append_quoted_u32(out, *submit.version_bits);
  }
  out.append(kCallEnd);
}

}  // namespace adit::sv1
