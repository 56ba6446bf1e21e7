// What a peer speaks, told from the first bytes that it sent: so that a connection that came to the wrong port is closed at
// once, by a sentence that says what came, instead of standing silent until a deadline.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/bytes.h"

namespace adit::session {

/// What the first bytes of a connection look like.
enum class Spoken : std::uint8_t {
  kUndecided,  ///< There are too few bytes to tell.
  kSv1,        ///< A line of Stratum V1: a JSON object, or only blanks so far.
  kTls,        ///< A TLS ClientHello.
  kHttp,       ///< An HTTP request.
  kProxyV1,    ///< A PROXY protocol header, version 1 (a line of text).
  kProxyV2,    ///< A PROXY protocol header, version 2 (binary).
  kPlainSv2,   ///< A Stratum V2 SetupConnection that is not encrypted.
  kText,       ///< Printable text that is none of these.
  kBytes,      ///< Bytes that are none of these. A Stratum V2 handshake looks like this: its first 64 bytes are random.
};

/// So many bytes tell every protocol above. Fewer never do, unless the peer is silent: one random handshake in 256 begins with
/// the `{` of Stratum V1, one in 20 million has eight bytes that look like it.
inline constexpr std::size_t kFirstBytes = 8;

/// Tells from `first`, what the peer has sent so far. `silent`: the peer has sent nothing more for a while, so that fewer than
/// kFirstBytes bytes decide, too. kUndecided: only if fewer are there and the peer is not silent, or if there are none.
Spoken recognize(Bytes first, bool silent);

/// The name of it, for a sentence: "TLS", "an HTTP request".
std::string_view to_words(Spoken spoken);

/// Whether eight bytes prove that the peer does not begin a Stratum V2 handshake: they look like one of the named protocols.
/// Text alone proves nothing, as one handshake in 2,500 begins with eight printable bytes.
bool is_no_handshake(Spoken spoken);

/// What a peer that speaks this should do, at a port that takes encrypted Stratum V2. Empty: nothing is known.
std::string_view advice_at_sv2_port(Spoken spoken);
/// Likewise at a port that takes Stratum V1.
std::string_view advice_at_sv1_port(Spoken spoken);

}  // namespace adit::session
