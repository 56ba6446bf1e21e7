// The folder of found blocks with any file in it: a name, a line feed, the content. What is taken for a block is one, and what
// is none is neither lost nor in the way.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/file_testing.h"
#include "base/hex.h"
#include "base/require_testing.h"
#include "ledger/block_journal.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace adit;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t line = text.find('\n');
  if (line == std::string_view::npos || line == 0) return 0;
  const std::string name(text.substr(0, line));
  const std::string_view content = text.substr(line + 1);
  if (name.find('/') != std::string::npos) return 0;

  const auto block = ledger::parse_journal_file(name, content);
  if (block) {
    require(from_hex(content.substr(0, content.size() - (content.ends_with('\n') ? 1 : 0))) == block->bytes);
    const auto again = ledger::parse_journal_file(std::to_string(block->height) + "-" + to_hex_reversed(block->hash) + ".block",
                                                  to_hex(block->bytes) + "\n");
    require(again && again->hash == block->hash && again->height == block->height && again->bytes == block->bytes);
  }
  MemoryFileSystem files;
  require(make_folders(files, "blocks").has_value());
  files.put("blocks/" + name, std::string(content));
  auto journal = ledger::BlockJournal::open(files, "blocks");
  const bool is_ours = name.ends_with(".block") || name.ends_with(".new");
  if (!journal) {
    // Only a name of the journal's own can be in its way.
    require(name == "probe");
    return 0;
  }
  require(journal->pending().size() == (block && is_ours ? 1u : 0u));
  if (!block || !is_ours) {
    // A damaged block is left for a person to look at; what was not whole is gone.
    require(files.content("blocks/" + name).has_value() || name.ends_with(".new") || name == "probe");
    return 0;
  }
  require(journal->has(block->hash));
  const auto read = journal->read(block->hash);
  require(read && read->bytes == block->bytes);
  require(journal->answered(block->hash, ledger::BlockVerdict::kAccepted).has_value());
  require(journal->pending().empty());
  return 0;
}
