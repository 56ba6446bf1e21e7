// A template provider in simulated time for tests: the server's engine on an embedded chain.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "bitcoin/test_data.h"
#include "bitcoin/tx.h"
#include "template/chain.h"
#include "template/constraint_classes.h"
#include "template/sv2_server.h"
#include "template/test_sink.h"
#include "wire/messages.h"

namespace adit::templates::test {

inline Now at(Duration since) {
  return {Instant(std::chrono::hours(1)) + since,
          UnixTime(std::chrono::seconds(1'800'000'000)) + std::chrono::duration_cast<std::chrono::seconds>(since)};
}

/// Different for each number; it has a witness.
inline std::vector<std::uint8_t> numbered_transaction(std::uint32_t number) {
  auto made = *bitcoin::parse_transaction(bitcoin::test::bytes_of(bitcoin::test::kSegwitTransaction));
  made.locktime = number;
  return bitcoin::serialize(made);
}

/// A chain so long that its heights are pushed as bytes (BIP34).
inline Chain long_chain() {
  Chain chain({});
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(chain.mine({0x51}, at({}).unix_time, 10'000));
  return chain;
}

class Provider final : public Sv2ServerEvents {
 public:
  /// One client's connection. What the server sends waits in `inbox`.
  struct Connection {
    explicit Connection(Provider& at) : session(at.shard, at.now) {}
    wire::FrameBuffer inbox;
    std::optional<Error> ended;
    int settled = 0;
    Sv2ServerSession session;
  };

  explicit Provider(Sv2ServerPolicy policy = {}, ConstraintClasses::Options options = {})
      : classes(options), shard(policy, *this) {
    open_.insert(0);
    publish();
  }

  std::unique_ptr<Connection> connect() {
    auto made = std::make_unique<Connection>(*this);
    connections_[&made->session] = made.get();
    return made;
  }

  /// The server takes what a client wrote. False: the connection is over; `ended` says why.
  bool take(Connection& connection, const wire::FrameBuffer& frames) {
    const std::vector<wire::FrameView> views(frames.begin(), frames.end());
    wire::FrameBuffer out;
    auto handled = connection.session.on_frames(views, now, out);
    connection.inbox.append(out);
    if (!handled) connection.ended = handled.error();
    return handled.has_value();
  }
  template <class Message>
  bool take(Connection& connection, const Message& message) {
    wire::FrameBuffer frames;
    EXPECT_TRUE(frames.push(message));
    return take(connection, frames);
  }

  /// A template of the chain as it is, for every class.
  void publish() {
    const auto made = std::make_shared<const Template>(chain.make_template(now.unix_time));
    for (const ClassId id : open_) set(id, made);
  }
  void set(ClassId id, const TemplatePtr& made) {
    ++encoded;
    shard.set_template(id, *encode_template(made, next_id()), now);
  }
  void mine() {
    EXPECT_TRUE(chain.mine({0x51}, now.unix_time, 10'000));
    publish();
  }
  /// Answers what was fetched.
  void answer() {
    for (const auto& wanted : std::exchange(fetched, {})) {
      const auto* const transactions = &wanted->made->transactions;
      shard.on_transactions(wanted->id, TemplateSource::Transactions(wanted->made, transactions));
    }
  }

  void join(std::uint64_t session, std::uint32_t request, CoinbaseConstraints asked) override {
    auto joined = classes.join(asked);
    if (!joined) return shard.on_class(session, request, fail(joined.error()));
    shard.on_class(session, request, joined->id);
    if (!joined->is_new) return;
    open_.insert(joined->id);
    set(joined->id, std::make_shared<const Template>(chain.make_template(now.unix_time)));
  }
  void leave(ClassId id) override {
    if (!classes.leave(id)) return;
    open_.erase(id);
    shard.drop_class(id, now);
  }
  void send(Sv2ServerSession& session, const wire::FrameBuffer& frames) override {
    if (auto* const found = connection_of(session)) found->inbox.append(frames);
  }
  void end(Sv2ServerSession& session, const Error& reason) override { connection_of(session)->ended = reason; }
  void settled(Sv2ServerSession& session) override { ++connection_of(session)->settled; }
  void fetch(const Sv2TemplatePtr& wanted) override { fetched.push_back(wanted); }
  void submit(const Sv2ServerSession&, const Sv2TemplatePtr& solved, BlockSolution solution) override {
    solutions.emplace_back(solved->id, solution);
    const auto block = bitcoin::assemble_block(*solved->made, solution);
    ASSERT_TRUE(block);
    verdicts.push_back(chain.submit(block->bytes, now.unix_time).verdict);
  }
  void solution_refused(const Sv2ServerSession&, std::uint64_t, std::string_view why) override { refusals.emplace_back(why); }
  std::uint64_t next_id() override { return ++last_id; }

  Now now = at({});
  Chain chain = long_chain();
  ConstraintClasses classes;
  Sv2ServerShard shard;
  std::uint64_t last_id = first_template_id(at({}).unix_time);
  std::size_t encoded = 0;  ///< Templates that were built.
  std::vector<Sv2TemplatePtr> fetched;
  std::vector<std::pair<std::uint64_t, BlockSolution>> solutions;
  std::vector<BlockVerdict> verdicts;
  std::vector<std::string> refusals;

 private:
  Connection* connection_of(const Sv2ServerSession& session) {
    const auto found = connections_.find(&session);
    return found == connections_.end() ? nullptr : found->second;
  }

  std::set<ClassId> open_;
  std::map<const Sv2ServerSession*, Connection*> connections_;
};

/// The names of the frames, in order.
inline std::vector<std::string> names(const wire::FrameBuffer& frames) {
  std::vector<std::string> names;
  for (const auto& frame : frames) names.emplace_back(wire::message_name(frame.header));
  return names;
}

/// The n-th Message among the frames; what it views belongs to them.
template <class Message>
Message nth(const wire::FrameBuffer& frames, std::size_t n = 0) {
  for (const auto& frame : frames) {
    if (frame.is<Message>() && n-- == 0) return *frame.as<Message>();
  }
  ADD_FAILURE() << "no " << Message::kName;
  return {};
}

}  // namespace adit::templates::test
