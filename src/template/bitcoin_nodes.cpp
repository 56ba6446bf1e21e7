#include "template/bitcoin_nodes.h"

#include <optional>
#include <utility>

#include "template/rpc_node.h"
#include "template/rpc_source.h"
#include "template/source_list.h"

namespace adit::templates {
namespace {

/// The source of one node, which tells the submitter when that is there again.
class TellingSource final : public TemplateSource {
 public:
  TellingSource(RpcConfig config, ledger::BlockSubmitter& blocks, std::size_t node)
      : source_(std::move(config), blocks), blocks_(blocks), node_(node) {}
  ~TellingSource() override { TellingSource::stop(); }

  Result<> start(SourceEvents events) override {
    // A template ends each time that the node was not there, and tells the chain's height.
    events.on_template = [this, tell = std::move(events.on_template)](TemplatePtr made, bool new_tip) {
      const std::uint32_t height = made->height;
      const bool was_away = !std::exchange(is_there_, true);
      tell(std::move(made), new_tip);
      if (was_away) blocks_.on_node_ready(node_);
      if (new_tip) blocks_.on_tip(height);
    };
    events.on_status = [this, tell = std::move(events.on_status)](const SourceStatus& status) {
      if (status.state != SourceState::kReady) is_there_ = false;
      if (tell) tell(status);
    };
    return source_.start(std::move(events));
  }
  Result<> submit(TemplateId id, BlockSolution solution) override { return source_.submit(id, std::move(solution)); }
  void constrain(CoinbaseConstraints constraints) override { source_.constrain(constraints); }
  void transactions(TemplateId id, std::function<void(Result<Transactions>)> done) override {
    source_.transactions(id, std::move(done));
  }
  [[nodiscard]] SourceStatus status() const override { return source_.status(); }
  void stop() override { source_.stop(); }

 private:
  RpcSource source_;
  ledger::BlockSubmitter& blocks_;
  const std::size_t node_;
  bool is_there_ = false;  ///< The source's thread's.
};

}  // namespace

class BitcoinNodes::Driver {
 public:
  explicit Driver(const Options& options) : blocks_(nodes_of(options), options.blocks) {
    std::vector<std::unique_ptr<TemplateSource>> sources;
    for (std::size_t i = 0; i < options.nodes.size(); ++i) {
      if (options.nodes[i].templates) sources.push_back(std::make_unique<TellingSource>(options.nodes[i].rpc, blocks_, i));
    }
    if (!sources.empty()) sources_.emplace(std::move(sources));
  }

  Result<> start(SourceEvents events) {
    if (!sources_)
      return fail(Errc::kConfiguration, "no node of the configuration gives templates: leave out `templates = false` of one");
    ADIT_CHECK(blocks_.start({.on_kept = std::exchange(events.on_block_kept, nullptr),
                              .on_result = std::exchange(events.on_block_result, nullptr)}));
    return sources_->start(std::move(events));
  }

  // Found blocks go on being submitted while the sources end.
  void stop() {
    if (sources_) sources_->stop();
    blocks_.stop();
  }

  [[nodiscard]] SourceStatus status() const {
    SourceStatus status = sources_ ? sources_->status() : SourceStatus{};
    const auto counts = blocks_.counts();
    status.blocks_accepted = counts.accepted;
    status.blocks_rejected = counts.rejected;
    status.blocks_unanswered = counts.unanswered;
    return status;
  }

  SourceList& sources() { return *sources_; }
  ledger::BlockSubmitter& blocks() { return blocks_; }

 private:
  static std::vector<std::unique_ptr<ledger::BlockNode>> nodes_of(const Options& options) {
    std::vector<std::unique_ptr<ledger::BlockNode>> nodes;
    nodes.reserve(options.nodes.size());
    for (const Node& node : options.nodes) nodes.push_back(std::make_unique<RpcNode>(node.rpc, node.templates));
    return nodes;
  }

  ledger::BlockSubmitter blocks_;
  std::optional<SourceList> sources_;  ///< Absent if no node gives templates.
};

BitcoinNodes::BitcoinNodes(const Options& options) : driver_(std::make_unique<Driver>(options)) {}
BitcoinNodes::~BitcoinNodes() { BitcoinNodes::stop(); }
Result<> BitcoinNodes::start(SourceEvents events) { return driver_->start(std::move(events)); }
Result<> BitcoinNodes::submit(TemplateId id, BlockSolution solution) {
  return driver_->sources().submit(id, std::move(solution));
}
void BitcoinNodes::constrain(CoinbaseConstraints constraints) { driver_->sources().constrain(constraints); }
void BitcoinNodes::transactions(TemplateId id, std::function<void(Result<Transactions>)> done) {
  driver_->sources().transactions(id, std::move(done));
}
SourceStatus BitcoinNodes::status() const { return driver_->status(); }
void BitcoinNodes::stop() { driver_->stop(); }
ledger::BlockSubmitter& BitcoinNodes::blocks() { return driver_->blocks(); }

}  // namespace adit::templates
