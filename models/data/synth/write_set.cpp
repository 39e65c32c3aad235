#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "kernels/error.h"
#include "models/data/synth/synth.h"
#include "runtime/io/file.h"

namespace scrawl::synth {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t files_per_folder = 1000;
constexpr std::string_view labels_file = "labels.tsv", images_folder = "images", options_file = "synth.json";

std::string image_folder(std::int64_t index) {
  return fmt::format("{}/{:04}", images_folder, index / files_per_folder);
}

std::string image_file(std::int64_t index) { return fmt::format("{}/{:07}.png", image_folder(index), index); }

/// Makes `folder` an empty one, but for files that are not ours where an old set is overwritten.
void clear(const fs::path& folder, SynthOptions::Existing existing) {
  std::error_code error;
  const bool taken =
      fs::exists(folder, error) && !(fs::is_directory(folder, error) && fs::is_empty(folder, error));
  if (taken && existing == SynthOptions::Existing::fail)
    throw UsageError("{}: expected an empty or new folder, got one with files: choose another, or overwrite",
                     folder.string());
  if (taken && !fs::is_regular_file(folder / options_file, error))
    throw UsageError("{}: expected a synthetic set to overwrite, got something else ({} is not there)",
                     folder.string(), options_file);
  make_directories(folder);
  for (const std::string_view old : {labels_file, images_folder}) {
    fs::remove_all(folder / old, error);
    if (error) throw WriteError("{}: cannot remove: {}", (folder / old).string(), error.message());
  }
}

nlohmann::ordered_json describe(const Synthesizer& synthesizer) {
  const SynthOptions& o = synthesizer.options();
  const TextOptions& t = o.text;
  nlohmann::ordered_json fonts = nlohmann::json::array();
  for (const auto& font : synthesizer.fonts()) fonts.push_back(font->entry().file);
  return {{"seed", o.seed},
          {"count", o.count},
          {"height", o.size.height},
          {"width", o.size.width},
          {"val", o.val},
          {"test", o.test},
          {"test_fonts", o.test_fonts},
          {"shape", o.style.shape},
          {"paper", o.style.paper},
          {"text",
           {{"lists", t.lists},
            {"min_length", t.min_length},
            {"max_length", t.max_length},
            {"characters", t.characters},
            {"lower", t.lower},
            {"capitalised", t.capitalised},
            {"upper", t.upper},
            {"as_listed", t.as_listed},
            {"numbers", t.numbers},
            {"punctuation", t.punctuation},
            {"min_words", t.min_words},
            {"max_words", t.max_words},
            {"val_words", t.val_words},
            {"test_words", t.test_words}}},
          {"fonts", std::move(fonts)}};
}

/// Draws and writes the images, a few at a time a thread.
class ImageWriter {
 public:
  ImageWriter(const Synthesizer& synthesizer, const fs::path& folder, const SynthProgress& progress)
      : synthesizer_(synthesizer), folder_(folder), progress_(progress) {
    for (std::int64_t first = 0; first < count(); first += files_per_folder)
      make_directories(folder / image_folder(first));
  }

  void run() {
    const int wanted = synthesizer_.options().threads;
    const unsigned threads = wanted > 0 ? static_cast<unsigned>(wanted) : std::thread::hardware_concurrency();
    {
      std::vector<std::jthread> workers;
      for (unsigned i = 1; i < threads; ++i) workers.emplace_back([this] { work(); });
      work();
    }
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  static constexpr std::int64_t batch = 64;

  std::int64_t count() const { return synthesizer_.options().count; }

  void work() {
    try {
      for (std::int64_t first; !stopped_ && (first = next_.fetch_add(batch)) < count();) {
        const std::int64_t end = std::min(first + batch, count());
        for (std::int64_t i = first; i < end; ++i) {
          const auto png = encode_png(synthesizer_.image(static_cast<std::uint64_t>(i)));
          OutputFile(folder_ / image_file(i)).write(png);
        }
        const std::scoped_lock lock(mutex_);
        done_ += end - first;
        if (progress_ && !stopped_) progress_(done_);
      }
    } catch (...) {
      const std::scoped_lock lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      stopped_ = true;
    }
  }

  const Synthesizer& synthesizer_;
  const fs::path& folder_;
  const SynthProgress& progress_;
  std::atomic<std::int64_t> next_ = 0;
  std::atomic<bool> stopped_ = false;
  std::mutex mutex_;  // guards what follows, and progress_
  std::int64_t done_ = 0;
  std::exception_ptr failure_;
};

}  // namespace

SynthSummary synthesize(const SynthOptions& options, const fs::path& folder, const SynthProgress& progress) {
  const Synthesizer synthesizer(options);
  clear(folder, options.existing);
  write_file_atomically(folder / options_file, describe(synthesizer).dump(2) + "\n");
  ImageWriter(synthesizer, folder, progress).run();

  SynthSummary summary{.missing_fonts = synthesizer.missing_fonts()};
  write_file_atomically(folder / labels_file, [&](OutputFile& file) {
    std::string rows = "file\twriter\tsplit\ttext\n";
    for (std::int64_t i = 0; i < options.count; ++i) {
      const SynthSample sample = synthesizer.sample(static_cast<std::uint64_t>(i));
      ++summary.samples[sample.split];
      ++summary.samples_by_font[sample.font->name()];
      rows += fmt::format("{}\t{}\t{}\t{}\n", image_file(i), sample.font->name(), name_of(sample.split),
                          sample.text);
    }
    file.write(rows);
  });
  return summary;
}

}  // namespace scrawl::synth
