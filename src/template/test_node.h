// A node for tests: the embedded chain behind JSON-RPC on loopback, which can be told to misbehave.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/hex.h"
#include "template/chain.h"

namespace adit::templates::test {

namespace json = boost::json;

inline std::string http(int status, const std::string& body) {
  return "HTTP/1.1 " + std::to_string(status) +
         " X\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\nConnection: close\r\n\r\n" + body;
}

inline std::string rpc_result(const json::value& id, json::value result) {
  return http(200, json::serialize(json::object{{"result", std::move(result)}, {"error", nullptr}, {"id", id}}));
}

/// As Bitcoin Core sends an error: HTTP status 500.
inline std::string rpc_error(const json::value& id, int code, const std::string& message) {
  return http(
      500, json::serialize(json::object{{"result", nullptr}, {"error", {{"code", code}, {"message", message}}}, {"id", id}}));
}

/// getblocktemplate's answer for a template of the embedded chain.
inline json::object template_json(const Template& work) {
  json::array transactions;
  std::uint64_t fees = work.coinbase_value_sat - Chain::subsidy_sat(work.height);
  for (const auto& bytes : work.transactions) {
    const auto ids = bitcoin::transaction_ids(bytes);
    transactions.push_back(json::object{{"data", to_hex(bytes)},
                                        {"txid", to_hex_reversed(ids->txid)},
                                        {"hash", to_hex_reversed(ids->wtxid)},
                                        {"fee", std::exchange(fees, 0)}});  // The first one pays for all.
  }
  std::array<std::uint8_t, 4> bits;
  store_be(bits.data(), work.nbits);
  return {{"capabilities", {"proposal"}},
          {"version", work.version},
          {"rules", {"csv", "!segwit", "taproot"}},
          {"previousblockhash", to_hex_reversed(work.prev_hash)},
          {"transactions", std::move(transactions)},
          {"coinbaseaux", json::object{}},
          {"coinbasevalue", work.coinbase_value_sat},
          {"longpollid", to_hex_reversed(work.prev_hash) + "7"},
          {"mintime", work.min_ntime},
          {"curtime", work.current_time},
          {"bits", to_hex(bits)},
          {"height", work.height},
          {"default_witness_commitment", to_hex(work.coinbase_outputs.at(0).script)}};
}

/// What a misbehaviour refers to must outlive the node.
class TestNode {
 public:
  struct Request {
    std::string method;
    json::array params;
    json::value id;
    std::string authorization;
  };
  /// Raw bytes to answer with instead; empty text closes the connection without an answer; nullopt: behave.
  using Misbehaviour = std::function<std::optional<std::string>(const Request&)>;

  explicit TestNode(std::uint16_t port = 0) : acceptor_(context_, {boost::asio::ip::make_address("127.0.0.1"), port}) {
    thread_ = std::thread([this] { accept(); });
  }
  ~TestNode() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    // A connection to ourselves ends the blocking accept.
    boost::asio::io_context context;
    boost::asio::ip::tcp::socket knock(context);
    boost::system::error_code ignored;
    knock.connect(acceptor_.local_endpoint(), ignored);
    thread_.join();
    {
      const std::lock_guard lock(mutex_);
      boost::system::error_code ended;
      for (auto& connection : connections_) connection.socket.shutdown(boost::asio::ip::tcp::socket::shutdown_both, ended);
    }
    for (auto& connection : connections_) connection.thread.join();
  }
  TestNode(const TestNode&) = delete;
  TestNode& operator=(const TestNode&) = delete;

  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

  void misbehave(Misbehaviour how) {
    const std::lock_guard lock(mutex_);
    misbehaviour_ = std::move(how);
  }
  void behave() { misbehave({}); }

  /// Works on the chain while nobody else does; a changed tip ends long polls.
  template <class Work>
  auto with_chain(Work work) {
    const std::lock_guard lock(mutex_);
    auto result = work(chain_);
    changed_.notify_all();
    return result;
  }

  std::string network = "regtest";              ///< Set before the source starts.
  bool without_long_poll = false;               ///< Set before the source starts.
  bool has_height_wait = true;                  ///< Knows waitforblockheight, as btcd does not; set before the source starts.
  bool without_commitment = false;              ///< As btcd does for an empty template; set before the source starts.
  std::atomic<bool> closes_connections{false};  ///< Keeps none open, whatever its client asks for.
  /// Lays over the answer to getblocktemplate; set before the source starts, or under with_chain.
  std::function<void(json::object&)> change_template;

  std::size_t calls(const std::string& method) {
    const std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(std::count(methods_.begin(), methods_.end(), method));
  }

  /// Connections so far.
  std::size_t accepted() {
    const std::lock_guard lock(mutex_);
    return accepted_;
  }

 private:
  struct Connection {
    explicit Connection(boost::asio::ip::tcp::socket taken) : socket(std::move(taken)) {}
    boost::asio::ip::tcp::socket socket;
    std::thread thread;
  };

  static UnixTime now() { return now_from_system().unix_time; }

  void accept() {
    for (;;) {
      boost::asio::ip::tcp::socket socket(context_);
      boost::system::error_code error;
      acceptor_.accept(socket, error);
      std::unique_lock lock(mutex_);
      if (stopping_) return;
      if (error) {  // No descriptor is left in this process: the connection waits.
        changed_.wait_for(lock, std::chrono::milliseconds(1));
        continue;
      }
      ++accepted_;
      Connection& connection = connections_.emplace_back(std::move(socket));
      connection.thread = std::thread([this, &connection] {
        serve(connection.socket);
        const std::lock_guard closing(mutex_);
        boost::system::error_code ignored;
        connection.socket.close(ignored);
      });
    }
  }

  void serve(boost::asio::ip::tcp::socket& socket) {
    namespace http_ = boost::beast::http;
    boost::beast::flat_buffer buffer;
    boost::system::error_code error;
    for (;;) {
      http_::request_parser<http_::string_body> parser;
      parser.body_limit(16u << 20);
      http_::read(socket, buffer, parser, error);
      if (error) return;
      const json::value body = json::parse(parser.get().body());
      const Request request{std::string(body.at("method").as_string()), body.at("params").as_array(), body.at("id"),
                            std::string(parser.get()[http_::field::authorization])};
      std::string answer = respond(request);
      const std::size_t closes = answer.find("Connection: close\r\n");
      const bool keep_alive = parser.get().keep_alive() && closes != std::string::npos && !closes_connections;
      if (keep_alive) answer.replace(closes, 19, "Connection: keep-alive\r\n");
      boost::asio::write(socket, boost::asio::buffer(answer), error);
      if (!keep_alive) break;
    }
    socket.shutdown(boost::asio::ip::tcp::socket::shutdown_send, error);
    // What the other side still sends is read, or the close would reset the connection under the answer.
    std::array<char, 1024> rest;
    while (!error) socket.read_some(boost::asio::buffer(rest), error);
  }

  std::string respond(const Request& request) {
    std::unique_lock lock(mutex_);
    methods_.push_back(request.method);
    if (misbehaviour_) {
      const Misbehaviour how = misbehaviour_;
      lock.unlock();
      if (auto answer = how(request)) return *answer;
      lock.lock();
    }
    if (request.method == "getblockchaininfo") return rpc_result(request.id, json::object{{"chain", network}});
    if (request.method == "getbestblockhash") return rpc_result(request.id, json::value(to_hex_reversed(chain_.tip())));
    if (request.method == "getblockheader") return rpc_result(request.id, tip_header());
    if (request.method == "waitforblockheight" && has_height_wait) {
      const std::int64_t height = request.params.at(0).as_int64();
      changed_.wait(lock, [&] { return stopping_ || chain_.height() >= height; });
      if (stopping_) return "";
      return rpc_result(request.id, json::object{{"hash", to_hex_reversed(chain_.tip())}, {"height", chain_.height()}});
    }
    if (request.method == "preciousblock") return rpc_result(request.id, nullptr);
    if (request.method == "submitblock") {
      const auto bytes = from_hex(std::string_view(request.params.at(0).as_string()));
      const auto judgement = chain_.submit(*bytes, now());
      changed_.notify_all();
      return rpc_result(request.id, judgement.reason.empty() ? json::value(nullptr) : json::value(judgement.reason));
    }
    if (request.method != "getblocktemplate") return rpc_error(request.id, -32601, "Method not found");
    const json::object& options = request.params.at(0).as_object();
    if (const json::value* id = options.if_contains("longpollid")) {
      const std::string asked(id->as_string());
      changed_.wait(lock, [&] { return stopping_ || to_hex_reversed(chain_.tip()) + "7" != asked; });
      if (stopping_) return "";
    }
    json::object made = template_json(chain_.make_template(now()));
    if (without_long_poll) made.erase("longpollid");
    if (without_commitment) made.erase("default_witness_commitment");
    if (change_template) change_template(made);
    return rpc_result(request.id, std::move(made));
  }

  json::object tip_header() {
    const Template next = chain_.make_template(now());
    std::array<std::uint8_t, 4> bits;
    store_be(bits.data(), next.nbits);
    return {{"hash", to_hex_reversed(chain_.tip())},
            {"confirmations", 1},
            {"height", chain_.height()},
            {"time", chain_.blocks().back().ntime},
            {"mediantime", next.min_ntime - 1},
            {"bits", to_hex(bits)}};
  }

  boost::asio::io_context context_;
  boost::asio::ip::tcp::acceptor acceptor_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Chain chain_{Chain::Options{}};
  Misbehaviour misbehaviour_;
  std::vector<std::string> methods_;
  std::size_t accepted_ = 0;
  std::list<Connection> connections_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace adit::templates::test
