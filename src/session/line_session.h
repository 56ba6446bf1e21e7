// What a driver of byte connections carries bytes for: the engine of one connection that speaks lines, such as an SV1 miner's.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/time.h"

namespace adit::session {

/// One connection. Not thread-safe; no I/O, time is an argument.
class LineSession {
 public:
  /// Takes any chunk of what the peer sent. What is wrong with it ends the session.
  virtual void on_bytes(Bytes bytes, const Now& now) = 0;
  /// Bytes for the peer. The driver sends and clears them.
  [[nodiscard]] virtual std::string& output() = 0;
  /// Not empty: the connection is to be closed after the output is written. Why, in one sentence.
  [[nodiscard]] virtual const std::string& ended() const = 0;
  /// The peer has shown what it is: its connection counts no more as a handshake.
  [[nodiscard]] virtual bool established() const = 0;
  /// Shares of the peer that were good: a connection on which work is done is not given up for another one.
  [[nodiscard]] virtual std::uint64_t good_shares() const = 0;

 protected:
  ~LineSession() = default;
};

}  // namespace adit::session
