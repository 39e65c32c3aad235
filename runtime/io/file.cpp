#include "runtime/io/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <random>
#include <string>
#include <system_error>
#include <utility>

#include "kernels/error.h"

namespace scrawl {
namespace {

std::string reason(int error) { return std::system_category().message(error); }

// O_NONBLOCK: opening a pipe that nobody writes to must fail the regular-file check, not hang.
int open_to_read(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) throw DataError("{}: cannot read: {}", path.string(), reason(errno));
  return fd;
}

/// The lock tells remove_leftovers that the writer lives: it ends with the process, however that ends. Should
/// the file have been taken for a leftover before the lock was there, another is made.
int create(const std::filesystem::path& path, const std::filesystem::path& shown) {
  while (true) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) throw WriteError("{}: cannot create: {}", shown.string(), reason(errno));
    struct stat status {};
    if (::flock(fd, LOCK_EX) != 0 || ::fstat(fd, &status) != 0 || status.st_nlink > 0) return fd;
    ::close(fd);
  }
}

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

constexpr std::string_view temporary_prefix = ".scrawl-", temporary_suffix = ".tmp";
constexpr std::size_t temporary_digits = 16;

bool is_temporary_name(std::string_view name) {
  if (!name.starts_with(temporary_prefix) || !name.ends_with(temporary_suffix)) return false;
  name.remove_prefix(temporary_prefix.size());
  name.remove_suffix(temporary_suffix.size());
  return name.size() == temporary_digits && name.find_first_not_of("0123456789abcdef") == name.npos;
}

/// A name for a file that is not there yet, and no file once the scope ends, unless it was renamed away.
class TemporaryName {
 public:
  explicit TemporaryName(const std::filesystem::path& folder) {
    std::random_device random;
    path_ = folder / fmt::format("{}{:08x}{:08x}{}", temporary_prefix, random(), random(), temporary_suffix);
  }
  ~TemporaryName() { ::unlink(path_.c_str()); }
  TemporaryName(const TemporaryName&) = delete;
  TemporaryName& operator=(const TemporaryName&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

InputFile::InputFile(std::filesystem::path path) : path_(std::move(path)), fd_(open_to_read(path_)) {
  struct stat status {};
  if (::fstat(fd_.get(), &status) != 0) throw DataError("{}: cannot read: {}", path_.string(), reason(errno));
  if (!S_ISREG(status.st_mode))
    throw DataError("{}: expected a regular file, got {}", path_.string(),
                    S_ISDIR(status.st_mode) ? "a folder" : "a device or pipe");
  size_ = static_cast<std::uint64_t>(status.st_size);
}

void InputFile::read(std::uint64_t offset, std::span<std::byte> into) const {
  while (!into.empty()) {
    const ssize_t n = ::pread(fd_.get(), into.data(), into.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw DataError("{}: cannot read: {}", path_.string(), reason(errno));
    if (n == 0)
      throw DataError("{}: expected {} more bytes at byte {}, got the end of the file", path_.string(),
                      into.size(), offset);
    into = into.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
}

FolderLock::FolderLock(const std::filesystem::path& folder)
    : fd_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (fd_.get() < 0) throw DataError("{}: {}", folder.string(), reason(errno));
  if (::flock(fd_.get(), LOCK_EX | LOCK_NB) != 0)
    throw UsageError("{}: another process is writing there", folder.string());
}

OutputFile::OutputFile(const std::filesystem::path& path, std::filesystem::path shown)
    : shown_(shown.empty() ? path : std::move(shown)), fd_(create(path, shown_)) {}

void OutputFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw WriteError("{}: cannot write: {}", shown_.string(), reason(errno));
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
}

void OutputFile::write(std::string_view text) { write(std::as_bytes(std::span(text))); }

void OutputFile::sync() {
  if (::fsync(fd_.get()) != 0) throw WriteError("{}: cannot write: {}", shown_.string(), reason(errno));
}

std::vector<std::byte> read_file(const std::filesystem::path& path, std::uint64_t max_bytes) {
  const InputFile file(path);
  if (file.size() > max_bytes)
    throw DataError("{}: expected at most {} bytes, got {}", path.string(), max_bytes, file.size());
  std::vector<std::byte> bytes(file.size());
  file.read(0, bytes);
  return bytes;
}

void write_file_atomically(const std::filesystem::path& path, const std::function<void(OutputFile&)>& write) {
  const TemporaryName temporary(folder_of(path));
  OutputFile file(temporary.path(), path);  // open, and so locked, until it is no temporary file any more
  write(file);
  file.sync();
  if (::rename(temporary.path().c_str(), path.c_str()) != 0)
    throw WriteError("{}: cannot replace: {}", path.string(), reason(errno));
  sync_directory(folder_of(path));
}

void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  write_file_atomically(path, [&](OutputFile& file) { file.write(bytes); });
}

void write_file_atomically(const std::filesystem::path& path, std::string_view text) {
  write_file_atomically(path, std::as_bytes(std::span(text)));
}

int remove_leftovers(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::directory_iterator entries(folder, error);
  if (error == std::errc::no_such_file_or_directory) return 0;
  int removed = 0;
  for (; !error && entries != std::filesystem::directory_iterator(); entries.increment(error)) {
    const std::filesystem::path& path = entries->path();
    if (!is_temporary_name(path.filename().native())) continue;
    const Descriptor fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (fd.get() < 0 || ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) continue;
    if (::unlink(path.c_str()) == 0)
      ++removed;
    else if (errno != ENOENT)
      throw WriteError("{}: cannot remove: {}", path.string(), reason(errno));
  }
  if (error) throw WriteError("{}: cannot list the folder: {}", folder.string(), error.message());
  return removed;
}

std::vector<std::filesystem::path> list_folder(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> paths;
  std::error_code error;
  std::filesystem::directory_iterator entries(folder, error);
  for (; !error && entries != std::filesystem::directory_iterator(); entries.increment(error))
    paths.push_back(entries->path());
  if (error) throw DataError("{}: cannot list the folder: {}", folder.string(), error.message());
  std::ranges::sort(paths);
  return paths;
}

void make_directories(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) throw WriteError("{}: cannot create the folder: {}", path.string(), error.message());
}

void sync_directory(const std::filesystem::path& folder) {
  const Descriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) throw WriteError("{}: cannot open the folder: {}", folder.string(), reason(errno));
  // EINVAL: the file system has no fsync for folders, so there is nothing to wait for.
  if (::fsync(fd.get()) != 0 && errno != EINVAL)
    throw WriteError("{}: cannot write the folder: {}", folder.string(), reason(errno));
}

}  // namespace scrawl
