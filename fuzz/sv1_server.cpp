// A miner that says anything, raw or composed of what miners say, in any chunks: the chunks change no answer, every answer is a
// line that parses, and no share reaches the pool that breaks what it was told.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/require_testing.h"
#include "sv1/line_reader.h"
#include "sv1/server.h"
#include "sv1_lines.h"

namespace {

using namespace adit;

class Handler final : public sv1::ServerHandler {
 public:
  sv1::Server* server = nullptr;

  Result<sv1::Subscription> on_subscribe(std::string_view) override {
    return sv1::Subscription{.extranonce1 = sv1::Extranonce(std::array<std::uint8_t, 4>{1, 2, 3, 4}), .extranonce2_size = 4};
  }
  void on_worker_refused(std::string_view) override {}
  bool on_authorize(std::string_view user, std::string_view) override { return user.size() < 100; }
  void on_suggest_difficulty(double difficulty) override { require(difficulty > 0); }
  void on_minimum_difficulty(double difficulty) override { require(difficulty >= 0); }
  void on_ready() override { server->set_difficulty(0.5); }
  std::optional<sv1::Reject> on_submit(const sv1::Submit& submit) override {
    require(submit.extranonce2.size() == 4 && submit.user.size() < 100);
    require((submit.version_bits.value_or(0) & ~sv1::kVersionRollingMask) == 0);
    return std::nullopt;
  }
};

struct Outcome {
  std::string output;
  bool ended = false;
  bool operator==(const Outcome&) const = default;
};

Outcome run(Bytes input, std::size_t chunk) {
  sv1::Parser parser;
  Handler handler;
  sv1::Server server(parser, handler, "session");
  handler.server = &server;
  Outcome outcome;
  while (!input.empty() && !outcome.ended) {
    const Bytes arrived = input.first(std::min(chunk, input.size()));
    input = input.subspan(arrived.size());
    outcome.ended = !server.receive(arrived);
  }
  outcome.output = server.output();
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  Bytes input(data + 1, size - 1);
  std::string composed;
  if (data[0] >= 64) {  // Below: raw bytes, so that the seeds read as what they are.
    fuzz::Source source(input);
    while (!source.empty()) composed += fuzz::miner_line(source, 0x6553f164);
    input = as_bytes(composed);
  }
  const Outcome whole = run(input, input.size());
  require(run(input, data[0] % 64 + 1U) == whole);

  sv1::Parser parser;
  std::string_view rest = whole.output;
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    require(end != std::string_view::npos && parser.from_server(rest.substr(0, end)).has_value());
    rest.remove_prefix(end + 1);
  }
  return 0;
}
