#include "net/service.h"

namespace adit::net {

void ServiceParts::start(const std::function<std::shared_ptr<ServicePart>(Shard&)>& make) {
  for (unsigned i = 0; i < shards_.size(); ++i) parts_.push_back(make(shards_[i]));
  for (const auto& part : parts_) part->shard().post([part] { part->begin(); });
}

void ServiceParts::stop(const session::ShutdownBehavior& behavior) {
  if (stop_called_.exchange(true)) return;
  std::vector<std::future<void>> ends;
  for (const auto& part : parts_) {
    auto promise = std::make_shared<std::promise<void>>();
    ends.push_back(promise->get_future());
    part->shard().post([part, behavior, promise] {
      part->stopping_ = true;
      part->drain(behavior);
      part->gate_.when_empty([part = part.get(), promise] {
        part->finished();
        promise->set_value();
      });
    });
  }
  const auto wait_until = [&ends](auto moment) {
    for (auto& end : ends) end.wait_until(moment);
  };
  wait_until(std::chrono::steady_clock::now() + behavior.deadline);
  for (const auto& part : parts_) part->shard().post([part] { part->cut_off(); });
  wait_until(std::chrono::steady_clock::now() + kLastMessageDeadline);
}

void ServiceParts::broadcast(const std::function<void(ServicePart&)>& each, Shard* home, std::function<void()> done) {
  if (parts_.empty()) return home->post(std::move(done));
  auto left = std::make_shared<std::atomic<std::size_t>>(parts_.size());
  auto when_all = std::make_shared<std::function<void()>>(std::move(done));
  for (const auto& part : parts_) {
    part->shard().post([part, each, home, left, when_all] {
      each(*part);
      if (left->fetch_sub(1, std::memory_order_acq_rel) == 1) home->post([when_all] { (*when_all)(); });
    });
  }
}

}  // namespace adit::net
