#pragma once
#include "kernels/elementwise.h"
#include "runtime/ops/operator.h"

namespace scrawl::ops {

/// Columns become time steps: y[t,n,c H + h] = x[n,c,h,t] (kernels/elementwise.h).
struct ToSequence {
  static constexpr std::string_view name = "to_sequence";

  Specs infer(const Specs& in) const {
    expect(in[0].shape.rank == 4, name, "x", "N C H W", in[0]);
    const auto& x = in[0].shape;
    return {matrix_spec(in[0].type, {x[3], x[0], x[1] * x[2]})};
  }

  void forward(Emit& e) const {
    e.call("image_to_sequence", &Backend::image_to_sequence, ImageToSequence{},
           {read(&ImageToSequence::x, e.in(0)), write(&ImageToSequence::y, e.out(0))});
  }

  void backward(Emit& e) const {
    if (const auto dx = e.dx(0); dx != no_tensor)
      e.call("sequence_to_image", &Backend::sequence_to_image, SequenceToImage{},
             {read(&SequenceToImage::x, e.dy(0)), write(&SequenceToImage::y, dx)});
  }

  Cost cost(Phase, const Specs& in, const Specs& out) const { return {0, bytes_of(in, out)}; }
  std::string parameters() const { return ""; }
};

/// An image as one row, in PyTorch's order: channels, then rows, then columns (kernels/elementwise.h).
struct FlattenImage {
  static constexpr std::string_view name = "flatten";

  Specs infer(const Specs& in) const {
    expect(in[0].shape.rank == 4, name, "x", "N C H W", in[0]);
    const auto& x = in[0].shape;
    return {matrix_spec(in[0].type, {x[0], x[1] * x[2] * x[3]})};
  }

  void forward(Emit& e) const {
    e.call("flatten", &Backend::flatten, Flatten{},
           {read(&Flatten::x, e.in(0)), write(&Flatten::y, e.out(0))});
  }

  void backward(Emit& e) const {
    if (const auto dx = e.dx(0); dx != no_tensor)
      e.call("unflatten", &Backend::unflatten, Unflatten{},
             {read(&Unflatten::x, e.dy(0)), write(&Unflatten::y, dx)});
  }

  Cost cost(Phase, const Specs& in, const Specs& out) const { return {0, bytes_of(in, out)}; }
  std::string parameters() const { return ""; }
};

/// y = a + b. Also how the graph adds up the gradients of a tensor that is used more than once.
struct Sum {
  static constexpr std::string_view name = "add";

  Specs infer(const Specs& in) const {
    expect(in[0].shape == in[1].shape && in[0].type == in[1].type, name, "b", "a's shape and type", in[1]);
    return {in[0]};
  }

  void forward(Emit& e) const {
    e.call("add", &Backend::add, Add{},
           {read(&Add::a, e.in(0)), read(&Add::b, e.in(1)), write(&Add::y, e.out(0))});
  }

  void backward(Emit& e) const {
    e.pass_gradient(0, e.dy(0));
    e.pass_gradient(1, e.dy(0));
  }

  Cost cost(Phase, const Specs& in, const Specs& out) const {
    return {static_cast<double>(in[0].shape.count()), bytes_of(in, out)};
  }

  std::string parameters() const { return ""; }
};

/// A copy in another type: pixels to numbers (u8, scaled), or master weights to a narrow copy whose
/// gradient stays f32 and is the master's.
struct Cast {
  static constexpr std::string_view name = "cast";
  DType type = DType::f32;
  float scale = 1, offset = 0;

  Specs infer(const Specs& in) const {
    auto out = in[0];
    out.type = type;
    return {out};
  }

  void forward(Emit& e) const {
    e.call("copy", &Backend::copy, Copy{.scale = scale, .offset = offset},
           {read(&Copy::x, e.in(0)), write(&Copy::y, e.out(0))});
  }

  void backward(Emit& e) const {
    if (scale != 1) throw InternalError("{}: a scaled cast has no gradient", name);
    e.pass_gradient(0, e.dy(0));
  }

  Cost cost(Phase, const Specs& in, const Specs& out) const { return {0, bytes_of(in, out)}; }
  std::string parameters() const { return fmt::format("to {}", name_of(type)); }
};

}  // namespace scrawl::ops
