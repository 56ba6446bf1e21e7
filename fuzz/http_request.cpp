// A client of the monitor that sends anything, in any chunks: the chunks change no answer, every answer has a head that fits
// its body, and no page but /metrics is served under a name that is not this machine's.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/parse.hpp>

#include "base/require_testing.h"
#include "monitor/api.h"
#include "monitor/http.h"

namespace {

using namespace adit;
using namespace adit::monitor;

constexpr Now kNow{Instant{} + std::chrono::hours(1), UnixTime{std::chrono::seconds(1'700'000'000)}};

std::shared_ptr<const Snapshot> snapshot() {
  auto out = std::make_shared<Snapshot>();
  auto& clients = out->clients.emplace();
  clients.channels.push_back(
      {.client_id = 1, .channel_id = 2, .user_identity = "a\"\xff", .share_work = 1, .shares_rejected = {}});
  clients.worker_list.push_back({.client_id = 1, .worker = "rig", .shares_accepted = 3});
  clients.workers = 1;
  out->connections.push_back({.client_id = 1, .transport = "tcp", .peer = "x"});
  return out;
}

/// Digits and dots, hexadecimal digits in brackets, localhost, or the one name that is configured; then maybe a port.
bool is_this_machine(std::string host) {
  for (char& c : host) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  const auto only = [](std::string_view text, std::string_view of) {
    return text.find_first_not_of(of) == std::string_view::npos;
  };
  std::string_view name = host;
  if (name.starts_with('[')) return only(name.substr(1, name.find(']') - 1), "0123456789abcdef:.");
  name = name.substr(0, name.find(':'));
  if (name.ends_with('.')) name.remove_suffix(1);
  return only(name, "0123456789.") || name == "localhost" || name.ends_with(".localhost") || name == "farm.example";
}

/// All that a client gets to see, one line for each answer.
std::string run(std::string_view input, std::size_t chunk) {
  Api api({.hosts = {"farm.example"}}, kNow);
  api.on_snapshot(snapshot(), std::chrono::seconds(15), kNow);
  api.on_health({.readiness = Readiness::kReady}, kNow);
  RequestReader reader(2048);
  std::string seen;
  while (!input.empty()) {
    reader.put(input.substr(0, chunk));
    input.remove_prefix(std::min(chunk, input.size()));
    while (auto next = reader.next()) {
      const auto& request = next->request;
      const Response response = request ? api.answer(*request, kNow) : next->refusal;
      require(response.status >= 200 && response.status < 600);
      if (response.status == 200 && request->path != "/metrics") require(is_this_machine(request->host.value_or("localhost")));
      if (response.status == 200) require(request->path.starts_with("/"));
      const std::string head = head_of(response, request && request->keep_alive, !request || request->http11);
      require(head.ends_with("\r\n\r\n") && head.find("\r\n\r\n") == head.size() - 4);
      const std::string length = "Content-Length: " + std::to_string(response.content().size()) + "\r\n";
      require((head.find(length) != std::string::npos) == (response.stream == nullptr && response.status != 304));
      if (response.content_type == "application/json") {
        boost::system::error_code wrong;
        (void)boost::json::parse(response.content(), wrong);
        require(!wrong);
      }
      seen += std::to_string(response.status) + " " + (request ? request->method + request->path : "-") + "\n";
      if (!request || !request->keep_alive) return seen;
    }
  }
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  // A header that is too large is found out by what has come, so where it is cut off depends on the chunks.
  const std::string whole = run(input, input.size());
  const std::string pieces = run(input, data[0] % 64 + 1U);
  if (input.size() <= 2048) require(whole == pieces);
  return 0;
}
