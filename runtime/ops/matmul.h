#pragma once
#include "kernels/gemm.h"
#include "runtime/ops/operator.h"

namespace scrawl::ops {

/// y = a b, both matrices of activations (kernels/gemm.h). Inputs: a (M,K), b (K,N). Output: y (M,N).
struct MatMul {
  static constexpr std::string_view name = "matmul";

  Specs infer(const Specs& in) const {
    expect(in[0].shape.rank == 2, name, "a", "M K", in[0]);
    expect(in[1].shape.rank == 2 && in[1].shape[0] == in[0].shape[1], name, "b",
           fmt::format("({}, N)", in[0].shape[1]), in[1]);
    return {matrix_spec(in[0].type, {in[0].shape[0], in[1].shape[1]})};
  }

  void forward(Emit& e) const {
    e.call("gemm", &Backend::gemm, Gemm{},
           {read(&Gemm::a, e.in(0)), read(&Gemm::b, e.in(1)), write(&Gemm::y, e.out(0))});
  }

  void backward(Emit& e) const {
    if (const auto da = e.dx(0); da != no_tensor)
      e.call("gemm", &Backend::gemm, Gemm{.transpose_b = Transpose::yes},
             {read(&Gemm::a, e.dy(0)), read(&Gemm::b, e.in(1)), write(&Gemm::y, da)});
    if (const auto db = e.dx(1); db != no_tensor)
      e.call("gemm", &Backend::gemm, Gemm{.transpose_a = Transpose::yes},
             {read(&Gemm::a, e.in(0)), read(&Gemm::b, e.dy(0)), write(&Gemm::y, db)});
  }

  Cost cost(Phase phase, const Specs& in, const Specs& out) const {
    const double passes = phase == Phase::backward ? 2 : 1;
    return {passes * 2.0 * static_cast<double>(out[0].shape.count() * in[0].shape[1]),
            passes * bytes_of(in, out)};
  }

  std::string parameters() const { return ""; }
};

}  // namespace scrawl::ops
