// Miners and an upstream that say anything to one translator, in any order, over time. Held all the while: every line to a
// miner parses and no job id comes twice on a connection; every frame to the upstream is a client's and keeps the rules of the
// channel that it names, as the upstream knows it.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/require_testing.h"
#include "roles/translator/translator.h"
#include "session/client_side.h"
#include "sv1/parse.h"
#include "sv1_lines.h"
#include "wire/tlv.h"

namespace {

using namespace adit;
using fuzz::Source;
using translator::Miner;
using translator::Options;
using translator::Translator;

constexpr std::uint32_t kNtime = 1'700'000'000;

/// The upstream's own view of what is open.
struct Channel {
  std::size_t extranonce_size = 0;
  std::uint32_t next_sequence_number = session::StratumV2StreamHandler::kFirstSequenceNumber;
  Instant updated_at{};
};

class World : public translator::TranslatorEvents {
 public:
  explicit World(Bytes input) : source_(input) {
    Options options;
    const std::uint8_t choice = source_.byte();
    options.aggregate = (choice & 1) != 0;
    options.miners.vardiff = (choice & 2) != 0;
    if ((choice & 4) != 0) client_.extensions = {wire::kWorkerTracking};
    options.miners.min_hash_rate_hps = 1;
    if ((choice & 32) != 0) {
      options.ration = {.of_source = 1,
                        .unproven = 2,
                        .reserve = 1,
                        .reserve_of_source = 1,
                        .kept = 1,
                        .keep = std::chrono::seconds(5),
                        .unproven_time = std::chrono::seconds(2),
                        .capacity_retry = std::chrono::seconds(2)};
    }
    regtest_only_ = (choice & 8) != 0;
    translator_ = std::make_unique<Translator>(options, *this);
    if ((choice & 16) == 0) begin();
  }

  void run() {
    while (!source_.empty()) {
      step();
      check_miners();
      check_upstream();
    }
  }

 private:
  /// Two miners at work, one channel each or one for both: bytes that find the way here are few.
  void begin() {
    connect();
    say(wire::SetupConnectionSuccess{.used_version = 2});
    const std::vector<std::uint16_t> granted = {wire::kWorkerTracking};
    if (!client_.extensions.empty()) say(wire::RequestExtensionsSuccess{.request_id = 1, .supported_extensions = granted});
    for (int i = 0; i < 2; ++i) {
      constexpr std::string_view kOpening =
          "{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n"
          "{\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"w\",\"\"]}\n";
      translator_->add_miner("peer", now_).on_bytes(as_bytes(kOpening), now_);
    }
    check_upstream();
    for (std::uint32_t channel_id = 1; !opens_.empty(); ++channel_id) {
      const std::array<std::uint8_t, 2> prefix = {9, static_cast<std::uint8_t>(channel_id)};
      wire::OpenExtendedMiningChannelSuccess opened{.request_id = *opens_.begin(),
                                                    .channel_id = channel_id,
                                                    .extranonce_size = 8,
                                                    .extranonce_prefix = prefix,
                                                    .group_channel_id = 100};
      opens_.erase(opens_.begin());
      opened.target.fill(0xff);
      channels_[channel_id] = {.extranonce_size = 8};
      say(opened);
      say(wire::NewExtendedMiningJob{
          .channel_id = channel_id, .job_id = 1, .version = 0x20000000, .version_rolling_allowed = true});
      say(wire::SetNewPrevHash{.channel_id = channel_id, .job_id = 1, .min_ntime = kNtime, .nbits = 0x207fffff});
    }
    check_miners();
    check_upstream();
  }

  void step() {
    switch (source_.pick(8)) {
      case 0:
        if (translator_->miners().size() < 6) translator_->add_miner("peer", now_);
        return;
      case 1:
      case 2:
      case 3:
        if (Miner* miner = any_miner()) {
          const std::string line = fuzz::miner_line(source_, kNtime);
          miner->on_bytes(as_bytes(line), now_);
        }
        return;
      case 4:
        if (Miner* miner = any_miner(); miner != nullptr && source_.pick(4) == 0) {
          job_ids_.erase(miner->number());
          translator_->remove_miner(*miner, now_);
        }
        return;
      case 5: {
        const auto passed = std::chrono::milliseconds(source_.byte() * 16);
        now_.instant += passed;
        now_.unix_time += std::chrono::duration_cast<std::chrono::seconds>(passed);
        if (!translator_->on_tick(now_) || (connected_ && !begun_ && !side_->setup().on_tick(now_))) return lose();
        if (connected_) became_ready();
        return;
      }
      default:
        return upstream();
    }
  }

  Miner* any_miner() {
    const auto& miners = translator_->miners();
    if (miners.empty()) return nullptr;
    return std::next(miners.begin(), static_cast<std::ptrdiff_t>(source_.pick(miners.size())))->second.get();
  }

  void lose() {
    check_upstream();
    connected_ = begun_ = false;
    channels_.clear();
    opens_.clear();
    translator_->on_upstream_lost(now_);
    require(translator_->upstream_output().empty());
    require(translator_->counters().channels == 0);
  }

  void upstream() {
    if (!connected_) {
      connect();
      check_upstream();
      if (source_.pick(8) != 0) say(wire::SetupConnectionSuccess{.used_version = 2, .flags = source_.pick(4) == 0 ? 1U : 0U});
      return;
    }
    const auto channel_id = static_cast<std::uint32_t>(source_.pick(8));
    const auto job_id = static_cast<std::uint32_t>(source_.pick(6));
    switch (source_.pick(16)) {
      case 0:
        return lose();
      case 1:
      case 2: {
        if (opens_.empty()) return;
        const std::uint32_t request_id = *opens_.begin();
        opens_.erase(opens_.begin());
        const Bytes prefix = source_.take(source_.pick(12));
        wire::OpenExtendedMiningChannelSuccess opened{.request_id = request_id,
                                                      .channel_id = channel_id,
                                                      .extranonce_size = static_cast<std::uint16_t>(4 + source_.pick(20)),
                                                      .extranonce_prefix = prefix,
                                                      .group_channel_id = 100};
        opened.target.fill(source_.pick(2) == 0 ? 0xff : 0x0f);
        if (!channels_.contains(channel_id)) channels_[channel_id] = {.extranonce_size = opened.extranonce_size};
        return say(opened);
      }
      case 3:
      case 4: {
        const std::vector<std::uint8_t> coinbase(source_.pick(60), 1);
        return say(wire::NewExtendedMiningJob{.channel_id = source_.pick(3) == 0 ? 100 : channel_id,
                                              .job_id = job_id,
                                              .min_ntime = source_.pick(2) == 0 ? std::optional(kNtime) : std::nullopt,
                                              .version = source_.pick(2) == 0 ? 0x20000000U : 0x32ef0004U,
                                              .version_rolling_allowed = source_.pick(4) != 0,
                                              .coinbase_tx_prefix = coinbase,
                                              .coinbase_tx_suffix = coinbase});
      }
      case 5:
      case 6:
        return say(wire::SetNewPrevHash{.channel_id = source_.pick(3) == 0 ? 100 : channel_id,
                                        .job_id = job_id,
                                        .min_ntime = kNtime,
                                        .nbits = source_.pick(4) == 0 ? source_.u32() : 0x207fffffU});
      case 7: {
        wire::SetTarget message{.channel_id = channel_id};
        message.maximum_target.fill(source_.byte());
        return say(message);
      }
      case 8:
        return say(wire::SetExtranoncePrefix{.channel_id = channel_id, .extranonce_prefix = source_.take(source_.pick(33))});
      case 9:
        return say(wire::SetGroupChannel{.group_channel_id = 100 + channel_id % 2, .channel_ids = std::vector{channel_id}});
      case 10: {
        const std::uint32_t closed = source_.pick(4) == 0 ? 100 : channel_id;
        say(wire::CloseChannel{.channel_id = closed, .reason_code = "bye"});
        for (auto at = channels_.begin(); at != channels_.end();)
          at = translator_->has_channel(at->first) ? std::next(at) : channels_.erase(at);
        return;
      }
      case 11:
        return say(wire::SubmitSharesSuccess{
            .channel_id = channel_id, .last_sequence_number = source_.byte(), .new_submits_accepted_count = source_.byte()});
      case 12:
        return say(wire::SubmitSharesError{.channel_id = channel_id, .sequence_number = source_.byte(), .error_code = "bad"});
      case 13:
        return say(wire::OpenMiningChannelError{.request_id = channel_id,
                                                .error_code = source_.pick(2) == 0 ? "no" : "channel-capacity-exhausted"});
      case 14: {
        const std::vector<std::uint16_t> granted = {0x0002};
        return say(wire::RequestExtensionsSuccess{.request_id = 1, .supported_extensions = granted});
      }
      default: {
        wire::FrameBuffer buffer;
        const auto extension = static_cast<std::uint16_t>(source_.pick(4));
        std::uint8_t type = source_.byte();
        if (extension == wire::kCore && type == wire::OpenExtendedMiningChannelSuccess::kType)
          type = 0;  // The model must know.
        buffer.push_raw({.extension_type = extension, .channel_message = source_.pick(2) == 0, .message_type = type},
                        source_.take(source_.pick(80)));
        return send(buffer);
      }
    }
  }

  template <class M>
  void say(const M& message) {
    wire::FrameBuffer buffer;
    require(buffer.push(message));
    send(buffer);
  }
  void send(const wire::FrameBuffer& buffer) {
    const std::vector<wire::FrameView> frames(buffer.begin(), buffer.end());
    if (!side_) return;
    const auto handled = side_->on_frames(
        frames, now_, translator_->upstream_output(),
        [&](std::span<const wire::FrameView> run) { return translator_->on_upstream_frames(run, now_); },
        [&] { became_ready(); });
    if (!handled) lose();
  }
  /// SetupConnection goes out.
  void connect() {
    connected_ = true;
    begun_ = false;
    side_.emplace(client_, false, false);
    wire::FrameBuffer ignored;
    side_->start("192.0.2.1", 1, now_, ignored);
  }
  void became_ready() {
    if (!side_->ready() || std::exchange(begun_, true)) return;
    translator_->on_upstream_ready("id", side_->setup().agreement(), now_, regtest_only_);
  }

  void check_miners() {
    translator_->take_touched();
    for (const auto& [number, miner] : translator_->miners()) {
      const std::string output = std::exchange(miner->output(), {});
      std::string_view rest = output;
      while (!rest.empty()) {
        const std::size_t end = rest.find('\n');
        require(end != std::string_view::npos);
        const auto parsed = parser_.from_server(rest.substr(0, end));
        require(parsed.has_value());
        if (const auto* job = std::get_if<sv1::Notify>(&*parsed)) require(job_ids_[number].insert(job->job_id).second);
        rest.remove_prefix(end + 1);
      }
    }
  }

  void check_upstream() {
    for (const auto frame : translator_->upstream_output()) {
      if (frame.is<wire::OpenExtendedMiningChannel>()) {
        const auto open = frame.as<wire::OpenExtendedMiningChannel>();
        require(open.has_value() && opens_.insert(open->request_id).second);
      } else if (frame.is<wire::SubmitSharesExtended>()) {
        Bytes rest;
        const auto share = frame.as<wire::SubmitSharesExtended>(&rest);
        require(share.has_value() && channels_.contains(share->channel_id));
        Channel& channel = channels_[share->channel_id];
        require(share->extranonce.size() == channel.extranonce_size);
        require(share->sequence_number == channel.next_sequence_number++);
        require(share->ntime >= kNtime && rest.size() <= wire::kTlvHeaderSize + wire::kMaxUserIdentity);
      } else if (frame.is<wire::UpdateChannel>()) {
        const auto update = frame.as<wire::UpdateChannel>();
        require(update.has_value() && channels_.contains(update->channel_id) && update->nominal_hash_rate >= 0);
        Channel& channel = channels_[update->channel_id];
        require(now_.instant - channel.updated_at >= std::chrono::seconds(1));
        channel.updated_at = now_.instant;
      } else if (frame.is<wire::CloseChannel>()) {
        const auto close = frame.as<wire::CloseChannel>();
        require(close.has_value() && channels_.erase(close->channel_id) == 1);
      } else {
        require(frame.is<wire::RequestExtensions>());
      }
    }
    translator_->upstream_output().clear();
    require(translator_->counters().channels <= channels_.size());
  }

  Source source_;
  Now now_{Instant(std::chrono::seconds(1000)), UnixTime(std::chrono::seconds(kNtime + 60))};
  bool regtest_only_ = false;
  bool connected_ = false;
  bool begun_ = false;  ///< The session with the upstream is set up.
  session::ClientOptions client_;
  std::optional<session::ClientSide> side_;
  std::unique_ptr<Translator> translator_;
  sv1::Parser parser_;
  std::map<std::uint32_t, Channel> channels_;
  std::set<std::uint32_t> opens_;
  std::map<std::uint64_t, std::set<std::string>> job_ids_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  World(adit::Bytes(data, size)).run();
  return 0;
}
