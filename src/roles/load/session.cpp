#include "roles/load/session.h"

#include <algorithm>
#include <utility>

#include "base/base58.h"
#include "channels/share.h"

namespace adit::load {

std::string address_of(std::uint32_t number) {
  constexpr std::uint8_t kP2pkhOfTestNetworks = 111;
  std::array<std::uint8_t, 21> payload{kP2pkhOfTestNetworks};
  store_le(payload.data() + 1, number);
  return base58check_encode(payload);
}

Session::Session(const SessionOptions& options, Meter& meter, bool lanes, std::uint32_t number)
    : in_flight_(options.in_flight),
      meter_(meter),
      number_(number),
      side_(options.client(), lanes, /*ask_for_adit=*/false),
      client_(options.channel(number), *this) {}

void Session::start(std::string_view host, std::uint16_t port, const Now& now, wire::FrameBuffer& out) {
  side_.start(host, port, now, out);
}

Result<void> Session::on_frames(std::span<const wire::FrameView> frames, const Now& now, wire::FrameBuffer& out) {
  now_ = now.instant;
  Result<void> opened;
  ADIT_CHECK(side_.on_frames(
      frames, now, out,
      [&](std::span<const wire::FrameView> run) -> Result<void> {
        for (const auto& frame : run) ADIT_CHECK(client_.on_frame(frame, now));
        return {};
      },
      [&] {
        if (side_.ready()) opened = client_.open(side_.setup().agreement(), out);
      }));
  return opened;
}

void Session::on_tip(const wire::SetNewPrevHash& message) {
  // The one behind a channel's first job is no news.
  if (search_) meter_.on_tip(message.prev_hash, {.connection = number_, .at = now_});
}

void Session::on_accepted(std::uint64_t shares, std::optional<Duration> round_trip) {
  meter_.accepted += shares;
  // The last one's answer waited for nothing else.
  if (round_trip) meter_.acknowledged.add(*round_trip);
}

void Session::on_job(const channels::ClientJob& job) {
  const std::array<std::uint8_t, 32> zeros{};
  const Bytes extranonce = Bytes(zeros).first(client_.channel()->extranonce_size());
  const channels::Share share{.job_id = job.id, .ntime = job.ntime, .version = job.rules.version};
  const auto header = channels::share_header(job.rules, share, job.merkle_root(extranonce));
  search_.emplace(Search{.shares = ShareSearch(header, job.target, job.rules.network_target),
                         .job_id = job.id,
                         .ntime = job.ntime,
                         .version = job.rules.version});
}

std::size_t Session::submit(std::size_t limit, Instant now, wire::FrameBuffer& out) {
  if (!search_) return 0;
  const std::array<std::uint8_t, 32> extranonce{};
  std::size_t sent = 0;
  for (; sent < limit && client_.shares().unanswered() < in_flight_; ++sent) {
    const auto nonce = search_->shares.next();
    if (!nonce) {
      ++meter_.not_found;
      break;
    }
    client_.submit({.job_id = search_->job_id,
                    .nonce = *nonce,
                    .ntime = search_->ntime,
                    .version = search_->version,
                    .extranonce = Bytes(extranonce).first(client_.channel()->extranonce_size())},
                   now, out);
  }
  meter_.submitted += sent;
  return sent;
}

}  // namespace adit::load
