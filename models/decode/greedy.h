#pragma once
/// Greedy (best path) CTC decoding.

#include <cstdint>
#include <vector>

#include "kernels/view.h"

namespace scrawl {

/// A decoded sequence of classes, without blanks.
struct Decoded {
  std::vector<std::int32_t> classes;
  double log_probability = 0;  ///< natural logarithm of the probability of the path or text decoded

  /// exp(log_probability / max(1, length)): the geometric mean over the characters, so that long and short
  /// texts compare. 1 is certainty.
  double confidence() const;
};

/// The best path: argmax_k log_probs[t,k] for t < length (the lowest k of equals), repeats merged, blanks
/// (class 0) removed. log_probability is that of the one path, a lower bound of the text's.
/// log_probs: (T,K) f32, natural logarithms, any strides. Throws ShapeError when length is not in [0, T].
/// Source: Graves, Fernandez, Gomez, Schmidhuber, "Connectionist temporal classification", ICML 2006.
Decoded decode_greedy(const View& log_probs, int length);

}  // namespace scrawl
