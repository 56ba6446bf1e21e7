#include "monitor/webhook.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancel_after.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/ssl/impl/src.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/json/serialize.hpp>

#include "base/number.h"
#include "log/log.h"
#include "monitor/json.h"
#include "net/error.h"

namespace adit::monitor {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;
using tcp = asio::ip::tcp;

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kMostText = 1500;  // Of what a receiver takes, Discord the least: 2,000 characters.

struct Url {
  bool tls = false;
  std::string host;
  std::string port;
  std::string target;  ///< Path and query.
};

std::optional<Url> parse(std::string_view text) {
  Url url;
  if (text.starts_with("https://")) {
    url.tls = true;
    text.remove_prefix(8);
  } else if (text.starts_with("http://")) {
    text.remove_prefix(7);
  } else {
    return std::nullopt;
  }
  const auto end = std::min(text.find_first_of("/?#"), text.size());
  std::string_view authority = text.substr(0, end);
  std::string_view rest = text.substr(end);
  rest = rest.substr(0, rest.find('#'));
  url.target = rest.starts_with('/') ? std::string(rest) : "/" + std::string(rest);
  if (authority.find('@') != std::string_view::npos) return std::nullopt;
  const auto bracket = authority.find(']');
  const auto colon = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
  url.port = url.tls ? "443" : "80";
  if (colon != std::string_view::npos) {
    const auto port = number_from<std::uint16_t>(authority.substr(colon + 1));
    if (!port || *port == 0) return std::nullopt;
    url.port = std::to_string(*port);
    authority = authority.substr(0, colon);
  }
  if (authority.starts_with('[') && authority.ends_with(']')) authority = authority.substr(1, authority.size() - 2);
  url.host = std::string(authority);
  const bool plain = std::ranges::all_of(url.host + url.target, [](char c) { return c > ' ' && c < 0x7f; });
  if (url.host.empty() || !plain) return std::nullopt;
  return url;
}

std::string shown(const Url& url) { return (url.tls ? "https://" : "http://") + url.host + ":" + url.port; }

/// Cut behind a whole character.
std::string short_text(std::string_view text) {
  const auto mended = json::text(text);
  std::string out(mended.data(), mended.size());
  if (out.size() <= kMostText) return out;
  std::size_t end = kMostText;
  while (end > 0 && (static_cast<unsigned char>(out[end]) & 0xc0) == 0x80) --end;
  out.resize(end);
  return out + "...";
}

/// What the other end thinks of it.
struct Verdict {
  bool taken = false;
  bool may_try_again = true;
  std::string message{};
};

constexpr std::string_view kTooLate = "no answer in time";

Verdict failed(std::string_view what, const error_code& error) {
  // The deadline cancels whatever is under way.
  if (error == asio::error::operation_aborted) return {.message = std::string(kTooLate)};
  return {.message = std::string(what) + ": " + error.message()};
}

/// As the Host header has it: the port where it is not the scheme's own.
std::string authority_of(const Url& url) {
  const std::string host = url.host.find(':') == std::string::npos ? url.host : "[" + url.host + "]";
  return url.port == (url.tls ? "443" : "80") ? host : host + ":" + url.port;
}

template <class Stream>
asio::awaitable<Verdict> exchange(Stream& stream, const Url& url, const WebhookRequest& content) {
  http::request<http::string_body> request(http::verb::post, url.target, 11);
  request.set(http::field::host, authority_of(url));
  request.set(http::field::user_agent, "adit");
  request.set(http::field::content_type, content.content_type);
  request.set(http::field::connection, "close");
  for (const auto& [name, value] : content.headers) request.set(name, value);
  request.body() = content.body;
  request.prepare_payload();
  if (const auto [error, size] = co_await http::async_write(stream, request, kTuple); error)
    co_return failed("the request could not be sent", error);
  boost::beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(64 * 1024);
  if (const auto [error, size] = co_await http::async_read_header(stream, buffer, parser, kTuple); error)
    co_return failed("no answer came", error);
  const unsigned status = parser.get().result_int();
  if (status >= 200 && status < 300) co_return Verdict{.taken = true};
  const bool later = status >= 500 || status == 429 || status == 408;
  co_return Verdict{.may_try_again = later, .message = "it answered " + std::to_string(status)};
}

asio::awaitable<Verdict> post(asio::ssl::context& tls, Url url, WebhookRequest content) {
  const auto executor = co_await asio::this_coro::executor;
  tcp::resolver resolver(executor);
  const auto [unresolved, found] = co_await resolver.async_resolve(url.host, url.port, kTuple);
  if (unresolved) co_return failed("its name leads nowhere", unresolved);
  asio::ssl::stream<tcp::socket> stream(executor, tls);
  if (const auto [error, endpoint] = co_await asio::async_connect(stream.next_layer(), found, kTuple); error)
    co_return failed("no connection", error);
  if (!url.tls) co_return co_await exchange(stream.next_layer(), url, content);
  error_code error;
  stream.set_verify_callback(asio::ssl::host_name_verification(url.host), error);
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-cstyle-cast): in the macro
  if (!error && SSL_set_tlsext_host_name(stream.native_handle(), url.host.c_str()) != 1) error = asio::error::invalid_argument;
  if (error) co_return failed("TLS", error);
  if (const auto [bad] = co_await stream.async_handshake(asio::ssl::stream_base::client, kTuple); bad)
    co_return failed("its certificate was not accepted", bad);
  co_return co_await exchange(stream, url, content);
}

}  // namespace

WebhookRequest webhook_request(const WebhookConfig& config, const Alert& alert) {
  const std::string title = (config.name.empty() ? "adit" : config.name) + (alert.over ? ": over" : ": alert");
  const std::string text = short_text(alert.text);
  switch (config.shape) {
    case WebhookShape::kNtfy:
      // Headers are ASCII.
      return {.content_type = "text/plain; charset=utf-8",
              .headers = {{"Title", title},
                          {"Priority", alert.over || alert.kind == AlertKind::kBlock ? "3" : "4"},
                          {"Tags", alert.over                        ? "white_check_mark"
                                   : alert.kind == AlertKind::kBlock ? "tada"
                                                                     : "warning"}},
              .body = text};
    case WebhookShape::kDiscord:
      // A miner's name calls nobody.
      return {.content_type = "application/json",
              .body = boost::json::serialize(json::object{{"content", title + ": " + text},
                                                          {"allowed_mentions", json::object{{"parse", json::array()}}}})};
    case WebhookShape::kTelegram:
      return {
          .content_type = "application/json",
          .body = boost::json::serialize(json::object{{"chat_id", json::text(config.chat_id)}, {"text", title + ": " + text}})};
    case WebhookShape::kJson:
      break;
  }
  return {.content_type = "application/json",
          .body = boost::json::serialize(json::object{{"role", json::text(config.name)},
                                                      {"kind", to_string(alert.kind)},
                                                      {"about", json::text(alert.about)},
                                                      {"text", text},
                                                      {"since", to_u32(alert.since)},
                                                      {"over", alert.over}})};
}

Result<std::string> webhook_host(const std::string& url) {
  if (const auto parsed = parse(url)) return shown(*parsed);
  return fail(net::Errc::kConfiguration, "a webhook's URL is http://HOST... or https://HOST..., without a user");
}

class Webhook::State {
 public:
  State(WebhookConfig config, Url url) : config_(std::move(config)), url_(std::move(url)) {
    error_code ignored;
    tls_.set_default_verify_paths(ignored);
    tls_.set_verify_mode(asio::ssl::verify_peer, ignored);
    thread_ = std::thread([this] { run(); });
  }
  ~State() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    context_.stop();
    thread_.join();
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  void send(const Alert& alert) {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() >= kMostWaiting) {
      waiting_.pop_front();
      lose("too many alerts wait: the oldest is given up");
    }
    waiting_.push_back(webhook_request(config_, alert));
    changed_.notify_all();
  }

  [[nodiscard]] Counters counters() const {
    const std::lock_guard lock(mutex_);
    return counters_;
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    bool cut_off = false;
    while (!cut_off) {
      changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      if (stopping_) break;
      const WebhookRequest request = std::move(waiting_.front());
      waiting_.pop_front();
      cut_off = !finish(request, lock);
    }
    if (const std::size_t left = waiting_.size() + (cut_off ? 1 : 0); left != 0) {
      counters_.lost += left;
      warn_of_loss("the monitor ends: " + std::to_string(left) + " that waited are given up");
    }
  }

  /// Sends until the receiver has it or it is lost. False: the stop came first. The mutex is held but while it waits.
  bool finish(const WebhookRequest& request, std::unique_lock<std::mutex>& lock) {
    Duration pause = config_.retry_first;
    for (unsigned attempt = 1;; ++attempt) {
      lock.unlock();
      const Verdict verdict = send_now(request);
      lock.lock();
      if (verdict.taken) {
        ++counters_.taken;
        return true;
      }
      if (stopping_) return false;
      if (!verdict.may_try_again || attempt >= config_.attempts) {
        lose(verdict.message);
        return true;
      }
      if (changed_.wait_for(lock, pause, [this] { return stopping_; })) return false;
      pause *= 4;
    }
  }

  /// With the mutex held.
  void lose(std::string_view why) {
    ++counters_.lost;
    warn_of_loss(why);
  }

  void warn_of_loss(std::string_view why) const {
    log::warn("monitor.alert_not_sent", {{"webhook", shown(url_)}, {"message", why}});
  }

  Verdict send_now(const WebhookRequest& request) {
    Verdict verdict{.message = std::string(kTooLate)};
    {
      // A stop that came before is kept: restart() would forget it.
      const std::lock_guard lock(mutex_);
      if (stopping_) return verdict;
      context_.restart();
    }
    asio::co_spawn(context_, post(tls_, url_, request),
                   asio::cancel_after(config_.deadline, [&verdict](const std::exception_ptr& thrown, Verdict found) {
                     if (!thrown) verdict = std::move(found);
                   }));
    context_.run();
    return verdict;
  }

  const WebhookConfig config_;
  const Url url_;
  asio::ssl::context tls_{asio::ssl::context::tls_client};
  asio::io_context context_{1};
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<WebhookRequest> waiting_;
  Counters counters_;
  bool stopping_ = false;
  std::thread thread_;
};

Result<std::unique_ptr<Webhook>> Webhook::start(WebhookConfig config) {
  auto url = parse(config.url);
  if (!url) return std::unexpected(webhook_host(config.url).error());
  return std::unique_ptr<Webhook>(new Webhook(std::make_unique<State>(std::move(config), *std::move(url))));
}

Webhook::Webhook(std::unique_ptr<State> state) : state_(std::move(state)) {}
Webhook::~Webhook() = default;

void Webhook::send(const Alert& alert) { state_->send(alert); }

Webhook::Counters Webhook::counters() const { return state_->counters(); }

}  // namespace adit::monitor
