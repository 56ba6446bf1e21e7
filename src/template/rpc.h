// A Bitcoin node by JSON-RPC: getblocktemplate with longpoll, submitblock.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "base/time.h"
#include "bitcoin/address.h"
#include "template/source.h"

namespace adit::templates {

/// The file that Bitcoin Core writes at each start ("__cookie__:password"); read again for every call.
struct RpcCookie {
  std::filesystem::path file;
};
struct RpcPassword {
  std::string user;
  std::string password;
};

struct RpcConfig {
  std::string host = "127.0.0.1";
  std::uint16_t port = 8332;
  std::variant<RpcCookie, RpcPassword> auth;
  std::optional<bitcoin::Network> network;            ///< The node must be on this one; absent: on any.
  std::filesystem::path journal_folder;               ///< Of found blocks; made if it is not there.
  Duration refresh_every = std::chrono::seconds(30);  ///< A new template at least this often.
  Duration poll_every = std::chrono::seconds(2);      ///< Instead, for a node whose templates carry no longpollid.
  Duration call_deadline =
      std::chrono::seconds(20);  ///< Connecting, sending and the whole answer; not for the long poll, see below.
  Duration retry_first = std::chrono::milliseconds(250);  ///< Backoff after a failure: first and largest wait.
  Duration retry_cap = std::chrono::seconds(10);
};

/// Talks to the node on a thread of its own, where templates are parsed too. Each call is a connection, so that a restarted
/// node, a new cookie or an idle timeout need no care.
///
/// The long poll has no deadline (a chain may be quiet for an hour, and an abandoned one holds a worker of the node until the
/// next block); that the node is alive is known from the refreshes beside it. When one fails, the long poll is cut off.
///
/// A found block is written to the journal and synced before it is submitted, and submitted until the node has answered; what
/// an earlier run left there is submitted first.
class RpcSource final : public TemplateSource {
 public:
  explicit RpcSource(RpcConfig config);
  ~RpcSource() override;

  /// Errors: kJournal when the folder cannot be used.
  Result<> start(SourceEvents events) override;
  void submit_block(FoundBlock block) override;
  [[nodiscard]] SourceStatus status() const override;
  void stop() override;

 private:
  class Driver;
  std::unique_ptr<Driver> driver_;
};

}  // namespace adit::templates
