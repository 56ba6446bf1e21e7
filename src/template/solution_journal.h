// Solutions of template providers' work on disk until their effect was seen: what lets one outlive a crash of ours when its
// block does not, because the template's transactions are not here.
//
// The folder holds one file a solution, `HEIGHT-HASH.solution` (HASH as explorers print it): a JSON object. It is written under
// another name (`.new`), synced and renamed, and the folder is synced.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "base/time.h"
#include "template/sv2_client.h"

namespace adit::templates {

/// One folder, which several providers' journals may share. Not thread-safe; its calls block for as long as the disk takes.
class SolutionJournal {
 public:
  /// Of one folder; a file beyond is not read.
  static constexpr std::size_t kMaxKept = 1000;

  /// `files` must outlive the journal.
  SolutionJournal(FileSystem& files, std::string folder) : files_(files), folder_(std::move(folder)) {}

  /// The solution is on disk, whatever may crash, when this returns without error. Errors: ledger's kJournal.
  Result<> add(const Sv2Solution& solution);

  /// Its fate is known. That is not synced: one that a crash brings back is sent once more.
  void settled(const Hash256& hash, std::uint32_t height);

  /// What an earlier run left of that provider's, lowest first. Files of solutions that were found before `oldest`, and
  /// unfinished ones, are removed; those that hold no solution are left as they are.
  [[nodiscard]] std::vector<Sv2Solution> read(std::string_view provider, UnixTime oldest);

 private:
  FileSystem& files_;
  std::string folder_;
};

/// The text of a file. The height, the hash and the coinbase are what a person may want to see of it.
std::string solution_text(const Sv2Solution& solution);

/// Nullopt for anything but what solution_text makes.
std::optional<Sv2Solution> parse_solution(std::string_view text);

}  // namespace adit::templates
