#include "cli/doctor/machine.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string_view>
#include <system_error>

#include "base/fd.h"
#include "base/file.h"
#include "base/number.h"
#include "cli/serve.h"

namespace adit::cli::doctor {
namespace {

namespace fs = std::filesystem;

/// The first word of a file of the kernel's, as a number.
std::optional<std::uint64_t> number_in(const char* path) {
  std::ifstream file(path);
  std::uint64_t number = 0;
  return file >> number ? std::optional(number) : std::nullopt;
}

std::string kind_of_files(const std::string& path) {
  struct statfs info{};
  if (::statfs(path.c_str(), &info) != 0) return "";
  switch (static_cast<std::uint32_t>(info.f_type)) {  // statfs(2)
    case 0x6969:
      return "nfs";
    case 0x01021994:
      return "tmpfs";
    case 0xff534d42:
    case 0xfe534d42:
      return "a share of Windows's kind (cifs)";
    default:
      return "";
  }
}

/// Writes a file, syncs it and removes it. Returns an errno, or 0.
int try_writing(const std::string& folder) {
  FileSystem& files = FileSystem::real();
  const std::string path = folder + "/.doctor-" + std::to_string(::getpid());
  const auto file = files.create(path);
  if (!file) return file.error();
  auto done = (*file)->write("adit doctor\n");
  if (done) done = (*file)->sync();
  files.discard(path);
  return done ? 0 : done.error();
}

/// The inodes of the sockets that listen at `port`, of one of the kernel's tables.
void add_listeners(const char* table, std::uint16_t port, std::set<std::string>& inodes) {
  constexpr std::string_view kListen = "0A";
  std::ifstream file(table);
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string slot;
    std::string local;
    std::string remote;
    std::string state;
    std::string skipped;
    std::string inode;
    words >> slot >> local >> remote >> state >> skipped >> skipped >> skipped >> skipped >> skipped >> inode;
    const auto colon = local.rfind(':');
    if (state != kListen || colon == std::string::npos) continue;
    if (number_from<std::uint16_t>(local.substr(colon + 1), 16) == port) inodes.insert("socket:[" + inode + "]");
  }
}

bool holds_one(const fs::path& process, const std::set<std::string>& inodes) {
  std::error_code error;
  for (fs::directory_iterator at(process / "fd", error), end; !error && at != end; at.increment(error)) {
    std::error_code gone;
    if (inodes.contains(fs::read_symlink(at->path(), gone).string())) return true;
  }
  return false;
}

std::string name_of(const fs::path& process) {
  std::string name;
  std::ifstream file(process / "comm");
  std::getline(file, name);
  constexpr std::array<std::string_view, 3> kOurs = {"pool_sv2", "translator_sv2", "jd_client_sv2"};
  return std::ranges::find(kOurs, name) == kOurs.end() ? name : "adit";
}

/// Calls `take(address family, text)` for each address of an interface that is up.
template <class Take>
void each_address(const Take& take) {
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return;
  for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || (one->ifa_flags & IFF_UP) == 0) continue;
    std::array<char, INET6_ADDRSTRLEN> text{};
    const int family = one->ifa_addr->sa_family;
    if (family == AF_INET) {
      ::inet_ntop(family, &reinterpret_cast<const sockaddr_in*>(one->ifa_addr)->sin_addr, text.data(), text.size());
    } else if (family == AF_INET6) {
      ::inet_ntop(family, &reinterpret_cast<const sockaddr_in6*>(one->ifa_addr)->sin6_addr, text.data(), text.size());
    } else {
      continue;
    }
    take(family, std::string(text.data()));
  }
  ::freeifaddrs(all);
}

}  // namespace

bool is_clock_set() {
  timex state{};
  const int result = ::adjtimex(&state);
  return result >= 0 && result != TIME_ERROR;
}

std::optional<unsigned> mode_of(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return std::nullopt;
  return info.st_mode & 07777U;
}

FolderFacts look_at_folder(const std::string& path) {
  FolderFacts facts{.path = path};
  if (path.empty()) return facts;
  std::error_code error;
  fs::path there = fs::absolute(path, error).lexically_normal();
  facts.is_there = fs::is_directory(there, error);
  while (!fs::exists(there, error) && there != there.parent_path()) there = there.parent_path();
  if (facts.is_there) {
    if (const int failed = try_writing(path); failed != 0) facts.problem = describe_file_error(path, "written to", failed);
  } else if (::access(there.c_str(), W_OK | X_OK) != 0) {
    facts.problem = describe_file_error(path, "made", errno);
  }
  struct statvfs space{};
  if (::statvfs(there.c_str(), &space) == 0) facts.bytes_free = std::uint64_t{space.f_bavail} * space.f_frsize;
  facts.kind = kind_of_files(there.string());
  return facts;
}

std::optional<PortFacts::Holder> who_listens(std::uint16_t port) {
  if (port == 0) return std::nullopt;
  std::set<std::string> inodes;
  add_listeners("/proc/net/tcp", port, inodes);
  add_listeners("/proc/net/tcp6", port, inodes);
  if (inodes.empty()) return std::nullopt;
  std::error_code error;
  for (fs::directory_iterator at("/proc", error), end; !error && at != end; at.increment(error)) {
    const auto pid = number_from<int>(at->path().filename().string());
    if (pid && holds_one(at->path(), inodes)) return PortFacts::Holder{*pid, name_of(at->path())};
  }
  return PortFacts::Holder{};
}

ReachFacts look_at_reach() {
  ReachFacts facts;
  for (const std::string& host : reachable_hosts("::")) {
    if (host != "::1") facts.hosts.push_back(host);
  }
  std::error_code error;
  facts.is_container = fs::exists("/.dockerenv", error) || fs::exists("/run/.containerenv", error);
  // What answers for the name is avahi, or systemd-resolved where it is told to.
  if (fs::exists("/run/avahi-daemon/socket", error)) {
    std::array<char, HOST_NAME_MAX + 1> name{};
    if (::gethostname(name.data(), name.size() - 1) == 0) facts.local_name = std::string(name.data()) + ".local";
  }
  return facts;
}

bool is_own_address(const std::string& ip) {
  bool found = false;
  each_address([&](int, const std::string& text) { found = found || text == ip; });
  return found;
}

bool has_global_ipv6() {
  bool found = false;
  // Global addresses are 2000::/3.
  each_address([&](int family, const std::string& text) {
    found = found || (family == AF_INET6 && (text.starts_with('2') || text.starts_with('3')) && text.find(':') == 4);
  });
  return found;
}

LimitFacts look_at_limits() {
  LimitFacts facts;
  rlimit limit{};
  // A role lifts its own to the hard one.
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max != RLIM_INFINITY) facts.files = limit.rlim_max;
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) facts.locked_bytes = limit.rlim_cur;
  facts.backlog = number_in("/proc/sys/net/core/somaxconn");
  facts.tracked_connections = number_in("/proc/sys/net/netfilter/nf_conntrack_max");
  return facts;
}

}  // namespace adit::cli::doctor
