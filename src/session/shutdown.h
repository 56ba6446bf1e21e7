// How a connection, a session or a whole role is to end.
#pragma once

#include "base/time.h"

namespace adit::session {

/// How a connection is to end. Whatever it is, it ends within its deadline.
struct ShutdownBehavior {
  enum class Kind {
    kImmediate,  ///< Now: what is queued or under way is lost.
    kDrain,      ///< What was asked is answered as far as the carrier delivers it; then FIN. What any peer understands.
    kGoodbye,    ///< Both sides agree that nothing is under way any more. A peer without the extension is drained.
  };
  Kind kind = Kind::kGoodbye;
  Duration deadline = std::chrono::seconds(5);
};

}  // namespace adit::session
