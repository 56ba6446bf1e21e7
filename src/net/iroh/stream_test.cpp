#include "net/iroh/stream.h"

#include <future>
#include <string>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/cancel_after.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/stream_traits.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/iroh/node_testing.h"

namespace adit::net {
namespace {

namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;
using testing::HasSubstr;
using namespace std::chrono_literals;
using namespace test;

static_assert(beast::is_async_read_stream<IrohStream>::value);
static_assert(beast::is_async_write_stream<IrohStream>::value);

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

/// Two nodes, and what one of them does with the stream that the other opens.
class IrohStreams : public IrohNodes {
 protected:
  using Side = std::function<asio::awaitable<Result<std::string>>(IrohStream& stream)>;

  /// Both sides' outcomes; each stream is closed when its side is done.
  struct Outcome {
    Result<std::string> dialler = fail(Errc::kInternal, "");
    Result<std::string> acceptor = fail(Errc::kInternal, "");
  };
  Outcome run(Side dialler, Side acceptor) {
    auto server = IrohNodeManager::start(shards_, loopback(1)), client = IrohNodeManager::start(shards_, loopback(2));
    EXPECT_TRUE(server && client);
    std::promise<Result<std::string>> accepted;
    EXPECT_TRUE((*server)->listen({session::kAlpnMining}, Admission({}), [&](Shard& shard, Link link, IrohCarrier::Place) {
      shard.spawn([](std::unique_ptr<ByteStream> owned, Side& side,
                     std::promise<Result<std::string>>& outcome) -> asio::awaitable<void> {
        outcome.set_value(co_await side(dynamic_cast<IrohStream&>(*owned)));
      }(std::move(link.stream), acceptor, accepted));
    }));
    Outcome outcome;
    outcome.dialler = run_on(
        shards_[0], [](IrohNodeManager& from, Shard& shard, IrohConfig to, Side& side) -> asio::awaitable<Result<std::string>> {
          ADIT_CO_TRY(const auto stream, co_await dial_stream(from, shard, to, 10s));
          co_return co_await side(dynamic_cast<IrohStream&>(*stream));
        }(**client, shards_[0], address_of(**server), dialler));
    outcome.acceptor = accepted.get_future().get();
    return outcome;
  }
};

Result<std::string> outcome_of(const error_code& error, std::string text) {
  if (error) return fail(Errc::kInternal, error.message());
  return text;
}

TEST_F(IrohStreams, ABeastHttpExchangeRunsOverOne) {
  const std::string page(200'000, 'p');
  const auto outcome = run(
      [](IrohStream& stream) -> asio::awaitable<Result<std::string>> {
        http::request<http::string_body> request(http::verb::post, "/page", 11);
        request.body() = std::string(100'000, 'q');
        request.prepare_payload();
        auto [error, size] = co_await http::async_write(stream, request, kAwait);
        if (error) co_return outcome_of(error, {});
        beast::flat_buffer buffer;
        http::response<http::string_body> response;
        std::tie(error, size) = co_await http::async_read(stream, buffer, response, kAwait);
        co_return outcome_of(error, response.body());
      },
      [&page](IrohStream& stream) -> asio::awaitable<Result<std::string>> {
        beast::flat_buffer buffer;
        http::request<http::string_body> request;
        auto [error, size] = co_await http::async_read(stream, buffer, request, kAwait);
        if (error) co_return outcome_of(error, {});
        http::response<http::string_body> response(http::status::ok, 11);
        response.body() = page;
        response.prepare_payload();
        std::tie(error, size) = co_await http::async_write(stream, response, kAwait);
        co_return outcome_of(error, std::string(request.target()) + " " + std::to_string(request.body().size()));
      });
  ASSERT_TRUE(outcome.dialler) << outcome.dialler.error().message();
  EXPECT_EQ(*outcome.dialler, page);
  ASSERT_TRUE(outcome.acceptor) << outcome.acceptor.error().message();
  EXPECT_EQ(*outcome.acceptor, "/page 100000");
}

TEST_F(IrohStreams, ADeadlineEndsAReadAndTheStreamGoesOn) {
  const auto outcome = run(
      [](IrohStream& stream) -> asio::awaitable<Result<std::string>> {
        std::string heard(5, '\0');
        auto [error, size] = co_await stream.async_read_some(asio::buffer(heard), asio::cancel_after(50ms, kAwait));
        if (error != asio::error::operation_aborted || size != 0) co_return fail(Errc::kInternal, "no deadline");
        // Nothing to read and no reader: the next one starts afresh.
        std::tie(error, size) = co_await asio::async_write(stream, asio::buffer("hello", 5), kAwait);
        if (error) co_return outcome_of(error, {});
        std::tie(error, size) = co_await asio::async_read(stream, asio::buffer(heard), kAwait);
        co_return outcome_of(error, heard);
      },
      [](IrohStream& stream) -> asio::awaitable<Result<std::string>> {
        std::string heard(5, '\0');
        auto [error, size] = co_await asio::async_read(stream, asio::buffer(heard), kAwait);
        if (error) co_return outcome_of(error, {});
        std::tie(error, size) = co_await asio::async_write(stream, asio::buffer(heard), kAwait);
        co_return outcome_of(error, heard);
      });
  ASSERT_TRUE(outcome.dialler) << outcome.dialler.error().message();
  EXPECT_EQ(*outcome.dialler, "hello");
}

TEST_F(IrohStreams, BuffersAreWrittenAsOneAndAFinishedHalfLeavesTheOtherOpen) {
  const auto outcome = run(
      [](IrohStream& stream) -> asio::awaitable<Result<std::string>> {
        const std::array<asio::const_buffer, 3> parts{asio::buffer("one,", 4), asio::buffer("", 0), asio::buffer("two", 3)};
        auto [error, size] = co_await asio::async_write(stream, parts, kAwait);
        if (error) co_return outcome_of(error, {});
        stream.finish();
        std::tie(error, size) = co_await stream.async_write_some(asio::buffer("x", 1), kAwait);
        if (error != asio::error::operation_aborted) co_return fail(Errc::kInternal, "a finished half takes bytes");
        std::string heard;
        std::tie(error, size) = co_await asio::async_read(stream, asio::dynamic_buffer(heard), kAwait);
        if (error != asio::error::eof) co_return outcome_of(error, "no end");
        co_return heard;
      },
      [](IrohStream& stream) -> asio::awaitable<Result<std::string>> {
        std::string heard;
        auto [error, size] = co_await asio::async_read(stream, asio::dynamic_buffer(heard), kAwait);
        if (error != asio::error::eof) co_return outcome_of(error, "no end");
        std::tie(error, size) = co_await asio::async_write(stream, asio::buffer("and back"), kAwait);
        stream.finish();
        (void)co_await stream.async_read_some(asio::buffer(heard), kAwait);
        co_return outcome_of(error, "one,two" == heard.substr(0, 7) ? "heard" : heard);
      });
  ASSERT_TRUE(outcome.dialler) << outcome.dialler.error().message();
  EXPECT_THAT(*outcome.dialler, HasSubstr("and back"));
  ASSERT_TRUE(outcome.acceptor) << outcome.acceptor.error().message();
  EXPECT_EQ(*outcome.acceptor, "heard");
}

TEST_F(IrohStreams, ResetAndStopReachThePeerWithTheirCodes) {
  const auto outcome = run(
      [](IrohStream& stream) -> asio::awaitable<Result<std::string>> {
        ADIT_CO_TRY(auto heard, co_await say(stream, "hello"));
        stream.reset_sending(CloseCode::kUnauthorized);
        if (const auto late = stream.try_write(as_bytes("x")); late || !late.error().is(Errc::kClosed))
          co_return fail(Errc::kInternal, "an abandoned half takes bytes");
        while (heard != "hello, still here") {  // reading goes on
          ADIT_CO_TRY(const auto more, co_await read_some(stream));
          heard += more;
        }
        co_return heard;
      },
      [](IrohStream& stream) -> asio::awaitable<Result<std::string>> {
        ADIT_CO_TRY(const auto greeting, co_await read_some(stream));
        ADIT_CO_CHECK(co_await write_all(stream, as_bytes(greeting)));
        ADIT_CO_CHECK(co_await write_all(stream, as_bytes(", still here")));
        const auto end = co_await read_some(stream);
        co_return end ? *end : end.error().message();
      });
  ASSERT_TRUE(outcome.dialler) << outcome.dialler.error().message();
  EXPECT_EQ(*outcome.dialler, "hello, still here");
  ASSERT_TRUE(outcome.acceptor);
  EXPECT_THAT(*outcome.acceptor, HasSubstr("(2, unauthorized)"));

  const auto stopped = run(
      [](IrohStream& stream) -> asio::awaitable<Result<std::string>> {
        ADIT_CO_CHECK(co_await write_all(stream, as_bytes("hello")));
        const std::vector<std::uint8_t> block(10'000, 1);
        for (;;) {
          const auto taken = co_await write_all(stream, block);
          if (!taken) co_return taken.error().message();
        }
      },
      [](IrohStream& stream) -> asio::awaitable<Result<std::string>> {
        ADIT_CO_TRY(const auto greeting, co_await read_some(stream));
        stream.stop_reading(CloseCode::kOverloaded);
        const auto end = co_await read_some(stream);
        const bool closed = !end && end.error().is(Errc::kClosed);
        // The stream lives until the peer has heard of it.
        (void)co_await write_all(stream, as_bytes("bye"));
        co_await sleep_for(200ms);
        co_return closed ? "closed" : "open";
      });
  ASSERT_TRUE(stopped.dialler);
  EXPECT_THAT(*stopped.dialler, HasSubstr("(4, overloaded)"));
  EXPECT_EQ(*stopped.acceptor, "closed");
}

TEST_F(IrohStreams, LargeDataIsReadWhereItArrived) {
  const auto outcome = run(
      [](IrohStream& stream) -> asio::awaitable<Result<std::string>> {
        ADIT_CO_CHECK(co_await write_all(stream, as_bytes(std::string(1'000'000, 'z'))));
        stream.finish();
        co_return co_await read_some(stream);
      },
      [](IrohStream& stream) -> asio::awaitable<Result<std::string>> {
        std::size_t all = 0, most = 0;
        bool right = true;
        for (;;) {
          const auto pieces = stream.try_read_pieces();
          if (!pieces && pieces.error().is(Errc::kWouldBlock)) {
            ADIT_CO_CHECK(co_await stream.wait_readable());
            continue;
          }
          if (!pieces && pieces.error().is(Errc::kEndOfStream)) break;
          if (!pieces) co_return fail(pieces.error());
          std::size_t together = 0;
          for (const auto part : pieces->parts()) {
            together += part.size();
            right = right && std::ranges::all_of(part, [](std::uint8_t byte) { return byte == 'z'; });
          }
          all += together;
          most = std::max(most, together);
        }
        ADIT_CO_CHECK(co_await write_all(stream, as_bytes("thanks")));
        stream.finish();
        (void)co_await stream.wait_readable();
        co_return std::string(right && most > 4096 ? "right " : "wrong ") + std::to_string(all);
      });
  ASSERT_TRUE(outcome.acceptor) << outcome.acceptor.error().message();
  EXPECT_EQ(*outcome.acceptor, "right 1000000");
  ASSERT_TRUE(outcome.dialler) << outcome.dialler.error().message();
  EXPECT_EQ(*outcome.dialler, "thanks");
}

TEST_F(IrohStreams, ClosingAndDestroyingEndWhatIsUnderWay) {
  const auto outcome = run(
      [](IrohStream& stream) -> asio::awaitable<Result<std::string>> {
        ADIT_CO_TRY(const auto greeted, co_await say(stream, "hello"));
        auto executor = stream.get_executor();
        asio::post(executor, [&stream] { stream.close(CloseCode::kShutdown); });
        std::array<std::uint8_t, 16> buffer;
        const auto [error, size] = co_await stream.async_read_some(asio::buffer(buffer), kAwait);
        co_return error.message();
      },
      [](IrohStream& stream) -> asio::awaitable<Result<std::string>> {
        ADIT_CO_TRY(const auto greeting, co_await read_some(stream));
        ADIT_CO_CHECK(co_await write_all(stream, as_bytes(greeting)));
        std::array<std::uint8_t, 16> buffer;
        const auto [error, size] = co_await stream.async_read_some(asio::buffer(buffer), kAwait);
        co_return error.message();
      });
  ASSERT_TRUE(outcome.dialler) << outcome.dialler.error().message();
  EXPECT_EQ(*outcome.dialler, error_code(asio::error::operation_aborted).message());
  // An orderly end of the connection.
  EXPECT_EQ(*outcome.acceptor, error_code(asio::error::eof).message());
}

}  // namespace
}  // namespace adit::net
