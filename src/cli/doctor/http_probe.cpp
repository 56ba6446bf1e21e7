#include "cli/doctor/http_probe.h"

#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <string_view>
#include <system_error>

#include "base/fd.h"
#include "base/number.h"
#include "net/transport_config.h"
#include "upstream/url.h"

namespace adit::cli::doctor {
namespace {

constexpr std::size_t kMaxAnswer = 1 << 20;
constexpr int kSecondsOfADay = 86'400;

std::string words(int error) { return std::generic_category().message(error); }

struct Place {
  bool tls = false;
  net::TcpConfig at;
};

std::optional<Place> parse(const std::string& url) {
  const std::string scheme = upstream::scheme_of(url);
  if (scheme != "http" && scheme != "https") return std::nullopt;
  std::string rest = url.substr(scheme.size() + 3);
  rest = rest.substr(0, rest.find_first_of("/?#"));
  const auto behind_v6 = rest.find(']');
  if (rest.find(':', behind_v6 == std::string::npos ? 0 : behind_v6) == std::string::npos)
    rest += scheme == "https" ? ":443" : ":80";
  if (rest.ends_with(".:443")) rest.erase(rest.size() - 5, 1);  // A name with the dot of the root, as iroh writes them.
  const auto at = upstream::parse_host_port(rest);
  if (!at) return std::nullopt;
  return Place{scheme == "https", *at};
}

using Addresses = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;
Addresses resolve(const net::TcpConfig& at, int type) {
  addrinfo wanted{};
  wanted.ai_socktype = type;
  addrinfo* found = nullptr;
  if (::getaddrinfo(at.host.c_str(), std::to_string(at.port).c_str(), &wanted, &found) != 0) found = nullptr;
  return {found, &::freeaddrinfo};
}

timeval as_timeval(Duration duration) {
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
  return {.tv_sec = static_cast<time_t>(us / 1'000'000), .tv_usec = static_cast<suseconds_t>(us % 1'000'000)};
}

/// A connected socket whose calls are bounded; or `problem` says why not.
Fd connect(const net::TcpConfig& at, Duration deadline, std::string& problem) {
  const Addresses all = resolve(at, SOCK_STREAM);
  if (all == nullptr) {
    problem = "the name " + at.host + " cannot be resolved";
    return {};
  }
  for (const addrinfo* one = all.get(); one != nullptr; one = one->ai_next) {
    Fd socket(::socket(one->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket.ok()) continue;
    // Linux bounds connect(2) by the deadline of sending.
    const timeval bound = as_timeval(deadline);
    (void)::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &bound, sizeof bound);
    (void)::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof bound);
    if (::connect(socket.get(), one->ai_addr, one->ai_addrlen) == 0) return socket;
    problem = errno == ECONNREFUSED  ? "nothing listens there"
              : errno == EINPROGRESS ? "it does not answer in time"
                                     : words(errno);
  }
  return {};
}

/// TLS over a connected socket.
class Tls {
 public:
  Tls(int socket, const std::string& host, const std::string& ca_file, std::string& problem)
      : context_(SSL_CTX_new(TLS_client_method()), &SSL_CTX_free), ssl_(nullptr, &SSL_free) {
    if (!context_) return;
    SSL_CTX_set_default_verify_paths(context_.get());
    if (!ca_file.empty() && SSL_CTX_load_verify_locations(context_.get(), ca_file.c_str(), nullptr) != 1)
      problem = ca_file + " holds no certificate that can be read";
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    ssl_.reset(SSL_new(context_.get()));
    if (!ssl_) return;
    (void)SSL_set_tlsext_host_name(ssl_.get(), host.c_str());
    X509_VERIFY_PARAM* const rules = SSL_get0_param(ssl_.get());
    if (X509_VERIFY_PARAM_set1_ip_asc(rules, host.c_str()) != 1) (void)SSL_set1_host(ssl_.get(), host.c_str());
    (void)SSL_set_fd(ssl_.get(), socket);
    ready_ = SSL_connect(ssl_.get()) == 1;
    if (ready_ || !problem.empty()) return;
    const long verdict = SSL_get_verify_result(ssl_.get());
    problem = verdict == X509_V_OK ? "its TLS handshake failed"
                                   : "its certificate is refused: " + std::string(X509_verify_cert_error_string(verdict));
  }

  [[nodiscard]] bool ready() const { return ready_; }
  [[nodiscard]] SSL* get() const { return ssl_.get(); }
  [[nodiscard]] std::optional<int> certificate_days() const {
    const std::unique_ptr<X509, decltype(&X509_free)> shown(SSL_get1_peer_certificate(ssl_.get()), &X509_free);
    int days = 0;
    int seconds = 0;
    if (!shown || ASN1_TIME_diff(&days, &seconds, nullptr, X509_get0_notAfter(shown.get())) != 1) return std::nullopt;
    return days + seconds / kSecondsOfADay;
  }

 private:
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_;
  bool ready_ = false;
};

}  // namespace

HttpAnswer http_get(const std::string& url, const std::string& target, const std::string& ca_file, const std::string& token,
                    Duration deadline) {
  HttpAnswer answer;
  const auto place = parse(url);
  if (!place) {
    answer.problem = "this is no http:// or https:// URL with a host";
    return answer;
  }
  const Instant begun = now_from_system().instant;
  const Fd socket = connect(place->at, deadline, answer.problem);
  if (!socket.ok()) return answer;
  answer.problem.clear();
  std::unique_ptr<Tls> tls;
  if (place->tls) {
    tls = std::make_unique<Tls>(socket.get(), place->at.host, ca_file, answer.problem);
    if (!tls->ready()) {
      if (answer.problem.empty()) answer.problem = "TLS cannot be begun";
      return answer;
    }
    answer.certificate_days = tls->certificate_days();
  }
  const std::string request = "GET " + target + " HTTP/1.1\r\nHost: " + upstream::host_port(place->at) +
                              (token.empty() ? "" : "\r\nAuthorization: Bearer " + token) +
                              "\r\nAccept: application/json\r\nConnection: close\r\n\r\n";
  const int size = static_cast<int>(request.size());
  const bool sent = tls ? SSL_write(tls->get(), request.data(), size) == size
                        : ::send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL) == size;
  std::string text;
  std::array<char, 4096> buffer{};
  while (sent && text.size() < kMaxAnswer && now_from_system().instant - begun < deadline) {
    const auto got = tls ? SSL_read(tls->get(), buffer.data(), static_cast<int>(buffer.size()))
                         : static_cast<int>(::recv(socket.get(), buffer.data(), buffer.size(), 0));
    if (got <= 0) break;
    if (text.empty()) answer.after = now_from_system().instant - begun;
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  const auto status = text.starts_with("HTTP/1.") && text.size() > 12 ? number_from<unsigned>(text.substr(9, 3)) : std::nullopt;
  if (!status) {
    answer.problem = text.empty() ? "it gives no answer" : "what listens there does not speak HTTP";
    return answer;
  }
  answer.status = *status;
  if (const auto end = text.find("\r\n\r\n"); end != std::string::npos) answer.body = text.substr(end + 4);
  return answer;
}

UdpAnswer quic_answers(const std::string& host, std::uint16_t port, Duration deadline) {
  constexpr std::size_t kLeastInitial = 1200;  // RFC 9000 §14.1: a server answers no less.
  constexpr int kTries = 3;
  const Addresses all = resolve({host, port}, SOCK_DGRAM);
  if (all == nullptr) return UdpAnswer::kSilent;
  const Fd socket(::socket(all->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.ok() || ::connect(socket.get(), all->ai_addr, all->ai_addrlen) != 0) return UdpAnswer::kSilent;
  std::array<std::uint8_t, kLeastInitial> packet{};
  // A long header; a version of the pattern that is reserved to be unknown (§15); two connection ids of eight bytes.
  constexpr std::array<std::uint8_t, 6> kBegin = {0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8};
  std::ranges::copy(kBegin, packet.begin());
  packet[14] = 8;
  packet[15] = 1;
  for (int i = 0; i < kTries; ++i) {
    if (::send(socket.get(), packet.data(), packet.size(), MSG_NOSIGNAL) < 0 && errno == ECONNREFUSED)
      return UdpAnswer::kClosed;
    pollfd one{.fd = socket.get(), .events = POLLIN, .revents = 0};
    const auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(deadline).count() / kTries;
    if (::poll(&one, 1, static_cast<int>(wait)) <= 0) continue;
    std::array<std::uint8_t, 1500> answer{};
    if (::recv(socket.get(), answer.data(), answer.size(), 0) > 0) return UdpAnswer::kAnswered;
    if (errno == ECONNREFUSED) return UdpAnswer::kClosed;
  }
  return UdpAnswer::kSilent;
}

std::string host_of(const std::string& url) {
  const auto place = parse(url);
  return place ? place->at.host : "";
}

}  // namespace adit::cli::doctor
