#include "roles/pool/declarator_part.h"

#include <utility>

#include "base/hex.h"
#include "log/log.h"

namespace adit::pool {

struct DeclaratorPart::Session final : declaration::ServerSession {
  Session(DeclaratorPart& at, net::HostedConnection& peer, std::uint32_t flags)
      : ServerSession(at.engine_, flags, now_from_system()), part(at), connection(peer) {
    part.sessions_.insert(this);
  }
  ~Session() override { part.sessions_.erase(this); }
  DeclaratorPart& part;
  net::HostedConnection& connection;

  static net::HostedConnection& connection_of(const declaration::ServerSession& session) {
    return static_cast<const Session&>(session).connection;
  }
  static std::string peer_of(const declaration::ServerSession& session) { return connection_of(session).metadata().peer; }
};

DeclaratorPart::Shared DeclaratorPart::share(std::shared_ptr<Declarator> declarator, net::Listeners& listeners,
                                             std::optional<std::array<std::uint8_t, 32>> endpoint_id, Duration setup_timeout) {
  const DeclaratorOptions& options = declarator->options();
  auto host = std::make_shared<net::FrameHostOptions>(listeners.host_options());
  host->max_queued_bytes = options.max_queued_bytes;
  host->max_payload = options.max_payload;
  auto offer = declaration::ServerSession::offer(options.session);
  offer.supported_extensions = options.supported_extensions;
  offer.required_extensions = options.required_extensions;
  return {.declarator = std::move(declarator),
          .host = std::move(host),
          .admission = listeners.admission(),
          .endpoint_id = endpoint_id,
          .serving = {.offers = {std::move(offer)}, .setup_timeout = setup_timeout}};
}

DeclaratorPart::DeclaratorPart(net::ServicePart& part, const Shared& shared, TellAll tell_all,
                               std::shared_ptr<net::Backlog> backlog)
    : part_(part),
      shared_(shared),
      tell_all_(std::move(tell_all)),
      engine_(shared.declarator->options().session, *this),
      jobs_(shared.declarator->options().session.revenue),
      host_(part, shared.host, shared.admission, shared.endpoint_id, *this, std::move(backlog)) {}

void DeclaratorPart::set_template(const bitcoin::TemplatePtr& made) {
  jobs_.set_template(made);
  engine_.set_template(made, now_from_system());
}

void DeclaratorPart::know(const declaration::DeclaredJobPtr& job, const Transactions& transactions) {
  if (job != nullptr) jobs_.add(job);
  if (transactions != nullptr) engine_.on_transactions(*transactions);
}

void DeclaratorPart::tick() {
  jobs_.on_tick(now_from_system().instant);
  host_.tick();
  refusals_.tick();
  solutions_.tick();
}

DeclaratorTotals DeclaratorPart::counters() const { return {engine_.counters(), host_.counters()}; }

std::vector<std::pair<std::uint32_t, net::ConnectionMetadata>> DeclaratorPart::connections(std::size_t max) const {
  std::vector<std::pair<std::uint32_t, net::ConnectionMetadata>> all;
  for (const Session* const session : sessions_) {
    if (all.size() == max) break;
    all.emplace_back(session->connection.id(), session->connection.metadata());
  }
  return all;
}

std::unique_ptr<session::ProtocolServer> DeclaratorPart::serve(const session::AcceptedSetup& setup,
                                                               net::HostedConnection& connection) {
  return std::make_unique<Session>(*this, connection, setup.flags);
}

declaration::Token DeclaratorPart::next_token() {
  declaration::Token token;
  random_(token);
  return token;
}

void DeclaratorPart::check(const declaration::ServerSession& session, std::uint64_t declaration,
                           const declaration::DeclaredJobPtr& job) {
  // The part is this one's owner: while it lives, so does this.
  shared_.declarator->check(
      job, net::source_key(Session::connection_of(session).metadata()),
      [this, weak = part_.weak_from_this(), number = session.number(), declaration](const declaration::CheckAnswer& answer) {
        const auto part = weak.lock();
        if (!part) return;
        part->shard().post(
            [this, part, number, declaration, answer] { engine_.on_checked(number, declaration, answer, now_from_system()); });
      });
}

void DeclaratorPart::find(std::uint64_t session, std::uint64_t declaration, std::vector<bitcoin::Hash256> wtxids) {
  shared_.declarator->find(
      std::move(wtxids), [this, weak = part_.weak_from_this(), session, declaration](const Transactions& found) {
        const auto part = weak.lock();
        if (!part) return;
        part->shard().post(
            [this, part, session, declaration, found] { engine_.on_found(session, declaration, *found, now_from_system()); });
      });
}

void DeclaratorPart::tell(std::uint64_t session, std::uint64_t declaration, const declaration::DeclaredJobPtr& job,
                          std::vector<declaration::TransactionPtr> transactions) {
  auto shared = std::make_shared<const std::vector<declaration::TransactionPtr>>(std::move(transactions));
  tell_all_(job, shared, [this, weak = part_.weak_from_this(), session, declaration] {
    if (const auto part = weak.lock()) engine_.on_told(session, declaration, now_from_system());
  });
}

void DeclaratorPart::submit(const declaration::ServerSession& session, const declaration::DeclaredJobPtr& job,
                            const bitcoin::Hash256& hash, bitcoin::BlockSolution solution) {
  log::info("jds.block_found", {{"peer", Session::peer_of(session)},
                                {"hash", to_hex_reversed(hash)},
                                {"height", job->work->height},
                                {"user_identity", job->user}});
  const auto& submit_block = shared_.declarator->options().submit_block;
  auto handed = submit_block(hash, job->work->height, [work = job->work, solution = std::move(solution)] {
    return declaration::assemble_block(*work, solution);
  });
  if (!handed) log::error("jds.block_lost", {{"hash", to_hex_reversed(hash)}, {"message", handed.error().message()}});
}

void DeclaratorPart::send(declaration::ServerSession& session, const wire::FrameBuffer& frames) {
  Session::connection_of(session).send(frames);
}

void DeclaratorPart::settled(declaration::ServerSession& session) { Session::connection_of(session).settle(); }

void DeclaratorPart::on_declared(const declaration::ServerSession& session, const declaration::DeclaredJob& job,
                                 std::size_t asked_for, Duration took) {
  log::debug("jds.job_declared", {{"peer", Session::peer_of(session)},
                                  {"user_identity", job.user},
                                  {"height", job.work->height},
                                  {"transactions", job.work->declared.size()},
                                  {"asked_for", asked_for},
                                  {"ms", std::chrono::floor<std::chrono::milliseconds>(took).count()}});
}

void DeclaratorPart::on_refused(const declaration::ServerSession& session, declaration::DeclareRefusal refusal,
                                std::string_view reason) {
  // At each new tip there are some: nobody need look at them.
  if (refusal == declaration::DeclareRefusal::kStaleTip) {
    return log::debug("jds.job_stale", {{"peer", Session::peer_of(session)}, {"message", reason}});
  }
  refusals_.warn(
      "jds.job_refused",
      {{"peer", Session::peer_of(session)}, {"error_code", declaration::declare_error_code(refusal)}, {"message", reason}});
}

void DeclaratorPart::on_solution_refused(const declaration::ServerSession& session, std::string_view reason) {
  solutions_.warn("jds.solution_refused", {{"peer", Session::peer_of(session)}, {"reason", reason}});
}

}  // namespace adit::pool
