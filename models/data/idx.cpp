#include "models/data/idx.h"

#include <fmt/ranges.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <ranges>
#include <sstream>
#include <system_error>

#include "kernels/error.h"
#include "models/data/split.h"
#include "models/text.h"
#include "runtime/io/file.h"

namespace scrawl {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t max_idx_bytes = std::int64_t{4} << 30;
constexpr std::size_t chunk_bytes = std::size_t{16} << 20;

/// A gzip or plain file, read forwards.
class GzipReader {
 public:
  explicit GzipReader(const fs::path& path) : path_(path), file_(gzopen(path.c_str(), "rb")) {
    if (!file_) throw DataError("{}: cannot open: {}", path.string(), std::strerror(errno));
    gzbuffer(file_.get(), 1u << 18);
  }

  /// Reads up to `size` bytes; fewer only at the end of the file. The end of a gzip stream checks its CRC.
  std::size_t read(void* into, std::size_t size) {
    const int got = gzread(file_.get(), into, static_cast<unsigned>(size));
    int code = Z_OK;
    const char* cause = gzerror(file_.get(), &code);
    if (got < 0 || (code != Z_OK && code != Z_STREAM_END)) throw DataError("{}: {}", path_.string(), cause);
    return static_cast<std::size_t>(got);
  }

 private:
  struct Close {
    void operator()(gzFile file) const { gzclose(file); }
  };
  fs::path path_;
  std::unique_ptr<gzFile_s, Close> file_;
};

/// The files of one prefix.
struct IdxFiles {
  struct Part {
    fs::path images, labels;
  };
  std::map<Split, Part> parts;
};

struct IdxName {
  std::string prefix;
  Split split;
  bool images;
};

/// Takes the first of `endings` that `text` has off its end.
std::optional<std::string_view> take_ending(std::string_view& text,
                                            std::initializer_list<std::string_view> endings) {
  for (const std::string_view ending : endings)
    if (text.ends_with(ending)) {
      text.remove_suffix(ending.size());
      return ending;
    }
  return std::nullopt;
}

std::optional<IdxName> parse_name(const fs::path& path) {
  const std::string name = path.filename().string();
  std::string_view rest = name;
  take_ending(rest, {".gz"});
  if (!take_ending(rest, {"-idx3-ubyte", ".idx3-ubyte", "-idx1-ubyte", ".idx1-ubyte"})) return std::nullopt;
  const auto content = take_ending(rest, {"-images", "-labels"});
  const auto part = take_ending(rest, {"train", "t10k", "test"});
  if (!content || !part || (!rest.empty() && !take_ending(rest, {"-"}))) return std::nullopt;
  return IdxName{std::string(rest), part == "train" ? Split::train : Split::test, content == "-images"};
}

/// Prefix -> files. Where a file is there plain and as .gz, the plain one is used.
std::map<std::string, IdxFiles> find_sets(const fs::path& folder) {
  std::map<std::string, IdxFiles> sets;
  for (const fs::path& path : std::views::reverse(list_folder(folder)))  // .gz first; plain replaces it
    if (const auto name = parse_name(path)) {
      auto& part = sets[name->prefix].parts[name->split];
      (name->images ? part.images : part.labels) = path;
    }
  return sets;
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

struct Address {
  fs::path folder;
  std::string prefix;
  IdxFiles files;
};

/// Throws DataError for a folder with several sets.
std::optional<Address> resolve(const fs::path& path) {
  std::error_code nowhere;
  if (fs::is_directory(path, nowhere)) {
    auto sets = find_sets(path);
    if (sets.empty()) return std::nullopt;
    if (sets.size() > 1) {
      throw DataError("{}: expected one IDX set, got {}: add one of them to the path", path.string(),
                      fmt::join(std::views::keys(sets), ", "));
    }
    return Address{path, sets.begin()->first, std::move(sets.begin()->second)};
  }
  if (!fs::is_directory(folder_of(path), nowhere)) return std::nullopt;
  if (fs::exists(path, nowhere)) {
    const auto name = parse_name(path);
    if (!name || !name->images) return std::nullopt;
    IdxFiles one;
    one.parts[name->split] = {path, find_sets(folder_of(path))[name->prefix].parts[name->split].labels};
    return Address{folder_of(path), name->prefix, std::move(one)};
  }
  auto sets = find_sets(folder_of(path));
  const auto found = sets.find(path.filename().string());
  if (found == sets.end()) return std::nullopt;
  return Address{folder_of(path), found->first, std::move(found->second)};
}

/// Label value -> text.
std::map<int, std::string> read_mapping(const fs::path& path) {
  std::map<int, std::string> texts;
  std::ifstream file(path);
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    std::istringstream fields(line);
    int value = 0;
    std::uint32_t code = 0;
    if (!(fields >> value >> code) || code > 0x10FFFF)
      throw DataError("{}: line {}: expected a class and its code point, got '{}'", path.string(), number,
                      line);
    texts[value] = to_utf8(std::u32string(1, static_cast<char32_t>(code)));
  }
  if (texts.empty())
    throw DataError("{}: expected lines of a class and its code point, got none", path.string());
  return texts;
}

std::map<int, std::string> label_texts(const Address& address, const DataOptions& options) {
  const fs::path mapping = address.folder / (address.prefix + "-mapping.txt");
  if (std::error_code none; fs::exists(mapping, none)) return read_mapping(mapping);
  std::map<int, std::string> texts;
  if (options.classes.empty()) {
    for (int value = 0; value < 256; ++value) texts[value] = std::to_string(value);
  } else {
    for (const char32_t c : code_points(options.classes))
      texts.emplace(static_cast<int>(texts.size()), to_utf8(std::u32string(1, c)));
  }
  return texts;
}

bool stored_by_columns(const Address& address, DataOptions::Orientation orientation) {
  if (orientation != DataOptions::Orientation::by_name)
    return orientation == DataOptions::Orientation::columns;
  return address.prefix.starts_with("emnist");
}

/// The images of both parts, one behind the other.
struct Pixels {
  std::vector<Idx> parts;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> where;  // sample -> part, position in it
  bool by_columns = false;

  Image image(std::size_t i) const {
    const auto [part, position] = where[i];
    const Idx& idx = parts[part];
    const std::int64_t rows = idx.shape[1], columns = idx.shape[2];
    const std::uint8_t* in = idx.data.data() + position * rows * columns;
    const auto width = static_cast<int>(by_columns ? rows : columns);
    const auto height = static_cast<int>(by_columns ? columns : rows);
    Image image = make_image(width, height, 1);
    if (!by_columns) {
      std::copy_n(in, image.pixels.size(), image.pixels.data());
      return image;
    }
    for (int x = 0; x < width; ++x)
      for (int y = 0; y < height; ++y) image.row(y)[x] = *in++;
    return image;
  }
};

void check_part(const IdxFiles::Part& part, const Idx& images, const Idx& labels) {
  if (images.shape.size() != 3)
    throw DataError("{}: expected images with 3 axes, got {}", part.images.string(), images.shape.size());
  if (labels.shape.size() != 1)
    throw DataError("{}: expected labels with 1 axis, got {}", part.labels.string(), labels.shape.size());
  if (labels.shape[0] != images.shape[0])
    throw DataError("{}: expected {} labels, one an image, got {}", part.labels.string(), images.shape[0],
                    labels.shape[0]);
  for (const int axis : {1, 2})
    if (const auto side = images.shape[static_cast<std::size_t>(axis)]; side < 1 || side > max_image_side)
      throw DataError("{}: expected image sides from 1 to {}, got {}", part.images.string(), max_image_side,
                      side);
}

}  // namespace

Idx read_idx(const fs::path& path) {
  GzipReader file(path);
  std::array<std::uint8_t, 4> magic{};
  const std::size_t got = file.read(magic.data(), magic.size());
  if (got != 4 || magic[0] != 0 || magic[1] != 0 || magic[2] != 0x08 || magic[3] < 1 || magic[3] > 3)
    throw DataError("{}: expected the IDX magic 0000080[1-3], got {:02x}{:02x}{:02x}{:02x}", path.string(),
                    magic[0], magic[1], magic[2], magic[3]);
  Idx idx;
  std::int64_t total = 1;
  for (int axis = 0; axis < magic[3]; ++axis) {
    std::array<std::uint8_t, 4> big{};
    if (file.read(big.data(), 4) != 4) throw DataError("{}: truncated within its header", path.string());
    const std::int64_t extent = std::int64_t{big[0]} << 24 | big[1] << 16 | big[2] << 8 | big[3];
    idx.shape.push_back(extent);
    if (extent > 0 && total > max_idx_bytes / extent)
      throw DataError("{}: expected at most {} bytes, got a header that says more", path.string(),
                      max_idx_bytes);
    total *= extent;
  }
  // In chunks, so that a header that lies costs no memory.
  while (static_cast<std::int64_t>(idx.data.size()) < total) {
    const std::size_t before = idx.data.size();
    const std::size_t want = std::min(chunk_bytes, static_cast<std::size_t>(total) - before);
    idx.data.resize(before + want);
    if (const std::size_t read = file.read(idx.data.data() + before, want); read != want)
      throw DataError("{}: expected {} bytes of data, got {}", path.string(), total, before + read);
  }
  if (std::uint8_t extra = 0; file.read(&extra, 1) != 0)
    throw DataError("{}: expected {} bytes of data, got more", path.string(), total);
  return idx;
}

bool addresses_idx(const fs::path& path) { return resolve(path).has_value(); }

Dataset open_idx(const fs::path& path, const DataOptions& options) {
  const auto address = resolve(path);
  if (!address) throw DataError("{}: expected an IDX set", path.string());
  const auto texts = label_texts(*address, options);

  auto pixels = std::make_shared<Pixels>();
  pixels->by_columns = stored_by_columns(*address, options.orientation);
  std::vector<SampleInfo> samples;
  std::map<int, std::string> used;
  for (const auto& [split, part] : address->files.parts) {
    for (const auto& [file, what] : {std::pair(part.images, "images"), std::pair(part.labels, "labels")})
      if (file.empty())
        throw DataError("{}: the {} part has no {} file", path.string(), name_of(split), what);
    Idx images = read_idx(part.images);
    const Idx labels = read_idx(part.labels);
    check_part(part, images, labels);
    const auto rows = static_cast<int>(images.shape[1]), columns = static_cast<int>(images.shape[2]);
    const ImageSize size = pixels->by_columns ? ImageSize{rows, columns} : ImageSize{columns, rows};
    for (std::size_t i = 0; i < labels.data.size(); ++i) {
      const auto text = texts.find(labels.data[i]);
      if (text == texts.end())
        throw DataError("{}: label {} of sample {} is not among the {} classes known", part.labels.string(),
                        labels.data[i], i, texts.size());
      used.insert(*text);
      samples.push_back({.key = fmt::format("{}/{}", name_of(split), i),
                         .label = text->second,
                         .split = split,
                         .size = size});
      pixels->where.emplace_back(pixels->parts.size(), i);
    }
    pixels->parts.push_back(std::move(images));
  }
  assign_splits(samples, OwnSplits::without_validation, options);

  // Without a mapping every number is a possible label, and only those that occur are classes.
  const bool mapped = texts.size() < 256;
  std::vector<std::string> classes;
  for (const auto& [value, text] : mapped ? texts : used) classes.push_back(text);
  return Dataset(
      path.string(), "idx", std::move(samples), [pixels](std::size_t i) { return pixels->image(i); }, {},
      std::move(classes));
}

}  // namespace scrawl
