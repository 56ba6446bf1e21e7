// Templates of a Stratum V2 template provider, over TCP or iroh.
#pragma once

#include <memory>

#include "net/dial.h"
#include "net/health.h"
#include "net/shards.h"
#include "net/transport_config.h"
#include "template/source.h"
#include "template/sv2_client.h"
#include "upstream/selection.h"

namespace adit::templates {

/// Keeps a session with one provider, dials it again when it is lost, and hands its templates on. A driver around Sv2Client
/// and upstream::Uplink. Transactions are fetched when they are asked for.
///
/// A block is kept (SourceEvents::on_block_kept) once its effect was seen, because SubmitSolution has no answer, and nothing of
/// it is on disk here.
class Sv2Source final : public TemplateSource {
 public:
  struct Options {
    net::Peer provider;
    net::DialOptions dial;
    net::HealthPolicy health;
    upstream::SelectionPolicy selection;
    Sv2ClientPolicy client;
  };

  /// `shard` is started and outlives the source, whose connection lives there.
  Sv2Source(net::Shard& shard, Options options);
  ~Sv2Source() override;

  Result<> start(SourceEvents events) override;  ///< No errors.
  Result<> submit(TemplateId id, BlockSolution solution) override;
  void constrain(CoinbaseConstraints constraints) override;
  void transactions(TemplateId id, std::function<void(Result<Transactions>)> done) override;
  [[nodiscard]] SourceStatus status() const override;
  void stop() override;  ///< Not from the shard's thread.

 private:
  class Driver;
  std::shared_ptr<Driver> driver_;
};

}  // namespace adit::templates
