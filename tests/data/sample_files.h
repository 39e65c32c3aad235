#pragma once
/// Small data sets on disk for tests.

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/io/image.h"

namespace scrawl::testing {

/// An empty folder, removed with all it holds when the test ends.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    static std::atomic<int> count = 0;
    path_ = std::filesystem::temp_directory_path() /
            ("scrawl_" + std::to_string(::getpid()) + "_" + std::to_string(count++));
    std::filesystem::create_directories(path_);
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::filesystem::path operator/(const std::filesystem::path& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline void write_text(const std::filesystem::path& path, std::string_view text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

inline std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// For its lifetime the rights of files count, which they do not for root.
class WithoutPrivilege {
 public:
  WithoutPrivilege() : was_root_(::geteuid() == 0) { held_ = !was_root_ || ::seteuid(65534) == 0; }
  ~WithoutPrivilege() {
    if (was_root_ && held_ && ::seteuid(0) != 0) std::abort();
  }
  WithoutPrivilege(const WithoutPrivilege&) = delete;
  WithoutPrivilege& operator=(const WithoutPrivilege&) = delete;
  bool held() const { return held_; }

 private:
  bool was_root_, held_;
};

/// The bytes of an IDX file of unsigned bytes.
inline std::string idx_bytes(const std::vector<std::uint32_t>& shape, std::string_view data) {
  std::string bytes{0, 0, 8, static_cast<char>(shape.size())};
  for (const std::uint32_t extent : shape)
    for (const int shift : {24, 16, 8, 0}) bytes += static_cast<char>(extent >> shift);
  return bytes.append(data);
}

/// Light paper with a dark bar whose column says which image it is.
inline Image bar_image(int width, int height, int column) {
  Image image = make_image(width, height, 1, 255);
  for (int y = 1; y + 1 < height; ++y) image.row(y)[column] = 0;
  return image;
}

inline void write_image(const std::filesystem::path& path, const Image& image) {
  std::filesystem::create_directories(path.parent_path());
  write_png(path, image);
}

/// Where the real data sets are; without them a test is skipped.
inline std::optional<std::filesystem::path> real_data() {
  const char* folder = std::getenv("SCRAWL_DATA");
  return folder ? std::optional<std::filesystem::path>(folder) : std::nullopt;
}

/// Runs `action` and returns the message of the error of type `E` that it must throw.
template <class E, class F>
std::string message_of(F&& action) {
  try {
    action();
  } catch (const E& error) {
    return error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "another type of error: " << error.what();
    return "";
  }
  ADD_FAILURE() << "no error";
  return "";
}

}  // namespace scrawl::testing
