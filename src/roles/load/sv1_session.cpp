#include "roles/load/sv1_session.h"

#include <algorithm>
#include <array>

#include "mining/sv1_work.h"

namespace adit::load {
namespace {

/// What is free to a miner of Stratum V1 in its coinbase.
sv1::Extranonce extranonce2_of(const sv1::Work& work) {
  const std::array<std::uint8_t, 32> zeros{};
  return sv1::Extranonce(Bytes(zeros).first(std::min(work.extranonce2_size, zeros.size())));
}

}  // namespace

Sv1Session::Sv1Session(const SessionOptions& options, Meter& meter, std::uint32_t number)
    : in_flight_(options.in_flight),
      meter_(meter),
      number_(number),
      client_({.user = options.own_address ? address_of(number) : options.user + "." + std::to_string(number)}, *this) {}

Result<void> Sv1Session::receive(Bytes bytes, const Now& now) {
  now_ = now.instant;
  return client_.receive(bytes);
}

void Sv1Session::on_work(std::shared_ptr<const sv1::Work> work) {
  const bool first = work_ == nullptr;
  if (!first && work->job.prev_hash != work_->job.prev_hash)
    meter_.on_tip(work->job.prev_hash, {.connection = number_, .at = now_});
  work_ = std::move(work);
  search_.emplace(mining::header_of(*work_, extranonce2_of(*work_)), work_->target,
                  bitcoin::target_from_compact(work_->job.nbits).value_or(bitcoin::U256()));
  if (first && submit(1, now_) == 0) ready_ = true;
}

void Sv1Session::on_submit_answer(std::uint64_t id, const sv1::RpcError* error) {
  ready_ = true;
  const auto sent = std::ranges::find(waiting_, id, &std::pair<std::uint64_t, Instant>::first);
  if (sent == waiting_.end()) return;
  if (error != nullptr) {
    meter_.on_rejected(error->message);
  } else {
    ++meter_.accepted;
    meter_.acknowledged.add(now_ - sent->second);
  }
  waiting_.erase(sent);
}

std::size_t Sv1Session::submit(std::size_t limit, Instant now) {
  if (!search_) return 0;
  std::size_t sent = 0;
  for (; sent < limit && waiting_.size() < in_flight_; ++sent) {
    const auto nonce = search_->next();
    if (!nonce) {
      ++meter_.not_found;
      break;
    }
    const auto id = client_.submit(*work_, extranonce2_of(*work_), work_->job.ntime, *nonce, 0);
    if (!id) break;
    waiting_.emplace_back(*id, now);
  }
  meter_.submitted += sent;
  return sent;
}

}  // namespace adit::load
