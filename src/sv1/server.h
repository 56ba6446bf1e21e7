// The pool's side of one SV1 connection: an engine, no I/O. It knows the dialect; what a share is worth is its handler's
// business.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "sv1/build.h"
#include "sv1/line_reader.h"
#include "sv1/message.h"
#include "sv1/parse.h"

namespace adit::sv1 {

/// What a miner is told to put between the two parts of a job's coinbase. It stays the same as long as its connection.
struct Subscription {
  Extranonce extranonce1;
  std::size_t extranonce2_size = 0;  ///< Bytes that the miner rolls.
};

/// What a Server asks its owner. Calls come from inside Server::receive; none may destroy the server.
class ServerHandler {
 public:
  virtual ~ServerHandler() = default;

  /// The miner subscribes; its answer needs no job yet. An error's message is answered instead; the driver closes then.
  virtual Result<Subscription> on_subscribe(std::string_view user_agent) = 0;

  /// Whether this worker may mine here.
  virtual bool on_authorize(std::string_view user, std::string_view password) = 0;

  /// A worker was refused: on_authorize said so, or a share names one that did not authorize on this connection.
  virtual void on_worker_refused(std::string_view user) = 0;

  /// The miner suggested a difficulty (suggest_difficulty, suggest_target); may come before anything else.
  virtual void on_suggest_difficulty(double difficulty) = 0;

  /// The miner wants no difficulty below this (mining.configure); 0: any.
  virtual void on_minimum_difficulty(double difficulty) = 0;

  /// Subscribed and authorized, both answered: now send a difficulty and a job. Once per connection.
  virtual void on_ready() = 0;

  /// A share of an authorized worker on a subscribed connection, extranonce2 of the right size; version_bits lie within the
  /// negotiated mask, or within kVersionRollingMask if none was. nullopt: accepted, else why not.
  virtual std::optional<Reject> on_submit(const Submit& submit) = 0;
};

/// Which workers authorized on a connection. A farm's proxy has hundreds on one, so their number is not bounded; what is
/// remembered of them is: beyond kRemembered every name counts as authorized.
class AuthorizedWorkers {
 public:
  static constexpr std::size_t kRemembered = 1024;

  void add(std::string_view user);
  [[nodiscard]] bool contains(std::string_view user) const;
  [[nodiscard]] bool empty() const { return names_.empty(); }

 private:
  std::vector<std::size_t> names_;  ///< Their hashes, ascending.
  bool more_ = false;               ///< There were more than are remembered.
};

/// One miner's connection. Order of the requests is the miner's choice, as firmware differs: authorize may come before
/// subscribe, configure after either. Answers keep the order of the requests, and no notification precedes those to subscribe
/// and authorize: cgminer, and old firmware of the Bitaxe, read the next line as the answer to what they sent last.
///
/// Not thread-safe. The driver writes what output() holds after each call, then clears it.
class Server {
 public:
  /// `parser` may be shared by all connections of a shard and must outlive the server; so must `handler`.
  Server(Parser& parser, ServerHandler& handler, std::string session_id);

  /// Takes any chunk. An unknown method or bad parameters are answered with an error.
  /// Errors: kLineTooLong; kAbuse (kMaxMalformed lines that are no SV1): write the output, then close.
  Result<void> receive(Bytes bytes);

  /// Applies to the next notify. Sent only if it differs from what was sent before.
  void set_difficulty(double difficulty);

  /// Bits that jobs allow to roll: sent (as set_version_mask) only if the miner negotiated version rolling and it changes its
  /// mask.
  void allow_version_rolling(std::uint32_t mask);

  void notify(const Notify& job) { append_notify(output_, job); }

  [[nodiscard]] bool ready() const { return ready_; }
  /// What the miner was told; unset before it subscribed.
  [[nodiscard]] const std::optional<Subscription>& subscription() const { return subscription_; }
  [[nodiscard]] const std::string& user() const { return user_; }  ///< The first worker authorized; unprintable bytes included.
  /// What the miner called itself when it subscribed: any bytes, at most kMaxUserAgent.
  [[nodiscard]] const std::string& user_agent() const { return user_agent_; }
  /// Bits that a share may have rolled on what is sent now; 0: none. A miner that never asked for version rolling may roll what
  /// its jobs allow: what it does then shows in the header, and rented ASICs do it (OCEAN-xyz/datum_gateway#214).
  [[nodiscard]] std::uint32_t version_mask() const { return negotiated_mask_.value_or(kVersionRollingMask) & allowed_mask_; }

  /// Bytes to be written to the miner.
  [[nodiscard]] std::string& output() { return output_; }

  static constexpr std::size_t kMaxMalformed = 8;
  static constexpr std::size_t kMaxUserAgent = 255;  ///< As much as a text of SetupConnection.

 private:
  Result<void> drain();
  Result<void> malformed(const Error& error);
  void handle(const Request& request);
  void become_ready();
  void tell_version_mask();

  void on(const std::optional<Id>& id, const Configure& call);
  void on(const std::optional<Id>& id, const Subscribe& call);
  void on(const std::optional<Id>& id, const Authorize& call);
  void on(const std::optional<Id>& id, const Submit& call);
  void on(const std::optional<Id>& id, const ExtranonceSubscribe& call);
  void on(const std::optional<Id>& id, const SuggestDifficulty& call);
  void on(const std::optional<Id>& id, const SuggestTarget& call);
  void on(const std::optional<Id>& id, const Ping& call);
  void on(const std::optional<Id>& id, const GetVersion& call);
  void on(const std::optional<Id>& id, const MultiVersion& call);
  void on(const std::optional<Id>& id, const GetTransactions& call);
  void on(const std::optional<Id>& id, const UnknownMethod& call);
  void on(const std::optional<Id>& id, const BadParameters& call);
  void yes(const std::optional<Id>& id, std::string_view result = "true");
  void no(const std::optional<Id>& id, Reject code, std::string_view text);

  Parser& parser_;
  ServerHandler& handler_;
  LineReader reader_;
  std::string session_id_;
  std::string output_;
  std::string user_, user_agent_;
  AuthorizedWorkers workers_;
  std::optional<Subscription> subscription_;
  std::optional<std::uint32_t> negotiated_mask_;  ///< Unset: the miner did not ask for version rolling.
  std::uint32_t allowed_mask_ = kVersionRollingMask;
  std::uint32_t told_mask_ = 0;  ///< What the miner believes.
  std::optional<double> difficulty_;
  std::size_t malformed_ = 0;
  bool ready_ = false;
};

}  // namespace adit::sv1
