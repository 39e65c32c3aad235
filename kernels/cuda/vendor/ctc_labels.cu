#include "kernels/cuda/vendor/ctc_labels.h"

#include <cmath>

#include "kernels/cuda/device/launch.h"
#include "kernels/cuda/rows.h"

namespace SCRAWL_CUDA {

namespace {

constexpr int threads = 128, warps = threads / warp_size;  ///< of a block
constexpr int blank = 0;

struct Samples {
  Infeasible infeasible;
  const float* x;
  const std::int32_t *labels, *label_lengths, *input_lengths;
  float *loss, *d_x;  ///< d_x may be null
  std::int64_t count;
  int steps, classes, longest;
};

struct IntegerSum {
  template <class T>
  SCRAWL_DEVICE T operator()(T a, T b) const {
    return a + b;
  }
};

struct Shared {
  PerWarp<float> sums;
  bool reached[2][2 * most_packed_symbols + 2];  ///< by parity of the frame and state
};

struct Sample {
  const Samples& all;
  std::int64_t n;
  int steps, length;
  const std::int32_t* label;

  SCRAWL_DEVICE Sample(const Samples& samples, std::int64_t n)
      : all(samples),
        n(n),
        steps(samples.input_lengths[n]),
        length(samples.label_lengths[n]),
        label(samples.labels + n * samples.longest) {}

  /// Of a frame, in x and d_x.
  SCRAWL_DEVICE std::int64_t row(int t) const { return (t * all.count + n) * all.classes; }

  /// Label length and adjacent repeats; all lanes of a warp must call.
  SCRAWL_DEVICE int least_steps() const {
    int repeats = 0;
    for (int i = 1 + lane_index(); i < length; i += warp_size) repeats += label[i] == label[i - 1] ? 1 : 0;
    return length + reduce_warp(repeats, IntegerSum{});
  }

  SCRAWL_DEVICE void clear_gradient(int from) const {
    if (!all.d_x) return;
    for (int t = from + warp_index(); t < all.steps; t += warps)
      for (int k = lane_index(); k < all.classes; k += warp_size) all.d_x[row(t) + k] = 0;
  }
  SCRAWL_DEVICE void finish(float loss) const {
    if (thread_index() == 0) all.loss[n] = loss;
    clear_gradient(0);
  }
  SCRAWL_DEVICE void finish_impossible() const { finish(all.infeasible == Infeasible::zero ? 0 : INFINITY); }

  /// Of an empty label one path is left: blanks. A warp a frame.
  SCRAWL_DEVICE void align_blanks(Shared& shared) const {
    float loss = 0;
    for (int t = warp_index(); t < steps; t += warps) {
      const float* const logits = all.x + row(t);
      float largest = -INFINITY, sum = 0;
      for (int k = lane_index(); k < all.classes; k += warp_size) largest = fmaxf(largest, logits[k]);
      largest = reduce_warp(largest, Largest{});
      for (int k = lane_index(); k < all.classes; k += warp_size) sum += expf(logits[k] - largest);
      sum = reduce_warp(sum, Sum{});
      loss += largest - logits[blank] + logf(sum);
      if (!all.d_x) continue;
      for (int k = lane_index(); k < all.classes; k += warp_size)
        all.d_x[row(t) + k] = expf(logits[k] - largest) / sum - (k == blank ? 1 : 0);
    }
    loss = reduce_block(lane_index() == 0 ? loss : 0, Sum{}, shared.sums);
    if (loss == INFINITY) return finish_impossible();
    clear_gradient(steps);
    if (thread_index() == 0) all.loss[n] = loss;
  }

  /// Whether a path avoids all activations of -inf. State 2 j is the blank before symbol j, state 2 j + 1
  /// the symbol.
  SCRAWL_DEVICE bool has_path(Shared& shared) const {
    const int states = 2 * length + 1;
    for (int i = thread_index(); i < states; i += threads) shared.reached[0][i] = i == 0;
    sync_block();
    for (int t = 0; t < steps; ++t) {
      const bool* const before = shared.reached[t % 2];
      bool* const reached = shared.reached[(t + 1) % 2];
      for (int i = thread_index(); i < states; i += threads) {
        const bool is_symbol = i % 2 == 1;
        const int own = is_symbol ? label[i / 2] : blank;
        const bool skips = is_symbol && i > 1 && label[i / 2 - 1] != own;
        const bool is_entered = before[i] || (i > 0 && before[i - 1]) || (skips && before[i - 2]);
        reached[i] = is_entered && all.x[row(t) + own] != -INFINITY;
      }
      sync_block();
    }
    const bool* const last = shared.reached[steps % 2];
    return last[states - 1] || last[states - 2];
  }
};

Samples samples_of(const CtcLoss& c) {
  return {.infeasible = c.infeasible,
          .x = c.x.as<const float>(),
          .labels = c.labels.as<const std::int32_t>(),
          .label_lengths = c.label_lengths.as<const std::int32_t>(),
          .input_lengths = c.input_lengths.as<const std::int32_t>(),
          .loss = c.loss.as<float>(),
          .d_x = c.d_x.present() ? c.d_x.as<float>() : nullptr,
          .count = c.x.shape[1],
          .steps = static_cast<int>(c.x.shape[0]),
          .classes = static_cast<int>(c.x.shape[2]),
          .longest = static_cast<int>(c.labels.shape[1])};
}

// -------------------------------------------------------------------------------------------------- kernels

SCRAWL_KERNEL SCRAWL_THREADS(threads) void ctc_packed_lengths(Samples samples, PackedLabels packed) {
  const auto n = std::int64_t{block_index().x} * warps + warp_index();
  if (n >= samples.count) return;
  const Sample s(samples, n);
  const int least = s.least_steps();
  if (lane_index() != 0) return;
  const bool is_taken = s.length > 0 && least <= s.steps;
  packed.label_lengths[n] = is_taken ? s.length : 1;
  packed.input_lengths[n] = is_taken ? s.steps : samples.steps;
}

/// A label begins where those before it end; each warp adds up their lengths.
SCRAWL_KERNEL SCRAWL_THREADS(threads) void ctc_packed_labels(Samples samples, PackedLabels packed) {
  const auto n = std::int64_t{block_index().x} * warps + warp_index();
  if (n >= samples.count) return;
  const Sample s(samples, n);
  std::int64_t first = 0;
  for (std::int64_t before = lane_index(); before < n; before += warp_size)
    first += packed.label_lengths[before];
  first = reduce_warp(first, IntegerSum{});
  const int length = packed.label_lengths[n];
  for (int i = lane_index(); i < length; i += warp_size)
    packed.labels[first + i] = i < s.length ? s.label[i] : blank + 1;
}

SCRAWL_KERNEL SCRAWL_THREADS(threads) void ctc_complete(Samples samples) {
  // A frame of the path is, on the average, less likely than any f32 says: -log of its least normal number.
  constexpr float suspicious = 87;
  auto& shared = shared_memory<Shared>();
  const Sample s(samples, block_index().x);
  if (s.steps == 0) return s.length == 0 ? s.finish(0) : s.finish_impossible();
  if (s.length == 0) return s.align_blanks(shared);
  if (s.least_steps() > s.steps) return s.finish_impossible();
  s.clear_gradient(s.steps);
  // Of -inf cuDNN may make inf, NaN or something large.
  const float loss = samples.loss[s.n];
  if (loss < suspicious * static_cast<float>(s.steps)) return;
  if (!s.has_path(shared)) s.finish_impossible();
}

}  // namespace

// ------------------------------------------------------------------------------------------------ launchers

void pack_labels(const CtcLoss& c, const PackedLabels& packed, Stream stream) {
  const auto samples = samples_of(c);
  Launch l{.kernel = "ctc_packed_lengths",
           .blocks = {blocks_for(samples.count, warps)},
           .threads = threads,
           .stream = stream};
  launch(l, ctc_packed_lengths, samples, packed);
  l.kernel = "ctc_packed_labels";
  launch(l, ctc_packed_labels, samples, packed);
}

void complete_losses(const CtcLoss& c, Stream stream) {
  const auto samples = samples_of(c);
  const Launch l{.kernel = "ctc_complete",
                 .blocks = {blocks_for(samples.count, 1)},
                 .threads = threads,
                 .shared_bytes = shared_size<Shared, 1152>,
                 .stream = stream};
  launch(l, ctc_complete, samples);
}

}  // namespace SCRAWL_CUDA
