// What the tests of lanes over real iroh share: a listener that echoes and obeys, a dialler, sessions between them.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/eventually_testing.h"
#include "base/hex.h"
#include "net/dial.h"
#include "net/establish.h"
#include "net/iroh/node_testing.h"
#include "noise/certificate.h"
#include "wire/adit_messages.h"
#include "wire/messages.h"

namespace adit::net::test {

using namespace std::chrono_literals;

inline noise::AuthorityKeyPair authority(std::uint8_t key = 7) {
  std::array<std::uint8_t, 32> bytes{};
  bytes.fill(key);
  return std::move(*noise::AuthorityKeyPair::from_secret(noise::Secret(bytes)));
}

inline std::array<std::uint8_t, 32> id_of(const IrohNodeManager& node) {
  std::array<std::uint8_t, 32> id{};
  EXPECT_TRUE(from_hex(node.endpoint_id(), id));
  return id;
}

template <class... M>
wire::FrameBuffer frames_of(const M&... messages) {
  wire::FrameBuffer frames;
  (frames.push(messages), ...);
  return frames;
}

inline wire::SubmitSharesStandard share(std::uint32_t sequence_number) {
  return {.channel_id = 2, .sequence_number = sequence_number, .job_id = 1, .nonce = 0, .ntime = 0, .version = 0};
}

/// What the server of these tests is asked to do, by UpdateChannel's channel_id; anything else it echoes.
enum Command : std::uint32_t { kFillData = 1, kFillControl = 2, kTip = 3 };
inline wire::UpdateChannel command(Command what) { return {.channel_id = what, .nominal_hash_rate = 1, .maximum_target = {}}; }

/// Adds one to `filled` once it has filled a lane.
inline asio::awaitable<void> obey(NetworkConnection& connection, std::uint32_t what, std::atomic<unsigned>& filled) {
  const wire::SetNewPrevHash tip{.channel_id = 1, .job_id = 1, .prev_hash = {}, .min_ntime = 0, .nbits = 0};
  if (what == kTip) co_return connection.send(frames_of(tip));
  const wire::SubmitSharesSuccess answer{
      .channel_id = 1, .last_sequence_number = 0, .new_submits_accepted_count = 0, .new_shares_sum = 0};
  wire::FrameBuffer much;
  for (int i = 0; i < 200; ++i) {
    if (what == kFillData) much.push(answer);
    if (what == kFillControl) much.push(tip);
  }
  const auto before = connection.queued_bytes();  // of the other lane, where that is full
  while (connection.queued_bytes() <= before) {   // until the carrier takes no more
    connection.send(much);
    co_await sleep_for(1ms);
  }
  ++filled;
}

inline asio::awaitable<void> serve(Shard& shard, Link given, IrohCarrier::Place, Credentials& credentials,
                                   std::atomic<unsigned>& filled) {
  auto link = std::move(given);
  const auto connection = co_await accept_session(shard, link, credentials, {.max_payload = 128 * 1024});
  if (!connection) co_return;
  for (;;) {
    const auto batch = co_await (*connection)->receive();
    if (!batch) co_return;
    wire::FrameBuffer out;
    std::vector<std::uint32_t> commands;
    for (const auto& frame : *batch) {
      if (const auto update = frame.as<wire::UpdateChannel>())
        commands.push_back(update->channel_id);
      else
        (void)out.push_raw(frame.header, frame.payload);
    }
    (*connection)->send(out);
    for (const auto each : commands) co_await obey(**connection, each, filled);
  }
}

/// Sends a share and reads its echo; "" or what went wrong.
inline asio::awaitable<std::string> exchange(NetworkConnection& connection, std::uint32_t number) {
  connection.send(frames_of(share(number)));
  const auto batch = co_await connection.receive();
  if (!batch) co_return std::string(batch.error().message());
  const auto echoed = batch->front().as<wire::SubmitSharesStandard>();
  co_return echoed && echoed->sequence_number == number ? "" : "another frame came back";
}

class IrohLanes : public IrohNodes {
 protected:
  /// The dialler's shard.
  Shard& home() { return shards_[0]; }
  template <class Task>
  auto on_client(const Task& task) {
    return run_on(home(), task());  // the task lives as long as what it began
  }

  void SetUp() override {
    IrohNodes::SetUp();
    server_ = node(loopback(1));
    client_ = node(loopback(2));
    for (unsigned i = 0; i < 2; ++i) {
      credentials_.emplace_back(authority().secret(), 3600s, id_of(*server_));
    }
  }
  void TearDown() override {
    on_client([this]() -> asio::awaitable<int> {
      kept_.clear();
      links_.clear();
      co_return 0;
    });
    client_.reset();
    server_.reset();
    IrohNodes::TearDown();
  }

  void listen(std::vector<std::string> alpns = {session::kAlpnLanes, session::kAlpnMining}) {
    ASSERT_TRUE(server_->listen(std::move(alpns), admission_, [this](Shard& shard, Link link, IrohCarrier::Place place) {
      shard.spawn(serve(shard, std::move(link), std::move(place), credentials_[shard.index()], filled_));
    }));
  }

  [[nodiscard]] Peer upstream(std::string alpn = {}) const {
    auto to = address_of(*server_);
    to.alpn = std::move(alpn);
    return {.transport = to, .authority = authority().public_key()};
  }

  /// A session that lasts until the test ends.
  Result<NetworkConnection*> begin(Peer to) {
    return on_client([this, to]() -> asio::awaitable<Result<NetworkConnection*>> {
      ADIT_CO_TRY(auto connection,
                  co_await dial(home(), to, wire::Protocol::kMining, {.connect_deadline = 10s, .iroh = client_.get()}));
      kept_.push_back(std::move(connection));
      co_return kept_.back().get();
    });
  }
  /// An endpoint that nobody has seen before comes, begins a session, has a share answered and hears of a tip; "" or what went
  /// wrong.
  std::string newcomer_is_served() {
    const auto newcomer = node(loopback(201));
    return on_client([this, &newcomer]() -> asio::awaitable<std::string> {
      const auto connection =
          co_await dial(home(), upstream(), wire::Protocol::kMining, {.connect_deadline = 30s, .iroh = newcomer.get()});
      if (!connection) co_return "a newcomer: " + connection.error().message();
      if (auto problem = co_await exchange(**connection, 7); !problem.empty()) co_return "a newcomer: " + problem;
      (*connection)->send(frames_of(command(kTip)));
      const auto batch = co_await (*connection)->receive();
      if (!batch) co_return "a newcomer: " + batch.error().message();
      co_return batch->front().as<wire::SetNewPrevHash>() ? "" : "a newcomer hears of no tip";
    });
  }
  std::string try_out(NetworkConnection& connection, std::uint32_t number = 1) {
    return on_client([&connection, number]() -> asio::awaitable<std::string> { return exchange(connection, number); });
  }

  Admission admission_{AdmissionLimits{}};
  std::vector<Credentials> credentials_;  // by shard
  std::atomic<unsigned> filled_ = 0;      // lanes that the server filled when it was told to
  std::unique_ptr<IrohNodeManager> server_;
  std::unique_ptr<IrohNodeManager> client_;
  std::vector<std::unique_ptr<NetworkConnection>> kept_;
  std::vector<Link> links_;
};

}  // namespace adit::net::test
