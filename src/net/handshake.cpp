#include "net/handshake.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "net/deadline.h"
#include "net/exact_io.h"
#include "noise/handshake.h"
#include "session/first_bytes.h"

namespace adit::net {
namespace {

using Codec = std::unique_ptr<wire::FrameCodec>;

/// True for bytes that no random key could plausibly be: 16 of them, all printable.
bool is_text(Bytes bytes) {
  return bytes.size() >= 16 && std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) {
           return (byte >= 0x20 && byte < 0x7f) || byte == '\r' || byte == '\n' || byte == '\t';
         });
}

enum class Came { kSoFar, kAll };  // kAll: no more will come, so that fewer than session::kFirstBytes tell, too.

/// What the peer sent; empty: it may be a handshake.
std::string what_it_sent(Bytes bytes, Came came) {
  const auto spoken = session::recognize(bytes, came == Came::kAll);
  if (session::is_no_handshake(spoken)) return "it sent " + std::string(session::to_words(spoken));
  return is_text(bytes) ? "it sent plain text" : "";
}

/// The same of a client, and what it should do instead.
std::string what_client_sent(Bytes bytes, Came came) {
  auto sent = what_it_sent(bytes, came);
  const auto advice = session::advice_at_sv2_port(session::recognize(bytes, came == Came::kAll));
  if (!sent.empty() && !advice.empty()) sent.append("; ").append(advice);
  return sent;
}

std::unexpected<Error> other_protocol(std::string_view what) {
  return fail(Errc::kProtocol, "the peer does not speak encrypted Stratum V2: " + std::string(what));
}

std::string progress(std::size_t got, std::size_t wanted) {
  return std::to_string(got) + " of " + std::to_string(wanted) + " bytes of the handshake arrived";
}

/// The error of a step that ended early, in words that say what the peer did.
std::unexpected<Error> broken_off(Error error, const Deadline& deadline, Bytes came, std::size_t wanted) {
  if (const auto speaks = what_client_sent(came, Came::kAll); !speaks.empty()) return other_protocol(speaks);
  if (deadline.passed())
    return fail(Errc::kTimedOut, "the peer did not finish the handshake in time: " + progress(came.size(), wanted));
  if (error.is(Errc::kEndOfStream)) {
    return fail(Errc::kEndOfStream, "the peer closed the connection during the handshake: " + progress(came.size(), wanted));
  }
  return fail(std::move(error).in("during the handshake"));
}

asio::awaitable<Result<Codec>> respond_steps(Shard& shard, ByteStream& stream, noise::CertificateSource& certificates,
                                             HandshakeOptions options) {
  const Deadline deadline(shard.context(), stream, options.deadline);
  std::array<std::uint8_t, noise::kAct1Size> act1;
  // A peer at the wrong port is told by its first bytes: it waits for an answer, and would send no more.
  std::size_t got = 0;
  for (const std::size_t wanted : {session::kFirstBytes, act1.size()}) {
    std::size_t more = 0;
    auto read = co_await read_exactly(stream, MutableBytes(act1).first(wanted).subspan(got), more);
    got += more;
    if (!read) co_return broken_off(std::move(read.error()), deadline, Bytes(act1).first(got), act1.size());
    if (options.sv1 != nullptr && session::recognize(Bytes(act1).first(got), false) == session::Spoken::kSv1)
      options.sv1->assign(act1.begin(), act1.begin() + static_cast<std::ptrdiff_t>(got));
    if (const auto speaks = what_client_sent(Bytes(act1).first(got), Came::kSoFar); !speaks.empty())
      co_return other_protocol(speaks);
  }
  const auto key = certificates.current(now_from_system().unix_time);
  auto answer = noise::Responder::answer(act1, *key, noise::system_random(), options.max_payload);
  if (!answer) co_return fail(Errc::kHandshake, answer.error().message());
  if (auto written = co_await write_all(stream, answer->act2); !written) {
    co_return broken_off(std::move(written.error()), deadline, {}, 0);
  }
  co_return std::make_unique<noise::Session>(std::move(answer->session));
}

asio::awaitable<Result<Codec>> initiate_steps(Shard& shard, ByteStream& stream, std::optional<noise::PublicKey> authority,
                                              HandshakeOptions options) {
  const Deadline deadline(shard.context(), stream, options.deadline);
  noise::Initiator initiator(authority, noise::system_random());
  if (auto written = co_await write_all(stream, initiator.act1()); !written) {
    co_return broken_off(std::move(written.error()), deadline, {}, noise::kAct2Size);
  }
  std::array<std::uint8_t, noise::kAct2Size> act2;
  std::size_t got = 0;
  if (auto read = co_await read_exactly(stream, act2, got); !read) {
    co_return broken_off(std::move(read.error()), deadline, Bytes(act2).first(got), act2.size());
  }
  auto session = initiator.read_act2(act2, now_from_system().unix_time, options.max_payload);
  if (options.certificate) *options.certificate = initiator.certificate();
  if (session) co_return std::make_unique<noise::Session>(std::move(*session));
  const auto& error = session.error();
  if (error.is(noise::Errc::kAuthentication) || error.is(noise::Errc::kBadLength)) {
    if (const auto speaks = what_it_sent(act2, Came::kAll); !speaks.empty()) co_return other_protocol(speaks);
    co_return fail(Errc::kProtocol, "the peer does not speak encrypted Stratum V2 (" + error.message() + ")");
  }
  co_return fail(Errc::kHandshake, error.message());
}

}  // namespace

asio::awaitable<Result<Codec>> respond(Shard& shard, ByteStream& stream, noise::CertificateSource& certificates,
                                       HandshakeOptions options) {
  auto codec = co_await respond_steps(shard, stream, certificates, options);
  const bool speaks_sv1 = options.sv1 != nullptr && !options.sv1->empty();
  if (!codec && !speaks_sv1) stream.close(CloseCode::kProtocolError);
  co_return codec;
}

asio::awaitable<Result<Codec>> initiate(Shard& shard, ByteStream& stream, std::optional<noise::PublicKey> authority,
                                        HandshakeOptions options) {
  auto codec = co_await initiate_steps(shard, stream, authority, options);
  if (!codec) stream.close(codec.error().is(Errc::kHandshake) ? CloseCode::kUnauthorized : CloseCode::kProtocolError);
  co_return codec;
}

}  // namespace adit::net
