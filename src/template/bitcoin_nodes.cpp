#include "template/bitcoin_nodes.h"

#include <functional>
#include <utility>

#ifdef ADIT_HAS_IPC
#include "template/ipc_node.h"
#include "template/ipc_source.h"
#endif
#include "template/rpc_node.h"
#include "template/rpc_source.h"
#include "template/source_list.h"
#include "template/sv2_node.h"
#include "template/sv2_source.h"

namespace adit::templates {
namespace {

/// The source of one node, which tells the submitter when that is there again.
class TellingSource final : public TemplateSource {
 public:
  TellingSource(std::unique_ptr<TemplateSource> source, ledger::BlockSubmitter& blocks, std::size_t node)
      : source_(std::move(source)), blocks_(blocks), node_(node) {}
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
    return source_->start(std::move(events));
  }
  Result<> submit(TemplateId id, BlockSolution solution) override { return source_->submit(id, std::move(solution)); }
  void constrain(CoinbaseConstraints constraints) override { source_->constrain(constraints); }
  void transactions(TemplateId id, std::function<void(Result<Transactions>)> done) override {
    source_->transactions(id, std::move(done));
  }
  [[nodiscard]] SourceStatus status() const override { return source_->status(); }
  void stop() override { source_->stop(); }

 private:
  const std::unique_ptr<TemplateSource> source_;
  ledger::BlockSubmitter& blocks_;
  const std::size_t node_;
  bool is_there_ = false;  ///< The source's thread's.
};

/// Makes a source that hands its blocks to that submitter.
using MakeSource = std::function<std::unique_ptr<TemplateSource>(ledger::BlockSubmitter&)>;

/// What reaches one node: where blocks go, and where templates come from if they do.
struct Reach {
  std::unique_ptr<ledger::BlockNode> blocks;
  MakeSource make_source;
  MakeSource make_further;  ///< The same, over connections of its own.
};

/// A source whose link is nobody else's.
template <class Source, class Link>
class SourceOfItsOwn final : public TemplateSource {
 public:
  SourceOfItsOwn(std::shared_ptr<Link> link, ledger::BlockSubmitter& blocks) : link_(std::move(link)), source_(link_, blocks) {}
  ~SourceOfItsOwn() override { SourceOfItsOwn::stop(); }
  Result<> start(SourceEvents events) override { return source_.start(std::move(events)); }
  Result<> submit(TemplateId id, BlockSolution solution) override { return source_.submit(id, std::move(solution)); }
  void constrain(CoinbaseConstraints constraints) override { source_.constrain(constraints); }
  void transactions(TemplateId id, std::function<void(Result<Transactions>)> done) override {
    source_.transactions(id, std::move(done));
  }
  [[nodiscard]] SourceStatus status() const override { return source_.status(); }
  void stop() override {
    source_.stop();
    link_->stop();
  }

 private:
  const std::shared_ptr<Link> link_;
  Source source_;
};

Reach reach_by(const RpcConfig& config, bool templates) {
  const MakeSource make = [config](ledger::BlockSubmitter& blocks) { return std::make_unique<RpcSource>(config, blocks); };
  return {std::make_unique<RpcNode>(config, templates), make, make};
}

/// Over a link that source and node share.
template <class Link, class Source, class Node, class Config>
Reach reach_over_link(const Config& config, const Config& further, bool templates) {
  const auto link = std::make_shared<Link>(config);
  return {std::make_unique<Node>(link, templates),
          [link](ledger::BlockSubmitter& blocks) { return std::make_unique<Source>(link, blocks); },
          [further](ledger::BlockSubmitter& blocks) {
            return std::make_unique<SourceOfItsOwn<Source, Link>>(std::make_shared<Link>(further), blocks);
          }};
}

Reach reach_by(const Sv2Config& config, bool templates) {
  Sv2Config further = config;
  further.restores_solutions = false;  // The first one does.
  return reach_over_link<Sv2Link, Sv2Source, Sv2Node>(config, further, templates);
}

#ifdef ADIT_HAS_IPC
Reach reach_by(const IpcConfig& config, bool templates) {
  return reach_over_link<IpcLink, IpcSource, IpcNode>(config, config, templates);
}
#else
Reach reach_by(const IpcConfig&, bool) { return {}; }
#endif

}  // namespace

class BitcoinNodes::Driver {
 public:
  explicit Driver(Options options) {
    std::vector<std::unique_ptr<ledger::BlockNode>> nodes;
    std::vector<std::pair<std::size_t, Reach>> giving;
    for (const Node& node : options.nodes) {
      Reach reach = std::visit([&](const auto& config) { return reach_by(config, node.templates); }, node.at);
      if (reach.blocks == nullptr) {
        without_ipc_ = true;
        continue;
      }
      nodes.push_back(std::move(reach.blocks));
      if (node.templates) giving.emplace_back(nodes.size() - 1, std::move(reach));
    }
    blocks_ = std::make_unique<ledger::BlockSubmitter>(std::move(nodes), std::move(options.blocks));
    std::vector<std::unique_ptr<TemplateSource>> sources;
    sources.reserve(giving.size());
    for (const auto& [node, reach] : giving) {
      sources.push_back(std::make_unique<TellingSource>(reach.make_source(*blocks_), *blocks_, node));
      further_.emplace_back(node, reach.make_further);
    }
    if (!sources.empty()) sources_ = std::make_unique<SourceList>(std::move(sources));
  }

  Result<> start(SourceEvents events) {
    if (without_ipc_)
      return fail(Errc::kConfiguration,
                  "this build of adit has no IPC (ADIT_IPC=OFF): use another build, or the node's JSON-RPC");
    if (!sources_)
      return fail(Errc::kConfiguration, "no node of the configuration gives templates: leave out `templates = false` of one");
    ADIT_CHECK(blocks_->start({.on_kept = std::exchange(events.on_block_kept, nullptr),
                               .on_result = std::exchange(events.on_block_result, nullptr)}));
    return sources_->start(std::move(events));
  }

  // Found blocks go on being submitted while the sources end.
  void stop() {
    if (sources_) sources_->stop();
    blocks_->stop();
  }

  [[nodiscard]] SourceStatus status() const {
    SourceStatus status = sources_ ? sources_->status() : SourceStatus{};
    const auto counts = blocks_->counts();
    status.blocks_accepted = counts.accepted;
    status.blocks_rejected = counts.rejected;
    status.blocks_unanswered = counts.unanswered;
    status.answered = blocks_->answered();
    return status;
  }

  std::unique_ptr<TemplateSource> further() {
    std::vector<std::unique_ptr<TemplateSource>> sources;
    sources.reserve(further_.size());
    for (const auto& [node, make] : further_)
      sources.push_back(std::make_unique<TellingSource>(make(*blocks_), *blocks_, node));
    return sources.empty() ? nullptr : std::make_unique<SourceList>(std::move(sources));
  }

  SourceList& sources() { return *sources_; }
  ledger::BlockSubmitter& blocks() { return *blocks_; }

 private:
  bool without_ipc_ = false;  ///< A node is to be reached by IPC, and this build has none.
  std::unique_ptr<ledger::BlockSubmitter> blocks_;
  std::unique_ptr<SourceList> sources_;  ///< Null if no node gives templates.
  std::vector<std::pair<std::size_t, MakeSource>> further_;
};

BitcoinNodes::BitcoinNodes(Options options) : driver_(std::make_unique<Driver>(std::move(options))) {}
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
std::unique_ptr<TemplateSource> BitcoinNodes::further() { return driver_->further(); }
ledger::BlockSubmitter& BitcoinNodes::blocks() { return driver_->blocks(); }

}  // namespace adit::templates
