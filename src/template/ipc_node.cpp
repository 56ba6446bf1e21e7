#include "template/ipc_node.h"

#include <boost/json/array.hpp>
#include <boost/json/string.hpp>

#include <optional>
#include <utility>

#include "base/hex.h"
#include "bitcoin/block.h"
#include "template/error.h"
#include "template/ipc_verdict.h"
#include "template/node_info.h"

namespace adit::templates {
namespace {

namespace json = boost::json;
using ledger::NodeAnswer;

/// One attempt. Lives as long as its calls; all on the node's thread.
class Attempt : public std::enable_shared_from_this<Attempt> {
 public:
  Attempt(std::shared_ptr<IpcLink> link, ledger::BlockPtr block, ledger::BlockNode::Done done)
      : link_(std::move(link)), block_(std::move(block)), done_(std::move(done)) {}

  void run() {
    const bool waits = link_->when_solved(
        block_->hash(), [self = shared_from_this()](const Result<ipc::Submitted>& answer) { self->on_solved(answer); });
    if (!waits) submit_whole();
  }

 private:
  void on_solved(const Result<ipc::Submitted>& answer) {
    if (answer) {
      if (auto judged = judge_solution(*answer, block_->hash())) return done_(*std::move(judged));
      solved_ = *answer;
    }
    submit_whole();
  }

  void submit_whole() {
    const std::vector<std::uint8_t>& bytes = block_->block().bytes;
    link_->node().submit_block(
        bytes, block_, [self = shared_from_this()](Result<ipc::Submitted> answer) { self->on_submitted(std::move(answer)); });
  }

  void on_submitted(Result<ipc::Submitted> answer) {
    if (!answer) {
      if (answer.error().is(ipc::Errc::kUnsupported)) return without_whole_blocks();
      return done_(fail(std::move(answer.error())));
    }
    auto judged = judge_block(*answer, block_->hash());
    if (judged && judged->verdict == ledger::BlockVerdict::kDuplicate) return find_in_chain(*std::move(judged));
    done_(std::move(judged));
  }

  /// The node has the block, in its best chain or beside it.
  void find_in_chain(NodeAnswer unless_known) {
    json::array params;
    params.emplace_back(to_hex_reversed(block_->hash()));
    link_->rpc("getblockheader", std::move(params),
               [self = shared_from_this(), unless_known = std::move(unless_known)](Result<json::value> answer) {
                 const auto confirmations = answer ? integer_in(*answer, "confirmations") : std::nullopt;
                 self->done_(confirmations ? judge_known(*confirmations) : unless_known);
               });
  }

  /// Bitcoin Core 31.0.
  void without_whole_blocks() {
    if (solved_) return done_(judge_solution_by_tip(*solved_, block_->hash(), block_->height()));
    const ipc::TemplateHandle handle = link_->held(block_->block().template_id);
    const auto view = bitcoin::parse_block(block_->block().bytes);
    if (handle == nullptr || !view) {
      return done_(fail(Errc::kRefused,
                        "Bitcoin Core 31.0 takes blocks of its own templates alone by IPC, and this one's is gone: add the "
                        "node's JSON-RPC as one of "
                        "[[nodes]], or install a later release"));
    }
    bitcoin::BlockSolution solution{
        .version = view->header.version, .ntime = view->header.ntime, .nonce = view->header.nonce, .coinbase = {}};
    solution.coinbase.assign(view->transactions[0].begin(), view->transactions[0].end());
    link_->node().submit_solution(handle, std::move(solution), [self = shared_from_this()](Result<ipc::Submitted> answer) {
      if (!answer) return self->done_(fail(std::move(answer.error())));
      self->done_(judge_solution_by_tip(*answer, self->block_->hash(), self->block_->height()));
    });
  }

  const std::shared_ptr<IpcLink> link_;
  const ledger::BlockPtr block_;
  const ledger::BlockNode::Done done_;
  std::optional<ipc::Submitted> solved_;  ///< The answer to the solution, if it did not decide.
};

}  // namespace

IpcNode::IpcNode(std::shared_ptr<IpcLink> link, bool gives_templates)
    : link_(std::move(link)), gives_templates_(gives_templates) {}
IpcNode::~IpcNode() { IpcNode::stop(); }
const std::string& IpcNode::name() const { return link_->name(); }
bool IpcNode::gives_templates() const { return gives_templates_; }

void IpcNode::submit(ledger::BlockPtr block, Done done) {
  link_->node().post([link = link_, block = std::move(block), done = std::move(done)]() mutable {
    if (!link->is_there()) return done(fail(ipc::Errc::kLost, "there is no connection to the node at " + link->name()));
    std::make_shared<Attempt>(std::move(link), std::move(block), std::move(done))->run();
  });
}

void IpcNode::prefer(const ledger::Hash256& hash) {
  link_->node().post([link = link_.get(), hash] {
    json::array params;
    params.emplace_back(to_hex_reversed(hash));
    // A node that has no such call builds on what it heard of first.
    link->rpc("preciousblock", std::move(params), [](const Result<json::value>&) {});
  });
}

void IpcNode::start() {
  // Where no thread can be made for it, no block of this run goes there: they stay in the journal.
  [[maybe_unused]] const auto started = link_->start();
}
void IpcNode::stop() { link_->stop(); }

}  // namespace adit::templates
