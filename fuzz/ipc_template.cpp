// A node's answers about a template by IPC: whatever they are, what is taken for a template gives a coinbase and a block.
#include <capnp/serialize.h>
#include <kj/exception.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/require_testing.h"
#include "bitcoin/block.h"
#include "bitcoin/coinbase.h"
#include "bitcoin/consensus.h"
#include "bitcoin/tx.h"
#include "ipc/template_reader.h"
#include "template/ipc_template.h"

namespace {

/// What `read` makes of the message's root; no value where Cap'n Proto or the reader refuses it.
template <class Root, class Read>
auto read_root(kj::ArrayPtr<const capnp::word> words, Read read) {
  std::optional<typename decltype(read(std::declval<typename Root::Reader>()))::value_type> found;
  capnp::ReaderOptions limits;
  limits.traversalLimitInWords = 1 << 16;
  (void)kj::runCatchingExceptions([&] {
    capnp::FlatArrayMessageReader message(words, limits);
    if (auto result = read(message.template getRoot<Root>())) found = std::move(*result);
  });
  return found;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace adit;
  constexpr std::size_t kBefore = 1 + bitcoin::kHeaderSize;
  if (size < kBefore) return 0;
  // A byte that says how it is read, a header, and a message that is taken for each of three answers.
  const std::uint8_t how = data[0];
  ipc::TemplateData read;
  read.header = bitcoin::BlockHeader::parse(Bytes(data + 1, bitcoin::kHeaderSize).first<bitcoin::kHeaderSize>());
  std::vector<capnp::word> words((size - kBefore) / sizeof(capnp::word));
  if (!words.empty()) std::memcpy(words.data(), data + kBefore, words.size() * sizeof(capnp::word));
  const kj::ArrayPtr<const capnp::word> message(words.data(), words.size());
  using Path = ipc::schema::BlockTemplate::GetCoinbaseMerklePathResults;
  if (auto path = read_root<Path>(message, [](auto root) { return ipc::read_merkle_path(root.getResult()); }))
    read.merkle_path = *path;
  (void)read_root<ipc::schema::BlockRef>(message, [](auto root) { return ipc::read_tip(root); });
  auto coinbase = read_root<ipc::schema::CoinbaseTx>(message, [](auto root) { return ipc::read_coinbase(root); });
  if (!coinbase) return 0;
  read.coinbase = *coinbase;

  const Now now{.instant = {}, .unix_time = from_u32(1'800'000'000)};
  const auto tip =
      (how & 1) != 0
          ? std::optional(templates::TipTimes{read.header.prev_hash, read.header.ntime - how, read.header.ntime - 3 * how})
          : std::nullopt;
  const char* chain = (how & 2) != 0 ? "testnet4" : "main";
  (void)templates::needs_tip_times(read, chain, now);
  const auto made = templates::make_template(read, chain, tip, now);
  if (!made) return 0;
  require(made->height > 0 && made->coinbase_value_sat <= bitcoin::kMaxMoneySat);
  require(bitcoin::height_push(made->height) == made->coinbase_script_prefix);
  require(made->min_ntime <= made->current_time || made->min_ntime <= made->max_ntime);
  const auto parts = bitcoin::build_coinbase(*made, {}, "", 4);
  require(parts.has_value());
  bitcoin::BlockSolution solution{made->version, made->current_time, 7, parts->prefix};
  solution.coinbase.insert(solution.coinbase.end(), {1, 2, 3, 4});
  solution.coinbase.insert(solution.coinbase.end(), parts->suffix.begin(), parts->suffix.end());
  const auto block = bitcoin::assemble_block(*made, solution);
  require(block.has_value());
  // What a node gives as the whole block of it may be anything: these bytes, or that block.
  (void)bitcoin::assemble_block(*made, solution, Bytes(data, size));
  if (made->merkle_path.empty()) require(bitcoin::assemble_block(*made, solution, block->bytes)->bytes == block->bytes);
  return 0;
}
