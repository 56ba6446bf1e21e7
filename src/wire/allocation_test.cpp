// Decoding hands out views: whatever the message, and however long its lists, nothing is allocated.
#include <gtest/gtest.h>

#include "base/allocations_testing.h"
#include "wire/messages.h"
#include "wire/test_support.h"

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
    allocations::made = 0;
    allocations::count_this_thread = true;
    const auto decoded = decode<M>(payload);
    std::size_t seen = 0;
    if (decoded) std::apply([&](const auto&... field) { ((seen += sum((*decoded).*field.member)), ...); }, M::kFields);
    allocations::count_this_thread = false;
    ASSERT_TRUE(decoded);
    EXPECT_EQ(allocations::made, 0) << to_string(message) << '\n' << allocations::first_of_them();
    EXPECT_EQ(seen == 0, payload.empty());
  }
}

TEST(Allocations, AreCounted) {
  allocations::made = 0;
  allocations::count_this_thread = true;
  const std::vector<int> one(1000);
  allocations::count_this_thread = false;
  EXPECT_EQ(allocations::made, 1) << one.size();
}

}  // namespace
}  // namespace adit::wire
