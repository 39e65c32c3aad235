#include "runtime/io/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "kernels/error.h"
#include "tests/io/messages.h"
#include "tests/io/temporary_folder.h"

namespace scrawl {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::string text_of(const std::filesystem::path& path) {
  const auto bytes = read_file(path);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// For its lifetime, a file of this process cannot grow beyond `bytes`: write(2) fails with EFBIG.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{.rlim_cur = bytes, .rlim_max = before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

/// A file system of 64 KiB at `folder`, where this process may mount one.
class SmallDisk {
 public:
  explicit SmallDisk(const std::filesystem::path& folder) : folder_(folder) {
    mounted_ = ::unshare(CLONE_NEWNS) == 0 &&
               ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
               ::mount("tmpfs", folder_.c_str(), "tmpfs", 0, "size=64k") == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount(folder_.c_str());
  }
  bool mounted() const { return mounted_; }

 private:
  std::filesystem::path folder_;
  bool mounted_;
};

TEST(file, reads_back_what_was_written) {
  const TemporaryFolder folder;
  const std::string text("a\0\nb\xff", 5);
  write_file_atomically(folder / "f", text);
  EXPECT_EQ(text_of(folder / "f"), text);
  write_file_atomically(folder / "f", "");
  EXPECT_EQ(text_of(folder / "f"), "");
  EXPECT_THAT(names_in(folder.path()), ElementsAre("f"));
}

TEST(file, read_fails_with_path_and_cause) {
  const TemporaryFolder folder;
  EXPECT_MESSAGE(read_file(folder / "absent"), DataError, (folder / "absent").string(), "No such file");
  EXPECT_MESSAGE(read_file(folder.path()), DataError, "expected a regular file, got a folder");
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_MESSAGE(read_file(folder / "pipe"), DataError, "expected a regular file, got a device or pipe");
}

TEST(file, read_refuses_more_than_the_limit) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "f", "12345");
  EXPECT_EQ(read_file(folder / "f", 5).size(), 5u);
  EXPECT_MESSAGE(read_file(folder / "f", 4), DataError, "expected at most 4 bytes, got 5");
}

TEST(file, a_file_that_shrinks_while_it_is_read_is_a_data_error) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "f", "12345");
  const InputFile file(folder / "f");
  std::filesystem::resize_file(folder / "f", 3);
  std::vector<std::byte> bytes(5);
  EXPECT_MESSAGE(file.read(0, bytes), DataError, "expected 2 more bytes at byte 3, got the end of the file");
}

TEST(file, readers_see_the_old_bytes_until_the_new_ones_are_whole) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "f", "old");
  write_file_atomically(folder / "f", [&](OutputFile& file) {
    file.write("new");
    EXPECT_EQ(text_of(folder / "f"), "old");
  });
  EXPECT_EQ(text_of(folder / "f"), "new");
}

TEST(file, a_writer_that_throws_leaves_the_old_bytes_and_no_temporary_file) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "f", "old");
  const auto failing = [](OutputFile& file) {
    file.write("half of the n");
    throw DataError("broken source");
  };
  EXPECT_MESSAGE(write_file_atomically(folder / "f", failing), DataError, "broken source");
  EXPECT_EQ(text_of(folder / "f"), "old");
  EXPECT_THAT(names_in(folder.path()), ElementsAre("f"));
}

TEST(file, a_write_cut_short_leaves_the_old_bytes_and_no_temporary_file) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "f", "old");
  {
    const FileSizeLimit limit(4096);
    EXPECT_MESSAGE(write_file_atomically(folder / "f", std::string(5000, 'x')), WriteError,
                   (folder / "f").string(), "File too large");
  }
  EXPECT_EQ(text_of(folder / "f"), "old");
  EXPECT_THAT(names_in(folder.path()), ElementsAre("f"));
}

TEST(file, a_full_disk_is_a_write_error_that_names_path_and_cause) {
  const TemporaryFolder folder;
  const SmallDisk disk(folder.path());
  if (!disk.mounted()) GTEST_SKIP() << "needs the right to mount a file system";
  write_file_atomically(folder / "f", "old");
  EXPECT_MESSAGE(write_file_atomically(folder / "f", std::string(1 << 20, 'x')), WriteError,
                 (folder / "f").string(), "No space left on device");
  EXPECT_EQ(text_of(folder / "f"), "old");
  EXPECT_THAT(names_in(folder.path()), ElementsAre("f"));
  write_file_atomically(folder / "f", std::string(1 << 15, 'x'));  // the failed write gave its space back
}

TEST(file, writing_where_nothing_can_be_created_is_a_write_error) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "f", "");
  EXPECT_MESSAGE(write_file_atomically(folder / "absent/g", "x"), WriteError, (folder / "absent/g").string(),
                 "No such file");
  EXPECT_MESSAGE(write_file_atomically(folder / "f/g", "x"), WriteError, (folder / "f/g").string(),
                 "Not a directory");
  EXPECT_MESSAGE(make_directories(folder / "f/g/h"), WriteError, (folder / "f/g/h").string(),
                 "Not a directory");
}

TEST(file, writing_over_a_folder_is_a_write_error_and_leaves_no_temporary_file) {
  const TemporaryFolder folder;
  make_directories(folder / "g");
  EXPECT_MESSAGE(write_file_atomically(folder / "g", "x"), WriteError, (folder / "g").string(),
                 "Is a directory");
  EXPECT_THAT(names_in(folder.path()), ElementsAre("g"));
}

TEST(file, writing_into_a_read_only_folder_is_a_write_error) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write anywhere";
  const TemporaryFolder folder;
  make_directories(folder / "locked");
  std::filesystem::permissions(folder / "locked", std::filesystem::perms::owner_read);
  EXPECT_MESSAGE(write_file_atomically(folder / "locked/f", "x"), WriteError, "Permission denied");
  std::filesystem::permissions(folder / "locked", std::filesystem::perms::owner_all);
  EXPECT_THAT(names_in(folder / "locked"), IsEmpty());
}

TEST(file, an_output_file_never_overwrites) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "f", "old");
  EXPECT_MESSAGE(OutputFile(folder / "f"), WriteError, (folder / "f").string(), "File exists");
  EXPECT_EQ(text_of(folder / "f"), "old");
}

/// Has a process of its own die by SIGKILL in the middle of replacing `path`.
void die_writing(const std::filesystem::path& path) {
  const pid_t child = ::fork();
  if (child == 0)
    write_file_atomically(path, [](OutputFile& file) {
      file.write("half of the n");
      ::raise(SIGKILL);
    });
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
}

TEST(file, what_killed_writers_left_behind_can_be_removed) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "f", "old");
  for (int i = 0; i < 2; ++i) die_writing(folder / "f");
  EXPECT_EQ(names_in(folder.path()).size(), 3u);
  EXPECT_EQ(remove_leftovers(folder.path()), 2);
  EXPECT_THAT(names_in(folder.path()), ElementsAre("f"));
  EXPECT_EQ(text_of(folder / "f"), "old");
}

TEST(file, what_a_living_writer_is_writing_is_no_leftover) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "f", [&](OutputFile& file) {
    file.write("n");
    EXPECT_EQ(remove_leftovers(folder.path()), 0);
    file.write("ew");
  });
  EXPECT_EQ(text_of(folder / "f"), "new");
}

TEST(file, only_files_with_the_name_of_a_temporary_one_are_leftovers) {
  const TemporaryFolder folder;
  const std::string name = ".scrawl-0123456789abcdef.tmp";
  for (const auto* const other :
       {".scrawl-.tmp", ".scrawl-notes.tmp", ".scrawl-0123456789abcdeX.tmp", "x.tmp"})
    write_file_atomically(folder / other, "");
  std::filesystem::create_symlink("x.tmp", folder / ".scrawl-00000000000000ff.tmp");
  make_directories(folder / ".scrawl-00000000000000fe.tmp");
  const auto kept = names_in(folder.path());
  write_file_atomically(folder / name, "");
  EXPECT_EQ(remove_leftovers(folder.path()), 1);
  EXPECT_EQ(names_in(folder.path()), kept);
}

TEST(file, a_folder_that_is_not_there_has_no_leftovers) {
  const TemporaryFolder folder;
  EXPECT_EQ(remove_leftovers(folder / "absent"), 0);
  write_file_atomically(folder / "f", "");
  EXPECT_MESSAGE(remove_leftovers(folder / "f"), WriteError, (folder / "f").string(), "Not a directory");
}

TEST(file, directories_are_made_with_their_parents_and_may_exist) {
  const TemporaryFolder folder;
  make_directories(folder / "a/b/c");
  make_directories(folder / "a/b/c");
  EXPECT_TRUE(std::filesystem::is_directory(folder / "a/b/c"));
}

}  // namespace
}  // namespace scrawl
