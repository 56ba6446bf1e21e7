// The session with one template provider, kept up for what takes templates from it and what takes blocks to it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "ledger/block_node.h"
#include "template/source.h"
#include "template/sv2_config.h"
#include "template/template_store.h"

namespace adit::templates {

/// Dials the provider, and again with backoff when the session is lost. A driver around Sv2Client and upstream::Uplink, shared
/// by the provider's Sv2Source and Sv2Node. Its session lives on the shard of the configuration. Functions may be called on any
/// thread unless they say otherwise.
class Sv2Link {
 public:
  /// Called on the shard's thread.
  struct Observer {
    std::function<void(const TemplatePtr& made, bool new_tip)> on_template;  ///< As SourceEvents::on_template.
    /// There is no session, or no template came in time. `needs_somebody`: nothing is dialled any more before the
    /// configuration is changed.
    std::function<void(const Error& why, bool needs_somebody)> on_away;
    std::function<TemplateId()> next_template_id;  ///< As SourceEvents::next_template_id.
  };

  explicit Sv2Link(Sv2Config config);
  ~Sv2Link();  ///< As stop().
  Sv2Link(const Sv2Link&) = delete;
  Sv2Link& operator=(const Sv2Link&) = delete;

  /// Begins to dial once there is an observer. A second call does nothing.
  void start();
  /// Ends the session in an orderly manner, within a bound. No callback comes any more. Idempotent; not on the shard's thread.
  void stop();

  [[nodiscard]] const Sv2Config& config() const;
  [[nodiscard]] const std::string& name() const;

  /// One observer.
  void observe(Observer observer);
  /// No function of the observer runs any more once this has returned. Not on the shard's thread.
  void unobserve();

  /// The templates that were given out.
  [[nodiscard]] const TemplateStore& store() const;
  /// As TemplateSource::constrain.
  void constrain(CoinbaseConstraints constraints);
  /// Sends the solution of `made`, which this link gave out: at once, and again after each reconnect until its effect is seen.
  void solve(TemplatePtr made, BlockSolution solution);
  /// Asks for the transactions of `made`, which this link gave out. `done` is called once, on the shard's thread, unless the
  /// link is stopped first. Errors that it gets: those of Sv2Client::transactions.
  void fetch(TemplatePtr made, std::function<void(Result<TemplateSource::Transactions>)> done);

  /// Waits for the effect of a block: that the provider names it as its tip, or that its solution's fate is clear otherwise.
  /// `done` is called as BlockNode::submit says. Errors that it gets: kUnreachable (there is no session, or it has ended),
  /// kTimedOut (Sv2Config::effect_deadline has passed; the message says whether the provider has a solution of the block).
  void await_effect(const Hash256& hash, ledger::BlockNode::Done done);

 private:
  class Driver;
  std::shared_ptr<Driver> driver_;
};

}  // namespace adit::templates
