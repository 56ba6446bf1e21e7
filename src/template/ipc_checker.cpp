#include "template/ipc_checker.h"

#include <string>
#include <utility>

#include "ipc/error.h"

namespace adit::templates {
namespace {

using declaration::BlockCheck;
using declaration::CheckAnswer;

CheckAnswer judge(const Result<ipc::Checked>& answer) {
  if (!answer) {
    // A block that the node cannot read is answered by an exception.
    const bool is_block = !answer.error().is(ipc::Errc::kRefused);
    return {is_block ? BlockCheck::kFailed : BlockCheck::kInvalid, answer.error().message()};
  }
  if (answer->valid) return {BlockCheck::kValid, {}};
  return {declaration::judge_reason(answer->reason), answer->reason};
}

}  // namespace

IpcChecker::IpcChecker(IpcConfig config) : link_(std::move(config)) {}
IpcChecker::~IpcChecker() { IpcChecker::stop(); }

void IpcChecker::check(std::vector<std::uint8_t> block, Done done) {
  link_.node().post([this, block = std::move(block), done = std::move(done)]() mutable {
    if (!link_.is_there()) return done({BlockCheck::kFailed, "there is no connection to the node at " + link_.name()});
    link_.node().check_block(std::move(block),
                             [done = std::move(done)](const Result<ipc::Checked>& answer) { done(judge(answer)); });
  });
}

void IpcChecker::find(std::vector<bitcoin::Hash256> wtxids, Found found) {
  link_.node().post([this, wtxids = std::move(wtxids), found = std::move(found)]() mutable {
    // Bitcoin Core 31.0 has no such call.
    if (!link_.is_there()) return found({});
    link_.node().find_transactions(std::move(wtxids),
                                   [found = std::move(found)](Result<std::vector<std::vector<std::uint8_t>>> answer) {
                                     if (!answer) return found({});
                                     found(*std::move(answer));
                                   });
  });
}

void IpcChecker::start() {
  // Where no thread can be made for it every check fails, and says so.
  [[maybe_unused]] const auto started = link_.start();
}
void IpcChecker::stop() { link_.stop(); }

}  // namespace adit::templates
