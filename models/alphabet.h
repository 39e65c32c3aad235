#pragma once
/// The classes of a network and the text that each stands for.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "models/text.h"

namespace scrawl {

/// What a label is to the network.
enum class Target : std::uint8_t {
  sequence,  ///< a class for each character, for CTC: class 0 is the blank, characters count from 1
  single,    ///< one class for the whole label, for a classifier: classes count from 0, there is no blank
};

class Alphabet {
 public:
  static constexpr std::int32_t blank = 0;  ///< of Target::sequence

  /// `symbols` are the classes in order, without the blank: single characters for sequences, whole labels for
  /// classifiers. Throws DataError for an empty or repeated symbol, a longer one in a sequence alphabet, or
  /// one that the normalisation changes.
  Alphabet(std::vector<std::string> symbols, Target, Normalisation = Normalisation::nfc);

  /// Collects the symbols of `labels`, in the order of their code points.
  static Alphabet of_labels(std::span<const std::string> labels, Target, Normalisation = Normalisation::nfc);

  Target target() const { return target_; }
  Normalisation normalisation() const { return normalisation_; }
  const std::vector<std::string>& symbols() const { return symbols_; }
  int classes() const { return static_cast<int>(symbols_.size()) + first_; }  ///< blank included

  /// The label's classes: one a character, or exactly one of a classifier. Throws DataError naming the
  /// character (or the label) that the alphabet lacks.
  std::vector<std::int32_t> encode(std::string_view label) const;

  /// encode, leaving out what the alphabet lacks: the nearest target of a label that no path can spell.
  std::vector<std::int32_t> encode_known(std::string_view label) const;

  bool knows(std::string_view label) const;  ///< whether encode takes it

  /// The symbols of `classes`, joined. Throws DataError for the blank or a class out of range.
  std::string decode(std::span<const std::int32_t> classes) const;

  /// {"target": "sequence", "normalisation": "nfc", "symbols": ["a", ...]}, and back. from_json throws
  /// DataError.
  std::string to_json() const;
  static Alphabet from_json(std::string_view);

  bool operator==(const Alphabet& other) const {
    return target_ == other.target_ && normalisation_ == other.normalisation_ && symbols_ == other.symbols_;
  }

 private:
  enum class Unknown : std::uint8_t { fail, omit };
  std::vector<std::int32_t> encode(std::string_view label, Unknown) const;

  std::vector<std::string> symbols_;
  Target target_;
  Normalisation normalisation_;
  std::int32_t first_;  // class of symbols_[0]
  std::unordered_map<std::u32string, std::int32_t> class_of_;
};

}  // namespace scrawl
