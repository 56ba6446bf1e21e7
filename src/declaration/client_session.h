// The job declaration protocol's client on one connection (SV2 06 §6.4): a stock of tokens, jobs that are declared, the
// transactions that a declarator asks for, solutions. An engine: no I/O, time is an argument.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "bitcoin/template.h"
#include "session/error.h"
#include "wire/frame.h"
#include "wire/job_declaration_messages.h"

namespace adit::declaration {

struct ClientPolicy {
  std::size_t spare_tokens = 2;                          ///< Held beside those in use, so that no job waits for one.
  Duration token_deadline = std::chrono::seconds(20);    ///< For the answer to AllocateMiningJobToken.
  Duration declare_deadline = std::chrono::seconds(60);  ///< For the answer to DeclareMiningJob, missing transactions included.
  Duration token_lifetime = std::chrono::hours(1);       ///< A spare token that is older is let go of: declarators forget them.
  std::size_t max_outputs_size = 4096;                   ///< Bytes of outputs that a declarator may want in every coinbase.
};

/// One allowance to declare a job.
struct SpareToken {
  std::vector<std::uint8_t> bytes;
  /// Those that the job's coinbase must have. The first is the pool's payout (SV2 06 §6.4.3); all are worth 0 here.
  std::shared_ptr<const std::vector<bitcoin::TxOutput>> outputs;
  Instant since{};  ///< When it was given.
};

/// A job as it is declared. All that it refers to is kept until the answer is here.
struct Declaration {
  std::uint32_t version = 0;
  std::vector<std::uint8_t> coinbase_prefix;  ///< Up to the extranonce, marker and flag included (SV2 06 §6.4.4).
  std::vector<std::uint8_t> coinbase_suffix;  ///< Behind it, with its witness.
  std::shared_ptr<const std::vector<bitcoin::Hash256>> wtxids;  ///< Of all transactions but the coinbase, in block order.
  std::shared_ptr<const std::vector<std::vector<std::uint8_t>>> transactions;  ///< Those, serialized with witness.
};

/// What a client hears. Calls come from inside on_frames(); none may destroy the session.
class ClientHandler {
 public:
  virtual ~ClientHandler() = default;
  /// A spare token came.
  virtual void on_token() = 0;
  /// The job of that number was accepted: `token` is what SetCustomMiningJob names. Valid during the call.
  virtual void on_declared(std::uint64_t job, Bytes token) = 0;
  /// The job of that number was refused. Valid during the call.
  virtual void on_declare_refused(std::uint64_t job, std::string_view error_code) = 0;
  /// That many of the job's transactions, of so many bytes together, were asked for and sent.
  virtual void on_transactions_sent(std::uint64_t /*job*/, std::size_t /*count*/, std::size_t /*bytes*/) {}
};

/// One session with a job declarator, after it is set up.
class ClientSession {
 public:
  /// `handler` must outlive it. `user_identity`: at most 255 bytes.
  ClientSession(ClientPolicy policy, std::string user_identity, ClientHandler& handler)
      : policy_(policy), user_identity_(std::move(user_identity)), handler_(handler) {}

  /// Once: asks for the first tokens.
  void begin(const Now& now, wire::FrameBuffer& out) { ask_for_tokens(now, out); }

  /// Takes the frames in order. Messages that it does not know are ignored. Errors: session's kProtocol (a token nobody asked
  /// for, outputs that are none, transactions that the job does not have or that are asked for twice or too often, an answer
  /// that cannot be read); kRefused (outputs that would take too much of every block).
  Result<void> on_frames(std::span<const wire::FrameView> frames, const Now& now, wire::FrameBuffer& out);

  /// To be called about once a second. Error: session's kTimedOut, saying which request was not answered.
  Result<void> on_tick(const Now& now, wire::FrameBuffer& out);

  /// Takes a spare token, the oldest, and asks for another; nullopt: there is none now.
  std::optional<SpareToken> take_token(const Now& now, wire::FrameBuffer& out);
  [[nodiscard]] std::size_t spare_tokens() const { return spare_.size(); }
  /// Of the newest token, whether it is used or not; nullptr before the first.
  [[nodiscard]] const std::shared_ptr<const std::vector<bitcoin::TxOutput>>& outputs() const { return outputs_; }
  /// Lets go of all spare tokens, as the declarator does not know them any more, and asks for others.
  void renew_tokens(const Now& now, wire::FrameBuffer& out);

  /// Appends DeclareMiningJob. `job` is the caller's number, which no other declaration has. False, with nothing appended: the
  /// message cannot carry it.
  bool declare(std::uint64_t job, const SpareToken& token, Declaration declaration, const Now& now, wire::FrameBuffer& out);
  /// Declarations without an answer.
  [[nodiscard]] std::size_t undecided() const { return declared_.size(); }

  /// Appends PushSolution (SV2 06 §6.4.9).
  static void push_solution(const wire::PushSolution& solution, wire::FrameBuffer& out) { out.push(solution); }

  /// How often a declarator may ask for transactions of one declaration.
  static constexpr std::size_t kMostQuestions = 4;

 private:
  struct Declared {
    std::uint64_t job = 0;
    Declaration declaration;
    Instant deadline{};
    std::size_t questions = 0;
  };

  void ask_for_tokens(const Now& now, wire::FrameBuffer& out);
  Result<void> on(const wire::AllocateMiningJobTokenSuccess& message, const Now& now, wire::FrameBuffer& out);
  Result<void> on(const wire::DeclareMiningJobSuccess& message, const Now& now, wire::FrameBuffer& out);
  Result<void> on(const wire::DeclareMiningJobError& message, const Now& now, wire::FrameBuffer& out);
  Result<void> on(const wire::ProvideMissingTransactions& message, const Now& now, wire::FrameBuffer& out);

  const ClientPolicy policy_;
  const std::string user_identity_;
  ClientHandler& handler_;
  std::uint32_t last_request_ = 0;
  std::map<std::uint32_t, Instant> asked_;  ///< Requests for tokens, by id, with their deadlines.
  std::deque<SpareToken> spare_;            ///< Oldest first.
  std::shared_ptr<const std::vector<bitcoin::TxOutput>> outputs_;
  std::map<std::uint32_t, Declared> declared_;  ///< By request id.
};

}  // namespace adit::declaration
