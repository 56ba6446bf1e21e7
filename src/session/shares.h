// Shares on their way: numbered when they are submitted, matched to their answers. An engine: no I/O, time is an argument.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "base/time.h"
#include "wire/frame.h"
#include "wire/mining_messages.h"

namespace adit::session {

/// The client's side of what a session's data lane carries. A SubmitShares.Error answers the share that it names, a
/// SubmitShares.Success every share of its channel up to last_sequence_number that was not answered before (SV2 05 §5.3.13);
/// how many were accepted and what they are worth is the server's word.
///
/// Memory is bounded: of each channel the newest kMostRemembered shares are known one by one, older ones are only counted.
/// Nothing is allocated for a share unless its channel has more under way than it ever had.
class StratumV2StreamHandler {
 public:
  static constexpr std::size_t kMostRemembered = 4096;
  static constexpr std::uint32_t kFirstSequenceNumber = 1;

  struct Answer {
    std::uint32_t sequence_number = 0;
    std::uint64_t tag = 0;  ///< As it was submitted with.
    Duration round_trip{};
  };

  /// A share goes out on that channel: its sequence number. `tag` is for the caller, whatever it tells by it.
  std::uint32_t submit(std::uint32_t channel_id, Instant now, std::uint64_t tag = 0);

  /// What came from the server. `each` hears of every share that is answered and remembered, oldest first. An answer to what
  /// was never submitted answers nothing.
  template <class Each>
  void on_answer(const wire::SubmitSharesSuccess& message, Instant now, Each each) {
    accepted_ += message.new_submits_accepted_count;
    answer_up_to(message, [&](std::uint32_t number, const Share& share) {
      each(Answer{.sequence_number = number, .tag = share.tag, .round_trip = now - share.sent_at});
    });
  }
  template <class Each>
  void on_answer(const wire::SubmitSharesError& message, Instant now, Each each) {
    ++rejected_;
    const Share share = answer_one(message);
    if (share.under_way)
      each(Answer{.sequence_number = message.sequence_number, .tag = share.tag, .round_trip = now - share.sent_at});
  }

  /// The channel is closed: it is forgotten when its last share is answered, or when its id is used for another.
  void close(std::uint32_t channel_id);

  /// Shares without an answer, of all channels: what a Goodbye waits for.
  [[nodiscard]] std::uint64_t unanswered() const { return unanswered_; }
  [[nodiscard]] std::uint64_t accepted() const { return accepted_; }
  [[nodiscard]] std::uint64_t rejected() const { return rejected_; }

 private:
  struct Share {
    Instant sent_at{};
    std::uint64_t tag = 0;
    bool under_way = false;
  };
  /// Those from `oldest` to before `next` are in the ring, by sequence number modulo its size, a power of two.
  struct Channel {
    Share& at(std::uint32_t sequence_number) { return ring[sequence_number & (ring.size() - 1)]; }
    void grow();

    std::vector<Share> ring;
    std::uint32_t oldest = kFirstSequenceNumber;
    std::uint32_t next = kFirstSequenceNumber;
    std::uint64_t forgotten = 0;   ///< Under way, older than the ring.
    std::uint64_t unanswered = 0;  ///< In all.
    bool closed = false;
  };

  template <class Each>
  void answer_up_to(const wire::SubmitSharesSuccess& message, Each each) {
    const auto found = channels_.find(message.channel_id);
    if (found == channels_.end()) return;
    Channel& channel = found->second;
    if (message.last_sequence_number - channel.oldest < channel.next - channel.oldest) {
      settle(channel, channel.forgotten);
      for (channel.forgotten = 0; channel.oldest != message.last_sequence_number + 1; ++channel.oldest) {
        const Share& share = channel.at(channel.oldest);
        if (!share.under_way) continue;
        settle(channel, 1);
        each(channel.oldest, share);
      }
    } else if (static_cast<std::int32_t>(message.last_sequence_number - channel.oldest) < 0) {
      settle_forgotten(channel, message.new_submits_accepted_count);
    }
    forget_if_over(message.channel_id, channel);
  }
  Share answer_one(const wire::SubmitSharesError& message);
  void settle(Channel& channel, std::uint64_t shares);
  void settle_forgotten(Channel& channel, std::uint64_t shares);
  void forget_if_over(std::uint32_t channel_id, const Channel& channel);

  std::unordered_map<std::uint32_t, Channel> channels_;
  std::uint64_t unanswered_ = 0;
  std::uint64_t accepted_ = 0;
  std::uint64_t rejected_ = 0;
};

}  // namespace adit::session
