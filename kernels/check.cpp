#include "kernels/check.h"

namespace scrawl {
namespace {

enum class Main : std::uint8_t { storage, companion };

/// The operands of one call. The main operand fixes the types of the others.
class Operands {
 public:
  Operands(std::string_view operation, Widest widest) : operation_(operation), widest_(widest) {}

  Operands(std::string_view operation, Widest widest, std::string_view name, const View& main,
           Main kind = Main::storage)
      : Operands(operation, widest) {
    if (!main.present()) throw ShapeError("{}: {}: expected a tensor, got nothing", operation, name);
    const bool narrow = kind == Main::storage && (main.type == DType::bf16 || main.type == DType::f16);
    if (!narrow && main.type != DType::f32 && (main.type != DType::f64 || widest == Widest::f32))
      throw ShapeError("{}: {}: expected {}{}, got {}", operation, name,
                       kind == Main::storage ? "f32, bf16 or f16" : "f32",
                       widest == Widest::f64 ? " or f64" : "", name_of(main.type));
    storage_ = main.type;
    companion_ = main.type == DType::f64 ? DType::f64 : DType::f32;
  }

  void rank(std::string_view name, const View& view, int expected) const {
    if (view.shape.rank != expected)
      throw ShapeError("{}: {}: expected {} axes, got {}", operation_, name, expected, described(view));
  }

  void typed(std::string_view name, const View& view, DType type, const Shape& shape) const {
    if (view.type != type || view.shape != shape || !view.present())
      throw ShapeError("{}: {}: expected {} {}, got {}", operation_, name, scrawl::name_of(type),
                       to_string(shape), described(view));
  }

  /// An operand of the main one's type.
  void storage(std::string_view name, const View& view, const Shape& shape) const {
    typed(name, view, storage_, shape);
  }

  /// An operand in f32, or f64 beside f64.
  void companion(std::string_view name, const View& view, const Shape& shape) const {
    typed(name, view, companion_, shape);
  }

  /// An operand of any floating-point type.
  void any_float(std::string_view name, const View& view, const Shape& shape) const {
    if (!is_float(view.type) || (view.type == DType::f64 && widest_ == Widest::f32) || view.shape != shape)
      throw ShapeError("{}: {}: expected f32, bf16 or f16 {}, got {}", operation_, name, to_string(shape),
                       described(view));
  }

  void storage_if_present(std::string_view name, const View& view, const Shape& shape) const {
    if (view.present()) storage(name, view, shape);
  }
  void companion_if_present(std::string_view name, const View& view, const Shape& shape) const {
    if (view.present()) companion(name, view, shape);
  }
  void widths_if_present(std::string_view name, const View& view, std::int64_t samples) const {
    if (view.present()) typed(name, view, DType::i32, {samples});
  }
  void absent(std::string_view name, const View& view) const {
    if (view.present())
      throw ShapeError("{}: {}: expected nothing, got {}", operation_, name, to_string(view));
  }

  template <class... Args>
  void require(bool holds, fmt::format_string<Args...> format, Args&&... args) const {
    if (!holds) throw ShapeError("{}: {}", operation_, fmt::format(format, std::forward<Args>(args)...));
  }

  /// The type of operands that may be wider than the main one: its own, or f32.
  bool is_output_type(DType type) const { return type == storage_ || type == companion_; }

 private:
  static std::string described(const View& view) { return view.present() ? to_string(view) : "nothing"; }

  std::string_view operation_;
  Widest widest_;
  DType storage_ = DType::f32, companion_ = DType::f32;
};

/// `x` with its last axis replaced.
Shape with_last(Shape x, std::int64_t extent) {
  x[x.rank - 1] = extent;
  return x;
}

template <class Call>
void check_norm(const Operands& operands, const Call& call) {
  operands.require(call.activation == Activation::none || call.activation == Activation::relu,
                   "activation: expected none or relu, got {}", name_of(call.activation));
  operands.require(call.epsilon >= 0, "epsilon: expected at least 0, got {}", call.epsilon);
  const Shape channels{call.x.shape[1]};
  operands.companion("gamma", call.gamma, channels);
  operands.companion("beta", call.beta, channels);
  operands.companion("mean", call.mean, channels);
  operands.companion("variance", call.variance, channels);
  operands.widths_if_present("widths", call.widths, call.x.shape[0]);
}

/// What batch norm with pooling and its second half alone share.
template <class Call>
void check_norm_pool(const Operands& operands, const Call& call) {
  operands.require(call.pool.kind == PoolKind::max, "pool: expected max, got average");
  const Shape y = pool_output(call.pool, call.x.shape);
  const Shape channels{y[1]};
  operands.storage("y", call.y, y);
  if (call.argmax.present()) operands.typed("argmax", call.argmax, argmax_type(call.pool), y);
  operands.companion("gamma", call.gamma, channels);
  operands.companion("beta", call.beta, channels);
  operands.companion("mean", call.mean, channels);
  operands.companion("variance", call.variance, channels);
  operands.widths_if_present("x_widths", call.x_widths, y[0]);
  operands.widths_if_present("y_widths", call.y_widths, y[0]);
}

/// What the two directions of an LSTM share.
template <class Call>
void check_lstm(const Operands& operands, const Call& call) {
  operands.rank("x", call.x, 3);
  operands.rank("w_ih", call.w_ih, 3);
  const auto steps = call.x.shape[0], samples = call.x.shape[1], inputs = call.x.shape[2];
  const auto directions = call.w_ih.shape[0], gates = call.w_ih.shape[1], hidden = gates / 4;
  operands.require(directions == 1 || directions == 2, "w_ih: expected 1 or 2 directions, got {}",
                   directions);
  operands.require(gates > 0 && gates % 4 == 0, "w_ih: expected 4 H rows, got {}", gates);
  operands.storage("w_ih", call.w_ih, {directions, gates, inputs});
  operands.storage("w_hh", call.w_hh, {directions, gates, hidden});
  operands.companion("b", call.b, {directions, gates});
  operands.widths_if_present("lengths", call.lengths, samples);
  operands.storage_if_present("h0", call.h0, {directions, samples, hidden});
  operands.companion_if_present("c0", call.c0, {directions, samples, hidden});
  operands.storage("y", call.y, {steps, samples, directions * hidden});
}

void check_reserve(const Operands& operands, const View& reserve) {
  operands.rank("reserve", reserve, 1);
  operands.typed("reserve", reserve, DType::u8, reserve.shape);
}

}  // namespace

void check(const ActivationForward& call, Widest widest) {
  const Operands operands("activation_forward", widest, "x", call.x);
  operands.storage("y", call.y, call.x.shape);
}

void check(const ActivationBackward& call, Widest widest) {
  const Operands operands("activation_backward", widest, "y", call.y);
  operands.storage("dy", call.dy, call.y.shape);
  operands.storage("dx", call.dx, call.y.shape);
}

void check(const Conv2dForward& call, Widest widest) {
  const Operands operands("conv2d_forward", widest, "x", call.x);
  const Shape y = conv2d_output(call.params, call.x.shape, call.w.shape);
  operands.storage("w", call.w, call.w.shape);
  operands.companion_if_present("b", call.b, {y[1]});
  operands.storage("y", call.y, y);
  operands.widths_if_present("y_widths", call.y_widths, y[0]);
}

void check(const Conv2dPoolForward& call, Widest widest) {
  const Operands operands("conv2d_pool_forward", widest, "x", call.x);
  const auto& pool = call.pool;
  operands.require(pool.kind == PoolKind::max, "pool: expected max, got average");
  operands.require(pools_in_tiles(pool),
                   "pool: expected windows of 1, 2, 4, ... or {} pixels, beside one another and without "
                   "padding, got window {}x{} stride {}x{} pad {},{}",
                   most_pooled_pixels, pool.window_h, pool.window_w, pool.stride_h, pool.stride_w, pool.pad_h,
                   pool.pad_w);
  const Shape convolved = conv2d_output(call.params, call.x.shape, call.w.shape);
  const Shape y = pool_output(pool, convolved);
  operands.storage("w", call.w, call.w.shape);
  operands.companion_if_present("b", call.b, {y[1]});
  operands.storage("y", call.y, y);
  if (call.argmax.present()) operands.typed("argmax", call.argmax, DType::u8, y);
  operands.require(call.convolved_widths.present() == call.y_widths.present(),
                   "widths: expected those of the convolution and of y, or none, got one");
  operands.widths_if_present("convolved_widths", call.convolved_widths, y[0]);
  operands.widths_if_present("y_widths", call.y_widths, y[0]);
}

void check(const Conv2dMomentsForward& call, Widest widest) {
  const Operands operands("conv2d_moments_forward", widest, "x", call.x);
  const Shape y = conv2d_output(call.params, call.x.shape, call.w.shape);
  operands.storage("w", call.w, call.w.shape);
  operands.companion_if_present("b", call.b, {y[1]});
  operands.storage("y", call.y, y);
  operands.companion("mean", call.mean, {y[1]});
  operands.companion("variance", call.variance, {y[1]});
  operands.widths_if_present("y_widths", call.y_widths, y[0]);
}

void check(const Conv2dBackwardData& call, Widest widest) {
  const Operands operands("conv2d_backward_data", widest, "dx", call.dx);
  operands.storage("dy", call.dy, conv2d_output(call.params, call.dx.shape, call.w.shape));
  operands.storage("w", call.w, call.w.shape);
  operands.widths_if_present("x_widths", call.x_widths, call.dx.shape[0]);
}

void check(const Conv2dBackwardWeight& call, Widest widest) {
  const Operands operands("conv2d_backward_weight", widest, "x", call.x);
  operands.storage("dy", call.dy, conv2d_output(call.params, call.x.shape, call.dw.shape));
  operands.companion("dw", call.dw, call.dw.shape);
  operands.companion_if_present("db", call.db, {call.dw.shape[0]});
}

void check(const Gemm& call, Widest widest) {
  const Operands operands("gemm", widest, "a", call.a);
  operands.rank("a", call.a, 2);
  operands.rank("b", call.b, 2);
  const bool a_turned = call.transpose_a == Transpose::yes, b_turned = call.transpose_b == Transpose::yes;
  const auto rows = call.a.shape[a_turned ? 1 : 0], depth = call.a.shape[a_turned ? 0 : 1];
  const auto columns = call.b.shape[b_turned ? 0 : 1];
  operands.storage("b", call.b, b_turned ? Shape{columns, depth} : Shape{depth, columns});
  operands.require(operands.is_output_type(call.y.type), "y: expected the inputs' type or f32, got {}",
                   name_of(call.y.type));
  operands.any_float("y", call.y, {rows, columns});
}

void check(const DenseForward& call, Widest widest) {
  const Operands operands("dense_forward", widest, "x", call.x);
  operands.rank("w", call.w, 2);
  operands.storage("w", call.w, {call.w.shape[0], call.x.shape[call.x.shape.rank - 1]});
  operands.companion_if_present("b", call.b, {call.w.shape[0]});
  operands.require(operands.is_output_type(call.y.type), "y: expected the inputs' type or f32, got {}",
                   name_of(call.y.type));
  operands.any_float("y", call.y, with_last(call.x.shape, call.w.shape[0]));
}

void check(const DenseBackwardData& call, Widest widest) {
  const Operands operands("dense_backward_data", widest, "dx", call.dx);
  operands.rank("w", call.w, 2);
  operands.storage("w", call.w, {call.w.shape[0], call.dx.shape[call.dx.shape.rank - 1]});
  operands.storage("dy", call.dy, with_last(call.dx.shape, call.w.shape[0]));
}

void check(const DenseBackwardWeight& call, Widest widest) {
  const Operands operands("dense_backward_weight", widest, "x", call.x);
  operands.rank("dw", call.dw, 2);
  operands.companion("dw", call.dw, {call.dw.shape[0], call.x.shape[call.x.shape.rank - 1]});
  operands.storage("dy", call.dy, with_last(call.x.shape, call.dw.shape[0]));
  operands.companion_if_present("db", call.db, {call.dw.shape[0]});
}

void check(const PoolForward& call, Widest widest) {
  const Operands operands("pool_forward", widest, "x", call.x);
  const Shape y = pool_output(call.params, call.x.shape);
  operands.storage("y", call.y, y);
  if (call.params.kind == PoolKind::average) operands.absent("argmax", call.argmax);
  if (call.argmax.present()) operands.typed("argmax", call.argmax, argmax_type(call.params), y);
  operands.widths_if_present("x_widths", call.x_widths, y[0]);
  operands.widths_if_present("y_widths", call.y_widths, y[0]);
}

void check(const PoolBackward& call, Widest widest) {
  const Operands operands("pool_backward", widest, "dx", call.dx);
  const Shape y = pool_output(call.params, call.dx.shape);
  operands.storage("dy", call.dy, y);
  if (call.params.kind == PoolKind::average)
    operands.absent("argmax", call.argmax);
  else
    operands.typed("argmax", call.argmax, argmax_type(call.params), y);
  operands.widths_if_present("x_widths", call.x_widths, y[0]);
  operands.widths_if_present("y_widths", call.y_widths, y[0]);
}

void check(const WindowWidths& call, Widest widest) {
  const Operands operands("window_widths", widest);
  operands.require(call.extent >= 1 && call.stride >= 1 && call.pad_left >= 0 && call.pad_right >= 0,
                   "expected extent and stride >= 1 and padding >= 0, got {}, {} and {}, {}", call.extent,
                   call.stride, call.pad_left, call.pad_right);
  operands.rank("widths", call.widths, 1);
  operands.typed("widths", call.widths, DType::i32, call.widths.shape);
  operands.typed("out", call.out, DType::i32, call.widths.shape);
}

void check(const BatchNormForward& call, Widest widest) {
  const Operands operands("batch_norm_forward", widest, "x", call.x);
  operands.rank("x", call.x, 4);
  check_norm(operands, call);
  operands.storage("y", call.y, call.x.shape);
}

void check(const BatchNormInference& call, Widest widest) {
  const Operands operands("batch_norm_inference", widest, "x", call.x);
  operands.rank("x", call.x, 4);
  check_norm(operands, call);
  operands.storage("y", call.y, call.x.shape);
}

void check(const BatchNormBackward& call, Widest widest) {
  const Operands operands("batch_norm_backward", widest, "x", call.x);
  operands.rank("x", call.x, 4);
  check_norm(operands, call);
  operands.storage("dy", call.dy, call.x.shape);
  operands.storage("dx", call.dx, call.x.shape);
  operands.companion("dgamma", call.dgamma, call.gamma.shape);
  operands.companion("dbeta", call.dbeta, call.gamma.shape);
}

void check(const BatchNormPoolForward& call, Widest widest) {
  check_norm_pool(Operands("batch_norm_pool_forward", widest, "x", call.x), call);
}

void check(const BatchNormPoolApply& call, Widest widest) {
  check_norm_pool(Operands("batch_norm_pool_apply", widest, "x", call.x), call);
}

void check(const BatchNormPoolBackward& call, Widest widest) {
  const Operands operands("batch_norm_pool_backward", widest, "x", call.x);
  operands.require(call.pool.kind == PoolKind::max, "pool: expected max, got average");
  const Shape y = pool_output(call.pool, call.x.shape);
  const Shape channels{y[1]};
  operands.storage("y", call.y, y);
  operands.storage("dy", call.dy, y);
  operands.typed("argmax", call.argmax, argmax_type(call.pool), y);
  operands.companion("gamma", call.gamma, channels);
  operands.companion("mean", call.mean, channels);
  operands.companion("variance", call.variance, channels);
  operands.storage("dx", call.dx, call.x.shape);
  operands.companion("dgamma", call.dgamma, channels);
  operands.companion("dbeta", call.dbeta, channels);
  operands.widths_if_present("x_widths", call.x_widths, y[0]);
  operands.widths_if_present("y_widths", call.y_widths, y[0]);
}

void check(const RunningUpdate& call, Widest widest) {
  const Operands operands("running_update", widest, "running", call.running, Main::companion);
  operands.rank("running", call.running, 1);
  operands.companion("value", call.value, call.running.shape);
  if (call.widths.present()) {
    operands.rank("widths", call.widths, 1);
    operands.typed("widths", call.widths, DType::i32, call.widths.shape);
    const auto column = call.height * call.widths.shape[0];  // of all images
    operands.require(column > 0 ? call.count % column == 0 : call.count == 0,
                     "count: expected a multiple of {} x {}, height x images, got {}", call.height,
                     call.widths.shape[0], call.count);
  }
  operands.companion("control", call.control, {Control::count});
}

void check(const FoldBatchNorm& call, Widest widest) {
  const Operands operands("fold_batch_norm", widest, "w", call.w, Main::companion);
  const Shape outputs{call.w.shape[0]};
  operands.companion_if_present("b", call.b, outputs);
  operands.companion("gamma", call.gamma, outputs);
  operands.companion("beta", call.beta, outputs);
  operands.companion("mean", call.mean, outputs);
  operands.companion("variance", call.variance, outputs);
  operands.companion("folded_w", call.folded_w, call.w.shape);
  operands.companion("folded_b", call.folded_b, outputs);
}

void check(const LstmForward& call, Widest widest) {
  const Operands operands("lstm_forward", widest, "x", call.x);
  check_lstm(operands, call);
  const Shape state{call.w_hh.shape[0], call.x.shape[1], call.w_hh.shape[2]};
  operands.storage_if_present("hn", call.hn, state);
  operands.companion_if_present("cn", call.cn, state);
  if (call.reserve.present()) check_reserve(operands, call.reserve);
}

void check(const LstmBackward& call, Widest widest) {
  const Operands operands("lstm_backward", widest, "x", call.x);
  check_lstm(operands, call);
  check_reserve(operands, call.reserve);
  const Shape state{call.w_hh.shape[0], call.x.shape[1], call.w_hh.shape[2]};
  operands.storage("dy", call.dy, call.y.shape);
  operands.storage_if_present("dhn", call.dhn, state);
  operands.companion_if_present("dcn", call.dcn, state);
  operands.storage("dx", call.dx, call.x.shape);
  operands.storage_if_present("dh0", call.dh0, state);
  operands.companion_if_present("dc0", call.dc0, state);
  operands.companion("dw_ih", call.dw_ih, call.w_ih.shape);
  operands.companion("dw_hh", call.dw_hh, call.w_hh.shape);
  operands.companion("db", call.db, call.b.shape);
}

void check(const SoftmaxForward& call, Widest widest) {
  const Operands operands("softmax_forward", widest, "x", call.x);
  operands.storage("y", call.y, call.x.shape);
}

void check(const SoftmaxBackward& call, Widest widest) {
  const Operands operands("softmax_backward", widest, "y", call.y);
  operands.storage("dy", call.dy, call.y.shape);
  operands.storage("dx", call.dx, call.y.shape);
}

void check(const CrossEntropy& call, Widest widest) {
  const Operands operands("cross_entropy", widest, "x", call.x);
  operands.rank("x", call.x, 2);
  operands.require(call.label_smoothing >= 0 && call.label_smoothing <= 1,
                   "label_smoothing: expected 0 to 1, got {}", call.label_smoothing);
  const Shape samples{call.x.shape[0]};
  operands.companion_if_present("adjustment", call.adjustment, {call.x.shape[1]});
  operands.typed("targets", call.targets, DType::i32, samples);
  operands.companion("loss", call.loss, samples);
  operands.companion_if_present("d_x", call.d_x, call.x.shape);
}

void check(const ScaleRows& call, Widest widest) {
  const Operands operands("scale_rows", widest, "x", call.x, Main::companion);
  const auto rank = call.x.shape.rank;
  operands.require(rank == 2 || rank == 3, "x: expected N K or T N K, got {}", to_string(call.x));
  operands.companion("scale", call.scale, {call.x.shape[rank - 2]});
  operands.any_float("y", call.y, call.x.shape);
}

void check(const MeanForward& call, Widest widest) {
  const Operands operands("mean_forward", widest, "x", call.x, Main::companion);
  operands.rank("x", call.x, 1);
  operands.companion("y", call.y, {1});
}

void check(const MeanBackward& call, Widest widest) {
  const Operands operands("mean_backward", widest, "dx", call.dx, Main::companion);
  operands.rank("dx", call.dx, 1);
  operands.companion_if_present("dy", call.dy, {1});
  operands.companion_if_present("control", call.control, {Control::count});
}

void check(const CtcLoss& call, Widest widest) {
  const Operands operands("ctc_loss", widest, "x", call.x);
  operands.rank("x", call.x, 3);
  operands.rank("labels", call.labels, 2);
  const auto samples = call.x.shape[1], classes = call.x.shape[2];
  operands.require(call.blank >= 0 && call.blank < classes, "blank: expected 0 to {}, got {}", classes - 1,
                   call.blank);
  operands.typed("labels", call.labels, DType::i32, {samples, call.labels.shape[1]});
  operands.typed("label_lengths", call.label_lengths, DType::i32, {samples});
  operands.typed("input_lengths", call.input_lengths, DType::i32, {samples});
  operands.companion("loss", call.loss, {samples});
  operands.companion_if_present("d_x", call.d_x, call.x.shape);
}

void check(const Copy& call, Widest widest) {
  const Operands operands("copy", widest);
  operands.require(call.x.present() && call.x.shape == call.y.shape, "y: expected {}, got {}",
                   to_string(call.x.shape), to_string(call.y.shape));
  const bool moves_bytes = call.x.type == DType::u8 && call.y.type == DType::u8;
  if (moves_bytes) {
    operands.require(call.scale == 1 && call.offset == 0,
                     "expected scale 1 and offset 0 for u8 to u8, got {} and {}", call.scale, call.offset);
    return;
  }
  if (call.x.type != DType::u8) operands.any_float("x", call.x, call.x.shape);
  operands.any_float("y", call.y, call.x.shape);
}

void check(const Add& call, Widest widest) {
  const Operands operands("add", widest, "a", call.a);
  operands.storage("b", call.b, call.a.shape);
  operands.storage("y", call.y, call.a.shape);
}

void check(const Dropout& call, Widest widest) {
  const Operands operands("dropout", widest, "x", call.x);
  operands.require(call.rate >= 0 && call.rate < 1, "rate: expected 0 to below 1, got {}", call.rate);
  operands.require(call.sample_axis >= 0 && call.sample_axis < call.x.shape.rank,
                   "sample_axis: expected an axis of {}, got {}", to_string(call.x), call.sample_axis);
  operands.typed("counters", call.counters, DType::i64, {2});
  operands.storage("y", call.y, call.x.shape);
}

void check(const ImageToSequence& call, Widest widest) {
  const Operands operands("image_to_sequence", widest, "x", call.x);
  operands.rank("x", call.x, 4);
  const Shape& x = call.x.shape;
  operands.storage("y", call.y, {x[3], x[0], x[1] * x[2]});
}

void check(const SequenceToImage& call, Widest widest) {
  const Operands operands("sequence_to_image", widest, "y", call.y);
  operands.rank("y", call.y, 4);
  const Shape& y = call.y.shape;
  operands.storage("x", call.x, {y[3], y[0], y[1] * y[2]});
}

void check(const Flatten& call, Widest widest) {
  const Operands operands("flatten", widest, "x", call.x);
  operands.rank("x", call.x, 4);
  const Shape& x = call.x.shape;
  operands.storage("y", call.y, {x[0], x[1] * x[2] * x[3]});
}

void check(const Unflatten& call, Widest widest) {
  const Operands operands("unflatten", widest, "y", call.y);
  operands.rank("y", call.y, 4);
  const Shape& y = call.y.shape;
  operands.storage("x", call.x, {y[0], y[1] * y[2] * y[3]});
}

void check(const GradientNorm& call, Widest widest) {
  const Operands operands("gradient_norm", widest, "control", call.control, Main::companion);
  operands.companion("control", call.control, {Control::count});
  operands.require(call.clip >= 0, "clip: expected at least 0, got {}", call.clip);
  if (call.loss.present()) operands.companion("loss", call.loss, {1});
  for (std::size_t i = 0; i < call.g.size(); ++i)
    operands.companion(fmt::format("g {}", i), call.g[i], call.g[i].shape);
}

void check(const OptimizerStep& call, Widest widest) {
  const Operands operands("optimizer_step", widest, "control", call.control, Main::companion);
  operands.companion("control", call.control, {Control::count});
  const auto tensors = call.w.size(), seconds = call.kind == OptimizerKind::sgd ? 0 : tensors;
  operands.require(call.g.size() == tensors && call.m.size() == tensors && call.decay.size() == tensors &&
                       call.v.size() == seconds,
                   "expected {} of g, m and decay and {} of v, got {}, {}, {} and {}", tensors, seconds,
                   call.g.size(), call.m.size(), call.decay.size(), call.v.size());
  const auto matches = [&](std::string_view name, std::size_t i, const View& view) {
    operands.companion(fmt::format("{} {}", name, i), view, call.w[i].shape);
  };
  for (std::size_t i = 0; i < tensors; ++i) {
    matches("w", i, call.w[i]);
    matches("g", i, call.g[i]);
    matches("m", i, call.m[i]);
    if (seconds > 0) matches("v", i, call.v[i]);
  }
}

void check(const StepEnd& call, Widest widest) {
  const Operands operands("step_end", widest, "control", call.control, Main::companion);
  operands.companion("control", call.control, {Control::count});
}

}  // namespace scrawl
