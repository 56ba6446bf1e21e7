#include "monitor/server.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/cancel_after.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "log/limited.h"
#include "log/log.h"
#include "log/warnings.h"
#include "monitor/alerts.h"
#include "monitor/api.h"
#include "monitor/history_keeper.h"
#include "monitor/machine.h"
#include "monitor/webhook.h"
#include "net/admission.h"

namespace adit::monitor {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
/// How often the role is asked for its health, and a body in pieces for the next one.
constexpr Duration kTick = std::chrono::seconds(1);

std::string text_of(const tcp::endpoint& endpoint) {
  const auto ip = endpoint.address().to_string();
  return (endpoint.address().is_v6() ? "[" + ip + "]" : ip) + ":" + std::to_string(endpoint.port());
}

bool is_exhausted(const error_code& error) {
  return error == asio::error::no_descriptors || error == boost::system::errc::too_many_files_open_in_system;
}

/// Descriptors that are given up one by one when there are no others.
class SpareDescriptors {
 public:
  explicit SpareDescriptors(std::size_t count) : nothing_(open_nothing()), spare_(count, -1) { fill(); }
  SpareDescriptors(const SpareDescriptors&) = delete;
  SpareDescriptors& operator=(const SpareDescriptors&) = delete;
  ~SpareDescriptors() {
    while (give()) {
    }
    if (nothing_ != -1) ::close(nothing_);
  }

  /// False: there is none left.
  bool give() {
    for (int& descriptor : spare_) {
      if (descriptor == -1) continue;
      ::close(std::exchange(descriptor, -1));
      return true;
    }
    return false;
  }
  /// Closes `descriptor`, which is the caller's, and keeps its number in place of one that was given: others of this process,
  /// who are waiting for one as well, have no moment to take it in between.
  void take(int descriptor) {
    const auto empty = std::ranges::find(spare_, -1);
    if (empty != spare_.end() && nothing_ != -1 && ::dup3(nothing_, descriptor, O_CLOEXEC) == descriptor) {
      *empty = descriptor;
    } else {
      ::close(descriptor);
    }
  }
  /// Takes back what was given, as far as that is to be had.
  void fill() {
    for (int& descriptor : spare_) {
      if (descriptor == -1) descriptor = open_nothing();
    }
  }
  [[nodiscard]] bool full() const { return std::ranges::find(spare_, -1) == spare_.end(); }

 private:
  static int open_nothing() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }

  int nothing_;
  std::vector<int> spare_;
};

}  // namespace

// What follows runs on the serving thread, except listen, run, stop and collect. The coroutines refer to the State that owns
// their loop: it outlives them, because it joins the thread first and its loop destroys what still waits.
class Server::State {
 public:
  State(const Options& options, Role& role)
      : options_(options),
        role_(role),
        alerts_(options.alerts),
        places_(options.places),
        spare_(options.spare_descriptors),
        acceptor_(context_),
        arrived_(context_, options.first_deadline),
        api_({.hosts = options.hosts,
              .access = options.access,
              .silent_after = options.silent_after,
              .identity = options.identity,
              .tells_alerts = options.webhook.has_value(),
              .muted_alerts = options.alerts.muted,
              .warnings = log::warnings},
             now_from_system()) {
    if (options.history_file.empty()) return;
    keeper_.emplace(HistoryKeeper::Options{.path = options.history_file}, [this](History::Part past) {
      asio::post(context_, [this, part = std::move(past)]() mutable { api_.on_past(std::move(part), now_from_system()); });
    });
  }

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
    if (!error) acceptor_.non_blocking(true, error);
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

  Result<> prepare_webhook() {
    if (!options_.webhook) return {};
    ADIT_TRY(webhook_, Webhook::start(*options_.webhook));
    return {};
  }

  void run() {
    // What is in the file is posted before the first snapshot.
    if (keeper_) keeper_->start();
    spawn(accept(*this));
    spawn(watch(*this));
    serving_ = std::thread([this] { context_.run(); });
    collecting_ = std::jthread([this](const std::stop_token& stop) { collect(stop); });
  }

  void stop() {
    if (!serving_.joinable()) return;
    collecting_.request_stop();
    context_.stop();
    serving_.join();
    collecting_.join();
    if (keeper_) keeper_->close(api_.history());
    // Nobody else runs here any more. What waits for them is destroyed with the loop.
    error_code ignored;
    acceptor_.close(ignored);
    for (const auto& [id, connection] : open_) connection->cut_off();
  }

  void set_entrances(std::vector<Entrance> entrances) {
    asio::post(context_, [this, given = std::move(entrances)]() mutable { api_.on_entrances(std::move(given)); });
  }

  [[nodiscard]] const tcp::endpoint& bound() const { return bound_; }

 private:
  /// One connection's place, as long as this lives.
  class Connection {
   public:
    Connection(State& state, tcp::socket accepted, Places::Id id) : socket(std::move(accepted)), id_(id), state_(state) {
      state_.open_[id_] = this;
    }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection() {
      state_.open_.erase(id_);
      state_.places_.leave(id_);
      error_code error;
      const int descriptor = state_.spare_.full() ? -1 : socket.release(error);
      if (descriptor != -1) state_.spare_.take(descriptor);
      state_.spare_.fill();
    }
    /// Its task ends by that.
    void cut_off() {
      error_code ignored;
      socket.shutdown(tcp::socket::shutdown_both, ignored);
    }
    void is(Places::State now) { state_.places_.set(id_, now); }
    bool begin_stream() { return state_.places_.begin_stream(id_); }

    tcp::socket socket;

   private:
    Places::Id id_;
    State& state_;
  };

  void spawn(asio::awaitable<void> task) {
    asio::co_spawn(context_, std::move(task), [](const std::exception_ptr& failed) {
      if (failed) log::error("monitor.failed", {{"message", "a connection of the monitor ended by an exception"}});
    });
  }

  /// So that a role that hangs is told of when it does, by whoever serves.
  static asio::awaitable<void> watch(State& self) {
    asio::steady_timer next(self.context_);
    while (true) {
      next.expires_after(kTick);
      if (const auto [error] = co_await next.async_wait(kTuple); error) co_return;
      self.api_.tick(now_from_system());
    }
  }

  static asio::awaitable<void> accept(State& self) {
    while (true) {
      // Without a descriptor the system refuses to accept even where nobody has come: a spare one is given for somebody only.
      auto [error] = co_await self.acceptor_.async_wait(tcp::acceptor::wait_read, kTuple);
      if (error == asio::error::operation_aborted) co_return;
      tcp::socket socket(self.context_);
      if (!error) self.acceptor_.accept(socket, error);
      while (is_exhausted(error) && self.spare_.give()) self.acceptor_.accept(socket, error);
      if (error == asio::error::would_block) continue;
      if (error) {
        self.complain(error);
        asio::steady_timer pause(self.context_, kTick);
        co_await pause.async_wait(kTuple);
        continue;
      }
      const auto peer = socket.remote_endpoint(error);
      if (error) continue;  // It has gone already.
      const auto admitted = self.places_.admit(net::source_key(text_of(peer)));
      if (!admitted) continue;
      if (admitted->displaced) self.open_.at(*admitted->displaced)->cut_off();
      // Made here, as it may be displaced before its task has begun.
      self.spawn(serve(self, std::make_unique<Connection>(self, std::move(socket), admitted->id)));
    }
  }

  void complain(const error_code& error) {
    const Instant now = now_from_system().instant;
    if (now - complained_at_ < std::chrono::seconds(10)) return;
    complained_at_ = now;
    log::warn("monitor.accept_failed", {{"error", error.message()}});
  }

  /// A client that gave no token has not been asked for one yet: only a wrong one is worth a line.
  void note_refusal(const Connection& connection, const Request& request, const Response& response) {
    if (response.status != 401 || request.authorization.empty()) return;
    error_code error;
    const auto peer = connection.socket.remote_endpoint(error);
    refusals_.write_at(now_from_system().instant, log::Level::kWarn, "monitor.token_refused",
                       {{"peer", error ? "" : text_of(peer)}});
  }

  static asio::awaitable<void> serve(State& self, std::unique_ptr<Connection> given) {
    const auto owned = std::move(given);
    Connection& connection = *owned;
    RequestReader reader(self.options_.max_header_bytes);
    for (bool first = true;; first = false) {
      auto next = co_await read(self, connection, reader, first);
      if (!next) co_return;
      connection.is(Places::State::kAnswering);
      const auto& request = next->request;
      // It expires once; from then on nobody waits.
      if (request && self.api_.must_wait(*request)) co_await self.arrived_.async_wait(kTuple);
      Response response = request ? self.api_.answer(*request, now_from_system()) : std::move(next->refusal);
      if (request) self.note_refusal(connection, *request, response);
      const bool whole = !request || request->method != "HEAD";
      if (response.stream && whole && !connection.begin_stream()) {
        response = refuse(503, "as many as there is room for are being sent events already");
      }
      const bool http11 = !request || request->http11;
      // While descriptors are scarce none is kept for a request that may come.
      const bool keep = request && request->keep_alive && self.spare_.full() && (!response.stream || http11);
      const bool written = co_await write(self, connection, response, {.keep = keep, .whole = whole, .http11 = http11});
      if (!written) co_return;
      if (!keep) break;
    }
    co_await part(connection);
  }

  /// The next request, or what is to be refused. Absent: the connection is over.
  static asio::awaitable<std::optional<RequestReader::Next>> read(State& self, Connection& connection, RequestReader& reader,
                                                                  bool first) {
    std::array<char, 4096> buffer;
    bool reading = first || reader.in_request();
    auto deadline = std::chrono::steady_clock::now() + (reading ? self.options_.request_deadline : self.options_.idle_deadline);
    while (true) {
      if (auto next = reader.next()) co_return next;
      if (!reading && reader.in_request()) {
        reading = true;
        deadline = std::chrono::steady_clock::now() + self.options_.request_deadline;
      }
      connection.is(reading ? Places::State::kReading : Places::State::kIdle);
      const auto left = std::max<Duration>(deadline - std::chrono::steady_clock::now(), Duration::zero());
      auto [error, size] = co_await connection.socket.async_read_some(asio::buffer(buffer), asio::cancel_after(left, kTuple));
      if (error) co_return std::nullopt;
      reader.put({buffer.data(), size});
    }
  }

  struct Manner {
    bool keep = false;   ///< The connection may carry another request.
    bool whole = false;  ///< With the body.
    bool http11 = false;
  };
  /// False: the connection is over.
  static asio::awaitable<bool> write(State& self, Connection& connection, const Response& response, Manner manner) {
    const std::string head = head_of(response, manner.keep, manner.http11);
    const std::string_view body = manner.whole ? response.content() : std::string_view();
    const std::array<asio::const_buffer, 2> both = {asio::buffer(head), asio::buffer(body)};
    auto [error, size] =
        co_await asio::async_write(connection.socket, both, asio::cancel_after(self.options_.request_deadline, kTuple));
    if (error) co_return false;
    if (!response.stream || !manner.whole) co_return true;
    co_return co_await pump(self, connection, *response.stream, manner.http11);
  }

  static asio::awaitable<bool> pump(State& self, Connection& connection, BodyStream& body, bool chunked) {
    asio::steady_timer woken(self.context_);
    body.wake = [&woken] { woken.cancel(); };
    while (true) {
      const auto piece = body.next(now_from_system().instant);
      if (piece && piece->empty()) {
        woken.expires_after(kTick);
        co_await woken.async_wait(kTuple);
        continue;
      }
      const std::string bytes = chunked ? chunk_of(piece.value_or("")) : piece.value_or("");
      auto [error, size] = co_await asio::async_write(connection.socket, asio::buffer(bytes),
                                                      asio::cancel_after(self.options_.request_deadline, kTuple));
      if (error || !piece) {
        body.wake = nullptr;
        co_return !error;
      }
    }
  }

  /// Closing with bytes unread would take the answer away from a client that is still sending: some are read first.
  static asio::awaitable<void> part(Connection& connection) {
    error_code ignored;
    connection.socket.shutdown(tcp::socket::shutdown_send, ignored);
    connection.is(Places::State::kIdle);
    std::array<char, 4096> unwanted;
    for (int i = 0; i < 16; ++i) {
      auto [error, size] =
          co_await connection.socket.async_read_some(asio::buffer(unwanted), asio::cancel_after(kTick, kTuple));
      if (error) co_return;
    }
  }

  /// On a thread of its own, as the role may take its time.
  void collect(const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any never;
    std::unique_lock lock(mutex);
    std::optional<Instant> due;
    Instant checks_due = now_from_system().instant + options_.first_checks;
    while (!stop.stop_requested()) {
      const Health last_health = role_.health();
      asio::post(context_, [this, health = last_health]() mutable { api_.on_health(std::move(health), now_from_system()); });
      const Instant now = now_from_system().instant;
      if (!due || now >= *due) {
        due = now + options_.refresh;
        auto snapshot = std::make_shared<Snapshot>(role_.snapshot());
        const MachineSample machine = look_at_machine(options_.data_dir);
        add_process(snapshot->families, machine);
        snapshot->families.gauge("adit_build_info", "1, of this version and role")
            .add(1, {{"version", options_.identity.version}, {"role", options_.identity.role}});
        look_for_alerts(*snapshot, last_health, machine);
        if (options_.checks && now >= checks_due) {
          checks_due = now + options_.checks_every;
          asio::post(context_, [this, found = options_.checks(*snapshot)]() mutable {
            api_.on_checks(std::move(found), now_from_system());
          });
        }
        asio::post(context_, [this, taken = std::move(snapshot)]() mutable {
          api_.on_snapshot(std::move(taken), options_.refresh, now_from_system());
          arrived_.cancel();
          if (keeper_) keeper_->offer(api_.history(), now_from_system().instant);
        });
      }
      never.wait_for(lock, stop, std::min(kTick, options_.refresh), [] { return false; });
    }
  }

  /// On the thread that asks the role.
  void look_for_alerts(const Snapshot& snapshot, const Health& health, const MachineSample& machine) {
    for (const Alert& alert : alerts_.look(snapshot, health, machine, now_from_system())) {
      if (!webhook_) continue;
      log::write(alert.over || alert.kind == AlertKind::kBlock ? log::Level::kInfo : log::Level::kWarn, "monitor.alert",
                 {{"kind", to_string(alert.kind)},
                  {"about", alert.about},
                  {"message", alert.text},
                  {"since", to_u32(alert.since)},
                  {"over", alert.over}});
      webhook_->send(alert);
    }
    asio::post(context_, [this, active = alerts_.active()]() mutable { api_.on_alerts(std::move(active)); });
  }

  Options options_;
  Role& role_;
  Alerts alerts_;
  std::unique_ptr<Webhook> webhook_;  ///< Null: nobody is told.
  // Before the loop, whose end gives connections back.
  Places places_;
  SpareDescriptors spare_;
  std::map<Places::Id, Connection*> open_;
  asio::io_context context_{1};
  tcp::acceptor acceptor_;
  tcp::endpoint bound_;
  asio::steady_timer arrived_;  ///< Until the first snapshot is here, or has been waited for long enough.
  Api api_;
  Instant complained_at_{};
  std::optional<HistoryKeeper> keeper_;
  log::Limited refusals_{"monitor.more_tokens_refused"};
  std::thread serving_;
  std::jthread collecting_;
};

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}
Server::~Server() { stop(); }

Result<std::unique_ptr<Server>> Server::start(const Options& options, Role& role) {
  auto state = std::make_unique<State>(options, role);
  ADIT_CHECK(state->listen());
  ADIT_CHECK(state->prepare_webhook());
  state->run();
  return std::unique_ptr<Server>(new Server(std::move(state)));
}

Result<> Server::check(const WebhookConfig& webhook) {
  ADIT_CHECK(webhook_host(webhook.url));
  return {};
}

void Server::stop() { state_->stop(); }

void Server::set_entrances(std::vector<Entrance> entrances) { state_->set_entrances(std::move(entrances)); }

std::uint16_t Server::port() const { return state_->bound().port(); }

std::string Server::address() const { return text_of(state_->bound()); }

}  // namespace adit::monitor
