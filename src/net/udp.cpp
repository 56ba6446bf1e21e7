#include "net/udp.h"

#include <netdb.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>
#include <string_view>
#include <system_error>

#include "net/error.h"

namespace adit::net {

Result<Fd> bind_udp(const std::string& address) {
  const auto complain = [&address](Errc code, std::string_view why) {
    return fail(code, "cannot use UDP " + address + ": " + std::string(why));
  };
  const auto broken = [&complain](int error) {
    return complain(error == EADDRINUSE ? Errc::kAddressInUse : Errc::kUnreachable, std::generic_category().message(error));
  };
  const std::size_t colon = address.rfind(':');
  std::string host = address.substr(0, colon);
  if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
  addrinfo wanted{};
  wanted.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  wanted.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (colon == std::string::npos || ::getaddrinfo(host.c_str(), address.substr(colon + 1).c_str(), &wanted, &found) != 0)
    return complain(Errc::kConfiguration, "it must be an IP address of this machine and a port");
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> at(found, &::freeaddrinfo);
  Fd socket(::socket(at->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.ok()) return broken(errno);
  constexpr int kYes = 1;
  // IPv4 has an address of its own beside it.
  if (at->ai_family == AF_INET6) (void)::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &kYes, sizeof kYes);
  if (::bind(socket.get(), at->ai_addr, at->ai_addrlen) != 0) return broken(errno);
  return socket;
}

}  // namespace adit::net
