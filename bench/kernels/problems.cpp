#include "bench/kernels/problems.h"

#include <fmt/format.h>

#include <cmath>

#include "bench/kernels/problem.h"
#include "bench/kernels/recurrent.h"
#include "kernels/error.h"

namespace scrawl::bench {

namespace {

using std::int64_t;

const std::vector<std::string> all_types{"bf16", "f16", "tf32", "f32"};
const std::vector<std::string> storage_types{"bf16", "f16", "f32"};  // of calls without products

/// A convolution of a network, and the window of the max pooling behind it.
struct Layer {
  const char* name;
  int64_t c, h, w, k, r, p, window_h, window_w;

  int64_t rows() const { return h + 2 * p - r + 1; }
  int64_t columns() const { return w + 2 * p - r + 1; }
  Shape x(int64_t n) const { return {n, c, h, w}; }
  Shape filters() const { return {k, c, r, r}; }
  Shape y(int64_t n) const { return {n, k, rows(), columns()}; }
  Shape pooled(int64_t n) const { return {n, k, rows() / window_h, columns() / window_w}; }
  Conv2dParams params() const { return {.pad_top = p, .pad_left = p, .pad_bottom = p, .pad_right = p}; }
  PoolParams pool() const {
    return {.window_h = window_h, .window_w = window_w, .stride_h = window_h, .stride_w = window_w};
  }
  double flops(int64_t n) const {
    return 2 * static_cast<double>(y(n).count()) * static_cast<double>(c * r * r);
  }
  /// So that outputs are about 1, in any type.
  float scale() const { return 1 / std::sqrt(static_cast<float>(c * r * r)); }
  std::string convolution(int64_t n) const {
    return fmt::format("N={},C={},H={},W={},K={},R={},P={}", n, c, h, w, k, r, p);
  }
};

constexpr Layer crnn[] = {{"a1", 1, 64, 256, 32, 3, 1, 2, 2},
                          {"a2", 32, 32, 128, 64, 3, 1, 2, 2},
                          {"a3", 64, 16, 64, 128, 3, 1, 2, 1}};
constexpr Layer cnn62[] = {{"b1", 3, 64, 64, 512, 5, 0, 2, 2},
                           {"b2", 512, 30, 30, 256, 3, 0, 2, 2},
                           {"b3", 256, 14, 14, 256, 3, 0, 2, 2}};
constexpr Layer tiny_crnn[] = {{"a", 8, 4, 6, 16, 3, 1, 2, 2}};
constexpr Layer tiny_cnn[] = {{"b", 3, 6, 6, 8, 3, 0, 2, 2}};

View image(DType type, const Shape& shape) { return make_view(nullptr, type, shape, Order::channels_last); }
View channels(int64_t count) { return make_view(nullptr, DType::f32, {count}); }

Problem convolve(const Layer& l, int64_t n, const Numbers& t) {
  return searched(fmt::format("conv2d.forward[{},{}]", l.convolution(n), t.name), t,
                  Conv2dForward{.params = l.params(),
                                .x = image(t.storage, l.x(n)),
                                .w = plain(t.storage, l.filters()),
                                .y = image(t.storage, l.y(n))},
                  {.scale = {{"w", l.scale()}}}, l.flops(n));
}

/// For a backend that does not fuse: convolution, then batch norm for its moments.
class ConvolvedMoments final : public Work {
 public:
  ConvolvedMoments(Device& device, const Selection& selection, const Conv2dMomentsForward& call,
                   const Inputs& inputs)
      : convolution_(std::make_shared<CallWork<Conv2dForward>>(
            device, selection, Conv2dForward{.params = call.params, .x = call.x, .w = call.w, .y = call.y},
            inputs)),
        norm_(device, selection,
              {.x = call.y,
               .gamma = call.mean,
               .beta = call.mean,
               .y = call.y,
               .mean = call.mean,
               .variance = call.variance},
              inputs, {convolution_, {{"x", convolution_->call().y}}}) {}

  void run() override {
    convolution_->run();
    norm_.run();
  }
  const std::string& variant() const override { return convolution_->variant(); }
  Values outputs(int64_t most) override {
    auto values = norm_.outputs(most);
    values["y"] = convolution_->outputs(most).at("y");
    return values;
  }

 private:
  std::shared_ptr<CallWork<Conv2dForward>> convolution_;
  CallWork<BatchNormForward> norm_;
};

Problem convolve_moments(const Layer& l, int64_t n, const Numbers& t) {
  const Conv2dMomentsForward call{.params = l.params(),
                                  .x = image(t.storage, l.x(n)),
                                  .w = plain(t.storage, l.filters()),
                                  .y = image(t.storage, l.y(n)),
                                  .mean = channels(l.k),
                                  .variance = channels(l.k)};
  const Inputs inputs{.rounding = t.rounding, .scale = {{"w", l.scale()}}};
  auto made = searched(fmt::format("conv2d_moments.forward[{},{}]", l.convolution(n), t.name), t, call,
                       inputs, l.flops(n));
  made.place = [fused = made.place, call, inputs](Device& device,
                                                  const Selection& selection) -> std::unique_ptr<Work> {
    if (device.backend().conv2d_moments_forward) return fused(device, selection);
    return std::make_unique<ConvolvedMoments>(device, selection, call, inputs);
  };
  return made;
}

Problem convolve_data(const Layer& l, int64_t n, const Numbers& t) {
  return searched(fmt::format("conv2d.backward_data[{},{}]", l.convolution(n), t.name), t,
                  Conv2dBackwardData{.params = l.params(),
                                     .dy = image(t.storage, l.y(n)),
                                     .w = plain(t.storage, l.filters()),
                                     .dx = image(t.storage, l.x(n))},
                  {.scale = {{"w", l.scale()}}}, l.flops(n));
}

Problem convolve_weight(const Layer& l, int64_t n, const Numbers& t) {
  return searched(fmt::format("conv2d.backward_weight[{},{}]", l.convolution(n), t.name), t,
                  Conv2dBackwardWeight{.params = l.params(),
                                       .x = image(t.storage, l.x(n)),
                                       .dy = image(t.storage, l.y(n)),
                                       .dw = plain(DType::f32, l.filters())},
                  {}, l.flops(n));
}

/// For a backend that does not fuse: convolution, pooling, ReLU.
class ConvolvedPooled final : public Work {
 public:
  ConvolvedPooled(Device& device, const Selection& selection, const Conv2dPoolForward& call,
                  const Inputs& inputs)
      : convolution_(std::make_shared<CallWork<Conv2dForward>>(
            device, selection,
            Conv2dForward{.params = call.params,
                          .x = call.x,
                          .w = call.w,
                          .b = call.b,
                          .y = image(call.y.type, conv2d_output(call.params, call.x.shape, call.w.shape))},
            inputs)),
        pooling_(std::make_shared<CallWork<PoolForward>>(
            device, selection,
            PoolForward{.params = call.pool, .x = call.x, .y = call.y, .argmax = call.argmax}, inputs,
            CallWork<PoolForward>::Written{convolution_, {{"x", convolution_->call().y}}})),
        relu_(device, selection, {.kind = Activation::relu, .x = call.y, .y = call.y}, inputs,
              {pooling_, {{"x", pooling_->call().y}}}) {}

  void run() override {
    convolution_->run();
    pooling_->run();
    relu_.run();
  }
  const std::string& variant() const override { return convolution_->variant(); }
  Values outputs(int64_t most) override {
    auto values = relu_.outputs(most);
    values["argmax"] = pooling_->outputs(most).at("argmax");
    return values;
  }

 private:
  std::shared_ptr<CallWork<Conv2dForward>> convolution_;
  std::shared_ptr<CallWork<PoolForward>> pooling_;
  CallWork<ActivationForward> relu_;
};

Problem convolve_pool(const Layer& l, int64_t n, const Numbers& t) {
  const Conv2dPoolForward call{.params = l.params(),
                               .pool = l.pool(),
                               .x = image(t.storage, l.x(n)),
                               .w = plain(t.storage, l.filters()),
                               .b = channels(l.k),
                               .y = image(t.storage, l.pooled(n)),
                               .argmax = image(DType::u8, l.pooled(n))};
  const Inputs inputs{.rounding = t.rounding, .scale = {{"w", l.scale()}}};
  auto made = searched(fmt::format("conv2d_pool.forward[{},{}]", l.convolution(n), t.name), t, call, inputs,
                       l.flops(n));
  made.place = [fused = made.place, call, inputs](Device& device,
                                                  const Selection& selection) -> std::unique_ptr<Work> {
    if (device.backend().conv2d_pool_forward) return fused(device, selection);
    return std::make_unique<ConvolvedPooled>(device, selection, call, inputs);
  };
  return made;
}

BatchNormPoolForward normalised(const Layer& l, int64_t n, const Numbers& t) {
  return {.pool = l.pool(),
          .x = image(t.storage, l.y(n)),
          .gamma = channels(l.k),
          .beta = channels(l.k),
          .y = image(t.storage, l.pooled(n)),
          .argmax = image(DType::u8, l.pooled(n)),
          .mean = channels(l.k),
          .variance = channels(l.k)};
}

std::string normalisation(const Layer& l, int64_t n, const Numbers& t) {
  return fmt::format("N={},C={},H={},W={},R={},S={},{}", n, l.k, l.rows(), l.columns(), l.window_h,
                     l.window_w, t.name);
}

Problem normalise(const Layer& l, int64_t n, const Numbers& t) {
  return problem(fmt::format("batch_norm_pool.forward[{}]", normalisation(l, n, t)), t, normalised(l, n, t),
                 {}, 0);
}

Problem normalise_back(const Layer& l, int64_t n, const Numbers& t) {
  const auto forward = normalised(l, n, t);
  return problem_after(fmt::format("batch_norm_pool.backward[{}]", normalisation(l, n, t)), t, forward,
                       BatchNormPoolBackward{.pool = l.pool(),
                                             .x = forward.x,
                                             .y = forward.y,
                                             .dy = forward.y,
                                             .argmax = forward.argmax,
                                             .gamma = forward.gamma,
                                             .mean = forward.mean,
                                             .variance = forward.variance,
                                             .dx = forward.x,
                                             .dgamma = channels(l.k),
                                             .dbeta = channels(l.k)},
                       {"y", "argmax", "mean", "variance"}, {}, 0);
}

std::string image_of(const Layer& l, int64_t n, const Numbers& t) {
  return fmt::format("N={},C={},H={},W={},{}", n, l.k, l.rows(), l.columns(), t.name);
}

BatchNormForward normalised_apart(const Layer& l, int64_t n, const Numbers& t) {
  const auto x = image(t.storage, l.y(n));
  const auto c = channels(l.k);
  return {.activation = Activation::relu, .x = x, .gamma = c, .beta = c, .y = x, .mean = c, .variance = c};
}

Problem normalise_apart(const Layer& l, int64_t n, const Numbers& t) {
  return problem(fmt::format("batch_norm.forward[{}]", image_of(l, n, t)), t, normalised_apart(l, n, t), {},
                 0);
}

Problem normalise_apart_back(const Layer& l, int64_t n, const Numbers& t) {
  const auto f = normalised_apart(l, n, t);
  return problem_after(fmt::format("batch_norm.backward[{}]", image_of(l, n, t)), t, f,
                       BatchNormBackward{.activation = Activation::relu,
                                         .x = f.x,
                                         .dy = f.y,
                                         .gamma = f.gamma,
                                         .beta = f.beta,
                                         .mean = f.mean,
                                         .variance = f.variance,
                                         .dx = f.x,
                                         .dgamma = channels(l.k),
                                         .dbeta = channels(l.k)},
                       {"mean", "variance"}, {}, 0);
}

PoolForward pooled(const Layer& l, int64_t n, const Numbers& t) {
  return {.params = l.pool(),
          .x = image(t.storage, l.y(n)),
          .y = image(t.storage, l.pooled(n)),
          .argmax = image(DType::u8, l.pooled(n))};
}

Problem pool(const Layer& l, int64_t n, const Numbers& t) {
  return problem(fmt::format("pool.forward[{}]", normalisation(l, n, t)), t, pooled(l, n, t), {}, 0);
}

Problem pool_back(const Layer& l, int64_t n, const Numbers& t) {
  const auto f = pooled(l, n, t);
  return problem_after(fmt::format("pool.backward[{}]", normalisation(l, n, t)), t, f,
                       PoolBackward{.params = l.pool(), .dy = f.y, .argmax = f.argmax, .dx = f.x}, {"argmax"},
                       {}, 0);
}

/// Dense layers: `rows` of them for each sample of the batch.
struct Dense {
  const char* name;
  int64_t rows, inputs, outputs;
  Activation activation;

  View x(int64_t n, const Numbers& t) const { return plain(t.storage, {rows * n, inputs}); }
  View w(const Numbers& t) const { return plain(t.storage, {outputs, inputs}); }
  View y(int64_t n, const Numbers& t) const { return plain(t.storage, {rows * n, outputs}); }
  Inputs values() const { return {.scale = {{"w", 1 / std::sqrt(static_cast<float>(inputs))}}}; }
  double flops(int64_t n) const {
    return 2 * static_cast<double>(rows * n) * static_cast<double>(inputs * outputs);
  }
  std::string parameters(int64_t n, const Numbers& t) const {
    return fmt::format("rows={},I={},O={},{}", rows * n, inputs, outputs, t.name);
  }
};

Problem dense(const Dense& l, int64_t n, const Numbers& t) {
  return problem(
      fmt::format("dense.forward[{}]", l.parameters(n, t)), t,
      DenseForward{
          .activation = l.activation, .x = l.x(n, t), .w = l.w(t), .b = channels(l.outputs), .y = l.y(n, t)},
      l.values(), l.flops(n));
}

Problem dense_data(const Dense& l, int64_t n, const Numbers& t) {
  return problem(fmt::format("dense.backward_data[{}]", l.parameters(n, t)), t,
                 DenseBackwardData{.dy = l.y(n, t), .w = l.w(t), .dx = l.x(n, t)}, l.values(), l.flops(n));
}

Problem dense_weight(const Dense& l, int64_t n, const Numbers& t) {
  return problem(fmt::format("dense.backward_weight[{}]", l.parameters(n, t)), t,
                 DenseBackwardWeight{.x = l.x(n, t),
                                     .dy = l.y(n, t),
                                     .dw = plain(DType::f32, {l.outputs, l.inputs}),
                                     .db = channels(l.outputs)},
                 {}, l.flops(n));
}

Problem softmax(SoftmaxKind kind, int64_t rows, int64_t classes, const Numbers& t) {
  const auto x = plain(t.storage, {rows, classes});
  return problem(fmt::format("{}.forward[rows={},K={},{}]",
                             kind == SoftmaxKind::softmax ? "softmax" : "log_softmax", rows, classes, t.name),
                 t, SoftmaxForward{.kind = kind, .x = x, .y = x}, {}, 0);
}

Problem softmax_back(SoftmaxKind kind, int64_t rows, int64_t classes, const Numbers& t) {
  const auto y = plain(t.storage, {rows, classes});
  return problem(fmt::format("{}.backward[rows={},K={},{}]",
                             kind == SoftmaxKind::softmax ? "softmax" : "log_softmax", rows, classes, t.name),
                 t, SoftmaxBackward{.kind = kind, .y = y, .dy = y, .dx = y}, {}, 0);
}

Problem cross_entropy(int64_t rows, int64_t classes, const Numbers& t) {
  return problem(fmt::format("cross_entropy.gradient[rows={},K={},{}]", rows, classes, t.name), t,
                 CrossEntropy{.x = plain(t.storage, {rows, classes}),
                              .targets = plain(DType::i32, {rows}),
                              .loss = channels(rows),
                              .d_x = plain(DType::f32, {rows, classes})},
                 {.fill = {{"targets", [=](int64_t i) { return static_cast<float>(7 * i % classes); }}}}, 0);
}

/// 28 bytes a parameter: reads the gradient, reads and writes weight and both moments.
Problem adam(int64_t count, const Numbers& t) {
  const std::vector<View> one{plain(DType::f32, {count})};
  const Fill control = [](int64_t slot) {
    return slot == Control::learning_rate
               ? 1e-3f
               : static_cast<float>(slot == Control::gradient_scale || slot == Control::loss_scale);
  };
  return problem(
      fmt::format("adam[parameters={},{}]", count, t.name), t,
      OptimizerStep{
          .decay = {1}, .w = one, .g = one, .m = one, .v = one, .control = channels(Control::count)},
      {.fill = {{"control", control},
                {"v.0", [](int64_t i) { return 0.5f + static_cast<float>(i % 97) / 97; }}}},
      0);
}

/// Batches, and the families that are made at each of them.
struct Sizes {
  std::vector<int64_t> batches;
  std::vector<Layer> with_norm, without_norm;
  std::vector<Recurrent> recurrent;
  std::vector<Dense> dense;
  int64_t steps, classes, longest, labels;           ///< of CTC; classes of the classifier
  std::vector<std::pair<int64_t, int64_t>> softmax;  ///< rows and columns, at no batch
  std::vector<int64_t> parameters;
};

/// The dense layer of the CRNN's columns, its classes, and the classifier's five.
Sizes sizes_of(Extents extents) {
  if (extents == Extents::tiny)
    return {.batches = {2},
            .with_norm = {std::begin(tiny_crnn), std::end(tiny_crnn)},
            .without_norm = {std::begin(tiny_cnn), std::end(tiny_cnn)},
            .recurrent = {{"lstm", 3, 16, 16}},
            .dense = {{"dense", 4, 16, 24, Activation::relu}},
            .steps = 5,
            .classes = 6,
            .longest = 2,
            .labels = 7,
            .softmax = {{3, 40}, {2, 300}},
            .parameters = {300}};
  constexpr int64_t elements = 64 << 20;
  return {.batches = {64, 256, 1024},
          .with_norm = {std::begin(crnn), std::end(crnn)},
          .without_norm = {std::begin(cnn62), std::end(cnn62)},
          .recurrent = {{"lstm1", 64, 64, 256}, {"lstm2", 64, 512, 256}},
          .dense = {{"columns", 64, 1024, 64, Activation::relu},
                    {"output", 64, 512, 30, Activation::none},
                    {"dense1", 1, 9216, 512, Activation::relu},
                    {"dense2", 1, 512, 1024, Activation::sigmoid},
                    {"dense3", 1, 1024, 512, Activation::relu},
                    {"dense4", 1, 512, 256, Activation::sigmoid},
                    {"classes", 1, 256, 62, Activation::none}},
          .steps = 64,
          .classes = 30,
          .longest = 24,
          .labels = 62,
          .softmax = {{elements / 62, 62},
                      {elements / 256, 256},
                      {elements / 4096, 4096},
                      {elements / 32768, 32768}},
          .parameters = {3'300'000, 7'700'000}};
}

}  // namespace

std::vector<Family> families(Extents extents) {
  const auto sizes = sizes_of(extents);
  std::vector<Family> all;
  const auto add = [&](std::string operation, std::string layer, const std::vector<std::string>& types,
                       auto make) {
    all.push_back({.operation = std::move(operation),
                   .layer = std::move(layer),
                   .types = types,
                   .batches = sizes.batches,
                   .make = make});
  };
  const auto add_layer = [&](const Layer& l) {
    add("conv2d.forward", l.name, all_types, [=](int64_t n, const Numbers& t) { return convolve(l, n, t); });
    if (l.c > 3)  // images have no gradient
      add("conv2d.backward_data", l.name, all_types,
          [=](int64_t n, const Numbers& t) { return convolve_data(l, n, t); });
    add("conv2d.backward_weight", l.name, all_types,
        [=](int64_t n, const Numbers& t) { return convolve_weight(l, n, t); });
  };
  for (const auto& l : sizes.without_norm) {
    add("conv2d_pool.forward", l.name, all_types,
        [=](int64_t n, const Numbers& t) { return convolve_pool(l, n, t); });
    add_layer(l);
  }
  for (const auto& l : sizes.recurrent) {
    add("lstm.forward", l.name, all_types,
        [=](int64_t n, const Numbers& t) { return lstm_forward(l, n, t); });
    add("lstm.backward", l.name, all_types,
        [=](int64_t n, const Numbers& t) { return lstm_backward(l, n, t); });
  }
  add("ctc.gradient", "", storage_types, [=](int64_t n, const Numbers& t) {
    return ctc_gradient(sizes.steps, n, sizes.classes, sizes.longest, t);
  });
  for (const auto& l : sizes.with_norm) {
    add("conv2d_moments.forward", l.name, all_types,
        [=](int64_t n, const Numbers& t) { return convolve_moments(l, n, t); });
    add_layer(l);
    add("batch_norm_pool.forward", l.name, storage_types,
        [=](int64_t n, const Numbers& t) { return normalise(l, n, t); });
    add("batch_norm_pool.backward", l.name, storage_types,
        [=](int64_t n, const Numbers& t) { return normalise_back(l, n, t); });
  }
  for (const auto& l : sizes.with_norm) {
    add("batch_norm.forward", l.name, storage_types,
        [=](int64_t n, const Numbers& t) { return normalise_apart(l, n, t); });
    add("batch_norm.backward", l.name, storage_types,
        [=](int64_t n, const Numbers& t) { return normalise_apart_back(l, n, t); });
    add("pool.forward", l.name, storage_types, [=](int64_t n, const Numbers& t) { return pool(l, n, t); });
    add("pool.backward", l.name, storage_types,
        [=](int64_t n, const Numbers& t) { return pool_back(l, n, t); });
  }
  for (const auto& l : sizes.dense) {
    add("dense.forward", l.name, all_types, [=](int64_t n, const Numbers& t) { return dense(l, n, t); });
    add("dense.backward_data", l.name, all_types,
        [=](int64_t n, const Numbers& t) { return dense_data(l, n, t); });
    add("dense.backward_weight", l.name, all_types,
        [=](int64_t n, const Numbers& t) { return dense_weight(l, n, t); });
  }
  add("log_softmax.forward", "", storage_types, [=](int64_t n, const Numbers& t) {
    return softmax(SoftmaxKind::log_softmax, sizes.steps * n, sizes.classes, t);
  });
  add("log_softmax.backward", "", storage_types, [=](int64_t n, const Numbers& t) {
    return softmax_back(SoftmaxKind::log_softmax, sizes.steps * n, sizes.classes, t);
  });
  add("cross_entropy.gradient", "", storage_types,
      [=](int64_t n, const Numbers& t) { return cross_entropy(n, sizes.labels, t); });
  // What has no batch: `n` is what it is checked at.
  const auto add_once = [&](std::string operation, std::string layer, const std::vector<std::string>& types,
                            int64_t size, auto make) {
    all.push_back({.operation = std::move(operation),
                   .layer = std::move(layer),
                   .types = types,
                   .batches = {size},
                   .check_batch = std::min<int64_t>(size, 1000),
                   .make = make});
  };
  for (const auto& [rows, classes] : sizes.softmax) {
    const auto width = fmt::format("K={}", classes);
    add_once("softmax.forward", width, storage_types, rows,
             [=](int64_t n, const Numbers& t) { return softmax(SoftmaxKind::softmax, n, classes, t); });
    add_once("softmax.backward", width, storage_types, rows,
             [=](int64_t n, const Numbers& t) { return softmax_back(SoftmaxKind::softmax, n, classes, t); });
    add_once("cross_entropy.gradient", width, storage_types, rows,
             [=](int64_t n, const Numbers& t) { return cross_entropy(n, classes, t); });
  }
  for (const auto count : sizes.parameters) add_once("adam", fmt::format("{}", count), {"f32"}, count, adam);
  return all;
}

Problem copy_of(std::int64_t bytes) {
  const auto x = plain(DType::f32, {bytes / 4});
  return problem(fmt::format("copy[bytes={}]", bytes), numbers_of("f32"), Copy{.x = x, .y = x}, {}, 0);
}

Problem square_product(std::int64_t side, const Numbers& t) {
  const auto a = plain(t.storage, {side, side});
  const auto n = static_cast<double>(side);
  return problem(fmt::format("gemm[M={0},N={0},K={0},{1}]", side, t.name), t, Gemm{.a = a, .b = a, .y = a},
                 {.scale = {{"b", 1 / std::sqrt(static_cast<float>(side))}}}, 2 * n * n * n);
}

Numbers numbers_of(const std::string& name) {
  if (name == "bf16") return {name, DType::bf16, F32Products::exact, DType::bf16};
  if (name == "f16") return {name, DType::f16, F32Products::exact, DType::f16};
  if (name == "tf32") return {name, DType::f32, F32Products::tf32, DType::f32};
  if (name == "f32") return {name, DType::f32, F32Products::exact, DType::f32};
  throw UsageError("type: expected bf16, f16, tf32 or f32, got {}", name);
}

Numbers widened(const Numbers& numbers) {
  return {numbers.name, DType::f32, F32Products::exact, numbers.rounding};
}

// Roundings on the way average out in a norm: a few units of the storage type hold them, and a wrong index or
// sign is far beyond. Gradients through an LSTM's steps take most.
double tolerance_of(const Numbers& numbers) {
  if (numbers.storage == DType::bf16) return 0x1p-5;
  if (numbers.storage == DType::f16 || numbers.products == F32Products::tf32) return 0x1p-8;
  return 1e-4;
}

}  // namespace scrawl::bench
