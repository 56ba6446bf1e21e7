#include "session/shares.h"

#include <algorithm>
#include <utility>

#include "base/invariant.h"

namespace adit::session {

void StratumV2StreamHandler::Channel::grow() {
  constexpr std::size_t kLeast = 16;
  std::vector<Share> larger(std::max(kLeast, 2 * ring.size()));
  for (auto number = oldest; number != next; ++number) larger[number & (larger.size() - 1)] = at(number);
  ring = std::move(larger);
}

std::uint32_t StratumV2StreamHandler::submit(std::uint32_t channel_id, Instant now, std::uint64_t tag) {
  Channel& channel = channels_[channel_id];
  if (channel.closed) {
    settle(channel, channel.unanswered);
    channel = {};
  }
  if (channel.next - channel.oldest == channel.ring.size()) {
    if (channel.ring.size() < kMostRemembered) {
      channel.grow();
    } else {
      if (channel.at(channel.oldest).under_way) ++channel.forgotten;
      ++channel.oldest;
    }
  }
  channel.at(channel.next) = {.sent_at = now, .tag = tag, .under_way = true};
  ++channel.unanswered;
  ++unanswered_;
  return channel.next++;
}

StratumV2StreamHandler::Share StratumV2StreamHandler::answer_one(const wire::SubmitSharesError& message) {
  const auto found = channels_.find(message.channel_id);
  if (found == channels_.end()) return {};
  Channel& channel = found->second;
  Share answered;
  if (message.sequence_number - channel.oldest < channel.next - channel.oldest) {
    answered = channel.at(message.sequence_number);
    if (std::exchange(channel.at(message.sequence_number).under_way, false)) settle(channel, 1);
    while (channel.oldest != channel.next && !channel.at(channel.oldest).under_way) ++channel.oldest;
  } else if (static_cast<std::int32_t>(message.sequence_number - channel.oldest) < 0) {
    settle_forgotten(channel, 1);
  }
  forget_if_over(message.channel_id, channel);
  return answered;
}

void StratumV2StreamHandler::settle(Channel& channel, std::uint64_t shares) {
  ADIT_INVARIANT(shares <= channel.unanswered && channel.unanswered <= unanswered_);
  channel.unanswered -= shares;
  unanswered_ -= shares;
}

void StratumV2StreamHandler::settle_forgotten(Channel& channel, std::uint64_t shares) {
  const auto settled = std::min(channel.forgotten, shares);
  channel.forgotten -= settled;
  settle(channel, settled);
}

void StratumV2StreamHandler::forget_if_over(std::uint32_t channel_id, const Channel& channel) {
  if (channel.closed && channel.unanswered == 0) channels_.erase(channel_id);
}

void StratumV2StreamHandler::close(std::uint32_t channel_id) {
  const auto found = channels_.find(channel_id);
  if (found == channels_.end()) return;
  found->second.closed = true;
  forget_if_over(channel_id, found->second);
}

}  // namespace adit::session
