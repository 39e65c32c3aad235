#pragma once
/// Class folders: root/<label>/*.png, or root/<split>/<label>/*.png.

#include <filesystem>

#include "models/data/dataset.h"

namespace scrawl {

/// The name of an image's folder is its label; keys are paths below `root`. When every folder of `root` is
/// named as a split (see find_split), the labels lie one level below. Hidden files are ignored; other files
/// that are not images (png, jpg, jpeg, bmp, pgm) count as left out. Throws DataError when no image is found.
Dataset open_class_folders(const std::filesystem::path& root, const DataOptions&);

}  // namespace scrawl
