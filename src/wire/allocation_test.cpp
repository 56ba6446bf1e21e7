// Decoding hands out views: whatever the message, and however long its lists, nothing is allocated.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "wire/messages.h"
#include "wire/test_support.h"

namespace {
std::size_t g_allocations = 0;
}

void* operator new(std::size_t size) {
  ++g_allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace adit::wire {
namespace {

template <class M>
class DecodingEveryMessage : public testing::Test {};
TYPED_TEST_SUITE(DecodingEveryMessage, test::AsTestTypes<AllMessages>::type, test::MessageNames);

/// Looks at every byte, through lists too.
template <class T>
std::size_t sum(const T& value) {
  if constexpr (requires { value.has_value(); }) {
    return value ? sum(*value) : 0;
  } else if constexpr (requires { value.bytes(); }) {
    return value.size();
  } else if constexpr (requires { value.wire_bytes(); }) {
    std::size_t all = 0;
    for (const auto& element : value) all += sum(element);
    return all;
  } else {
    return sizeof value;
  }
}

TYPED_TEST(DecodingEveryMessage, AllocatesNothingListsIncluded) {
  using M = TypeParam;
  for (std::uint32_t seed = 0; seed < 100; ++seed) {
    test::RandomMessages random(seed);
    const M message = random.template make<M>();
    std::vector<std::uint8_t> payload(encoded_size(message));
    encode_to(message, payload.data());
    const std::size_t before = g_allocations;
    const auto decoded = decode<M>(payload);
    std::size_t seen = 0;
    if (decoded) std::apply([&](const auto&... field) { ((seen += sum((*decoded).*field.member)), ...); }, M::kFields);
    const std::size_t made = g_allocations - before;
    ASSERT_TRUE(decoded);
    EXPECT_EQ(made, 0U) << to_string(message);
    EXPECT_EQ(seen == 0, payload.empty());
  }
}

}  // namespace
}  // namespace adit::wire
