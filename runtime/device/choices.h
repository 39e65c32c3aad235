#pragma once
/// The choice file: which variant takes which call, as `scrawl tune` measured it on one processor, in place
/// of each list's first. JSON:
///
///   {"choices": 1, "device": "cpu", "processor": ..., "libraries": ..., "threads": 2, "commit": ...,
///    "date": ..., "recipe": "crnn", "batch": 64, "type": "f32",
///    "calls": [{"call": "conv2d_forward[...](...)", "variant": "onednn",
///               "measured": [{"variant": "winograd", "us": 81.2, "p10": 80.1, "p90": 83.0}, ...]}, ...]}
///
/// `device` and `processor` must be those of who follows it; libraries to batch and type say under what it
/// was measured. A file may know calls that a network does not make.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/device/device.h"

namespace scrawl {

struct Choice {
  /// Microseconds, and their 10th and 90th percentiles.
  struct Time {
    std::string variant;
    double us = 0, p10 = 0, p90 = 0;
    bool operator==(const Time&) const = default;
  };
  std::string call;  ///< key_of() it (graph/program.h)
  std::string variant;
  std::vector<Time> measured;  ///< in the order of the list
  bool operator==(const Choice&) const = default;
};

/// Under what choices were measured.
struct ChoicesHeader {
  std::string device, processor, libraries;
  int threads = 0;
  std::string commit, date, recipe;
  int batch = 0;
  std::string type;
  bool operator==(const ChoicesHeader&) const = default;
};

class Choices {
 public:
  Choices(ChoicesHeader, std::vector<Choice>);

  /// Throws UsageError for a text that is not a choice file of this version, word for word: `source` names
  /// it.
  static Choices parse(std::string_view text, const std::string& source);
  /// DataError where it cannot be read.
  static Choices read(const std::filesystem::path&);

  std::string text() const;  ///< what a file of them holds
  /// Of the file's bytes, in hex. FNV-1a.
  const std::string& hash() const { return hash_; }
  const std::string& source() const { return source_; }  ///< the file's path
  const ChoicesHeader& header() const { return header_; }
  const std::vector<Choice>& calls() const { return calls_; }
  const Choice* find(std::string_view call) const;  ///< null: none

 private:
  ChoicesHeader header_;
  std::vector<Choice> calls_;
  std::string source_ = "choices", hash_;
};

/// The GPU that a device is, or the processor that it runs on.
std::string processor_of(const Device&);

}  // namespace scrawl
