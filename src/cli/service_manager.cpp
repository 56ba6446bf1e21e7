#include "cli/service_manager.h"

#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include "log/log.h"

namespace adit::cli {
namespace {

std::string_view variable(const char* name) {
  const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nothing in this program sets variables
  return value == nullptr ? std::string_view() : value;
}

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? value : 0;
}

/// The kernel's message for a datagram that was not taken; empty: it was.
std::string send_datagram(const sockaddr_un& to, socklen_t length, std::string_view text) {
  const int descriptor = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return std::generic_category().message(errno);
  // This thread takes the signals, so it waits no longer than this for a service manager that does not read.
  const timeval patience{.tv_sec = 1, .tv_usec = 0};
  ::setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  std::string failure;
  if (::sendto(descriptor, text.data(), text.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&to), length) < 0)
    failure = std::generic_category().message(errno);
  ::close(descriptor);
  return failure;
}

}  // namespace

ServiceManager::ServiceManager(std::string_view socket, Duration watchdog) : name_(socket) {
  if (socket.empty()) return;
  if ((socket.front() != '/' && socket.front() != '@') || socket.size() >= sizeof address_.sun_path) {
    log::warn("service.not_told", {{"socket", name_}, {"message", "NOTIFY_SOCKET is no path and no abstract name"}});
    return;
  }
  address_.sun_family = AF_UNIX;
  std::memcpy(address_.sun_path, socket.data(), socket.size());
  if (socket.front() == '@') address_.sun_path[0] = '\0';
  // An abstract name ends with the address, a path with a zero byte.
  length_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket.size() + (socket.front() == '/' ? 1 : 0));
  if (watchdog > Duration::zero()) beat_ = watchdog / 2;
}

ServiceManager ServiceManager::of_environment() {
  // Who was started by a process that is watched inherits its variables.
  const std::string_view pid = variable("WATCHDOG_PID");
  const bool is_watched = pid.empty() || number(pid) == static_cast<std::uint64_t>(::getpid());
  const std::uint64_t watchdog = is_watched ? number(variable("WATCHDOG_USEC")) : 0;
  constexpr std::uint64_t kDay = 86'400'000'000;
  return {variable("NOTIFY_SOCKET"), std::chrono::microseconds(watchdog < kDay ? watchdog : kDay)};
}

void ServiceManager::send(std::string_view state) const {
  if (length_ == 0) return;
  if (const std::string failure = send_datagram(address_, length_, state); !failure.empty())
    log::warn("service.not_told", {{"socket", name_}, {"state", state}, {"message", failure}});
}

bool Pulse::is_felt() {
  if (unanswered_->load() != 0) return false;
  unanswered_->store(shards_.size());
  for (unsigned index = 0; index < shards_.size(); ++index)
    shards_[index].post([unanswered = unanswered_] { unanswered->fetch_sub(1); });
  return true;
}

}  // namespace adit::cli
