// The miner's side of one SV1 connection: an engine, no I/O.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "sv1/line_reader.h"
#include "sv1/message.h"
#include "sv1/parse.h"

namespace adit::sv1 {

/// What a miner needs to hash: the notify, with everything that was set before it.
struct Work {
  Notify job;
  Extranonce extranonce1;
  std::size_t extranonce2_size = 0;
  double difficulty = 1;
  bitcoin::U256 target;            ///< A share's hash is at most this.
  std::uint32_t version_mask = 0;  ///< Bits of job.version that may be rolled; 0: none.
};

/// What a Client tells its owner. Calls come from inside Client::receive; none may destroy the client.
class ClientHandler {
 public:
  virtual ~ClientHandler() = default;
  /// Subscribed and authorized: work follows.
  virtual void on_ready() = 0;
  /// New work. Work that came before is void if `work->job.clean_jobs`.
  virtual void on_work(std::shared_ptr<const Work> work) = 0;
  /// The answer to the submit that returned `id`. `error` is null if the share was accepted.
  virtual void on_submit_answer(std::uint64_t id, const RpcError* error) = 0;
};

/// Sends configure, subscribe and authorize in one go, as ESP-Miner does, and matches the answers by id.
///
/// Not thread-safe. The driver writes what output() holds after each call, then clears it.
class Client {
 public:
  struct Options {
    std::string user;
    std::string password = "x";
    std::string user_agent = "adit";
    bool version_rolling = true;
    std::optional<double> suggest_difficulty;
  };

  Client(Options options, ClientHandler& handler);

  /// Queues the opening requests. Call once, when connected.
  void start();

  /// Takes any chunk of what the server sent. Unknown messages are ignored.
  /// Errors: kLineTooLong, kNotJson, kNotSv1, kRefused (subscribe or authorize), kUnexpected: close the connection.
  Result<void> receive(Bytes bytes);

  /// Queues a mining.submit for `work`. `version_bits` are the rolled bits (BIP310), sent if version rolling was granted.
  /// Returns the id that on_submit_answer will carry. At most 1024 submits wait for their answer: then nullopt.
  std::optional<std::uint64_t> submit(const Work& work, const Extranonce& extranonce2, std::uint32_t ntime, std::uint32_t nonce,
                                      std::uint32_t version_bits);

  /// Bytes to be written to the server.
  [[nodiscard]] std::string& output() { return output_; }

  [[nodiscard]] bool ready() const { return subscribed_ && authorized_; }

 private:
  Result<void> handle(FromServer message);
  Result<void> handle(const Response& response);
  void notify(Notify job);

  Options options_;
  ClientHandler& handler_;
  LineReader reader_;
  Parser parser_;
  std::string output_;
  std::uint64_t next_id_ = 1;
  std::optional<std::uint64_t> configure_id_, subscribe_id_, authorize_id_;
  std::deque<std::uint64_t> submits_;  ///< Ids that wait for their answer, oldest first.
  bool subscribed_ = false;
  bool authorized_ = false;
  Extranonce extranonce1_;
  std::size_t extranonce2_size_ = 0;
  double difficulty_ = 1;
  std::uint32_t version_mask_ = 0;
  std::optional<Notify> early_job_;  ///< A job that came before the answer to subscribe.
};

}  // namespace adit::sv1
