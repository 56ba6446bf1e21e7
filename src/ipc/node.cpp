#include "ipc/node.h"

#include <capnp/message.h>
#include <capnp/rpc-twoparty.h>
#include <capnp/rpc.h>
#include <kj/async-io.h>
#include <kj/exception.h>

#include <algorithm>
#include <exception>
#include <future>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "base/fd.h"
#include "bitcoin/consensus.h"
#include "ipc/inbox.h"
#include "ipc/mining.capnp.h"
#include "ipc/socket.h"
#include "ipc/template_reader.h"

namespace adit::ipc {
namespace {

constexpr std::size_t kMaxMessage = 16 * 1024 * 1024;  // A block has 4 MB at most.
constexpr std::size_t kMaxRpcAnswer = 1024 * 1024;
constexpr std::size_t kMaxQuoted = 200;
constexpr Duration kRetryFullQueue = std::chrono::milliseconds(50);
constexpr Duration kStopGrace = std::chrono::milliseconds(500);

// What others wrote, fit for one line of a log.
std::string one_line(std::string_view text) {
  std::string cleaned(text.substr(0, kMaxQuoted));
  std::ranges::replace_if(cleaned, [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  return cleaned;
}
std::string one_line(kj::StringPtr text) { return one_line(std::string_view(text.cStr(), text.size())); }

Error error_of(const kj::Exception& exception, std::string_view what) {
  const std::string text = one_line(exception.getDescription());
  switch (exception.getType()) {
    case kj::Exception::Type::DISCONNECTED:
      return {Errc::kLost, "the connection to the node broke during " + std::string(what)};
    case kj::Exception::Type::UNIMPLEMENTED:
      return {Errc::kUnsupported, "this release of the node has no " + std::string(what)};
    case kj::Exception::Type::FAILED:
    case kj::Exception::Type::OVERLOADED:
      break;
  }
  // What the node threw is marked so; all else was found wrong here.
  if (text.starts_with("remote exception:"))
    return {Errc::kRefused, "the node failed in " + std::string(what) + ": " + text.substr(17)};
  return {Errc::kNonsense, "the node's answer to " + std::string(what) + " makes no sense: " + text};
}

/// Cap'n Proto's own messages are about peers that break its rules: what follows from that is told as an error of a call.
class Quiet : public kj::ExceptionCallback {
 public:
  void logMessage(kj::LogSeverity, const char*, int, int, kj::String&&) override {}
};

struct Held {
  explicit Held(schema::BlockTemplate::Client its) : client(kj::mv(its)) {}
  schema::BlockTemplate::Client client;
  unsigned waits = 0;
  /// Calls under way that read the block or change it, and which of the node's threads they are on: a solution changes the
  /// template where another thread of the node may be reading it.
  unsigned block_calls = 0;
  bool on_submit_thread = false;
};
using HeldPtr = std::shared_ptr<Held>;

struct Connection {
  Connection(kj::Own<kj::AsyncIoStream> its_stream, const capnp::ReaderOptions& limits, kj::TaskSet::ErrorHandler& errors)
      : stream(kj::mv(its_stream)),
        network(*stream, capnp::rpc::twoparty::Side::CLIENT, limits),
        rpc(capnp::makeRpcClient(network)),
        init(bootstrap().castAs<schema::Init>()),
        calls(errors) {}

  capnp::Capability::Client bootstrap() {
    capnp::MallocMessageBuilder message(4);
    auto id = message.getRoot<capnp::rpc::twoparty::VatId>();
    id.setSide(capnp::rpc::twoparty::Side::SERVER);
    return rpc.bootstrap(id);
  }

  kj::Own<kj::AsyncIoStream> stream;
  capnp::TwoPartyVatNetwork network;
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> rpc;
  schema::Init::Client init;
  // The node's threads: each runs one call at a time.
  schema::Thread::Client make_thread = nullptr;    ///< Makes templates.
  schema::Thread::Client wait_thread = nullptr;    ///< Waits for the next.
  schema::Thread::Client read_thread = nullptr;    ///< What a job needs of a template.
  schema::Thread::Client block_thread = nullptr;   ///< Whole blocks out of the node.
  schema::Thread::Client submit_thread = nullptr;  ///< Solutions and blocks into it.
  schema::Thread::Client misc_thread = nullptr;    ///< All else.
  schema::Mining::Client mining = nullptr;
  schema::Rpc::Client rpc_calls = nullptr;
  bool has_rpc = false;
  std::map<std::uint64_t, HeldPtr> templates;
  unsigned creating = 0;
  bool ready = false;
  kj::TaskSet calls;  ///< Destroyed first: what is under way uses the rest.
};

template <class Context>
void on_thread(Context context, schema::Thread::Client& thread) {
  context.setThread(thread);
}

template <class T>
kj::Promise<Result<T>> failed(Error error) {
  return Result<T>(fail(std::move(error)));
}

/// Makes an exception the error of a call.
template <class T>
kj::Promise<Result<T>> or_error(kj::Promise<Result<T>> promise, std::string what) {
  return promise.catch_(
      [what = std::move(what)](kj::Exception&& exception) -> Result<T> { return fail(error_of(exception, what)); });
}

}  // namespace

class HeldTemplate {
 public:
  HeldTemplate(std::shared_ptr<Inbox> inbox, std::function<void()> release, std::uint64_t id)
      : inbox_(std::move(inbox)), release_(std::move(release)), id_(id) {}
  ~HeldTemplate() { inbox_->post(std::move(release_)); }
  HeldTemplate(const HeldTemplate&) = delete;
  HeldTemplate& operator=(const HeldTemplate&) = delete;

  [[nodiscard]] std::uint64_t id() const { return id_; }

 private:
  std::shared_ptr<Inbox> inbox_;
  std::function<void()> release_;
  const std::uint64_t id_;
};

class Node::Core {
 public:
  Core(NodeOptions options, NodeEvents events) : options_(std::move(options)), events_(std::move(events)) {}
  ~Core() { stop(); }
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  Result<> start() {
    ADIT_TRY(inbox_, Inbox::make());
    std::promise<Result<>> begun;
    auto has_begun = begun.get_future();
    thread_ = std::thread([this, &begun] { run(begun); });
    Result<> result = has_begun.get();
    if (!result) thread_.join();
    return result;
  }

  void stop() {
    if (!thread_.joinable()) return;
    inbox_->post([this] { loop_->begin_stop(); });
    thread_.join();
    inbox_->close();
  }

  void post(std::function<void()> what) {
    if (inbox_) inbox_->post(std::move(what));
  }

  /// At once if this is the node's thread.
  void run_on_thread(std::function<void()> what) {
    if (std::this_thread::get_id() == thread_.get_id()) return what();
    post(std::move(what));
  }

  void post_after(Duration wait, std::function<void()> what) {
    run_on_thread([this, wait, what = std::move(what)]() mutable { loop_->later(wait, std::move(what)); });
  }

  void connect() {
    post([this] { loop_->connect(); });
  }

  void disconnect() {
    post([this] { loop_->disconnect(); });
  }

  void create(CreateOptions options, Done<TemplateData> done) {
    run_on_thread([this, options, done = std::move(done)]() mutable {
      loop_->call<TemplateData>("createNewBlock", options.deadline, std::move(done), [&](Connection& to) {
        auto request = to.mining.createNewBlockRequest();
        on_thread(request.initContext(), to.make_thread);
        auto wanted = request.initOptions();
        wanted.setUseMempool(options.use_mempool);
        wanted.setBlockReservedWeight(options.reserved_weight);
        wanted.setCoinbaseOutputMaxAdditionalSigops(options.reserved_sigops);
        request.setCooldown(options.cooldown);
        auto sent = request.send();
        auto reads = read_template(to, sent.getResult());
        ++to.creating;
        return sent
            .then([reads = kj::mv(reads)](capnp::Response<schema::Mining::CreateNewBlockResults>&& made) mutable
                      -> kj::Promise<Result<TemplateData>> {
              if (!made.hasResult())
                return failed<TemplateData>({Errc::kRefused, "the node makes no template: it is shutting down"});
              return kj::mv(reads);
            })
            .attach(kj::defer([&to] { --to.creating; }));
      });
    });
  }

  void wait_next(TemplateHandle after, WaitOptions options, Done<std::optional<TemplateData>> done) {
    run_on_thread([this, after = std::move(after), options, done = std::move(done)]() mutable {
      using Next = std::optional<TemplateData>;
      loop_->call<Next>(
          "waitNext", options.timeout + options_.wait_grace, std::move(done), [&](Connection& to) -> kj::Promise<Result<Next>> {
            const HeldPtr held = find(to, after);
            if (!held) return failed<Next>(gone());
            auto request = held->client.waitNextRequest();
            on_thread(request.initContext(), to.wait_thread);
            auto wanted = request.initOptions();
            wanted.setTimeout(std::chrono::duration<double, std::milli>(options.timeout).count());
            const std::uint64_t threshold = options.fee_threshold.value_or(bitcoin::kMaxMoneySat);
            wanted.setFeeThreshold(static_cast<std::int64_t>(std::min(threshold, bitcoin::kMaxMoneySat)));
            auto sent = request.send();
            auto reads = read_template(to, sent.getResult());
            ++held->waits;
            return sent
                .then([reads = kj::mv(reads)](
                          capnp::Response<schema::BlockTemplate::WaitNextResults>&& next) mutable -> kj::Promise<Result<Next>> {
                  if (!next.hasResult()) return Result<Next>(std::nullopt);
                  return reads.then([](Result<TemplateData>&& read) -> Result<Next> {
                    if (!read) return fail(std::move(read.error()));
                    return Next(std::move(*read));
                  });
                })
                .attach(kj::defer([held, after] { --held->waits; }));
          });
    });
  }

  void interrupt_wait(const TemplateHandle& after) {
    run_on_thread([this, after] {
      loop_->with_connection([&](Connection& to) {
        if (const HeldPtr held = find(to, after)) {
          to.calls.add(held->client.interruptWaitRequest().send().ignoreResult().attach(kj::heap<TemplateHandle>(after)));
        }
      });
    });
  }

  void get_block(TemplateHandle of, Done<std::vector<std::uint8_t>> done) {
    run_on_thread([this, of = std::move(of), done = std::move(done)]() mutable {
      using Block = std::vector<std::uint8_t>;
      loop_->call<Block>("getBlock", options_.call_deadline, std::move(done),
                         [&](Connection& to) -> kj::Promise<Result<Block>> {
                           const HeldPtr held = find(to, of);
                           if (!held) return failed<Block>(gone());
                           auto request = held->client.getBlockRequest();
                           on_thread(request.initContext(), block_call_thread(to, *held, false));
                           return request.send()
                               .then([](capnp::Response<schema::BlockTemplate::GetBlockResults>&& block) -> Result<Block> {
                                 const Bytes bytes = bytes_of(block.getResult());
                                 return Block(bytes.begin(), bytes.end());
                               })
                               .attach(kj::defer([held, of] { --held->block_calls; }));
                         });
    });
  }

  void submit_solution(TemplateHandle of, bitcoin::BlockSolution solution, Done<Submitted> done) {
    run_on_thread([this, of = std::move(of), solution = std::move(solution), done = std::move(done)]() mutable {
      loop_->call<Submitted>(
          "submitSolution", options_.submit_deadline, std::move(done), [&](Connection& to) -> kj::Promise<Result<Submitted>> {
            const HeldPtr held = find(to, of);
            if (!held) return failed<Submitted>(gone());
            auto& thread = block_call_thread(to, *held, true);
            auto solved = submit_either(held->client, solution, thread);
            return with_tip(to, thread, kj::mv(solved)).attach(kj::defer([held, of] { --held->block_calls; }));
          });
    });
  }

  void submit_block(Bytes block, std::shared_ptr<const void> owner, Done<Submitted> done) {
    run_on_thread([this, block, owner = std::move(owner), done = std::move(done)]() mutable {
      loop_->call<Submitted>("submitBlock", options_.submit_deadline, std::move(done), [&](Connection& to) {
        auto request = to.mining.submitBlockRequest();
        on_thread(request.initContext(), to.submit_thread);
        request.setBlock(capnp::Data::Reader(block.data(), block.size()));
        kj::Promise<Result<Submitted>> answer =
            request.send().then([](capnp::Response<schema::Mining::SubmitBlockResults>&& answered) -> Result<Submitted> {
              return read_submitted(answered);
            });
        return with_tip(to, to.submit_thread, kj::mv(answer));
      });
    });
  }

  void check_block(std::vector<std::uint8_t> block, Done<Checked> done) {
    run_on_thread([this, block = std::move(block), done = std::move(done)]() mutable {
      loop_->call<Checked>("checkBlock", options_.submit_deadline, std::move(done), [&](Connection& to) {
        auto request = to.mining.checkBlockRequest();
        on_thread(request.initContext(), to.submit_thread);
        request.setBlock(capnp::Data::Reader(block.data(), block.size()));
        request.initOptions().setCheckPow(false);
        return request.send().then([](capnp::Response<schema::Mining::CheckBlockResults>&& answered) -> Result<Checked> {
          Checked checked{.valid = answered.getResult()};
          if (!checked.valid) checked.reason = one_line(answered.getReason());
          return checked;
        });
      });
    });
  }

  void find_transactions(std::vector<Hash256> wtxids, Done<std::vector<std::vector<std::uint8_t>>> done) {
    run_on_thread([this, wtxids = std::move(wtxids), done = std::move(done)]() mutable {
      using Found = std::vector<std::vector<std::uint8_t>>;
      loop_->call<Found>("getTransactionsByWitnessID", options_.call_deadline, std::move(done), [&](Connection& to) {
        auto request = to.mining.getTransactionsByWitnessIDRequest();
        on_thread(request.initContext(), to.misc_thread);
        auto ids = request.initIds(static_cast<unsigned>(wtxids.size()));
        for (unsigned i = 0; i < wtxids.size(); ++i) ids.set(i, capnp::Data::Reader(wtxids[i].data(), wtxids[i].size()));
        return request.send().then(
            [asked = wtxids.size()](
                capnp::Response<schema::Mining::GetTransactionsByWitnessIDResults>&& answered) -> Result<Found> {
              const auto list = answered.getResult();
              if (list.size() != asked) return fail(Errc::kNonsense, "the node gave another number of transactions than asked");
              Found found;
              found.reserve(list.size());
              for (const auto one : list) found.emplace_back(one.begin(), one.end());
              return found;
            });
      });
    });
  }

  void is_initial_download(Done<bool> done) {
    run_on_thread([this, done = std::move(done)]() mutable {
      loop_->call<bool>("isInitialBlockDownload", options_.call_deadline, std::move(done), [&](Connection& to) {
        auto request = to.mining.isInitialBlockDownloadRequest();
        on_thread(request.initContext(), to.misc_thread);
        return request.send().then([](auto&& answer) -> Result<bool> { return answer.getResult(); });
      });
    });
  }

  void is_test_chain(Done<bool> done) {
    run_on_thread([this, done = std::move(done)]() mutable {
      loop_->call<bool>("isTestChain", options_.call_deadline, std::move(done), [&](Connection& to) {
        auto request = to.mining.isTestChainRequest();
        on_thread(request.initContext(), to.misc_thread);
        return request.send().then([](auto&& answer) -> Result<bool> { return answer.getResult(); });
      });
    });
  }

  void tip(Done<std::optional<Tip>> done) {
    run_on_thread([this, done = std::move(done)]() mutable {
      loop_->call<std::optional<Tip>>("getTip", options_.call_deadline, std::move(done),
                                      [&](Connection& to) { return get_tip(to, to.misc_thread); });
    });
  }

  void rpc(std::string request_text, Done<std::string> done) {
    run_on_thread([this, text = std::move(request_text), done = std::move(done)]() mutable {
      loop_->call<std::string>(
          "executeRpc", options_.call_deadline, std::move(done), [&](Connection& to) -> kj::Promise<Result<std::string>> {
            if (!to.has_rpc)
              return failed<std::string>({Errc::kUnsupported, "this release of the node has no JSON-RPC on its IPC socket"});
            auto request = to.rpc_calls.executeRpcRequest();
            on_thread(request.initContext(), to.misc_thread);
            request.setRequest(text.c_str());
            request.setUri("/");
            return request.send().then([](capnp::Response<schema::Rpc::ExecuteRpcResults>&& answer) -> Result<std::string> {
              const auto answered = answer.getResult();
              if (answered.size() > kMaxRpcAnswer)
                return fail(Errc::kNonsense,
                            "the node's answer to a JSON-RPC request has " + std::to_string(answered.size()) + " bytes");
              return std::string(answered.begin(), answered.size());
            });
          });
    });
  }

  [[nodiscard]] std::size_t held_templates() const {
    std::size_t held = 0;
    loop_->with_connection([&](Connection& to) { held = to.templates.size(); });
    return held;
  }

 private:
  enum class SolutionMethod : std::uint8_t { kUnknown, kOf31, kOf32 };

  /// What lives on the thread.
  class Loop final : public kj::TaskSet::ErrorHandler {
   public:
    Loop(Core& core, kj::AsyncIoContext& io)
        : core_(core),
          io_(io),
          timer_(io.provider->getTimer()),
          wake_(io.lowLevelProvider->wrapInputFd(core.inbox_->fd(), kDescriptorFlags)),
          tasks_(*this) {
      // One for the next connection, so that a node that comes back finds us though no descriptor is left.
      if (auto made = make_socket()) spare_ = std::move(*made);
      tasks_.add(read_inbox());
    }

    void run(kj::WaitScope& scope) {
      auto stopped = kj::newPromiseAndFulfiller<void>();
      stop_ = kj::mv(stopped.fulfiller);
      stopped.promise.wait(scope);
    }

    void later(Duration wait, std::function<void()> what) {
      tasks_.add(after(wait).then([what = std::move(what)] { what(); }));
    }

    void disconnect() {
      if (stopping_) return;
      ++generation_;
      pending_loss_.reset();
      drop(Error(Errc::kLost, "the connection to the node was given up"));
    }

    void connect() {
      if (stopping_) return;
      disconnect();
      attempt(generation_, timer_.now() + nanoseconds(core_.options_.connect_deadline));
    }

    template <class Use>
    void with_connection(Use use) {
      if (connection_ && connection_->ready) use(*connection_);
    }

    /// `make` sends the call and gives a promise of its result.
    template <class T, class Make>
    void call(std::string_view what, Duration deadline, Done<T> done, Make make) {
      if (!connection_ || !connection_->ready) return done(fail(Errc::kLost, "there is no connection to the node"));
      kj::Promise<Result<T>> answer = nullptr;
      try {
        answer = make(*connection_);
      } catch (const kj::Exception& exception) {
        answer = failed<T>(error_of(exception, what));
      }
      const std::uint64_t id = ++last_call_;
      calls_.emplace(id, [done](const Error& error) { done(fail(Error(error))); });
      auto in_time = with_deadline(or_error(kj::mv(answer), std::string(what)), what, deadline);
      connection_->calls.add(in_time.then([this, id, done = std::move(done)](Result<T>&& result) {
        if (calls_.erase(id) != 0) done(std::move(result));
      }));
    }

    void begin_stop() {
      stopping_ = true;
      ++generation_;
      calls_.clear();
      if (!connection_ || !connection_->ready) return stop_->fulfill();
      // A wait that is ended is over at the node before the connection is; one that is not would hold up the node's own end.
      bool waits = false;
      for (const auto& [id, held] : connection_->templates) {
        if (held->waits == 0) continue;
        waits = true;
        tasks_.add(held->client.interruptWaitRequest().send().ignoreResult());
      }
      if (connection_->creating > 0) {
        waits = true;
        tasks_.add(connection_->mining.interruptRequest().send().ignoreResult());
      }
      if (!waits) return stop_->fulfill();
      tasks_.add(connection_->calls.onEmpty()
                     .exclusiveJoin(after(kStopGrace))
                     .then([this] { stop_->fulfill(); }, [this](kj::Exception&&) { stop_->fulfill(); }));
    }

    /// A template of this connection that the node holds from now on until its handle is dropped.
    TemplateHandle hold(schema::BlockTemplate::Client client) {
      const std::uint64_t id = ++last_template_;
      connection_->templates.emplace(id, std::make_shared<Held>(kj::mv(client)));
      return std::make_shared<HeldTemplate>(core_.inbox_, [this, id] { release(id); }, id);
    }

    void taskFailed(kj::Exception&& exception) override {
      // Answers are errors before they get here. What remains are calls without one: the connection tells if it is gone.
      (void)exception;
    }

   private:
    static constexpr unsigned kDescriptorFlags =
        kj::LowLevelAsyncIoProvider::ALREADY_CLOEXEC | kj::LowLevelAsyncIoProvider::ALREADY_NONBLOCK;

    static kj::Duration nanoseconds(Duration duration) { return duration.count() * kj::NANOSECONDS; }
    kj::Promise<void> after(Duration wait) { return timer_.afterDelay(nanoseconds(wait)); }

    kj::Promise<void> read_inbox() {
      return wake_->tryRead(&wakes_, sizeof wakes_, sizeof wakes_).then([this](std::size_t) {
        for (const auto& what : core_.inbox_->take()) run_posted(what);
        return read_inbox();
      });
    }

    /// Nothing that is posted may end the loop. What cannot be sent fails by the connection's end.
    static void run_posted(const std::function<void()>& what) noexcept {
      try {
        what();
      } catch (const kj::Exception& unsent) {
        (void)unsent;
      }
    }

    template <class T>
    kj::Promise<Result<T>> with_deadline(kj::Promise<Result<T>> promise, std::string_view what, Duration deadline) {
      if (deadline == Duration::max()) return promise;
      const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(deadline).count();
      return promise.exclusiveJoin(after(deadline).then([ms, what = std::string(what)]() -> Result<T> {
        return fail(Errc::kTimedOut, "the node did not answer " + what + " within " + std::to_string(ms) + " ms");
      }));
    }

    void release(std::uint64_t id) {
      // Ids are not used again, so that of a former connection finds nothing.
      if (connection_) connection_->templates.erase(id);
    }

    /// Ends the connection and answers what is under way.
    void drop(const Error& error) {
      connection_ = nullptr;
      for (const auto& [id, tell] : std::exchange(calls_, {})) tell(error);
    }

    /// Not at once: this may be called by what belongs to the connection.
    void lose(Error error) {
      if (stopping_ || pending_loss_) return;
      pending_loss_ = std::move(error);
      tasks_.add(kj::evalLater([this, generation = generation_] {
        if (generation != generation_ || !pending_loss_) return;
        const Error why = *std::exchange(pending_loss_, std::nullopt);
        ++generation_;
        drop(why);
        core_.events_.on_lost(why);
      }));
    }

    void attempt(std::uint64_t generation, kj::TimePoint deadline) {
      if (generation != generation_) return;
      if (!spare_.ok()) {
        auto made = make_socket();
        if (!made) return lose(std::move(made.error()));
        spare_ = std::move(*made);
      }
      const auto connected = connect_socket(spare_, core_.options_.socket_path);
      if (!connected) return lose(connected.error());
      if (!*connected) {
        if (timer_.now() >= deadline) {
          return lose({Errc::kTimedOut, "the node does not take the connection: too many programs wait for one at " +
                                            core_.options_.socket_path});
        }
        tasks_.add(after(kRetryFullQueue).then([this, generation, deadline] { attempt(generation, deadline); }));
        return;
      }
      capnp::ReaderOptions limits;
      limits.traversalLimitInWords = kMaxMessage / sizeof(capnp::word);
      try {
        auto stream =
            io_.lowLevelProvider->wrapSocketFd(spare_.get(), kDescriptorFlags | kj::LowLevelAsyncIoProvider::TAKE_OWNERSHIP);
        (void)spare_.release();
        connection_ = kj::heap<Connection>(kj::mv(stream), limits, *this);
      } catch (const kj::Exception& exception) {
        return lose({Errc::kSystem, "the connection to the node cannot be used: " + one_line(exception.getDescription())});
      }
      if (auto made = make_socket()) spare_ = std::move(*made);
      tasks_.add(connection_->network.onDisconnect().then([this, generation] {
        if (generation == generation_) lose({Errc::kLost, "the node closed its IPC connection: did it stop?"});
      }));
      shake_hands(generation);
    }

    void shake_hands(std::uint64_t generation) {
      Connection& to = *connection_;
      core_.solution_method_ = SolutionMethod::kUnknown;  // It may be another release than last time.
      auto constructed = to.init.constructRequest().send();
      auto map = constructed.getThreadMap();
      kj::Vector<kj::Promise<void>> made;
      const auto make_thread = [&](schema::Thread::Client& thread, const char* name) {
        auto request = map.makeThreadRequest();
        request.setName(name);
        auto sent = request.send();
        thread = sent.getResult();
        made.add(sent.ignoreResult());
      };
      make_thread(to.make_thread, "adit make");
      make_thread(to.wait_thread, "adit wait");
      make_thread(to.read_thread, "adit read");
      make_thread(to.block_thread, "adit block");
      make_thread(to.submit_thread, "adit submit");
      make_thread(to.misc_thread, "adit misc");
      kj::Promise<Result<void>> threads = kj::joinPromises(made.releaseAsArray()).then([]() -> Result<void> { return {}; });
      threads = threads.catch_([this](kj::Exception&& exception) -> Result<void> {
        const std::string at = core_.options_.socket_path;
        if (exception.getType() == kj::Exception::Type::DISCONNECTED)
          return fail(Errc::kLost,
                      "what listens at " + at + " closed the connection at once: is that a Bitcoin node, and is it running?");
        return fail(Errc::kNotANode, "what listens at " + at + " does not speak Bitcoin Core's IPC (" +
                                         one_line(exception.getDescription()) + "): is that the node's socket?");
      });
      auto in_time = with_deadline(kj::mv(threads), "the first call", core_.options_.connect_deadline);
      to.calls.add(in_time.then([this, generation](Result<void>&& result) {
        if (!result) return lose(std::move(result.error()));
        ask_for_mining(generation);
      }));
    }

    void ask_for_mining(std::uint64_t generation) {
      Connection& to = *connection_;
      tasks_.add(after(core_.options_.loading_after).then([this, generation] {
        if (generation == generation_ && connection_ && !connection_->ready && core_.events_.on_loading)
          core_.events_.on_loading();
      }));
      auto request = to.init.makeMiningRequest();
      on_thread(request.initContext(), to.misc_thread);
      auto rpc_request = to.init.makeRpcRequest();
      on_thread(rpc_request.initContext(), to.read_thread);
      auto rpc_made = rpc_request.send().then(
          [&to](capnp::Response<schema::Init::MakeRpcResults>&& made) {
            to.has_rpc = made.hasResult();
            if (to.has_rpc) to.rpc_calls = made.getResult();
          },
          [](kj::Exception&&) {});  // 31.0 has none.
      kj::Promise<Result<void>> mining = request.send().then(
          [&to](capnp::Response<schema::Init::MakeMiningResults>&& made) -> Result<void> {
            if (!made.hasResult()) return fail(Errc::kLost, "the node is shutting down");
            to.mining = made.getResult();
            return {};
          },
          [](kj::Exception&& exception) -> Result<void> {
            if (exception.getType() == kj::Exception::Type::UNIMPLEMENTED) {
              return fail(Errc::kTooOld,
                          "the node speaks the mining interface of Bitcoin Core 30: install Bitcoin Core 31 or later, or take "
                          "its templates by "
                          "JSON-RPC ([template_provider_type.BitcoinRpc])");
            }
            return fail(error_of(exception, "makeMining"));
          });
      to.calls.add(mining.then([this, rpc_made = kj::mv(rpc_made)](Result<void>&& result) mutable -> kj::Promise<void> {
        if (!result) {
          lose(std::move(result.error()));
          return kj::READY_NOW;
        }
        return rpc_made.exclusiveJoin(after(core_.options_.call_deadline)).then([this] {
          connection_->ready = true;
          core_.events_.on_ready({.has_rpc = connection_->has_rpc});
        });
      }));
    }

    Core& core_;
    kj::AsyncIoContext& io_;
    kj::Timer& timer_;
    kj::Own<kj::AsyncInputStream> wake_;
    std::uint64_t wakes_ = 0;
    kj::Own<kj::PromiseFulfiller<void>> stop_;
    Fd spare_;
    std::map<std::uint64_t, std::function<void(const Error&)>> calls_;  ///< Those whose `done` is still to be called.
    std::uint64_t last_call_ = 0;
    std::uint64_t last_template_ = 0;
    std::uint64_t generation_ = 0;  ///< Of the connection, or of the attempt at one.
    std::optional<Error> pending_loss_;
    bool stopping_ = false;
    kj::Own<Connection> connection_;
    kj::TaskSet tasks_;  ///< Destroyed first.
  };

  // Cap'n Proto insists on this callback's being on the thread's stack, from where AddressSanitizer moves other locals.
  __attribute__((no_sanitize("address"))) void run(std::promise<Result<>>& begun) {
    const Quiet quiet;
    run_loop(begun);
  }

  void run_loop(std::promise<Result<>>& begun) {
    bool has_begun = false;
    try {
      auto io = kj::setupAsyncIo();
      Loop loop(*this, io);
      loop_ = &loop;
      has_begun = true;
      begun.set_value({});
      loop.run(io.waitScope);
    } catch (const kj::Exception& exception) {
      if (has_begun) std::terminate();  // No promise of the loop's fails.
      begun.set_value(
          fail(Errc::kSystem, "no event loop can be made for the node's IPC: " + one_line(exception.getDescription())));
    }
  }

  static Error gone() { return {Errc::kLost, "the node's template is gone: it belongs to an earlier connection"}; }

  static HeldPtr find(Connection& to, const TemplateHandle& handle) {
    const auto found = to.templates.find(handle->id());
    return found == to.templates.end() ? nullptr : found->second;
  }

  static schema::Thread::Client& block_call_thread(Connection& to, Held& held, bool submits) {
    if (held.block_calls++ == 0) held.on_submit_thread = submits;
    return held.on_submit_thread ? to.submit_thread : to.block_thread;
  }

  /// Sends the three reads; `of` may be a promise still.
  kj::Promise<Result<TemplateData>> read_template(Connection& to, schema::BlockTemplate::Client of) {
    auto header_request = of.getBlockHeaderRequest();
    on_thread(header_request.initContext(), to.read_thread);
    auto header_sent = header_request.send();
    auto coinbase_request = of.getCoinbaseTxRequest();
    on_thread(coinbase_request.initContext(), to.read_thread);
    auto coinbase_sent = coinbase_request.send();
    auto path_request = of.getCoinbaseMerklePathRequest();
    on_thread(path_request.initContext(), to.read_thread);
    auto path_sent = path_request.send();
    return header_sent.then([this, of = kj::mv(of), coinbase_sent = kj::mv(coinbase_sent), path_sent = kj::mv(path_sent)](
                                capnp::Response<schema::BlockTemplate::GetBlockHeaderResults>&& header) mutable {
      return coinbase_sent.then([this, of = kj::mv(of), header = kj::mv(header), path_sent = kj::mv(path_sent)](
                                    capnp::Response<schema::BlockTemplate::GetCoinbaseTxResults>&& coinbase) mutable {
        return path_sent.then(
            [this, of = kj::mv(of), header = kj::mv(header), coinbase = kj::mv(coinbase)](
                capnp::Response<schema::BlockTemplate::GetCoinbaseMerklePathResults>&& path) mutable -> Result<TemplateData> {
              TemplateData read;
              ADIT_TRY(read.header, read_header(header.getResult()));
              ADIT_TRY(read.coinbase, read_coinbase(coinbase.getResult()));
              ADIT_TRY(read.merkle_path, read_merkle_path(path.getResult()));
              read.handle = loop_->hold(kj::mv(of));
              return read;
            });
      });
    });
  }

  kj::Promise<Result<std::optional<Tip>>> get_tip(Connection& to, schema::Thread::Client& thread) {
    auto request = to.mining.getTipRequest();
    on_thread(request.initContext(), thread);
    return request.send().then([](capnp::Response<schema::Mining::GetTipResults>&& answer) -> Result<std::optional<Tip>> {
      if (!answer.getHasResult()) return std::nullopt;
      ADIT_TRY(const Tip found, read_tip(answer.getResult()));
      return found;
    });
  }

  /// Adds to an answer where the chain ends right after it; asked in the same flight, on the same thread of the node's.
  kj::Promise<Result<Submitted>> with_tip(Connection& to, schema::Thread::Client& thread,
                                          kj::Promise<Result<Submitted>> answer) {
    auto tip = or_error(get_tip(to, thread), "getTip");
    return answer.then([tip = kj::mv(tip)](Result<Submitted>&& submitted) mutable -> kj::Promise<Result<Submitted>> {
      if (!submitted) return kj::mv(submitted);
      return tip.then([submitted = std::move(submitted)](Result<std::optional<Tip>>&& found) mutable {
        if (found) submitted->tip = *found;
        return std::move(submitted);
      });
    });
  }

  template <class Answer>
  static Submitted read_submitted(Answer& answer) {
    Submitted read;
    read.accepted = answer.getResult();
    read.reason = one_line(answer.getReason());
    read.detail = one_line(answer.getDebug());
    return read;
  }

  template <class Request>
  static void fill_in(Request& request, const bitcoin::BlockSolution& solution, schema::Thread::Client& thread) {
    on_thread(request.initContext(), thread);
    request.setVersion(solution.version);
    request.setTimestamp(solution.ntime);
    request.setNonce(solution.nonce);
    request.setCoinbase(capnp::Data::Reader(solution.coinbase.data(), solution.coinbase.size()));
  }

  /// Which of its two methods a node has is not known before the first solution: that one goes to both in one flight.
  kj::Promise<Result<Submitted>> submit_either(schema::BlockTemplate::Client& to, const bitcoin::BlockSolution& solution,
                                               schema::Thread::Client& thread) {
    kj::Promise<Result<Submitted>> newer = failed<Submitted>({Errc::kUnsupported, ""});
    if (solution_method_ != SolutionMethod::kOf31) {
      auto request = to.submitSolutionRequest();
      fill_in(request, solution, thread);
      newer = or_error<Submitted>(
          request.send().then([](capnp::Response<schema::BlockTemplate::SubmitSolutionResults>&& answer) -> Result<Submitted> {
            return read_submitted(answer);
          }),
          "submitSolution");
    }
    kj::Promise<Result<Submitted>> older = failed<Submitted>({Errc::kUnsupported, ""});
    if (solution_method_ != SolutionMethod::kOf32) {
      auto request = to.submitSolutionOf31Request();
      fill_in(request, solution, thread);
      older = request.send().then(
          [](capnp::Response<schema::BlockTemplate::SubmitSolutionOf31Results>&& answer) -> Result<Submitted> {
            return Submitted{.accepted = answer.getResult(), .reason = "", .detail = "", .tip = std::nullopt};
          });
    }
    return newer.then([this, older = kj::mv(older)](Result<Submitted>&& answer) mutable -> kj::Promise<Result<Submitted>> {
      if (!answer && answer.error().is(Errc::kUnsupported)) {
        solution_method_ = SolutionMethod::kOf31;
        return kj::mv(older);
      }
      if (answer) solution_method_ = SolutionMethod::kOf32;
      return kj::mv(answer);
    });
  }

  const NodeOptions options_;
  const NodeEvents events_;
  std::shared_ptr<Inbox> inbox_;
  std::thread thread_;
  // Of the thread:
  Loop* loop_ = nullptr;
  SolutionMethod solution_method_ = SolutionMethod::kUnknown;
};

Node::Node(NodeOptions options, NodeEvents events) : core_(std::make_unique<Core>(std::move(options), std::move(events))) {}
Node::~Node() = default;
Result<> Node::start() { return core_->start(); }
void Node::stop() { core_->stop(); }
void Node::connect() { core_->connect(); }
void Node::disconnect() { core_->disconnect(); }
void Node::post(std::function<void()> what) { core_->post(std::move(what)); }
void Node::post_after(Duration wait, std::function<void()> what) { core_->post_after(wait, std::move(what)); }
void Node::create_template(CreateOptions options, Done<TemplateData> done) { core_->create(options, std::move(done)); }
void Node::wait_next(TemplateHandle after, WaitOptions options, Done<std::optional<TemplateData>> done) {
  core_->wait_next(std::move(after), options, std::move(done));
}
void Node::interrupt_wait(const TemplateHandle& after) { core_->interrupt_wait(after); }
void Node::get_block(TemplateHandle of, Done<std::vector<std::uint8_t>> done) {
  core_->get_block(std::move(of), std::move(done));
}
void Node::submit_solution(TemplateHandle of, bitcoin::BlockSolution solution, Done<Submitted> done) {
  core_->submit_solution(std::move(of), std::move(solution), std::move(done));
}
void Node::submit_block(Bytes block, std::shared_ptr<const void> owner, Done<Submitted> done) {
  core_->submit_block(block, std::move(owner), std::move(done));
}
void Node::check_block(std::vector<std::uint8_t> block, Done<Checked> done) {
  core_->check_block(std::move(block), std::move(done));
}
void Node::find_transactions(std::vector<Hash256> wtxids, Done<std::vector<std::vector<std::uint8_t>>> done) {
  core_->find_transactions(std::move(wtxids), std::move(done));
}
void Node::is_initial_download(Done<bool> done) { core_->is_initial_download(std::move(done)); }
void Node::is_test_chain(Done<bool> done) { core_->is_test_chain(std::move(done)); }
void Node::tip(Done<std::optional<Tip>> done) { core_->tip(std::move(done)); }
void Node::rpc(std::string request, Done<std::string> done) { core_->rpc(std::move(request), std::move(done)); }
std::size_t Node::held_templates() const { return core_->held_templates(); }

}  // namespace adit::ipc
