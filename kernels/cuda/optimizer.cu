/// Optimisers over all tensors at once, bound by memory: 28 bytes a parameter for Adam. What a step does is
/// decided by the control block, on the device. The norm is a sum of squares in f64, which neither overflows
/// nor loses small gradients beside large ones: one sum a chunk, then one over the chunks, in their order.

#include "kernels/optimizer.h"

#include <cmath>

#include "kernels/check.h"
#include "kernels/cuda/device/launch.h"
#include "kernels/cuda/device/reduce.h"
#include "kernels/cuda/device/vector.h"
#include "kernels/cuda/operands.h"
#include "kernels/cuda/planners.h"
#include "kernels/cuda/tensors.h"

namespace SCRAWL_CUDA {

namespace {

constexpr int vector = full_vector<float>;

// --------------------------------------------------------------------------------------------------- norm

struct GradientTable {
  Table table;
  const float* g[Table::most_tensors];
};

SCRAWL_KERNEL SCRAWL_THREADS(Chunks::threads) void sum_squares(GradientTable gradients, double* sums) {
  const auto chunk = gradients.table.own<vector>();
  const float* const g = gradients.g[chunk.tensor] + chunk.first;
  double sum = 0;
#pragma unroll 4
  for (int i = thread_index() * vector; i < chunk.whole; i += Chunks::threads * vector) {
    const auto values = load_vector<vector>(g + i);
#pragma unroll
    for (int j = 0; j < vector; ++j) sum += static_cast<double>(values[j]) * static_cast<double>(values[j]);
  }
  for (int i = chunk.whole + thread_index(); i < chunk.count; i += Chunks::threads)
    sum += static_cast<double>(g[i]) * static_cast<double>(g[i]);
  sum = reduce_block(sum, Plus{}, shared_memory<PerWarp<double>>());
  if (thread_index() == 0) sums[block_index().x] = sum;
}

SCRAWL_DEVICE bool is_finite(float x) { return fabsf(x) < INFINITY; }

SCRAWL_KERNEL SCRAWL_THREADS(Chunks::threads) void finish_norm(float clip, const double* sums,
                                                               std::int64_t chunks, const float* loss,
                                                               float* control) {
  double sum = 0;
  for (std::int64_t i = thread_index(); i < chunks; i += Chunks::threads) sum += sums[i];
  sum = reduce_block(sum, Plus{}, shared_memory<PerWarp<double>>());
  if (thread_index() != 0) return;
  const double loss_scale = control[Control::loss_scale], norm = sqrt(sum) / loss_scale;
  const bool clips = clip > 0 && norm > clip;
  const auto stored_norm = static_cast<float>(norm), stored_loss = loss ? *loss : control[Control::loss];
  control[Control::gradient_norm] = stored_norm;
  control[Control::loss] = stored_loss;
  control[Control::skip] = is_finite(stored_norm) && is_finite(stored_loss) ? 0 : 1;
  control[Control::gradient_scale] = static_cast<float>((clips ? clip / norm : 1) / loss_scale);
}

// --------------------------------------------------------------------------------------------------- step

struct Parameters {
  Table table;
  float *w[Table::most_tensors], *m[Table::most_tensors], *v[Table::most_tensors];
  const float* g[Table::most_tensors];
  float decay[Table::most_tensors];
};

/// What is the same for all tensors and steps.
struct Rule {
  OptimizerKind kind;
  float own, past;     ///< SGD: what g' and the moment are in a step
  float beta1, beta2;  ///< SGD: beta1 is the momentum
  float log_beta1, log_beta2;
  float rest1, rest2;  ///< 1 - beta
  float epsilon, l1, l2, weight_decay;

  explicit Rule(const OptimizerStep& call)
      : kind(call.kind),
        beta1(call.kind == OptimizerKind::sgd ? call.momentum : call.beta1),
        beta2(call.beta2),
        log_beta1(logarithm(call.beta1)),
        log_beta2(logarithm(call.beta2)),
        rest1(static_cast<float>(1 - static_cast<double>(call.beta1))),
        rest2(static_cast<float>(1 - static_cast<double>(call.beta2))),
        epsilon(call.epsilon),
        l1(call.l1),
        l2(call.kind == OptimizerKind::adamw ? 0 : call.l2),
        weight_decay(call.kind == OptimizerKind::adamw ? call.weight_decay : 0) {
    const bool nesterov = call.nesterov == OptimizerStep::Nesterov::yes;
    own = nesterov ? 1.0f : 0.0f;
    past = nesterov ? call.momentum : 1.0f;
  }

 private:
  static float logarithm(float beta) { return static_cast<float>(std::log(static_cast<double>(beta))); }
};

/// The numbers of one step on one tensor.
struct Rates {
  float gradient_scale, rate, l1, l2, decay;
  float correction1, correction2;  ///< 1 / (1 - beta^t)

  SCRAWL_DEVICE Rates(const Rule& rule, float factor, const float* control)
      : gradient_scale(control[Control::gradient_scale]),
        rate(control[Control::learning_rate]),
        l1(rule.l1 * factor),
        l2(rule.l2 * factor),
        decay(rule.weight_decay * factor * rate),
        correction1(correction(rule.log_beta1, control)),
        correction2(correction(rule.log_beta2, control)) {}

 private:
  /// 1 - beta^t = -expm1(t log beta), of which f32 loses no digits.
  SCRAWL_DEVICE static float correction(float log_beta, const float* control) {
    return -1 / expm1f((control[Control::step] + 1) * log_beta);
  }
};

struct Weight {
  float w, g, m, v;

  SCRAWL_DEVICE void step(const Rule& rule, const Rates& rates) {
    const float sign = w > 0 ? 1.0f : w < 0 ? -1.0f : 0.0f;
    g = g * rates.gradient_scale + rates.l2 * w + rates.l1 * sign;
    if (rule.kind == OptimizerKind::sgd) {
      m = rule.beta1 * m + g;
      w -= rates.rate * (rule.own * g + rule.past * m);
      return;
    }
    w -= rates.decay * w;
    m = rule.beta1 * m + rule.rest1 * g;
    v = rule.beta2 * v + rule.rest2 * g * g;
    w -= rates.rate * (m * rates.correction1) / (sqrtf(v * rates.correction2) + rule.epsilon);
  }
};

SCRAWL_KERNEL SCRAWL_THREADS(Chunks::threads) void step_weights(Rule rule, Parameters parameters,
                                                                const float* control) {
  if (control[Control::skip] != 0) return;
  const auto chunk = parameters.table.own<vector>();
  const Rates rates(rule, parameters.decay[chunk.tensor], control);
  const bool has_v = rule.kind != OptimizerKind::sgd;
  float* const w = parameters.w[chunk.tensor] + chunk.first;
  float* const m = parameters.m[chunk.tensor] + chunk.first;
  float* const v = has_v ? parameters.v[chunk.tensor] + chunk.first : m;
  const float* const g = parameters.g[chunk.tensor] + chunk.first;

  for (int i = thread_index() * vector; i < chunk.whole; i += Chunks::threads * vector) {
    auto weights = load_vector<vector>(w + i), firsts = load_vector<vector>(m + i);
    auto seconds = has_v ? load_vector<vector>(v + i) : firsts;
    const auto gradients = load_vector<vector>(g + i);
#pragma unroll
    for (int j = 0; j < vector; ++j) {
      Weight one{weights[j], gradients[j], firsts[j], seconds[j]};
      one.step(rule, rates);
      weights[j] = one.w, firsts[j] = one.m, seconds[j] = one.v;
    }
    store_vector(w + i, weights);
    store_vector(m + i, firsts);
    if (has_v) store_vector(v + i, seconds);
  }
  for (int i = chunk.whole + thread_index(); i < chunk.count; i += Chunks::threads) {
    Weight one{w[i], g[i], m[i], has_v ? v[i] : 0};
    one.step(rule, rates);
    w[i] = one.w;
    m[i] = one.m;
    if (has_v) v[i] = one.v;
  }
}

SCRAWL_KERNEL SCRAWL_THREADS(1) void count_step(float* control) {
  const bool skipped = control[Control::skip] != 0;
  control[Control::step] += skipped ? 0.0f : 1.0f;
  control[Control::skipped_in_a_row] = skipped ? control[Control::skipped_in_a_row] + 1 : 0;
}

// ---------------------------------------------------------------------------------------------- launchers

std::int64_t chunks_of(const std::vector<View>& tensors) {
  std::int64_t chunks = 0;
  for (const View& tensor : tensors) chunks += Chunks::of(tensor.shape.count());
  return chunks;
}

/// Calls add(arguments, i, number in its table) for each tensor i that has elements, and flush(arguments) for
/// each table that is full, or last.
template <class Arguments, class IsAligned, class Add, class Flush>
void each_table(const std::vector<View>& tensors, IsAligned is_aligned, Add add, Flush flush) {
  Arguments arguments{};
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto count = tensors[i].shape.count();
    if (count == 0) continue;
    add(arguments, i, arguments.table.add(count, is_aligned(i)));
    if (arguments.table.tensors < Table::most_tensors) continue;
    flush(arguments);
    arguments = {};
  }
  flush(arguments);
}

void measure(const GradientNorm& c, double* sums, Stream stream) {
  std::int64_t done = 0;
  each_table<GradientTable>(
      c.g, [&](std::size_t i) { return is_vector_aligned(c.g[i].data); },
      [&](GradientTable& gradients, std::size_t i, int at) { gradients.g[at] = c.g[i].as<const float>(); },
      [&](const GradientTable& gradients) {
        launch({.kernel = "sum_squares",
                .blocks = {gradients.table.chunks()},
                .threads = Chunks::threads,
                .shared_bytes = shared_size<PerWarp<double>, 256>,
                .stream = stream},
               sum_squares, gradients, sums + done);
        done += gradients.table.chunks();
      });
  launch({.kernel = "finish_norm",
          .threads = Chunks::threads,
          .shared_bytes = shared_size<PerWarp<double>, 256>,
          .stream = stream},
         finish_norm, c.clip, sums, done, c.loss.as<const float>(), c.control.as<float>());
}

void step(const OptimizerStep& c, Stream stream) {
  each_table<Parameters>(
      c.w,
      [&](std::size_t i) {
        return is_vector_aligned(c.w[i].data) && is_vector_aligned(c.g[i].data) &&
               is_vector_aligned(c.m[i].data) && (c.v.empty() || is_vector_aligned(c.v[i].data));
      },
      [&](Parameters& parameters, std::size_t i, int at) {
        parameters.w[at] = c.w[i].as<float>();
        parameters.m[at] = c.m[i].as<float>();
        parameters.v[at] = c.v.empty() ? nullptr : c.v[i].as<float>();
        parameters.g[at] = c.g[i].as<const float>();
        parameters.decay[at] = c.decay[i];
      },
      [&](const Parameters& parameters) {
        launch({.kernel = "optimizer_step",
                .blocks = {parameters.table.chunks()},
                .threads = Chunks::threads,
                .stream = stream},
               step_weights, Rule(c), parameters, c.control.as<const float>());
      });
}

Plan<GradientNorm> plan_norm(GradientNorm& call, const Selection&) {
  for (auto& g : call.g) make_dense(g);
  make_row_major(call.loss, call.control);
  return {.workspace_bytes = static_cast<std::size_t>(chunks_of(call.g)) * sizeof(double),
          .run = [](const GradientNorm& c, Bytes workspace, Stream stream) {
            measure(c, reinterpret_cast<double*>(workspace.data()), stream);
          }};
}

Plan<OptimizerStep> plan_step(OptimizerStep& call, const Selection&) {
  for (std::size_t i = 0; i < call.w.size(); ++i) {
    make_dense(call.w[i]);
    place_as(call.g[i], call.w[i]);
    place_as(call.m[i], call.w[i]);
    if (!call.v.empty()) place_as(call.v[i], call.w[i]);
  }
  make_row_major(call.control);
  return {.run = [](const OptimizerStep& c, Bytes, Stream stream) { step(c, stream); }};
}

Plan<StepEnd> plan_end(StepEnd& call, const Selection&) {
  make_row_major(call.control);
  return {.run = [](const StepEnd& c, Bytes, Stream stream) {
    launch({.kernel = "step_end", .stream = stream}, count_step, c.control.as<float>());
  }};
}

}  // namespace

Plan<GradientNorm> gradient_norm(GradientNorm& call, const Selection& selection) {
  static constexpr Variant<GradientNorm> variants[] = {{"chunks", Origin::native, plan_norm}};
  check(call);
  return first_variant<GradientNorm>("gradient_norm", variants, call, selection);
}

Plan<OptimizerStep> optimizer_step(OptimizerStep& call, const Selection& selection) {
  static constexpr Variant<OptimizerStep> variants[] = {{"chunks", Origin::native, plan_step}};
  check(call);
  return first_variant<OptimizerStep>("optimizer_step", variants, call, selection);
}

Plan<StepEnd> step_end(StepEnd& call, const Selection& selection) {
  static constexpr Variant<StepEnd> variants[] = {{"lane", Origin::native, plan_end}};
  check(call);
  return first_variant<StepEnd>("step_end", variants, call, selection);
}

}  // namespace SCRAWL_CUDA
