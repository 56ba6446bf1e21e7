// HTTP/1.1 as the monitor speaks it: bytes to requests, answers to bytes. No I/O.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"

namespace adit::monitor {

/// What a client asks for. Its texts are the client's words.
struct Request {
  std::string method{};               ///< "GET".
  std::string path{};                 ///< Before '?', as sent: percent signs are not resolved.
  std::string query{};                ///< Behind '?'; empty: none.
  std::optional<std::string> host{};  ///< The Host header; a request of HTTP/1.0 may have none.
  std::string authorization{};        ///< Header fields as sent, empty where there are none: Authorization,
  std::string accept{};               ///< Accept,
  std::string accept_encoding{};      ///< Accept-Encoding,
  std::string if_none_match{};        ///< If-None-Match,
  std::string last_event_id{};        ///< and Last-Event-ID, which a browser sends when it comes back to a stream of events.
  bool keep_alive = true;             ///< Its connection may carry another request.
  bool http11 = true;                 ///< Else 1.0, which knows no chunks.
};

/// A body that comes in pieces for as long as the client stays, such as events. Used on the monitor's thread alone.
class BodyStream {
 public:
  virtual ~BodyStream() = default;
  /// What is to be sent now; empty: nothing yet. Absent: the body has ended. Asked for once a second at least.
  virtual std::optional<std::string> next(Instant now) = 0;
  /// Set by the server: to be called when next() would give something.
  std::function<void()> wake;
};

struct Response {
  unsigned status = 200;
  std::string content_type = "application/json";
  /// Besides Content-Type, Content-Length, Connection, and what every answer has (kCommonHeaders in http.cpp).
  std::vector<std::pair<std::string, std::string>> headers{};
  std::string body{};
  std::string_view built_in{};           ///< In place of `body` where it is not empty: it lives as long as the program does.
  std::shared_ptr<BodyStream> stream{};  ///< In place of both, if it is not null.

  [[nodiscard]] std::string_view content() const { return built_in.empty() ? std::string_view(body) : built_in; }
};

/// {"error": sentence}, as every route answers what it cannot do.
Response refuse(unsigned status, std::string_view sentence);

/// Turns the bytes of one connection into requests, one after the other.
class RequestReader {
 public:
  explicit RequestReader(std::size_t max_header_bytes);
  ~RequestReader();
  RequestReader(RequestReader&&) noexcept;
  RequestReader& operator=(RequestReader&&) = delete;

  /// Bytes as they came. To be followed by next() until that gives nothing: what is not used up yet is kept.
  void put(std::string_view bytes);
  /// A request, or what to answer to bytes that are none and after which the connection must be closed.
  struct Next {
    std::optional<Request> request;
    Response refusal;
  };
  /// Absent: more bytes are needed.
  std::optional<Next> next();

  /// Part of a request is here.
  [[nodiscard]] bool in_request() const;

 private:
  struct Parser;
  std::size_t max_header_bytes_;
  std::string buffer_;
  std::unique_ptr<Parser> parser_;
};

/// The status line and the headers of `response` to `request`, the blank line included. A body in pieces is announced as chunks
/// to a client of HTTP/1.1, and ends with the connection for one of 1.0.
std::string head_of(const Response& response, bool keep_alive, bool http11);

/// A piece of a body as one chunk; empty: the end of the body.
std::string chunk_of(std::string_view piece);

}  // namespace adit::monitor
