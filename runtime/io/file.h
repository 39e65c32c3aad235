#pragma once
/// Files: reads that fail as DataError, writes that fail as WriteError and never leave half a file.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

namespace scrawl {

/// Owns a POSIX file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

/// A regular file open for reading. Errors: DataError with the path and the system's reason.
class InputFile {
 public:
  explicit InputFile(std::filesystem::path path);
  std::uint64_t size() const { return size_; }  ///< bytes, when it was opened

  /// Fills `into` from byte `offset` on; a file that ends before is an error.
  void read(std::uint64_t offset, std::span<std::byte> into) const;

 private:
  std::filesystem::path path_;
  Descriptor fd_;
  std::uint64_t size_ = 0;
};

/// A new file open for writing; unbuffered, and locked (flock) while it is open. Errors: WriteError with the
/// path and the system's reason.
class OutputFile {
 public:
  /// Creates `path`, which must not exist. Errors name `shown` where it is given.
  explicit OutputFile(const std::filesystem::path& path, std::filesystem::path shown = {});
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  void sync();  ///< returns once the bytes are on the disk

 private:
  std::filesystem::path shown_;
  Descriptor fd_;
};

/// A folder that this process has to itself, as long as every other asks for it in this way too.
class FolderLock {
 public:
  /// Throws UsageError if another process has it.
  explicit FolderLock(const std::filesystem::path& folder);

 private:
  Descriptor fd_;
};

inline constexpr std::uint64_t default_read_limit = std::uint64_t{1} << 30;

/// The bytes of a file. Throws DataError when it cannot be read or holds more than `max_bytes`.
std::vector<std::byte> read_file(const std::filesystem::path& path,
                                 std::uint64_t max_bytes = default_read_limit);

/// Replaces `path` by what `write` writes: temporary file in the same folder, fsync, rename, fsync of the
/// folder. At every moment, a crash included, `path` holds either all of the old bytes or all of the new.
/// On failure (WriteError, or whatever `write` throws) `path` is untouched and the temporary file removed.
void write_file_atomically(const std::filesystem::path& path, const std::function<void(OutputFile&)>& write);
void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes);
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

/// Removes from `folder` itself, not from folders within, the temporary files of write_file_atomically that a
/// killed process left behind; those of a living writer are locked and stay, as does what cannot be locked.
/// Returns how many it removed; a folder that is not there has none. Throws WriteError.
int remove_leftovers(const std::filesystem::path& folder);

/// What a folder holds, hidden entries too, sorted: the same on every file system. Throws DataError.
std::vector<std::filesystem::path> list_folder(const std::filesystem::path& folder);

/// Creates `path` and its missing parents. Throws WriteError.
void make_directories(const std::filesystem::path& path);

/// Makes renames, creations and removals in `folder` durable (fsync). Throws WriteError.
void sync_directory(const std::filesystem::path& folder);

}  // namespace scrawl
