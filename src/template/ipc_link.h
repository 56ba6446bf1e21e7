// The connection to one node by IPC, kept up for what takes templates from it and what takes blocks to it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/backoff.h"
#include "base/result.h"
#include "bitcoin/block.h"
#include "ipc/node.h"
#include "template/ipc_config.h"
#include "template/node_info.h"
#include "template/source.h"

namespace adit::templates {

/// Whether an operator has to act before the node gives work.
bool is_misconfigured(const Error& error);

/// Connects, looks whether the node is on the right network, and connects again with backoff when anything breaks. Shared by
/// the node's IpcSource and IpcNode, which run on its thread. Functions say where they may be called.
class IpcLink {
 public:
  /// What is known of a node that is there.
  struct Info {
    /// As getblockchaininfo calls it; of a node without that (Bitcoin Core 31.0) empty, or "main" where it is that.
    std::string chain;
    bool is_test_chain = false;
    bool has_rpc = false;
    std::string caution{};  ///< What is to be known of it though it gives templates; mostly empty.
  };

  /// Called on the node's thread.
  struct Observer {
    std::function<void(const Info& info)> on_there;  ///< Calls may be made from now on.
    /// There is no connection, and no template of an earlier one.
    std::function<void(const Error& error)> on_away;
    std::function<void(const std::string& message)> on_waiting;  ///< It is there, but not ready yet; the message says why.
  };

  explicit IpcLink(IpcConfig config);
  ~IpcLink();  ///< As stop().
  IpcLink(const IpcLink&) = delete;
  IpcLink& operator=(const IpcLink&) = delete;

  /// Begins to connect. Any thread; a second call does nothing but tell what became of the first. Errors: ipc's kSystem.
  Result<> start();

  /// Ends the thread: no callback comes any more. Idempotent; not on the node's thread.
  void stop();

  [[nodiscard]] const IpcConfig& config() const { return config_; }
  [[nodiscard]] const std::string& name() const { return node_name(config_); }
  ipc::Node& node() { return node_; }

  /// One observer, after start(); it is told at once what there is to tell. Any thread.
  void observe(Observer observer);
  /// No function of the observer runs any more once this has returned. Not on the node's thread.
  void unobserve();

  // The rest: on the node's thread.

  [[nodiscard]] bool is_there() const { return info_.has_value(); }

  /// Something of the connection cannot be used: drops it, tells the observer why, and connects again after a while.
  void give_up(const Error& error);

  /// A template was given out under `id`: solutions go to `handle`, until `given` is gone or kMaxHeld newer ones came.
  static constexpr std::size_t kMaxHeld = 32;
  void hold(TemplateId id, ipc::TemplateHandle handle, std::weak_ptr<const Template> given);
  /// Null if the node does not hold it any more.
  [[nodiscard]] ipc::TemplateHandle held(TemplateId id) const;

  /// Hands a solution to the node, ahead of the whole block.
  void solve(const Hash256& hash, TemplateId id, BlockSolution solution);

  /// Calls `done` with the node's answer to the solution of that block: at once, or when it is there. False if there was none.
  using Solved = std::function<void(const Result<ipc::Submitted>& answer)>;
  bool when_solved(const Hash256& hash, Solved done);

  /// Result of a JSON-RPC request. Errors: those of ipc::Node::rpc; kRefused with the node's message.
  void rpc(std::string method, boost::json::array params, std::function<void(Result<boost::json::value>)> done);

 private:
  struct Held {
    ipc::TemplateHandle handle;
    std::weak_ptr<const Template> given;
  };
  struct Solution {
    Hash256 hash{};
    std::optional<Result<ipc::Submitted>> answer;
    std::vector<Solved> waiting;
  };

  void on_ready(const ipc::NodeFacts& facts);
  void on_lost(const Error& error);
  void look_at_chain(const Info& found);
  void look_at_relay(const Info& found);
  void there(const Info& found);
  void away(const Error& error);
  void tell_away(const Error& error);
  void connect_later(const Error& after);
  [[nodiscard]] Solution* find_solution(const Hash256& hash);

  const IpcConfig config_;
  std::optional<Result<>> started_;
  std::mutex starting_;  ///< Over `started_`.

  // Of the node's thread.
  Observer observer_;
  std::optional<Info> info_;         ///< While it is there.
  std::optional<Error> last_error_;  ///< While it is not.
  std::uint64_t attempt_ = 0;
  Backoff backoff_;
  std::mt19937_64 random_{std::random_device{}()};
  std::map<TemplateId, Held> held_;
  std::vector<Solution> solutions_;  ///< Oldest first.

  ipc::Node node_;  ///< Last: its thread uses the rest.
};

}  // namespace adit::templates
