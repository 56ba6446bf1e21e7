#include "mining/sv1_work.h"

#include "base/sha256.h"
#include "bitcoin/merkle.h"
#include "channels/share.h"

namespace adit::mining {

std::array<std::uint8_t, bitcoin::kHeaderSize> header_of(const sv1::Work& work, const sv1::Extranonce& extranonce2) {
  const sv1::Notify& job = work.job;
  const Sha256Digest inner = Sha256()
                                 .update(job.coinbase1)
                                 .update(work.extranonce1.bytes())
                                 .update(extranonce2.bytes())
                                 .update(job.coinbase2)
                                 .finish();
  const channels::HeaderRules rules{.version = job.version, .prev_hash = job.prev_hash, .nbits = job.nbits};
  return channels::share_header(rules, {.ntime = job.ntime, .version = job.version},
                                bitcoin::fold_merkle_path(sha256(inner), job.merkle_path));
}

}  // namespace adit::mining
