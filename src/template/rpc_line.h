// Calls to a Bitcoin node's JSON-RPC over HTTP.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "template/rpc_config.h"

namespace adit::templates {

/// One call at a time, over one descriptor that is kept from the first call on: a later one, on a new connection too, works
/// while this process has no descriptor left. All on the thread of the executor. A call keeps its line alive; the config must
/// outlive the executor's context.
class RpcLine : public std::enable_shared_from_this<RpcLine> {
  struct Private {};

 public:
  RpcLine(Private, const boost::asio::any_io_executor& executor, const RpcConfig& config)
      : config_(config), socket_(executor), resolver_(executor), timer_(executor) {}
  static std::shared_ptr<RpcLine> make(const boost::asio::any_io_executor& executor, const RpcConfig& config) {
    return std::make_shared<RpcLine>(Private(), executor, config);
  }
  RpcLine(const RpcLine&) = delete;
  RpcLine& operator=(const RpcLine&) = delete;

  struct Limits {
    Duration deadline;                 ///< From the start to the end of the answer.
    bool long_poll = false;            ///< The deadline ends when the request is sent.
    std::size_t max_answer = 1 << 20;  ///< Bytes of the answer's body.
    bool keep_open =
        false;  ///< The connection stays open for the next call, which begins anew without a word if it was closed.
  };

  /// The call's `result`. Errors: kUnreachable, kTimedOut, kUnauthorized, kNoCookie, kUnreadable, kBusy, kNonsense (not HTTP,
  /// not JSON, too large, nested too deep, another call's id); and by the node's error code kWarmingUp (-28), kInitialDownload
  /// (-10), kNoPeers (-9), kInvalidBlock (-22, -26), kRefused (others).
  boost::asio::awaitable<Result<boost::json::value>> call(std::string method, boost::json::array params, Limits limits);

  /// submitblock with the block's hexadecimal text, which is neither copied nor escaped; `owner` keeps it alive.
  boost::asio::awaitable<Result<boost::json::value>> submit_block(std::string_view hex, std::shared_ptr<const void> owner,
                                                                  Limits limits);

  /// Takes the descriptor ahead of the first call, if the node's host is an IP address. Nothing comes of it if that fails.
  void reserve();
  /// The same where the host is a name, for the family that `other` has reached it by.
  void reserve_as(const RpcLine& other);

  /// A call under way fails with kUnreachable as soon as the loop runs again.
  void cut();

  [[nodiscard]] bool connected() const { return connected_; }  ///< To its last knowledge: a call has left the connection open.

 private:
  struct Body;

  boost::asio::awaitable<Result<boost::json::value>> exchange(const Body& body, Limits limits);
  boost::asio::awaitable<Result<>> connect();
  boost::asio::awaitable<Result<>> resolve();
  boost::asio::awaitable<Result<boost::json::value>> receive(const Body& body, const Limits& limits, bool& heard);
  [[nodiscard]] Result<std::string> authorization();
  [[nodiscard]] Error broken(std::string_view method, std::string_view when, boost::system::error_code error) const;
  void set_options();
  void disconnect();

  const RpcConfig& config_;
  boost::asio::ip::tcp::socket socket_;
  boost::asio::ip::tcp::resolver resolver_;
  boost::asio::steady_timer timer_;
  std::vector<boost::asio::ip::tcp::endpoint> endpoints_;  ///< That its host stood for last.
  std::string last_cookie_;
  Duration deadline_{};
  std::uint64_t last_id_ = 0;
  std::uint64_t calls_ = 0;  ///< Begun and ended ones.
  bool connected_ = false;
  bool cut_ = false;
  bool timed_out_ = false;
};

}  // namespace adit::templates
