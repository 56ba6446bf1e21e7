#include "roles/load/load.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <ctime>
#include <functional>
#include <system_error>
#include <thread>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "net/dial.h"
#include "net/tcp.h"
#include "roles/load/sv1_session.h"
#include "upstream/url.h"

namespace adit::load {
namespace {

using namespace std::chrono_literals;
namespace asio = net::asio;

constexpr Duration kNoProgress = 30s;
constexpr Duration kPace = 1ms;
/// Of paced shares so many seconds' worth are caught up with after a delay; the rest is dropped.
constexpr double kCatchUp = 0.1;
/// Peers that are given their first shares before others of the shard have a turn.
constexpr std::size_t kPeersPerTurn = 16;
constexpr std::size_t kOtherFiles = 64;  // What a process has open beside its connections.

Instant now() { return now_from_system().instant; }

Duration own_cpu() {
  timespec time{};
  (void)::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace

/// The connections of one shard. Everything but the constructor and the counts runs on the shard's thread.
class Load::Part final : public net::ServicePart {
  /// A connection and what is said on it.
  struct Peer {
    virtual ~Peer() = default;
    /// Finds and sends up to so many shares; returns how many.
    virtual std::size_t submit(std::size_t limit, Instant at) = 0;
    virtual void close() = 0;
    bool alive = true;
  };

  struct Sv2Peer final : Peer {
    Sv2Peer(Part& owner, std::unique_ptr<net::NetworkConnection> to, std::uint32_t number)
        : part(owner),
          connection(std::move(to)),
          session(part.options_.session, part.meter_, connection->metadata().lanes > 1, number) {}
    std::size_t submit(std::size_t limit, Instant at) override {
      part.out_.clear();
      const std::size_t sent = session.submit(limit, at, part.out_);
      connection->send(part.out_);
      return sent;
    }
    void close() override { connection->close(net::CloseCode::kShutdown); }

    Part& part;
    std::unique_ptr<net::NetworkConnection> connection;
    Session session;
  };

  struct Sv1Peer final : Peer {
    Sv1Peer(Part& part, std::unique_ptr<net::ByteStream> to, std::uint32_t number)
        : stream(std::move(to)), session(part.options_.session, part.meter_, number) {}
    std::size_t submit(std::size_t limit, Instant at) override {
      const std::size_t sent = session.submit(limit, at);
      flush();
      return sent;
    }
    void close() override { stream->close(net::CloseCode::kShutdown); }
    /// What the stream does not take now goes with what follows an answer: shares without one are bounded. An error is met by
    /// the next read.
    void flush() {
      std::string& output = session.output();
      while (!output.empty()) {
        const auto taken = stream->try_write(as_bytes(output));
        if (!taken) return;
        output.erase(0, *taken);
      }
    }

    std::unique_ptr<net::ByteStream> stream;
    Sv1Session session;
  };

 public:
  Part(LoadOptions options, net::Shard& shard, std::size_t connections, std::size_t first_number)
      : net::ServicePart(shard),
        options_(std::move(options)),
        wanted_(connections),
        first_number_(static_cast<std::uint32_t>(first_number)) {}

  /// Opens the part's connections, `at_once` at a time.
  void open(std::size_t at_once) {
    peers_.reserve(wanted_);
    for (std::size_t i = 0; i < std::min(at_once, wanted_); ++i) shard().spawn(open_some(self()));
  }

  void begin_shares() {
    meter_ = Meter{};
    lost_ = 0;
    left_ = options_.shares == SIZE_MAX ? SIZE_MAX : options_.shares * peers_.size() / options_.connections;
    submitting_ = true;
    ++turn_;
    if (options_.flood) {
      shard().spawn(flood(self(), turn_));
    } else if (options_.rate > 0) {
      shard().spawn(pace(self(), turn_));
    }
  }

  struct Counts {
    Meter meter;
    std::size_t connections = 0;
    std::size_t lost = 0;
    std::string last_loss;
  };
  Counts finish() {
    submitting_ = false;
    return {.meter = std::move(meter_), .connections = ready_ - lost_ever_, .lost = lost_, .last_loss = last_loss_};
  }

  [[nodiscard]] bool is_through() const {
    std::uint64_t answered = meter_.accepted;
    for (const auto& [code, count] : meter_.rejected) answered += count;
    return left_ == 0 && answered == meter_.submitted;
  }

  void close() {
    submitting_ = false;
    wanted_ = 0;
    for (const auto& peer : peers_) peer->close();
  }

  /// Connections that have work. Any thread.
  [[nodiscard]] std::size_t ready() const { return ready_; }
  /// Set before any thread sees failed() true.
  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] const Error& failure() const { return *failure_; }

 private:
  std::shared_ptr<Part> self() { return std::static_pointer_cast<Part>(shared_from_this()); }

  void begin() override {}
  void drain(const session::ShutdownBehavior&) override { close(); }
  void cut_off() override { close(); }

  static asio::awaitable<void> open_some(std::shared_ptr<Part> part) {
    while (part->dialled_ < part->wanted_) {
      ++part->dialled_;
      const bool sv1 = part->options_.pool.dialect == net::Dialect::kStratumV1;
      auto connected = sv1 ? co_await dial_sv1(part) : co_await dial_sv2(part);
      if (!connected) co_return part->give_up(std::move(connected.error()));
    }
  }

  /// Nothing is done where the part was closed meanwhile.
  static asio::awaitable<Result<void>> dial_sv2(std::shared_ptr<Part> part) {
    const LoadOptions& options = part->options_;
    ADIT_CO_TRY(auto connection, co_await net::dial(part->shard(), options.pool, wire::Protocol::kMining,
                                                    {.name = upstream::to_url(options.pool),
                                                     .connect_deadline = kNoProgress,
                                                     .handshake_deadline = kNoProgress,
                                                     .iroh = options.iroh}));
    if (part->wanted_ == 0) co_return Result<void>{};
    auto peer = std::make_unique<Sv2Peer>(*part, std::move(connection), part->next_number());
    part->shard().spawn(serve_sv2(part, *peer));
    part->peers_.push_back(std::move(peer));
    co_return Result<void>{};
  }

  static asio::awaitable<Result<void>> dial_sv1(std::shared_ptr<Part> part) {
    const auto& to = std::get<net::TcpConfig>(part->options_.pool.transport);
    ADIT_CO_TRY(auto stream, co_await net::dial_tcp(part->shard(), to, kNoProgress));
    if (part->wanted_ == 0) co_return Result<void>{};
    auto peer = std::make_unique<Sv1Peer>(*part, std::move(stream), part->next_number());
    part->shard().spawn(serve_sv1(part, *peer));
    part->peers_.push_back(std::move(peer));
    co_return Result<void>{};
  }

  [[nodiscard]] std::uint32_t next_number() const { return first_number_ + static_cast<std::uint32_t>(peers_.size()); }

  static asio::awaitable<void> serve_sv2(std::shared_ptr<Part> part, Sv2Peer& peer) {
    part->out_.clear();
    const auto [host, port] = net::host_and_port(part->options_.pool.transport);
    peer.session.start(host, port, now_from_system(), part->out_);
    peer.connection->send(part->out_);
    for (bool ready = false;;) {
      const auto batch = co_await peer.connection->receive();
      if (!batch) co_return part->lose(peer, ready, batch.error());
      const Now at = now_from_system();
      wire::FrameBuffer& out = part->out_;
      out.clear();
      if (auto handled = peer.session.on_frames(*batch, at, out); !handled) co_return part->lose(peer, ready, handled.error());
      if (part->floods()) part->left_ -= peer.session.submit(part->at_most(), at.instant, out);
      peer.connection->send(out);
      part->count_ready(ready, peer.session.ready());
    }
  }

  static asio::awaitable<void> serve_sv1(std::shared_ptr<Part> part, Sv1Peer& peer) {
    peer.session.start();
    peer.flush();
    for (bool ready = false;;) {
      const auto read = peer.stream->try_read(part->read_buffer_);
      if (read) {
        const Now at = now_from_system();
        const auto bytes = Bytes(part->read_buffer_).first(*read);
        if (auto heard = peer.session.receive(bytes, at); !heard) co_return part->lose(peer, ready, heard.error());
        if (part->floods()) part->left_ -= peer.session.submit(part->at_most(), at.instant);
        peer.flush();
        part->count_ready(ready, peer.session.ready());
        continue;
      }
      if (!read.error().is(net::Errc::kWouldBlock)) co_return part->lose(peer, ready, read.error());
      if (auto waited = co_await peer.stream->wait_readable(); !waited) co_return part->lose(peer, ready, waited.error());
    }
  }

  [[nodiscard]] bool floods() const { return submitting_ && options_.flood; }
  /// Shares that one peer may submit at once.
  [[nodiscard]] std::size_t at_most() const { return std::min(options_.session.in_flight, left_); }

  void count_ready(bool& was, bool is) {
    if (was || !is) return;
    was = true;
    ++ready_;
  }

  void lose(Peer& peer, bool was_ready, const Error& error) {
    peer.alive = false;
    peer.close();
    if (wanted_ == 0) return;  // we close
    if (!was_ready) return give_up(error);
    ++lost_;
    ++lost_ever_;
    last_loss_ = error.message();
  }

  void give_up(Error error) {
    if (failure_) return;
    failure_ = std::move(error);
    failed_ = true;
  }

  /// False once finish() was called, though begin() may have been called again.
  [[nodiscard]] bool submits_in(unsigned turn) const { return submitting_ && turn == turn_; }

  static asio::awaitable<void> flood(std::shared_ptr<Part> part, unsigned turn) {
    for (std::size_t i = 0; i < part->peers_.size() && part->submits_in(turn); ++i) {
      part->submit(*part->peers_[i], part->at_most());
      if (i % kPeersPerTurn == kPeersPerTurn - 1) co_await asio::post(part->shard().context(), asio::use_awaitable);
    }
  }

  static asio::awaitable<void> pace(std::shared_ptr<Part> part, unsigned turn) {
    const double rate =
        part->options_.rate * static_cast<double>(part->peers_.size()) / static_cast<double>(part->options_.connections);
    asio::steady_timer timer(part->shard().context());
    Instant last = now();
    double due = 0;
    for (std::size_t next = 0; part->submits_in(turn);) {
      timer.expires_after(kPace);
      boost::system::error_code ignored;
      co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
      const Instant at = now();
      due += rate * std::chrono::duration<double>(at - std::exchange(last, at)).count();
      if (const double most = std::max(1.0, rate * kCatchUp); due > most) {
        part->meter_.held_back += static_cast<std::uint64_t>(due - most);
        due = most;
      }
      for (; due >= 1 && part->left_ > 0 && part->submits_in(turn); due -= 1, ++next) {
        if (part->submit(*part->peers_[next % part->peers_.size()], 1) == 0) ++part->meter_.held_back;
      }
    }
  }

  std::size_t submit(Peer& peer, std::size_t limit) {
    const std::size_t sent = peer.alive ? peer.submit(limit, now()) : 0;
    left_ -= sent;
    return sent;
  }

  const LoadOptions options_;  ///< A copy: tasks may end after the load.
  std::size_t wanted_;         ///< 0 once closed.
  std::uint32_t first_number_;
  std::size_t dialled_ = 0;
  std::vector<std::unique_ptr<Peer>> peers_;
  wire::FrameBuffer out_;                              ///< Of one batch.
  std::array<std::uint8_t, 16 * 1024> read_buffer_{};  ///< Of one read by Stratum V1; used up before anything waits.
  Meter meter_;
  bool submitting_ = false;
  std::size_t left_ = 0;       ///< Shares that may still be submitted.
  unsigned turn_ = 0;          ///< Of begin() and finish().
  std::size_t lost_ = 0;       ///< Since begin().
  std::size_t lost_ever_ = 0;  ///< Of those that were ready.
  std::string last_loss_;
  std::optional<Error> failure_;
  std::atomic<std::size_t> ready_{0};
  std::atomic<bool> failed_{false};
};

Load::Load(net::Shards& shards, LoadOptions options) : options_(std::move(options)), service_(shards) {
  std::size_t first = 0;
  service_.start([&](net::Shard& shard) {
    const std::size_t share =
        options_.connections / shards.size() + (shard.index() < options_.connections % shards.size() ? 1 : 0);
    auto part = std::make_shared<Part>(options_, shard, share, first);
    first += share;
    return part;
  });
  for (unsigned i = 0; i < shards.size(); ++i) parts_.push_back(service_.on(shards[i]));
}

// NOLINTNEXTLINE(bugprone-exception-escape): a lock or a promise that fails here leaves nothing to go on with
Load::~Load() {
  service_.stop({.kind = session::ShutdownBehavior::Kind::kImmediate});
  // The last to let go of a part is its shard's thread, where its connections live.
  service_.clear();
  for (auto& part : parts_) part->shard().post([part = std::move(part)] {});
}

Result<Opened> Load::open() {
  ADIT_CHECK(allow_connections(options_.connections));
  Opened opened;
  Duration cpu{};
  std::uint64_t memory = 0;
  if (options_.pid) {
    ADIT_TRY(pool_, ProcessMeter::of(*options_.pid));
    ADIT_TRY(cpu, pool_->cpu());
    ADIT_TRY(memory, pool_->resident());
  }
  const Instant begun = now();
  const std::size_t at_once = std::max<std::size_t>(1, options_.dialling / service_.shards().size());
  service_.post([at_once](Part& part) { part.open(at_once); });
  std::size_t ready = 0;
  for (Instant progress = begun; ready < options_.connections;) {
    std::this_thread::sleep_for(5ms);
    std::size_t sum = 0;
    for (const auto& part : parts_) sum += part->ready();
    if (std::exchange(ready, sum) != sum) progress = now();
    for (const auto& part : parts_) {
      if (part->failed()) return fail(Error(part->failure()).in("connection " + std::to_string(ready + 1)));
    }
    if (now() - progress > kNoProgress) {
      return fail(Errc::kStalled, std::to_string(ready) + " of " + std::to_string(options_.connections) +
                                      " connections have work, and 30 s brought no further one");
    }
  }
  opened.taken = now() - begun;
  if (pool_) {
    ADIT_TRY(const Duration cpu_now, pool_->cpu());
    ADIT_TRY(const std::uint64_t memory_now, pool_->resident());
    opened.pool_cpu = cpu_now - cpu;
    opened.pool_memory_bytes = static_cast<std::int64_t>(memory_now) - static_cast<std::int64_t>(memory);
  }
  return opened;
}

Result<void> Load::begin() {
  if (pool_) {
    ADIT_TRY(pool_cpu_begun_, pool_->cpu());
  }
  own_cpu_begun_ = own_cpu();
  begun_ = now();
  (void)service_.ask([](Part& part) {
    part.begin_shares();
    return true;
  });
  return {};
}

bool Load::is_through() {
  return std::ranges::all_of(service_.ask([](Part& part) { return part.is_through(); }), std::identity());
}

Result<Measured> Load::finish() {
  Measured measured;
  auto answers = service_.ask([](Part& part) { return part.finish(); });
  measured.taken = now() - begun_;
  measured.own_cpu = own_cpu() - own_cpu_begun_;
  if (pool_) {
    ADIT_TRY(const Duration cpu, pool_->cpu());
    measured.pool_cpu = cpu - pool_cpu_begun_;
  }
  for (auto& part : answers) {
    measured.meter.add(part.meter);
    measured.connections += part.connections;
    measured.lost += part.lost;
    if (!part.last_loss.empty()) measured.last_loss = std::move(part.last_loss);
  }
  return measured;
}

Result<void> allow_connections(std::size_t connections) {
  const rlim_t needed = connections + kOtherFiles;
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return fail(Errc::kResources, "the limit on open files cannot be read");
  if (files.rlim_cur >= needed) return {};
  const rlimit raised{.rlim_cur = needed, .rlim_max = std::max(files.rlim_max, needed)};
  if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) return {};
  return fail(Errc::kResources, std::to_string(connections) + " connections need " + std::to_string(needed) +
                                    " open files and this user may have " + std::to_string(files.rlim_max) + " (" +
                                    std::generic_category().message(errno) +
                                    "): raise the hard limit (ulimit -Hn, LimitNOFILE=)");
}

}  // namespace adit::load
