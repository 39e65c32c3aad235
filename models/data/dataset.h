#pragma once
/// A data set: labelled images with random access, whatever they are stored in.

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/io/image.h"

namespace scrawl {

enum class Split : std::uint8_t { train, validation, test };

inline constexpr std::array all_splits{Split::train, Split::validation, Split::test};

std::string_view name_of(Split);  ///< "train", "validation", "test"
/// The split of a name; validation is also "val", "valid" and "dev".
std::optional<Split> find_split(std::string_view);
Split split_named(std::string_view);  ///< throws UsageError for another name

/// What is known of a sample without decoding its image.
struct SampleInfo {
  std::string key;     ///< unique in the set and independent of where it lies on disk
  std::string label;   ///< UTF-8, as stored
  std::string writer;  ///< empty where unknown
  Split split = Split::train;
  ImageSize size;
};

/// A sample that is in the files but not in the set. Reasons are few, so that they can be counted.
struct Skipped {
  std::string key;
  std::string reason;  ///< "unreadable image", "empty label", ...
  std::string detail;
};

/// The reason of samples that are fine, but of a split that this use of the set leaves alone.
inline constexpr std::string_view another_split = "another split";

using SkipCounts = std::map<std::string, std::int64_t>;  ///< reason -> samples
SkipCounts count_by_reason(const std::vector<Skipped>&);

/// Immutable once made; every member may be called from any thread.
class Dataset {
 public:
  /// Decodes image i. Throws DataError naming the file. Must be callable from several threads at once.
  using ReadImage = std::function<Image(std::size_t)>;

  /// `read_image` serves samples 0 to samples.size() - 1. `classes` are the labels in the set's own order
  /// where its format defines one. Throws DataError for a repeated key.
  Dataset(std::string name, std::string format, std::vector<SampleInfo> samples, ReadImage read_image,
          std::vector<Skipped> skipped = {}, std::vector<std::string> classes = {});

  const std::string& name() const { return name_; }      ///< as the user addressed it
  const std::string& format() const { return format_; }  ///< "idx", "table", "class folders", ...
  std::size_t size() const { return samples_.size(); }
  const SampleInfo& info(std::size_t i) const { return samples_[i]; }
  Image image(std::size_t i) const { return read_image_(i); }
  const std::vector<Skipped>& skipped() const { return skipped_; }

  std::vector<std::size_t> indices(Split) const;  ///< ascending
  std::vector<std::string> labels(Split) const;   ///< of indices(split), repeats included

  /// Changes with the samples, their order, labels and splits; not with the content of images.
  std::string digest() const;

  /// The labels of a classifier in class order: the format's own, or all distinct ones by code point.
  std::vector<std::string> classes() const;

 private:
  std::string name_, format_;
  std::vector<SampleInfo> samples_;
  ReadImage read_image_;
  std::vector<Skipped> skipped_;
  std::vector<std::string> classes_;
};

/// What to do with a sample that cannot be used.
enum class Bad : std::uint8_t {
  skip,  ///< leave it out, and count it by reason
  fail,  ///< throw DataError naming it
};

struct DataOptions {
  /// Table columns by name (case ignored); empty: the known names.
  std::string image_column, label_column, split_column, writer_column;

  /// A split of a name of its own in a table, to be taken as the test split; empty: the one called test.
  /// A set without such splits is refused with a DataError.
  std::string test_split;

  std::filesystem::path image_folder;  ///< that a table's paths are relative to; empty: the table's folder

  /// Class c of an IDX set without a mapping file is the c-th of these code points; empty: the number c.
  std::string classes;

  /// How IDX images lie in the file. EMNIST stores columns first.
  enum class Orientation : std::uint8_t { by_name, rows, columns };
  Orientation orientation = Orientation::by_name;  ///< columns for names that start with "emnist"

  /// Shares taken by stable hash of the writer, or of the key where writers are unknown: `test` from a set
  /// without splits of its own, `validation` from the training split of a set without one.
  double validation_fraction = 0.1;
  double test_fraction = 0.1;

  Bad bad = Bad::skip;
};

/// Opens a data set, recognising its format:
///   IDX            a folder with one set, `folder/prefix` of several, or one images file
///   table          a .csv or .tsv file, or a folder with exactly one
///   class folders  root/<label>/*.png, or root/<split>/<label>/*.png
/// Throws DataError with the cause: nothing there, unknown format, a damaged file, a missing column.
Dataset open_dataset(const std::filesystem::path&, const DataOptions& = {});

}  // namespace scrawl
