#include "net/dial.h"

#include <string>
#include <utility>

#include "net/framed.h"
#include "net/handshake.h"
#include "net/tcp.h"

namespace adit::net {
namespace {

asio::awaitable<Result<std::unique_ptr<ByteStream>>> open_stream(Shard& shard, const TransportConfig& to,
                                                                 const DialOptions& options) {
  if (const auto* tcp = std::get_if<TcpConfig>(&to)) co_return co_await dial_tcp(shard, *tcp, options.connect_deadline);
  if (!options.iroh) {
    co_return fail(Errc::kUnsupported,
                   "this program was built or configured without iroh: use a stratum2+tcp:// URL, build with ADIT_IROH=ON, or "
                   "enable [iroh]");
  }
  co_return co_await options.iroh->dial(shard, std::get<IrohConfig>(to), options.connect_deadline);
}

}  // namespace

asio::awaitable<Result<std::unique_ptr<NetworkConnection>>> dial(Shard& shard, Upstream to, DialOptions options) {
  if (to.dialect != Dialect::kStratumV2) {
    co_return fail(Errc::kConfiguration,
                   to_url(to) + " is a Stratum V1 URL; here a Stratum V2 peer is needed (stratum2+tcp:// or stratum2+iroh://)");
  }
  const auto name = to_url(to);
  auto stream = co_await open_stream(shard, to.transport, options);
  if (!stream) co_return fail(std::move(stream.error()).in(name));
  std::optional<noise::Certificate> certificate;
  auto codec = co_await initiate(
      shard, **stream, to.authority,
      {.deadline = options.handshake_deadline, .max_payload = options.max_payload, .certificate = &certificate});
  if (!codec) co_return fail(std::move(codec.error()).in(name));
  FramedOptions framed;
  framed.max_queued_bytes = options.max_queued_bytes;
  if (to.authority) framed.authority_key = noise::to_text(*to.authority);
  if (certificate) framed.certificate_until = from_u32(certificate->not_valid_after);
  co_return std::make_unique<FramedConnection>(shard, std::move(*stream), std::move(*codec), std::move(framed));
}

asio::awaitable<Result<std::unique_ptr<NetworkConnection>>> dial_in_order(Shard& shard, std::vector<Upstream> candidates,
                                                                          DialOptions options) {
  if (candidates.empty()) co_return fail(Errc::kConfiguration, "no upstream is configured");
  std::string earlier;
  for (std::size_t i = 0;; ++i) {
    auto connection = co_await dial(shard, candidates[i], options);
    if (connection) co_return std::move(*connection);
    if (i + 1 == candidates.size()) {
      co_return fail(earlier.empty() ? std::move(connection.error()) : std::move(connection.error()).in(earlier + "then"));
    }
    earlier += connection.error().message() + "; ";
  }
}

}  // namespace adit::net
