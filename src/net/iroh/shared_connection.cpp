#include "net/iroh/shared_connection.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "base/hex.h"
#include "log/log.h"
#include "net/iroh/runtime.h"

namespace adit::net {
namespace {

constexpr std::uint64_t kToldMoves = 20;

CarrierFigures figures_of(const adit_connection_info& info) {
  return {.heard = info.bytes_received, .packets_sent = info.packets_sent, .packets_lost = info.packets_lost};
}

std::span<const adit_path> paths_of(const adit_connection_info& info) {
  return std::span(info.paths).first(std::min<std::size_t>(info.path_count, ADIT_MAX_PATHS));
}

}  // namespace

void OpenConnections::add(adit_handle handle) {
  const std::scoped_lock lock(mutex_);
  handles_.insert(handle);
}

void OpenConnections::remove(adit_handle handle) {
  const std::scoped_lock lock(mutex_);
  handles_.erase(handle);
}

void OpenConnections::close_all() {
  const std::scoped_lock lock(mutex_);
  for (const auto handle : handles_) {
    (void)adit_connection_close(handle, static_cast<std::uint64_t>(CloseCode::kShutdown), bridge_view("shutting down"));
  }
}

SharedConnection::Way SharedConnection::way_of(const adit_path& path) {
  return {path.relayed == 1 ? Path::kRelayed : Path::kDirect, path.remote};
}

SharedConnection::SharedConnection(std::shared_ptr<EventLoop> loop, BridgeHandle handle, std::shared_ptr<OpenConnections> open)
    : loop_(std::move(loop)), handle_(std::move(handle)), open_(std::move(open)), idle_(loop_->shard().context()) {
  std::array<std::uint8_t, 255> text;
  const auto length = adit_connection_alpn(handle_.get(), text.data(), text.size());
  if (length > 0)
    alpn_.assign(as_text(Bytes(text).first(std::min<std::size_t>(static_cast<std::size_t>(length), text.size()))));
  if (open_) open_->add(handle_.get());
  loop_->watch(handle_.get(), *this);
  adit_connection_info info;
  if (adit_connection_get_info(handle_.get(), &info) != ADIT_OK) return;
  const auto known = paths_of(info);
  auto begun = std::ranges::find(known, 1, &adit_path::first);
  if (begun == known.end()) begun = std::ranges::find(known, 1, &adit_path::selected);  // the handshake's has been closed
  if (begun != known.end()) way_ = way_of(*begun);
  notice_moves();  // Those before it was watched raise no event here.
}

SharedConnection::~SharedConnection() {
  loop_->forget(handle_.get());
  if (open_) open_->remove(handle_.get());
}

void SharedConnection::give_up() {
  loop_->forget(handle_.get());
  handle_.give_up();
}

std::optional<CarrierFigures> SharedConnection::figures() const {
  adit_connection_info info;
  if (adit_connection_get_info(handle_.get(), &info) != ADIT_OK) return std::nullopt;
  return figures_of(info);
}

void SharedConnection::describe(ConnectionMetadata& metadata) const {
  metadata.path_changes = path_changes_;
  metadata.path_history = path_history_;
  adit_connection_info info;
  if (adit_connection_get_info(handle_.get(), &info) != ADIT_OK) return;
  metadata.peer = to_hex(info.remote_id);
  metadata.figures = figures_of(info);
  const auto known = paths_of(info);
  auto path = std::ranges::find(known, 1, &adit_path::selected);
  if (path == known.end() && way_.path != Path::kUnknown) {  // Between two ways.
    metadata.source = way_.remote;
    metadata.path = way_.path;
    return;
  }
  if (path == known.end()) path = known.begin();  // none is selected yet, or iroh does not say
  if (path == known.end()) return;
  auto way = way_of(*path);
  metadata.source = std::move(way.remote);
  metadata.path = way.path;
  metadata.figures->congestion_window = path->congestion_window;
  metadata.figures->mtu = path->mtu;
  if (path->rtt_us != 0) metadata.path_rtt = std::chrono::microseconds(path->rtt_us);
}

void SharedConnection::on_event(std::uint32_t ready, std::int32_t) {
  if ((ready & ADIT_READY_MOVED) != 0) notice_moves();
}

void SharedConnection::notice_moves() {
  adit_connection_info info;
  if (adit_connection_get_info(handle_.get(), &info) != ADIT_OK || info.moves <= path_changes_) return;
  loop_->count_moves(info.moves - path_changes_);
  path_changes_ = info.moves;
  const auto before = std::exchange(way_, {});
  ConnectionMetadata now;
  describe(now);
  way_ = {now.path, now.source};
  path_history_.add({now_from_system().unix_time, before.path, now.path, now.source});
  // A peer that wanders has it all counted and no more told.
  if (path_changes_ > kToldMoves) return;
  loop_->moves_log().write_at(now_from_system().instant, log::Level::kInfo, "iroh.path_changed",
                              {{"peer", now.peer},
                               {"from", to_string(before.path)},
                               {"to", to_string(now.path)},
                               {"from_address", before.remote},
                               {"to_address", now.source}});
}

void SharedConnection::close(CloseCode code, std::string_view reason) {
  if (!closed_here_) {
    const auto errc = code == CloseCode::kProtocolError ? Errc::kProtocol
                      : code == CloseCode::kOverloaded  ? Errc::kOverloaded
                                                        : Errc::kClosed;
    closed_here_.emplace(errc, std::string(reason));
  }
  (void)adit_connection_close(handle_.get(), static_cast<std::uint64_t>(code), bridge_view(reason));
}

std::shared_ptr<void> SharedConnection::begin_session(std::function<void()> on_end) {
  ++sessions_;
  // The holder's address is the session's own: nothing is kept but the reference.
  return {this, [connection = shared_from_this(), ended = std::move(on_end)](void*) {
            --connection->sessions_;
            if (ended) ended();
            connection->wait_for_session();
          }};
}

void SharedConnection::linger(Duration duration) {
  linger_ = duration;
  wait_for_session();
}

void SharedConnection::wait_for_session() {
  if (sessions_ != 0 || linger_ == Duration::max()) return;
  idle_.expires_after(linger_);
  // Held meanwhile, so that what its last session left behind is delivered.
  idle_.async_wait([self = shared_from_this()](const boost::system::error_code& cancelled) {
    if (!cancelled && self->sessions_ == 0) self->close(CloseCode::kShutdown, "no session");
  });
}

bool SharedConnection::usable() const {
  adit_close_reason reason;
  return !doubtful_ && adit_connection_close_reason(handle_.get(), &reason) == ADIT_AGAIN;
}

}  // namespace adit::net
