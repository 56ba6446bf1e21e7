#include "base/file.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <fstream>

#include "base/fd.h"
#include "base/file_testing.h"
#include "base/temporary_folder_testing.h"

namespace adit {
namespace {

using Replace = AtomicFile::Replace;

TEST(Fd, ClosesWhatItOwnsOnceAndGivesItUpWhenAsked) {
  Fd first(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(first.ok());
  const int number = first.get();
  Fd second(std::move(first));
  EXPECT_EQ(second.get(), number);
  second.reset();
  EXPECT_EQ(::fcntl(number, F_GETFD), -1);
  Fd third(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const int given = third.release();
  EXPECT_FALSE(third.ok());
  EXPECT_NE(::fcntl(given, F_GETFD), -1);
  third = Fd(given);
}

TEST(RealFiles, AFileIsMadeOnceReadWithinABoundRenamedAndListed) {
  const TemporaryFolder folder;
  const std::string at = folder.path().string();
  FileSystem& files = FileSystem::real();
  {
    auto file = files.create(at + "/b");
    ASSERT_TRUE(file);
    ASSERT_TRUE((*file)->write("some text"));
    ASSERT_TRUE((*file)->sync());
  }
  struct stat info{};
  ASSERT_EQ(::stat((at + "/b").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  EXPECT_EQ(files.create(at + "/b").error(), EEXIST);
  EXPECT_EQ(*files.read(at + "/b", 9), "some text");
  EXPECT_EQ(files.read(at + "/b", 8).error(), EFBIG);
  EXPECT_EQ(files.read(at + "/none", 8).error(), ENOENT);
  ASSERT_TRUE(files.link(at + "/b", at + "/c"));
  EXPECT_EQ(files.link(at + "/b", at + "/c").error(), EEXIST);
  ASSERT_TRUE(files.rename(at + "/b", at + "/a"));
  ASSERT_TRUE(files.make_folder(at + "/folder"));
  EXPECT_EQ(files.make_folder(at + "/folder").error(), EEXIST);
  EXPECT_EQ(*files.list(at), (std::vector<std::string>{"a", "c"}));
  ASSERT_TRUE(files.remove(at + "/c"));
  EXPECT_EQ(*files.list(at), (std::vector<std::string>{"a"}));
  EXPECT_EQ(files.open_folder(at + "/a").error(), ENOTDIR);
}

TEST(RealFiles, OneHolderHasAFoldersLockUntilItIsGone) {
  const TemporaryFolder folder;
  auto first = FileSystem::real().open_folder(folder.path());
  auto second = FileSystem::real().open_folder(folder.path());
  ASSERT_TRUE((*first)->lock());
  EXPECT_EQ((*second)->lock().error(), EWOULDBLOCK);
  EXPECT_TRUE((*first)->sync());
  first->reset();
  EXPECT_TRUE((*second)->lock());
}

TEST(MakeFolders, EachThatWasMadeOutlivesACrash) {
  MemoryFileSystem files;
  ASSERT_TRUE(make_folders(files, "a/b/c/"));
  for_each_crash(files, 100, [](MemoryFileSystem& left) { EXPECT_TRUE(left.open_folder("a/b/c")); });
  const std::size_t before = files.steps();
  ASSERT_TRUE(make_folders(files, "a/b/c"));
  EXPECT_LE(files.steps() - before, 2u);
}

TEST(MakeFolders, SomethingElseOfThatNameIsAnError) {
  MemoryFileSystem files;
  files.put("./a", "a file");
  EXPECT_EQ(make_folders(files, "a").error(), ENOTDIR);
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "file") << "x";
  EXPECT_EQ(make_folders(FileSystem::real(), folder.path() / "file").error(), ENOTDIR);
  ASSERT_TRUE(make_folders(FileSystem::real(), folder.path() / "a/b/c"));
  EXPECT_TRUE(std::filesystem::is_directory(folder.path() / "a/b/c"));
}

std::unique_ptr<MemoryFileSystem> with_old_file() {
  auto files = std::make_unique<MemoryFileSystem>();
  files->put("key", "old");
  return files;
}

std::size_t steps_of_a_write(Replace replace, const std::string& path) {
  auto files = with_old_file();
  EXPECT_TRUE(write_atomically(*files, path, "the new text", replace));
  return files->steps();
}

TEST(WriteAtomically, ACrashAtAnyStepLeavesTheOldFileOrTheNewOneWhole) {
  const std::size_t steps = steps_of_a_write(Replace::kYes, "key");
  ASSERT_GE(steps, 6u);
  for (std::size_t step = 0; step <= steps; ++step) {
    auto files = with_old_file();
    files->crash_at(step);
    const bool written = write_atomically(*files, "key", "the new text", Replace::kYes).has_value();
    EXPECT_EQ(written, step == steps);
    std::size_t seen_new = 0;
    for_each_crash(*files, 100, [&](const MemoryFileSystem& left) {
      const auto content = left.content("key");
      ASSERT_TRUE(content) << step;
      EXPECT_TRUE(content == "the new text" || (!written && content == "old")) << step << " " << *content;
      seen_new += content == "the new text" ? 1 : 0;
    });
    if (step == steps - 1) EXPECT_GT(seen_new, 0u);  // The folder was not synced, so both can be.
  }
}

TEST(WriteAtomically, AStepThatFailsIsAnErrorAndLeavesNoTemporaryFile) {
  for (const Replace replace : {Replace::kYes, Replace::kNo}) {
    const std::string path = replace == Replace::kYes ? "key" : "new key";
    const std::size_t steps = steps_of_a_write(replace, path);
    for (std::size_t step = 0; step < steps; ++step) {
      for (const int error : {EIO, ENOSPC, EMFILE}) {
        auto files = with_old_file();
        files->fail_at(step, error);
        const auto written = write_atomically(*files, path, "the new text", replace);
        ASSERT_FALSE(written) << step;
        EXPECT_EQ(written.error(), error);
        const auto names = *files->list(".");
        // Where removing the temporary name is itself what failed, it stays.
        EXPECT_LE(names.size(), replace == Replace::kNo && step + 2 >= steps ? 3u : 1u) << step;
        EXPECT_TRUE(files->content("key") == "old" || step + 1 == steps) << step;
      }
    }
  }
}

TEST(WriteAtomically, WithoutReplaceAFileThatIsThereStays) {
  auto files = with_old_file();
  EXPECT_EQ(write_atomically(*files, "key", "new", Replace::kNo).error(), EEXIST);
  EXPECT_EQ(files->content("key"), "old");
  EXPECT_EQ(files->list(".")->size(), 1u);
  ASSERT_TRUE(write_atomically(*files, "key", "new", Replace::kYes));
  ASSERT_TRUE(write_atomically(*files, "other", "new", Replace::kNo));
  EXPECT_EQ(*files->list("."), (std::vector<std::string>{"key", "other"}));
}

TEST(WriteAtomically, WritesRealFilesOfMode0600) {
  const TemporaryFolder folder;
  const std::string path = folder.path() / "key";
  ASSERT_TRUE(write_atomically(FileSystem::real(), path, "one", Replace::kNo));
  EXPECT_EQ(write_atomically(FileSystem::real(), path, "two", Replace::kNo).error(), EEXIST);
  ASSERT_TRUE(write_atomically(FileSystem::real(), path, "three", Replace::kYes));
  EXPECT_EQ(*FileSystem::real().read(path, 100), "three");
  EXPECT_EQ(FileSystem::real().list(folder.path())->size(), 1u);
  struct stat info{};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
}

TEST(AtomicFile, IsRemovedUnlessItWasCommitted) {
  MemoryFileSystem files;
  {
    auto file = AtomicFile::create(files, "a.new");
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->rename_temporary("b.new"));
    EXPECT_EQ(*files.list("."), (std::vector<std::string>{"b.new"}));
    AtomicFile moved(std::move(*file));
    EXPECT_EQ(files.list(".")->size(), 1u);
  }
  EXPECT_TRUE(files.list(".")->empty());
}

TEST(DescribeFileError, TellsAMissingFileFromOneThatMayNotBeReadAndSaysWhose) {
  const TemporaryFolder folder;
  const std::string path = folder.path() / "cookie";
  EXPECT_EQ(describe_file_error(path, "read", ENOENT), path + " does not exist");
  EXPECT_EQ(
      describe_file_error(folder.path() / "no" / "cookie", "read", ENOENT),
      (folder.path() / "no" / "cookie").string() + " does not exist: there is no folder beyond " + folder.path().string());
  std::ofstream(path) << "x";
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
  const std::string denied = describe_file_error(path, "read", EACCES);
  EXPECT_NE(denied.find(path + " cannot be read: Permission denied; it belongs to "), std::string::npos) << denied;
  EXPECT_NE(denied.find("(mode 0640), and this program runs as "), std::string::npos) << denied;
  EXPECT_EQ(describe_file_error(path, "written", ENOSPC), path + " cannot be written: No space left on device");
}

TEST(MemoryFiles, ACrashKeepsWhatWasSyncedAndOfTheRestAnything) {
  MemoryFileSystem files;
  auto folder = files.open_folder(".");
  auto file = files.create("a");
  ASSERT_TRUE((*file)->write("synced"));
  ASSERT_TRUE((*file)->sync());
  std::set<std::optional<std::string>> seen;
  for_each_crash(files, 100, [&](const MemoryFileSystem& left) { seen.insert(left.content("a")); });
  EXPECT_EQ(seen, (std::set<std::optional<std::string>>{std::nullopt, "synced"}));  // Its name was not synced.

  ASSERT_TRUE((*folder)->sync());
  ASSERT_TRUE((*file)->write(" and not"));
  ASSERT_TRUE(files.rename("a", "b"));
  seen.clear();
  const std::size_t combinations = for_each_crash(files, 100, [&](const MemoryFileSystem& left) {
    EXPECT_NE(left.content("a").has_value(), left.content("b").has_value());
    seen.insert(left.content(left.content("a") ? "a" : "b"));
  });
  EXPECT_EQ(combinations, 8u);
  EXPECT_EQ(seen, (std::set<std::optional<std::string>>{"synced", "synced and not", "synced ", std::string(14, '\0')}));
}

TEST(MemoryFiles, AFaultHitsItsStepAndAWriteThatFailsHasWrittenHalf) {
  MemoryFileSystem files;
  auto file = files.create("a");
  files.fail_at(files.steps(), ENOSPC);
  EXPECT_EQ((*file)->write("123456").error(), ENOSPC);
  EXPECT_EQ(files.content("a"), "123");
  EXPECT_TRUE((*file)->write("4"));
  files.fail_every(FileOp::kSync, EIO);
  EXPECT_EQ((*file)->sync().error(), EIO);
  EXPECT_EQ((*file)->sync().error(), EIO);
}

}  // namespace
}  // namespace adit
