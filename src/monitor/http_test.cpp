#include "monitor/http.h"

#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "monitor/router.h"

namespace adit::monitor {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::vector<RequestReader::Next> read(std::string_view bytes, std::size_t chunk = 1 << 20) {
  RequestReader reader(8192);
  std::vector<RequestReader::Next> all;
  while (!bytes.empty()) {
    reader.put(bytes.substr(0, chunk));
    bytes.remove_prefix(std::min(chunk, bytes.size()));
    while (auto next = reader.next()) all.push_back(std::move(*next));
  }
  return all;
}

TEST(RequestReader, ReadsRequestsOneAfterTheOtherInAnyPieces) {
  constexpr std::string_view kTwo =
      "\r\nGET /api/v1/workers?offset=2&limit=3 HTTP/1.1\r\nHost: a:1\r\n\r\nHEAD /metrics HTTP/1.0\r\nConnection: "
      "close\r\n\r\n";
  for (const std::size_t chunk : {std::size_t{1}, std::size_t{7}, kTwo.size()}) {
    const auto all = read(kTwo, chunk);
    ASSERT_EQ(all.size(), 2u) << chunk;
    ASSERT_TRUE(all[0].request && all[1].request);
    EXPECT_EQ(all[0].request->method, "GET");
    EXPECT_EQ(all[0].request->path, "/api/v1/workers");
    EXPECT_EQ(all[0].request->query, "offset=2&limit=3");
    EXPECT_EQ(all[0].request->host, "a:1");
    EXPECT_TRUE(all[0].request->keep_alive);
    EXPECT_TRUE(all[0].request->http11);
    EXPECT_EQ(all[1].request->method, "HEAD");
    EXPECT_EQ(all[1].request->host, std::nullopt);
    EXPECT_FALSE(all[1].request->keep_alive);
    EXPECT_FALSE(all[1].request->http11);
  }
}

TEST(RequestReader, HandsOverTheAuthorizationAsItWasSent) {
  const auto all = read("GET / HTTP/1.1\r\nHost: a\r\nauthorization:  Bearer x y \r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_EQ(all.size(), 2u);
  ASSERT_TRUE(all[0].request && all[1].request);
  EXPECT_EQ(all[0].request->authorization, "Bearer x y");
  EXPECT_EQ(all[1].request->authorization, "");
}

TEST(RequestReader, RefusesWhatItMustNotGuessAt) {
  const auto status = [](std::string_view bytes) -> unsigned {
    const auto all = read(bytes);
    return all.empty() || all[0].request ? 0 : all[0].refusal.status;
  };
  EXPECT_EQ(status("\x01\x02garbage\r\n\r\n"), 400u);
  EXPECT_EQ(status("GET / HTTP/1.1\r\n\r\n"), 400u) << "no Host";
  EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), 400u);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"), 413u);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), 413u);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400u);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(9000, 'x')), 431u) << "and it has not ended";
  EXPECT_EQ(status("GET /" + std::string(9000, 'x')), 431u);
}

TEST(RequestReader, KeepsNoMoreThanOneHeaderOfARequestThatDoesNotEnd) {
  RequestReader reader(8192);
  EXPECT_FALSE(reader.in_request());
  std::size_t put = 0;
  std::optional<RequestReader::Next> next;
  for (; !next && put < 100'000; put += 16) {
    reader.put("X-Header: value\n");
    next = reader.next();
    if (!next) EXPECT_TRUE(reader.in_request());
  }
  ASSERT_TRUE(next);
  EXPECT_LE(put, 8192u + 4096u);
}

TEST(Response, HasItsLengthAndSaysWhatBecomesOfTheConnection) {
  const Response response{.content_type = "text/plain", .body = "hello"};
  EXPECT_EQ(head_of(response, true, true),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
            "X-Frame-Options: DENY\r\nReferrer-Policy: no-referrer\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_THAT(head_of(response, false, true), HasSubstr("\r\nConnection: close\r\n"));
  EXPECT_THAT(head_of(refuse(404, "no \"page\""), true, true), StartsWith("HTTP/1.1 404 Not Found\r\n"));
  EXPECT_EQ(refuse(404, "no \"page\"").body, "{\"error\":\"no \\\"page\\\"\"}");
}

TEST(Response, MayBeBuiltInWithHeadersOfItsOwn) {
  const Response page{
      .content_type = "text/html", .headers = {{"Cache-Control", "no-cache"}, {"Content-Encoding", "gzip"}}, .built_in = "<p>"};
  const std::string head = head_of(page, true, true);
  EXPECT_THAT(head, HasSubstr("Cache-Control: no-cache\r\nContent-Encoding: gzip\r\n"));
  EXPECT_THAT(head, Not(HasSubstr("no-store")));
  EXPECT_THAT(head, HasSubstr("Content-Length: 3\r\n"));
  EXPECT_EQ(page.content(), "<p>");
}

class Never final : public BodyStream {
 public:
  std::optional<std::string> next(Instant) override { return std::nullopt; }
};

TEST(Response, ABodyInPiecesGoesInChunksOrEndsWithTheConnection) {
  const Response response{.content_type = "text/event-stream", .stream = std::make_shared<Never>()};
  EXPECT_THAT(head_of(response, true, true), HasSubstr("Transfer-Encoding: chunked\r\n"));
  EXPECT_THAT(head_of(response, true, true), Not(HasSubstr("Content-Length")));
  EXPECT_THAT(head_of(response, false, false), Not(HasSubstr("Transfer-Encoding")));
  EXPECT_EQ(chunk_of("0123456789abcdef"), "10\r\n0123456789abcdef\r\n");
  EXPECT_EQ(chunk_of(""), "0\r\n\r\n");
}

Request of(std::string method, std::string path) {
  return {.method = std::move(method), .path = std::move(path), .query = {}, .host = {}};
}

Route route(std::string_view method, std::string_view pattern) {
  return {.method = method, .pattern = pattern, .description = "", .answer = [](const Call&) { return Response{}; }};
}

TEST(Router, FindsARouteByItsPatternAndHandsOverWhatStandsInItsPlace) {
  const Router router(
      {route("GET", "/"), route("GET", "/clients"), route("GET", "/clients/{id}"), route("GET", "/clients/{id}/channels")});
  const auto arguments = [&](const std::string& path) -> std::optional<std::vector<std::string>> {
    const Request request = of("GET", path);
    const auto found = router.find(request);
    const auto* const match = std::get_if<Router::Match>(&found);
    if (match == nullptr) return std::nullopt;
    std::vector<std::string> all{std::string(match->route->pattern)};
    all.insert(all.end(), match->arguments.begin(), match->arguments.end());
    return all;
  };
  EXPECT_THAT(arguments("/").value(), ElementsAre("/"));
  EXPECT_THAT(arguments("/clients").value(), ElementsAre("/clients"));
  EXPECT_THAT(arguments("/clients/7").value(), ElementsAre("/clients/{id}", "7"));
  EXPECT_THAT(arguments("/clients/7/channels").value(), ElementsAre("/clients/{id}/channels", "7"));
  for (const char* path : {"", "*", "clients", "//", "/clients/", "/clients//channels", "/clients/7/", "/clients/7/channels/",
                           "/client", "http://a/clients", "/Clients", "/clients/7/channel"}) {
    EXPECT_EQ(arguments(path), std::nullopt) << path;
  }
}

TEST(Router, SaysWhatThereIsAndByWhichMethods) {
  const Router router({route("GET", "/a"), route("POST", "/a"), route("GET", "/b")});
  const auto refusal = [&](std::string method, std::string path) {
    const Request request = of(std::move(method), std::move(path));
    const auto found = router.find(request);
    const auto* const response = std::get_if<Response>(&found);
    return response == nullptr ? Response{} : *response;
  };
  EXPECT_EQ(refusal("GET", "/c").status, 404u);
  EXPECT_THAT(refusal("GET", "/c").body, HasSubstr("there are /a, /b"));
  EXPECT_EQ(refusal("DELETE", "/a").status, 405u);
  EXPECT_THAT(refusal("DELETE", "/a").headers, ElementsAre(testing::Pair("Allow", "GET, HEAD, POST")));
  EXPECT_EQ(refusal("HEAD", "/a").status, 200u) << "found";
}

}  // namespace
}  // namespace adit::monitor
