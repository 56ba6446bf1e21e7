// What tests over every message share, here and against other implementations.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "wire/messages.h"
#include "wire/random_messages.h"

namespace adit::wire::test {

template <class List>
struct AsTestTypes;
template <class... M>
struct AsTestTypes<MessageList<M...>> {
  using type = testing::Types<M...>;
};
struct MessageNames {
  template <class M>
  static std::string GetName(int) {
    std::string name(M::kName);
    std::erase(name, '.');
    return name;
  }
};

}  // namespace adit::wire::test
