// Extension negotiation (0x0001) and the workers that shares name (0x0002).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "mining/server_session_testing.h"

namespace adit::mining {
namespace {

class Workers : public SessionTest {
 protected:
  Workers() { supported_extensions_ = {wire::kWorkerTracking}; }
  static void agree(Peer& peer) {
    const std::vector<std::uint16_t> wanted = {wire::kWorkerTracking};
    ASSERT_TRUE(peer.send(wire::RequestExtensions{.request_id = 5, .requested_extensions = wanted}));
    EXPECT_EQ(peer.answer<wire::RequestExtensionsSuccess>().supported_extensions[0], wire::kWorkerTracking);
  }
  std::uint32_t open_extended_on(Peer& peer) {
    EXPECT_TRUE(peer.send(open_extended()));
    return peer.answer<wire::OpenExtendedMiningChannelSuccess>().channel_id;
  }
  /// A good share (of another channel, `to`, a bad one) that names `worker`, if given, behind a field of an extension that
  /// nobody agreed upon.
  Result<void> submit(Peer& peer, std::uint32_t id, std::optional<std::string_view> worker, std::uint32_t to = 0) {
    const std::array<std::uint8_t, 16> extranonce{1, static_cast<std::uint8_t>(++sequence_)};
    const auto share = mine(channel_of(peer, id).full_extranonce(extranonce), channel_of(peer, id).target(), 0);
    wire::ByteBuffer tlvs;
    EXPECT_TRUE(wire::append_tlv(tlvs, 0x4321, 7, Bytes(extranonce)));
    if (worker) {
      const Bytes name(reinterpret_cast<const std::uint8_t*>(worker->data()), worker->size());
      EXPECT_TRUE(wire::append_tlv(tlvs, wire::kWorkerTracking, wire::kUserIdentityField, name));
    }
    wire::FrameBuffer in;
    EXPECT_TRUE(in.push(wire::SubmitSharesExtended{.channel_id = to == 0 ? id : to,
                                                   .sequence_number = sequence_,
                                                   .job_id = share.job_id,
                                                   .nonce = share.nonce,
                                                   .ntime = share.ntime,
                                                   .version = share.version,
                                                   .extranonce = extranonce},
                        tlvs.bytes()));
    return peer.deliver(in);
  }
  std::uint32_t sequence_ = 0;
};

TEST_F(Workers, SharesAreCountedByTheWorkerThatTheyName) {
  Peer peer(options(), shard_, now_);
  peer.set_up();
  agree(peer);
  const auto id = open_extended_on(peer);
  for (const auto* worker : {"Worker_001", "Worker_002", "Worker_001"}) ASSERT_TRUE(submit(peer, id, worker));
  ASSERT_TRUE(submit(peer, id, std::nullopt));
  ASSERT_TRUE(submit(peer, id, std::string(33, 'x')));
  ASSERT_TRUE(submit(peer, id, "Worker_002", 77)) << "refused, and counted as refused";
  EXPECT_EQ(shard_.counters().shares_accepted, 5u) << "a bad name costs nobody a share";
  ASSERT_NE(peer.session().workers(), nullptr);
  const auto& all = peer.session().workers()->all();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].accepted, 2u) << "named nobody, or nobody that could be";
  EXPECT_EQ(all[1].name(), "Worker_001");
  EXPECT_EQ(all[1].accepted, 2u);
  EXPECT_EQ(all[2].accepted, 1u);
  EXPECT_EQ(all[2].rejected, 1u);
  channels::Work sum;
  for (const auto& worker : all) sum += worker.work;
  EXPECT_EQ(sum, shard_.counters().work_sum);
}

TEST_F(Workers, WithoutAgreementTheFieldIsIgnored) {
  Peer peer(options(), shard_, now_);
  peer.set_up();
  const auto id = open_extended_on(peer);
  ASSERT_TRUE(submit(peer, id, "Worker_001"));
  EXPECT_EQ(shard_.counters().shares_accepted, 1u);
  EXPECT_EQ(peer.session().workers(), nullptr);
}

TEST_F(Workers, TheirNumberIsBounded) {
  policy_.max_workers = 3;
  Peer peer(options(), shard_, now_);
  peer.set_up();
  agree(peer);
  const auto id = open_extended_on(peer);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(submit(peer, id, "w" + std::to_string(i)));
  EXPECT_EQ(peer.session().workers()->all().size(), 4u);
  EXPECT_EQ(peer.session().workers()->all()[0].accepted, 7u);
}

TEST_F(SessionTest, ExtensionsThatAreNotHereAreListedAsUnsupported) {
  Peer peer(options(), shard_, now_);
  peer.set_up();
  const std::vector<std::uint16_t> wanted = {2, 3};
  ASSERT_TRUE(peer.send(wire::RequestExtensions{.request_id = 5, .requested_extensions = wanted}));
  const auto error = peer.answer<wire::RequestExtensionsError>();
  EXPECT_EQ(error.request_id, 5);
  EXPECT_EQ(std::vector<std::uint16_t>(error.unsupported_extensions.begin(), error.unsupported_extensions.end()), wanted);
  EXPECT_TRUE(error.required_extensions.empty());
  ASSERT_TRUE(peer.send(open_standard())) << "the client may go on without";
}

TEST_F(SessionTest, ARequestThatIsPartlySupportedSucceedsWithThatPart) {
  Peer peer(options(), shard_, now_);
  peer.set_up();
  const std::vector<std::uint16_t> wanted = {1, 2};
  ASSERT_TRUE(peer.send(wire::RequestExtensions{.request_id = 5, .requested_extensions = wanted}));
  const auto success = peer.answer<wire::RequestExtensionsSuccess>();
  ASSERT_EQ(success.supported_extensions.size(), 1u);
  EXPECT_EQ(success.supported_extensions[0], 1);
}

TEST_F(SessionTest, AChannelWithoutTheRequiredExtensionsIsAProtocolError) {
  required_extensions_ = {1};
  Peer peer(options(), shard_, now_);
  peer.set_up();
  ASSERT_TRUE(peer.send(wire::RequestExtensions{.request_id = 5, .requested_extensions = {}}));
  EXPECT_EQ(peer.answer<wire::RequestExtensionsError>().required_extensions[0], 1);
  EXPECT_FALSE(peer.send(open_standard()));
  Peer agreed(options(), shard_, now_);
  agreed.set_up();
  const std::vector<std::uint16_t> wanted = {1};
  ASSERT_TRUE(agreed.send(wire::RequestExtensions{.request_id = 5, .requested_extensions = wanted}));
  EXPECT_TRUE(agreed.send(open_standard()));
}

}  // namespace
}  // namespace adit::mining
