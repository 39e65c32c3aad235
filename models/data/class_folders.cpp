#include "models/data/class_folders.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <system_error>

#include "models/data/image_files.h"
#include "runtime/io/file.h"

namespace scrawl {
namespace {

namespace fs = std::filesystem;

enum class Kind : std::uint8_t { folders, files };

std::vector<fs::path> entries(const fs::path& folder, Kind kind) {
  std::vector<fs::path> found;
  std::error_code nowhere;  // an entry that leads nowhere is no folder
  for (const fs::path& path : list_folder(folder))
    if (fs::is_directory(path, nowhere) == (kind == Kind::folders) &&
        !path.filename().string().starts_with('.'))
      found.push_back(path);
  return found;
}

bool is_image_name(const fs::path& path) {
  static constexpr std::array known{".png", ".jpg", ".jpeg", ".bmp", ".pgm"};
  std::string extension = path.extension().string();
  std::ranges::transform(extension, extension.begin(), [](unsigned char c) { return std::tolower(c); });
  return std::ranges::find(known, extension) != known.end();
}

}  // namespace

Dataset open_class_folders(const fs::path& root, const DataOptions& options) {
  ImageFiles images(options);
  const auto add_classes = [&](const fs::path& folder, Split split) {
    for (const fs::path& label : entries(folder, Kind::folders))
      for (const fs::path& file : entries(label, Kind::files)) {
        std::string key = file.lexically_relative(root).generic_string();
        if (is_image_name(file))
          images.add({.key = std::move(key), .label = label.filename().string(), .split = split}, file);
        else
          images.skip(std::move(key), "not an image file", "");
      }
  };

  const auto folders = entries(root, Kind::folders);
  const auto split_of = [](const fs::path& folder) { return find_split(folder.filename().string()); };
  const bool by_split = !folders.empty() && std::ranges::none_of(folders, [&](const fs::path& folder) {
    return !split_of(folder);
  });
  if (!by_split) {
    add_classes(root, Split::train);
    return std::move(images).finish(root.string(), "class folders", OwnSplits::none);
  }
  auto own = OwnSplits::without_validation;
  for (const fs::path& folder : folders) {
    if (split_of(folder) == Split::validation) own = OwnSplits::with_validation;
    add_classes(folder, *split_of(folder));
  }
  return std::move(images).finish(root.string(), "class folders", own);
}

}  // namespace scrawl
