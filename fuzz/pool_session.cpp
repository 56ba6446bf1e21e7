// A client of the pool that does anything in any order: opens, shares, closes, garbage, across jobs and tips. The session must
// agree with a model of the rules on every share, and lose or double none.
#include <cstddef>
#include <cstdint>

#include "mining/server_model_testing.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  adit::mining::testing::SessionModel(adit::Bytes(data, size)).run();
  return 0;
}
