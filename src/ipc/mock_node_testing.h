// A node of Bitcoin Core's mining interface in this process, for tests: it answers as each release does, and misbehaves on
// demand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bitcoin/block.h"
#include "bitcoin/hash.h"
#include "ipc/node.h"

namespace adit::ipc {

/// Listens on a socket of its own with an event loop of its own; all functions may be called from the test's thread. As the
/// real one it runs one call at a time on each thread that a client makes, in the order of their coming.
class MockNode {
 public:
  /// kMaster: 31.99, which becomes 32.
  enum class Release { k30, k31, kMaster, k32 };

  struct Options {
    std::string path;
    Release release = Release::kMaster;
    std::string chain = "regtest";  ///< As getblockchaininfo has it.
    bool loading = false;           ///< makeMining is answered after finish_loading().
  };

  class Core;

  explicit MockNode(Options options);
  ~MockNode();  ///< As a node that ends: connections close, and the socket is gone.

  // The chain.

  /// Another block is the best one. Wakes those that wait.
  void set_tip(const Hash256& hash, std::uint32_t height);
  void set_nbits(std::uint32_t nbits);
  void set_time(std::uint32_t time);      ///< What headers say; the machine's clock until then.
  void set_tip_time(std::uint32_t time);  ///< What getblockheader says of any block.
  /// What blocks hold from now on, and their fees. Wakes those that wait for as much more.
  void set_transactions(std::vector<std::vector<std::uint8_t>> transactions, std::uint64_t fees_sat);
  /// How long createNewBlock takes for a block with transactions.
  void set_build_time(Duration takes);
  void set_initial_download(bool is);
  /// Whoever waits gets a template on the same tip, as testnets give 20 minutes after the last block.
  void repeat_template();

  // What it answers to solutions and blocks.

  struct Answer {
    bool accepted = true;
    std::string reason{};     ///< Releases before 32 do not say it of solutions.
    bool becomes_tip = true;  ///< If accepted.
  };
  void set_answer(Answer answer);

  // Faults.

  enum class Fault {
    kNone,
    kHang,        ///< It never answers.
    kDisconnect,  ///< The connection closes in the middle of the call.
    kThrow,       ///< A remote exception, as the real node words them.
    kNonsense,    ///< Bytes that cannot be what they should.
    kNull,        ///< No result.
  };
  /// The method, as "getBlockHeader", misbehaves from now on, or as often as `times` says.
  void set_fault(const std::string& method, Fault fault, std::size_t times = SIZE_MAX);
  void finish_loading();
  void drop_connections();

  // What it saw.

  struct Call {
    std::string method;
    std::string thread;  ///< The name of the node's thread that ran it; empty for methods without one.
  };
  [[nodiscard]] std::vector<Call> calls() const;
  [[nodiscard]] std::size_t count(const std::string& method) const;
  [[nodiscard]] std::size_t held_templates() const;
  [[nodiscard]] std::size_t waiting() const;  ///< Calls to waitNext under way.
  [[nodiscard]] std::size_t connections() const;
  /// A solution while another thread reads or changes the same template, which may crash the real node.
  [[nodiscard]] std::size_t races() const;
  [[nodiscard]] std::vector<bitcoin::BlockSolution> solutions() const;
  [[nodiscard]] std::vector<std::vector<std::uint8_t>> blocks() const;
  [[nodiscard]] std::vector<CreateOptions> created() const;
  [[nodiscard]] std::vector<WaitOptions> waits() const;
  [[nodiscard]] std::vector<std::string> rpc_requests() const;

 private:
  std::unique_ptr<Core> core_;
};

}  // namespace adit::ipc
