// Job declaration's server and two clients that do anything, with nodes that say anything and shards that answer late. Every
// declaration is answered once, a token is good for one job, what is submitted is a block, and nothing grows beyond its bounds.
// And the coinbase's two fields: what is read of them is written back as the same bytes.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/require_testing.h"
#include "bitcoin/block.h"
#include "bitcoin/coinbase.h"
#include "bitcoin/test_data.h"
#include "bitcoin/tx.h"
#include "bitcoin/u256.h"
#include "channels/extranonce.h"
#include "declaration/server_session.h"
#include "input.h"
#include "wire/messages.h"

namespace {

using namespace adit;
using namespace adit::declaration;
using fuzz::Input;

constexpr int kSteps = 120;
constexpr std::uint32_t kNumbers = 4;  // Transactions that there are.

Now now_after(Duration since) {
  return {Instant(std::chrono::hours(1)) + since,
          UnixTime(std::chrono::seconds(1'800'000'000)) + std::chrono::duration_cast<std::chrono::seconds>(since)};
}

const std::vector<std::vector<std::uint8_t>>& transactions() {
  static const auto all = [] {
    std::vector<std::vector<std::uint8_t>> made;
    for (std::uint32_t i = 0; i < kNumbers; ++i) {
      auto one = *bitcoin::parse_transaction(bitcoin::test::bytes_of(bitcoin::test::kSegwitTransaction));
      one.locktime = i;
      made.push_back(bitcoin::serialize(one));
    }
    return made;
  }();
  return all;
}

bitcoin::TemplatePtr template_on(std::uint8_t tip) {
  auto made = std::make_shared<bitcoin::Template>();
  made->prev_hash.fill(tip);
  made->nbits = 0x207fffff;
  made->current_time = made->min_ntime = 1'800'000'000;
  made->height = 100u + tip;
  return made;
}

class Declarator final : public ServerEvents {
 public:
  struct Client final : ServerSession {
    Client(Declarator& at, std::uint32_t flags) : ServerSession(at.shard, flags, at.now) {}
    std::multiset<std::uint32_t> unanswered;  ///< Request ids of declarations.
    std::vector<Token> tokens;                ///< That it was allocated.
    std::size_t declared = 0;

    void on_answers(const wire::FrameBuffer& frames) {
      for (const auto& frame : frames) {
        if (const auto allocated = frame.as<wire::AllocateMiningJobTokenSuccess>()) {
          tokens.push_back(*token_from(allocated->mining_job_token));
          require(bitcoin::parse_counted_outputs(allocated->coinbase_tx_outputs).has_value());
        } else if (const auto success = frame.as<wire::DeclareMiningJobSuccess>()) {
          answered(success->request_id);
          ++declared;
          require(token_from(success->new_mining_job_token).has_value());
        } else if (const auto refused = frame.as<wire::DeclareMiningJobError>()) {
          answered(refused->request_id);
          require(!refused->error_code.empty());
        } else {
          const auto wanted = frame.as<wire::ProvideMissingTransactions>();
          require(wanted.has_value() && !wanted->unknown_tx_position_list.empty());
          require(unanswered.contains(wanted->request_id));
        }
      }
    }
    void answered(std::uint32_t request_id) {
      const auto found = unanswered.find(request_id);
      require(found != unanswered.end());
      unanswered.erase(found);
    }
  };
  struct Asked {
    std::uint64_t session;
    std::uint64_t declaration;
    DeclaredJobPtr job;
    std::vector<TransactionPtr> transactions;
  };

  Declarator() { shard.set_template(template_on(1), now); }

  static Client& client_of(const ServerSession& session) {
    return const_cast<Client&>(static_cast<const Client&>(session));  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  }

  Token next_token() override {
    Token token{};
    store_le(token.data(), ++last_token_);
    return token;
  }
  void check(const ServerSession& session, std::uint64_t declaration, const DeclaredJobPtr& job) override {
    const auto block = block_to_check(*job->work);
    require(block.has_value() && bitcoin::parse_block(block->bytes).has_value());
    checks.push_back({session.number(), declaration, job, {}});
  }
  void find(std::uint64_t session, std::uint64_t declaration, std::vector<bitcoin::Hash256>) override {
    finds.push_back({session, declaration, nullptr, {}});
  }
  void tell(std::uint64_t session, std::uint64_t declaration, const DeclaredJobPtr& job,
            std::vector<TransactionPtr> provided) override {
    require(known_tokens.insert(job->token).second);
    told.push_back({session, declaration, job, std::move(provided)});
  }
  void submit(const ServerSession&, const DeclaredJobPtr& job, const bitcoin::Hash256& hash,
              bitcoin::BlockSolution solution) override {
    const auto block = assemble_block(*job->work, solution);
    require(block.has_value() && block->hash == hash);
    require(bitcoin::meets_target(hash, *bitcoin::target_from_compact(job->work->nbits)));
    const auto view = bitcoin::parse_block(block->bytes);
    require(view.has_value() && view->transactions.size() == 1 + job->work->declared.size());
  }
  void send(ServerSession& session, const wire::FrameBuffer& frames) override { client_of(session).on_answers(frames); }
  void settled(ServerSession& session) override { require(session.settled()); }

  Now now = now_after({});
  ServerPolicy policy{.allow_coinbase_only = true,
                      .payouts = {.pool_script = {0x51}},
                      .max_tokens = 4,
                      .max_declarations = 3,
                      .max_active = 2,
                      .asks_mempool = true,
                      .max_known_bytes = 4'000};
  ServerShard shard{policy, *this};
  std::deque<Asked> finds;
  std::deque<Asked> checks;
  std::deque<Asked> told;
  std::set<Token> known_tokens;

 private:
  std::uint64_t last_token_ = 0;
};

class Run {
 public:
  explicit Run(Input& in) : in_(in) {}

  void run() {
    for (int i = 0; i < kSteps && !in_.empty(); ++i) step();
    for (auto& client : clients_) {
      if (client && client->settled() && !client->is_coinbase_only()) require(client->unanswered.empty());
      client.reset();
    }
    require(at_.shard.counters().clients == 0);
    require(at_.shard.counters().known_bytes <= at_.policy.max_known_bytes);
  }

 private:
  void step() {
    const std::uint8_t what = in_.next();
    auto& client = clients_[what >> 7];
    switch (what % 8) {
      case 0:
        at_.now = now_after(elapsed_ += std::chrono::seconds(in_.next()));
        for (auto& one : clients_) {
          if (one) tick(one);
        }
        return;
      case 1:
        tip_ = static_cast<std::uint8_t>(tip_ + in_.next() % 2);
        return at_.shard.set_template(template_on(tip_), at_.now);
      case 2:
        if (!at_.finds.empty()) return answer_find();
        if (at_.checks.empty()) return;
        return answer_check();
      case 3:
        if (at_.told.empty()) return;
        return answer_tell();
      case 4:
        if (in_.next() % 8 == 0) client.reset();
        return;
      default:
        if (!client) client = std::make_unique<Declarator::Client>(at_, in_.next() % 4 == 0 ? 0 : wire::kDeclareTxData);
        return send(client);
    }
  }

  void answer_find() {
    const auto one = at_.finds.front();
    at_.finds.pop_front();
    std::vector<TransactionPtr> found;
    for (int n = in_.next() % 4; n > 0; --n) found.push_back(*read_transaction(transactions()[in_.next() % kNumbers]));
    at_.shard.on_found(one.session, one.declaration, found, at_.now);
  }
  void answer_check() {
    const auto one = at_.checks.front();
    at_.checks.pop_front();
    constexpr BlockCheck kVerdicts[] = {BlockCheck::kValid, BlockCheck::kValid, BlockCheck::kInvalid, BlockCheck::kStale,
                                        BlockCheck::kFailed};
    at_.shard.on_checked(one.session, one.declaration, {in_.one_of(kVerdicts), "reason"}, at_.now);
  }
  void answer_tell() {
    const auto one = at_.told.front();
    at_.told.pop_front();
    at_.shard.on_transactions(one.transactions);
    at_.shard.on_told(one.session, one.declaration, at_.now);
  }

  void tick(std::unique_ptr<Declarator::Client>& client) {
    wire::FrameBuffer out;
    const bool stays = client->on_tick(at_.now, out).has_value();
    client->on_answers(out);
    if (!stays) client.reset();
  }

  void send(std::unique_ptr<Declarator::Client>& client) {
    wire::FrameBuffer frames;
    push(*client, frames);
    const std::vector<wire::FrameView> views(frames.begin(), frames.end());
    wire::FrameBuffer out;
    const bool stays = client->on_frames(views, at_.now, out).has_value();
    client->on_answers(out);
    if (!stays) client.reset();
  }

  void push(Declarator::Client& client, wire::FrameBuffer& frames) {
    const std::uint8_t kind = in_.next();
    switch (kind % 8) {
      case 0:
        frames.push(wire::AllocateMiningJobToken{.user_identifier = std::string_view("user"), .request_id = in_.next()});
        return;
      case 1:
      case 2:
      case 3:
        return push_declare(client, frames);
      case 4:
      case 5: {
        std::vector<wire::B0_16M> list;
        for (int n = in_.next() % 5; n > 0; --n) {
          if (const std::uint8_t which = in_.next(); which < 200) {
            list.emplace_back(Bytes(transactions()[which % kNumbers]));
          } else {
            list.emplace_back(in_.take(in_.next()));
          }
        }
        frames.push(wire::ProvideMissingTransactionsSuccess{.request_id = in_.next() % 4u,
                                                            .transaction_list = std::span<const wire::B0_16M>(list)});
        return;
      }
      case 6: {
        const std::vector<std::uint8_t> extranonce(in_.next() % 33, 1);
        wire::U256 prev_hash;
        prev_hash.fill(tip_);
        frames.push(wire::PushSolution{.extranonce = Bytes(extranonce),
                                       .prev_hash = prev_hash,
                                       .nonce = in_.next(),
                                       .ntime = 1'800'000'000,
                                       .nbits = 0x207fffff,
                                       .version = in_.next()});
        return;
      }
      default: {
        const Bytes payload = in_.take(in_.next());
        const wire::FrameHeader header{.message_type = static_cast<std::uint8_t>(0x50 + in_.next() % 0x12)};
        // What decodes as a declaration is owed an answer too.
        const wire::FrameView view{.header = header, .payload = payload};
        if (const auto declared = view.as<wire::DeclareMiningJob>()) client.unanswered.insert(declared->request_id);
        (void)frames.push_raw(header, payload);
      }
    }
  }

  void push_declare(Declarator::Client& client, wire::FrameBuffer& frames) {
    DeclaredCoinbase coinbase;
    const std::uint8_t shape = in_.next();
    coinbase.script = bitcoin::height_push(100u + tip_ + shape % 4 / 2);
    coinbase.extranonce_size = in_.next() % 33;
    coinbase.has_witness = shape % 16 < 8;
    coinbase.outputs = {{.value_sat = in_.next(), .script = {static_cast<std::uint8_t>(shape % 32 == 0 ? 0x52 : 0x51)}}};
    auto parts = coinbase_parts(coinbase);
    if (shape % 8 == 7) {
      auto& field = in_.next() % 2 == 0 ? parts.prefix : parts.suffix;
      const std::size_t place = in_.next() % field.size();
      field[place] = in_.next();
    }
    std::vector<wire::U256> wtxids;
    for (int n = in_.next() % 4; n > 0; --n)
      wtxids.push_back(bitcoin::transaction_ids(transactions()[in_.next() % kNumbers])->wtxid);
    Token token{};
    if (!client.tokens.empty()) token = client.tokens[in_.next() % client.tokens.size()];
    const std::uint32_t request_id = in_.next() % 4;
    client.unanswered.insert(request_id);
    frames.push(wire::DeclareMiningJob{.request_id = request_id,
                                       .mining_job_token = Bytes(token),
                                       .version = 0x20000000,
                                       .coinbase_tx_prefix = Bytes(parts.prefix),
                                       .coinbase_tx_suffix = Bytes(parts.suffix),
                                       .wtxid_list = std::span<const wire::U256>(wtxids),
                                       .excess_data = {}});
  }

  Input& in_;
  Declarator at_;
  std::unique_ptr<Declarator::Client> clients_[2];
  std::uint8_t tip_ = 1;
  Duration elapsed_{};
};

void read_parts(Input& in) {
  const std::size_t first = in.next();
  const Bytes prefix = in.take(first);
  const Bytes suffix = in.take(SIZE_MAX);
  const auto read = parse_coinbase_parts(prefix, suffix);
  if (!read) return;
  const auto again = coinbase_parts(*read);
  require(std::ranges::equal(again.prefix, prefix) && std::ranges::equal(again.suffix, suffix));
  std::vector<std::uint8_t> whole(prefix.begin(), prefix.end());
  whole.insert(whole.end(), read->extranonce_size, 0);
  whole.insert(whole.end(), suffix.begin(), suffix.end());
  const auto transaction = bitcoin::parse_transaction(whole);
  require(transaction.has_value() && transaction->is_coinbase() && transaction->outputs == read->outputs);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(Bytes(data, size));
  if (in.next() % 4 == 0) {
    read_parts(in);
  } else {
    Run(in).run();
  }
  return 0;
}
