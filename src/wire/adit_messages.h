// Extension 0x4AD1, our own, in the range for experiments: orderly endings, round trips, a pool's jobs for those who bring
// their own work, and the frames of lanes (docs/lanes.md). All for the connection, none for a channel. Negotiated by
// RequestExtensions (ext 0x0001); spoken over lanes without asking.
#pragma once

#include "wire/message.h"

namespace adit::wire {

inline constexpr std::uint16_t kAditExtension = 0x4AD1;

/// Either way: the sender begins nothing new and asks for the session's end. The receiver finishes what is under way, answers
/// all of it, then sends GoodbyeAck as its last frame.
struct Goodbye {
  Str0_255 reason{};           ///< For the log.
  std::uint32_t drain_ms = 0;  ///< How long the sender waits for the acknowledgement.

  ADIT_MESSAGE(Goodbye, "Goodbye", kAditExtension, 0x00, kForConnection, reason, drain_ms);
};

/// Answers Goodbye: all that came before it was handled and answered; no frame follows.
struct GoodbyeAck {
  ADIT_MESSAGE(GoodbyeAck, "GoodbyeAck", kAditExtension, 0x01, kForConnection);
};

/// Either way; answered at once.
struct Ping {
  std::uint64_t nonce = 0;    ///< Comes back in the answer.
  std::uint64_t time_ms = 0;  ///< Unix time by the sender's clock, milliseconds.

  ADIT_MESSAGE(Ping, "Ping", kAditExtension, 0x02, kForConnection, nonce, time_ms);
};

struct Pong {
  std::uint64_t nonce = 0;    ///< The Ping's.
  std::uint64_t time_ms = 0;  ///< Unix time by the clock of who answers, milliseconds.

  ADIT_MESSAGE(Pong, "Pong", kAditExtension, 0x03, kForConnection, nonce, time_ms);
};

/// On a session's second lane: what follows waits until each of the first `control_frames` frames of control was handled.
struct ControlMark {
  std::uint64_t control_frames = 0;  ///< Sent on control since the session's start, marks not counted.

  ADIT_MESSAGE(ControlMark, "ControlMark", kAditExtension, 0x04, kForConnection, control_frames);
};

/// On control: the next frame, it alone, waits until `data_frames` frames of the session's second lane were handled.
struct DataMark {
  std::uint64_t data_frames = 0;  ///< Sent on the second lane since the session's start, marks not counted.

  ADIT_MESSAGE(DataMark, "DataMark", kAditExtension, 0x05, kForConnection, data_frames);
};

/// The listener's first frame on control: the authority's word that this iroh endpoint speaks for it (docs/lanes.md §3). The
/// endpoint id is not in it: the verifier puts in the one that TLS proved.
struct EndpointCertificate {
  std::uint16_t version = 0;          ///< 0.
  std::uint32_t valid_from = 0;       ///< Unix time, seconds.
  std::uint32_t not_valid_after = 0;  ///< Unix time, seconds.
  Signature signature{};              ///< BIP340, by the authority's key.

  ADIT_MESSAGE(EndpointCertificate, "EndpointCertificate", kAditExtension, 0x06, kForConnection, version, valid_from,
               not_valid_after, signature);
};

/// Client to server, on a mining session with REQUIRES_WORK_SELECTION: from now on the server sends its own jobs and tips on
/// its extended channels too, as it does on other connections, beginning with the current one. A client mines them while the
/// server's tip is newer than its own; shares on them are shares as any others. No answer; a second one changes nothing.
struct FollowPoolTip {
  ADIT_MESSAGE(FollowPoolTip, "FollowPoolTip", kAditExtension, 0x07, kForConnection);
};

}  // namespace adit::wire
