// A declarator in simulated time for tests: the server's engine, and a node, other shards and a pool that do as they are told.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bitcoin/block.h"
#include "bitcoin/coinbase.h"
#include "bitcoin/test_data.h"
#include "bitcoin/tx.h"
#include "bitcoin/u256.h"
#include "channels/extranonce.h"
#include "declaration/server_session.h"
#include "wire/messages.h"

namespace adit::declaration::testing {

inline constexpr std::uint32_t kNtime = 1'800'000'000;
/// Every other hash meets it (regtest).
inline constexpr std::uint32_t kEasyBits = 0x207fffff;
inline constexpr std::uint64_t kRevenueSat = 5'000'000'000;

/// Different for each number; it has a witness.
inline std::vector<std::uint8_t> numbered_transaction(std::uint32_t number) {
  auto made = *bitcoin::parse_transaction(bitcoin::test::bytes_of(bitcoin::test::kSegwitTransaction));
  made.locktime = number;
  return bitcoin::serialize(made);
}
inline TransactionPtr transaction(std::uint32_t number) { return *read_transaction(numbered_transaction(number)); }

/// The template of the block after the tip that `tip` names.
inline bitcoin::TemplatePtr template_on(std::uint8_t tip) {
  auto made = std::make_shared<bitcoin::Template>();
  made->id = tip;
  made->version = 0x20000000;
  made->prev_hash.fill(tip);
  made->nbits = kEasyBits;
  made->min_ntime = made->current_time = kNtime;
  made->height = 1'000u + tip;
  made->coinbase_script_prefix = bitcoin::height_push(made->height);
  made->coinbase_value_sat = kRevenueSat;
  made->has_witness_commitment = true;
  return made;
}

class Declarator final : public ServerEvents {
 public:
  /// One client's connection. What the server sends waits in `inbox`.
  struct Connection {
    Connection(Declarator& at, std::uint32_t flags) : session(at.shard, flags, at.now) {}
    wire::FrameBuffer inbox;
    std::optional<Error> ended;
    int settled = 0;
    ServerSession session;
  };
  /// What waits for a node's answer, or for the other shards.
  struct Asked {
    std::uint64_t session = 0;
    std::uint64_t declaration = 0;
    DeclaredJobPtr job;
    std::vector<TransactionPtr> transactions;
  };

  explicit Declarator(ServerPolicy given = {}) : policy(with_pool(std::move(given))), shard(policy, *this) { set_tip(1); }

  std::unique_ptr<Connection> connect(std::uint32_t flags = wire::kDeclareTxData) {
    auto made = std::make_unique<Connection>(*this, flags);
    connections_[&made->session] = made.get();
    return made;
  }
  void disconnect(std::unique_ptr<Connection>& connection) {
    connections_.erase(&connection->session);
    connection.reset();
  }

  void set_tip(std::uint8_t named) {
    tip = template_on(named);
    shard.set_template(tip, now);
  }

  /// The server takes what a client wrote, whose inbox is emptied before. False: the connection is over; `ended` says why.
  template <class Message>
  bool take(Connection& connection, const Message& message) {
    connection.inbox.clear();
    wire::FrameBuffer frames;
    EXPECT_TRUE(frames.push(message));
    return take(connection, frames);
  }
  bool take(Connection& connection, const wire::FrameBuffer& frames) {
    const std::vector<wire::FrameView> views(frames.begin(), frames.end());
    wire::FrameBuffer out;
    auto handled = connection.session.on_frames(views, now, out);
    connection.inbox.append(out);
    if (!handled) connection.ended = handled.error();
    return handled.has_value();
  }
  bool tick(Connection& connection) {
    connection.inbox.clear();
    wire::FrameBuffer out;
    auto ticked = connection.session.on_tick(now, out);
    connection.inbox.append(out);
    if (!ticked) connection.ended = ticked.error();
    return ticked.has_value();
  }
  void pass(Duration time) {
    now.instant += time;
    now.unix_time += std::chrono::floor<std::chrono::seconds>(time);
  }

  /// The node's answer to the oldest check.
  void answer(const CheckAnswer& answer = {BlockCheck::kValid, {}}) {
    ASSERT_FALSE(checks.empty());
    const Asked one = checks.front();
    checks.pop_front();
    shard.on_checked(one.session, one.declaration, answer, now);
  }
  /// What the node's mempool has of what was looked for first.
  void find_these(const std::vector<TransactionPtr>& transactions) {
    ASSERT_FALSE(finds.empty());
    const Asked one = finds.front();
    finds.pop_front();
    shard.on_found(one.session, one.declaration, transactions, now);
  }
  /// All shards have heard the oldest thing that they are told.
  void acknowledge() {
    ASSERT_FALSE(told.empty());
    const Asked one = told.front();
    told.pop_front();
    shard.on_transactions(one.transactions);
    shard.on_told(one.session, one.declaration, now);
  }

  Token next_token() override {
    Token token{};
    store_le(token.data(), ++last_token_);
    return token;
  }
  void check(const ServerSession& session, std::uint64_t declaration, const DeclaredJobPtr& job) override {
    checks.push_back({session.number(), declaration, job, {}});
  }
  void find(std::uint64_t session, std::uint64_t declaration, std::vector<Hash256> wtxids) override {
    looked_for = std::move(wtxids);
    finds.push_back({session, declaration, nullptr, {}});
  }
  void tell(std::uint64_t session, std::uint64_t declaration, const DeclaredJobPtr& job,
            std::vector<TransactionPtr> transactions) override {
    told.push_back({session, declaration, job, std::move(transactions)});
  }
  void submit(const ServerSession&, const DeclaredJobPtr& job, const bitcoin::Hash256& hash,
              bitcoin::BlockSolution solution) override {
    auto block = assemble_block(*job->work, solution);
    ASSERT_TRUE(block);
    EXPECT_EQ(block->hash, hash);
    blocks.push_back(*std::move(block));
  }
  void send(ServerSession& session, const wire::FrameBuffer& frames) override {
    if (auto* const found = connection_of(session)) found->inbox.append(frames);
  }
  void settled(ServerSession& session) override { ++connection_of(session)->settled; }
  void on_refused(const ServerSession&, DeclareRefusal, std::string_view reason) override { reasons.emplace_back(reason); }
  void on_solution_refused(const ServerSession&, std::string_view reason) override { reasons.emplace_back(reason); }

  Now now{Instant(std::chrono::hours(1)), from_u32(kNtime)};
  const ServerPolicy policy;
  ServerShard shard;
  bitcoin::TemplatePtr tip;
  std::deque<Asked> finds;
  std::vector<Hash256> looked_for;  ///< Last.
  std::deque<Asked> checks;
  std::deque<Asked> told;
  std::vector<bitcoin::FoundBlock> blocks;
  std::vector<std::string> reasons;

 private:
  static ServerPolicy with_pool(ServerPolicy policy) {
    policy.payouts.pool_script = {0x51};
    return policy;
  }
  Connection* connection_of(const ServerSession& session) {
    const auto found = connections_.find(&session);
    return found == connections_.end() ? nullptr : found->second;
  }

  std::uint64_t last_token_ = 0;
  std::map<const ServerSession*, Connection*> connections_;
};

/// The names of the frames, in order.
inline std::vector<std::string> names(const wire::FrameBuffer& frames) {
  std::vector<std::string> names;
  for (const auto& frame : frames) names.emplace_back(wire::message_name(frame.header));
  return names;
}

/// The first Message among the frames; what it views belongs to them.
template <class Message>
Message first(const wire::FrameBuffer& frames) {
  for (const auto& frame : frames) {
    if (frame.is<Message>()) return *frame.as<Message>();
  }
  ADD_FAILURE() << "no " << Message::kName;
  return {};
}

/// What a client declares, with what its message views.
struct Declaration {
  DeclaredCoinbase coinbase;
  CoinbaseFields parts;
  std::vector<wire::U256> wtxids;
  Token token{};
  std::uint32_t request_id = 1;

  /// A block of those transactions on `tip` that pays `script`. Its coinbase is around as many bytes as a pool's channel has.
  Declaration(const bitcoin::Template& tip, Bytes script, const std::vector<TransactionPtr>& transactions) {
    coinbase.script = tip.coinbase_script_prefix;
    coinbase.extranonce_size = channels::kFullExtranonceSize;
    coinbase.has_witness = true;
    for (const TransactionPtr& one : transactions) wtxids.push_back(one->wtxid);
    coinbase.outputs = {{.value_sat = kRevenueSat, .script = {script.begin(), script.end()}},
                        {.value_sat = 0, .script = bitcoin::witness_commitment_script(wtxids)}};
  }

  wire::DeclareMiningJob message() {
    parts = coinbase_parts(coinbase);
    return {.request_id = request_id,
            .mining_job_token = Bytes(token),
            .version = 0x20000000,
            .coinbase_tx_prefix = Bytes(parts.prefix),
            .coinbase_tx_suffix = Bytes(parts.suffix),
            .wtxid_list = std::span<const wire::U256>(wtxids),
            .excess_data = {}};
  }
};

}  // namespace adit::declaration::testing
