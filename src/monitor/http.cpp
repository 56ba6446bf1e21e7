#include "monitor/http.h"

#include <charconv>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/json/serialize.hpp>

#include "monitor/json.h"

namespace adit::monitor {
namespace {

namespace http = boost::beast::http;

/// With every answer: nothing of it is to be kept, guessed at, or shown inside another page.
constexpr std::string_view kCommonHeaders =
    "X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\nReferrer-Policy: no-referrer\r\n";

constexpr unsigned kHttp11 = 11;

}  // namespace

Response refuse(unsigned status, std::string_view sentence) {
  return {.status = status, .body = boost::json::serialize(json::error(sentence))};
}

struct RequestReader::Parser {
  explicit Parser(std::size_t max_header_bytes) {
    parser.header_limit(static_cast<std::uint32_t>(max_header_bytes));
    parser.body_limit(0);
    parser.eager(true);
  }
  http::request_parser<http::string_body> parser;
};

RequestReader::RequestReader(std::size_t max_header_bytes) : max_header_bytes_(max_header_bytes) {}
RequestReader::~RequestReader() = default;
RequestReader::RequestReader(RequestReader&&) noexcept = default;

void RequestReader::put(std::string_view bytes) { buffer_ += bytes; }
bool RequestReader::in_request() const { return !buffer_.empty() || parser_ != nullptr; }

std::optional<RequestReader::Next> RequestReader::next() {
  // A client may send empty lines before a request (RFC 9112 §2.2).
  if (parser_ == nullptr) buffer_.erase(0, buffer_.find_first_not_of("\r\n"));
  if (buffer_.empty() && parser_ == nullptr) return std::nullopt;
  if (parser_ == nullptr) parser_ = std::make_unique<Parser>(max_header_bytes_);
  auto& parser = parser_->parser;

  boost::system::error_code error;
  while (!error && !parser.is_done() && !buffer_.empty()) {
    const std::size_t used = parser.put(boost::asio::buffer(buffer_), error);
    buffer_.erase(0, used);
    if (used == 0) break;
  }
  if (error == http::error::need_more) error = {};
  if (!error && !parser.is_done() && buffer_.size() > max_header_bytes_) error = http::error::header_limit;
  if (!error && !parser.is_done()) return std::nullopt;

  if (error) {
    buffer_.clear();
    parser_.reset();
    if (error == http::error::header_limit || error == http::error::buffer_overflow)
      return Next{.request = {}, .refusal = refuse(431, "the request's header is too large")};
    if (error == http::error::body_limit) return Next{.request = {}, .refusal = refuse(413, "requests here have no body")};
    return Next{.request = {}, .refusal = refuse(400, "this is not HTTP/1.1")};
  }

  const auto& message = parser.get();
  const std::string_view target(message.target().data(), message.target().size());
  const auto question = target.find('?');
  Request request{.method = {message.method_string().data(), message.method_string().size()},
                  .path = std::string(target.substr(0, question)),
                  .query = std::string(question == std::string_view::npos ? "" : target.substr(question + 1)),
                  .host = {},
                  .keep_alive = message.keep_alive(),
                  .http11 = message.version() >= kHttp11};
  const auto field = [&message](auto name) {
    const auto value = message[name];
    return std::string(value.data(), value.size());
  };
  request.authorization = field(http::field::authorization);
  request.accept = field(http::field::accept);
  request.accept_encoding = field(http::field::accept_encoding);
  request.if_none_match = field(http::field::if_none_match);
  request.last_event_id = field("Last-Event-ID");
  const auto hosts = message.count(http::field::host);
  if (hosts != 0) {
    const auto host = message[http::field::host];
    request.host.emplace(host.data(), host.size());
  }
  parser_.reset();
  // RFC 9112 §3.2.
  if (hosts > 1 || (hosts == 0 && request.http11))
    return Next{.request = {}, .refusal = refuse(400, "a request has one Host header")};
  return Next{.request = std::move(request), .refusal = {}};
}

std::string head_of(const Response& response, bool keep_alive, bool http11) {
  const auto reason = http::obsolete_reason(static_cast<http::status>(response.status));
  std::string out = "HTTP/1.1 " + std::to_string(response.status) + " ";
  out.append(reason.data(), reason.size()).append("\r\n");
  const auto add = [&out](std::string_view name, std::string_view value) {
    out.append(name).append(": ").append(value).append("\r\n");
  };
  if (!response.content_type.empty()) add("Content-Type", response.content_type);
  bool cached = false;
  for (const auto& [name, value] : response.headers) {
    add(name, value);
    cached = cached || name == "Cache-Control";
  }
  if (!cached) add("Cache-Control", "no-store");
  out += kCommonHeaders;
  if (response.stream != nullptr) {
    if (http11) add("Transfer-Encoding", "chunked");
  } else if (response.status != 304) {
    add("Content-Length", std::to_string(response.content().size()));
  }
  add("Connection", keep_alive ? "keep-alive" : "close");
  return out + "\r\n";
}

std::string chunk_of(std::string_view piece) {
  char digits[16];
  std::string out(digits, std::to_chars(digits, digits + sizeof digits, piece.size(), 16).ptr);
  out += "\r\n";
  return out.append(piece).append("\r\n");
}

}  // namespace adit::monitor
