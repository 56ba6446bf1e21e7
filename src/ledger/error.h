// Errors of the ledger; each value says what its holder should do next.
#pragma once

#include <string_view>

namespace adit::ledger {

enum class Errc {
  kJournal,  ///< The journal of found blocks cannot be written or read: fix the folder or the disk.
  kInUse,    ///< Another process keeps its found blocks in the same folder: give each a folder of its own.
  kFull,     ///< More found blocks wait for an answer than are kept: find out why no node answers.
  kStopped,  ///< The submitter has been stopped.
};

constexpr std::string_view error_layer(Errc) { return "ledger"; }

constexpr std::string_view error_name(Errc code) {
  switch (code) {
    case Errc::kJournal:
      return "journal";
    case Errc::kInUse:
      return "in-use";
    case Errc::kFull:
      return "full";
    case Errc::kStopped:
      return "stopped";
  }
  return "unknown";
}

}  // namespace adit::ledger
