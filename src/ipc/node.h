// A Bitcoin node's mining interface on its IPC socket. The one header of this library: Cap'n Proto stays behind it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "bitcoin/block.h"
#include "bitcoin/template.h"
#include "ipc/error.h"

namespace adit::ipc {

using bitcoin::Hash256;

struct NodeOptions {
  std::string socket_path;  ///< "node.sock" in the folder of the node's network.

  /// From the attempt to connect until the node has given this program threads of its own. The mining interface itself comes
  /// when the node has loaded its chain, for which there is no deadline.
  Duration connect_deadline = std::chrono::seconds(10);
  Duration loading_after = std::chrono::seconds(2);     ///< When on_loading is called, from then on.
  Duration call_deadline = std::chrono::seconds(20);    ///< For each call that does not name one.
  Duration submit_deadline = std::chrono::seconds(60);  ///< For a solution or a block, which a busy node checks slowly.
  Duration wait_grace = std::chrono::seconds(20);       ///< How much later than its timeout the answer to wait_next may come.
};

/// What a node that is there offers.
struct NodeFacts {
  bool has_rpc = false;  ///< Node::rpc works: Bitcoin Core 31.99 and later.
};

/// Called on the node's thread; may call every function of the Node but stop(). Must not block.
struct NodeEvents {
  /// The node has accepted the connection and is still loading its chain. May be empty.
  std::function<void()> on_loading{};
  /// Calls may be made from now on. Required.
  std::function<void(const NodeFacts& facts)> on_ready;
  /// There was no connection to be had, or it is lost: all calls have been answered with an error, and all templates are gone.
  /// The owner calls connect() again, when it pleases. Required.
  std::function<void(const Error& error)> on_lost;
};

/// One template that the node holds for this program. The node frees it when the last copy of the handle is gone, or with the
/// connection. Handles may be copied and dropped on any thread, also after the Node is gone.
class HeldTemplate;
using TemplateHandle = std::shared_ptr<const HeldTemplate>;

/// What a coinbase on a template has to be (CoinbaseTx of the node's interface).
struct CoinbaseFields {
  std::uint32_t version = 0;
  std::uint32_t sequence = 0;
  std::vector<std::uint8_t> script_prefix;          ///< Start of the scriptSig: the push of the block's height.
  bool has_witness = false;                         ///< Its input carries 32 zero bytes as witness (BIP141).
  std::uint64_t value_sat = 0;                      ///< Subsidy and fees.
  std::vector<bitcoin::TxOutput> required_outputs;  ///< The witness commitment.
  std::uint32_t lock_time = 0;
};

/// A template as far as a job needs it.
struct TemplateData {
  TemplateHandle handle;
  bitcoin::BlockHeader header;  ///< Its merkle root and nonce have no meaning.
  CoinbaseFields coinbase;
  std::vector<Hash256> merkle_path;  ///< Siblings from the coinbase's leaf up.
};

/// How blocks are to be made.
struct CreateOptions {
  std::uint64_t reserved_weight =
      8000;                             ///< For the header, the count of transactions and the coinbase; the node wants >= 2000.
  std::uint64_t reserved_sigops = 400;  ///< For the coinbase's outputs.
  bool use_mempool = true;              ///< False: a block without transactions, and so are those that follow by wait_next.
  /// True: while the node is behind the chain it answers only when it has caught up. False: it answers with what it has.
  bool cooldown = true;
  Duration deadline = Duration::max();  ///< Duration::max(): none.
};

struct WaitOptions {
  /// The node answers no later than this; it looks at fees about every second.
  Duration timeout = std::chrono::seconds(10);
  /// A template on the same tip is worth an answer if its fees are higher by this much, in satoshi; absent: never.
  std::optional<std::uint64_t> fee_threshold = std::nullopt;
};

/// The block that a node's best chain ends with.
struct Tip {
  Hash256 hash{};
  std::uint32_t height = 0;
};

/// What a node answers to a solution or a block.
struct Submitted {
  /// The node took it. Bitcoin Core 31 says so too of a block that it knew, and of one that turns out not to be valid when it
  /// is connected: `tip` decides.
  bool accepted = false;
  std::string reason{};  ///< Why not, as the node words it ("high-hash", "duplicate"); empty if it does not say.
  std::string detail;    ///< What it adds to that; mostly empty.
  std::optional<Tip> tip = std::nullopt;  ///< Right after it; absent if the node did not say.
};

/// What a node says of a block that it was shown.
struct Checked {
  bool valid = false;    ///< But for its proof of work it could be the next block.
  std::string reason{};  ///< Why not, as the node words it ("bad-cb-amount"); empty if it does not say.
};

/// Connects to one node, on a thread of its own on which all events and answers arrive. A node that is too old, away, hung or
/// nonsensical shows as on_lost or as an error of a call; the object stays, and connect() tries again.
///
/// Calls run on several threads of the node's: making a template on one, waiting for the next on another, and what must not
/// wait behind those on others. Each call's `done` is called once, unless stop() comes first. All functions may be called on
/// any thread unless they say otherwise; none blocks but stop().
class Node {
 public:
  Node(NodeOptions options, NodeEvents events);
  ~Node();  ///< As stop().
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  /// Starts the thread, and no more than that. Once, before all else. Errors: kSystem.
  Result<> start();

  /// Tells the node that nothing is waited for any more, drops the connection and ends the thread. No event and no answer comes
  /// any more once it has returned. Bounded. Idempotent; not on the node's thread.
  void stop();

  /// Tries once to connect: on_ready or on_lost follow. A connection that stands is dropped first, without on_lost.
  void connect();

  /// Drops the connection, or the attempt at one, without on_lost. Calls under way are answered with kLost.
  void disconnect();

  /// Runs `what` on the node's thread, as soon as it can or after a while. Dropped by stop().
  void post(std::function<void()> what);
  void post_after(Duration wait, std::function<void()> what);

  template <class T>
  using Done = std::function<void(Result<T>)>;

  // Errors of all calls: kLost, kTimedOut, kNonsense, kRefused, kUnsupported. Whoever gets one of the first three of a call
  // that it needs should connect() again.

  /// A new template, and what a job needs of it, in one flight. The node may take as long as CreateOptions::cooldown says.
  void create_template(CreateOptions options, Done<TemplateData> done);

  /// The template that comes after this one, with what a job needs of it: the reads are on their way before the node answers.
  /// nullopt: the timeout has passed, or interrupt_wait() was called. One at a time for each template. A template may come back
  /// although neither tip nor fees changed (testnets, 20 minutes after the last block).
  void wait_next(TemplateHandle after, WaitOptions options, Done<std::optional<TemplateData>> done);

  /// Ends the wait on this template. If there is none, it ends the next one at once.
  void interrupt_wait(const TemplateHandle& after);

  /// The whole block: header, count, a dummy coinbase, and the other transactions. It is not read while a solution changes it.
  void get_block(TemplateHandle of, Done<std::vector<std::uint8_t>> done);

  /// `solution.coinbase` is whole, with its witness.
  void submit_solution(TemplateHandle of, bitcoin::BlockSolution solution, Done<Submitted> done);

  /// Bitcoin Core 31.99 and later. `block` is serialized; `owner` keeps it alive.
  void submit_block(Bytes block, std::shared_ptr<const void> owner, Done<Submitted> done);

  /// Shows the node a whole block, serialized: everything is looked at but its proof of work. A block that the node cannot read
  /// is answered by kRefused.
  void check_block(std::vector<std::uint8_t> block, Done<Checked> done);

  /// The transactions of its mempool with these wtxids, in that order, serialized with witness; empty: it has none. Bitcoin
  /// Core 31.99 and later.
  void find_transactions(std::vector<Hash256> wtxids, Done<std::vector<std::vector<std::uint8_t>>> done);

  void is_initial_download(Done<bool> done);
  void is_test_chain(Done<bool> done);  ///< True on all networks but mainnet.
  void tip(Done<std::optional<Tip>> done);

  /// One JSON-RPC request, without password: {"method": ..., "params": [...], "id": ...}; the answer is the whole response.
  /// Bitcoin Core 31.99 and later. Errors also: kNonsense for an answer over 1 MiB.
  void rpc(std::string request, Done<std::string> done);

  /// Templates that the node holds for this program. Only on the node's thread.
  [[nodiscard]] std::size_t held_templates() const;

 private:
  class Core;
  std::unique_ptr<Core> core_;
};

/// Whether a program listens on the socket at `path` that this one may talk to; nothing is said. Does not wait. Errors: kPath,
/// kNoSocket, kNotListening, kForbidden, kUnsafe, kSystem.
Result<> look_at_socket(const std::string& path);

}  // namespace adit::ipc
