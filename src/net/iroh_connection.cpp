#include "net/iroh_connection.h"

namespace adit::net {

asio::awaitable<Result<std::span<const LaneFrame>>> IrohReadHalf::read() {
  ADIT_CO_TRY(const auto batch, co_await connection_->receive());
  frames_.clear();
  for (const auto& frame : batch) frames_.push_back({session::lane_rule(frame.header).lane, frame});
  co_return std::span<const LaneFrame>(frames_);
}

asio::awaitable<Result<IrohConnection>> IrohConnection::connect(IrohCarrier& iroh, Shard& shard, IrohConfig to,
                                                                wire::Protocol protocol,
                                                                std::optional<noise::PublicKey> authority, Duration deadline,
                                                                SessionOptions options) {
  ADIT_CO_TRY(Link link, co_await iroh.dial(shard, std::move(to), protocol, deadline));
  ADIT_CO_TRY(auto connection, co_await begin_session(shard, link, authority, options));
  co_return IrohConnection(std::move(connection));
}

asio::awaitable<Result<IrohConnection>> IrohConnection::accept(Shard& shard, Link link, Credentials& credentials,
                                                               SessionOptions options) {
  ADIT_CO_TRY(auto connection, co_await accept_session(shard, link, credentials, options));
  co_return IrohConnection(std::move(connection));
}

}  // namespace adit::net
