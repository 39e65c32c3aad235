#pragma once
/// A model read from its file, ready to read images.

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "models/model.h"
#include "models/recognizer.h"

namespace scrawl {

class Predictor {
 public:
  /// `model` as in find_model(). Throws DataError for a damaged or foreign file.
  Predictor(const std::string& model, Device&, Precision precision = Precision::f32);

  Predictor(const std::filesystem::path& file, Device&, Precision);

  const ModelDescription& description() const { return description_; }
  Recognizer& recognizer() { return *recognizer_; }

  /// Reads one image file. Throws DataError naming it.
  Recognizer::Reading read(const std::filesystem::path& image, int alternatives);

 private:
  Predictor(const TensorFile&, const std::string& source, Device&, Precision);

  ModelDescription description_;
  Storage storage_;
  Arena arena_;
  std::unique_ptr<Recognizer> recognizer_;
};

}  // namespace scrawl
