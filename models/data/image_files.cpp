#include "models/data/image_files.h"

#include <system_error>

#include "kernels/error.h"
#include "models/text.h"

namespace scrawl {

void ImageFiles::add(SampleInfo sample, std::filesystem::path file) {
  if (sample.label.empty()) return skip(sample.key, "empty label", "");
  if (!is_utf8(sample.label)) return skip(sample.key, "label is not UTF-8", "");
  if (keys_.contains(sample.key)) return skip(sample.key, "repeated image", "");
  std::error_code refused;  // a name that is too long, a folder that may not be entered
  if (!std::filesystem::exists(file, refused) && !refused)
    return skip(sample.key, "missing image", file.string());
  try {
    sample.size = read_image_size(file);
  } catch (const DataError& error) {
    return skip(sample.key, "unreadable image", error.what());
  }
  keys_.insert(sample.key);
  samples_.push_back(std::move(sample));
  files_.push_back(std::move(file));
}

void ImageFiles::leave_alone(std::string key, std::string split) {
  skipped_.push_back({std::move(key), std::string(another_split), std::move(split)});
}

void ImageFiles::skip(std::string key, std::string reason, std::string detail) {
  if (options_.bad == Bad::fail)
    throw DataError("{}: {}{}{}", key, reason, detail.empty() ? "" : ": ", detail);
  skipped_.push_back({std::move(key), std::move(reason), std::move(detail)});
}

Dataset ImageFiles::finish(std::string name, std::string format, OwnSplits own) && {
  if (samples_.empty()) {
    std::string left_out;
    for (const auto& [reason, count] : count_by_reason(skipped_))
      left_out += fmt::format("; {}: {}", reason, count);
    throw DataError("{}: expected labelled images, got none{}", name, left_out);
  }
  assign_splits(samples_, own, options_);
  return Dataset(
      std::move(name), std::move(format), std::move(samples_),
      [files = std::move(files_)](std::size_t i) { return read_image(files[i], Channels::stored); },
      std::move(skipped_));
}

}  // namespace scrawl
