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
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string_view>
#include <system_error>

#include <boost/asio/ip/address.hpp>

#include "base/fd.h"
#include "base/file.h"
#include "base/number.h"
#include "cli/serve.h"
#include "net/address_range.h"
#include "upstream/url.h"

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

/// An errno, or 0: this user may write there.
int rights_error(const std::string& folder) { return ::access(folder.c_str(), W_OK | X_OK) == 0 ? 0 : errno; }

/// An address as the kernel's tables write it: four bytes at a time, as a number of this machine. Empty: it is none.
std::string table_text(const std::string& host) {
  std::array<std::uint32_t, 4> words{};
  const bool is_v6 = host.find(':') != std::string::npos;
  if (::inet_pton(is_v6 ? AF_INET6 : AF_INET, host.c_str(), words.data()) != 1) return "";
  std::string out;
  for (std::size_t i = 0; i < (is_v6 ? words.size() : 1); ++i) {
    std::array<char, 9> text{};
    (void)std::snprintf(text.data(), text.size(), "%08X", words[i]);
    out += text.data();
  }
  return out;
}

/// The sockets that have that port, of one of the kernel's tables, as the links in /proc/PID/fd name them.
void add_sockets(const char* table, const net::TcpConfig& at, bool is_udp, std::set<std::string>& sockets) {
  const std::string_view bound = is_udp ? "07" : "0A";
  const std::string wanted = table_text(at.host == "localhost" ? "127.0.0.1" : at.host);
  const auto is_wildcard = [](std::string_view address) { return address.find_first_not_of('0') == std::string_view::npos; };
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
    if (state != bound || colon == std::string::npos) continue;
    const std::string address = local.substr(0, colon);
    if (address != wanted && !is_wildcard(address) && !is_wildcard(wanted)) continue;
    if (number_from<std::uint16_t>(local.substr(colon + 1), 16) == at.port) sockets.insert("socket:[" + inode + "]");
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

/// What the kernel appends to the name of a file that is no more.
constexpr std::string_view kReplaced = " (deleted)";

/// The name of the file that a process runs: not what it calls itself, nor a link to it ("pool_sv2"), nor what became of the
/// file since.
std::string name_of(const fs::path& process) {
  std::error_code error;
  std::string name = fs::read_symlink(process / "exe", error).filename().string();
  if (name.ends_with(kReplaced)) name.resize(name.size() - kReplaced.size());
  return name;
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

bool is_program_replaced() {
  std::error_code error;
  return fs::read_symlink("/proc/self/exe", error).string().ends_with(kReplaced);
}

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

FolderFacts look_at_folder(const std::string& path, bool tries) {
  FolderFacts facts{.path = path};
  if (path.empty()) return facts;
  std::error_code error;
  fs::path there = fs::absolute(path, error).lexically_normal();
  facts.is_there = fs::is_directory(there, error);
  while (!fs::exists(there, error) && there != there.parent_path()) there = there.parent_path();
  if (facts.is_there) {
    if (const int failed = tries ? try_writing(path) : rights_error(path); failed != 0)
      facts.problem = describe_file_error(path, "written to", failed);
  } else if (!fs::is_directory(there, error)) {
    facts.problem = describe_file_error(path, "made", ENOTDIR);
  } else if (::access(there.c_str(), W_OK | X_OK) != 0) {
    facts.problem = describe_file_error(path, "made", errno);
  }
  struct statvfs space{};
  if (::statvfs(there.c_str(), &space) == 0) facts.bytes_free = std::uint64_t{space.f_bavail} * space.f_frsize;
  facts.kind = kind_of_files(there.string());
  return facts;
}

std::optional<PortFacts::Holder> who_has(const net::TcpConfig& at, bool is_udp) {
  std::set<std::string> sockets;
  add_sockets(is_udp ? "/proc/net/udp" : "/proc/net/tcp", at, is_udp, sockets);
  add_sockets(is_udp ? "/proc/net/udp6" : "/proc/net/tcp6", at, is_udp, sockets);
  if (sockets.empty()) return std::nullopt;
  std::error_code error;
  for (fs::directory_iterator all("/proc", error), end; !error && all != end; all.increment(error)) {
    const auto pid = number_from<int>(all->path().filename().string());
    if (!pid || !holds_one(all->path(), sockets)) continue;
    if (std::string name = name_of(all->path()); !name.empty()) return PortFacts::Holder{*pid, std::move(name)};
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

bool has_public_ipv4() {
  bool found = false;
  each_address([&](int family, const std::string& text) {
    boost::system::error_code error;
    const auto ip = boost::asio::ip::make_address(text, error);
    found = found || (family == AF_INET && !error && !net::is_local(ip));
  });
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

std::vector<std::string> addresses_seen(const net::IrohCarrier& endpoint) {
  std::vector<std::string> out;
  for (const std::string& address : endpoint.local_addresses()) {
    const auto at = upstream::parse_host_port(address);
    if (at && !is_own_address(at->host) && std::ranges::find(out, at->host) == out.end()) out.push_back(at->host);
  }
  return out;
}

void look_at_machine(Facts& facts) {
  facts.clock.synchronized = is_clock_set();
  facts.reach = look_at_reach();
  facts.limits = look_at_limits();
  facts.build.version = program_version();
#ifndef ADIT_HAS_IROH
  facts.build.has_iroh = false;
#endif
#ifndef ADIT_HAS_IPC
  facts.build.has_ipc = false;
#endif
}

}  // namespace adit::cli::doctor
