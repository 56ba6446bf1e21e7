#include "ipc/mock_node_testing.h"

#include <capnp/rpc-twoparty.h>
#include <capnp/rpc.h>
#include <kj/async-io.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>

#include "bitcoin/consensus.h"
#include "bitcoin/merkle.h"
#include "bitcoin/tx.h"
#include "ipc/inbox.h"
#include "ipc/mining.capnp.h"

namespace adit::ipc {
namespace {

using ByteVector = std::vector<std::uint8_t>;

capnp::Data::Reader as_data(Bytes bytes) { return {bytes.data(), bytes.size()}; }

std::int64_t unix_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

kj::Exception remote(const char* text) {
  return {kj::Exception::Type::FAILED, __FILE__, __LINE__, kj::str("remote exception: ", text)};
}

ByteVector height_push(std::uint32_t height) {
  if (height <= 16) return {static_cast<std::uint8_t>(0x50 + height)};
  ByteVector number;
  for (std::uint32_t left = height; left > 0; left >>= 8) number.push_back(static_cast<std::uint8_t>(left));
  if ((number.back() & 0x80) != 0) number.push_back(0);
  number.insert(number.begin(), static_cast<std::uint8_t>(number.size()));
  return number;
}

}  // namespace

class MockNode::Core {
 public:
  explicit Core(Options options) : options_(std::move(options)) {
    auto inbox = Inbox::make();
    if (!inbox) throw std::runtime_error(inbox.error().message());
    inbox_ = *inbox;
    std::promise<void> begun;
    auto has_begun = begun.get_future();
    thread_ = std::thread([this, &begun] { run(begun); });
    has_begun.get();
  }

  ~Core() {
    inbox_->post([this] { stop_->fulfill(); });
    thread_.join();
    ::unlink(options_.path.c_str());
  }

  /// Does it on the node's thread and waits for it.
  template <class Do>
  auto run_there(Do what) {
    std::promise<decltype(what())> done;
    auto result = done.get_future();
    inbox_->post([&] {
      if constexpr (std::is_void_v<decltype(what())>) {
        what();
        done.set_value();
      } else {
        done.set_value(what());
      }
    });
    return result.get();
  }

  // All below: on the thread.

  struct Wait {
    class TemplateServer* after = nullptr;
    std::optional<std::uint64_t> fee_threshold;
    kj::Own<kj::PromiseFulfiller<bool>> fulfiller;  ///< True: there is a next one.
  };

  void wake(bool repeat = false) {
    for (const auto& wait : waits_under_way_) {
      if (repeat || is_next_due(*wait)) wait->fulfiller->fulfill(true);
    }
  }
  bool is_next_due(const Wait& wait) const;

  Fault fault_in(const std::string& method, const std::string& thread = "") {
    const std::lock_guard lock(seen_);
    calls_.push_back({method, thread});
    const auto found = faults_.find(method);
    if (found == faults_.end() || found->second.second == 0) return Fault::kNone;
    if (found->second.second != SIZE_MAX) --found->second.second;
    return found->second.first;
  }

  /// What every fault but nonsense and null does. True: the call goes on.
  kj::Promise<bool> suffer(Fault fault) {
    switch (fault) {
      case Fault::kHang:
        return kj::Promise<bool>(kj::NEVER_DONE);
      case Fault::kDisconnect:
        disconnect_all();
        return kj::Promise<bool>(kj::NEVER_DONE);
      case Fault::kThrow:
        return kj::Promise<bool>(remote("std::exception: the disk is full"));
      default:
        return true;
    }
  }

  void disconnect_all() {
    tasks_->add(kj::evalLater([this] { connections_.clear(); }));
  }

  class ThreadServer final : public schema::Thread::Server {
   public:
    explicit ThreadServer(std::string its_name) : name(std::move(its_name)) {}
    std::string name;
    kj::Promise<void> idle = kj::READY_NOW;
  };

  class ThreadMapServer final : public schema::ThreadMap::Server {
   public:
    explicit ThreadMapServer(Core& core) : core_(core) {}
    kj::Promise<void> makeThread(MakeThreadContext context) override {
      const Fault fault = core_.fault_in("makeThread");
      std::string name = context.getParams().getName().cStr();
      return core_.suffer(fault).then([this, context, name](bool) mutable {
        context.getResults().setResult(core_.threads_.add(kj::heap<ThreadServer>(name)));
      });
    }

   private:
    Core& core_;
  };

  /// Runs `body` when it is its turn on the thread that the context names.
  kj::Promise<void> on_thread(schema::Context::Reader context, std::function<kj::Promise<void>(const std::string&)> body) {
    if (!context.hasThread()) return remote("std::exception: no thread");
    schema::Thread::Client named = context.getThread();
    return threads_.getLocalServer(named).then(
        [body = std::move(body)](const kj::Maybe<schema::Thread::Server&>& found) mutable -> kj::Promise<void> {
          ThreadServer* thread = nullptr;
          KJ_IF_MAYBE (server, found) thread = &kj::downcast<ThreadServer>(*server);
          if (thread == nullptr) return remote("std::exception: no such thread");
          auto mine = kj::newPromiseAndFulfiller<void>();
          auto before = kj::mv(thread->idle);
          thread->idle = kj::mv(mine.promise);
          return before.then([body = std::move(body), name = thread->name] { return body(name); })
              .attach(kj::defer([fulfiller = kj::mv(mine.fulfiller)]() mutable { fulfiller->fulfill(); }));
        });
  }

  /// A call with a context: its turn, its fault, then `body(fault)`.
  kj::Promise<void> call(const std::string& method, schema::Context::Reader context,
                         std::function<kj::Promise<void>(Fault)> body) {
    return on_thread(context, [this, method, body = std::move(body)](const std::string& thread) mutable {
      const Fault fault = fault_in(method, thread);
      return suffer(fault).then([body = std::move(body), fault](bool) { return body(fault); });
    });
  }

  class MiningServer;
  class RpcServer;
  class InitServer;
  class InitServerOf30;

  struct Connection {
    Connection(kj::Own<kj::AsyncIoStream> its_stream, schema::Init::Client init)
        : stream(kj::mv(its_stream)),
          network(*stream, capnp::rpc::twoparty::Side::SERVER),
          rpc(capnp::makeRpcServer(network, kj::mv(init))) {}
    kj::Own<kj::AsyncIoStream> stream;
    capnp::TwoPartyVatNetwork network;
    capnp::RpcSystem<capnp::rpc::twoparty::VatId> rpc;
  };

  schema::BlockTemplate::Client make_template(bool use_mempool);
  schema::Init::Client make_init();

  void run(std::promise<void>& begun) {
    auto io = kj::setupAsyncIo();
    struct Ignore final : kj::TaskSet::ErrorHandler {
      void taskFailed(kj::Exception&&) override {}
    } ignore;
    timer_ = &io.provider->getTimer();
    kj::TaskSet tasks(ignore);
    tasks_ = &tasks;
    auto stopped = kj::newPromiseAndFulfiller<void>();
    stop_ = kj::mv(stopped.fulfiller);
    auto wake_stream = io.lowLevelProvider->wrapInputFd(
        inbox_->fd(), kj::LowLevelAsyncIoProvider::ALREADY_CLOEXEC | kj::LowLevelAsyncIoProvider::ALREADY_NONBLOCK);
    std::uint64_t wakes = 0;
    std::function<kj::Promise<void>()> read_inbox = [&] {
      return wake_stream->tryRead(&wakes, sizeof wakes, sizeof wakes).then([&](std::size_t) {
        for (const auto& what : inbox_->take()) what();
        return read_inbox();
      });
    };
    tasks.add(read_inbox());
    auto address = io.provider->getNetwork().parseAddress(kj::str("unix:", options_.path)).wait(io.waitScope);
    auto listener = address->listen();
    std::function<kj::Promise<void>()> accept = [&] {
      return listener->accept().then([&](kj::Own<kj::AsyncIoStream> stream) {
        const auto place = connections_.insert(connections_.end(), kj::heap<Connection>(kj::mv(stream), make_init()));
        const Connection* const made = place->get();
        tasks.add((*place)->network.onDisconnect().then(
            [this, made] { connections_.remove_if([made](const kj::Own<Connection>& one) { return one.get() == made; }); }));
        return accept();
      });
    };
    tasks.add(accept());
    begun.set_value();
    stopped.promise.wait(io.waitScope);
    // As a node that shuts down: nothing new, then the connections go.
    connections_.clear();
    waits_under_way_.clear();
  }

  // The servers of this file use all of these, and nobody else can.
  // NOLINTBEGIN(readability-identifier-naming)

  // The chain as it is now.
  Options options_;
  Hash256 tip_{1};
  std::uint32_t height_ = 100;
  std::uint32_t nbits_ = 0x207fffff;
  std::optional<std::uint32_t> time_;
  std::uint32_t tip_time_ = 1'700'000'000;
  std::vector<ByteVector> transactions_;
  std::uint64_t fees_ = 0;
  Duration build_time_ = Duration::zero();
  bool initial_download_ = false;
  Answer answer_;
  bool mining_interrupted_ = false;

  kj::Timer* timer_ = nullptr;
  kj::TaskSet* tasks_ = nullptr;
  kj::Own<kj::PromiseFulfiller<void>> stop_;
  capnp::CapabilityServerSet<schema::Thread> threads_;
  std::list<kj::Own<Connection>> connections_;
  std::list<Wait*> waits_under_way_;
  std::list<kj::Own<kj::PromiseFulfiller<void>>> loading_;
  std::size_t held_ = 0;

  // Shared with the test's thread.
  mutable std::mutex seen_;
  std::map<std::string, std::pair<Fault, std::size_t>> faults_;
  std::vector<Call> calls_;
  std::vector<bitcoin::BlockSolution> solutions_;
  std::vector<ByteVector> blocks_;
  std::vector<CreateOptions> created_;
  std::vector<WaitOptions> waits_;
  std::vector<std::string> rpc_requests_;
  std::size_t races_ = 0;

  std::shared_ptr<Inbox> inbox_;
  std::thread thread_;
  // NOLINTEND(readability-identifier-naming)
};

class TemplateServer final : public schema::BlockTemplate::Server {
 public:
  using Core = MockNode::Core;
  using Fault = MockNode::Fault;

  TemplateServer(Core& core, bool use_mempool)
      : core_(core),
        use_mempool_(use_mempool),
        prev_hash_(core.tip_),
        height_(core.height_ + 1),
        fees_(use_mempool ? core.fees_ : 0),
        transactions_(use_mempool ? core.transactions_ : std::vector<ByteVector>{}) {
    ++core_.held_;
    header_.version = 0x20000000;
    header_.prev_hash = prev_hash_;
    header_.ntime = core.time_.value_or(static_cast<std::uint32_t>(unix_seconds()));
    header_.nbits = core.nbits_;
    for (const ByteVector& transaction : transactions_) ids_.push_back(bitcoin::transaction_ids(transaction)->txid);
  }
  ~TemplateServer() noexcept(false) { --core_.held_; }

  kj::Promise<void> getBlockHeader(GetBlockHeaderContext context) override {
    return core_.call("getBlockHeader", context.getParams().getContext(),
                      [this, context](Fault fault) mutable -> kj::Promise<void> {
                        const auto bytes = header_.serialize();
                        const std::size_t size = fault == Fault::kNonsense ? 79 : bytes.size();
                        context.getResults().setResult(as_data(Bytes(bytes).first(size)));
                        return kj::READY_NOW;
                      });
  }

  kj::Promise<void> getBlock(GetBlockContext context) override {
    return core_.call("getBlock", context.getParams().getContext(), [this, context](Fault fault) mutable {
      if (solving_ > 0) ++core_.races_;
      ++reading_;
      // The real one takes its time too.
      return core_.timer_->afterDelay(2 * kj::MILLISECONDS).then([this, context, fault]() mutable {
        --reading_;
        const ByteVector block = fault == Fault::kNonsense ? ByteVector{1, 2, 3} : whole_block();
        context.getResults().setResult(as_data(block));
      });
    });
  }

  kj::Promise<void> getCoinbaseTx(GetCoinbaseTxContext context) override {
    return core_.call("getCoinbaseTx", context.getParams().getContext(),
                      [this, context](Fault fault) mutable -> kj::Promise<void> {
                        if (fault == Fault::kNull) return kj::READY_NOW;
                        auto coinbase = context.getResults().initResult();
                        coinbase.setVersion(2);
                        coinbase.setSequence(0xfffffffe);
                        coinbase.setLockTime(height_ - 1);
                        coinbase.setScriptSigPrefix(as_data(height_push(height_)));
                        coinbase.setWitness(as_data(ByteVector(32, 0)));
                        coinbase.setBlockRewardRemaining(fault == Fault::kNonsense ? -1 : static_cast<std::int64_t>(reward()));
                        ByteVector output;
                        bitcoin::append_output(output, {0, commitment()});
                        auto outputs = coinbase.initRequiredOutputs(1);
                        outputs.set(0, as_data(output));
                        return kj::READY_NOW;
                      });
  }

  kj::Promise<void> getCoinbaseMerklePath(GetCoinbaseMerklePathContext context) override {
    return core_.call("getCoinbaseMerklePath", context.getParams().getContext(),
                      [this, context](Fault fault) mutable -> kj::Promise<void> {
                        const auto path = bitcoin::merkle_path(ids_);
                        if (fault == Fault::kNonsense) {
                          context.getResults().initResult(1).set(0, as_data(ByteVector(31)));
                          return kj::READY_NOW;
                        }
                        auto steps = context.getResults().initResult(static_cast<unsigned>(path.size()));
                        for (unsigned i = 0; i < path.size(); ++i) steps.set(i, as_data(path[i]));
                        return kj::READY_NOW;
                      });
  }

  kj::Promise<void> submitSolutionOf31(SubmitSolutionOf31Context context) override {
    return core_.call("submitSolution@7", context.getParams().getContext(),
                      [this, context](Fault) mutable -> kj::Promise<void> {
                        if (core_.options_.release == MockNode::Release::k32)
                          return remote("std::exception: submitSolution is no longer supported, update the client");
                        return solve(context.getParams()).then([context](bool accepted) mutable {
                          context.getResults().setResult(accepted);
                        });
                      });
  }

  kj::Promise<void> submitSolution(SubmitSolutionContext context) override {
    if (core_.options_.release != MockNode::Release::k32) return schema::BlockTemplate::Server::submitSolution(context);
    return core_.call("submitSolution@10", context.getParams().getContext(), [this, context](Fault) mutable {
      return solve(context.getParams()).then([this, context](bool accepted) mutable {
        auto results = context.getResults();
        results.setResult(accepted);
        results.setReason(core_.answer_.reason.c_str());
      });
    });
  }

  kj::Promise<void> waitNext(WaitNextContext context) override {
    const auto options = context.getParams().getOptions();
    WaitOptions wanted;
    const double timeout_ms = std::min(options.getTimeout(), 1e9);
    wanted.timeout = std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>(timeout_ms));
    if (static_cast<std::uint64_t>(options.getFeeThreshold()) < bitcoin::kMaxMoneySat)
      wanted.fee_threshold = static_cast<std::uint64_t>(options.getFeeThreshold());
    return core_.call(
        "waitNext", context.getParams().getContext(), [this, context, wanted](Fault fault) mutable -> kj::Promise<void> {
          {
            const std::lock_guard lock(core_.seen_);
            core_.waits_.push_back(wanted);
          }
          if (fault == Fault::kNull || std::exchange(interrupted_, false)) return kj::READY_NOW;
          auto woken = kj::newPromiseAndFulfiller<bool>();
          auto wait = kj::heap<Core::Wait>();
          wait->after = this;
          wait->fee_threshold = wanted.fee_threshold;
          wait->fulfiller = kj::mv(woken.fulfiller);
          if (core_.is_next_due(*wait)) wait->fulfiller->fulfill(true);
          Core::Wait* const place = wait.get();
          core_.waits_under_way_.push_back(place);
          auto timed_out = core_.timer_->afterDelay(wanted.timeout.count() * kj::NANOSECONDS).then([] { return false; });
          return woken.promise.exclusiveJoin(kj::mv(timed_out))
              .then([this, context](bool is_next) mutable {
                if (is_next) context.getResults().setResult(core_.make_template(use_mempool_));
              })
              .attach(kj::defer([this, place, wait = kj::mv(wait)] { core_.waits_under_way_.remove(place); }));
        });
  }

  kj::Promise<void> interruptWait(InterruptWaitContext) override {
    (void)core_.fault_in("interruptWait");
    bool waits = false;
    for (Core::Wait* const wait : core_.waits_under_way_) {
      if (wait->after != this) continue;
      waits = true;
      wait->fulfiller->fulfill(false);
    }
    if (!waits) interrupted_ = true;
    return kj::READY_NOW;
  }

  [[nodiscard]] const Hash256& prev_hash() const { return prev_hash_; }
  [[nodiscard]] std::uint64_t fees() const { return fees_; }

 private:
  [[nodiscard]] std::uint64_t reward() const { return 5'000'000'000 + fees_; }

  [[nodiscard]] ByteVector commitment() const {
    ByteVector script = {0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed};
    script.resize(38, 0x42);
    return script;
  }

  [[nodiscard]] ByteVector whole_block() const {
    ByteVector block;
    const auto header = header_.serialize();
    block.insert(block.end(), header.begin(), header.end());
    bitcoin::append_compact_size(block, transactions_.size() + 1);
    bitcoin::Transaction coinbase;
    coinbase.inputs.resize(1);
    coinbase.inputs[0].prev_index = 0xffffffff;
    coinbase.inputs[0].script = height_push(height_);
    coinbase.inputs[0].witness = {ByteVector(32, 0)};
    coinbase.outputs = {{reward(), {0x51}}, {0, commitment()}};
    const ByteVector dummy = solved_coinbase_.empty() ? bitcoin::serialize(coinbase) : solved_coinbase_;
    block.insert(block.end(), dummy.begin(), dummy.end());
    for (const ByteVector& transaction : transactions_) block.insert(block.end(), transaction.begin(), transaction.end());
    return block;
  }

  template <class Params>
  kj::Promise<bool> solve(Params params) {
    bitcoin::BlockSolution solution;
    solution.version = params.getVersion();
    solution.ntime = params.getTimestamp();
    solution.nonce = params.getNonce();
    solution.coinbase.assign(params.getCoinbase().begin(), params.getCoinbase().end());
    const auto ids = bitcoin::transaction_ids(solution.coinbase);
    if (!ids) return remote("std::ios_base::failure: CDataStream::read(): end of data");
    if (reading_ > 0 || solving_ > 0) ++core_.races_;
    ++solving_;
    return core_.timer_->afterDelay(2 * kj::MILLISECONDS).then([this, solution, txid = ids->txid] {
      --solving_;
      solved_coinbase_ = solution.coinbase;
      header_.version = solution.version;
      header_.ntime = solution.ntime;
      header_.nonce = solution.nonce;
      header_.merkle_root = bitcoin::fold_merkle_path(txid, bitcoin::merkle_path(ids_));
      {
        const std::lock_guard lock(core_.seen_);
        core_.solutions_.push_back(solution);
      }
      if (core_.answer_.accepted && core_.answer_.becomes_tip) {
        core_.tip_ = header_.hash();
        core_.height_ = height_;
        core_.wake();
      }
      return core_.answer_.accepted;
    });
  }

  Core& core_;
  const bool use_mempool_;
  const Hash256 prev_hash_;
  const std::uint32_t height_;
  const std::uint64_t fees_;
  const std::vector<ByteVector> transactions_;
  std::vector<Hash256> ids_;
  bitcoin::BlockHeader header_;
  ByteVector solved_coinbase_;
  bool interrupted_ = false;
  unsigned reading_ = 0;
  unsigned solving_ = 0;
};

bool MockNode::Core::is_next_due(const Wait& wait) const {
  return wait.after->prev_hash() != tip_ || (wait.fee_threshold && fees_ >= wait.after->fees() + *wait.fee_threshold);
}

schema::BlockTemplate::Client MockNode::Core::make_template(bool use_mempool) {
  return kj::heap<TemplateServer>(*this, use_mempool);
}

class MockNode::Core::MiningServer final : public schema::Mining::Server {
 public:
  explicit MiningServer(Core& core) : core_(core) {}

  kj::Promise<void> isTestChain(IsTestChainContext context) override {
    return core_.call("isTestChain", context.getParams().getContext(), [this, context](Fault) mutable -> kj::Promise<void> {
      context.getResults().setResult(core_.options_.chain != "main");
      return kj::READY_NOW;
    });
  }
  kj::Promise<void> isInitialBlockDownload(IsInitialBlockDownloadContext context) override {
    return core_.call("isInitialBlockDownload", context.getParams().getContext(),
                      [this, context](Fault) mutable -> kj::Promise<void> {
                        context.getResults().setResult(core_.initial_download_);
                        return kj::READY_NOW;
                      });
  }
  kj::Promise<void> getTip(GetTipContext context) override {
    return core_.call("getTip", context.getParams().getContext(), [this, context](Fault fault) mutable -> kj::Promise<void> {
      if (fault == Fault::kNull) return kj::READY_NOW;
      auto results = context.getResults();
      results.setHasResult(true);
      auto tip = results.initResult();
      tip.setHash(as_data(Bytes(core_.tip_).first(fault == Fault::kNonsense ? 31 : 32)));
      tip.setHeight(static_cast<std::int32_t>(core_.height_));
      return kj::READY_NOW;
    });
  }
  kj::Promise<void> createNewBlock(CreateNewBlockContext context) override {
    const auto params = context.getParams();
    const auto options = params.getOptions();
    CreateOptions wanted;
    wanted.reserved_weight = options.getBlockReservedWeight();
    wanted.reserved_sigops = options.getCoinbaseOutputMaxAdditionalSigops();
    wanted.use_mempool = options.getUseMempool();
    wanted.cooldown = params.getCooldown();
    return core_.call("createNewBlock", params.getContext(), [this, context, wanted](Fault fault) mutable -> kj::Promise<void> {
      {
        const std::lock_guard lock(core_.seen_);
        core_.created_.push_back(wanted);
      }
      if (wanted.reserved_weight < 2000) return remote("std::runtime_error: block_reserved_weight is too small");
      // What a full mempool costs.
      const Duration takes = wanted.use_mempool ? core_.build_time_ : Duration::zero();
      return core_.timer_->afterDelay(takes.count() * kj::NANOSECONDS).then([this, context, wanted, fault]() mutable {
        if (fault != Fault::kNull) context.getResults().setResult(core_.make_template(wanted.use_mempool));
      });
    });
  }
  kj::Promise<void> interrupt(InterruptContext) override {
    (void)core_.fault_in("interrupt");
    return kj::READY_NOW;
  }
  kj::Promise<void> checkBlock(CheckBlockContext context) override {
    return core_.call("checkBlock", context.getParams().getContext(), [this, context](Fault) mutable -> kj::Promise<void> {
      const auto given = context.getParams().getBlock();
      if (!bitcoin::parse_block({given.begin(), given.size()}))
        return remote("std::ios_base::failure: CDataStream::read(): end of data");
      const auto options = context.getParams().getOptions();
      if (options.getCheckPow() || !options.getCheckMerkleRoot()) return remote("std::logic_error: other checks than wanted");
      auto results = context.getResults();
      results.setResult(core_.answer_.accepted);
      results.setReason(core_.answer_.reason.c_str());
      return kj::READY_NOW;
    });
  }
  kj::Promise<void> getTransactionsByWitnessID(GetTransactionsByWitnessIDContext context) override {
    if (core_.options_.release < Release::kMaster) return schema::Mining::Server::getTransactionsByWitnessID(context);
    return core_.call("getTransactionsByWitnessID", context.getParams().getContext(),
                      [this, context](Fault fault) mutable -> kj::Promise<void> {
                        const auto ids = context.getParams().getIds();
                        auto found = context.getResults().initResult(ids.size() + (fault == Fault::kNonsense ? 1 : 0));
                        for (unsigned i = 0; i < ids.size(); ++i) {
                          for (const auto& one : core_.transactions_) {
                            const auto wtxid = bitcoin::transaction_ids(one)->wtxid;
                            if (std::ranges::equal(wtxid, ids[i])) found.set(i, as_data(one));
                          }
                        }
                        return kj::READY_NOW;
                      });
  }
  kj::Promise<void> submitBlock(SubmitBlockContext context) override {
    if (core_.options_.release < Release::kMaster) return schema::Mining::Server::submitBlock(context);
    return core_.call("submitBlock", context.getParams().getContext(), [this, context](Fault) mutable -> kj::Promise<void> {
      const auto given = context.getParams().getBlock();
      const auto block = bitcoin::parse_block({given.begin(), given.size()});
      if (!block) return remote("std::ios_base::failure: CDataStream::read(): end of data");
      {
        const std::lock_guard lock(core_.seen_);
        core_.blocks_.emplace_back(given.begin(), given.end());
      }
      auto results = context.getResults();
      const Hash256 hash = block->header.hash();
      const bool known = hash == core_.tip_;
      results.setResult(core_.answer_.accepted && !known);
      results.setReason(known ? "duplicate" : core_.answer_.reason.c_str());
      if (core_.answer_.accepted && core_.answer_.becomes_tip && !known) {
        core_.tip_ = hash;
        ++core_.height_;
        core_.wake();
      }
      return kj::READY_NOW;
    });
  }

 private:
  Core& core_;
};

class MockNode::Core::RpcServer final : public schema::Rpc::Server {
 public:
  explicit RpcServer(Core& core) : core_(core) {}

  kj::Promise<void> executeRpc(ExecuteRpcContext context) override {
    return core_.call(
        "executeRpc", context.getParams().getContext(), [this, context](Fault fault) mutable -> kj::Promise<void> {
          const std::string request = context.getParams().getRequest().cStr();
          {
            const std::lock_guard lock(core_.seen_);
            core_.rpc_requests_.push_back(request);
          }
          std::string result = "null";
          if (request.find("\"getblockchaininfo\"") != std::string::npos) {
            const std::string height = std::to_string(core_.height_);
            result = R"({"chain":")" + core_.options_.chain + R"(","blocks":)" + height + R"(,"headers":)" + height + "}";
          } else if (request.find("\"getblockheader\"") != std::string::npos) {
            result = R"({"time":)" + std::to_string(core_.tip_time_) + R"(,"mediantime":)" +
                     std::to_string(core_.tip_time_ - 3000) + R"(,"confirmations":1})";
          } else if (request.find("\"getnetworkinfo\"") != std::string::npos) {
            result = R"({"localrelay":true})";
          }
          const std::string answer =
              fault == Fault::kNonsense ? "<html>" : R"({"result":)" + result + R"(,"error":null,"id":1})";
          context.getResults().setResult(answer.c_str());
          return kj::READY_NOW;
        });
  }

 private:
  Core& core_;
};

/// What Bitcoin Core 30 offers: nothing at the ordinals that are called.
class MockNode::Core::InitServerOf30 : public schema::Init::Server {
 public:
  virtual ~InitServerOf30() noexcept(false) = default;
  explicit InitServerOf30(Core& core) : core_(core) {}
  kj::Promise<void> construct(ConstructContext context) override {
    return core_.suffer(core_.fault_in("construct")).then([this, context](bool) mutable {
      context.getResults().setThreadMap(kj::heap<ThreadMapServer>(core_));
    });
  }

 protected:
  Core& core_;
};

class MockNode::Core::InitServer final : public InitServerOf30 {
 public:
  using InitServerOf30::InitServerOf30;

  kj::Promise<void> makeMining(MakeMiningContext context) override {
    return core_.call("makeMining", context.getParams().getContext(),
                      [this, context](Fault fault) mutable -> kj::Promise<void> {
                        if (fault == Fault::kNull) return kj::READY_NOW;
                        if (!core_.options_.loading) {
                          context.getResults().setResult(kj::heap<MiningServer>(core_));
                          return kj::READY_NOW;
                        }
                        auto loaded = kj::newPromiseAndFulfiller<void>();
                        core_.loading_.push_back(kj::mv(loaded.fulfiller));
                        return loaded.promise.then(
                            [this, context]() mutable { context.getResults().setResult(kj::heap<MiningServer>(core_)); });
                      });
  }
  kj::Promise<void> makeRpc(MakeRpcContext context) override {
    if (core_.options_.release < Release::kMaster) return schema::Init::Server::makeRpc(context);
    return core_.call("makeRpc", context.getParams().getContext(), [this, context](Fault) mutable -> kj::Promise<void> {
      context.getResults().setResult(kj::heap<RpcServer>(core_));
      return kj::READY_NOW;
    });
  }
};

schema::Init::Client MockNode::Core::make_init() {
  (void)fault_in("connect");
  if (options_.release == Release::k30) return kj::heap<InitServerOf30>(*this);
  return kj::heap<InitServer>(*this);
}

MockNode::MockNode(Options options) : core_(std::make_unique<Core>(std::move(options))) {}
MockNode::~MockNode() = default;

void MockNode::set_tip(const Hash256& hash, std::uint32_t height) {
  core_->run_there([&] {
    core_->tip_ = hash;
    core_->height_ = height;
    core_->wake();
  });
}
void MockNode::set_nbits(std::uint32_t nbits) {
  core_->run_there([&] { core_->nbits_ = nbits; });
}
void MockNode::set_time(std::uint32_t time) {
  core_->run_there([&] { core_->time_ = time; });
}
void MockNode::set_tip_time(std::uint32_t time) {
  core_->run_there([&] { core_->tip_time_ = time; });
}
void MockNode::set_transactions(std::vector<std::vector<std::uint8_t>> transactions, std::uint64_t fees_sat) {
  core_->run_there([&] {
    core_->transactions_ = std::move(transactions);
    core_->fees_ = fees_sat;
    core_->wake();
  });
}
void MockNode::set_build_time(Duration takes) {
  core_->run_there([&] { core_->build_time_ = takes; });
}
void MockNode::set_initial_download(bool is) {
  core_->run_there([&] { core_->initial_download_ = is; });
}
void MockNode::repeat_template() {
  core_->run_there([&] { core_->wake(true); });
}
void MockNode::set_answer(Answer answer) {
  core_->run_there([&] { core_->answer_ = std::move(answer); });
}
void MockNode::set_fault(const std::string& method, Fault fault, std::size_t times) {
  const std::lock_guard lock(core_->seen_);
  core_->faults_[method] = {fault, times};
}
void MockNode::finish_loading() {
  core_->run_there([&] {
    core_->options_.loading = false;
    for (auto& one : core_->loading_) one->fulfill();
    core_->loading_.clear();
  });
}
void MockNode::drop_connections() {
  core_->run_there([&] { core_->connections_.clear(); });
}
std::vector<MockNode::Call> MockNode::calls() const {
  const std::lock_guard lock(core_->seen_);
  return core_->calls_;
}
std::size_t MockNode::count(const std::string& method) const {
  const std::lock_guard lock(core_->seen_);
  return static_cast<std::size_t>(std::ranges::count(core_->calls_, method, &Call::method));
}
std::size_t MockNode::held_templates() const {
  return core_->run_there([&] { return core_->held_; });
}
std::size_t MockNode::waiting() const {
  return core_->run_there([&] { return core_->waits_under_way_.size(); });
}
std::size_t MockNode::connections() const {
  return core_->run_there([&] { return core_->connections_.size(); });
}
std::size_t MockNode::races() const {
  return core_->run_there([&] { return core_->races_; });
}
std::vector<bitcoin::BlockSolution> MockNode::solutions() const {
  const std::lock_guard lock(core_->seen_);
  return core_->solutions_;
}
std::vector<std::vector<std::uint8_t>> MockNode::blocks() const {
  const std::lock_guard lock(core_->seen_);
  return core_->blocks_;
}
std::vector<CreateOptions> MockNode::created() const {
  const std::lock_guard lock(core_->seen_);
  return core_->created_;
}
std::vector<WaitOptions> MockNode::waits() const {
  const std::lock_guard lock(core_->seen_);
  return core_->waits_;
}
std::vector<std::string> MockNode::rpc_requests() const {
  const std::lock_guard lock(core_->seen_);
  return core_->rpc_requests_;
}

}  // namespace adit::ipc
