// The template distribution protocol's messages (07).
#pragma once

#include "wire/message.h"

namespace adit::wire {

/// 07 §7.1, client to server: what the client will add to the coinbase.
struct CoinbaseOutputConstraints {
  std::uint32_t coinbase_output_max_additional_size = 0;  ///< Serialized bytes.
  std::uint16_t coinbase_output_max_additional_sigops = 0;

  ADIT_MESSAGE(CoinbaseOutputConstraints, "CoinbaseOutputConstraints", kCore, 0x70, kForConnection,
               coinbase_output_max_additional_size, coinbase_output_max_additional_sigops);
};

/// 07 §7.2, server to client.
struct NewTemplate {
  std::uint64_t template_id = 0;  ///< Strictly increasing.
  bool future_template = false;
  std::uint32_t version = 0;
  std::uint32_t coinbase_tx_version = 0;
  B0_255 coinbase_prefix{};
  std::uint32_t coinbase_tx_input_sequence = 0;
  std::uint64_t coinbase_tx_value_remaining = 0;  ///< Satoshis.
  std::uint32_t coinbase_tx_outputs_count = 0;
  B0_64K coinbase_tx_outputs{};  ///< Without a count in front.
  std::uint32_t coinbase_tx_locktime = 0;
  Seq0_255<U256> merkle_path{};

  ADIT_MESSAGE(NewTemplate, "NewTemplate", kCore, 0x71, kForConnection, template_id, future_template, version,
               coinbase_tx_version, coinbase_prefix, coinbase_tx_input_sequence, coinbase_tx_value_remaining,
               coinbase_tx_outputs_count, coinbase_tx_outputs, coinbase_tx_locktime, merkle_path);
};

/// 07 §7.3, server to client; the specification calls it SetNewPrevHash as the mining protocol's, SRI SetNewPrevHashTdp.
struct SetNewPrevHashTdp {
  std::uint64_t template_id = 0;
  U256 prev_hash{};
  std::uint32_t header_timestamp = 0;
  std::uint32_t n_bits = 0;
  U256 target{};

  ADIT_MESSAGE(SetNewPrevHashTdp, "SetNewPrevHashTdp", kCore, 0x72, kForConnection, template_id, prev_hash, header_timestamp,
               n_bits, target);
};

/// 07 §7.4, client to server.
struct RequestTransactionData {
  std::uint64_t template_id = 0;

  ADIT_MESSAGE(RequestTransactionData, "RequestTransactionData", kCore, 0x73, kForConnection, template_id);
};

/// 07 §7.5, server to client.
struct RequestTransactionDataSuccess {
  std::uint64_t template_id = 0;
  B0_64K excess_data{};
  Seq0_64K<B0_16M> transaction_list{};

  ADIT_MESSAGE(RequestTransactionDataSuccess, "RequestTransactionData.Success", kCore, 0x74, kForConnection, template_id,
               excess_data, transaction_list);
};

/// 07 §7.6, server to client.
struct RequestTransactionDataError {
  std::uint64_t template_id = 0;
  Str0_255 error_code{};

  ADIT_MESSAGE(RequestTransactionDataError, "RequestTransactionData.Error", kCore, 0x75, kForConnection, template_id,
               error_code);
};

/// 07 §7.7, client to server.
struct SubmitSolution {
  std::uint64_t template_id = 0;
  std::uint32_t version = 0;
  std::uint32_t header_timestamp = 0;
  std::uint32_t header_nonce = 0;
  B0_64K coinbase_tx{};  ///< With BIP141 fields.

  ADIT_MESSAGE(SubmitSolution, "SubmitSolution", kCore, 0x76, kForConnection, template_id, version, header_timestamp,
               header_nonce, coinbase_tx);
};

}  // namespace adit::wire
