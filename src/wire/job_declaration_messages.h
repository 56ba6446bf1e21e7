// The job declaration protocol's messages (06 §6.4).
#pragma once

#include "wire/message.h"

namespace adit::wire {

/// 06 §6.4.2, client to server. The identifier comes before the request id.
struct AllocateMiningJobToken {
  Str0_255 user_identifier{};
  std::uint32_t request_id = 0;

  ADIT_MESSAGE(AllocateMiningJobToken, "AllocateMiningJobToken", kCore, 0x50, kForConnection, user_identifier, request_id);
};

/// 06 §6.4.3.
struct AllocateMiningJobTokenSuccess {
  std::uint32_t request_id = 0;
  B0_255 mining_job_token{};
  B0_64K coinbase_tx_outputs{};  ///< With a CompactSize count; the first is the pool's payout.

  ADIT_MESSAGE(AllocateMiningJobTokenSuccess, "AllocateMiningJobToken.Success", kCore, 0x51, kForConnection, request_id,
               mining_job_token, coinbase_tx_outputs);
};

/// 06 §6.4.7, server to client.
struct ProvideMissingTransactions {
  std::uint32_t request_id = 0;
  Seq0_64K<std::uint16_t> unknown_tx_position_list{};

  ADIT_MESSAGE(ProvideMissingTransactions, "ProvideMissingTransactions", kCore, 0x55, kForConnection, request_id,
               unknown_tx_position_list);
};

/// 06 §6.4.8, client to server.
struct ProvideMissingTransactionsSuccess {
  std::uint32_t request_id = 0;
  Seq0_64K<B0_16M> transaction_list{};

  ADIT_MESSAGE(ProvideMissingTransactionsSuccess, "ProvideMissingTransactions.Success", kCore, 0x56, kForConnection, request_id,
               transaction_list);
};

/// 06 §6.4.4, client to server.
struct DeclareMiningJob {
  std::uint32_t request_id = 0;
  B0_255 mining_job_token{};
  std::uint32_t version = 0;
  B0_64K coinbase_tx_prefix{};  ///< With BIP141 fields.
  B0_64K coinbase_tx_suffix{};
  Seq0_64K<U256> wtxid_list{};
  B0_64K excess_data{};

  ADIT_MESSAGE(DeclareMiningJob, "DeclareMiningJob", kCore, 0x57, kForConnection, request_id, mining_job_token, version,
               coinbase_tx_prefix, coinbase_tx_suffix, wtxid_list, excess_data);
};

/// 06 §6.4.5.
struct DeclareMiningJobSuccess {
  std::uint32_t request_id = 0;
  B0_255 new_mining_job_token{};

  ADIT_MESSAGE(DeclareMiningJobSuccess, "DeclareMiningJob.Success", kCore, 0x58, kForConnection, request_id,
               new_mining_job_token);
};

/// 06 §6.4.6.
struct DeclareMiningJobError {
  std::uint32_t request_id = 0;
  Str0_255 error_code{};
  B0_64K error_details{};

  ADIT_MESSAGE(DeclareMiningJobError, "DeclareMiningJob.Error", kCore, 0x59, kForConnection, request_id, error_code,
               error_details);
};

/// 06 §6.4.9, client to server. Its channel bit is clear since May 2026 (sv2-spec #196).
struct PushSolution {
  B0_32 extranonce{};
  U256 prev_hash{};
  std::uint32_t nonce = 0;
  std::uint32_t ntime = 0;
  std::uint32_t nbits = 0;
  std::uint32_t version = 0;

  ADIT_MESSAGE(PushSolution, "PushSolution", kCore, 0x60, kForConnection, extranonce, prev_hash, nonce, ntime, nbits, version);
};

}  // namespace adit::wire
