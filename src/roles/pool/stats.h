// What a pool tells of itself.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "bitcoin/template.h"
#include "declaration/declared_jobs.h"
#include "declaration/server_session.h"
#include "downstream/miners.h"
#include "mining/session_list.h"
#include "net/admission.h"
#include "net/frame_host.h"
#include "template/source.h"

namespace adit::pool {

/// What job declaration has counted.
struct DeclaratorTotals {
  declaration::ServerCounters declarator;
  net::HostCounters transports{};  ///< By net::Transport.

  void add(const DeclaratorTotals& others) {
    declaration::add(declarator, others.declarator);
    net::add(transports, others.transports);
  }
};

/// What one shard has counted, or all of them together.
struct Totals : downstream::MinersCounts {
  std::optional<DeclaratorTotals> declared{};                 ///< Absent without a declarator in this process.
  std::optional<declaration::CustomJobCounts> custom_jobs{};  ///< Absent without job declaration.

  void add(const Totals& others) {
    MinersCounts::add(others);
    if (others.custom_jobs) {
      auto& sum = custom_jobs ? *custom_jobs : custom_jobs.emplace();
      sum.taken += others.custom_jobs->taken;
      sum.refused += others.custom_jobs->refused;
    }
    if (others.declared) (declared ? *declared : declared.emplace()).add(*others.declared);
  }
};

/// Everything that a monitor shows of a pool.
struct ServerStats : Totals {
  std::size_t silent_shards = 0;  ///< That did not answer in time: their part of the totals is missing.
  net::Admission::Counts admission;
  std::uint64_t failed_accepts = 0;             ///< Over TCP, for want of descriptors or memory; they were tried again.
  net::Admission::Counts declarator_admission;  ///< Of job declaration's own port, as the next one.
  std::uint64_t declarator_failed_accepts = 0;
  std::uint64_t jobs = 0;  ///< Made from templates so far.
  /// Of the templates, and of the blocks handed to the chain. Misconfigured, too, while no job can be made of its templates.
  templates::SourceStatus source;
  /// The outputs that pay of the newest template's jobs, but of channels that are paid by their own scripts.
  std::vector<bitcoin::TxOutput> coinbase{};
  bool work_is_stale = false;  ///< No channel is opened and those that are open are closed: StaleWorkPolicy.
};

}  // namespace adit::pool
