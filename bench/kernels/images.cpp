/// Convolutions, batch norm and pooling.

#include <cmath>

#include "bench/kernels/decomposed.h"
#include "bench/kernels/named.h"
#include "bench/kernels/problem.h"
#include "kernels/error.h"

namespace scrawl::bench {

namespace {

using std::int64_t;

View image(DType type, const Shape& shape) { return make_view(nullptr, type, shape, Order::channels_last); }
View channels(int64_t count) { return make_view(nullptr, DType::f32, {count}); }

// ------------------------------------------------------------------------------------------- convolutions

/// Sets one word for both axes where they agree.
void set_both(Name& name, const std::string& key, int64_t usual, int64_t h, int64_t w) {
  if (h == w) {
    name.set_unless(usual, key, h);
  } else {
    name.set(key + "_h", h);
    name.set(key + "_w", w);
  }
}

int64_t of_axis(const Name& name, const std::string& key, const char* axis, int64_t usual, int64_t least) {
  return name.get(key + axis, name.get(key, usual, least), least);
}

/// A convolution, by its words.
struct Convolution {
  Numbers numbers;
  int64_t n;
  Shape x, w, y;
  Conv2dParams params;
  double flops;
  Inputs inputs;

  explicit Convolution(const Name& name)
      : numbers(numbers_of(name)), n(name.at("N")), params(params_of(name)) {
    const auto c = name.at("C"), r = name.at("R");
    if (c % params.groups != 0)
      throw UsageError("{}: C: expected a multiple of groups={}, got {}", name.text(), params.groups, c);
    x = {n, c, name.at("H"), name.at("W")};
    w = {name.at("K"), c / params.groups, r, name.get("S", r, 1)};
    y = conv2d_output(params, x, w);
    const auto window = w[1] * w[2] * w[3];
    flops = 2 * static_cast<double>(y.count()) * static_cast<double>(window);
    // So that outputs are about 1, in any type.
    inputs.scale = {{"w", 1 / std::sqrt(static_cast<float>(window))}};
  }

  static Conv2dParams params_of(const Name& name) {
    Conv2dParams p;
    p.pad_top = p.pad_left = p.pad_bottom = p.pad_right = name.get("P", 0);
    p.pad_top = name.get("pad_top", p.pad_top);
    p.pad_left = name.get("pad_left", p.pad_left);
    p.pad_bottom = name.get("pad_bottom", p.pad_bottom);
    p.pad_right = name.get("pad_right", p.pad_right);
    p.stride_h = of_axis(name, "stride", "_h", 1, 1);
    p.stride_w = of_axis(name, "stride", "_w", 1, 1);
    p.dilation_h = of_axis(name, "dilation", "_h", 1, 1);
    p.dilation_w = of_axis(name, "dilation", "_w", 1, 1);
    p.groups = name.get("groups", 1, 1);
    return p;
  }
  static Activation activation_of(const std::string& text) {
    for (const auto one : {Activation::none, Activation::relu, Activation::sigmoid, Activation::tanh})
      if (name_of(one) == text) return one;
    throw UsageError("activation: expected none, relu, sigmoid or tanh, got {}", text);
  }

  View x_view() const { return image(numbers.storage, x); }
  View w_view() const { return plain(numbers.storage, w); }
  View y_view() const { return image(numbers.storage, y); }
  /// A bias, where the name says so.
  View b_view(const Name& name) const { return name.get("bias", 0) != 0 ? channels(w[0]) : View{}; }
};

Name named(const char* operation, const Conv2dParams& p, const Shape& x, const Shape& w,
           const Numbers& numbers) {
  Name name(operation, numbers.name);
  name.set("N", x[0]).set("C", x[1]).set("H", x[2]).set("W", x[3]).set("K", w[0]).set("R", w[2]);
  name.set_unless(w[2], "S", w[3]);
  if (p.pad_top == p.pad_left && p.pad_top == p.pad_bottom && p.pad_top == p.pad_right) {
    name.set_unless(int64_t{0}, "P", p.pad_top);
  } else {
    name.set("pad_top", p.pad_top).set("pad_left", p.pad_left);
    name.set("pad_bottom", p.pad_bottom).set("pad_right", p.pad_right);
  }
  set_both(name, "stride", 1, p.stride_h, p.stride_w);
  set_both(name, "dilation", 1, p.dilation_h, p.dilation_w);
  name.set_unless(int64_t{1}, "groups", p.groups);
  return name;
}

Problem forward(const Name& name) {
  const Convolution c(name);
  return searched(name,
                  Conv2dForward{.params = c.params,
                                .activation = Convolution::activation_of(name.get("activation", "none")),
                                .x = c.x_view(),
                                .w = c.w_view(),
                                .b = c.b_view(name),
                                .y = c.y_view()},
                  c.inputs, c.flops);
}

Problem backward_data(const Name& name) {
  const Convolution c(name);
  return searched(name,
                  Conv2dBackwardData{.params = c.params, .dy = c.y_view(), .w = c.w_view(), .dx = c.x_view()},
                  c.inputs, c.flops);
}

Problem backward_weight(const Name& name) {
  const Convolution c(name);
  return searched(name,
                  Conv2dBackwardWeight{.params = c.params,
                                       .x = c.x_view(),
                                       .dy = c.y_view(),
                                       .dw = plain(DType::f32, c.w),
                                       .db = c.b_view(name)},
                  {}, c.flops);
}

Problem moments(const Name& name) {
  const Convolution c(name);
  const Conv2dMomentsForward call{.params = c.params,
                                  .x = c.x_view(),
                                  .w = c.w_view(),
                                  .b = c.b_view(name),
                                  .y = c.y_view(),
                                  .mean = channels(c.w[0]),
                                  .variance = channels(c.w[0])};
  return or_apart<ConvolvedMoments>(searched(name, call, c.inputs, c.flops), name, call, c.inputs);
}

// ----------------------------------------------------------------------------------------------- windows

/// Windows of R x S that lie beside one another, unless a name says otherwise.
PoolParams pool_of(const Name& name) {
  PoolParams p;
  p.window_h = name.at("R");
  p.window_w = name.get("S", p.window_h, 1);
  p.stride_h = name.get("stride_h", p.window_h, 1);
  p.stride_w = name.get("stride_w", p.window_w, 1);
  p.pad_h = name.get("pad_h", 0);
  p.pad_w = name.get("pad_w", 0);
  const auto kind = name.get("kind", "max");
  if (kind != "max" && kind != "average")
    throw UsageError("{}: kind: expected max or average, got {}", name.text(), kind);
  p.kind = kind == "max" ? PoolKind::max : PoolKind::average;
  return p;
}

void add_windows(Name& name, const PoolParams& p) {
  name.set("R", p.window_h).set("S", p.window_w);
  name.set_unless(p.window_h, "stride_h", p.stride_h).set_unless(p.window_w, "stride_w", p.stride_w);
  name.set_unless(int64_t{0}, "pad_h", p.pad_h).set_unless(int64_t{0}, "pad_w", p.pad_w);
  if (p.kind == PoolKind::average) name.set("kind", "average");
}

/// Images of what is normalised or pooled.
struct Images {
  Numbers numbers;
  Shape x;

  explicit Images(const Name& name)
      : numbers(numbers_of(name)), x{name.at("N"), name.at("C"), name.at("H"), name.at("W")} {}
  View view() const { return image(numbers.storage, x); }
  View channel_view() const { return channels(x[1]); }
};

struct Windows : Images {
  PoolParams pool;

  explicit Windows(const Name& name) : Images(name), pool(pool_of(name)) {}
  Shape pooled() const { return pool_output(pool, x); }
  View y_view() const { return image(numbers.storage, pooled()); }
  View argmax() const { return pool.kind == PoolKind::max ? image(argmax_type(pool), pooled()) : View{}; }
};

Name named(const char* operation, const Shape& x, const Numbers& numbers) {
  Name name(operation, plain_type(numbers));
  name.set("N", x[0]).set("C", x[1]).set("H", x[2]).set("W", x[3]);
  return name;
}

Name named(const char* operation, const Shape& x, const PoolParams& pool, const Numbers& numbers) {
  auto name = named(operation, x, numbers);
  add_windows(name, pool);
  return name;
}

/// The window of the pooling behind a convolution.
PoolParams pool_behind(const Name& name) {
  const auto h = of_axis(name, "pool", "_h", 2, 1), w = of_axis(name, "pool", "_w", 2, 1);
  return {.window_h = h, .window_w = w, .stride_h = h, .stride_w = w};
}

Problem convolve_pool(const Name& name) {
  const Convolution c(name);
  const auto pool = pool_behind(name);
  const auto pooled = pool_output(pool, c.y);
  const Conv2dPoolForward call{.params = c.params,
                               .pool = pool,
                               .x = c.x_view(),
                               .w = c.w_view(),
                               .b = channels(c.w[0]),
                               .y = image(c.numbers.storage, pooled),
                               .argmax = image(DType::u8, pooled)};
  return or_apart<ConvolvedPooled>(searched(name, call, c.inputs, c.flops), name, call, c.inputs);
}

Problem pool_forward(const Name& name) {
  const Windows p(name);
  return problem(name, PoolForward{.params = p.pool, .x = p.view(), .y = p.y_view(), .argmax = p.argmax()},
                 {}, 0);
}

Problem pool_backward(const Name& name) {
  const Windows p(name);
  const PoolForward f{.params = p.pool, .x = p.view(), .y = p.y_view(), .argmax = p.argmax()};
  const PoolBackward b{.params = p.pool, .dy = f.y, .argmax = f.argmax, .dx = f.x};
  return p.argmax().present() ? problem_after(name, f, b, {"argmax"}, {}, 0) : problem(name, b, {}, 0);
}

// -------------------------------------------------------------------------------------------- batch norm

BatchNormForward norm_of(const Name& name) {
  const Images i(name);
  return {.activation = Convolution::activation_of(name.get("activation", "none")),
          .x = i.view(),
          .gamma = i.channel_view(),
          .beta = i.channel_view(),
          .y = i.view(),
          .mean = i.channel_view(),
          .variance = i.channel_view()};
}

Problem norm_forward(const Name& name) { return problem(name, norm_of(name), {}, 0); }

Problem norm_backward(const Name& name) {
  const auto f = norm_of(name);
  return problem_after(name, f,
                       BatchNormBackward{.activation = f.activation,
                                         .x = f.x,
                                         .dy = f.y,
                                         .gamma = f.gamma,
                                         .beta = f.beta,
                                         .mean = f.mean,
                                         .variance = f.variance,
                                         .dx = f.x,
                                         .dgamma = f.gamma,
                                         .dbeta = f.beta},
                       {"mean", "variance"}, {}, 0);
}

BatchNormPoolForward norm_pool_of(const Name& name) {
  const Windows w(name);
  return {.pool = w.pool,
          .x = w.view(),
          .gamma = w.channel_view(),
          .beta = w.channel_view(),
          .y = w.y_view(),
          .argmax = w.argmax(),
          .mean = w.channel_view(),
          .variance = w.channel_view()};
}

Problem norm_pool_forward(const Name& name) { return problem(name, norm_pool_of(name), {}, 0); }

Problem norm_pool_apply(const Name& name) {
  const auto f = norm_pool_of(name);
  const Inputs inputs{.fill = {{"variance", [](int64_t i) { return 0.5f + static_cast<float>(i % 7); }}}};
  const BatchNormPoolApply call{.pool = f.pool,
                                .x = f.x,
                                .gamma = f.gamma,
                                .beta = f.beta,
                                .mean = f.mean,
                                .variance = f.variance,
                                .y = f.y,
                                .argmax = f.argmax};
  return or_apart<NormalisedPooled>(problem(name, call, inputs, 0), name, call, inputs);
}

Problem norm_pool_backward(const Name& name) {
  const auto f = norm_pool_of(name);
  return problem_after(name, f,
                       BatchNormPoolBackward{.pool = f.pool,
                                             .x = f.x,
                                             .y = f.y,
                                             .dy = f.y,
                                             .argmax = f.argmax,
                                             .gamma = f.gamma,
                                             .mean = f.mean,
                                             .variance = f.variance,
                                             .dx = f.x,
                                             .dgamma = f.gamma,
                                             .dbeta = f.beta},
                       {"y", "argmax", "mean", "variance"}, {}, 0);
}

Name with(Name name, Activation activation) {
  if (activation != Activation::none) name.set("activation", name_of(activation));
  return name;
}

Name with_bias(Name name, const View& b) {
  if (b.present()) name.set("bias", 1);
  return name;
}

}  // namespace

const std::map<std::string, Maker>& image_makers() {
  static const std::map<std::string, Maker> all{{"conv2d.forward", forward},
                                                {"conv2d.backward_data", backward_data},
                                                {"conv2d.backward_weight", backward_weight},
                                                {"conv2d_pool.forward", convolve_pool},
                                                {"conv2d_moments.forward", moments},
                                                {"pool.forward", pool_forward},
                                                {"pool.backward", pool_backward},
                                                {"batch_norm.forward", norm_forward},
                                                {"batch_norm.backward", norm_backward},
                                                {"batch_norm_pool.forward", norm_pool_forward},
                                                {"batch_norm_pool.apply", norm_pool_apply},
                                                {"batch_norm_pool.backward", norm_pool_backward}};
  return all;
}

Name name_of(const Conv2dForward& c, const Numbers& t) {
  return with(with_bias(named("conv2d.forward", c.params, c.x.shape, c.w.shape, t), c.b), c.activation);
}
Name name_of(const Conv2dPoolForward& c, const Numbers& t) {
  auto name = named("conv2d_pool.forward", c.params, c.x.shape, c.w.shape, t);
  set_both(name, "pool", 2, c.pool.window_h, c.pool.window_w);
  return name;
}
Name name_of(const Conv2dMomentsForward& c, const Numbers& t) {
  return with_bias(named("conv2d_moments.forward", c.params, c.x.shape, c.w.shape, t), c.b);
}
Name name_of(const Conv2dBackwardData& c, const Numbers& t) {
  return named("conv2d.backward_data", c.params, c.dx.shape, c.w.shape, t);
}
Name name_of(const Conv2dBackwardWeight& c, const Numbers& t) {
  return with_bias(named("conv2d.backward_weight", c.params, c.x.shape, c.dw.shape, t), c.db);
}
Name name_of(const BatchNormForward& c, const Numbers& t) {
  return with(named("batch_norm.forward", c.x.shape, t), c.activation);
}
Name name_of(const BatchNormBackward& c, const Numbers& t) {
  return with(named("batch_norm.backward", c.x.shape, t), c.activation);
}
Name name_of(const BatchNormPoolForward& c, const Numbers& t) {
  return named("batch_norm_pool.forward", c.x.shape, c.pool, t);
}
Name name_of(const BatchNormPoolApply& c, const Numbers& t) {
  return named("batch_norm_pool.apply", c.x.shape, c.pool, t);
}
Name name_of(const BatchNormPoolBackward& c, const Numbers& t) {
  return named("batch_norm_pool.backward", c.x.shape, c.pool, t);
}
Name name_of(const PoolForward& c, const Numbers& t) { return named("pool.forward", c.x.shape, c.params, t); }
Name name_of(const PoolBackward& c, const Numbers& t) {
  return named("pool.backward", c.dx.shape, c.params, t);
}

}  // namespace scrawl::bench
