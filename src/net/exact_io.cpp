#include "net/exact_io.h"

#include "net/error.h"

namespace adit::net {

boost::asio::awaitable<Result<void>> read_exactly(ByteStream& stream, MutableBytes into, std::size_t& got) {
  while (got < into.size()) {
    const auto count = stream.try_read(into.subspan(got));
    if (count) {
      got += *count;
    } else if (!count.error().is(Errc::kWouldBlock)) {
      co_return fail(count.error());
    } else {
      ADIT_CO_CHECK(co_await stream.wait_readable());
    }
  }
  co_return Result<void>();
}

boost::asio::awaitable<Result<void>> write_all(ByteStream& stream, Bytes from) {
  while (!from.empty()) {
    const auto count = stream.try_write(from);
    if (count) {
      from = from.subspan(*count);
    } else if (!count.error().is(Errc::kWouldBlock)) {
      co_return fail(count.error());
    } else {
      ADIT_CO_CHECK(co_await stream.wait_writable());
    }
  }
  co_return Result<void>();
}

}  // namespace adit::net
