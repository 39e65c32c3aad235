#include "models/network.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace scrawl {
namespace {

class Builder {
 public:
  Builder(const Recipe& recipe, int classes, const NetworkShape& shape, NetworkUse use, DType type)
      : recipe_(recipe),
        classes_(classes),
        shape_(shape),
        use_(use),
        type_(type),
        parameter_type_(type == DType::f64 ? DType::f64 : DType::f32) {}

  Network build() {
    read_pixels();
    for (at_ = 0; at_ < recipe_.layers.size();) {
      const auto& layer = recipe_.layers[at_++];
      try {
        std::visit([&](const auto& what) { add(layer.name, what); }, layer.what);
      } catch (const ShapeError& error) {
        throw ShapeError("{}: {}", layer.where, error.what());
      }
    }
    finish();
    return std::move(net_);
  }

 private:
  Graph& graph() { return net_.graph; }
  const Shape& x() const { return net_.graph.spec(x_).shape; }
  bool training() const { return use_ == NetworkUse::training; }

  void read_pixels() {
    const auto& in = recipe_.input;
    const auto width = shape_.width ? shape_.width : in.width;
    x_ = graph().input("pixels", image_spec(DType::u8, {shape_.batch, in.channels, in.height, width}));
    // Ink is 255; a mean of about a half keeps the first layer's inputs centred.
    x_ = graph().add("input", ops::Cast{.type = type_, .scale = 1.0f / 255}, {x_})[0];
    if (recipe_.valid_widths) widths_ = graph().input("widths", lengths_spec());
  }

  TensorSpec lengths_spec() const { return matrix_spec(DType::i32, {shape_.batch}); }

  /// The layer after the current one, taken if it is of type L.
  template <class L>
  const L* take() {
    if (at_ >= recipe_.layers.size()) return nullptr;
    const auto* const next = std::get_if<L>(&recipe_.layers[at_].what);
    if (next) ++at_;
    return next;
  }

  const PoolLayer* take_max_pool() {
    if (at_ >= recipe_.layers.size()) return nullptr;
    const auto* const next = std::get_if<PoolLayer>(&recipe_.layers[at_].what);
    if (!next || next->params.kind != PoolKind::max) return nullptr;
    ++at_;
    return next;
  }

  bool next_is_relu() const {
    if (at_ >= recipe_.layers.size()) return false;
    const auto* const next = std::get_if<ActivationLayer>(&recipe_.layers[at_].what);
    return next && next->kind == Activation::relu;
  }

  TensorId parameter(const std::string& name, const Shape& shape, ParameterStart start) {
    start.name = name;
    const bool known =
        std::ranges::any_of(graph().tensors(), [&](const Tensor& t) { return t.name == name; });
    if (!known) net_.starts.push_back(start);
    auto spec = matrix_spec(parameter_type_, shape);
    return graph().parameter(name, spec);
  }

  /// The copy of a weight that kernels read: its gradient stays as wide as the master's.
  TensorId compute_copy(TensorId weight) {
    if (type_ == parameter_type_) return weight;
    const auto name = graph().tensor(weight).name + " as " + std::string(name_of(type_));
    return graph().add(name, ops::Cast{.type = type_}, {weight})[0];
  }

  TensorId zeros(const std::string& name, std::int64_t n) { return parameter(name, {n}, {}); }

  /// Valid widths after a window along W; none where widths are not carried.
  TensorId widths_after(const std::string& name, const WindowWidths& window) {
    return widths_ == no_tensor ? no_tensor
                                : graph().add(name + "/widths", ops::ScaleWidths{window}, {widths_})[0];
  }

  TensorId conv_widths(const std::string& name, const ConvLayer& l, std::int64_t width_out) {
    const auto& p = l.params;
    return widths_after(name, {.extent = p.dilation_w * (l.kernel_w - 1) + 1,
                               .stride = p.stride_w,
                               .pad_left = p.pad_left,
                               .pad_right = p.pad_right,
                               .width = width_out});
  }

  TensorId pool_widths(const std::string& name, const PoolParams& p) {
    return widths_after(name, {.extent = p.window_w,
                               .stride = p.stride_w,
                               .pad_left = p.pad_w,
                               .pad_right = p.pad_w,
                               .width = pool_output(p, x())[3]});
  }

  void require_image(const std::string& type) const {
    if (x().rank != 4) throw ShapeError("{} needs an image, got {}", type, to_string(x()));
  }

  void add(const std::string& name, const ConvLayer& l) {
    require_image("conv");
    if (x()[1] % l.params.groups || l.filters % l.params.groups)
      throw ShapeError("conv: groups {} must divide {} channels and {} filters", l.params.groups, x()[1],
                       l.filters);
    const auto fan_in = static_cast<float>(x()[1] / l.params.groups * l.kernel_h * l.kernel_w);
    auto w = parameter(name + ".weight", {l.filters, x()[1] / l.params.groups, l.kernel_h, l.kernel_w},
                       {.bound = std::sqrt(6.0f / fan_in)});
    auto b = l.bias ? zeros(name + ".bias", l.filters) : no_tensor;
    const auto* norm_name = at_ < recipe_.layers.size() ? &recipe_.layers[at_].name : nullptr;
    if (const auto* const norm = take<NormLayer>()) {
      add_normalised(name, *norm_name, l, *norm, w, b);
      return;
    }
    const auto* const relu = next_is_relu() ? take<ActivationLayer>() : nullptr;
    convolve(name, l, w, b, relu ? Activation::relu : Activation::none, relu ? take_max_pool() : nullptr);
  }

  /// Convolution, then activation and pooling; widths follow.
  void convolve(const std::string& name, const ConvLayer& l, TensorId w, TensorId b, Activation activation,
                const PoolLayer* pool) {
    const auto out = conv2d_output(l.params, x(), graph().spec(w).shape);
    const auto after = conv_widths(name, l, out[3]);
    if (pool && training()) {
      const auto pooled = widths_after_pool(name, after, out, pool->params);
      x_ = graph().add(name, ops::Conv2dPool{l.params, pool->params},
                       {x_, compute_copy(w), b, widths_, after, pooled})[0];
      widths_ = pooled;
      return;
    }
    x_ = graph().add(name, ops::Conv2d{l.params, activation}, {x_, compute_copy(w), b, widths_, after})[0];
    widths_ = after;
    if (pool) add(name + "_pool", *pool);
  }

  TensorId widths_after_pool(const std::string& name, TensorId before, const Shape& in, const PoolParams& p) {
    if (before == no_tensor) return no_tensor;
    const WindowWidths window{.extent = p.window_w,
                              .stride = p.stride_w,
                              .pad_left = p.pad_w,
                              .pad_right = p.pad_w,
                              .width = pool_output(p, in)[3]};
    return graph().add(name + "/pooled_widths", ops::ScaleWidths{window}, {before})[0];
  }

  struct NormTensors {
    TensorId gamma, beta, mean, variance;
  };

  NormTensors norm_tensors(const std::string& name, std::int64_t channels) {
    const auto state = [&](std::string_view which) {
      return graph().state(name + "." + std::string(which), matrix_spec(parameter_type_, {channels}));
    };
    return {parameter(name + ".weight", {channels}, {.constant = 1}), zeros(name + ".bias", channels),
            state("running_mean"), state("running_var")};
  }

  /// Convolution and batch norm, with whatever ReLU and pooling follow. Outside of training the norm is part
  /// of the convolution's weights.
  void add_normalised(const std::string& name, const std::string& norm_name, const ConvLayer& l,
                      const NormLayer& norm, TensorId w, TensorId b) {
    const auto t = norm_tensors(norm_name, l.filters);
    if (!training()) {
      const auto folded = graph().add(norm_name + "/folded", ops::FoldNorm{norm.epsilon},
                                      {w, b, t.gamma, t.beta, t.mean, t.variance});
      const bool relu = next_is_relu();
      if (relu) ++at_;
      convolve(name, l, folded[0], folded[1], relu ? Activation::relu : Activation::none, nullptr);
      return;
    }
    if (const auto* const pool = take_relu_and_max_pool()) {
      convolve_normalise_pool(name, l, norm, pool->params, w, b, t);
      return;
    }
    convolve(name, l, w, b, Activation::none, nullptr);
    normalise(norm_name, norm, t);
  }

  /// The pooling after a ReLU, both taken, or neither.
  const PoolLayer* take_relu_and_max_pool() {
    if (!next_is_relu()) return nullptr;
    ++at_;
    const auto* const pool = take_max_pool();
    if (!pool) --at_;
    return pool;
  }

  void convolve_normalise_pool(const std::string& name, const ConvLayer& l, const NormLayer& norm,
                               const PoolParams& pool, TensorId w, TensorId b, const NormTensors& t) {
    const auto out = conv2d_output(l.params, x(), graph().spec(w).shape);
    const auto after = conv_widths(name, l, out[3]), pooled = widths_after_pool(name, after, out, pool);
    x_ =
        graph().add(name, ops::Conv2dBatchNormPool{l.params, norm.epsilon, norm.momentum, pool},
                    {x_, compute_copy(w), b, widths_, after, t.gamma, t.beta, t.mean, t.variance, pooled})[0];
    widths_ = pooled;
  }

  void normalise(const std::string& name, const NormLayer& norm, const NormTensors& t) {
    const bool relu = next_is_relu();
    if (relu) ++at_;
    const auto* const pool = relu && training() ? take_max_pool() : nullptr;
    const std::vector<TensorId> in{x_, t.gamma, t.beta, t.mean, t.variance, widths_};
    if (!pool) {
      x_ = graph().add(
          name, ops::BatchNorm{norm.epsilon, norm.momentum, relu ? Activation::relu : Activation::none},
          in)[0];
      return;
    }
    auto fused_in = in;
    fused_in.push_back(pool_widths(name, pool->params));
    x_ = graph().add(name, ops::BatchNormPool{norm.epsilon, norm.momentum, pool->params}, fused_in)[0];
    widths_ = fused_in.back();
  }

  void add(const std::string& name, const NormLayer& l) {
    require_image("batch_norm");
    normalise(name, l, norm_tensors(name, x()[1]));
  }

  void add(const std::string& name, const ActivationLayer& l) {
    x_ = graph().add(name, ops::Activate{l.kind}, {x_})[0];
  }

  void add(const std::string& name, const PoolLayer& l) {
    require_image("pooling");
    const auto after = pool_widths(name, l.params);
    x_ = graph().add(name, ops::Pool{l.params}, {x_, widths_, after})[0];
    widths_ = after;
  }

  void add(const std::string& name, const DropoutLayer& l) {
    if (training() && l.rate > 0)
      x_ = graph().add(name, ops::Drop{.rate = l.rate, .sample_axis = x().rank == 3 ? 1 : 0}, {x_})[0];
  }

  void add(const std::string& name, const FlattenLayer&) {
    require_image("flatten");
    x_ = graph().add(name, ops::FlattenImage{}, {x_})[0];
  }

  void add(const std::string& name, const ColumnsLayer&) {
    require_image("columns");
    x_ = graph().add(name, ops::ToSequence{}, {x_})[0];
  }

  void add(const std::string& name, const DenseLayer& l) {
    if (x().rank == 4) throw ShapeError("dense needs rows or a sequence: put flatten or columns before it");
    const bool last = l.units == 0;
    const auto units = last ? classes_ : l.units;
    const auto inputs = x()[x().rank - 1];
    ops::Dense dense{.output = last ? ops::Dense::Output::f32 : ops::Dense::Output::as_input};
    if (const auto* const activation = take<ActivationLayer>()) dense.activation = activation->kind;
    const bool saturates =
        last || dense.activation == Activation::sigmoid || dense.activation == Activation::tanh;
    const auto spread = saturates ? static_cast<float>(inputs + units) : static_cast<float>(inputs);
    const auto w = parameter(name + ".weight", {units, inputs}, {.bound = std::sqrt(6.0f / spread)});
    x_ = graph().add(name, dense, {x_, compute_copy(w), zeros(name + ".bias", units)})[0];
  }

  void add(const std::string& name, const LstmLayer& l) {
    if (x().rank != 3)
      throw ShapeError("lstm needs a sequence: put columns before it, got {}", to_string(x()));
    const std::int64_t directions = l.bidirectional ? 2 : 1, inputs = x()[2];
    const auto w_ih = parameter(name + ".weight_ih", {directions, 4 * l.units, inputs},
                                {.bound = std::sqrt(6.0f / static_cast<float>(inputs + l.units))});
    const auto w_hh = parameter(name + ".weight_hh", {directions, 4 * l.units, l.units},
                                {.kind = ParameterStart::Kind::orthogonal});
    const auto b =
        parameter(name + ".bias", {directions, 4 * l.units}, {.kind = ParameterStart::Kind::forget_one});
    x_ = graph().add(name, ops::Lstm{}, {x_, compute_copy(w_ih), compute_copy(w_hh), b, widths_})[0];
  }

  void finish() {
    const bool sequence = recipe_.target == Target::sequence;
    const auto& last = recipe_.layers.back();
    const auto* const dense = std::get_if<DenseLayer>(&last.what);
    if (!dense || dense->units != 0)
      throw UsageError("{}: the last layer must be of type classes", last.where);
    if (x().rank != (sequence ? 3 : 2))
      throw UsageError("{}: labels = \"{}\" needs {} before it, got {}", last.where,
                       sequence ? "text" : "class", sequence ? "columns" : "flatten", to_string(x()));
    if (sequence) net_.frames = x()[0];
    if (use_ != NetworkUse::training) {
      const auto log_p = graph().add("log_softmax", ops::Softmax{SoftmaxKind::log_softmax}, {x_})[0];
      graph().output("log_probabilities", log_p);
      if (widths_ != no_tensor) graph().output("lengths", widths_);
    }
    if (use_ != NetworkUse::prediction) add_loss(sequence);
  }

  void add_loss(bool sequence) {
    const auto losses =
        sequence
            ? graph().add("ctc",
                          ops::Ctc{.infeasible = use_ == NetworkUse::training ? Infeasible::zero
                                                                              : Infeasible::infinite},
                          {x_, labels(), graph().input("label_lengths", lengths_spec()), input_lengths()})[0]
            : cross_entropy();
    if (use_ == NetworkUse::evaluation) {
      graph().output("losses", losses);
      return;
    }
    net_.loss = graph().add("loss", ops::Mean{}, {losses})[0];
    graph().output("loss", net_.loss);
  }

  TensorId labels() {
    return graph().input(
        "labels", matrix_spec(DType::i32, {shape_.batch, std::max<std::int64_t>(1, shape_.longest_label)}));
  }

  TensorId input_lengths() {
    return widths_ != no_tensor ? widths_ : graph().input("input_lengths", lengths_spec());
  }

  TensorId cross_entropy() {
    const auto targets = graph().input("targets", lengths_spec());
    const bool corrected = training() && recipe_.training.prior_correction > 0;
    const auto adjustment =
        corrected ? graph().state("log_priors", matrix_spec(parameter_type_, {classes_})) : no_tensor;
    const auto smoothing = training() ? static_cast<float>(recipe_.training.label_smoothing) : 0.0f;
    return graph().add("cross_entropy", ops::CrossEntropyLoss{smoothing}, {x_, targets, adjustment})[0];
  }

  const Recipe& recipe_;
  int classes_;
  NetworkShape shape_;
  NetworkUse use_;
  DType type_, parameter_type_;
  std::size_t at_ = 0;
  TensorId x_ = no_tensor, widths_ = no_tensor;
  Network net_;
};

}  // namespace

Network build_network(const Recipe& recipe, int classes, const NetworkShape& shape, NetworkUse use,
                      DType type) {
  return Builder(recipe, classes, shape, use, type).build();
}

Selection selection_for(const Device& device, Precision precision) {
  auto selection = device.selection();
  selection.f32_products = f32_products(precision);
  device.require(storage_type(precision), selection.f32_products);
  return selection;
}

int frames_of(const Recipe& recipe, int valid_width) {
  if (!recipe.valid_widths) valid_width = recipe.input.width;
  std::int64_t width = valid_width;
  for (const auto& layer : recipe.layers) {
    if (const auto* const c = std::get_if<ConvLayer>(&layer.what))
      width =
          (width + c->params.pad_left + c->params.pad_right - c->params.dilation_w * (c->kernel_w - 1) - 1) /
              c->params.stride_w +
          1;
    if (const auto* const p = std::get_if<PoolLayer>(&layer.what))
      width = (width + 2 * p->params.pad_w - p->params.window_w) / p->params.stride_w + 1;
  }
  return static_cast<int>(std::max<std::int64_t>(width, 1));
}

}  // namespace scrawl
