// A pool that says anything, raw or composed of what pools say, in any chunks, to a miner: the chunks change neither the work
// nor what the miner sends.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/require_testing.h"
#include "sv1/client.h"
#include "sv1_lines.h"

namespace {

using namespace adit;

class Handler final : public sv1::ClientHandler {
 public:
  void on_ready() override { ready = true; }
  void on_work(std::shared_ptr<const sv1::Work> work) override {
    require(work->difficulty > 0 && work->extranonce2_size <= 32);
    ++works;
  }
  void on_submit_answer(std::uint64_t, const sv1::RpcError*) override { require(false); }  // Nothing was submitted.

  bool ready = false;
  int works = 0;
};

struct Outcome {
  std::string output;
  bool ended = false;
  bool ready = false;
  int works = 0;
  bool operator==(const Outcome&) const = default;
};

Outcome run(Bytes input, std::size_t chunk) {
  Handler handler;
  sv1::Client client({.user = "user"}, handler);
  client.start();
  Outcome outcome;
  while (!input.empty() && !outcome.ended) {
    const Bytes arrived = input.first(std::min(chunk, input.size()));
    input = input.subspan(arrived.size());
    outcome.ended = !client.receive(arrived);
  }
  outcome.output = client.output();
  outcome.ready = handler.ready;
  outcome.works = handler.works;
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  Bytes input(data + 1, size - 1);
  std::string composed;
  if (data[0] >= 64) {  // Below: raw bytes, so that the seeds read as what they are.
    fuzz::Source source(input);
    while (!source.empty()) composed += fuzz::pool_line(source);
    input = as_bytes(composed);
  }
  require(run(input, data[0] % 64 + 1U) == run(input, input.size()));
  return 0;
}
