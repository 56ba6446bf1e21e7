// Calls to a Bitcoin node's JSON-RPC over HTTP, one connection each.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include <cstddef>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "template/rpc.h"

namespace adit::templates {

/// One call while it runs, so that somebody else on the same thread can end it.
class RpcCall {
 public:
  explicit RpcCall(const boost::asio::any_io_executor& executor) : socket_(executor), resolver_(executor), timer_(executor) {}

  /// The call fails with kUnreachable as soon as the loop runs again.
  void cut();

 private:
  friend class RpcClient;
  boost::asio::ip::tcp::socket socket_;
  boost::asio::ip::tcp::resolver resolver_;
  boost::asio::steady_timer timer_;
  bool timed_out_ = false;
};

/// Every member on one thread, that of the executor. The config must outlive it.
class RpcClient {
 public:
  explicit RpcClient(const RpcConfig& config) : config_(config) {}

  struct Limits {
    Duration deadline;                 ///< From the start to the end of the answer.
    bool long_poll = false;            ///< The deadline ends when the request is sent.
    std::size_t max_answer = 1 << 20;  ///< Bytes of the answer's body.
  };

  /// The call's `result`. Errors: kUnreachable, kTimedOut, kUnauthorized, kCookie, kBusy, kNonsense (not HTTP, not JSON, too
  /// large, nested too deep, another call's id); and by the node's error code kWarmingUp (-28), kInitialDownload (-10),
  /// kNoPeers (-9), kInvalidBlock
  /// (-22, -25, -26), kRefused (others).
  boost::asio::awaitable<Result<boost::json::value>> call(std::string method, boost::json::array params, Limits limits,
                                                          std::shared_ptr<RpcCall> running);

 private:
  boost::asio::awaitable<Result<>> connect(RpcCall& running) const;
  [[nodiscard]] Result<std::string> authorization() const;
  [[nodiscard]] std::string address() const;

  const RpcConfig& config_;
  std::uint64_t last_id_ = 0;
};

}  // namespace adit::templates
