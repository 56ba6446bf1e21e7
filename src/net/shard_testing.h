// What tests of drivers do on a shard.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <future>
#include <memory>
#include <type_traits>
#include <utility>

#include "net/shards.h"

namespace adit::net {

/// Runs the coroutine `task()` on the shard and waits for its value; at most a minute, for this machine may be busy.
template <class Task>
auto on(Shard& shard, Task task) {
  using Value = typename std::invoke_result_t<Task>::value_type;
  auto promise = std::make_shared<std::promise<Value>>();
  auto future = promise->get_future();
  shard.post([&shard, promise, task = std::move(task)]() mutable {
    shard.spawn(
        [](auto run, auto done) -> boost::asio::awaitable<void> { done->set_value(co_await run()); }(std::move(task), promise));
  });
  if (future.wait_for(std::chrono::minutes(1)) != std::future_status::ready) {
    ADD_FAILURE() << "the task did not end";
    std::abort();
  }
  return future.get();
}

}  // namespace adit::net
