#include "template/rpc_line.h"

#include <netinet/tcp.h>
#include <sodium.h>
#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/json/monotonic_resource.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/stream_parser.hpp>

#include <array>
#include <cerrno>
#include <utility>

#include "base/file.h"
#include "template/error.h"

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

std::string base64(std::string_view text) {
  std::string encoded(sodium_base64_encoded_len(text.size(), sodium_base64_VARIANT_ORIGINAL), '\0');
  sodium_bin2base64(encoded.data(), encoded.size(), reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                    sodium_base64_VARIANT_ORIGINAL);
  encoded.pop_back();  // The terminating zero.
  return encoded;
}

std::unexpected<Error> node_error(const std::string& method, std::int64_t code, const std::string& words) {
  switch (code) {
    case -28:
      return fail(Errc::kWarmingUp, "the node is starting, which passes by itself: " + words);
    case -10:
      return fail(Errc::kInitialDownload,
                  "the node is still catching up with the chain and gives no work before, which passes by itself: " + words);
    case -9:
      return fail(Errc::kNoPeers,
                  "the node is not connected to any peer and gives no work: look after its network (" + words + ")");
    case -32601:
      return fail(Errc::kRefused, "the node does not know " + method + " (" + words +
                                      "): it must be a full node whose RPC allows mining, such as Bitcoin Core");
    case -22:
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

/// What to think of an answer that is HTTP and not JSON.
Error no_json(const std::string& method, const std::string& at, unsigned status, error_code error) {
  const std::string shown_status = " (HTTP status " + std::to_string(status) + ")";
  switch (status) {
    case 503:
      return {Errc::kBusy,
              "the node at " + at + " has too many calls under way, or a proxy in front does not reach it" + shown_status};
    case 502:
    case 504:
      return {Errc::kUnreachable,
              "a proxy answers at " + at + " and does not reach the node behind it" + shown_status + ": is the node running?"};
    case 404:
    case 405:
      return {Errc::kNonsense, "what answers at " + at + " takes no JSON-RPC at the path /" + shown_status +
                                   ": is that the node's RPC port, without a path, and no proxy that wants another one?"};
    default:
      return {Errc::kNonsense, "what answers " + method + " at " + at + shown_status + " is not JSON (" + error.message() +
                                   "): is that the node's RPC port?"};
  }
}

}  // namespace

/// The request in the pieces that it is sent in.
struct RpcLine::Body {
  std::string method;
  std::uint64_t id = 0;
  std::string head;
  std::string_view middle;
  std::string tail;

  [[nodiscard]] std::size_t size() const { return head.size() + middle.size() + tail.size(); }
};

void RpcLine::cut() {
  cut_ = true;
  error_code ignored;
  socket_.cancel(ignored);
  resolver_.cancel();
  timer_.cancel();
}

/// The descriptor stays, for the next connection.
void RpcLine::disconnect() {
  connected_ = false;
  if (!socket_.is_open()) return;
  sockaddr none{};
  none.sa_family = AF_UNSPEC;
  // Where a connection cannot be dissolved, the descriptor goes with it.
  error_code ignored;
  if (::connect(socket_.native_handle(), &none, sizeof none) != 0) socket_.close(ignored);
}

void RpcLine::reserve() {
  error_code error;
  const auto address = asio::ip::make_address(config_.host, error);
  if (error || socket_.is_open()) return;
  socket_.open(tcp::endpoint(address, config_.port).protocol(), error);
}

void RpcLine::reserve_as(const RpcLine& other) {
  error_code error;
  if (socket_.is_open() || !other.socket_.is_open()) return;
  const auto reached = other.socket_.local_endpoint(error);
  if (!error) socket_.open(reached.protocol(), error);
}

Result<std::string> RpcLine::authorization() {
  if (const auto* password = std::get_if<RpcPassword>(&config_.auth))
    return "Basic " + base64(password->user + ":" + password->password);
  const std::string file = std::get<RpcCookie>(config_.auth).file.string();
  auto cookie = FileSystem::real().read(file, kMaxCookie);
  if (!cookie) {
    const int error = cookie.error();
    // Without descriptors the last one is better than none.
    if ((error == EMFILE || error == ENFILE) && !last_cookie_.empty()) return "Basic " + base64(last_cookie_);
    const std::string what = "the node's cookie " + describe_file_error(file, "read", error);
    if (error == ENOENT || error == ENOTDIR) {
      return fail(Errc::kNoCookie,
                  what + "; the node writes it when it starts: is it running, and is this its data directory?");
    }
    if (error == EACCES || error == EPERM) {
      return fail(Errc::kUnreadable, what +
                                         ": start the node with -rpccookieperms=group and put this program's user into its "
                                         "group, or use rpcauth with `user` and `password_file`");
    }
    return fail(Errc::kUnreadable, what);
  }
  while (cookie->ends_with('\n') || cookie->ends_with('\r')) cookie->pop_back();
  if (cookie->find(':') == std::string::npos) {
    return fail(Errc::kUnreadable, file + " holds no cookie of a node (no colon in it): is this the right file?");
  }
  last_cookie_ = std::move(*cookie);
  return "Basic " + base64(last_cookie_);
}

Error RpcLine::broken(std::string_view method, std::string_view when, error_code error) const {
  if (timed_out_) {
    return {Errc::kTimedOut, "the node at " + node_name(config_) + " did not answer " + std::string(method) + " within " +
                                 std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(deadline_).count()) +
                                 " ms"};
  }
  return {Errc::kUnreachable, "the connection to the node at " + node_name(config_) + " broke while " + std::string(when) +
                                  ": " + (cut_ ? "it was cut off" : error.message())};
}

asio::awaitable<Result<>> RpcLine::resolve() {
  error_code error;
  if (const auto literal = asio::ip::make_address(config_.host, error); !error) {
    endpoints_ = {tcp::endpoint(literal, config_.port)};
    co_return Result<>{};
  }
  auto [resolve_error, found] = co_await resolver_.async_resolve(config_.host, std::to_string(config_.port), kWait);
  if (!resolve_error) {
    endpoints_.clear();
    for (const auto& entry : found) endpoints_.push_back(entry.endpoint());
  } else if (endpoints_.empty()) {
    co_return fail(Errc::kUnreachable, "the node's host '" + config_.host + "' cannot be resolved: " + resolve_error.message());
  }
  co_return Result<>{};
}

asio::awaitable<Result<>> RpcLine::connect() {
  ADIT_CO_CHECK(co_await resolve());
  error_code last;
  for (const tcp::endpoint& endpoint : std::vector(endpoints_)) {
    if (cut_) co_return fail(broken("", "connecting", {}));
    disconnect();
    error_code error;
    const auto same_family = [&] { return socket_.local_endpoint(error).protocol() == endpoint.protocol(); };
    if (socket_.is_open() && !same_family()) socket_.close(error);
    error.clear();
    if (!socket_.is_open()) socket_.open(endpoint.protocol(), error);
    if (error) {
      last = error;
      continue;
    }
    if (auto [connect_error] = co_await socket_.async_connect(endpoint, kWait); connect_error) {
      last = connect_error;
      continue;
    }
    if (cut_) break;
    set_options();
    connected_ = true;
    co_return Result<>{};
  }
  if (cut_) co_return fail(broken("", "connecting", {}));
  co_return fail(Errc::kUnreachable, "no node answers at " + node_name(config_) + " (" + last.message() +
                                         "): is it running, with its RPC server on?");
}

void RpcLine::set_options() {
  error_code ignored;
  socket_.set_option(tcp::no_delay(true), ignored);
  socket_.set_option(asio::socket_base::keep_alive(true), ignored);
  // A host that is gone is noticed within about ten seconds, whether or not something is under way.
  const auto set = [this](int option, int value) {
    ::setsockopt(socket_.native_handle(), IPPROTO_TCP, option, &value, sizeof value);
  };
#ifdef TCP_USER_TIMEOUT
  set(TCP_USER_TIMEOUT, 10'000);
#endif
#if defined(TCP_KEEPIDLE) && defined(TCP_KEEPINTVL) && defined(TCP_KEEPCNT)
  set(TCP_KEEPIDLE, 5);
  set(TCP_KEEPINTVL, 2);
  set(TCP_KEEPCNT, 3);
#endif
}

asio::awaitable<Result<json::value>> RpcLine::call(std::string method, json::array params, Limits limits) {
  Body body;
  body.id = ++last_id_;
  body.head =
      json::serialize(json::object{{"jsonrpc", "1.0"}, {"id", body.id}, {"method", method}, {"params", std::move(params)}});
  body.method = std::move(method);
  co_return co_await exchange(body, limits);
}

asio::awaitable<Result<json::value>> RpcLine::submit_block(std::string_view hex, std::shared_ptr<const void> owner,
                                                           Limits limits) {
  const auto alive = std::move(owner);
  Body body;
  body.method = "submitblock";
  body.id = ++last_id_;
  body.head = R"({"jsonrpc":"1.0","id":)" + std::to_string(body.id) + R"(,"method":"submitblock","params":[")";
  body.middle = hex;
  body.tail = R"("]})";
  co_return co_await exchange(body, limits);
}

asio::awaitable<Result<json::value>> RpcLine::exchange(const Body& body, Limits limits) {
  cut_ = false;
  timed_out_ = false;
  deadline_ = limits.deadline;
  timer_.expires_after(limits.deadline);
  timer_.async_wait([line = shared_from_this(), call = ++calls_](error_code error) {
    if (error || call != line->calls_) return;
    line->timed_out_ = true;
    line->cut();
  });
  // The connection is kept only by an answer that was read to its end. Also of a call that is dropped with its context.
  struct Ending {
    std::shared_ptr<RpcLine> line;
    bool keep = false;
    ~Ending() {
      line->timer_.cancel();
      ++line->calls_;  // A timer that ran out at this moment is not the next call's.
      if (!keep) line->disconnect();
    }
  } ending{shared_from_this()};

  ADIT_CO_TRY(const std::string authorization_header, authorization());
  const std::string header =
      "POST / HTTP/1.1\r\nHost: " + node_name(config_) + "\r\nAuthorization: " + authorization_header +
      "\r\nContent-Type: application/json\r\nConnection: " + (limits.keep_open ? "keep-alive" : "close") +
      "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n";
  for (;;) {
    const bool used_before = connected_;
    if (!connected_) {
      if (auto connected = co_await connect(); !connected) {
        if (timed_out_) co_return fail(broken(body.method, "connecting", {}));
        co_return fail(std::move(connected.error()));
      }
    }
    const std::array<asio::const_buffer, 4> pieces{asio::buffer(header), asio::buffer(body.head), asio::buffer(body.middle),
                                                   asio::buffer(body.tail)};
    bool heard = false;
    const auto [send_error, sent] = co_await asio::async_write(socket_, pieces, kWait);
    Result<json::value> answer = fail(broken(body.method, "sending " + body.method, send_error));
    if (!send_error && !cut_) {
      if (limits.long_poll) timer_.cancel();
      answer = co_await receive(body, limits, heard);
    }
    // A connection that was kept may have been closed by the node at any time.
    if (!answer && used_before && !heard && !cut_) {
      disconnect();
      continue;
    }
    ending.keep = connected_ && limits.keep_open && !cut_;
    co_return answer;
  }
}

/// `heard` is set as soon as anything of the answer came; connected_ is cleared unless the connection can be used again.
asio::awaitable<Result<json::value>> RpcLine::receive(const Body& body, const Limits& limits, bool& heard) {
  const std::string& method = body.method;
  const std::string at = node_name(config_);
  beast::flat_buffer buffer(kPieceSize + kMaxHeader);
  http::response_parser<http::buffer_body> parser;
  parser.header_limit(kMaxHeader);
  parser.body_limit(limits.max_answer);
  const auto unreadable = [&](error_code error) -> std::unexpected<Error> {
    connected_ = false;
    if (error == http::error::body_limit) {
      return fail(Errc::kNonsense,
                  "the node's answer to " + method + " is larger than " + std::to_string(limits.max_answer) + " bytes");
    }
    if (error.category() == http::make_error_code(http::error::bad_version).category() && error != http::error::end_of_stream &&
        error != http::error::partial_message) {
      return fail(Errc::kNonsense,
                  "what answers at " + at + " does not speak HTTP (" + error.message() + "): is that the node's RPC port?");
    }
    return fail(broken(method, "waiting for the answer to " + method, error));
  };
  if (auto [error, size] = co_await http::async_read_header(socket_, buffer, parser, kWait); error) {
    heard = error != http::error::end_of_stream && error != asio::error::connection_reset;
    co_return unreadable(error);
  }
  heard = true;
  const unsigned status = parser.get().result_int();
  if (status == 401 || status == 403) connected_ = false;
  if (status == 401) {
    co_return fail(Errc::kUnauthorized,
                   std::holds_alternative<RpcCookie>(config_.auth)
                       ? "the node at " + at + " refuses the cookie in " + std::get<RpcCookie>(config_.auth).file.string() +
                             ": is it that node's data directory?"
                       : "the node at " + at +
                             " refuses the RPC user or password: compare them with rpcuser and rpcpassword (or rpcauth) of its "
                             "configuration");
  }
  if (status == 403) {
    co_return fail(Errc::kUnauthorized,
                   "the node at " + at + " forbids " + method +
                       ": its option rpcallowip must name this machine's address, and rpcwhitelist, if there "
                       "is one for this user, the calls of mining");
  }
  json::stream_parser parsed(json::make_shared_resource<json::monotonic_resource>());
  std::vector<char> piece(kPieceSize);
  error_code json_error;
  while (!parser.is_done()) {
    parser.get().body().data = piece.data();
    parser.get().body().size = piece.size();
    auto [error, size] = co_await http::async_read(socket_, buffer, parser, kWait);
    if (error && error != http::error::need_buffer) co_return unreadable(error);
    if (!json_error) parsed.write(piece.data(), piece.size() - parser.get().body().size, json_error);
    if (json_error) break;
  }
  connected_ = parser.is_done() && parser.get().keep_alive() && buffer.size() == 0;
  if (!json_error) parsed.finish(json_error);
  if (json_error) co_return fail(no_json(method, at, status, json_error));
  co_return result_of(method, parsed.release(), body.id);
}

}  // namespace adit::templates
