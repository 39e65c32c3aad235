#pragma once
/// Choices of variants for a recipe, as measured on a device: of each distinct call of its training step, its
/// evaluation and its prediction, then of the whole, with the choices and without.
///
/// A call's variants are checked as `scrawl bench` checks them, and timed hot, alternating. Another than the
/// first is chosen only where it is faster beyond the spread of both: its 90th percentile below the first's
/// 10th. What a call by itself does not say, what a placement costs its neighbours and what inference saves
/// by preparing weights once, the whole says.

#include <functional>
#include <string>
#include <vector>

#include "bench/measure.h"
#include "models/recipe.h"
#include "runtime/device/choices.h"

namespace scrawl::bench {

struct TuneSettings {
  int classes = 10;
  int batch = 64;
  std::int64_t longest_label = 24;  ///< of sequences
  double seconds = 1;               ///< of alternation a call
  double step_seconds = 10;         ///< of alternation of the whole, with the choices and without
};

/// A call that more than one variant takes.
struct TunedCall {
  std::string layer;  ///< who asks first: "conv2 conv2d_forward"
  std::string name;   ///< its repro for `scrawl bench`
  int uses = 0;       ///< in a training step
  std::string first;  ///< what takes it without choices
  Choice choice;
  std::string note = {};  ///< why it is not in the file, or which variant is wrong
  bool is_kept = true;    ///< in the file

  const Choice::Time& time_of(const std::string& variant) const;
  double gain_us() const;  ///< of one use
};

enum class Verdict : std::uint8_t { faster, slower, the_same };  ///< beyond the spread of both

/// A program by the choices (ours) beside the same without (the peer).
struct Whole {
  std::string work;  ///< "training step"
  Comparison timing;
  Verdict verdict = Verdict::the_same;
};

struct Tuned {
  Choices choices;
  std::vector<TunedCall> calls;
  std::vector<Whole> wholes;     ///< empty where no choice differs from the lists' first
  double predicted_gain_us = 0;  ///< of a training step, by the calls alone

  /// Whether the choices make the training step or prediction faster, and neither slower.
  bool is_worth_it() const;
};

/// `tell` is given a line for each call before it is measured. Throws DeviceError on simt, where times mean
/// nothing; what planning throws.
Tuned tune(const Recipe&, Device&, const TuneSettings&, const std::function<void(const std::string&)>& tell);

/// The variant to take of those measured: the first unless another's spread lies wholly below its own.
const std::string& choose(const std::vector<Choice::Time>& measured, const std::string& first);

}  // namespace scrawl::bench
