// What the tests over iroh share: nodes on loopback, and the small coroutines that talk over a stream.
#pragma once

#include <algorithm>
#include <array>
#include <cstdlib>
#include <future>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "net/iroh/node.h"

namespace adit::net::test {

constexpr Duration kPatience = std::chrono::seconds(60);  // for what must happen; nothing is expected to take it

/// A node of its own key that binds nothing but loopback.
inline IrohNodeConfig loopback(std::uint8_t key) {
  IrohNodeConfig config;
  noise::Secret secret;
  std::ranges::fill(std::span(secret.data(), noise::Secret::kSize), key);
  config.secret_key = std::make_shared<const noise::Secret>(std::move(secret));
  config.bind = {"127.0.0.1:0"};
  return config;
}

inline IrohConfig address_of(const IrohNodeManager& node) {
  IrohConfig config;
  config.endpoint_id = node.endpoint_id();
  config.addrs = node.local_addresses();
  return config;
}

/// What `task` came to, run on `shard`.
template <class T>
T run_on(Shard& shard, asio::awaitable<T> task) {
  std::promise<T> promise;
  auto future = promise.get_future();
  shard.post([&] {
    shard.spawn([](asio::awaitable<T> inner, std::promise<T>& outcome) -> asio::awaitable<void> {
      outcome.set_value(co_await std::move(inner));
    }(std::move(task), promise));
  });
  // The coroutine refers to this frame: there is no way out but its end.
  if (future.wait_for(kPatience) != std::future_status::ready) std::abort();
  return future.get();
}

inline asio::awaitable<Result<void>> write_all(ByteStream& stream, Bytes bytes) {
  while (!bytes.empty()) {
    const auto taken = stream.try_write(bytes);
    if (taken) {
      bytes = bytes.subspan(*taken);
    } else if (taken.error().is(Errc::kWouldBlock)) {
      ADIT_CO_CHECK(co_await stream.wait_writable());
    } else {
      co_return fail(taken.error());
    }
  }
  co_return Result<void>();
}

/// Some bytes, or how the stream ended.
inline asio::awaitable<Result<std::string>> read_some(ByteStream& stream) {
  for (;;) {
    std::array<std::uint8_t, 4096> buffer;
    const auto got = stream.try_read(buffer);
    if (got) co_return std::string(as_text(Bytes(buffer).first(*got)));
    if (!got.error().is(Errc::kWouldBlock)) co_return fail(got.error());
    ADIT_CO_CHECK(co_await stream.wait_readable());
  }
}

/// Echoes until the peer finishes, then finishes.
inline asio::awaitable<void> echo(std::unique_ptr<ByteStream> stream) {
  for (;;) {
    auto got = co_await read_some(*stream);
    if (!got) {
      stream->finish();
      (void)co_await stream->wait_readable();
      co_return;
    }
    if (!co_await write_all(*stream, as_bytes(*got))) co_return;
  }
}

/// Sends `text` and reads it back; the stream stays open.
inline asio::awaitable<Result<std::string>> say(ByteStream& stream, std::string text) {
  ADIT_CO_CHECK(co_await write_all(stream, as_bytes(text)));
  std::string heard;
  while (heard.size() < text.size()) {
    ADIT_CO_TRY(const auto more, co_await read_some(stream));
    heard += more;
  }
  co_return heard;
}

/// A dial for one bi stream of a connection of its own, whatever the peer could have instead.
inline asio::awaitable<Result<std::unique_ptr<ByteStream>>> dial_stream(IrohNodeManager& from, Shard& shard, IrohConfig to,
                                                                        Duration deadline) {
  if (to.alpn.empty()) to.alpn = session::kAlpnMining;
  ADIT_CO_TRY(auto link, co_await from.dial(shard, to, wire::Protocol::kMining, deadline));
  co_return std::move(link.stream);
}

/// Dials from `shard` and says `text` there once.
inline Result<std::string> dial_and_say(IrohNodeManager& from, Shard& shard, const IrohConfig& to, std::string text) {
  return run_on(
      shard,
      [](IrohNodeManager& node, Shard& here, IrohConfig target, std::string words) -> asio::awaitable<Result<std::string>> {
        ADIT_CO_TRY(const auto stream, co_await dial_stream(node, here, target, std::chrono::seconds(10)));
        co_return co_await say(*stream, std::move(words));
      }(from, shard, to, std::move(text)));
}

}  // namespace adit::net::test
