/// CTC: a block a sample. Softmax gives the emissions of the label's symbols; then alpha's warps, from the
/// first frame, and beta's, from the last, pass each other in the middle, and from there on weigh what the
/// other has left of each frame; last, all warps turn the weights of their frames into gradients.
///
/// The critical path is T steps, of one shuffle each; nothing passes over time a second time. Beta is alpha
/// of the label and the frames read backwards, so that both are one piece of code: a lane holds pairs (blank,
/// symbol), and needs of its neighbour the symbol only.
///
/// Predicted, not measured, from sm_90a's code for labels of up to 31 symbols: a step is 84 instructions
/// until the chains meet, and 230 after it, where each frame's weights are summed. A warp issues one a clock
/// at most, so that T 64 takes 5.7 us in the chains alone, at any batch that finds room at once; about twice
/// that, if half of them wait for the one before.

#include "kernels/ctc.h"

#include <algorithm>

#include "kernels/check.h"
#include "kernels/cuda/ctc_chains.h"
#include "kernels/cuda/device/launch.h"
#include "kernels/cuda/operands.h"
#include "kernels/cuda/planners.h"
#include "kernels/cuda/rows.h"
#include "kernels/cuda/vendor/variants.h"

namespace SCRAWL_CUDA {

namespace {

using namespace ctc;

struct Block {
  static constexpr int most_threads = 2 * most_side_warps * warp_size;
  /// For softmax and gradients a sample takes more threads where there are few samples: derived, not
  /// measured.
  static constexpr int most_spread_threads = 512, least_threads = 128, threads_of_multiprocessor = 1024;
};
struct Teams {
  static constexpr int per_lane = 4;  ///< classes, or symbols
};

// ------------------------------------------------------------------------------- frames, by all of the block

/// Of each symbol; by `lanes`, of which this one is number `rank`.
SCRAWL_DEVICE void find_occurrences(const Sample& s, int rank, int lanes) {
  for (int j = rank; j < s.length; j += lanes) {
    const int own = s.label[j];
    bool is_first = true;
    int next = s.length;
#pragma unroll 4
    for (int i = 0; i < j; ++i)
      if (s.label[i] == own) is_first = false;
#pragma unroll 4
    for (int i = s.length - 1; i > j; --i)
      if (s.label[i] == own) next = i;
    s.occurrences[j] = {is_first ? own : -1, next};
  }
}

/// Calls f(team, t) for each frame, a team of lanes each, as many as `elements` need; t is at least s.steps
/// for teams that have none and yet must call what the others call.
template <class F>
SCRAWL_DEVICE void each_frame(const Sample& s, int elements, F&& f) {
  LaneTeam team{1};
  while (team.lanes < warp_size && team.lanes * Teams::per_lane < elements) team.lanes *= 2;
  const int of_warp = warp_size / team.lanes, of_block = block_size() / team.lanes;
  for (int first = warp_index() * of_warp; first < s.steps; first += of_block)
    f(team, first + lane_index() / team.lanes);
}

/// Emissions, and the gradient as it is before the label is seen. What is less likely than 2^-(2^27 / T)
/// counts as that: no exponent may leave its range.
template <class T>
SCRAWL_DEVICE void emit(const Sample& s, const T* x) {
  constexpr int per_lane = Teams::per_lane;
  const auto& b = s.batch;
  const bool is_logits = b.input == CtcInput::logits;
  const float range = static_cast<float>((1 << 27) / s.steps);
  each_frame(s, b.classes, [&](LaneTeam team, int t) {
    const int classes = t < s.steps ? b.classes : 0, at_once = per_lane * team.lanes;
    const T* const row = x + s.row(t);
    Row<per_lane, 1> logits;
    logits.load(team, row, classes);
    /// Calls f(logit, k). All loads of a turn come before the first use; a single turn's stay in registers.
    const auto each = [&](auto&& f) {
      for (int first = 0; first < classes; first += at_once) {
        if (classes > at_once) logits.load(team, row + first, classes - first);
        logits.each(team, classes - first, [&](int r, int k) { f(logits.values[r], first + k); });
      }
    };
    float largest = 0, factor = 1;
    if (is_logits) {
      largest = -INFINITY;
      each([&](float logit, int) { largest = fmaxf(largest, logit); });
      largest = team.reduce(largest, Largest{});
      float sum = 0;
      each([&](float logit, int) { sum += expf(logit - largest); });
      factor = 1 / team.reduce(sum, Sum{});
    }
    if (t >= s.steps) return;
    if (s.has_gradient()) {
      float* const d_x = b.d_x + s.row(t);
      each([&](float logit, int k) { d_x[k] = is_logits ? expf(logit - largest) * factor : 0; });
    }
    Scaled* const emissions = s.emissions + std::int64_t{t} * s.width;
    for (int first = team.lane(); first <= s.length; first += at_once) {
      float symbols[per_lane];
#pragma unroll
      for (int i = 0; i < per_lane; ++i) {
        const int j = first + i * team.lanes;
        if (j <= s.length) symbols[i] = to_float(row[j < s.length ? s.label[j] : b.blank]);
      }
#pragma unroll
      for (int i = 0; i < per_lane; ++i) {
        const int j = first + i * team.lanes;
        if (j > s.length) continue;
        const Scaled p = exponential(symbols[i] - largest, range);
        emissions[j] = normalised({p.mantissa * factor, p.exponent});
      }
    }
  });
}

SCRAWL_DEVICE void emit(const Sample& s) {
  const void* const x = s.batch.x;
  if (s.batch.type == DType::bf16)
    emit(s, static_cast<const bf16*>(x));
  else if (s.batch.type == DType::f16)
    emit(s, static_cast<const f16*>(x));
  else
    emit(s, static_cast<const float*>(x));
}

/// From weights to gradients, and the loss. A label too long for its frames has a likelihood of 0, like any
/// other that no path reads.
SCRAWL_DEVICE void finish(const Sample& s, int exponent) {
  constexpr float ln_2 = 0.693147181f;
  const auto& b = s.batch;
  if (exponent < least) return s.finish_impossible();
  each_frame(s, s.length + 1, [&](LaneTeam team, int t) {
    const bool is_frame = t < s.steps && (s.has_gradient() || t == s.crossing());
    const int length = is_frame ? s.length : -1;
    const Scaled* const blanks = s.blanks + s.kept(t);  // their mantissas are weights
    const Scaled* const symbols = s.symbols + s.kept(t);
    float blank = 0, symbol = 0;
    for (int j = team.lane(); j <= length; j += team.lanes) blank += blanks[j].mantissa;
    for (int j = team.lane(); j < length; j += team.lanes) symbol += symbols[j].mantissa;
    blank = team.reduce(blank, Sum{});
    const float all = blank + team.reduce(symbol, Sum{});
    if (!is_frame) return;
    if (t == s.crossing() && team.lane() == 0)
      b.loss[s.n] = -(log2f(all) + static_cast<float>(exponent)) * ln_2;
    if (!s.has_gradient()) return;

    // Divided by their own sum: what the long chains have in common of rounding cancels.
    const float share = 1 / all;
    const Scaled* const emissions = s.emissions + std::int64_t{t} * s.width;
    float* const d_x = b.d_x + s.row(t);
    const auto put = [&](int k, Scaled emission, float weight) {
      const float p = b.input == CtcInput::logits ? value_of(emission) : 0;
      d_x[k] = p - weight * share;
    };
    if (team.lane() == 0) put(b.blank, emissions[length], blank);
    for (int j = team.lane(); j < length; j += team.lanes) {
      if (s.occurrences[j].head_class < 0) continue;
      float weight = 0;
      for (int i = j; i < length; i = s.occurrences[i].next) weight += symbols[i].mantissa;
      put(s.occurrences[j].head_class, emissions[j], weight);
    }
  });
}

// -------------------------------------------------------------------------------------------------- kernels

template <class Chains, class... Arguments>
SCRAWL_DEVICE void align(const Sample& sample, Shared& shared, Arguments... arguments) {
  if (sample.steps == 0) return sample.length == 0 ? sample.finish(0) : sample.finish_impossible();
  sample.fill_gradient(sample.steps, sample.batch.steps, 0);
  emit(sample);
  sync_block();
  Chains chains(sample, shared, arguments...);
  chains.template walk<Half::before_crossing>();
  // By warps that no chain needs, if there are any.
  const int busy = chains.lanes() < block_size() ? chains.lanes() : 0;
  if (thread_index() >= busy) find_occurrences(sample, thread_index() - busy, block_size() - busy);
  sync_block();
  chains.template walk<Half::beyond>();
  sync_block();
  finish(sample, shared.exponent);
}

enum class Frames : std::uint8_t { shared, workspace };

template <int kPairs, Frames kFrames>
SCRAWL_KERNEL SCRAWL_THREADS(Block::most_threads) void ctc_in_registers(Batch batch, int side_warps) {
  auto& shared = shared_memory<Shared>();
  auto* const behind = reinterpret_cast<Scaled*>(&shared + 1);
  Scaled* const frames = kFrames == Frames::shared
                             ? behind + batch.longest
                             : batch.workspace + std::int64_t{block_index().x} * batch.workspace_each;
  align<InRegisters<kPairs>>(Sample(batch, frames, behind), shared, side_warps);
}

SCRAWL_KERNEL SCRAWL_THREADS(Block::most_threads) void ctc_in_memory(Batch batch) {
  auto& shared = shared_memory<Shared>();
  Scaled* const states = batch.workspace + std::int64_t{block_index().x} * batch.workspace_each;
  Scaled* const occurrences = states + InMemory::words(batch.longest);
  align<InMemory>(Sample(batch, occurrences + batch.longest, occurrences), shared, states);
}

// ------------------------------------------------------------------------------------------------ launchers

Batch batch_of(const CtcLoss& c, Bytes workspace, std::int64_t words) {
  return {.input = c.input,
          .infeasible = c.infeasible,
          .type = c.x.type,
          .x = c.x.data,
          .labels = c.labels.as<const std::int32_t>(),
          .label_lengths = c.label_lengths.as<const std::int32_t>(),
          .input_lengths = c.input_lengths.as<const std::int32_t>(),
          .loss = c.loss.as<float>(),
          .d_x = c.d_x.present() ? c.d_x.as<float>() : nullptr,
          .samples = c.x.shape[1],
          .steps = static_cast<int>(c.x.shape[0]),
          .classes = static_cast<int>(c.x.shape[2]),
          .longest = static_cast<int>(c.labels.shape[1]),
          .blank = c.blank,
          .workspace = reinterpret_cast<Scaled*>(workspace.data()),
          .workspace_each = words};
}

/// Words of a sample's frames: emissions of each; what enters blanks and symbols at each, or only at the one
/// where the sides meet.
std::int64_t frame_words(const CtcLoss& c) {
  const auto steps = c.x.shape[0], kept = c.d_x.present() ? steps : 1;
  return (c.labels.shape[1] + 1) * (steps + 2 * kept);
}

void place(CtcLoss& c) { make_row_major(c.x, c.labels, c.label_lengths, c.input_lengths, c.loss, c.d_x); }

/// Threads of a block, by what a multiprocessor has to do.
int threads_for(std::int64_t samples, int chain_threads, int multiprocessors) {
  const auto of_multiprocessor = (samples + multiprocessors - 1) / multiprocessors;
  int threads = Block::most_spread_threads;
  while (threads > Block::least_threads && threads * of_multiprocessor > Block::threads_of_multiprocessor)
    threads /= 2;
  return std::max(threads, chain_threads);
}

template <Frames kFrames>
Plan<CtcLoss> plan_in_registers(CtcLoss& call, const Selection& selection) {
  const auto longest = call.labels.shape[1];
  const auto pairs = longest < warp_size ? 1 : 2,
             side_warps = static_cast<int>(longest / (pairs * warp_size)) + 1;
  if (side_warps > most_side_warps)
    throw Refused("needs labels of at most {} symbols, got {}", 2 * warp_size * most_side_warps - 1, longest);
  auto shared_words = longest;
  if (kFrames == Frames::shared) shared_words += frame_words(call);
  const auto shared_bytes =
      shared_size<Shared, 656> + static_cast<std::size_t>(shared_words) * sizeof(Scaled);
  if (shared_bytes > most_shared_bytes)
    throw Refused("needs at most {} bytes of shared memory, got {}", most_shared_bytes, shared_bytes);
  place(call);
  const auto words = kFrames == Frames::shared ? 0 : frame_words(call);
  const int threads = threads_for(call.x.shape[1], 2 * side_warps * warp_size, selection.multiprocessors);
  return {.workspace_bytes = static_cast<std::size_t>(words * call.x.shape[1]) * sizeof(Scaled),
          .run = [=](const CtcLoss& c, Bytes workspace, Stream stream) {
            const Launch l{.kernel = kFrames == Frames::shared ? "ctc_shared" : "ctc_workspace",
                           .blocks = {blocks_for(c.x.shape[1], 1)},
                           .threads = threads,
                           .shared_bytes = shared_bytes,
                           .stream = stream};
            launch(l, pairs == 1 ? ctc_in_registers<1, kFrames> : ctc_in_registers<2, kFrames>,
                   batch_of(c, workspace, words), side_warps);
          }};
}

Plan<CtcLoss> plan_in_memory(CtcLoss& call, const Selection&) {
  const auto longest = call.labels.shape[1];
  place(call);
  const auto words = InMemory::words(longest) + longest + frame_words(call);
  return {.workspace_bytes = static_cast<std::size_t>(words * call.x.shape[1]) * sizeof(Scaled),
          .run = [words](const CtcLoss& c, Bytes workspace, Stream stream) {
            const Launch l{.kernel = "ctc_long",
                           .blocks = {blocks_for(c.x.shape[1], 1)},
                           .threads = Block::most_threads,
                           .shared_bytes = shared_size<Shared, 656>,
                           .stream = stream};
            launch(l, ctc_in_memory, batch_of(c, workspace, words));
          }};
}

}  // namespace

Plan<CtcLoss> ctc_loss(CtcLoss& call, const Selection& selection) {
  static constexpr Variant<CtcLoss> variants[] = {
      {"shared", Origin::native, plan_in_registers<Frames::shared>},
      {"workspace", Origin::native, plan_in_registers<Frames::workspace>},
      {"long", Origin::native, plan_in_memory},
  };
  check(call);
  return first_variant_or_vendor<CtcLoss>("ctc_loss", variants, call, selection);
}

}  // namespace SCRAWL_CUDA
