// Template distribution as a server (SV2 07): the templates that the clients of one shard know, and one session for each
// client. An engine: no I/O, time is an argument. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "session/server_side.h"
#include "template/constraint_classes.h"
#include "template/source.h"
#include "template/sv2_template.h"
#include "wire/frame.h"

namespace adit::templates {

struct Sv2ServerPolicy {
  /// How long templates are still known after a new tip, or after their class is gone: SRI and sv2-tp take ten seconds.
  Duration kept_after_tip = std::chrono::seconds(10);
  std::size_t max_kept =
      64;  ///< Templates of one class on one tip, and four times as many in all; beyond, the oldest is dropped.
  Duration constraints_deadline = std::chrono::seconds(10);  ///< From SetupConnection to CoinbaseOutputConstraints.
  std::size_t max_requests = 8;  ///< Requests for transaction data of one client that wait for their answer.
  /// Requests that one client may make at once, and then one more each second: each may cost four megabytes.
  std::uint32_t request_burst = 32;
  std::uint32_t constraints_burst = 8;  ///< Changes of its constraints, likewise.
  std::uint32_t fault_burst = 16;       ///< Solutions that solve nothing, likewise; a client that sends more is cut off.
};

/// What one shard has counted.
struct Sv2ServerCounters {
  std::uint64_t templates_sent = 0;
  std::uint64_t transactions_sent = 0;     ///< Answers by RequestTransactionData.Success.
  std::uint64_t transactions_refused = 0;  ///< Answers by RequestTransactionData.Error.
  std::uint64_t solutions = 0;             ///< Handed on.
  std::uint64_t solutions_refused = 0;     ///< Of unknown templates, or those that prove no work.
};

void add(Sv2ServerCounters& sum, const Sv2ServerCounters& part);

class Sv2ServerSession;

/// What the engine asks of its driver. Calls come from inside the shard's and the sessions' functions. None may call back into
/// them, but join(), fetch() and leave(), whose answers may also come at once.
class Sv2ServerEvents {
 public:
  /// A client asks for templates with that room. To be answered by Sv2ServerShard::on_class with the same `session` and
  /// `request`.
  virtual void join(std::uint64_t session, std::uint32_t request, CoinbaseConstraints asked) = 0;
  /// A client that had joined the class has left it.
  virtual void leave(ClassId id) = 0;
  /// Sends frames to a client outside of a call of its session.
  virtual void send(Sv2ServerSession& session, const wire::FrameBuffer& frames) = 0;
  /// Ends a client's connection, outside of a call of its session.
  virtual void end(Sv2ServerSession& session, const Error& reason) = 0;
  /// Every request of the client is answered now, and the answer was sent.
  virtual void settled(Sv2ServerSession& session) = 0;
  /// Clients ask for the transactions of that template. To be answered by Sv2ServerShard::on_transactions, once.
  virtual void fetch(const Sv2TemplatePtr& wanted) = 0;
  /// A client solved a block on that template: the source has to publish it.
  virtual void submit(const Sv2ServerSession& session, const Sv2TemplatePtr& solved, BlockSolution solution) = 0;
  /// A client sent a solution that cannot be used; for the log.
  virtual void solution_refused(const Sv2ServerSession& session, std::uint64_t template_id, std::string_view why) = 0;
  /// A template id that is larger than any before it in this service, on whatever shard.
  virtual std::uint64_t next_id() = 0;

 protected:
  ~Sv2ServerEvents() = default;
};

/// The first template id of a process that starts now. Ids grow also from one process to the next, so that a solution that is
/// sent again after a restart is not taken for that of another template (SV2 07 §7.2 allows the UNIX time as an id).
inline std::uint64_t first_template_id(UnixTime now) { return std::uint64_t{to_u32(now)} << 20; }

/// Template distribution on one shard. Its sessions must be gone before it is.
class Sv2ServerShard {
 public:
  Sv2ServerShard(Sv2ServerPolicy policy, Sv2ServerEvents& events) : policy_(policy), events_(events) {}

  /// The answer to Sv2ServerEvents::join. An error ends the client's connection. If the client is gone or has asked again in
  /// the meantime, the class is left at once.
  void on_class(std::uint64_t session, std::uint32_t request, const Result<ClassId>& joined);

  /// The newest template of a class, for every client in it. Its id is larger than those before.
  void set_template(ClassId id, Sv2TemplatePtr made, const Now& now);
  /// The class is gone. Its templates are known for a while yet.
  void drop_class(ClassId id, const Now& now);

  /// The answer to Sv2ServerEvents::fetch.
  void on_transactions(std::uint64_t template_id, const Result<TemplateSource::Transactions>& found);

  /// To be called about once a second: forgets what is stale.
  void on_tick(const Now& now);

  [[nodiscard]] const Sv2ServerCounters& counters() const { return counters_; }
  [[nodiscard]] std::size_t kept() const { return kept_.size(); }
  [[nodiscard]] std::size_t clients() const { return sessions_.size(); }

 private:
  friend class Sv2ServerSession;

  struct Shelf {
    Sv2TemplatePtr current;            ///< Null before the first.
    std::deque<std::uint64_t> on_tip;  ///< Ids of its templates on the present tip, oldest first.
    std::vector<Sv2ServerSession*> clients;
  };
  struct Kept {
    Sv2TemplatePtr one;
    Instant until = Instant::max();
  };

  void keep(Shelf& shelf, Sv2TemplatePtr made);
  void retire(Shelf& shelf, const Now& now);
  /// Sends the newest template; `as_tip` even if the client knows the tip.
  void give(Sv2ServerSession& session, Shelf& shelf, bool as_tip);
  /// Nullptr, and why as an error code of the protocol, if there is no such template.
  [[nodiscard]] Sv2TemplatePtr find(std::uint64_t template_id, std::string_view& why) const;
  void take_out(Sv2ServerSession& session);

  Sv2ServerPolicy policy_;
  Sv2ServerEvents& events_;
  std::map<ClassId, Shelf> shelves_;
  std::map<std::uint64_t, Kept> kept_;                            ///< By template id.
  std::map<std::uint64_t, std::vector<std::uint64_t>> fetching_;  ///< Sessions that wait, by template id.
  std::map<std::uint64_t, Sv2ServerSession*> sessions_;
  std::uint64_t last_session_ = 0;
  std::uint64_t first_id_ = 0;  ///< Of all templates so far; 0 before the first.
  std::uint64_t last_id_ = 0;
  Sv2ServerCounters counters_;
};

/// One client.
class Sv2ServerSession : public session::ProtocolServer {
 public:
  Sv2ServerSession(Sv2ServerShard& shard, const Now& now);
  ~Sv2ServerSession() override;
  Sv2ServerSession(const Sv2ServerSession&) = delete;
  Sv2ServerSession& operator=(const Sv2ServerSession&) = delete;

  /// The offer of this protocol, for session::ServerOptions.
  static session::ProtocolOffer offer() { return {.protocol = wire::Protocol::kTemplateDistribution}; }

  Result<void> on_frames(std::span<const wire::FrameView> frames, const Now& now, wire::FrameBuffer& out) override;
  Result<void> on_tick(const Now& now, wire::FrameBuffer& out) override;
  [[nodiscard]] bool settled() const override { return requests_ == 0; }
  /// Its solutions that were handed on.
  [[nodiscard]] std::uint64_t good_shares() const override { return solutions_; }

  /// A number of this client alone on its shard.
  [[nodiscard]] std::uint64_t number() const { return number_; }
  /// What the client says it adds to coinbases; absent before it did.
  [[nodiscard]] const std::optional<CoinbaseConstraints>& constraints() const { return constraints_; }

 private:
  friend class Sv2ServerShard;

  /// So many at once, then one more each second.
  class Allowance {
   public:
    Allowance(std::uint32_t burst, Instant now) : burst_(burst), left_(burst), at_(now) {}
    bool take(Instant now);

   private:
    std::uint32_t burst_;
    std::uint32_t left_;
    Instant at_;
  };

  struct Tip {
    Hash256 prev_hash{};
    std::uint32_t nbits = 0;
    bool operator==(const Tip&) const = default;
  };

  Result<void> on_frame(const wire::FrameView& frame, const Now& now, wire::FrameBuffer& out);
  Result<void> on_constraints(const wire::FrameView& frame, const Now& now);
  Result<void> on(const wire::RequestTransactionData& message, const Now& now, wire::FrameBuffer& out);
  Result<void> on(const wire::SubmitSolution& message, const Now& now, wire::FrameBuffer& out);

  Sv2ServerShard& shard_;
  std::uint64_t number_;
  Instant since_;
  std::optional<CoinbaseConstraints> constraints_;
  std::uint32_t join_request_ = 0;      ///< The newest one that was made.
  std::optional<ClassId> class_;        ///< That it is in.
  std::optional<Tip> tip_;              ///< That it was told.
  std::uint64_t last_template_id_ = 0;  ///< That it was told.
  std::size_t requests_ = 0;            ///< Unanswered.
  std::uint64_t solutions_ = 0;         ///< Handed on.
  Allowance requests_allowed_;
  Allowance constraints_allowed_;
  Allowance faults_allowed_;
};

}  // namespace adit::templates
