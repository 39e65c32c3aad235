/// Optimisers over all tensors at once: the tensors are cut into chunks of one size, and the threads share
/// the chunks. Bound by memory: 28 bytes a parameter for Adam.

#include "kernels/optimizer.h"

#include <cmath>
#include <memory>

#include "kernels/check.h"
#include "kernels/cpu/dense.h"
#include "kernels/cpu/planners.h"

namespace scrawl::cpu {
namespace {

using f64x8 = double __attribute__((vector_size(64)));
using f32x8 = float __attribute__((vector_size(32)));

constexpr std::int64_t chunk_elements = 16 * 1024;

/// A stretch of one tensor.
struct Chunk {
  std::size_t tensor;
  std::int64_t begin, end;
};

using Chunks = std::shared_ptr<const std::vector<Chunk>>;

Chunks cut(const std::vector<View>& tensors) {
  auto chunks = std::make_shared<std::vector<Chunk>>();
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto count = elements_of(tensors[i]);
    for (std::int64_t begin = 0; begin < count; begin += chunk_elements)
      chunks->push_back({i, begin, std::min(begin + chunk_elements, count)});
  }
  return chunks;
}

/// Calls f(index of the chunk, chunk).
template <class F>
void each_chunk(const std::vector<Chunk>& chunks, int threads, F&& f) {
  parallel_for(threads, static_cast<std::int64_t>(chunks.size()), 1,
               [&](std::int64_t begin, std::int64_t end) {
                 for (auto i = begin; i < end; ++i) f(i, chunks[static_cast<std::size_t>(i)]);
               });
}

/// Calls f(i, count) for the vectors of a chunk.
template <class F>
[[gnu::always_inline]] inline void each_vector_of(const Chunk& chunk, F&& f) {
  auto i = chunk.begin;
  for (; i + lanes <= chunk.end; i += lanes) f(i, lanes);
  if (i < chunk.end) f(i, static_cast<int>(chunk.end - i));
}

double squares_of(const float* g, const Chunk& chunk) {
  f64x8 low{}, high{};  // in f64: neither overflows nor loses small gradients beside large ones
  each_vector_of(chunk, [&](std::int64_t i, int count) {
    const f32x16 values = load(g + i, count);
    f32x8 half[2];
    std::memcpy(half, &values, sizeof values);
    const f64x8 a = __builtin_convertvector(half[0], f64x8), b = __builtin_convertvector(half[1], f64x8);
    low += a * a;
    high += b * b;
  });
  const f64x8 both = low + high;
  double total = 0;
  for (int i = 0; i < 8; ++i) total += both[i];
  return total;
}

void measure(const GradientNorm& call, const std::vector<Chunk>& chunks, double* squares, int threads) {
  each_chunk(chunks, threads, [&](std::int64_t i, const Chunk& chunk) {
    squares[i] = squares_of(call.g[chunk.tensor].as<const float>(), chunk);
  });
  double sum = 0;
  for (std::size_t i = 0; i < chunks.size(); ++i) sum += squares[i];
  auto* const control = call.control.as<float>();
  const double loss_scale = control[Control::loss_scale], norm = std::sqrt(sum) / loss_scale;
  const bool clips = call.clip > 0 && norm > call.clip;
  control[Control::gradient_norm] = static_cast<float>(norm);
  if (call.loss.present()) control[Control::loss] = *call.loss.as<const float>();
  control[Control::skip] =
      std::isfinite(control[Control::gradient_norm]) && std::isfinite(control[Control::loss]) ? 0 : 1;
  control[Control::gradient_scale] = static_cast<float>((clips ? call.clip / norm : 1) / loss_scale);
}

/// The numbers of one step on one tensor, in f32.
struct Rates {
  float gradient_scale, rate, l1, l2, keep;  ///< keep = 1 - rate decay
  float first_correction, second_correction;

  Rates(const OptimizerStep& call, std::size_t tensor) {
    const auto* const control = call.control.as<const float>();
    const double factor = call.decay[tensor], steps = static_cast<double>(control[Control::step]) + 1;
    const bool decoupled = call.kind == OptimizerKind::adamw;
    gradient_scale = control[Control::gradient_scale];
    rate = control[Control::learning_rate];
    l1 = static_cast<float>(call.l1 * factor);
    l2 = decoupled ? 0.0f : static_cast<float>(call.l2 * factor);
    keep = decoupled ? static_cast<float>(1 - static_cast<double>(rate) * call.weight_decay * factor) : 1.0f;
    first_correction = static_cast<float>(1 / (1 - std::pow(static_cast<double>(call.beta1), steps)));
    second_correction = static_cast<float>(1 / (1 - std::pow(static_cast<double>(call.beta2), steps)));
  }

  [[gnu::always_inline]] f32x16 gradient(f32x16 g, f32x16 w) const {
    const f32x16 zero{}, one = broadcast(1.0f);
    const f32x16 sign = select(less(zero, w), one, select(less(w, zero), -one, zero));
    return g * gradient_scale + l2 * w + l1 * sign;
  }
};

void sgd(const OptimizerStep& call, const Chunk& chunk) {
  const Rates rates(call, chunk.tensor);
  float* const w = call.w[chunk.tensor].as<float>();
  float* const m = call.m[chunk.tensor].as<float>();
  const float* const g = call.g[chunk.tensor].as<const float>();
  const float momentum = call.momentum;
  const float own = call.nesterov == OptimizerStep::Nesterov::yes ? 1.0f : 0.0f;  // weight of g in the step
  const float past = call.nesterov == OptimizerStep::Nesterov::yes ? momentum : 1.0f;
  each_vector_of(chunk, [&](std::int64_t i, int count) {
    const f32x16 weight = load(w + i, count), gradient = rates.gradient(load(g + i, count), weight);
    const f32x16 moment = momentum * load(m + i, count) + gradient;
    store(m + i, moment, count);
    store(w + i, weight - rates.rate * (own * gradient + past * moment), count);
  });
}

void adam(const OptimizerStep& call, const Chunk& chunk) {
  const Rates rates(call, chunk.tensor);
  float* const w = call.w[chunk.tensor].as<float>();
  float* const m = call.m[chunk.tensor].as<float>();
  float* const v = call.v[chunk.tensor].as<float>();
  const float* const g = call.g[chunk.tensor].as<const float>();
  const float beta1 = call.beta1, beta2 = call.beta2;
  const float new1 = static_cast<float>(1 - static_cast<double>(beta1));
  const float new2 = static_cast<float>(1 - static_cast<double>(beta2));
  each_vector_of(chunk, [&](std::int64_t i, int count) {
    const f32x16 weight = load(w + i, count), gradient = rates.gradient(load(g + i, count), weight);
    const f32x16 first = beta1 * load(m + i, count) + new1 * gradient;
    const f32x16 second = beta2 * load(v + i, count) + new2 * gradient * gradient;
    const f32x16 step =
        (first * rates.first_correction) / (square_root(second * rates.second_correction) + call.epsilon);
    store(m + i, first, count);
    store(v + i, second, count);
    store(w + i, weight * rates.keep - rates.rate * step, count);
  });
}

void step(const OptimizerStep& call, const std::vector<Chunk>& chunks, int threads) {
  if (call.control.as<const float>()[Control::skip] != 0) return;
  each_chunk(chunks, threads, [&](std::int64_t, const Chunk& chunk) {
    call.kind == OptimizerKind::sgd ? sgd(call, chunk) : adam(call, chunk);
  });
}

void end_step(const StepEnd& call) {
  auto* const control = call.control.as<float>();
  const bool skipped = control[Control::skip] != 0;
  control[Control::step] += skipped ? 0 : 1;
  control[Control::skipped_in_a_row] = skipped ? control[Control::skipped_in_a_row] + 1 : 0;
}

Plan<GradientNorm> plan_norm(GradientNorm& call, const Selection& selection) {
  for (auto& g : call.g) make_dense(g);
  if (call.loss.present()) make_row_major(call.loss);
  make_row_major(call.control);
  const auto chunks = cut(call.g);
  Workspace counted;
  counted.take<double>(static_cast<std::int64_t>(chunks->size()));
  return {.workspace_bytes = counted.bytes(),
          .run = [chunks, threads = selection.threads](const GradientNorm& c, Bytes bytes, Stream) {
            Workspace workspace(bytes);
            measure(c, *chunks, workspace.take<double>(static_cast<std::int64_t>(chunks->size())), threads);
          }};
}

Plan<OptimizerStep> plan_step(OptimizerStep& call, const Selection& selection) {
  for (std::size_t i = 0; i < call.w.size(); ++i) {
    make_dense(call.w[i]);
    place_as(call.g[i], call.w[i]);
    place_as(call.m[i], call.w[i]);
    if (!call.v.empty()) place_as(call.v[i], call.w[i]);
  }
  make_row_major(call.control);
  return {.run = [chunks = cut(call.w), threads = selection.threads](const OptimizerStep& c, Bytes, Stream) {
    step(c, *chunks, threads);
  }};
}

Plan<StepEnd> plan_end(StepEnd& call, const Selection&) {
  make_row_major(call.control);
  return {.run = [](const StepEnd& c, Bytes, Stream) { end_step(c); }};
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
  static constexpr Variant<StepEnd> variants[] = {{"loop", Origin::native, plan_end}};
  check(call);
  return first_variant<StepEnd>("step_end", variants, call, selection);
}

}  // namespace scrawl::cpu
