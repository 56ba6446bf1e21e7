// One service over all shards: a role's listeners and sessions, one part of it on each shard. Every role is started, asked and
// stopped by this.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/time.h"
#include "net/shards.h"
#include "net/task_gate.h"
#include "session/shutdown.h"

namespace adit::net {

/// How long a caller waits for the shards' answers. A shard that hangs gives none.
inline constexpr Duration kShardPatience = std::chrono::seconds(2);
/// How long we wait for a peer to read the last message before its connection is closed.
inline constexpr Duration kLastMessageDeadline = std::chrono::seconds(2);

/// The part of a service on one shard. Everything but the constructor and shard() is called on the shard's thread.
class ServicePart : public std::enable_shared_from_this<ServicePart> {
 public:
  explicit ServicePart(Shard& shard) : shard_(shard) {}
  ServicePart(const ServicePart&) = delete;
  ServicePart& operator=(const ServicePart&) = delete;
  virtual ~ServicePart() = default;

  [[nodiscard]] Shard& shard() const { return shard_; }
  /// Counts what runs for this part: a stop waits until it is empty.
  [[nodiscard]] TaskGate& gate() { return gate_; }
  /// drain() was called.
  [[nodiscard]] bool stopping() const { return stopping_; }

 protected:
  friend class ServiceParts;

  /// Called once, first.
  virtual void begin() = 0;
  /// Takes in nothing more and ends what there is in that manner. Called once.
  virtual void drain(const session::ShutdownBehavior& behavior) = 0;
  /// The drain deadline has passed: closes everything now.
  virtual void cut_off() = 0;
  /// Nothing runs for this part any more. The last call.
  virtual void finished() {}

 private:
  Shard& shard_;
  TaskGate gate_;
  bool stopping_ = false;
};

/// What does not depend on the parts' type.
class ServiceParts {
 public:
  explicit ServiceParts(Shards& shards) : shards_(shards) {}

  [[nodiscard]] Shards& shards() const { return shards_; }
  [[nodiscard]] const std::vector<std::shared_ptr<ServicePart>>& all() const { return parts_; }

  void start(const std::function<std::shared_ptr<ServicePart>(Shard&)>& make);
  void stop(const session::ShutdownBehavior& behavior);
  void clear() { parts_.clear(); }
  void broadcast(const std::function<void(ServicePart&)>& each, Shard* home, std::function<void()> done);

 private:
  Shards& shards_;
  std::vector<std::shared_ptr<ServicePart>> parts_;
  std::atomic<bool> stop_called_{false};
};

/// A service whose parts are Parts, which derive from ServicePart. Every function may be called on any thread but a shard's,
/// except post() and broadcast(), which any thread may call.
template <class Part>
class Service {
 public:
  /// `shards` are started already and outlive the service.
  explicit Service(Shards& shards) : parts_(shards) {}
  /// What a shard that hangs has still to run may outlive the service: it holds the part alone.
  ~Service() { parts_.clear(); }
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  /// Makes a part for each shard, here, and begins each on its shard. Once.
  void start(const std::function<std::shared_ptr<Part>(Shard&)>& make) { parts_.start(make); }

  /// The second phase of a stop, after the listeners have stopped: drains every part in that manner and waits until nothing of
  /// them runs, at most `behavior.deadline`; then cuts off what is left and waits kLastMessageDeadline more. Idempotent.
  void stop(const session::ShutdownBehavior& behavior) { parts_.stop(behavior); }

  [[nodiscard]] Shards& shards() const { return parts_.shards(); }

  /// Lets the parts go, which may hold what holds the service. To be called after stop().
  void clear() { parts_.clear(); }

  /// The part on `shard`. Null before start().
  [[nodiscard]] std::shared_ptr<Part> on(const Shard& shard) const {
    return parts_.all().empty() ? nullptr : std::static_pointer_cast<Part>(parts_.all()[shard.index()]);
  }

  /// Calls `each(part)` on every shard, soon.
  template <class Each>
  void post(const Each& each) const {
    for (const auto& part : parts_.all()) {
      part->shard().post([part, each] { each(static_cast<Part&>(*part)); });
    }
  }

  /// Calls `each(part)` on every shard; once all have returned, `done` is called on `home`. A shard that hangs keeps `done`
  /// from being called.
  template <class Each>
  void broadcast(Each each, Shard& home, std::function<void()> done) const {
    parts_.broadcast([each = std::move(each)](ServicePart& part) { each(static_cast<Part&>(part)); }, &home, std::move(done));
  }

  /// What `ask(part)` returns on every shard, as far as the shards answer within kShardPatience.
  template <class Ask>
  [[nodiscard]] auto ask(Ask ask) const {
    using Answer = std::invoke_result_t<Ask, Part&>;
    std::vector<std::future<Answer>> pending;
    pending.reserve(parts_.all().size());
    for (const auto& part : parts_.all()) {
      auto promise = std::make_shared<std::promise<Answer>>();
      pending.push_back(promise->get_future());
      part->shard().post([part, promise, ask] { promise->set_value(ask(static_cast<Part&>(*part))); });
    }
    std::vector<Answer> answers;
    const auto until = std::chrono::steady_clock::now() + kShardPatience;
    for (auto& future : pending) {
      if (future.wait_until(until) == std::future_status::ready) answers.push_back(future.get());
    }
    return answers;
  }

 private:
  mutable ServiceParts parts_;
};

}  // namespace adit::net
