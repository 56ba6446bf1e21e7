#include "template/sv2_template.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>

#include "bitcoin/coinbase.h"
#include "bitcoin/consensus.h"
#include "bitcoin/tx.h"
#include "bitcoin/u256.h"
#include "session/dispatch.h"

namespace adit::templates {
namespace {

constexpr std::uint64_t kReserveBesideOutputs = 1168;
constexpr std::uint64_t kMaxBlockSigopsCost = 80'000;
constexpr std::uint64_t kWeightPerByte = 4;
constexpr std::uint32_t kCostPerSigop = 4;
// SV2 07 §7.2.
constexpr std::size_t kMaxCoinbasePrefix = 8;
// A coinbase without its outputs, its script of 100 bytes and the witness included, is smaller.
constexpr std::size_t kCoinbaseBesideOutputs = 256;
constexpr std::size_t kMaxCoinbase = 0xffff;
// 2^24 transactions: a hundred blocks.
constexpr std::size_t kMaxMerklePath = 24;
// Blocks whose time is further ahead are refused by the network for now (Bitcoin Core's MAX_FUTURE_BLOCK_TIME).
constexpr std::int64_t kMaxFuture = 2 * 3600;
// BIP141: OP_RETURN, 36 bytes, and the header of the commitment.
constexpr std::array<std::uint8_t, 6> kWitnessCommitment{0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed};

std::unexpected<Error> nonsense(const std::string& what) {
  return fail(Errc::kNonsense, "the provider's template makes no sense: " + what);
}

/// A provider may have put more behind the height.
std::optional<std::uint32_t> height_in(Bytes script) {
  const auto height = bitcoin::height_at_front(script);
  return height && *height != 0 && *height <= 0x7fffffff ? height : std::nullopt;
}

}  // namespace

Result<CoinbaseConstraints> read_constraints(const wire::FrameView& frame) {
  using Message = wire::CoinbaseOutputConstraints;
  if (frame.payload.size() == sizeof(std::uint32_t)) {
    return CoinbaseConstraints{.max_additional_size = load_le<std::uint32_t>(frame.payload.data()),
                               .max_additional_sigops = kUnsaidSigops};
  }
  ADIT_TRY(const auto message, session::decode<Message>(frame));
  const std::uint32_t cost = message.coinbase_output_max_additional_sigops;
  return CoinbaseConstraints{.max_additional_size = message.coinbase_output_max_additional_size,
                             .max_additional_sigops = (cost + kCostPerSigop - 1) / kCostPerSigop};
}

wire::CoinbaseOutputConstraints to_message(CoinbaseConstraints constraints) {
  const std::uint64_t cost = std::uint64_t{kCostPerSigop} * constraints.max_additional_sigops;
  return {.coinbase_output_max_additional_size = constraints.max_additional_size,
          .coinbase_output_max_additional_sigops = static_cast<std::uint16_t>(std::min<std::uint64_t>(cost, 0xffff))};
}

std::uint64_t reserved_weight(CoinbaseConstraints constraints) {
  return kReserveBesideOutputs + kWeightPerByte * std::uint64_t{constraints.max_additional_size};
}

bool fits_a_block(CoinbaseConstraints constraints) {
  return reserved_weight(constraints) <= bitcoin::kMaxBlockWeight &&
         std::uint64_t{kCostPerSigop} * constraints.max_additional_sigops <= kMaxBlockSigopsCost;
}

Result<Sv2TemplatePtr> encode_template(TemplatePtr made, std::uint64_t id, std::shared_ptr<TemplateSource> source) {
  const auto target = bitcoin::target_from_compact(made->nbits);
  if (!target) return nonsense("its bits are no target");
  if (made->coinbase_script_prefix.size() > kMaxCoinbasePrefix)
    return nonsense("its coinbase's script begins with more than 8 bytes");
  std::vector<std::uint8_t> outputs;
  for (const bitcoin::TxOutput& output : made->coinbase_outputs) bitcoin::append_output(outputs, output);
  wire::NewTemplate message{.template_id = id,
                            .future_template = false,
                            .version = made->version,
                            .coinbase_tx_version = made->coinbase_version,
                            .coinbase_prefix = made->coinbase_script_prefix,
                            .coinbase_tx_input_sequence = made->coinbase_sequence,
                            .coinbase_tx_value_remaining = made->coinbase_value_sat,
                            .coinbase_tx_outputs_count = static_cast<std::uint32_t>(made->coinbase_outputs.size()),
                            .coinbase_tx_outputs = outputs,
                            .coinbase_tx_locktime = made->coinbase_locktime,
                            .merkle_path = made->merkle_path};
  auto encoded = std::make_shared<Sv2Template>();
  encoded->id = id;
  bool written = encoded->as_update.push(message);
  message.future_template = true;
  written = encoded->as_tip.push(message) && written;
  if (!written) return nonsense("its outputs or its merkle path are too long for NewTemplate");
  encoded->as_tip.push(wire::SetNewPrevHashTdp{.template_id = id,
                                               .prev_hash = made->prev_hash,
                                               .header_timestamp = made->current_time,
                                               .n_bits = made->nbits,
                                               .target = target->to_le()});
  encoded->made = std::move(made);
  encoded->source = std::move(source);
  return Sv2TemplatePtr(std::move(encoded));
}

Result<Template> read_new_template(const wire::NewTemplate& message, CoinbaseConstraints constraints) {
  Template made;
  made.version = message.version;
  made.coinbase_version = message.coinbase_tx_version;
  if (message.coinbase_prefix.size() > kMaxCoinbasePrefix)
    return nonsense("the coinbase's script begins with more than 8 bytes");
  const auto height = height_in(message.coinbase_prefix);
  if (!height) return nonsense("the coinbase's script does not begin with the block's height (BIP34)");
  made.height = *height;
  made.coinbase_script_prefix.assign(message.coinbase_prefix.begin(), message.coinbase_prefix.end());
  made.coinbase_sequence = message.coinbase_tx_input_sequence;
  made.coinbase_locktime = message.coinbase_tx_locktime;
  if (message.coinbase_tx_value_remaining > bitcoin::kMaxMoneySat)
    return nonsense("the coinbase has more value than there can be");
  made.coinbase_value_sat = message.coinbase_tx_value_remaining;
  auto outputs = bitcoin::parse_outputs(message.coinbase_tx_outputs, message.coinbase_tx_outputs_count);
  if (!outputs) return nonsense("the coinbase's outputs: " + outputs.error().message());
  const std::uint64_t size =
      message.coinbase_tx_outputs.size() + std::uint64_t{constraints.max_additional_size} + kCoinbaseBesideOutputs;
  if (size > kMaxCoinbase)
    return nonsense("the coinbase's outputs leave no room for ours: it would not fit into SubmitSolution");
  made.coinbase_outputs = std::move(*outputs);
  made.has_witness_commitment = std::ranges::any_of(made.coinbase_outputs, [](const bitcoin::TxOutput& output) {
    return output.script.size() >= 38 && std::ranges::equal(kWitnessCommitment, std::span(output.script).first(6));
  });
  if (message.merkle_path.size() > kMaxMerklePath) return nonsense("the merkle path is deeper than that of any block");
  made.merkle_path.assign(message.merkle_path.begin(), message.merkle_path.end());
  return made;
}

Result<> set_prev_hash(Template& made, const wire::SetNewPrevHashTdp& message, UnixTime now) {
  const auto target = bitcoin::target_from_compact(message.n_bits);
  if (!target || *target == bitcoin::U256()) return nonsense("its bits are no target");
  made.prev_hash = message.prev_hash;
  made.nbits = message.n_bits;
  const std::uint32_t ours = to_u32(now);
  const bool refused = std::int64_t{message.header_timestamp} - std::int64_t{ours} > kMaxFuture;
  made.min_ntime = refused ? ours : message.header_timestamp;
  made.current_time = made.min_ntime;
  return {};
}

}  // namespace adit::templates
