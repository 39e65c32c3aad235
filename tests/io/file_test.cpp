#include "runtime/io/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
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

TEST(file, directories_are_made_with_their_parents_and_may_exist) {
  const TemporaryFolder folder;
  make_directories(folder / "a/b/c");
  make_directories(folder / "a/b/c");
  EXPECT_TRUE(std::filesystem::is_directory(folder / "a/b/c"));
}

}  // namespace
}  // namespace scrawl
