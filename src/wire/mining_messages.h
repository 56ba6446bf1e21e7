// The mining protocol's messages (05 §5.3). Hashes, targets and roots are in the byte order of the block header.
#pragma once

#include "wire/message.h"

namespace adit::wire {

/// 05 §5.3.2, client to server.
struct OpenStandardMiningChannel {
  std::uint32_t request_id = 0;
  Str0_255 user_identity{};
  float nominal_hash_rate = 0;  ///< Hashes per second; whatever bits the peer sent, NaN included.
  U256 max_target{};

  ADIT_MESSAGE(OpenStandardMiningChannel, "OpenStandardMiningChannel", kCore, 0x10, kForConnection, request_id, user_identity,
               nominal_hash_rate, max_target);
};

/// 05 §5.3.3, server to client.
struct OpenStandardMiningChannelSuccess {
  std::uint32_t request_id = 0;
  std::uint32_t channel_id = 0;
  U256 target{};
  B0_32 extranonce_prefix{};
  std::uint32_t group_channel_id = 0;

  ADIT_MESSAGE(OpenStandardMiningChannelSuccess, "OpenStandardMiningChannel.Success", kCore, 0x11, kForConnection, request_id,
               channel_id, target, extranonce_prefix, group_channel_id);
};

/// 05 §5.3.6, server to client, for either kind of channel.
struct OpenMiningChannelError {
  std::uint32_t request_id = 0;
  Str0_255 error_code{};

  ADIT_MESSAGE(OpenMiningChannelError, "OpenMiningChannel.Error", kCore, 0x12, kForConnection, request_id, error_code);
};

/// 05 §5.3.4, client to server.
struct OpenExtendedMiningChannel {
  std::uint32_t request_id = 0;
  Str0_255 user_identity{};
  float nominal_hash_rate = 0;  ///< Hashes per second.
  U256 max_target{};
  std::uint16_t min_extranonce_size = 0;  ///< Bytes that the device needs for itself.

  ADIT_MESSAGE(OpenExtendedMiningChannel, "OpenExtendedMiningChannel", kCore, 0x13, kForConnection, request_id, user_identity,
               nominal_hash_rate, max_target, min_extranonce_size);
};

/// 05 §5.3.5, server to client.
struct OpenExtendedMiningChannelSuccess {
  std::uint32_t request_id = 0;
  std::uint32_t channel_id = 0;
  U256 target{};
  std::uint16_t extranonce_size = 0;  ///< Bytes after the prefix that are the client's.
  B0_32 extranonce_prefix{};
  std::uint32_t group_channel_id = 0;

  ADIT_MESSAGE(OpenExtendedMiningChannelSuccess, "OpenExtendedMiningChannel.Success", kCore, 0x14, kForConnection, request_id,
               channel_id, target, extranonce_size, extranonce_prefix, group_channel_id);
};

/// 05 §5.3.15, server to client, standard channels only.
struct NewMiningJob {
  std::uint32_t channel_id = 0;
  std::uint32_t job_id = 0;
  Option<std::uint32_t> min_ntime{};  ///< Empty: a future job, activated by a SetNewPrevHash.
  std::uint32_t version = 0;
  U256 merkle_root{};

  ADIT_MESSAGE(NewMiningJob, "NewMiningJob", kCore, 0x15, kForChannel, channel_id, job_id, min_ntime, version, merkle_root);
};

/// 05 §5.3.7, client to server.
struct UpdateChannel {
  std::uint32_t channel_id = 0;
  float nominal_hash_rate = 0;  ///< Hashes per second.
  U256 maximum_target{};

  ADIT_MESSAGE(UpdateChannel, "UpdateChannel", kCore, 0x16, kForChannel, channel_id, nominal_hash_rate, maximum_target);
};

/// 05 §5.3.8, server to client.
struct UpdateChannelError {
  std::uint32_t channel_id = 0;
  Str0_255 error_code{};

  ADIT_MESSAGE(UpdateChannelError, "UpdateChannel.Error", kCore, 0x17, kForChannel, channel_id, error_code);
};

/// 05 §5.3.9, either way. A group's id closes all its channels.
struct CloseChannel {
  std::uint32_t channel_id = 0;
  Str0_255 reason_code{};

  ADIT_MESSAGE(CloseChannel, "CloseChannel", kCore, 0x18, kForChannel, channel_id, reason_code);
};

/// 05 §5.3.10, server to client: for jobs sent from here on.
struct SetExtranoncePrefix {
  std::uint32_t channel_id = 0;
  B0_32 extranonce_prefix{};

  ADIT_MESSAGE(SetExtranoncePrefix, "SetExtranoncePrefix", kCore, 0x19, kForChannel, channel_id, extranonce_prefix);
};

/// 05 §5.3.11, client to server.
struct SubmitSharesStandard {
  std::uint32_t channel_id = 0;
  std::uint32_t sequence_number = 0;
  std::uint32_t job_id = 0;
  std::uint32_t nonce = 0;
  std::uint32_t ntime = 0;
  std::uint32_t version = 0;  ///< The header's whole nVersion.

  ADIT_MESSAGE(SubmitSharesStandard, "SubmitSharesStandard", kCore, 0x1a, kForChannel, channel_id, sequence_number, job_id,
               nonce, ntime, version);
};

/// 05 §5.3.12, client to server. A TLV may follow: the worker's identity (tlv.h).
struct SubmitSharesExtended {
  std::uint32_t channel_id = 0;
  std::uint32_t sequence_number = 0;
  std::uint32_t job_id = 0;
  std::uint32_t nonce = 0;
  std::uint32_t ntime = 0;
  std::uint32_t version = 0;
  B0_32 extranonce{};  ///< Exactly extranonce_size bytes, without the prefix.

  ADIT_MESSAGE(SubmitSharesExtended, "SubmitSharesExtended", kCore, 0x1b, kForChannel, channel_id, sequence_number, job_id,
               nonce, ntime, version, extranonce);
};

/// 05 §5.3.13, server to client: a batch was accepted.
struct SubmitSharesSuccess {
  std::uint32_t channel_id = 0;
  std::uint32_t last_sequence_number = 0;
  std::uint32_t new_submits_accepted_count = 0;  ///< In this batch.
  std::uint64_t new_shares_sum = 0;              ///< Difficulty of this batch's shares.

  ADIT_MESSAGE(SubmitSharesSuccess, "SubmitShares.Success", kCore, 0x1c, kForChannel, channel_id, last_sequence_number,
               new_submits_accepted_count, new_shares_sum);
};

/// 05 §5.3.14, server to client.
struct SubmitSharesError {
  std::uint32_t channel_id = 0;
  std::uint32_t sequence_number = 0;
  Str0_255 error_code{};

  ADIT_MESSAGE(SubmitSharesError, "SubmitShares.Error", kCore, 0x1d, kForChannel, channel_id, sequence_number, error_code);
};

/// 05 §5.3.16, server to client; `channel_id` may be a group's.
struct NewExtendedMiningJob {
  std::uint32_t channel_id = 0;
  std::uint32_t job_id = 0;
  Option<std::uint32_t> min_ntime{};  ///< Empty: a future job.
  std::uint32_t version = 0;
  bool version_rolling_allowed = false;
  Seq0_255<U256> merkle_path{};  ///< Deepest first.
  B0_64K coinbase_tx_prefix{};   ///< Without BIP141 fields (03 §3.7.1).
  B0_64K coinbase_tx_suffix{};

  ADIT_MESSAGE(NewExtendedMiningJob, "NewExtendedMiningJob", kCore, 0x1f, kForChannel, channel_id, job_id, min_ntime, version,
               version_rolling_allowed, merkle_path, coinbase_tx_prefix, coinbase_tx_suffix);
};

/// 05 §5.3.17, server to client; `channel_id` may be a group's. Voids every other job of those channels.
struct SetNewPrevHash {
  std::uint32_t channel_id = 0;
  std::uint32_t job_id = 0;
  U256 prev_hash{};
  std::uint32_t min_ntime = 0;
  std::uint32_t nbits = 0;

  ADIT_MESSAGE(SetNewPrevHash, "SetNewPrevHash", kCore, 0x20, kForChannel, channel_id, job_id, prev_hash, min_ntime, nbits);
};

/// 05 §5.3.21, server to client; `channel_id` may be a group's.
struct SetTarget {
  std::uint32_t channel_id = 0;
  U256 maximum_target{};

  ADIT_MESSAGE(SetTarget, "SetTarget", kCore, 0x21, kForChannel, channel_id, maximum_target);
};

/// 05 §5.3.18, client to server. Its channel bit, and that of its answers, is set since May 2026 (sv2-spec #196).
struct SetCustomMiningJob {
  std::uint32_t channel_id = 0;
  std::uint32_t request_id = 0;
  B0_255 mining_job_token{};
  std::uint32_t version = 0;
  U256 prev_hash{};
  std::uint32_t min_ntime = 0;
  std::uint32_t nbits = 0;
  std::uint32_t coinbase_tx_version = 0;
  B0_255 coinbase_prefix{};  ///< The front of the coinbase input's script.
  std::uint32_t coinbase_tx_input_n_sequence = 0;
  B0_64K coinbase_tx_outputs{};  ///< With a CompactSize count.
  std::uint32_t coinbase_tx_locktime = 0;
  Seq0_255<U256> merkle_path{};

  ADIT_MESSAGE(SetCustomMiningJob, "SetCustomMiningJob", kCore, 0x22, kForChannel, channel_id, request_id, mining_job_token,
               version, prev_hash, min_ntime, nbits, coinbase_tx_version, coinbase_prefix, coinbase_tx_input_n_sequence,
               coinbase_tx_outputs, coinbase_tx_locktime, merkle_path);
};

/// 05 §5.3.19, server to client.
struct SetCustomMiningJobSuccess {
  std::uint32_t channel_id = 0;
  std::uint32_t request_id = 0;
  std::uint32_t job_id = 0;

  ADIT_MESSAGE(SetCustomMiningJobSuccess, "SetCustomMiningJob.Success", kCore, 0x23, kForChannel, channel_id, request_id,
               job_id);
};

/// 05 §5.3.20, server to client.
struct SetCustomMiningJobError {
  std::uint32_t channel_id = 0;
  std::uint32_t request_id = 0;
  Str0_255 error_code{};

  ADIT_MESSAGE(SetCustomMiningJobError, "SetCustomMiningJob.Error", kCore, 0x24, kForChannel, channel_id, request_id,
               error_code);
};

/// 05 §5.3.22, server to client.
struct SetGroupChannel {
  std::uint32_t group_channel_id = 0;
  Seq0_64K<std::uint32_t> channel_ids{};

  ADIT_MESSAGE(SetGroupChannel, "SetGroupChannel", kCore, 0x25, kForConnection, group_channel_id, channel_ids);
};

}  // namespace adit::wire
