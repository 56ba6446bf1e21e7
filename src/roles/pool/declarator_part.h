// The job declaration server on one shard: its connections, and the declared jobs that the pool's sessions there may use.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "declaration/declared_jobs.h"
#include "declaration/server_session.h"
#include "log/limited.h"
#include "net/admission.h"
#include "net/frame_host.h"
#include "net/listeners.h"
#include "net/metadata.h"
#include "net/service.h"
#include "noise/keys.h"
#include "roles/pool/declarator.h"
#include "roles/pool/stats.h"

namespace adit::pool {

/// Everything is called on the shard's thread, the constructor excepted.
class DeclaratorPart final : private net::FrameHostRole, private declaration::ServerEvents {
 public:
  using Transactions = std::shared_ptr<const std::vector<declaration::TransactionPtr>>;
  /// Tells every shard's part of a job and of transactions (know()); `done` is called on this part's shard once all have heard
  /// it.
  using TellAll =
      std::function<void(const declaration::DeclaredJobPtr& job, const Transactions& transactions, std::function<void()> done)>;

  /// What the parts of all shards share; outlives them.
  struct Shared {
    std::shared_ptr<Declarator> declarator;
    std::shared_ptr<const net::FrameHostOptions> host;
    net::Admission admission;
    std::optional<std::array<std::uint8_t, 32>> endpoint_id;  ///< Of the iroh endpoint that is listened on, if any.
    session::ServerOptions serving;
  };

  /// What the parts share whose connections come by `listeners`, and over that iroh endpoint, if any.
  static Shared share(std::shared_ptr<Declarator> declarator, net::Listeners& listeners,
                      std::optional<std::array<std::uint8_t, 32>> endpoint_id, Duration setup_timeout);

  /// `part` owns this. `backlog`: the shard's.
  DeclaratorPart(net::ServicePart& part, const Shared& shared, TellAll tell_all, std::shared_ptr<net::Backlog> backlog);

  [[nodiscard]] declaration::DeclaredJobs& jobs() { return jobs_; }
  [[nodiscard]] const declaration::DeclaredJobs& jobs() const { return jobs_; }

  void take(net::Link link, net::IrohCarrier::Place place) { host_.take(std::move(link), shared_.serving, std::move(place)); }
  void set_template(const bitcoin::TemplatePtr& made);
  void know(const declaration::DeclaredJobPtr& job, const Transactions& transactions);

  void tick();
  void drain(const session::ShutdownBehavior& behavior) { host_.drain(behavior); }
  void cut_off() { host_.cut_off(); }

  [[nodiscard]] DeclaratorTotals counters() const;

  /// Each client's connection and its number; at most `max` of them.
  [[nodiscard]] std::vector<std::pair<std::uint32_t, net::ConnectionMetadata>> connections(std::size_t max) const;

 private:
  struct Session;

  std::unique_ptr<session::ProtocolServer> serve(const session::AcceptedSetup& setup,
                                                 net::HostedConnection& connection) override;

  declaration::Token next_token() override;
  void check(const declaration::ServerSession& session, std::uint64_t declaration,
             const declaration::DeclaredJobPtr& job) override;
  void find(std::uint64_t session, std::uint64_t declaration, std::vector<bitcoin::Hash256> wtxids) override;
  void tell(std::uint64_t session, std::uint64_t declaration, const declaration::DeclaredJobPtr& job,
            std::vector<declaration::TransactionPtr> transactions) override;
  void submit(const declaration::ServerSession& session, const declaration::DeclaredJobPtr& job, const bitcoin::Hash256& hash,
              bitcoin::BlockSolution solution) override;
  void send(declaration::ServerSession& session, const wire::FrameBuffer& frames) override;
  void settled(declaration::ServerSession& session) override;
  void on_declared(const declaration::ServerSession& session, const declaration::DeclaredJob& job, std::size_t asked_for,
                   Duration took) override;
  void on_refused(const declaration::ServerSession& session, declaration::DeclareRefusal refusal,
                  std::string_view reason) override;
  void on_solution_refused(const declaration::ServerSession& session, std::string_view reason) override;

  net::ServicePart& part_;
  const Shared& shared_;
  const TellAll tell_all_;
  const noise::RandomSource random_ = noise::system_random();
  declaration::ServerShard engine_;
  declaration::DeclaredJobs jobs_;
  std::set<const Session*> sessions_;
  net::FrameHost host_;
  log::Limited refusals_{"jds.more_jobs_refused"};
  log::Limited solutions_{"jds.more_solutions_refused"};
};

}  // namespace adit::pool
