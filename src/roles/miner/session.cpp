#include "roles/miner/session.h"

#include <algorithm>
#include <utility>

#include "mining/sv1_work.h"

namespace adit::miner {

// ---- Stratum V2

void Sv2Session::on_job(const channels::ClientJob& job) {
  const channels::Share start{.job_id = job.id, .ntime = job.ntime, .version = job.rules.version};
  work_job_id_ = job.id;
  work_version_ = job.rules.version;
  ++work_id_;
  // A new extranonce each time: a job that comes twice is not searched twice. Its last bytes count, the rest is zero.
  const std::size_t size = client_.channel()->extranonce_size();
  for (std::size_t i = 0; i < std::min<std::size_t>(size, 8); ++i)
    extranonce_[size - 1 - i] = static_cast<std::uint8_t>(work_id_ >> (8 * i));
  handler_.on_work({.id = work_id_,
                    .header = channels::share_header(job.rules, start, job.merkle_root(Bytes(extranonce_).first(size))),
                    .target_le = job.target.to_le()});
}

void Sv2Session::on_solution(const Solution& solution, const Now& now, wire::FrameBuffer& out) {
  auto* const channel = client_.channel();
  if (channel == nullptr || solution.work_id != work_id_) return;
  const channels::Share share{.job_id = work_job_id_,
                              .nonce = solution.nonce,
                              .ntime = solution.ntime,
                              .version = work_version_,
                              .extranonce = Bytes(extranonce_).first(channel->extranonce_size())};
  if (channels::is_accepted(channel->check(share, now.unix_time).verdict)) client_.submit(share, now.instant, out);
}

// ---- Stratum V1

Sv1Session::Sv1Session(std::string user, SessionHandler& handler)
    : handler_(handler), client_({.user = std::move(user)}, *this) {}

void Sv1Session::on_work(std::shared_ptr<const sv1::Work> work) {
  work_ = std::move(work);
  ++work_id_;
  // A new extranonce2 each time: a job that comes twice is not searched twice.
  std::array<std::uint8_t, 32> extranonce2{};
  const std::size_t size = std::min(work_->extranonce2_size, extranonce2.size());
  for (std::size_t i = 0; i < std::min<std::size_t>(size, 8); ++i)
    extranonce2[i] = static_cast<std::uint8_t>(work_id_ >> (8 * i));
  extranonce2_ = sv1::Extranonce(Bytes(extranonce2).first(size));

  handler_.on_work({.id = work_id_, .header = mining::header_of(*work_, extranonce2_), .target_le = work_->target.to_le()});
}

void Sv1Session::on_solution(const Solution& solution) {
  if (work_ && solution.work_id == work_id_) client_.submit(*work_, extranonce2_, solution.ntime, solution.nonce, 0);
}

void Sv1Session::on_submit_answer(std::uint64_t, const sv1::RpcError* error) {
  if (error == nullptr) {
    handler_.on_accepted(1);
  } else {
    handler_.on_rejected(error->message);
  }
}

}  // namespace adit::miner
