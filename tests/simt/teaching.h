#pragma once
/// Small kernels that are right, and small kernels that are wrong in one way each.

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/simt/machine.h"

namespace scrawl::simt::teaching {

/// A kernel with its data.
struct Lesson {
  std::string_view name;
  /// Runs it: what the machine reports, or whether the results are right.
  struct Outcome {
    std::optional<Report> report;
    bool right = false;
  };
  Outcome (*run)(Machine&, const Schedule&);
};

std::vector<Lesson> right_lessons();

struct WrongLesson : Lesson {
  Fault fault;
  std::string_view words;  ///< of the report
};

std::vector<WrongLesson> wrong_lessons();

/// Right or wrong by luck.
std::vector<Lesson> racing_lessons();

/// Those among them whose blocks wait for each other.
namespace together {
std::span<const Lesson> right_lessons();
std::span<const WrongLesson> wrong_lessons();
std::span<const Lesson> racing_lessons();
}  // namespace together

}  // namespace scrawl::simt::teaching
