// Files, as far as this program writes them: a seam that tests can make fail (base/file_testing.h), and the one way in which a
// file is written whole or not at all.
//
// What is durable when: a file's content is once WritableFile::sync has returned; that a file is there, under which name, or no
// longer there, is once OpenFolder::sync of its folder has returned. Before that a crash may keep or lose each of these, in any
// order, and the unsynced end of a file may be zeros.
#pragma once

#include <cstddef>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace adit {

/// The error is an errno. describe_file_error says it to a person.
template <class T = void>
using FileResult = std::expected<T, int>;

/// A file that is being written. Its destructor closes it. Not thread-safe.
class WritableFile {
 public:
  virtual ~WritableFile() = default;

  /// Appends all of `text`. After an error any part of it may have been written.
  virtual FileResult<> write(std::string_view text) = 0;

  /// Makes the content durable. After an error it must be taken for lost: a second sync that succeeds proves nothing (the
  /// system drops what it could not write).
  virtual FileResult<> sync() = 0;
};

/// A folder that is held open, so that neither call needs a new descriptor. Its destructor closes it. Not thread-safe.
class OpenFolder {
 public:
  virtual ~OpenFolder() = default;

  /// Makes durable which files are in the folder, by which names.
  virtual FileResult<> sync() = 0;

  /// Takes the folder's lock, for as long as this object lives. Never waits. Error: EWOULDBLOCK if another holder, in this
  /// process or another, has it.
  virtual FileResult<> lock() = 0;
};

/// The file system. Every function may be called from any thread. Paths are as open(2) takes them.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  /// Makes a new, empty file of mode 0600. Error: EEXIST if the path is taken; any of open(2).
  virtual FileResult<std::unique_ptr<WritableFile>> create(const std::string& path) = 0;

  /// The whole content. Error: EFBIG if it is longer than `max_size` bytes; any of open(2) and read(2).
  virtual FileResult<std::string> read(const std::string& path, std::size_t max_size) = 0;

  /// The file gets another name in the same folder; a file of that name is replaced in the same step.
  virtual FileResult<> rename(const std::string& from, const std::string& to) = 0;

  /// The file gets a second name in the same folder. Error: EEXIST if that name is taken.
  virtual FileResult<> link(const std::string& from, const std::string& to) = 0;

  /// Removes one name of a file.
  virtual FileResult<> remove(const std::string& path) = 0;
  /// The same where it does not matter whether that works.
  void discard(const std::string& path) { [[maybe_unused]] const auto removed = remove(path); }

  /// The names of the regular files in a folder, sorted.
  virtual FileResult<std::vector<std::string>> list(const std::string& folder) = 0;

  /// Makes one folder of mode 0700 in a folder that is there. Error: EEXIST if the path is taken.
  virtual FileResult<> make_folder(const std::string& path) = 0;

  virtual FileResult<std::unique_ptr<OpenFolder>> open_folder(const std::string& path) = 0;

  /// This machine's.
  static FileSystem& real();
};

/// The folder part of `path`: "." for a bare name.
std::string folder_of(const std::string& path);

/// Makes `path` and the folders above it that are missing, and makes each that it made durable. A folder that is there is left
/// as it is. Error: any of FileSystem's; ENOTDIR if something else has that name.
FileResult<> make_folders(FileSystem& files, const std::string& path);

/// A file that gets its name only once it is whole and durable. Its descriptor is taken at create(), so that writing it later
/// needs none. Without a commit that succeeded the destructor removes it. Not thread-safe; `files` must outlive it.
class AtomicFile {
 public:
  /// Makes the file under a name of its own, `temporary`. Errors: those of FileSystem::create.
  static FileResult<AtomicFile> create(FileSystem& files, std::string temporary);

  AtomicFile(AtomicFile&& other) noexcept
      : files_(other.files_), temporary_(std::exchange(other.temporary_, {})), file_(std::move(other.file_)) {}
  AtomicFile& operator=(AtomicFile&& other) noexcept;
  ~AtomicFile();

  enum class Replace : bool { kNo, kYes };

  /// Gives the unfinished file another temporary name in its folder.
  FileResult<> rename_temporary(std::string temporary);

  /// Writes `text`, syncs it, gives the file the name `path`, and syncs `folder`, which is the folder of both names. After an
  /// error the file may be there under the name `path` or not, but is not durable. Once. Error: EEXIST if that name is taken
  /// and is not to be replaced (two at once cannot overwrite each other then); any of FileSystem's.
  FileResult<> commit(std::string_view text, const std::string& path, OpenFolder& folder, Replace replace);

 private:
  AtomicFile(FileSystem& files, std::string temporary, std::unique_ptr<WritableFile> file)
      : files_(&files), temporary_(std::move(temporary)), file_(std::move(file)) {}
  void discard();

  FileSystem* files_;
  std::string temporary_;  ///< Empty once it is committed or moved from.
  std::unique_ptr<WritableFile> file_;
};

/// Writes one file of mode 0600 whole, as AtomicFile does, under a temporary name beside `path`. Errors: those of AtomicFile.
FileResult<> write_atomically(FileSystem& files, const std::string& path, std::string_view text, AtomicFile::Replace replace);

/// One sentence without a full stop on why `path` cannot be read or written: "/x/.cookie does not exist", or "/x/.cookie cannot
/// be read: Permission denied; it belongs to bitcoin (mode 0600), and this program runs as adit". Where a folder above is what
/// stands in the way, it is named. `verb` is "read", "written", ... For errors of real files.
std::string describe_file_error(const std::string& path, std::string_view verb, int error);

}  // namespace adit
