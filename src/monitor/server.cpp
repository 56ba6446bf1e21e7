#include "monitor/server.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <thread>
#include <utility>

#include "base/text.h"
#include "log/format.h"
#include "log/log.h"
#include "monitor/metrics.h"

namespace adit::monitor {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr unsigned kHttp11 = 11;

using Request = http::request<http::string_body>;
using Response = http::response<http::string_body>;

Response respond(const Request& request, http::status status, std::string_view type, std::string body) {
  Response response(status, kHttp11);
  response.set(http::field::content_type, type);
  response.set(http::field::cache_control, "no-store");
  response.keep_alive(request.keep_alive());
  response.body() = std::move(body);
  response.prepare_payload();
  return response;
}

Response respond_error(const Request& request, http::status status, std::string_view sentence) {
  std::string body = "{\"error\":";
  append_json_string(body, sentence);
  return respond(request, status, "application/json", body + "}");
}

Response respond_health(const Request& request) {
  return respond(request, http::status::ok, "application/json",
                 "{\"status\":\"ok\",\"timestamp\":" + std::to_string(to_u32(now_from_system().unix_time)) + "}");
}

}  // namespace

// Everything below runs on the one thread, except listen, run, stop and the delivery of a snapshot. The coroutines refer to the
// State that owns their loop: it outlives them, because it joins the thread first and its loop destroys what still waits.
class Server::State : public std::enable_shared_from_this<State> {
 public:
  State(const Options& options, Pull pull)
      : options_(options),
        pull_(std::move(pull)),
        acceptor_(context_),
        arrived_(context_),
        started_(std::chrono::steady_clock::now()) {}

  Result<> listen() {
    const std::string name = options_.address.host + ":" + std::to_string(options_.address.port);
    error_code error;
    const auto ip = asio::ip::make_address(options_.address.host, error);
    if (error) return fail(net::Errc::kConfiguration, "monitoring_address " + name + ": the host must be an IP address");
    const tcp::endpoint endpoint(ip, options_.address.port);
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (!error) bound_ = acceptor_.local_endpoint(error);
    if (!error) return {};
    if (error == asio::error::address_in_use) {
      return fail(net::Errc::kAddressInUse,
                  "monitoring_address " + name + " is in use: stop the program that listens there, or choose another port");
    }
    const bool ours = error == asio::error::access_denied || error == boost::system::errc::address_not_available;
    return fail(ours ? net::Errc::kConfiguration : net::Errc::kInternal,
                "cannot listen on monitoring_address " + name + ": " + error.message());
  }

  void run() {
    asio::co_spawn(context_, accept(*this), asio::detached);
    thread_ = std::thread([this] { context_.run(); });
  }

  void stop() {
    if (!thread_.joinable()) return;
    context_.stop();
    thread_.join();
  }

  [[nodiscard]] const tcp::endpoint& bound() const { return bound_; }

 private:
  // A token of one connection; dropping it gives the place back.
  class Place {
   public:
    explicit Place(std::size_t& taken) : taken_(&taken) { ++*taken_; }
    ~Place() {
      if (taken_ != nullptr) --*taken_;
    }
    Place(Place&& other) noexcept : taken_(std::exchange(other.taken_, nullptr)) {}
    Place& operator=(Place&&) = delete;

   private:
    std::size_t* taken_;
  };

  static asio::awaitable<void> accept(State& self) {
    while (true) {
      auto [error, socket] = co_await self.acceptor_.async_accept(kTuple);
      if (error == asio::error::operation_aborted) co_return;
      if (error) {
        // Out of descriptors, most likely: waiting helps, trying at once does not.
        log::warn("monitor.accept_failed", {{"error", error.message()}});
        asio::steady_timer pause(self.context_, std::chrono::seconds(1));
        co_await pause.async_wait(kTuple);
        continue;
      }
      if (self.connections_ >= self.options_.max_connections) continue;
      asio::co_spawn(self.context_, serve(self, beast::tcp_stream(std::move(socket)), Place(self.connections_)),
                     asio::detached);
    }
  }

  static asio::awaitable<void> serve(State& self, beast::tcp_stream stream, Place place) {
    (void)place;
    beast::flat_buffer buffer(self.options_.max_header_bytes + 1024);
    bool more = true;
    while (more) {
      http::request_parser<http::string_body> parser;
      parser.header_limit(self.options_.max_header_bytes);
      parser.body_limit(0);
      stream.expires_after(self.options_.request_deadline);
      auto [error, size] = co_await http::async_read(stream, buffer, parser, kTuple);
      Response response;
      if (error == http::error::header_limit || error == http::error::buffer_overflow) {
        response =
            respond_error(parser.get(), http::status::request_header_fields_too_large, "the request's header is too large");
      } else if (error == http::error::body_limit) {
        response = respond_error(parser.get(), http::status::payload_too_large, "requests here have no body");
      } else if (error.category() == http::make_error_code(http::error::bad_method).category() &&
                 error != http::error::end_of_stream && error != http::error::partial_message) {
        response = respond_error(parser.get(), http::status::bad_request, "this is not HTTP");
      } else if (error) {
        co_return;
      } else {
        response = co_await answer(self, parser.get());
      }
      if (error) response.keep_alive(false);
      more = response.keep_alive();
      stream.expires_after(self.options_.request_deadline);
      auto [write_error, written] = co_await http::async_write(stream, response, kTuple);
      if (write_error) co_return;
    }
    error_code ignored;
    stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
  }

  static asio::awaitable<Response> answer(State& self, const Request& request) {
    std::string_view path(request.target().data(), request.target().size());
    path = path.substr(0, path.find('?'));
    if (path != "/metrics" && path != "/api/v1/health" && path != "/api/v1/connections" && path != "/api/v1/workers") {
      co_return respond_error(
          request, http::status::not_found,
          "there is no such page; there are /metrics, /api/v1/health, /api/v1/connections and /api/v1/workers");
    }
    if (request.method() != http::verb::get) {
      co_return respond_error(request, http::status::method_not_allowed, "only GET is served here");
    }
    if (path == "/api/v1/health") co_return respond_health(request);
    const auto snapshot = co_await self.snapshot();
    if (!snapshot) co_return respond_error(request, http::status::service_unavailable, "the role did not answer in time");
    if (path == "/api/v1/connections")
      co_return respond(request, http::status::ok, "application/json", connections_json(*snapshot));
    if (path == "/api/v1/workers") co_return respond(request, http::status::ok, "application/json", workers_json(*snapshot));
    const std::chrono::duration<double> uptime = std::chrono::steady_clock::now() - self.started_;
    co_return respond(request, http::status::ok, "text/plain; version=0.0.4; charset=utf-8",
                      metrics_text(*snapshot, uptime.count()));
  }

  // The cached one, or one that is asked for now; requests that come meanwhile wait for the same. Null after the deadline.
  asio::awaitable<std::shared_ptr<const Snapshot>> snapshot() {
    const auto now = std::chrono::steady_clock::now();
    if (cached_ && now - taken_at_ < options_.cache_refresh) co_return cached_;
    if (!pulling_) {
      pulling_ = true;
      arrived_.expires_after(options_.pull_deadline);
      pull_([weak = weak_from_this(), number = ++pulls_](Snapshot taken) {
        const auto self = weak.lock();
        if (!self) return;
        auto shared = std::make_shared<const Snapshot>(std::move(taken));
        asio::post(self->context_, [self = self.get(), number, shared = std::move(shared)]() mutable {
          self->arrive(number, std::move(shared));
        });
      });
    }
    const auto number = pulls_;
    co_await arrived_.async_wait(kTuple);
    if (delivered_ >= number) co_return cached_;
    pulling_ = false;
    co_return nullptr;
  }

  void arrive(std::uint64_t number, std::shared_ptr<const Snapshot> snapshot) {
    if (number <= delivered_) return;
    cached_ = std::move(snapshot);
    taken_at_ = std::chrono::steady_clock::now();
    delivered_ = number;
    if (number != pulls_) return;  // A late answer to a pull that was given up; another is under way.
    pulling_ = false;
    arrived_.cancel();
  }

  Options options_;
  Pull pull_;
  std::size_t connections_ = 0;  // Before the loop, whose end gives places back.
  asio::io_context context_{1};
  tcp::acceptor acceptor_;
  tcp::endpoint bound_;
  asio::steady_timer arrived_;
  std::thread thread_;
  std::chrono::steady_clock::time_point started_;

  std::shared_ptr<const Snapshot> cached_;
  std::chrono::steady_clock::time_point taken_at_;
  bool pulling_ = false;
  std::uint64_t pulls_ = 0;
  std::uint64_t delivered_ = 0;
};

Server::Server(std::shared_ptr<State> state) : state_(std::move(state)) {}
Server::~Server() { stop(); }

Result<std::unique_ptr<Server>> Server::start(const Options& options, Pull pull) {
  auto state = std::make_shared<State>(options, std::move(pull));
  ADIT_CHECK(state->listen());
  state->run();
  return std::unique_ptr<Server>(new Server(std::move(state)));
}

void Server::stop() { state_->stop(); }

std::uint16_t Server::port() const { return state_->bound().port(); }

std::string Server::address() const {
  const auto ip = state_->bound().address().to_string();
  return (state_->bound().address().is_v6() ? "[" + ip + "]" : ip) + ":" + std::to_string(port());
}

}  // namespace adit::monitor
