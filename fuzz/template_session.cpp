// Template distribution, both ways round. A provider and its clients talk in any order of tips, fees, constraints, requests,
// solutions and lost connections: neither ever blames the other, no request is answered twice or never, and a block that was
// solved becomes a block. And either of them takes whatever a stranger sends without growing beyond its bounds.
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/require_testing.h"
#include "bitcoin/test_data.h"
#include "bitcoin/tx.h"
#include "input.h"
#include "template/chain.h"
#include "template/constraint_classes.h"
#include "template/sv2_client.h"
#include "template/sv2_server.h"
#include "template/test_sink.h"
#include "wire/messages.h"

namespace {

using namespace adit;
using fuzz::Input;
using namespace adit::templates;

constexpr int kSteps = 160;

Now now_after(Duration since) {
  return {Instant(std::chrono::hours(1)) + since,
          UnixTime(std::chrono::seconds(1'800'000'000)) + std::chrono::duration_cast<std::chrono::seconds>(since)};
}

std::vector<std::uint8_t> numbered_transaction(std::uint32_t number) {
  auto made = *bitcoin::parse_transaction(bitcoin::test::bytes_of(bitcoin::test::kSegwitTransaction));
  made.locktime = number;
  return bitcoin::serialize(made);
}

/// A provider on a chain of its own.
class Provider final : public Sv2ServerEvents {
 public:
  struct Client final : Sv2ServerSession {
    explicit Client(Provider& at) : Sv2ServerSession(at.shard, at.now) {}
    wire::FrameBuffer to_client;
    bool ended = false;
  };

  explicit Provider(bool is_slow) : is_slow_(is_slow) {
    for (int i = 0; i < 17; ++i) require(chain.mine({0x51}, now.unix_time, 10'000));
    publish();
  }

  std::unique_ptr<Client> connect() { return std::make_unique<Client>(*this); }
  static Client& client_of(const Sv2ServerSession& session) {
    return const_cast<Client&>(static_cast<const Client&>(session));  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  }

  void publish() {
    const auto made = std::make_shared<const Template>(chain.make_template(now.unix_time));
    for (const ClassId id : open_) set(id, made);
  }
  void set(ClassId id, const TemplatePtr& made) { shard.set_template(id, *encode_template(made, next_id()), now); }
  void mine() {
    require(chain.mine({0x51}, now.unix_time, 10'000));
    publish();
  }
  /// Answers what was put off: the oldest question of each kind.
  void answer() {
    if (!joins_.empty()) {
      const Join join = joins_.front();
      joins_.pop_front();
      complete(join);
    }
    if (fetched.empty()) return;
    const Sv2TemplatePtr wanted = fetched.front();
    fetched.pop_front();
    const auto* const transactions = &wanted->made->transactions;
    shard.on_transactions(wanted->id, TemplateSource::Transactions(wanted->made, transactions));
  }

  void join(std::uint64_t session, std::uint32_t request, CoinbaseConstraints asked) override {
    if (is_slow_) {
      joins_.push_back({session, request, asked});
    } else {
      complete({session, request, asked});
    }
  }
  void leave(ClassId id) override {
    if (!classes.leave(id)) return;
    std::erase(open_, id);
    shard.drop_class(id, now);
  }
  void send(Sv2ServerSession& session, const wire::FrameBuffer& frames) override {
    client_of(session).to_client.append(frames);
  }
  void end(Sv2ServerSession& session, const Error&) override { client_of(session).ended = true; }
  void settled(Sv2ServerSession& session) override { require(session.settled()); }
  void fetch(const Sv2TemplatePtr& wanted) override { fetched.push_back(wanted); }
  void submit(const Sv2ServerSession&, const Sv2TemplatePtr& solved, BlockSolution solution) override {
    const auto block = bitcoin::assemble_block(*solved->made, solution);
    require(block.has_value());
    const auto judged = chain.submit(block->bytes, now.unix_time);
    require(judged.reason != "high-hash" && judged.reason != "bad-txnmrklroot");
    if (judged.verdict == BlockVerdict::kAccepted) is_new_tip = true;
  }
  void solution_refused(const Sv2ServerSession&, std::uint64_t, std::string_view why) override {
    require(!why.empty());
    // A client of ours solves what it was given; it may be late with that.
    if (is_strict) require(why == "stale-template-id");
  }
  std::uint64_t next_id() override { return ++last_id_; }

  Now now = now_after({});
  Chain chain{{}};
  ConstraintClasses classes{{.max_classes = 3}};
  Sv2ServerShard shard{{.max_kept = 8}, *this};
  std::deque<Sv2TemplatePtr> fetched;
  bool is_new_tip = false;  ///< By a client's block; to be published.
  bool is_strict = false;   ///< The clients are ours.

 private:
  struct Join {
    std::uint64_t session;
    std::uint32_t request;
    CoinbaseConstraints asked;
  };
  void complete(const Join& join) {
    const auto joined = classes.join(join.asked);
    if (joined && joined->is_new) open_.push_back(joined->id);
    shard.on_class(join.session, join.request, joined ? Result<ClassId>(joined->id) : fail(Error(joined.error())));
    if (joined && joined->is_new && std::ranges::find(open_, joined->id) != open_.end())
      set(joined->id, std::make_shared<const Template>(chain.make_template(now.unix_time)));
  }

  const bool is_slow_;
  std::vector<ClassId> open_{0};
  std::deque<Join> joins_;
  std::uint64_t last_id_ = first_template_id(now_after({}).unix_time);
};

/// A pool that takes its work from it.
class Pool final : public Sv2ClientEvents {
 public:
  TemplateId next_template_id() override { return ++last_id_; }
  void on_template(TemplatePtr made, bool new_tip) override {
    require(newest == nullptr || made->id > newest->id);
    require(new_tip || (made->prev_hash == newest->prev_hash && made->nbits == newest->nbits));
    require(made->current_time >= made->min_ntime);
    newest = std::move(made);
  }
  void on_block_result(const BlockResult& result) override {
    require(std::ranges::find(results, result.hash, &BlockResult::hash) == results.end());
    results.push_back(result);
  }

  TemplatePtr newest;
  std::vector<BlockResult> results;
  Sv2Client client{{.max_futures = 4, .max_solutions = 4}, *this};
  std::size_t asked = 0;
  std::size_t answered = 0;
  std::unique_ptr<Provider::Client> session;

 private:
  TemplateId last_id_ = 0;
};

/// Both as they are: neither may find fault with the other.
class Together {
 public:
  explicit Together(Input& in) : in_(in), provider_(in.next() % 2 == 1) { provider_.is_strict = true; }

  void run() {
    for (int i = 0; i < kSteps && !in_.empty(); ++i) step();
    for (Pool& pool : pools_) {
      lose(pool);
      require(pool.asked == pool.answered);
    }
    require(provider_.shard.clients() == 0);
    require(provider_.shard.kept() <= 4 * 8 + 3 * 8);
  }

 private:
  void step() {
    const std::uint8_t what = in_.next();
    Pool& pool = pools_[(what >> 4) % 2];
    const Now& now = provider_.now;
    wire::FrameBuffer out;
    switch (what % 16) {
      case 0:
      case 1:
        if (pool.session != nullptr) return;
        pool.session = provider_.connect();
        pool.client.begin("p", now, out);
        break;
      case 2:
        return lose(pool);
      case 3:
        pool.client.constrain({in_.next() * 40u, in_.next()}, now, out);
        break;
      case 4:
        return provider_.mine();
      case 5:
        if (provider_.chain.add_transaction(numbered_transaction(++transactions_), 1'000)) provider_.publish();
        return;
      case 6:
      case 7:
        if (pool.newest == nullptr) return;
        ++pool.asked;
        pool.client.transactions(pool.newest->id, now, out, [&pool, made = pool.newest](const auto& found) {
          ++pool.answered;
          require(!found || (*found)->empty() == made->merkle_path.empty());
        });
        break;
      case 8:
      case 9:
        if (pool.newest == nullptr) return;
        (void)pool.client.submit(pool.newest->id, test::solution(*pool.newest, {0x51}, in_.next()), now, out);
        break;
      case 10:
        provider_.answer();
        break;
      case 11:
        pass(std::chrono::seconds(in_.next()));
        break;
      default:
        break;
    }
    deliver(pool, out);
    for (Pool& each : pools_) exchange(each);
    if (std::exchange(provider_.is_new_tip, false)) provider_.publish();
    for (Pool& each : pools_) exchange(each);
  }

  void pass(Duration time) {
    elapsed_ += time;
    provider_.now = now_after(elapsed_);
    provider_.shard.on_tick(provider_.now);
    for (Pool& pool : pools_) {
      // A provider that owes an answer, or templates, may be left for that.
      if (!pool.client.on_tick(provider_.now)) lose(pool);
    }
  }

  void lose(Pool& pool) {
    if (pool.session == nullptr) return;
    pool.session.reset();
    pool.client.end(Error(session::Errc::kClosed, "lost"));
  }

  /// What the client wrote reaches the provider.
  void deliver(Pool& pool, const wire::FrameBuffer& frames) {
    if (pool.session == nullptr || frames.empty()) return;
    const std::vector<wire::FrameView> views(frames.begin(), frames.end());
    wire::FrameBuffer out;
    const auto taken = pool.session->on_frames(views, provider_.now, out);
    pool.session->to_client.append(out);
    // Constraints that change all the time are the one thing that it may hold against a client of ours.
    require(taken || taken.error().is(session::Errc::kOverloaded));
    if (!taken || pool.session->ended) lose(pool);
  }

  /// What the provider wrote reaches the client, until both have said all.
  void exchange(Pool& pool) {
    while (pool.session != nullptr && !pool.session->to_client.empty()) {
      const wire::FrameBuffer frames = std::exchange(pool.session->to_client, {});
      const std::vector<wire::FrameView> views(frames.begin(), frames.end());
      wire::FrameBuffer out;
      const auto taken = pool.client.on_frames(views, provider_.now, out);
      require(taken.has_value());
      deliver(pool, out);
    }
    if (pool.session != nullptr && pool.session->ended) lose(pool);
  }

  Input& in_;
  Provider provider_;
  Pool pools_[2];
  std::uint32_t transactions_ = 0;
  Duration elapsed_{};
};

/// A message of the protocol with fields of the input's choice, or any frame at all.
void push_anything(wire::FrameBuffer& frames, Input& in, std::uint64_t near_id, const Hash256& hash) {
  const std::uint8_t kind = in.next();
  const std::uint64_t id = near_id + in.next() - 4;
  switch (kind % 9) {
    case 0:
      frames.push(wire::CoinbaseOutputConstraints{in.next() * 5'000u, static_cast<std::uint16_t>(in.next() * 300)});
      break;
    case 1:
      frames.push(wire::RequestTransactionData{.template_id = id});
      break;
    case 2: {
      const Bytes coinbase = in.take(in.next());
      frames.push(wire::SubmitSolution{.template_id = id,
                                       .version = in.next() * 0x1000001u,
                                       .header_timestamp = 1'800'000'000u + in.next(),
                                       .header_nonce = in.next(),
                                       .coinbase_tx = coinbase});
      break;
    }
    case 3: {
      const Hash256 path[] = {hash, hash};
      wire::NewTemplate made{.template_id = id, .future_template = in.next() % 2 == 0, .version = 0x20000000};
      made.coinbase_prefix = in.take(in.next() % 16);
      made.coinbase_tx_value_remaining = std::uint64_t{in.next()} << (in.next() % 60);
      made.coinbase_tx_outputs_count = in.next() % 3;
      made.coinbase_tx_outputs = in.take(in.next());
      const std::vector<wire::U256> siblings(path, path + in.next() % 3);
      made.merkle_path = siblings;
      frames.push(made);
      break;
    }
    case 4:
      frames.push(wire::SetNewPrevHashTdp{.template_id = id,
                                          .prev_hash = hash,
                                          .header_timestamp = 1'800'000'000u + in.next(),
                                          .n_bits = in.next() % 4 == 0 ? in.next() * 0x10101u : 0x207fffff});
      break;
    case 5: {
      const std::vector<wire::B0_16M> list(in.next() % 3, in.take(in.next()));
      frames.push(wire::RequestTransactionDataSuccess{.template_id = id, .transaction_list = list});
      break;
    }
    case 6:
      frames.push(wire::RequestTransactionDataError{.template_id = id, .error_code = std::string_view("stale-template-id")});
      break;
    default:
      (void)frames.push_raw({.extension_type = static_cast<std::uint16_t>(kind % 2), .message_type = in.next()},
                            in.take(in.next()));
  }
}

/// A client that does anything.
void attack_provider(Input& in) {
  Provider provider(in.next() % 2 == 1);
  {
    auto client = provider.connect();
    for (int i = 0; i < kSteps && !in.empty(); ++i) {
      if (in.next() % 8 == 0) provider.mine();
      if (in.next() % 4 == 0) provider.answer();
      provider.shard.on_tick(provider.now);
      wire::FrameBuffer frames;
      push_anything(frames, in, provider.next_id(), provider.chain.tip());
      const std::vector<wire::FrameView> views(frames.begin(), frames.end());
      wire::FrameBuffer out;
      const bool taken = client->on_frames(views, provider.now, out).has_value();
      // Each question has an answer at once or one that is on its way.
      require(client->settled() || !provider.fetched.empty());
      if (!taken || client->ended) client = provider.connect();
    }
    require(provider.shard.kept() <= 4 * 8 + 3 * 8);
  }
  while (!provider.fetched.empty()) provider.answer();
  require(provider.shard.clients() == 0);
}

/// A provider that does anything.
void attack_client(Input& in) {
  Pool pool;
  Now now = now_after({});
  std::uint64_t id = 8;
  Hash256 tip{};
  for (int i = 0; i < kSteps && !in.empty(); ++i) {
    wire::FrameBuffer out;
    if (!pool.client.in_session()) pool.client.begin(std::string(1, static_cast<char>('a' + in.next() % 2)), now, out);
    const std::uint8_t what = in.next();
    if (what % 8 == 0) tip[what >> 5] ^= in.next();
    if (what % 4 == 1) now = now_after(now.instant - now_after({}).instant + std::chrono::seconds(in.next()));
    if (what % 4 == 2 && pool.newest != nullptr) {
      ++pool.asked;
      pool.client.transactions(pool.newest->id, now, out, [&pool](const auto&) { ++pool.answered; });
    }
    if (what % 16 == 3 && pool.newest != nullptr && pool.newest->nbits == 0x207fffff)
      (void)pool.client.submit(pool.newest->id, test::solution(*pool.newest), now, out);
    wire::FrameBuffer frames;
    push_anything(frames, in, id, tip);
    if (what % 2 == 0) ++id;
    const std::vector<wire::FrameView> views(frames.begin(), frames.end());
    const bool keeps = pool.client.on_frames(views, now, out).has_value() && pool.client.on_tick(now).has_value();
    require(pool.client.unsettled() <= 4);
    if (!keeps) pool.client.end(Error(session::Errc::kProtocol, "broken"));
  }
  pool.client.end(Error(session::Errc::kClosed, "over"));
  require(pool.asked == pool.answered);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(Bytes(data, size));
  switch (in.next() % 3) {
    case 0:
      Together(in).run();
      break;
    case 1:
      attack_provider(in);
      break;
    default:
      attack_client(in);
  }
  return 0;
}
