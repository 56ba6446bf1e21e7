// What a translator is told, what it counts, why it gives an upstream up.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace adit::translator {

/// Why an upstream is to be given up for now.
enum class Errc {
  kProtocol,       ///< It broke the protocol; the sentence says how.
  kRefused,        ///< It refused SetupConnection, an extension that we require, or the first channel.
  kTimedOut,       ///< It did not answer SetupConnection or an open in time.
  kConfiguration,  ///< Not to be used until somebody changes the configuration, so never dialled again by itself.
};
constexpr std::string_view error_layer(Errc) { return "translator"; }
std::string_view error_name(Errc code);

struct Options {
  std::uint8_t extranonce2_size = 4;                  ///< Bytes that a miner rolls.
  bool aggregate = false;                             ///< One channel upstream for all miners, instead of one each.
  double min_hash_rate_hps = 1e6;                     ///< Of the weakest miner: what a channel is opened with.
  double shares_per_minute = 6;                       ///< Of one miner.
  std::uint64_t first_number = 1;                     ///< The N of the first miner's `minerN`, and
  std::uint64_t number_step = 1;                      ///< what lies between two: shards count in turns.
  bool verify_payout = false;                         ///< Jobs must pay what the user_identity asks for (channels/payout.h).
  bool vardiff = true;                                ///< False: difficulty is the upstream's.
  std::vector<std::uint16_t> extensions{};            ///< Asked of the upstream (ext 0x0001); of them we know 0x0002.
  std::vector<std::uint16_t> required_extensions{};   ///< Those without which the upstream is refused; asked for too.
  Duration keepalive = std::chrono::seconds(60);      ///< A miner without news for so long gets its job anew; 0: never.
  Duration setup_timeout = std::chrono::seconds(10);  ///< For the answer to SetupConnection.
  Duration negotiation_timeout = std::chrono::seconds(3);  ///< For that to RequestExtensions: who does not know it ignores it.
  Duration open_timeout = std::chrono::seconds(20);        ///< For the answer to an open.
  Duration handshake_timeout = std::chrono::seconds(
      90);  ///< From a miner's connection to its first job's being due: cgminer gives up after 60 s itself.
};

/// Totals since the start, and what is open now.
struct Counters {
  std::size_t miners = 0;              ///< Connected now.
  std::size_t ready_miners = 0;        ///< Subscribed and authorized now.
  std::size_t channels = 0;            ///< Open upstream now.
  double hash_rate_hps = 0;            ///< Of all ready miners now, as estimated.
  std::uint64_t shares_submitted = 0;  ///< Sent upstream.
  std::uint64_t shares_accepted = 0;   ///< Acknowledged by SubmitShares.Success.
  std::uint64_t shares_local = 0;      ///< Accepted from a miner but easier than the upstream's target: not sent.
  std::uint64_t blocks_found = 0;      ///< Shares sent that met the network's target.
  std::uint64_t work_sum = 0;          ///< Sum of SubmitShares.Success.new_shares_sum.
  std::map<std::string, std::uint64_t, std::less<>>
      rejected_upstream;                         ///< By error code of SubmitShares.Error; at most 32 codes, then "other".
  std::map<int, std::uint64_t> rejected_local;   ///< By SV1 code.
  std::uint64_t shares_orphaned = 0;             ///< Of these: for jobs of an upstream that had been left by then; code 21.
  std::uint64_t unknown_channel_messages = 0;    ///< Upstream messages for channels that are not (or no longer) ours.
  std::uint64_t unknown_extension_messages = 0;  ///< Upstream messages of extensions that we do not know.
  std::uint64_t jobs = 0;                        ///< NewExtendedMiningJob received.
};

}  // namespace adit::translator
