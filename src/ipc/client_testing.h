// A Node whose events and answers a test's thread can wait for.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ipc/node.h"

namespace adit::ipc {

class TestClient {
 public:
  explicit TestClient(NodeOptions options)
      : node_(std::move(options), {.on_loading = [this] { note([&] { ++loadings_; }); },
                                   .on_ready = [this](const NodeFacts& facts) { note([&] { ready_.push_back(facts); }); },
                                   .on_lost = [this](const Error& error) { note([&] { lost_.push_back(error); }); }}) {
    const auto started = node_.start();
    if (!started) throw std::runtime_error(started.error().message());
  }
  explicit TestClient(std::string path) : TestClient(NodeOptions{.socket_path = std::move(path)}) {}

  Node& node() { return node_; }

  /// Whether the node was there; waits for an answer of either kind.
  bool connect() {
    const auto [ready, lost] = counts();
    node_.connect();
    wait_for([&] { return ready_.size() > ready || lost_.size() > lost; });
    const std::lock_guard lock(mutex_);
    return ready_.size() > ready;
  }
  /// The error of a connect() that must fail.
  std::optional<Error> fails() {
    if (connect()) return std::nullopt;
    return last_loss();
  }

  /// False if `done`, which may look at what is below, did not become true within ten seconds.
  bool wait_for(const std::function<bool()>& done) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), done);
  }
  bool wait_for_loss(std::size_t losses) {
    return wait_for([&] { return lost_.size() >= losses; });
  }

  /// Makes a call and waits for its answer; kTimedOut "the test" after ten seconds without one.
  template <class T>
  Result<T> ask(const std::function<void(Node&, Node::Done<T>)>& call) {
    return wait<T>(begin<T>(call));
  }
  /// Makes a call.
  template <class T>
  std::future<Result<T>> begin(const std::function<void(Node&, Node::Done<T>)>& call) {
    auto answer = std::make_shared<std::promise<Result<T>>>();
    call(node_, [answer](Result<T> result) { answer->set_value(std::move(result)); });
    return answer->get_future();
  }
  template <class T>
  static Result<T> wait(std::future<Result<T>> answer) {
    if (answer.wait_for(std::chrono::seconds(10)) != std::future_status::ready) return fail(Errc::kTimedOut, "the test");
    return answer.get();
  }

  Result<TemplateData> create(CreateOptions options = {.cooldown = false}) {
    return ask<TemplateData>([&](Node& node, auto done) { node.create_template(options, done); });
  }
  std::future<Result<std::optional<TemplateData>>> begin_wait(const TemplateHandle& after, WaitOptions options = {}) {
    return begin<std::optional<TemplateData>>([&](Node& node, auto done) { node.wait_next(after, options, done); });
  }

  std::size_t losses() { return counts().second; }
  std::size_t loadings() {
    const std::lock_guard lock(mutex_);
    return loadings_;
  }
  Error last_loss() {
    const std::lock_guard lock(mutex_);
    return lost_.back();
  }
  NodeFacts facts() {
    const std::lock_guard lock(mutex_);
    return ready_.back();
  }

 private:
  std::pair<std::size_t, std::size_t> counts() {
    const std::lock_guard lock(mutex_);
    return {ready_.size(), lost_.size()};
  }
  void note(const std::function<void()>& what) {
    const std::lock_guard lock(mutex_);
    what();
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<NodeFacts> ready_;
  std::vector<Error> lost_;
  std::size_t loadings_ = 0;
  Node node_;  ///< Last: its thread uses the rest.
};

}  // namespace adit::ipc
