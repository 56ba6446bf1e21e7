// What `adit doctor` judges: facts about a machine, a configuration and those that it talks to. The checks (checks.h) look at
// nothing else, so that a test can state any fault; gather.h finds the facts.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "config/document.h"

namespace adit::cli::doctor {

struct ClockFacts {
  bool synchronized = true;  ///< The kernel's word: something disciplines this clock.
  struct Other {
    std::string whose;  ///< "the pool stratum2+...".
    std::chrono::seconds ahead{0};
  };
  std::vector<Other> others;
};

struct ConfigFacts {
  std::string file;  ///< Empty: there is no configuration.
  std::string role;
  std::vector<config::Finding> findings;
  std::vector<std::string> variables;  ///< Names of environment variables that lie over the file.
};

struct SecretFile {
  std::string path;
  unsigned mode = 0600;  ///< Permission bits.
};

struct FolderFacts {
  std::string path;      ///< Empty: none is needed.
  bool is_there = true;  ///< False: it is made at the first start.
  std::string problem;   ///< Why a file cannot be written and synced there, as a sentence.
  std::uint64_t bytes_free = ~0ULL;
  std::string kind;  ///< "nfs", "tmpfs", "cifs": where a synced file is not safe; empty: none of these.
};

/// Why a node gives no work.
enum class NodeFault {
  kNone,
  kAway,
  kAccess,
  kState,
  kNetwork,
  kOther,
  kNoWork,  ///< A running role has none of it; the message is all that is known.
};

struct NodeFacts {
  std::string name;  ///< "127.0.0.1:8332", a socket's path, or a provider's URL.
  NodeFault fault = NodeFault::kNone;
  std::string message;  ///< Of the fault, as a sentence with its cure.
  std::optional<std::int64_t> blocks;
  std::optional<std::int64_t> headers;
  bool is_downloading = false;
  bool is_pruned = false;
  std::optional<std::int64_t> peers;
  bool takes_transactions = true;  ///< False: blocksonly=1.
  bool is_test_chain = false;      ///< A chain on which a node without peers still gives work.
  std::optional<Duration> template_after;
  std::uint32_t template_height = 0;
  std::uint64_t template_value_sat = 0;
  std::optional<std::int64_t> weight_left;  ///< Of a block, for header and coinbase.
};

struct PayoutFacts {
  std::string script_hex;    ///< Empty: the role pays nobody.
  bool is_example = false;   ///< The examples' address.
  bool is_valuable = false;  ///< The network is not regtest.
};

struct PortFacts {
  std::string key;      ///< "listen_address".
  std::string address;  ///< "0.0.0.0:3333".
  std::uint16_t port = 0;
  bool is_udp = false;
  bool is_loopback = false;
  bool is_for_others = false;  ///< Miners or clients connect there, and not only this machine's.
  std::string problem;         ///< Why it cannot be listened on, though no program has it.
  struct Holder {
    int pid = 0;          ///< 0: this user may not see whose process it is.
    std::string program;  ///< The name of its file, "adit" for ours; empty without a process id.
  };
  std::optional<Holder> holder;  ///< Who has the port, which could not be listened on.
  bool is_ours = false;          ///< This process listens there.
};

struct ReachFacts {
  std::vector<std::string> hosts;  ///< Addresses of this machine, without loopback.
  std::string local_name;          ///< "pi.local", if something answers for it.
  bool is_container = false;
  bool has_external_addrs = false;
  bool listens_over_iroh = false;
};

struct NatFacts {
  bool is_used = false;             ///< iroh is.
  std::string problem;              ///< The endpoint could not be made, as a sentence.
  bool listens = false;             ///< The role's endpoint has a UDP port that other machines may dial.
  bool has_public_address = false;  ///< IPv4, of an interface of this machine or of `external_addrs`.
  std::vector<std::string> seen;    ///< IP addresses that relays see, and no interface of this machine has.
  bool has_ipv6 = false;
  bool asks_router = false;  ///< `port_mapping`.
  bool has_relay = false;
};

enum class UdpAnswer { kNotAsked, kAnswered, kClosed, kSilent };

struct RelayFacts {
  std::string url;
  std::string problem;               ///< Why it did not answer, as a sentence.
  std::optional<Duration> answered;  ///< Absent: it was not asked.
  UdpAnswer udp = UdpAnswer::kNotAsked;
  std::uint16_t udp_port = 0;
  std::optional<int> certificate_days;
  bool has_token = false;
  std::optional<bool> took_us;  ///< Whether it became the home relay of an endpoint that has no other; absent: not tried.
};

enum class UpstreamStage {
  kNotReached,
  kNotSetUp,
  kNoChannel,    ///< The session is set up, and no channel was opened: for want of an answer, say.
  kUserRefused,  ///< The pool's own answer to the user.
  kAccepted,
};

struct UpstreamFacts {
  std::size_t entry = 0;  ///< Of [[upstreams]]: a pool and its declarator have one.
  std::string url;
  std::string user;            ///< Empty: it is not known whether the pool takes one.
  bool is_declarator = false;  ///< It is `jds_url`, where no channel is opened.
  UpstreamStage stage = UpstreamStage::kNotReached;
  std::string message;  ///< Why it went no further, as a sentence.
  std::string path;     ///< "tcp direct", "iroh relayed".
  std::optional<Duration> round_trip;
  bool is_proved = false;     ///< By the authority key of its URL.
  bool relay_unused = false;  ///< The URL names a relay, and [iroh] has none.
};

struct LimitFacts {
  std::uint64_t files = ~0ULL;                       ///< That may be open, with the hard limit.
  std::optional<std::uint64_t> backlog;              ///< net.core.somaxconn.
  std::optional<std::uint64_t> tracked_connections;  ///< net.netfilter.nf_conntrack_max.
  std::uint64_t locked_bytes = ~0ULL;                ///< RLIMIT_MEMLOCK.
};

struct BuildFacts {
  std::string version;
  bool has_iroh = true;
  bool has_ipc = true;
  bool needs_iroh = false;
  bool needs_ipc = false;
  std::string running_version;  ///< Of the role that runs by this configuration; empty: none answers.
  bool is_replaced = false;     ///< The file that this process was started from is another one by now.
  std::string key_holder;       ///< The key file that another process runs with, though none of ours has the ports.
};

struct Facts {
  ClockFacts clock;
  ConfigFacts config;
  std::vector<SecretFile> secrets;
  FolderFacts folder;
  std::vector<NodeFacts> nodes;
  std::vector<std::string> node_hints;  ///< Without a configuration: what was found of a node of this machine.
  PayoutFacts payout;
  std::vector<PortFacts> ports;
  ReachFacts reach;
  NatFacts nat;
  std::vector<RelayFacts> relays;
  std::vector<UpstreamFacts> upstreams;
  LimitFacts limits;
  BuildFacts build;
};

}  // namespace adit::cli::doctor
