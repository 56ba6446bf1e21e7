// Template distribution as a client (SV2 07): the templates of one provider at a time, and the solutions that go back. An
// engine: no I/O, time is an argument. Not thread-safe, but store().
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "session/calls.h"
#include "template/source.h"
#include "template/template_store.h"
#include "wire/frame.h"
#include "wire/template_distribution_messages.h"

namespace adit::templates {

struct Sv2ClientPolicy {
  Duration first_template_deadline = std::chrono::seconds(30);  ///< From CoinbaseOutputConstraints to the first SetNewPrevHash.
  Duration transactions_deadline = std::chrono::seconds(10);    ///< For the answer to RequestTransactionData.
  std::size_t max_futures = 32;    ///< Future templates that wait for their SetNewPrevHash; beyond, the oldest is dropped.
  std::size_t max_solutions = 64;  ///< Solutions whose effect was not seen yet.
  /// Of these, the newest that are sent again at once when a session begins: a provider that does not know their templates any
  /// more takes too many of them for an attack (ours: 16).
  std::size_t max_sent_again = 8;
  /// How long a solution is sent again after each reconnect while the chain does not move on.
  Duration solution_patience = std::chrono::hours(1);
};

/// A solution that was found on a provider's template, as it is sent.
struct Sv2Solution {
  std::string provider;           ///< As Sv2Client::begin names it.
  std::uint64_t template_id = 0;  ///< The provider's.
  Hash256 hash{};                 ///< Of the block's header.
  std::uint32_t height = 0;
  BlockSolution solved;  ///< The coinbase as the block carries it.
  UnixTime found{};
};

/// What the engine tells its driver. No function may call back into the client.
class Sv2ClientEvents {
 public:
  virtual TemplateId next_template_id() = 0;
  /// As SourceEvents::on_template.
  virtual void on_template(TemplatePtr made, bool new_tip) = 0;
  /// What became of a solution: kAccepted, its block was the provider's tip; kStale, the chain is two blocks beyond it and the
  /// provider never said that it was the tip; kRejected, solution_patience has passed. Once for each,
  /// after the template on the tip that decided it.
  virtual void on_block_result(const BlockResult& result) = 0;
  /// A solution was taken: it is to be kept until on_block_result is called for it.
  virtual void on_solution(const Sv2Solution&) {}

 protected:
  ~Sv2ClientEvents() = default;
};

/// One after the other it has sessions with providers; what it knows outlives them.
///
/// A solution is sent at once and again at the start of each later session with the provider whose template it solves, until
/// its effect is seen there, because SubmitSolution has no answer. Of many the newest are.
class Sv2Client {
 public:
  Sv2Client(Sv2ClientPolicy policy, Sv2ClientEvents& events) : policy_(policy), events_(events) {}

  /// A session with that provider is set up. `provider` names it among all that there are: template ids are its own.
  void begin(std::string provider, const Now& now, wire::FrameBuffer& out);
  /// Handles frames of the session, in the order sent. After an error the session is to be ended. Errors: session's kProtocol
  /// (ids that do not grow, a template for a tip that was never named, a SetNewPrevHash for a template that is not there, a
  /// message that is not a provider's); kNonsense (a template that no block can be made of).
  Result<void> on_frames(std::span<const wire::FrameView> frames, const Now& now, wire::FrameBuffer& out);
  /// To be called about once a second, with a session or without. Errors, which end the session: session's kTimedOut, if no
  /// template came in time.
  Result<void> on_tick(const Now& now);
  /// The session is over. Transactions that were asked for end with that error.
  void end(const Error& why);
  [[nodiscard]] bool in_session() const { return session_ != 0 && in_session_; }

  /// What the pool adds to coinbases from now on; the provider is told if there is a session.
  void constrain(CoinbaseConstraints constraints, const Now& now, wire::FrameBuffer& out);

  /// As TemplateSource::submit. Also with no session: it is sent once there is one. A second call for the same block does
  /// nothing. Errors also: ledger's kFull.
  Result<> submit(TemplateId id, const BlockSolution& solution, const Now& now, wire::FrameBuffer& out);

  /// A solution of an earlier run. Sent as others, if it is not here already and no older than solution_patience.
  void restore(Sv2Solution solution, const Now& now, wire::FrameBuffer& out);

  /// As TemplateSource::transactions: asks the provider. Errors that `done` gets also: kUnreachable (no session with the
  /// provider of that template), kTimedOut, kNonsense (they are not those of the template), kRefused (with its error code).
  void transactions(TemplateId id, const Now& now, wire::FrameBuffer& out,
                    std::function<void(Result<TemplateSource::Transactions>)> done);

  /// Thread-safe.
  [[nodiscard]] const TemplateStore& store() const { return store_; }
  /// Solutions whose effect was not seen yet.
  [[nodiscard]] std::size_t unsettled() const { return solutions_.size(); }
  /// A template of the present session has come.
  [[nodiscard]] bool has_template() const { return in_session() && tip_.has_value(); }

 private:
  using Done = std::function<void(Result<TemplateSource::Transactions>)>;

  /// Where a template came from.
  struct Origin {
    std::string provider;
    std::uint64_t template_id = 0;
  };
  /// What the last SetNewPrevHash said.
  struct Tip {
    Hash256 prev_hash{};
    std::uint32_t nbits = 0;
    std::uint32_t min_ntime = 0;
    Instant since{};
  };
  struct Solution : Sv2Solution {
    Instant since{};
  };

  Result<void> on_frame(const wire::FrameView& frame, const Now& now, wire::FrameBuffer& out);
  Result<void> on(const wire::NewTemplate& message, const Now& now);
  Result<void> on(const wire::SetNewPrevHashTdp& message, const Now& now);
  void publish(Template made, std::uint64_t remote_id, const Now& now);
  void see_tip(const Hash256& prev_hash, std::uint32_t height);
  void settle(std::deque<Solution>::iterator& at, BlockVerdict verdict, std::string reason);
  static void send(const Solution& solution, wire::FrameBuffer& out);
  void answer(std::uint64_t remote_id, const TemplatePtr& made, Result<wire::FrameView> frame);

  Sv2ClientPolicy policy_;
  Sv2ClientEvents& events_;
  CoinbaseConstraints constraints_;
  TemplateStore store_;
  std::map<TemplateId, Origin> origins_;  ///< Of the templates that the store still finds.
  std::deque<Solution> solutions_;        ///< Oldest first.
  std::optional<Tip> published_tip_;      ///< Of the newest template that was told, in whatever session.

  // Of the session.
  std::uint64_t session_ = 0;  ///< Sessions so far.
  bool in_session_ = false;
  std::string provider_;
  Instant asked_{};  ///< When the constraints went out.
  std::optional<std::uint64_t> last_remote_id_;
  std::optional<Tip> tip_;
  std::map<std::uint64_t, Template> futures_;  ///< By the provider's id.
  session::StratumV2RpcHandler calls_;
  std::map<std::uint64_t, std::vector<Done>> asking_;  ///< By the provider's id.
};

}  // namespace adit::templates
