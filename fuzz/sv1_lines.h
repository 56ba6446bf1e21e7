// SV1 lines composed from a fuzzer's bytes: random bytes are hardly ever JSON, so most of what matters would not be reached.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/hex.h"

namespace adit::fuzz {

/// Takes bytes off the front of a fuzzer's input; zeros when it is used up.
class Source {
 public:
  explicit Source(Bytes input) : rest_(input) {}

  [[nodiscard]] bool empty() const { return rest_.empty(); }
  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const std::uint8_t value = rest_[0];
    rest_ = rest_.subspan(1);
    return value;
  }
  std::uint32_t u32() { return byte() | byte() << 8 | byte() << 16 | static_cast<std::uint32_t>(byte()) << 24; }
  /// Below `count`.
  std::size_t pick(std::size_t count) { return byte() % count; }
  Bytes take(std::size_t count) {
    const Bytes taken = rest_.first(std::min(count, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }

 private:
  Bytes rest_;
};

inline std::string hex_u32(std::uint32_t value) {
  std::array<std::uint8_t, 4> bytes{};
  store_be(bytes.data(), value);
  return to_hex(bytes);
}

/// A JSON value of any kind, some of them what a field wants.
inline std::string any_value(Source& source) {
  switch (source.pick(12)) {
    case 0:
      return "null";
    case 1:
      return "true";
    case 2:
      return std::to_string(static_cast<std::int32_t>(source.u32()));
    case 3:
      return std::to_string(source.byte()) + "e" + std::to_string(static_cast<std::int8_t>(source.byte()));
    case 4:
      return "\"" + to_hex(source.take(source.pick(40))) + "\"";
    case 5:
      return "\"" + hex_u32(source.u32()).substr(source.pick(8)) + "\"";
    case 6: {
      const Bytes raw = source.take(source.pick(20));
      return "\"" + std::string(raw.begin(), raw.end()) + "\"";
    }
    case 7:
      return "[" + any_value(source) + "]";
    case 8:
      return "{\"version-rolling.mask\":" + any_value(source) + ",\"version-rolling.min-bit-count\":" + any_value(source) + "}";
    case 9:
      return "[\"version-rolling\",\"minimum-difficulty\",\"subscribe-extranonce\",\"info\"]";
    case 10:
      return "{\"minimum-difficulty.value\":" + any_value(source) + "}";
    default:
      return "\"w\"";
  }
}

inline std::string any_id(Source& source) {
  constexpr std::string_view kIds[] = {"null", "0", "7", "-3", "\"txlist\"", "18446744073709551615", "1.5", "[]"};
  return std::string(kIds[source.pick(std::size(kIds))]);
}

/// `"id":…,"method":…,"params":[…]` of any values, ids and members in any order.
inline std::string any_call(Source& source, std::string_view method) {
  std::string params;
  for (std::size_t left = source.pick(10); left > 0; --left) params += (params.empty() ? "" : ",") + any_value(source);
  const std::string call = "\"method\":\"" + std::string(method) + "\"";
  const std::string list = "\"params\":[" + params + "]";
  switch (source.pick(4)) {
    case 0:
      return "{" + list + "," + call + "}\n";
    case 1:
      return "{" + list + ",\"id\":" + any_id(source) + "," + call + ",\"ttl\":2}\n";
    default:
      return "{\"id\":" + any_id(source) + "," + call + "," + list + "}\r\n";
  }
}

/// What a miner may say: mostly a good request, now and then anything. `ntime`: near that of the jobs.
inline std::string miner_line(Source& source, std::uint32_t ntime) {
  constexpr std::string_view kMethods[] = {"mining.configure",
                                           "mining.subscribe",
                                           "mining.authorize",
                                           "mining.submit",
                                           "mining.extranonce.subscribe",
                                           "mining.ping",
                                           "mining.suggest_difficulty",
                                           "mining.suggest_target",
                                           "pong",
                                           "mining.get_transactions",
                                           "mining.multi_version"};
  const std::string id = any_id(source);
  switch (source.pick(10)) {
    case 0:
      return "{\"id\":" + id + ",\"method\":\"mining.subscribe\",\"params\":[\"agent\"]}\n";
    case 1:
      return "{\"id\":" + id + ",\"method\":\"mining.authorize\",\"params\":[\"w\",\"x\"]}\n";
    case 2:
      return "{\"id\":" + id +
             ",\"method\":\"mining.configure\",\"params\":[[\"version-rolling\"],{\"version-rolling.mask\":\"" +
             hex_u32(source.u32()) + "\"}]}\n";
    case 3:
    case 4:
    case 5: {
      std::string line = "{\"id\":" + id + ",\"method\":\"mining.submit\",\"params\":[\"w\",\"" +
                         std::to_string(source.pick(6)) + "\",\"" + to_hex(source.take(4)) + "\",\"" +
                         hex_u32(ntime + source.byte() - 8U) + "\",\"" + hex_u32(source.byte()) + "\"";
      if (source.pick(2) == 0) line += ",\"" + hex_u32(source.u32()) + "\"";
      return line + "]}\n";
    }
    case 6:
      return "{\"id\":" + id + ",\"method\":\"mining.suggest_difficulty\",\"params\":[" + any_value(source) + "]}\n";
    case 7: {
      const Bytes raw = source.take(source.pick(64));
      return std::string(raw.begin(), raw.end()) + "\n";
    }
    default:
      return any_call(source, kMethods[source.pick(std::size(kMethods))]);
  }
}

/// What a pool may say, likewise.
inline std::string pool_line(Source& source) {
  constexpr std::string_view kMethods[] = {
      "mining.notify",    "mining.set_difficulty", "mining.set_extranonce", "mining.set_version_mask",
      "client.reconnect", "client.get_version",    "client.show_message",   "mining.ping"};
  const auto answer = [](std::string_view id, std::string_view result) {
    return "{\"id\":" + std::string(id) + ",\"error\":null,\"result\":" + std::string(result) + "}\n";
  };
  switch (source.pick(10)) {
    case 0:
      return answer("1", R"({"version-rolling":true,"version-rolling.mask":"1fffe000"})");
    case 1:
      return answer("2", "[[],\"" + to_hex(source.take(source.pick(8))) + "\"," + std::to_string(source.pick(40)) + "]");
    case 2:
      return answer("3", "true");
    case 3:
    case 4: {
      std::string path;
      for (std::size_t left = source.pick(4); left > 0; --left)
        path += (path.empty() ? "\"" : ",\"") + std::string(64, static_cast<char>('0' + source.pick(10))) + "\"";
      return "{\"id\":null,\"method\":\"mining.notify\",\"params\":[\"" + std::to_string(source.pick(9)) + "\",\"" +
             std::string(64, '1') + "\",\"" + to_hex(source.take(4)) + "\",\"\",[" + path + "],\"20000000\",\"" +
             hex_u32(source.u32()) + "\",\"504e86b9\"," + (source.pick(2) == 0 ? "true" : "false") + "]}\n";
    }
    case 5:
      return "{\"id\":null,\"method\":\"mining.set_difficulty\",\"params\":[" + any_value(source) + "]}\n";
    case 6:
      return "{\"id\":null,\"method\":\"mining.set_extranonce\",\"params\":[\"" + to_hex(source.take(source.pick(40))) + "\"," +
             std::to_string(source.pick(40)) + "]}\n";
    case 7:
      return "{\"id\":" + std::to_string(4 + source.pick(4)) + ",\"result\":" + any_value(source) +
             ",\"error\":" + any_value(source) + "}\n";
    case 8: {
      const Bytes raw = source.take(source.pick(64));
      return std::string(raw.begin(), raw.end()) + "\n";
    }
    default:
      return any_call(source, kMethods[source.pick(std::size(kMethods))]);
  }
}

}  // namespace adit::fuzz
