#pragma once
/// What is in a data set: the figures behind `scrawl data inspect`.

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "models/data/dataset.h"

namespace scrawl {

/// How closely to look at the images.
enum class Look : std::uint8_t {
  headers,  ///< what opening the set has read already
  pixels,   ///< decode every image, finding those that are damaged
};

/// The least, middle (lower of two) and greatest of some numbers.
struct Spread {
  std::int64_t min = 0, median = 0, max = 0;
};

struct Inspection {
  std::string name, format;
  std::int64_t samples = 0;
  std::map<std::string, std::int64_t> splits;      ///< split -> samples, those without samples too
  std::map<std::string, std::int64_t> classes;     ///< label -> samples; empty where labels are text
  std::map<std::string, std::int64_t> characters;  ///< code point of any label, as UTF-8 -> occurrences
  std::map<std::string, std::int64_t> writers;     ///< split -> writers; empty where unknown
  Spread width, height;                            ///< pixels
  Spread label_length;                             ///< code points
  std::vector<Skipped> skipped;                    ///< left out on opening, and images found damaged

  /// Labels are taken for classes when at most this many differ.
  static constexpr std::size_t max_classes = 256;
};

Inspection inspect(const Dataset&, Look);

/// All of it: skipped as counts by reason, and each sample with its reason and detail.
nlohmann::json to_json(const Inspection&);

/// For people: a few lines of figures, then the counts, and the first samples left out.
std::string to_text(const Inspection&);

}  // namespace scrawl
