#include "template/rpc_client.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/json/monotonic_resource.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/stream_parser.hpp>

#include <array>
#include <fstream>
#include <optional>
#include <vector>

#include "base/bytes.h"

namespace adit::templates {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
namespace json = boost::json;
using asio::ip::tcp;
using boost::system::error_code;

constexpr auto kWait = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kMaxHeader = 16 * 1024;
constexpr std::size_t kMaxCookie = 1024;
constexpr std::size_t kPieceSize = 64 * 1024;

// What the node said, as far as it can be shown in one line.
std::string shown(std::string_view words) {
  std::string line;
  for (char c : words.substr(0, 200)) line.push_back(c >= 32 && c <= 126 ? c : ' ');
  return line;
}

constexpr std::string_view kBase64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string base64(std::string_view text) {
  std::string encoded;
  for (std::size_t at = 0; at < text.size(); at += 3) {
    const std::string_view group = text.substr(at, 3);
    unsigned bits = 0;
    for (std::size_t i = 0; i < 3; ++i) bits = bits << 8 | (i < group.size() ? static_cast<unsigned char>(group[i]) : 0u);
    for (unsigned i = 0; i < 4; ++i) encoded.push_back(i <= group.size() ? kBase64Digits[bits >> (18 - 6 * i) & 63] : '=');
  }
  return encoded;
}

std::unexpected<Error> node_error(const std::string& method, std::int64_t code, const std::string& words) {
  switch (code) {
    case -28:
      return fail(Errc::kWarmingUp, "the node is starting: " + words);
    case -10:
      return fail(Errc::kInitialDownload, "the node is still catching up with the chain and gives no work before: " + words);
    case -9:
      return fail(Errc::kNoPeers, "the node is not connected to the network and gives no work: " + words);
    case -22:
    case -25:
    case -26:
      return fail(Errc::kInvalidBlock, words);
    default:
      return fail(Errc::kRefused, "the node answered " + method + " with error " + std::to_string(code) + ": " + words);
  }
}

// Takes the answer's parts out of {"result":…, "error":…, "id":…}.
Result<json::value> result_of(const std::string& method, json::value answer, std::uint64_t id) {
  json::object* object = answer.if_object();
  const json::value* answer_id = object == nullptr ? nullptr : object->if_contains("id");
  if (answer_id == nullptr) return fail(Errc::kNonsense, "the answer to " + method + " is not JSON-RPC: it has no 'id'");
  if (const json::value* error = object->if_contains("error"); error != nullptr && !error->is_null()) {
    const json::object* details = error->if_object();
    const json::value* code = details == nullptr ? nullptr : details->if_contains("code");
    const json::value* message = details == nullptr ? nullptr : details->if_contains("message");
    if (code == nullptr || !code->is_int64()) return fail(Errc::kNonsense, "the node's error to " + method + " has no code");
    return node_error(method, code->get_int64(),
                      message != nullptr && message->is_string() ? shown(message->get_string()) : "");
  }
  const bool same_id = (answer_id->is_uint64() && answer_id->get_uint64() == id) ||
                       (answer_id->is_int64() && answer_id->get_int64() == static_cast<std::int64_t>(id));
  json::value* result = object->if_contains("result");
  if (!same_id || result == nullptr)
    return fail(Errc::kNonsense,
                "the answer to " + method + " is not JSON-RPC: 'result' is missing, or 'id' is another call's");
  return std::move(*result);
}

}  // namespace

void RpcCall::cut() {
  error_code ignored;
  socket_.close(ignored);
  resolver_.cancel();
  timer_.cancel();
}

std::string RpcClient::address() const { return config_.host + ":" + std::to_string(config_.port); }

Result<std::string> RpcClient::authorization() const {
  if (const auto* password = std::get_if<RpcPassword>(&config_.auth))
    return "Basic " + base64(password->user + ":" + password->password);
  const auto& file = std::get<RpcCookie>(config_.auth).file;
  std::ifstream stream(file, std::ios::binary);
  std::string cookie(kMaxCookie, '\0');
  stream.read(cookie.data(), static_cast<std::streamsize>(cookie.size()));
  cookie.resize(static_cast<std::size_t>(stream.gcount()));
  while (!cookie.empty() && (cookie.back() == '\n' || cookie.back() == '\r')) cookie.pop_back();
  if (cookie.find(':') == std::string::npos) {
    return fail(Errc::kCookie, "no cookie in " + file.string() +
                                   ": the node writes it when it starts; is it running, and is this its data directory?");
  }
  return "Basic " + base64(cookie);
}

asio::awaitable<Result<>> RpcClient::connect(RpcCall& running) const {
  error_code error;
  std::vector<tcp::endpoint> endpoints;
  if (const auto literal = asio::ip::make_address(config_.host, error); !error) {
    endpoints.emplace_back(literal, config_.port);
  } else {
    auto [resolve_error, found] = co_await running.resolver_.async_resolve(config_.host, std::to_string(config_.port), kWait);
    if (resolve_error) {
      co_return fail(Errc::kUnreachable,
                     "the node's host '" + config_.host + "' cannot be resolved: " + resolve_error.message());
    }
    for (const auto& entry : found) endpoints.push_back(entry.endpoint());
  }
  auto [connect_error, endpoint] = co_await asio::async_connect(running.socket_, endpoints, kWait);
  if (connect_error) {
    co_return fail(Errc::kUnreachable, "no node answers at " + address() + " (" + connect_error.message() +
                                           "): is it running, with its RPC server on?");
  }
  running.socket_.set_option(tcp::no_delay(true), error);
  running.socket_.set_option(asio::socket_base::keep_alive(true), error);
  co_return Result<>{};
}

asio::awaitable<Result<json::value>> RpcClient::call(std::string method, json::array params, Limits limits,
                                                     std::shared_ptr<RpcCall> running) {
  ADIT_CO_TRY(const std::string authorization_header, authorization());
  running->timer_.expires_after(limits.deadline);
  running->timer_.async_wait([running](error_code error) {
    if (error) return;
    running->timed_out_ = true;
    running->cut();
  });
  // The timer's handler holds `running`; cancelling lets it go.
  struct CancelTimer {
    RpcCall& call;
    ~CancelTimer() { call.timer_.cancel(); }
  } cancel_timer{*running};
  const auto broken = [&](const std::string& when, error_code error) -> std::unexpected<Error> {
    if (running->timed_out_) {
      return fail(Errc::kTimedOut,
                  "the node at " + address() + " did not answer " + method + " within " +
                      std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(limits.deadline).count()) + " ms");
    }
    return fail(Errc::kUnreachable,
                "the connection to the node at " + address() + " broke while " + when + ": " + error.message());
  };

  if (auto connected = co_await connect(*running); !connected) {
    if (running->timed_out_) co_return broken("connecting", {});
    co_return fail(std::move(connected.error()));
  }
  const std::uint64_t id = ++last_id_;
  http::request<http::string_body> request(http::verb::post, "/", 11);
  request.set(http::field::host, address());
  request.set(http::field::authorization, authorization_header);
  request.set(http::field::content_type, "application/json");
  request.set(http::field::connection, "close");
  request.body() =
      json::serialize(json::object{{"jsonrpc", "1.0"}, {"id", id}, {"method", method}, {"params", std::move(params)}});
  request.prepare_payload();
  if (auto [error, size] = co_await http::async_write(running->socket_, request, kWait); error)
    co_return broken("sending " + method, error);
  if (limits.long_poll) running->timer_.cancel();

  beast::flat_buffer buffer(kPieceSize + kMaxHeader);
  http::response_parser<http::buffer_body> parser;
  parser.header_limit(kMaxHeader);
  parser.body_limit(limits.max_answer);
  const auto unreadable = [&](error_code error) -> std::unexpected<Error> {
    if (error == http::error::body_limit) {
      return fail(Errc::kNonsense,
                  "the node's answer to " + method + " is larger than " + std::to_string(limits.max_answer) + " bytes");
    }
    if (error.category() == http::make_error_code(http::error::bad_version).category() && error != http::error::end_of_stream &&
        error != http::error::partial_message) {
      return fail(Errc::kNonsense, "what answers at " + address() + " does not speak HTTP (" + error.message() +
                                       "): is that the node's RPC port?");
    }
    return broken("waiting for the answer to " + method, error);
  };
  if (auto [error, size] = co_await http::async_read_header(running->socket_, buffer, parser, kWait); error)
    co_return unreadable(error);
  const unsigned status = parser.get().result_int();
  if (status == 401) {
    co_return fail(Errc::kUnauthorized, std::holds_alternative<RpcCookie>(config_.auth)
                                            ? "the node at " + address() + " refuses the cookie in " +
                                                  std::get<RpcCookie>(config_.auth).file.string() +
                                                  ": is it that node's data directory?"
                                            : "the node at " + address() +
                                                  " refuses the RPC user or password: compare them with rpcuser and "
                                                  "rpcpassword (or rpcauth) of its configuration");
  }
  if (status == 403) {
    co_return fail(
        Errc::kUnauthorized,
        "the node at " + address() + " allows no calls from here: its option rpcallowip must name this machine's address");
  }
  if (status == 503) co_return fail(Errc::kBusy, "the node at " + address() + " has too many calls under way");

  json::stream_parser parsed(json::make_shared_resource<json::monotonic_resource>());
  std::vector<char> piece(kPieceSize);
  error_code json_error;
  while (!parser.is_done()) {
    parser.get().body().data = piece.data();
    parser.get().body().size = piece.size();
    auto [error, size] = co_await http::async_read(running->socket_, buffer, parser, kWait);
    if (error && error != http::error::need_buffer) co_return unreadable(error);
    if (!json_error) parsed.write(piece.data(), piece.size() - parser.get().body().size, json_error);
    if (json_error) break;
  }
  if (!json_error) parsed.finish(json_error);
  if (json_error) {
    co_return fail(Errc::kNonsense, "what answers " + method + " at " + address() + " (HTTP status " + std::to_string(status) +
                                        ") is not JSON (" + json_error.message() + "): is that the node's RPC port?");
  }
  co_return result_of(method, parsed.release(), id);
}

}  // namespace adit::templates
