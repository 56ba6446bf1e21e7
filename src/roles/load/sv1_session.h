// One miner of Stratum V1 of `adit load` as an engine: keeps its work, finds shares, counts the answers. No I/O.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/result.h"
#include "base/time.h"
#include "roles/load/meter.h"
#include "roles/load/search.h"
#include "roles/load/session.h"
#include "sv1/client.h"

namespace adit::load {

/// Submits a share with its first work, as a miner does: who has not is a stranger, whom a server gives little. All shares have
/// the extranonce2 zero.
class Sv1Session final : sv1::ClientHandler {
 public:
  /// `options` and `meter` outlive the session. `number`: of the connection, in the miner's name and in what the meter keeps of
  /// tips.
  Sv1Session(const SessionOptions& options, Meter& meter, std::uint32_t number);
  Sv1Session(const Sv1Session&) = delete;
  Sv1Session& operator=(const Sv1Session&) = delete;

  /// Once, when the connection stands.
  void start() { client_.start(); }

  /// Takes any chunk of what the server sent. Errors: as sv1::Client::receive.
  Result<void> receive(Bytes bytes, const Now& now);

  /// Whether its first share has been answered, or has not been found.
  [[nodiscard]] bool ready() const { return ready_; }

  /// Finds up to `limit` shares as far as in_flight allows; returns how many.
  std::size_t submit(std::size_t limit, Instant now);

  /// Bytes to be written to the server.
  [[nodiscard]] std::string& output() { return client_.output(); }

 private:
  void on_ready() override {}
  void on_work(std::shared_ptr<const sv1::Work> work) override;
  void on_submit_answer(std::uint64_t id, const sv1::RpcError* error) override;

  const std::size_t in_flight_;
  Meter& meter_;
  const std::uint32_t number_;
  sv1::Client client_;
  Instant now_{};  ///< Of the call that is under way.
  std::shared_ptr<const sv1::Work> work_;
  std::optional<ShareSearch> search_;
  std::deque<std::pair<std::uint64_t, Instant>> waiting_;  ///< Shares without an answer: the submit's id, and when it was sent.
  bool ready_ = false;
};

}  // namespace adit::load
